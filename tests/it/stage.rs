//! A bridge with everything around it, and what a test asks of it.

use std::{collections::BTreeMap, path::PathBuf, sync::LazyLock, time::Duration};

use jsonschema::Validator;
use pulse_bridge::{
    demo::settings_for,
    emulate::{ConnectionLog, Faults, HeardLog},
    engine::driver::Pool,
    event,
    fixture::Fixture,
    receive::{self, Received, Signature},
    replay::{self, Ids, Pace, Played, Progress, Recording},
    serve::{self, Running},
};
use secrecy::SecretString;
use serde_json::Value;
use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::speech::Speech;

/// The account token of every stage.
pub(crate) const AUTH_TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// The signing secret of every stage.
pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// Longest wait for anything; far above every deadline of the bridge.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Makes a settings file from the receiver's address.
pub(crate) type EndpointsFile = Box<dyn Fn(&str) -> String + Send>;

/// How a stage differs from the usual one.
#[derive(Default)]
pub(crate) struct Plan {
    /// How the speech service misbehaves.
    pub faults: Faults,
    /// How the receiver fails.
    pub fail: receive::Fail,
    /// Settings beside or in place of the usual ones, by their environment names.
    pub settings: Vec<(&'static str, String)>,
    /// Settings of the usual set that are left out.
    pub without: Vec<&'static str>,
    /// A built-in engine that runs, for settings that ask for one.
    pub engine: Option<Pool>,
    /// A settings file with endpoints in place of the usual one, made from the receiver's address.
    pub endpoints: Option<EndpointsFile>,
}

/// A running bridge, speech service and receiver.
pub(crate) struct Stage {
    pub bridge: Running,
    pub speech: Speech,
    pub heard: HeardLog,
    pub data_dir: PathBuf,
    settings: Vec<(String, String)>,
    deliveries: mpsc::Receiver<Received>,
    others: CancellationToken,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::with(Plan::default()).await
    }

    pub(crate) async fn with(plan: Plan) -> Self {
        let others = CancellationToken::new();
        let (receiver, bridge) = (free_port().await, free_port().await);
        let speech = Speech::start(plan.faults).await;
        let speech_url = format!("ws://{}/waves/v1/stt/live", speech.address);
        let receiver_url = format!("http://{}/hook", receiver.local_addr().unwrap());
        let heard = speech.heard.clone();
        let (sender, deliveries) = mpsc::channel(4096);
        let settings = receive::Settings { secrets: vec![SecretString::from(SECRET)], fail: plan.fail };
        tokio::spawn(receive::serve(receiver, settings, sender, others.clone()));

        let data_dir = std::env::temp_dir().join(format!("pulse-bridge-it-{}", pulse_bridge::clock::ulid()));
        let mut settings: BTreeMap<&str, String> = BTreeMap::from([
            ("PULSE_BRIDGE_DATA_DIR", data_dir.display().to_string()),
            ("PULSE_BRIDGE_UPSTREAM_URL", speech_url),
            ("PULSE_BRIDGE_UPSTREAM_REPLAY_SPEED", "8".to_owned()),
            ("PULSE_BRIDGE_UPSTREAM_CATCH_UP", "10 s".to_owned()),
            ("PULSE_BRIDGE_UPSTREAM_BATCH_DEADLINE", "10 s".to_owned()),
            ("PULSE_BRIDGE_DISK_RESERVE", "256 KiB".to_owned()),
            ("SMALLEST_API_KEY", "sk_test".to_owned()),
            ("PULSE_BRIDGE_WEBHOOK_URL", receiver_url),
            ("PULSE_BRIDGE_WEBHOOK_SECRET", SECRET.to_owned()),
            ("TWILIO_AUTH_TOKEN", AUTH_TOKEN.to_owned()),
        ]);
        settings.extend(plan.settings);
        let file = plan.endpoints.as_ref().map(|endpoints| endpoints(&settings["PULSE_BRIDGE_WEBHOOK_URL"]));
        if file.is_some() {
            settings.retain(|name, _| !name.starts_with("PULSE_BRIDGE_WEBHOOK"));
        }
        plan.without.iter().for_each(|name| drop(settings.remove(name)));
        let settings: Vec<(String, String)> = settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let pairs: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let config = settings_for(file.as_deref(), &pairs).unwrap();
        let bridge = serve::start_with(bridge, config, plan.engine).await.unwrap();
        Self { bridge, speech, heard, data_dir, settings, deliveries, others }
    }

