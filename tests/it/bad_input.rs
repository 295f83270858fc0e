//! What a peer may do wrong: it is ignored and counted, or closed with a code and a reason, and the call beside it loses nothing.

use pulse_bridge::emulate::ConnectionLog;
use tokio_tungstenite::tungstenite::Message;

use crate::{
    http,
    phone::{FRAME, Phone, assert_no_panic, assert_whole, frames, good_call, recording, until_completed, watch_panics},
    stage::{Stage, of_type},
};

/// Text frames that mean nothing, before and within a stream.
const NONSENSE: [&str; 16] = [
    "",
    "{",
    "null",
    "[]",
    "\"media\"",
    r#"{"event":7}"#,
    r#"{"event":"media"}"#,
    r#"{"event":"media","media":[]}"#,
    r#"{"event":"media","media":{"payload":7}}"#,
    r#"{"event":"media","media":{"payload":"***"}}"#,
    r#"{"event":"media","media":{"track":"sideways","payload":"//8="}}"#,
    r#"{"event":"media","media":{"timestamp":{},"payload":"//8="}}"#,
    r#"{"event":"start"}"#,
    r#"{"event":"start","start":{"callSid":"","streamSid":"MZ"}}"#,
    r#"{"event":"dtmf","dtmf":{"digit":"77"}}"#,
    r#"{"event":"weather","weather":{"rain":true}}"#,
];

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_between_good_messages_costs_nothing_on_either_call() {
    let mut stage = watched().await;
    let audio = recording("mid-word");
    let bad = async {
        let mut phone = Phone::dial(&stage, "CAbad").await;
        for text in NONSENSE {
            phone.say(text).await;
        }
        phone.send(Message::binary(vec![0; 999])).await;
        phone.start().await;
        for number in 0..frames(&audio) {
            phone.speak(&audio, number..number + 1).await;
            phone.say(NONSENSE[number % NONSENSE.len()]).await;
            phone.send(Message::binary(vec![7; number])).await;
            phone.send(Message::Ping(vec![1; 100].into())).await;
        }
        phone.end().await;
    };
    tokio::join!(bad, good_call(&stage, "CAgood"));
    let events = until_completed(&mut stage, &["CAbad", "CAgood"]).await;
    assert_whole(&events["CAgood"]);
    assert_whole(&events["CAbad"]);
    let metrics = http::get(&stage, "/metrics").await;
    let count = |reason: &str| {
        let series = format!("pulse_bridge_messages_ignored_total{{reason=\"{reason}\"}} ");
        metrics.text().lines().find_map(|line| line.strip_prefix(&series)).map(|count| count.parse::<usize>().unwrap())
    };
    let said = |is_meant: fn(&str) -> bool| {
        let within = (0..frames(&audio)).map(|number| NONSENSE[number % NONSENSE.len()]);
        NONSENSE.into_iter().chain(within).filter(|text| is_meant(text)).count()
    };
    assert_eq!(count("binary"), Some(1 + frames(&audio)));
    assert_eq!(count("unknown_event"), Some(said(|text| text.contains("weather"))));
    assert_eq!(count("malformed"), Some(said(|text| !text.contains("weather"))));
    assert_eq!((count("repeated_start"), count("after_end")), (None, None), "what did not happen is not counted");
    end(stage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_never_makes_sense_is_closed_and_makes_no_call() {
    let mut stage = watched().await;
    let bad = async {
        let mut phone = Phone::dial(&stage, "CAbad").await;
        for number in 0..200 {
            phone.say(NONSENSE[number % 15]).await;
        }
        let (code, why) = phone.closed().await;
        assert_eq!((code, why.is_empty()), (1007, false));
    };
    tokio::join!(bad, good_call(&stage, "CAgood"));
    let events = until_completed(&mut stage, &["CAgood"]).await;
    assert_whole(&events["CAgood"]);
    assert_eq!(events.keys().collect::<Vec<_>>(), ["CAgood"]);
    end(stage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_may_be_text_and_text_numbers() {
    let mut stage = watched().await;
    let audio = recording("mid-word");
    let mut phone = Phone::dial(&stage, "7001").await.named("9001");
    phone.say(r#"{"event":"connected","protocol":"Call","version":1}"#).await;
    phone
        .say(r#"{"event":"start","sequenceNumber":1,"streamSid":9001,"start":{"accountSid":3,"callSid":7001,"streamSid":9001,"tracks":["inbound"],"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":"8000","channels":"1"},"customParameters":{"tenant":7}}}"#)
        .await;
    for number in 0..frames(&audio) {
        let at = number * FRAME..((number + 1) * FRAME).min(audio.len());
        let text = phone.media("inbound", number as u64 * 20, &audio[at]);
        let timestamp = format!("\"timestamp\":\"{}\"", number * 20);
        phone.say(text.replace(&timestamp, &timestamp.replace('"', "").replace("timestamp", "\"timestamp\""))).await;
    }
    phone.end().await;
    let events = until_completed(&mut stage, &["7001"]).await;
    assert_whole(&events["7001"]);
    assert_eq!(events["7001"][0]["data"]["custom_parameters"]["tenant"], "7");
    end(stage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn audio_before_the_start_is_kept_for_it() {
    let mut stage = watched().await;
    let audio = recording("mid-word");
    let mut phone = Phone::dial(&stage, "CAearly").await;
    phone.speak(&audio, 0..40).await;
    phone.start().await;
    phone.speak(&audio, 40..frames(&audio)).await;
    phone.end().await;
    let events = until_completed(&mut stage, &["CAearly"]).await;
    assert_whole(&events["CAearly"]);
    assert_eq!(heard(&stage, "CAearly").bytes, audio.len() as u64);
    end(stage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_said_twice_is_ignored_and_one_of_another_stream_closes() {
    let mut stage = watched().await;
    let audio = recording("mid-word");
    let same = async {
        let mut phone = Phone::dial(&stage, "CAsame").await;
        phone.start().await;
        phone.speak(&audio, 0..100).await;
        phone.start().await;
        phone.speak(&audio, 100..frames(&audio)).await;
        phone.end().await;
    };
    let other = async {
        let mut phone = Phone::dial(&stage, "CAother").await;
        phone.start().await;
        phone.speak(&audio, 0..10).await;
        let mut phone = phone.named("MZ-another");
        phone.start().await;
        let (code, why) = phone.closed().await;
        assert_eq!((code, why.is_empty()), (1008, false));
    };
    tokio::join!(same, other);
    let events = until_completed(&mut stage, &["CAsame", "CAother"]).await;
    assert_whole(&events["CAsame"]);
    assert_eq!(of_type(&events["CAsame"], "call.started").len(), 1);
    assert_eq!(of_type(&events["CAother"], "call.completed")[0]["end_reason"], "disconnect");
    end(stage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_over_64_kib_closes_its_own_call_only() {
    let mut stage = watched().await;
    let bad = async {
        let mut phone = Phone::dial(&stage, "CAlong").await;
        phone.start().await;
        phone.say(format!(r#"{{"event":"mark","pad":"{}"}}"#, "x".repeat(70_000))).await;
        assert_eq!(phone.closed().await.0, 1009);
        let mut phone = Phone::dial(&stage, "CAlong2").await;
        phone.send(Message::binary(vec![0; 70_000])).await;
        assert_eq!(phone.closed().await.0, 1009);
    };
    tokio::join!(bad, good_call(&stage, "CAgood"));
    let events = until_completed(&mut stage, &["CAgood", "CAlong"]).await;
    assert_whole(&events["CAgood"]);
    end(stage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_never_starts_is_closed_after_ten_seconds() {
    let mut stage = watched().await;
    let bad = async {
        let phone = Phone::dial(&stage, "CAmute").await;
        let (code, why) = phone.closed().await;
        assert_eq!((code, why.as_str()), (1008, "no start message came in time"));
    };
    tokio::join!(bad, good_call(&stage, "CAgood"));
    let events = until_completed(&mut stage, &["CAgood"]).await;
    assert_whole(&events["CAgood"]);
    assert!(!events.contains_key("CAmute"));
    end(stage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_stops_reading_still_gets_its_whole_transcript() {
    let mut stage = watched().await;
    let audio = recording("mid-word");
    let mut phone = Phone::dial(&stage, "CAdeaf").await;
    phone.start().await;
    phone.speak(&audio, 0..frames(&audio)).await;
    phone.stop().await;
    // It never reads the close, and never closes: the bridge must not wait for it.
    good_call(&stage, "CAgood").await;
    let events = until_completed(&mut stage, &["CAdeaf", "CAgood"]).await;
    assert_whole(&events["CAgood"]);
    assert_whole(&events["CAdeaf"]);
    end(stage).await;
    phone.vanish();
}

#[tokio::test(flavor = "multi_thread")]
async fn doubled_and_reordered_frames_are_put_right_and_a_gap_is_silence_upstream() {
    let mut stage = watched().await;
    let audio = recording("mid-word");
    let mixed = async {
        let mut phone = Phone::dial(&stage, "CAmixed").await;
        phone.start().await;
        let mut texts: Vec<String> = (0..frames(&audio))
            .map(|number| {
                phone.media("inbound", number as u64 * 20, &audio[number * FRAME..((number + 1) * FRAME).min(audio.len())])
            })
            .collect();
        for at in (10..texts.len() - 3).step_by(25) {
            texts.swap(at, at + 2);
        }
        for (number, text) in texts.iter().enumerate() {
            phone.say(text).await;
            if number % 10 == 3 {
                phone.say(text).await;
            }
        }
        phone.end().await;
    };
    let gap = async {
        let mut phone = Phone::dial(&stage, "CAgap").await;
        phone.start().await;
        phone.speak(&audio, 0..50).await;
        phone.speak(&audio, 60..70).await;
        phone.end().await;
    };
    tokio::join!(mixed, gap);
    let events = until_completed(&mut stage, &["CAmixed", "CAgap"]).await;
    assert_whole(&events["CAmixed"]);
    let mixed = heard(&stage, "CAmixed");
    assert_eq!((mixed.bytes, mixed.sha256), (audio.len() as u64, sha256(&audio)), "in order, and each once");

    let mut with_silence = audio[..70 * FRAME].to_vec();
    with_silence[50 * FRAME..60 * FRAME].fill(0xFF);
    assert_eq!(heard(&stage, "CAgap").sha256, sha256(&with_silence));
    let track = &of_type(&events["CAgap"], "call.completed")[0]["tracks"][0];
    assert_eq!((&track["filled_ms"], &track["received_ms"]), (&200.into(), &1200.into()));
    end(stage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn absurd_timestamps_cost_no_later_audio_and_no_hours_of_silence() {
    let mut stage = watched().await;
    let audio = recording("mid-word");
    let mut phone = Phone::dial(&stage, "CAabsurd").await;
    phone.start().await;
    for number in 0..frames(&audio) {
        let at_ms = if number % 50 == 30 { u64::MAX } else { number as u64 * 20 };
        let text = phone.media("inbound", at_ms, &audio[number * FRAME..((number + 1) * FRAME).min(audio.len())]);
        phone.say(text).await;
    }
    phone.end().await;
    let events = until_completed(&mut stage, &["CAabsurd"]).await;
    assert_whole(&events["CAabsurd"]);
    assert_eq!(heard(&stage, "CAabsurd").sha256, sha256(&audio));
    end(stage).await;
}

async fn watched() -> Stage {
    watch_panics();
    Stage::new().await
}

async fn end(stage: Stage) {
    stage.end().await;
    assert_no_panic();
}

fn heard(stage: &Stage, call: &str) -> ConnectionLog {
    let mut heard = stage.heard_of(call);
    assert_eq!(heard.len(), 1, "one connection");
    heard.remove(0)
}

fn sha256(audio: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    pulse_bridge::hex::hex(&Sha256::digest(audio))
}
