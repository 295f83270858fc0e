//! A receiver that writes down every POST as it came and what it answered, before it answers.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use pulse_bridge::clock;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch};

use crate::chance::Chance;

/// The largest body taken.
const MAX_BODY_BYTES: usize = 2 << 20;

/// How often it fails, in percent. What it has failed once it takes the next time, so that a run ends soon.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mood {
    /// Answers 503.
    pub(crate) refuses: u64,
    /// Takes its time to answer.
    pub(crate) dawdles: u64,
}

/// A running receiver.
#[derive(Clone)]
pub(crate) struct Receiver {
    /// Where it takes events.
    pub(crate) url: String,
    /// Its log.
    pub(crate) log: PathBuf,
    shared: Arc<Shared>,
    completed: watch::Receiver<BTreeSet<String>>,
}

struct Shared {
    mood: Mood,
    memory: Mutex<Memory>,
    /// Calls whose `call.completed` was accepted.
    completed: watch::Sender<BTreeSet<String>>,
}

struct Memory {
    log: std::fs::File,
    chance: Chance,
    tries: HashMap<String, u32>,
    /// POSTs that were accepted, by call.
    posts: BTreeMap<String, u64>,
}

impl Receiver {
    pub(crate) async fn start(folder: &Path, mood: Mood, seed: u64) -> Self {
        let path = folder.join("received.jsonl");
        let log = std::fs::File::create(&path).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let (sender, completed) = watch::channel(BTreeSet::new());
        let memory = Memory { log, chance: Chance::new(seed), tries: HashMap::new(), posts: BTreeMap::new() };
        let shared = Arc::new(Shared { mood, memory: Mutex::new(memory), completed: sender });
        let router = Router::new().fallback(take).with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, log: path, shared, completed }
    }

    /// Waits until all of these calls have their `call.completed`; those that have none in time.
    pub(crate) async fn until_completed(&self, calls: &BTreeSet<String>, patience: Duration) -> BTreeSet<String> {
        let mut completed = self.completed.clone();
        let waiting = completed.wait_for(|completed| calls.is_subset(completed));
        let _ = tokio::time::timeout(patience, waiting).await;
        calls - &*self.completed.borrow()
    }

    /// Calls of which anything was accepted.
    pub(crate) fn started(&self) -> BTreeSet<String> {
        self.shared.memory.lock().unwrap().posts.keys().cloned().collect()
    }

    /// How many POSTs of a call were accepted.
    pub(crate) fn posts_of(&self, call: &str) -> u64 {
        self.shared.memory.lock().unwrap().posts.get(call).copied().unwrap_or_default()
    }
}

async fn take(State(shared): State<Arc<Shared>>, request: Request<Body>) -> StatusCode {
    let (head, body) = request.into_parts();
    // A sender that is killed in the middle of a body has posted nothing.
    let Ok(body) = to_bytes(body, MAX_BODY_BYTES).await else { return StatusCode::BAD_REQUEST };
    let (status, delay) = shared.note(&head.headers, &body);
    tokio::time::sleep(delay).await;
    status
}

impl Shared {
    fn note(&self, headers: &HeaderMap, body: &[u8]) -> (StatusCode, Duration) {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let id = header("webhook-id");
        let mut memory = self.memory.lock().unwrap();
        let tries = memory.tries.entry(id.clone()).or_default();
        *tries += 1;
        let is_first = *tries == 1;
        let refuses = is_first && memory.chance.percent(self.mood.refuses);
        let delay = if memory.chance.percent(self.mood.dawdles) { memory.chance.below(200) } else { 0 };
        let status = if refuses { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::NO_CONTENT };
        let line = json!({"at_ms": clock::wall_ms(), "id": id, "timestamp": header("webhook-timestamp"),
            "signature": header("webhook-signature"), "status": status.as_u16(), "body": BASE64_STANDARD.encode(body)});
        memory.log.write_all(format!("{line}\n").as_bytes()).unwrap();
        if !refuses {
            let event: Value = serde_json::from_slice(body).unwrap_or_default();
            let call = event["data"]["call_sid"].as_str().unwrap_or_default().to_owned();
            *memory.posts.entry(call.clone()).or_default() += 1;
            if event["type"] == "call.completed" {
                self.completed.send_if_modified(|completed| completed.insert(call));
            }
        }
        (status, Duration::from_millis(delay))
    }
}