    /// The settings of this stage for a bridge of its own: another data folder, any free port.
    pub(crate) fn settings_for_a_binary(&self) -> Vec<(String, String)> {
        let mut settings = self.settings.clone();
        settings.retain(|(name, _)| name != "PULSE_BRIDGE_DATA_DIR");
        let data_dir = self.data_dir.join("binary").display().to_string();
        settings.push(("PULSE_BRIDGE_DATA_DIR".to_owned(), data_dir));
        settings.push(("PULSE_BRIDGE_LISTEN".to_owned(), "127.0.0.1:0".to_owned()));
        settings
    }

    /// A second bridge of the same settings on another data folder.
    pub(crate) async fn another(&self, data_dir: &std::path::Path) -> Running {
        self.try_another(data_dir).await.unwrap()
    }

    /// The same where it may be refused.
    pub(crate) async fn try_another(&self, data_dir: &std::path::Path) -> anyhow::Result<Running> {
        let data_dir = data_dir.display().to_string();
        let pairs = self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let pairs: Vec<(&str, &str)> = pairs
            .filter(|(name, _)| *name != "PULSE_BRIDGE_DATA_DIR")
            .chain([("PULSE_BRIDGE_DATA_DIR", data_dir.as_str())])
            .collect();
        serve::start(free_port().await, settings_for(None, &pairs).unwrap()).await
    }

    /// The bridge's address with this path.
    pub(crate) fn http(&self, path: &str) -> String {
        format!("http://{}{path}", self.bridge.address)
    }

    /// The media route.
    pub(crate) fn media(&self) -> Url {
        Url::parse(&format!("ws://{}/media/twilio", self.bridge.address)).unwrap()
    }

    /// A phone that signs, as fast as the bridge takes it.
    pub(crate) fn phone(&self) -> replay::Settings {
        let sign_with = Some(SecretString::from(AUTH_TOKEN));
        replay::Settings { pace: Pace::Max, sign_with, ..replay::Settings::new(self.media()) }
    }

    /// Plays a fixture as the usual phone does.
    pub(crate) async fn call(&self, fixture: &str) -> Played {
        self.call_as(fixture, &self.phone()).await
    }

    /// Plays a fixture.
    pub(crate) async fn call_as(&self, fixture: &str, phone: &replay::Settings) -> Played {
        replay::play(&Recording::of_fixture(load(fixture)), phone, &Progress::default()).await
    }

    /// Every event up to and with this call's `call.completed`, each delivery checked as [`accepted`] does.
    pub(crate) async fn events_of(&mut self, call_sid: &str) -> Vec<Value> {
        let mut events: Vec<Value> = Vec::new();
        loop {
            let event = self.next_event().await;
            if event["data"]["call_sid"] != call_sid {
                continue;
            }
            let is_last = event["type"] == "call.completed";
            events.push(event);
            if is_last {
                assert_unbroken(&events);
                return events;
            }
        }
    }

    /// The events that are still to come, up to and with the next `call.completed`.
    pub(crate) async fn rest_of_events(&mut self) -> Vec<Value> {
        let mut events = Vec::new();
        while events.last().is_none_or(|event: &Value| event["type"] != "call.completed") {
            events.push(self.next_event().await);
        }
        events
    }

    /// The events of so many calls at once, by call, each up to and with its `call.completed`.
    pub(crate) async fn events_of_all(&mut self, calls: usize) -> BTreeMap<String, Vec<Value>> {
        let (mut events, mut completed) = (BTreeMap::<String, Vec<Value>>::new(), 0);
        while completed < calls {
            let event = self.next_event().await;
            completed += usize::from(event["type"] == "call.completed");
            events.entry(event["data"]["call_sid"].as_str().expect("a call has a name").to_owned()).or_default().push(event);
        }
        events.values().for_each(|events| assert_unbroken(events));
        events
    }

    /// The next event of any call.
    pub(crate) async fn next_event(&mut self) -> Value {
        accepted(&self.next_delivery().await)
    }

    /// The next delivery, good or bad.
    pub(crate) async fn next_delivery(&mut self) -> Received {
        tokio::time::timeout(PATIENCE, self.deliveries.recv())
            .await
            .expect("a delivery comes in time")
            .expect("the receiver runs")
    }

    /// What the speech service heard on the connections of this call.
    pub(crate) fn heard_of(&self, call_sid: &str) -> Vec<ConnectionLog> {
        let is_of = |log: &ConnectionLog| {
            log.query.iter().any(|(name, value)| name == "external_session_id" && value.starts_with(call_sid))
        };
        self.heard.connections().into_iter().filter(is_of).collect()
    }

