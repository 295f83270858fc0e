//! The built-in engine behind the bridge, with threads that hear what these tests want; what the real models hear is `tests/recognition`'s.

use std::{sync::mpsc, time::Duration};

use pulse_bridge::engine::{Outcome, Recognise, RecognisedWord, driver::Pool};
use serde_json::{Value, json};

use crate::{
    http,
    stage::{Plan, Stage, of_type, text_of},
};

/// Words without a number or a name in them, so that none is redacted.
const WORDS: [&str; 7] = ["hello", "there", "please", "wait", "while", "we", "look"];
/// What a slow thread takes for each piece of speech.
const SLOWLY: Duration = Duration::from_millis(900);

/// Samples by which a piece is told from another: a quarter of a second.
const BEGINNING: usize = 4_000;

/// Hears a word for each half second; the same piece is always the same words.
struct Teller {
    takes: Duration,
    /// One tick for each piece, where that is waited for.
    done: Option<mpsc::Sender<()>>,
}

impl Recognise for Teller {
    fn recognise(&mut self, samples: &[f32], _: &dyn Fn() -> bool) -> Outcome {
        #[expect(clippy::disallowed_methods, reason = "what is tested is an engine that takes its time")]
        std::thread::sleep(self.takes);
        if let Some(done) = &self.done {
            let _ = done.send(());
        }
        // The same for an interim and its final, which begin together.
        let loud = samples.iter().take(BEGINNING).filter(|sample| sample.abs() > 0.02).count();
        let word = |at: usize| RecognisedWord { text: WORDS[(at + loud) % WORDS.len()].to_owned(), confidence: 0.9 };
        Outcome::Recognised((0..(samples.len() / 8_000).max(1)).map(word).collect())
    }
}

fn engine(takes: Duration, done: Option<mpsc::Sender<()>>) -> Pool {
    Pool::start(vec![Box::new(Teller { takes, done })])
}

/// A thread that takes no time.
pub(crate) fn quick() -> Box<dyn Recognise + Send> {
    Box::new(Teller { takes: Duration::ZERO, done: None })
}

/// A bridge with an engine of these threads.
pub(crate) fn plan(engine: Pool) -> Plan {
    let local = ("PULSE_BRIDGE_UPSTREAM_URL", "local".to_owned());
    let impatient = ("PULSE_BRIDGE_UPSTREAM_CLOSE_DEADLINE", "3 s".to_owned());
    Plan { engine: Some(engine), settings: vec![local, impatient], without: vec!["SMALLEST_API_KEY"], ..Plan::default() }
}

/// The text of both sides.
fn texts(events: &[Value]) -> [String; 2] {
    ["inbound", "outbound"].map(|track| text_of(events, track))
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_calls_are_transcribed_here_and_say_so() {
    let mut stage = Stage::with(plan(engine(Duration::ZERO, None))).await;
    let played = stage.call("pay-by-card").await;
    let events = stage.events_of(&played.call_sid).await;
    assert_eq!(events[0]["data"]["speech"], "built-in");
    let completed = &events.last().unwrap()["data"];
    assert_eq!((&completed["complete"], &completed["tracks"][0]["gaps"]), (&true.into(), &json!([])));
    assert!(texts(&events).iter().all(|text| text.split(' ').count() > 10), "{:?}", texts(&events));
    let ready = http::get(&stage, "/readyz").await.json();
    assert_eq!(ready["speech"]["engine"], "built-in");
    let metrics = http::get(&stage, "/metrics").await;
    for line in ["pulse_bridge_engine_lag_seconds ", "pulse_bridge_engine_interims_shed_total "] {
        assert!(metrics.text().contains(line), "{line} is not in {}", metrics.text());
    }
    assert!(stage.heard.connections().is_empty(), "no other service hears anything");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_slower_than_the_call_loses_no_word_and_its_last_ones_are_waited_for() {
    let mut quick = Stage::with(plan(engine(Duration::ZERO, None))).await;
    let played = quick.call("pay-by-card").await;
    let expected = texts(&quick.events_of(&played.call_sid).await);
    quick.end().await;

    let (done, pieces) = mpsc::channel();
    let mut stage = Stage::with(plan(engine(SLOWLY, Some(done)))).await;
    let played = stage.call("pay-by-card").await;
    let events = stage.events_of(&played.call_sid).await;
    let completed = &events.last().unwrap()["data"];
    assert_eq!(completed["complete"], true, "{completed:#}");
    assert!(of_type(&events, "transcript.gap").is_empty());
    assert_eq!(texts(&events), expected);
    assert_eq!(completed["tracks"][0]["reconnects"], 0, "an engine that works is not taken for dead");
    assert!(pieces.try_iter().count() >= 8);
    let latest = of_type(&events, "transcript.final").iter().filter_map(|data| data["latency"]["upstream_ms"].as_u64()).max();
    assert!(
        latest > Some(5_000),
        "the engine was behind by {latest:?} ms, more than the last words are waited for without a sign of life"
    );
    stage.end().await;
}
