//! Where events go: one path takes all, the other answers 500 and echoes values; every byte that came is kept.

use std::{
    collections::BTreeSet,
    fmt::Write,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::Value;
use tokio::{net::TcpListener, sync::watch};

/// The largest body taken.
const MAX_BODY_BYTES: usize = 4 << 20;
/// Longest wait for anything; far above every deadline of the bridge.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// What has come so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Taken {
    /// Calls whose `call.completed` was taken.
    pub(crate) completed: BTreeSet<String>,
    /// Calls of which a final was taken, and how many.
    pub(crate) finals: Vec<String>,
    /// Types of events.
    pub(crate) types: BTreeSet<String>,
    /// Deliveries that the ill path refused.
    pub(crate) refused: usize,
    /// Request lines and headers.
    pub(crate) heads: String,
    /// Bodies, one a line.
    pub(crate) bodies: Vec<u8>,
    /// By call: the digits of its keys in order, and its finals' texts.
    pub(crate) keys: Vec<(String, String)>,
}

/// A running receiver.
pub(crate) struct Receiver {
    pub(crate) address: String,
    taken: watch::Receiver<Taken>,
}

struct Shared {
    echo: String,
    taken: Mutex<watch::Sender<Taken>>,
}

impl Receiver {
    /// One whose refusals say this.
    pub(crate) async fn start(echo: String) -> Self {
        let (sender, taken) = watch::channel(Taken::default());
        let shared = Arc::new(Shared { echo, taken: Mutex::new(sender) });
        let router = Router::new().fallback(take).with_state(shared);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, taken }
    }

    /// Waits until this is so.
    ///
    /// # Panics
    /// If it does not come about in time.
    pub(crate) async fn until(&self, what: &str, is_so: impl Fn(&Taken) -> bool) -> Taken {
        let mut taken = self.taken.clone();
        let found = tokio::time::timeout(PATIENCE, taken.wait_for(is_so)).await;
        found.unwrap_or_else(|_| panic!("{what} does not come")).expect("the receiver runs").clone()
    }
}

async fn take(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY_BYTES).await else { return StatusCode::BAD_REQUEST.into_response() };
    let is_ill = head.uri.path() == "/ill";
    let event: Value = serde_json::from_slice(&body).unwrap_or_default();
    let call = event["data"]["call_sid"].as_str().unwrap_or_default().to_owned();
    let kind = event["type"].as_str().unwrap_or_default().to_owned();
    shared.taken.lock().unwrap().send_modify(|taken| {
        writeln!(taken.heads, "{} {} {:?}", head.method, head.uri, head.headers).expect("a string takes everything");
        taken.bodies.extend_from_slice(&body);
        taken.bodies.push(b'\n');
        if is_ill {
            taken.refused += 1;
            return;
        }
        match kind.as_str() {
            "call.completed" => drop(taken.completed.insert(call)),
            "transcript.final" => taken.finals.push(call),
            "call.dtmf" => taken.keys.push((call, event["data"]["digit"].as_str().unwrap_or("*").to_owned())),
            _ => {}
        }
        taken.types.insert(kind);
    });
    if is_ill {
        (
            StatusCode::INTERNAL_SERVER_ERROR,
            [("x-echo", shared.echo.clone()), ("retry-after", shared.echo.clone())],
            shared.echo.clone(),
        )
            .into_response()
    } else {
        StatusCode::NO_CONTENT.into_response()
    }
}