    /// Stops everything, and takes the data away.
    pub(crate) async fn end(self) {
        self.end_with_events().await;
    }

    /// As [`Stage::end`]; gives the events that came and nobody has asked for.
    pub(crate) async fn end_with_events(mut self) -> Vec<Value> {
        self.bridge.close().await;
        self.speech.stop();
        self.others.cancel();
        let _ = std::fs::remove_dir_all(&self.data_dir);
        let mut events = Vec::new();
        while let Ok(delivery) = self.deliveries.try_recv() {
            events.extend((delivery.status < 300).then(|| accepted(&delivery)));
        }
        events
    }
}

/// A delivery's body, after checking what every delivery must keep: signature, id, schema.
pub(crate) fn accepted(delivery: &Received) -> Value {
    assert_eq!(delivery.signature, Signature::Verified, "{delivery}");
    let event: Value = serde_json::from_slice(&delivery.body).unwrap();
    assert_eq!(event["data"]["event_id"].as_str(), delivery.webhook_id.as_deref());
    assert_fits_its_schema(&event);
    event
}

/// Every event fits the schema served for its type.
pub(crate) fn assert_fits_its_schema(event: &Value) {
    static SCHEMAS: LazyLock<BTreeMap<&str, Validator>> = LazyLock::new(|| {
        let compile = |kind: &&'static str| {
            let schema: Value = serde_json::from_str(event::schema(kind).unwrap()).unwrap();
            (*kind, jsonschema::validator_for(&schema).unwrap())
        };
        event::KINDS.iter().map(compile).collect()
    });
    let kind = event["type"].as_str().expect("an event has a type");
    let schema = SCHEMAS.get(kind).unwrap_or_else(|| panic!("there is no schema for {kind}"));
    if let Err(why) = schema.validate(event) {
        panic!("{kind} does not fit its schema: {why}\n{event:#}");
    }
}

/// `seq` runs from 1 without a gap, the first event is `call.started`, and `last_seq` is the last.
pub(crate) fn assert_unbroken(events: &[Value]) {
    let seqs: Vec<u64> = events.iter().filter_map(|event| event["data"]["seq"].as_u64()).collect();
    assert_eq!(seqs, (1..=events.len() as u64).collect::<Vec<_>>());
    assert_eq!(events[0]["type"], "call.started");
    let last = events.last().unwrap();
    assert_eq!(last["data"]["last_seq"], last["data"]["seq"]);
}

/// A plan of these rules.
pub(crate) fn faults(rules: &str) -> Faults {
    Faults::of_json(&format!(r#"{{"faults":[{rules}]}}"#)).unwrap_or_else(|why| panic!("{rules}: {why}"))
}

/// Waits until this is so; nothing tells of it by itself.
pub(crate) async fn until(mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("it comes about in time");
}

/// Only these events.
pub(crate) fn of_type<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["type"] == kind).map(|event| &event["data"]).collect()
}

/// The text of all finals of one track, in the order of time.
pub(crate) fn text_of(events: &[Value], track: &str) -> String {
    let mut finals: Vec<&Value> = of_type(events, "transcript.final").into_iter().filter(|data| data["track"] == track).collect();
    finals.sort_by_key(|data| data["start_ms"].as_u64());
    finals.iter().filter_map(|data| data["text"].as_str()).collect::<Vec<_>>().join(" ")
}

/// A fixture of the repository; a caller's name is in its truth as a reader of the events sees it.
pub(crate) fn load(name: &str) -> Fixture {
    let mut fixture = Fixture::load(&fixtures_dir().join(name)).unwrap();
    let words = fixture.truth.values_mut().flat_map(|truth| &mut truth.words);
    words.filter(|word| word.text == "Daniel").for_each(|word| "[PERSON_1]".clone_into(&mut word.text));
    fixture
}

/// All fixtures of the repository.
pub(crate) fn all_fixtures() -> Vec<Fixture> {
    let folders = std::fs::read_dir(fixtures_dir()).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = folders.filter(|path| path.join("messages.jsonl").exists()).collect();
    folders.sort();
    folders.iter().map(|path| Fixture::load(path).unwrap()).collect()
}

pub(crate) fn fixtures_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// Ids that a test knows beforehand.
pub(crate) fn ids(call: &str, stream: &str) -> Ids {
    Ids { call_sid: call.to_owned(), stream_sid: stream.to_owned() }
}

async fn free_port() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}
