//! The real binary is told to stop: by one signal it ends its calls and leaves nothing undone, by a second one it leaves at once and loses
//! nothing, because the next start goes on from what is stored.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    process::{Command, Stdio},
};

use hyper::Method;
use pulse_bridge::{
    emulate::{Fault, Faults},
    receive::Spec,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::{io::AsyncReadExt, net::TcpStream};

use crate::{
    http,
    phone::{Phone, assert_whole, frames, plain, recording, spoken},
    restart::{Binary, note},
    stage::{PATIENCE, Plan, Stage, assert_unbroken, of_type, text_of, until},
};

/// A bridge of its own, and what its receiver has taken.
struct Scene {
    stage: Stage,
    settings: Vec<(String, String)>,
    binary: Binary,
    events: BTreeMap<u64, Value>,
    bodies: BTreeMap<String, Vec<u8>>,
}

impl Scene {
    async fn new(mut plan: Plan) -> Self {
        plan.settings.push(("PULSE_BRIDGE_INGEST_TOKENS", "let-me-in".to_owned()));
        let stage = Stage::with(plan).await;
        let settings = stage.settings_for_a_binary();
        let binary = Binary::start(&settings).await;
        Self { stage, settings, binary, events: BTreeMap::new(), bodies: BTreeMap::new() }
    }

    fn address(&self) -> SocketAddr {
        self.binary.address.parse().unwrap()
    }

    /// A caller who has said this part of the recording, and whose call the receiver has heard of.
    async fn caller(&mut self, call: &str, said: std::ops::Range<usize>) -> Phone {
        let mut phone = Phone::dial_at(self.address(), call, "/media/twilio").await.unwrap();
        phone.start().await;
        phone.speak(&recording("mid-word"), said).await;
        self.take_until(|events| !events.is_empty()).await;
        phone
    }

    /// Takes deliveries until this is so of the events that were accepted.
    async fn take_until(&mut self, is_so: impl Fn(&BTreeMap<u64, Value>) -> bool) {
        while !is_so(&self.events) {
            let delivery = self.stage.next_delivery().await;
            if delivery.order.is_some() {
                note(&delivery, &mut self.events, &mut self.bodies);
            }
        }
    }

    /// Starts the bridge again, and gives all events of its one call.
    async fn after_a_restart(mut self) -> Vec<Value> {
        let again = Binary::start(&self.settings).await;
        self.take_until(is_complete).await;
        drop(again);
        self.end().await
    }

    /// Stops everything; `call.completed` was the last event, and the only one of its kind.
    async fn end(self) -> Vec<Value> {
        let Self { stage, events, .. } = self;
        assert_eq!(stage.end_with_events().await.len(), 0, "nothing came behind call.completed");
        let events: Vec<Value> = events.into_values().collect();
        assert_unbroken(&events);
        assert_eq!(of_type(&events, "call.completed").len(), 1);
        events
    }
}

fn is_complete(events: &BTreeMap<u64, Value>) -> bool {
    events.values().any(|event| event["type"] == "call.completed")
}

fn ends_with(events: &[Value], reason: &str, complete: bool) {
    let completed = &events.last().unwrap()["data"];
    assert_eq!((&completed["end_reason"], &completed["complete"]), (&reason.into(), &complete.into()), "{completed:#}");
}

/// Every word that was said is there once.
fn assert_all_words(events: &[Value]) {
    assert_eq!(plain(&text_of(events, "inbound")), plain(&spoken("mid-word")));
}

fn last_frame() -> usize {
    frames(&recording("mid-word"))
}

/// The bridge refuses new calls, and says so.
async fn refuses(address: SocketAddr) {
    let ready = || async move { http::ask_url(&format!("http://{address}/readyz"), Method::GET, &[], "").await };
    let draining = async {
        loop {
            let answer = ready().await;
            if answer.status == 503 {
                break answer.json();
            }
        }
    };
    let answer = tokio::time::timeout(PATIENCE, draining).await.expect("it says that it takes no calls");
    assert_eq!(answer["calls"]["reason"], "the bridge is stopping and takes no new calls", "{answer:#}");
    let refused = Phone::dial_at(address, "CAlate", "/media/twilio").await;
    assert_eq!(refused.err(), Some(503));
    let token = [("authorization", "Bearer let-me-in")];
    let refused = http::ask_url(&format!("http://{address}/media/twilio"), Method::GET, &token, "").await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "10"), "{}", refused.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_on_the_line_goes_on_to_its_own_end_while_new_ones_are_refused() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut scene = Scene::new(Plan::default()).await;
        let mut phone = scene.caller("CAdrained", 0..100).await;
        scene.binary.signal(signal);
        refuses(scene.address()).await;
        phone.speak(&recording("mid-word"), 100..last_frame()).await;
        phone.end().await;
        scene.take_until(is_complete).await;
        assert_eq!(scene.binary.ended().await, 0, "{signal:?}");
        assert_whole(&scene.end().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_goes_on_past_the_deadline_is_closed_and_keeps_every_word() {
    let settings = vec![("PULSE_BRIDGE_DRAIN_DEADLINE", "1 s".to_owned())];
    let mut scene = Scene::new(Plan { settings, ..Plan::default() }).await;
    let phone = scene.caller("CAclosed", 0..last_frame()).await;
    scene.binary.signal(Signal::TERM);
    assert_eq!(phone.closed().await.0, 1001);
    scene.take_until(is_complete).await;
    assert_eq!(scene.binary.ended().await, 0);
    let events = scene.end().await;
    ends_with(&events, "shutdown", true);
    assert_all_words(&events);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_while_calls_may_still_end_leaves_them_to_the_next_start() {
    let mut scene = Scene::new(Plan::default()).await;
    let _phone = scene.caller("CAsecond", 0..last_frame()).await;
    let heard = |scene: &Scene| scene.stage.heard_of("CAsecond").iter().map(|log| log.bytes).sum::<u64>();
    until(|| heard(&scene) >= 11_500 * 8).await;
    scene.binary.signal(Signal::TERM);
    refuses(scene.address()).await;
    scene.binary.signal(Signal::TERM);
    assert_eq!(scene.binary.ended().await, 1);
    let events = scene.after_a_restart().await;
    ends_with(&events, "crash", false);
    assert_all_words(&events);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_while_the_last_words_are_awaited_leaves_them_to_the_next_start() {
    // The first connection of the track says nothing from its middle on.
    let faults = Faults::default().and_on_attempts(&[0], Fault::Stall { after_bytes: 40_000 });
    let settings = vec![("PULSE_BRIDGE_DRAIN_DEADLINE", "1 s".to_owned())];
    let mut scene = Scene::new(Plan { faults, settings, ..Plan::default() }).await;
    let phone = scene.caller("CAlastwords", 0..last_frame()).await;
    scene.binary.signal(Signal::INT);
    assert_eq!(phone.closed().await.0, 1001);
    scene.binary.signal(Signal::INT);
    assert_eq!(scene.binary.ended().await, 1);
    let events = scene.after_a_restart().await;
    assert_all_words(&events);
    let completed = &events.last().unwrap()["data"];
    // Whether the stream's end was stored before the second signal is a matter of milliseconds.
    assert!(completed["end_reason"] == "shutdown" || completed["end_reason"] == "crash", "{completed:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_a_shutdown_left_unheard_is_whole_after_the_next_start() {
    // The service lets nobody in until the bridge has left.
    let faults = Faults::default().and_on_attempts(&[0, 1, 2, 3, 4, 5], Fault::Refuse { status: 503, retry_after: None });
    let settings = vec![("PULSE_BRIDGE_DRAIN_DEADLINE", "1 s".to_owned()), ("PULSE_BRIDGE_UPSTREAM_CATCH_UP", "60 s".to_owned())];
    let mut scene = Scene::new(Plan { faults, settings, ..Plan::default() }).await;
    let phone = scene.caller("CAunheard", 0..last_frame()).await;
    scene.binary.signal(Signal::TERM);
    assert_eq!(phone.closed().await.0, 1001);
    assert_eq!(scene.binary.ended().await, 0);
    let events = scene.after_a_restart().await;
    ends_with(&events, "shutdown", true);
    assert_all_words(&events);
    assert!(of_type(&events, "transcript.final").iter().all(|data| data["recovered"] == true), "{events:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_while_the_outbox_is_flushed_loses_no_delivery() {
    let fail = std::iter::once("delay_ms=14000,type=call.completed,count=1".parse::<Spec>().unwrap()).collect();
    let mut scene = Scene::new(Plan { fail, ..Plan::default() }).await;
    let mut phone = scene.caller("CAflushed", 0..last_frame()).await;
    phone.stop().await;
    scene.take_until(|events| events.values().any(|event| event["type"] == "transcript.final")).await;
    scene.binary.signal(Signal::TERM);
    // It lets go of its connections when its calls have ended, and flushes then.
    let mut idle = TcpStream::connect(scene.address()).await.unwrap();
    let mut said = [0; 1];
    assert_eq!(tokio::time::timeout(PATIENCE, idle.read(&mut said)).await.expect("it comes to its end").unwrap_or(0), 0);
    scene.binary.signal(Signal::TERM);
    assert_eq!(scene.binary.ended().await, 1);
    assert_whole(&scene.after_a_restart().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_signals_end_a_start_that_takes_its_time() {
    let mut scene = Scene::new(Plan::default()).await;
    scene.binary.kill();
    let data_dir = scene.settings.iter().find(|(name, _)| name == "PULSE_BRIDGE_DATA_DIR").unwrap().1.clone();
    // Who wants to write waits for this for 5 s.
    let other = rusqlite::Connection::open(format!("{data_dir}/bridge.sqlite")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pulse-bridge"));
    let command = command.arg("serve").env_clear().envs(scene.settings.iter().cloned());
    let mut starting = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let status = format!("/proc/{}/status", starting.id());
    let hears_signals = || {
        let told = std::fs::read_to_string(&status).unwrap();
        let caught = told.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap().trim();
        u64::from_str_radix(caught, 16).unwrap() & (1 << (Signal::TERM.as_raw() - 1)) != 0
    };
    until(hears_signals).await;
    until(|| {
        let _ = kill_process(Pid::from_child(&starting), Signal::TERM);
        starting.try_wait().unwrap().is_some()
    })
    .await;
    let ended = starting.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(said.contains("stopped at once by a second signal"), "{said}");
}
