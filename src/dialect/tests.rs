use base64::{Engine, engine::general_purpose::STANDARD};
use proptest::{collection::vec, prelude::*, sample::select};

use super::*;

const START: &str = r#"{"event":"start","sequenceNumber":"1","streamSid":"MZ01","start":{"accountSid":"AC01","callSid":"CA01","streamSid":"MZ01","tracks":["inbound","outbound"],"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1},"customParameters":{"token":"b7Qk","tenant":"blue"}}}"#;
const MEDIA: &str = r#"{"event":"media","sequenceNumber":"37","streamSid":"MZ01","media":{"track":"inbound","chunk":"18","timestamp":"340","payload":"//7+/w=="}}"#;

/// Decodes both ways, holds them equal, and gives the answer as text.
fn decoded(text: &str) -> String {
    let (mut quick, mut full) = (Buffer::new(), Buffer::new());
    let answer = Dialect::Twilio.decode(text, &mut quick);
    assert_eq!(answer, twilio::parse(text, &mut full), "{text}");
    format!("{answer:?}")
}

fn started(text: &str) -> Start {
    match Dialect::Twilio.decode(text, &mut Buffer::new()).map(|message| message.incoming) {
        Ok(Incoming::Started(start)) => *start,
        other => panic!("{other:?}"),
    }
}

fn refused(text: &str) -> Malformed {
    decoded(text);
    Dialect::Twilio.decode(text, &mut Buffer::new()).unwrap_err()
}

fn audio(text: &str) -> (Track, Option<u64>, Option<u64>, Vec<u8>) {
    decoded(text);
    let mut buffer = Buffer::new();
    let message = Dialect::Twilio.decode(text, &mut buffer).unwrap();
    let Incoming::Audio(frame) = message.incoming else { panic!("{text}") };
    (frame.track, message.sequence, frame.timestamp_ms, frame.audio.to_vec())
}

