//! Messages as the page has them, with any of their values, before anything is done to them.

use base64::{Engine, prelude::BASE64_STANDARD};

use crate::{
    chance::Chance,
    mutate,
    tree::{Space, Tree},
};

/// Bytes of a frame, mostly; sometimes more, seldom very many.
const FRAME: usize = 160;
/// The most audio of one message: its base64 is still a message of less than 64 KiB.
const MOST_AUDIO: usize = 47_000;

/// The message of this number: a quarter as the page has it, the others with one to five things wrong or odd.
pub(crate) fn message(number: u64) -> String {
    let mut chance = Chance::new(number);
    let mut tree = of_any_kind(&mut chance, None);
    let oddities = if chance.percent(25) { 0 } else { chance.of(1..6) };
    for _ in 0..oddities {
        mutate::tree(&mut tree, &mut chance);
    }
    let mut text = written(&tree, &mut chance);
    if oddities > 0 && chance.percent(30) {
        mutate::text(&mut text, &mut chance);
    }
    text
}

/// The document, with white space or without.
pub(crate) fn written(tree: &Tree, chance: &mut Chance) -> String {
    let space = if chance.percent(80) { Space::None } else { Space::Some(chance.pick(&[" ", "\n", "\t\r\n", "  ", ""])) };
    let mut text = String::new();
    tree.write(space, &mut text);
    text
}

/// A message of any kind, mostly audio; of this stream, or of any.
pub(crate) fn of_any_kind(chance: &mut Chance, stream: Option<&str>) -> Tree {
    match chance.of(0..20) {
        0 => connected(),
        1..4 => start(chance, stream),
        4 => digit(chance, stream),
        5 => event("mark", "mark", Tree::object([("name", Tree::text("greeting-end"))]), chance, stream),
        6 => event(
            "stop",
            "stop",
            Tree::object([("accountSid", Tree::text("AC01")), ("callSid", Tree::text("CA01"))]),
            chance,
            stream,
        ),
        7 => event("weather", "weather", Tree::object([("media", Tree::bare("[1,{\"payload\":\"AAAA\"}]"))]), chance, stream),
        _ => {
            let (track, timestamp) = (chance.pick(&["inbound", "outbound"]), chance.of(0..14_400_000) as u64);
            let length = audio_length(chance);
            media(chance, stream, track, timestamp, length)
        }
    }
}

fn audio_length(chance: &mut Chance) -> usize {
    match chance.of(0..200) {
        0 => chance.of(FRAME..MOST_AUDIO),
        1..20 => chance.of(0..1000),
        _ => FRAME,
    }
}

pub(crate) fn connected() -> Tree {
    Tree::object([("event", Tree::text("connected")), ("protocol", Tree::text("Call")), ("version", Tree::text("1.0.0"))])
}

pub(crate) fn start(chance: &mut Chance, stream: Option<&str>) -> Tree {
    let stream = stream_of(chance, stream);
    let call = chance.pick(&["CA01", "CA02", "6a2e-uuid", "sip:1@pbx"]);
    let tracks = chance.pick(&[r#"["inbound"]"#, r#"["inbound","outbound"]"#, r#"["outbound"]"#, r#""both_tracks""#, "[]"]);
    let format = Tree::object([
        ("encoding", Tree::text(chance.pick(&["audio/x-mulaw", "audio/x-mulaw", "AUDIO/X-MULAW", "audio/x-l16"]))),
        ("sampleRate", Tree::bare(chance.pick(&["8000", "8000", "\"8000\"", "16000"]))),
        ("channels", Tree::bare(chance.pick(&["1", "1", "\"1\"", "2"]))),
    ]);
    let parameters = Tree::object([("token", Tree::text("b7Qk")), ("tenant", Tree::text("blue")), ("n", Tree::bare("1.10"))]);
    let mut inner = vec![
        ("accountSid".to_owned(), Tree::text("AC01")),
        ("callSid".to_owned(), Tree::text(call)),
        ("streamSid".to_owned(), Tree::text(stream.clone())),
        ("tracks".to_owned(), Tree::bare(tracks)),
        ("mediaFormat".to_owned(), format),
        ("customParameters".to_owned(), parameters),
    ];
    if chance.percent(20) {
        let gone = chance.of(0..inner.len());
        inner.remove(gone);
    }
    event("start", "start", Tree::Object(inner), chance, Some(&stream))
}

pub(crate) fn media(chance: &mut Chance, stream: Option<&str>, track: &str, timestamp: u64, length: usize) -> Tree {
    let mut audio = vec![0; length];
    // Not all of it need be different: the decoder does not look at what is in it.
    audio.iter_mut().take(64).for_each(|byte| *byte = chance.next().to_le_bytes()[0]);
    let section = Tree::object([
        ("track", Tree::text(track)),
        ("chunk", Tree::text(chance.of(1..100_000).to_string())),
        ("timestamp", Tree::text(timestamp.to_string())),
        ("payload", Tree::text(BASE64_STANDARD.encode(&audio))),
    ]);
    event("media", "media", section, chance, stream)
}

pub(crate) fn digit(chance: &mut Chance, stream: Option<&str>) -> Tree {
    let digit = chance.pick(&["0", "7", "9", "*", "#", "A", "d"]);
    let track = chance.pick(&["inbound_track", "inbound", "outbound_track"]);
    event("dtmf", "dtmf", Tree::object([("track", Tree::text(track)), ("digit", Tree::text(digit))]), chance, stream)
}

/// A message with its section, its number and its stream.
fn event(kind: &str, name: &str, section: Tree, chance: &mut Chance, stream: Option<&str>) -> Tree {
    Tree::object([
        ("event", Tree::text(kind)),
        ("sequenceNumber", Tree::text(chance.of(1..1_000_000).to_string())),
        ("streamSid", Tree::text(stream_of(chance, stream))),
        (name, section),
    ])
}

fn stream_of(chance: &mut Chance, stream: Option<&str>) -> String {
    stream.map_or_else(|| chance.pick(&["MZ01", "MZ02", "d4b1-uuid"]).to_owned(), str::to_owned)
}
