//! Twilio's messages, as the phone's side writes them (protocols/ingress.md section 3.2).
//!
//! Promises: pure; every counter is a string, `sampleRate` and `channels` are numbers; what a call's ids replace is only ids.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::Ids;
use crate::fixture::{Media, Message, Start};

/// The text frame for a message of a call played under `ids`.
pub(super) fn text_of(message: &Message, account_sid: &str, ids: &Ids, parameters: &BTreeMap<String, String>) -> String {
    match message {
        Message::Connected => r#"{"event":"connected","protocol":"Call","version":"1.0.0"}"#.to_owned(),
        Message::Start(start) => start_text(start, ids, parameters),
        Message::Media(media) => media_text(media, ids),
        Message::Stop { sequence } => {
            let Ids { call_sid, stream_sid } = ids;
            let stop = json!({"accountSid": account_sid, "callSid": call_sid});
            json!({"event": "stop", "sequenceNumber": sequence.to_string(), "streamSid": stream_sid, "stop": stop}).to_string()
        }
        Message::Other(line) => with_ids(line, ids),
    }
}

fn start_text(start: &Start, ids: &Ids, parameters: &BTreeMap<String, String>) -> String {
    let mut all = start.parameters.clone();
    all.extend(parameters.clone());
    json!({
        "event": "start",
        "sequenceNumber": start.sequence.to_string(),
        "start": {
            "accountSid": start.account_sid,
            "streamSid": ids.stream_sid,
            "callSid": ids.call_sid,
            "tracks": start.tracks,
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": all,
        },
        "streamSid": ids.stream_sid,
    })
    .to_string()
}

/// Written by hand, as it is nearly all of a call. Ids have been checked to need no escaping.
fn media_text(media: &Media, ids: &Ids) -> String {
    let Media { sequence, track, chunk, timestamp_ms, audio } = media;
    let payload = BASE64_STANDARD.encode(audio);
    format!(
        r#"{{"event":"media","sequenceNumber":"{sequence}","media":{{"track":"{track}","chunk":"{chunk}","timestamp":"{timestamp_ms}","payload":"{payload}"}},"streamSid":"{}"}}"#,
        ids.stream_sid
    )
}

fn with_ids(line: &str, ids: &Ids) -> String {
    let Ok(Value::Object(mut message)) = serde_json::from_str(line) else { return line.to_owned() };
    if let Some(stream_sid) = message.get_mut("streamSid") {
        *stream_sid = ids.stream_sid.as_str().into();
    }
    Value::Object(message).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Track;

    fn ids() -> Ids {
        Ids { call_sid: "CA1".into(), stream_sid: "MZ1".into() }
    }

    #[test]
    fn media_is_written_as_twilio_writes_it() {
        let media = Media { sequence: 37, track: Track::Inbound, chunk: 18, timestamp_ms: 340, audio: vec![0xFF, 0xFE].into() };
        assert_eq!(
            text_of(&Message::Media(media), "AC1", &ids(), &BTreeMap::new()),
            r#"{"event":"media","sequenceNumber":"37","media":{"track":"inbound","chunk":"18","timestamp":"340","payload":"//4="},"streamSid":"MZ1"}"#
        );
    }

    #[test]
    fn a_start_has_the_call_s_own_ids_and_parameters_by_name() {
        let start = Start {
            sequence: 1,
            account_sid: "AC1".into(),
            call_sid: "CAold".into(),
            stream_sid: "MZold".into(),
            tracks: vec![Track::Inbound],
            parameters: [("tenant".into(), "blue".into()), ("token".into(), "old".into())].into(),
        };
        let text = text_of(&Message::Start(start), "AC1", &ids(), &[("token".into(), "new".into())].into());
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["start"]["customParameters"], json!({"tenant": "blue", "token": "new"}));
        assert_eq!((&value["sequenceNumber"], &value["start"]["mediaFormat"]["sampleRate"]), (&json!("1"), &json!(8000)));
        assert!(!text.contains("old"), "{text}");
    }

    #[test]
    fn other_messages_keep_everything_but_the_stream_s_id() {
        let text = text_of(
            &Message::Other(r#"{"event":"dtmf","streamSid":"MZold","dtmf":{"digit":"7"}}"#.into()),
            "AC1",
            &ids(),
            &BTreeMap::new(),
        );
        assert_eq!(
            serde_json::from_str::<Value>(&text).unwrap(),
            json!({"event": "dtmf", "streamSid": "MZ1", "dtmf": {"digit": "7"}})
        );
    }
}