#[test]
fn the_documented_messages_are_understood() {
    let said =
        |text: &str| Dialect::Twilio.decode(text, &mut Buffer::new()).map(|message| format!("{:?}", message.incoming)).unwrap();
    assert_eq!(said(r#"{"event":"connected","protocol":"Call","version":"1.0.0"}"#), "Hello");
    assert_eq!(audio(MEDIA), (Track::Inbound, Some(37), Some(340), vec![0xff, 0xfe, 0xfe, 0xff]));
    let dtmf = r#"{"event":"dtmf","sequenceNumber":"90","streamSid":"MZ01","dtmf":{"track":"inbound_track","digit":"7"}}"#;
    assert_eq!(said(dtmf), "Digit { track: Inbound, digit: '7' }");
    assert_eq!(said(r#"{"event":"mark","sequenceNumber":"91","streamSid":"MZ01","mark":{"name":"greeting-end"}}"#), "Mark");
    assert_eq!(
        said(r#"{"event":"stop","sequenceNumber":"512","streamSid":"MZ01","stop":{"accountSid":"AC01","callSid":"CA01"}}"#),
        "Stopped"
    );
    let start = started(START);
    assert_eq!((start.call().as_str(), start.stream_sid.as_str(), start.account_sid.as_deref()), ("CA01", "MZ01", Some("AC01")));
    assert_eq!((start.tracks.as_slice(), start.format), ([Track::Inbound, Track::Outbound].as_slice(), Format::Mulaw8k));
    assert_eq!((start.param("token"), start.param("tenant"), start.param("none")), (Some("b7Qk"), Some("blue"), None));
}

#[test]
fn numbers_as_text_and_text_as_numbers_are_the_same() {
    let turned = MEDIA.replace("\"37\"", "37").replace("\"18\"", "18").replace("\"340\"", "340");
    assert_eq!(audio(&turned), audio(MEDIA));
    assert_eq!(audio(&MEDIA.replace("\"340\"", "340.0")), audio(MEDIA));
    assert_eq!(started(&START.replace("8000", "\"8000\"").replace(":1}", ":\"1\"}")), started(START));
    let numeric =
        started(&START.replace("\"CA01\"", "1001").replace("\"MZ01\"", "7").replace("\"b7Qk\"", "5").replace("\"blue\"", "true"));
    assert_eq!((numeric.call().as_str(), numeric.stream_sid.as_str()), ("1001", "7"));
    assert_eq!((numeric.param("token"), numeric.param("tenant")), (Some("5"), Some("true")));
    assert_eq!(decoded(r#"{"event":"dtmf","dtmf":{"digit":7}}"#), decoded(r#"{"event":"dtmf","dtmf":{"digit":"7"}}"#));
}

#[test]
fn what_clones_leave_out_is_absent() {
    let bare = started(r#"{"event":"start","start":{"callSid":"6a2e-uuid","streamSid":"d4b1-uuid"}}"#);
    assert_eq!((bare.tracks, bare.params, bare.account_sid), (vec![Track::Inbound], vec![], None));
    let outer = started(r#"{"event":"start","streamSid":"MZ1","start":{"callSid":"CA1","customParameters":null,"tracks":[]}}"#);
    assert_eq!((outer.stream_sid.as_str(), outer.tracks), ("MZ1", vec![Track::Inbound]));
    assert_eq!(audio(r#"{"event":"media","media":{"payload":"/w=="}}"#), (Track::Inbound, None, None, vec![0xff]));
    assert_eq!(
        audio(r#"{"event":"media","media":{"track":"outbound_track","payload":"/w==","timestamp":null}}"#).0,
        Track::Outbound
    );
    assert_eq!(
        audio(r#"{"event":"media","sequenceNumber":"","media":{"track":"inbound","timestamp":"-5","payload":""}}"#).2,
        None
    );
}

#[test]
fn tracks_are_read_in_each_spelling_and_only_once() {
    let tracks = |list: &str| started(&START.replace(r#"["inbound","outbound"]"#, list)).tracks;
    let both = [Track::Inbound, Track::Outbound];
    for list in
        [r#""both_tracks""#, r#"["both"]"#, r#"["outbound_track","inbound_track"]"#, r#"["inbound","inbound","outbound"]"#]
    {
        assert_eq!(tracks(list), both, "{list}");
    }
    assert_eq!(tracks(r#"["outbound"]"#), [Track::Outbound]);
    assert_eq!(tracks(r#"["sideways"]"#), [Track::Inbound]);
}

#[test]
fn unknown_events_and_fields_are_ignored() {
    assert!(decoded(r#"{"event":"weather","weather":{"media":[1,2]},"media":5}"#).contains("Ignored"));
    let more = MEDIA.replace("\"media\":{", "\"x\":{\"payload\":\"AAAA\"},\"media\":{\"y\":[{}],");
    assert_eq!(audio(&more), audio(MEDIA));
    assert_eq!(started(&START.replace("\"start\":{", "\"start\":{\"new\":{\"callSid\":\"no\"},")), started(START));
}

#[test]
fn a_payload_may_lack_padding_hold_line_breaks_or_be_empty() {
    let payload = |payload: &str| MEDIA.replace("//7+/w==", payload);
    for same in ["//7+/w", "//7+/w=", r"//7+\r\n/w==", r"\/\/7+\/w==", r"\u002f/7+/w==", " //7+ /w== "] {
        assert_eq!(audio(&payload(same)), audio(MEDIA), "{same}");
    }
    assert_eq!(audio(&payload("")).3, b"");
    assert_eq!(audio(&payload("/x")).3, [0xff]);
    for broken in ["/", "//7+/", "_-7-", "//7=//7=", "=", "é", r"\u0000", "{}"] {
        assert_eq!(refused(&payload(broken)), Malformed::Payload, "{broken}");
    }
}

#[test]
fn ten_seconds_in_one_payload_are_decoded_and_the_buffer_is_small_again_after_it() {
    let long: Vec<u8> = (0..80_000_u32).map(|at| at.to_le_bytes()[0]).collect();
    let mut buffer = Buffer::new();
    let text = MEDIA.replace("//7+/w==", &STANDARD.encode(&long));
    let message = Dialect::Twilio.decode(&text, &mut buffer).unwrap();
    assert!(matches!(message.incoming, Incoming::Audio(frame) if frame.audio == long));
    Dialect::Twilio.decode(MEDIA, &mut buffer).unwrap();
    assert_eq!(buffer.0.len(), Buffer::STEADY_BYTES);
    assert!(buffer.0.capacity() <= 2 * Buffer::STEADY_BYTES);
}

#[test]
fn each_malformed_message_is_named_by_what_is_wrong() {
    for (text, wrong) in [
        ("", Malformed::Json),
        ("null", Malformed::Json),
        (r#"["stop","1","MZ1",null,null,null]"#, Malformed::Json),
        ("{\"event\":\"media\"", Malformed::Json),
        (r#"{"event":7}"#, Malformed::Json),
        (r#"{"event":"stop","event":"start"}"#, Malformed::Json),
        (r#"{"event":"media","sequenceNumber":[1],"media":{"payload":""}}"#, Malformed::Json),
        ("{}", Malformed::Event),
        (r#"{"event":null}"#, Malformed::Event),
        (r#"{"event":"media"}"#, Malformed::Section),
        (r#"{"event":"media","media":["inbound","20","/w=="]}"#, Malformed::Section),
        (r#"{"event":"media","media":"x"}"#, Malformed::Section),
        (r#"{"event":"media","media":{}}"#, Malformed::Payload),
        (r#"{"event":"media","media":{"payload":12}}"#, Malformed::Section),
        (r#"{"event":"media","media":{"track":"x","payload":""}}"#, Malformed::Track),
        (r#"{"event":"media","media":{"payload":"","payload":""}}"#, Malformed::Section),
        (r#"{"event":"dtmf","dtmf":{}}"#, Malformed::Digit),
        (r#"{"event":"dtmf","dtmf":{"digit":"12"}}"#, Malformed::Digit),
        (r#"{"event":"dtmf","dtmf":{"digit":"x"}}"#, Malformed::Digit),
        (r#"{"event":"start"}"#, Malformed::Start),
        (r#"{"event":"start","streamSid":"MZ1","start":{"callSid":""}}"#, Malformed::CallSid),
        (r#"{"event":"start","streamSid":"MZ1","start":{"callSid":"C A"}}"#, Malformed::CallSid),
        (r#"{"event":"start","start":{"callSid":"CA1"}}"#, Malformed::StreamSid),
        (r#"{"event":"start","streamSid":"MZ2","start":{"callSid":"CA1","streamSid":"MZ1"}}"#, Malformed::StreamSid),
        (r#"{"event":"start","streamSid":"MZ2","start":{"callSid":"CA1","tracks":5}}"#, Malformed::Start),
        (r#"{"event":"start","streamSid":"MZ2","start":{"callSid":"CA1","customParameters":[1]}}"#, Malformed::Start),
    ] {
        assert_eq!(refused(text), wrong, "{text}");
    }
}

#[test]
fn a_format_other_than_mulaw_8000_mono_is_refused_as_such() {
    for (from, to) in [("audio/x-mulaw", "audio/x-l16"), ("8000", "16000"), ("8000", "\"fast\""), (":1}", ":2}")] {
        assert_eq!(refused(&START.replace(from, to)), Malformed::Format, "{to}");
    }
}

#[test]
fn neither_errors_nor_debug_text_hold_anything_of_the_message() {
    let secret = "4111111111111111";
    let texts = [START.replace("b7Qk", secret), START.replace("CA01", &format!("{secret} x")), format!("{{\"{secret}\":")];
    for text in texts {
        let shown = match Dialect::Twilio.decode(&text, &mut Buffer::new()) {
            Ok(message) => format!("{message:?}"),
            Err(why) => format!("{why:?} {why} {}", why.code()),
        };
        assert!(!shown.contains(secret), "{shown}");
    }
}

/// One `"key":value`, from the ordinary to the absurd.
fn member(keys: &'static [&'static str], values: &'static [&'static str]) -> impl Strategy<Value = String> {
    (select(keys), select(values), select(&["", "", "", " ", "\n\t", "\u{c}"][..]))
        .prop_map(|(key, value, space)| format!("{space}\"{key}\"{space}:{space}{value}"))
}

const VALUES: &[&str] = &[
    "\"media\"",
    "\"inbound\"",
    "\"outbound\"",
    "\"37\"",
    "\"340\"",
    "41",
    "0",
    "007",
    "\"007\"",
    "-1",
    "1.5",
    "1e2",
    "\"\"",
    "null",
    "true",
    "\"a\\\"b\"",
    "\"med\\u0069a\"",
    "\"//7+\"",
    "\"//7+/w==\"",
    "\"//7\"",
    "\"/\\/7+\"",
    "\"//7+\\n\"",
    "\"\u{1}\"",
    "\"é\"",
    "{}",
    "[1]",
    "\"MZ01\"",
    "9999999999999999999",
    "\"99999999999999999999\"",
    "\"inbound_track\"",
    "\"open",
    "{\"payload\":\"AAAA\"}",
];

fn object(keys: &'static [&'static str]) -> impl Strategy<Value = String> {
    vec(member(keys, VALUES), 0..5).prop_map(|members| format!("{{{}}}", members.join(",")))
}

fn message() -> impl Strategy<Value = String> {
    let good_inner = (select(VALUES), select(VALUES)).prop_map(|(timestamp, payload)| {
        format!(r#"{{"track":"inbound","chunk":"18","timestamp":{timestamp},"payload":{payload}}}"#)
    });
    let inner = prop_oneof![good_inner, object(&["track", "chunk", "timestamp", "payload", "Payload", "p\\u0061yload"])];
    let outer = vec(member(&["sequenceNumber", "streamSid", "event", "start", "x"], VALUES), 0..4);
    (inner, outer, any::<prop::sample::Index>(), any::<bool>()).prop_map(|(inner, mut members, at, event)| {
        members.insert(at.index(members.len() + 1), format!("\"media\":{inner}"));
        if event {
            members.insert(at.index(members.len() + 1), "\"event\":\"media\"".to_owned());
        }
        format!("{{{}}}", members.join(","))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_steady_path_answers_as_the_full_parse(text in message()) {
        decoded(&text);
    }

    #[test]
    fn a_broken_message_is_answered_alike_on_both_paths(at in any::<prop::sample::Index>(), with in "[\\PC\"{}\\[\\]:,\\\\ 0-9]{0,2}", cut in 0_usize..3) {
        let chars: Vec<char> = MEDIA.chars().collect();
        let at = at.index(chars.len());
        let text: String = chars[..at].iter().copied().chain(with.chars()).chain(chars[(at + cut).min(chars.len())..].iter().copied()).collect();
        decoded(&text);
    }

    #[test]
    fn garbage_never_panics(bytes in vec(any::<u8>(), 0..200), nested in "[{}\\[\\]\":,a-z\\\\u0-9]{0,120}") {
        decoded(&String::from_utf8_lossy(&bytes));
        decoded(&nested);
    }

    #[test]
    fn any_audio_comes_out_as_it_went_in(audio_in in vec(any::<u8>(), 0..2000), timestamp in 0_u64..10_000_000) {
        let text = MEDIA.replace("//7+/w==", &STANDARD.encode(&audio_in)).replace("\"340\"", &format!("\"{timestamp}\""));
        prop_assert!(scan::media(&text).is_some());
        prop_assert_eq!(audio(&text), (Track::Inbound, Some(37), Some(timestamp), audio_in));
    }
}
