//! A slow decoder of Twilio's messages, written from protocols/ingress.md section 3 over a whole document in memory, in which a
//! doubled key is still to be seen. It shares nothing with the decoder that it is held against but the JSON parser.
//!
//! Promises: it has no opinion ([`Answer::None`]) on a text whose meaning depends on how much of it a parser looks at (too deep, numbers
//! beyond a double, half a surrogate pair, text that is no JSON), and on ids that are written as fractions.

use pulse_bridge::media::{MAX_ID_BYTES, Track};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};

/// What a message should be taken for.
#[derive(Debug, PartialEq)]
pub(crate) enum Answer {
    None,
    Malformed,
    Understood { sequence: Option<u64>, stream: Option<String>, said: Said },
}

#[derive(Debug, PartialEq)]
pub(crate) enum Said {
    Hello,
    Mark,
    Stopped,
    Ignored,
    Digit { track: Track, digit: char },
    Audio { track: Track, timestamp_ms: Option<u64>, audio: Vec<u8> },
    Started { call: Option<String>, stream: String, tracks: Vec<Track>, parameters: Vec<String> },
}

/// Why there is no answer.
enum Not {
    Malformed,
    Sure,
}

type Maybe<T> = Result<T, Not>;

/// The answer to a text.
pub(crate) fn answer(text: &str) -> Answer {
    let Ok(json) = serde_json::from_str::<Json>(text) else { return Answer::None };
    match message(&json) {
        Ok((sequence, stream, said)) => Answer::Understood { sequence, stream, said },
        Err(Not::Malformed) => Answer::Malformed,
        Err(Not::Sure) => Answer::None,
    }
}

fn message(json: &Json) -> Maybe<(Option<u64>, Option<String>, Said)> {
    let message = Members::of(json)?;
    for known in ["event", "sequenceNumber", "streamSid", "start", "media", "dtmf"] {
        message.once(known)?;
    }
    let event = message.text("event")?;
    let sequence = message.count("sequenceNumber")?;
    if matches!(message.get("streamSid"), Some(Json::Float(_))) {
        // Whether a fraction is written 1.0 or 1e0 is not to be seen any more.
        return Err(Not::Sure);
    }
    let stream = message.id("streamSid");
    let said = match event.ok_or(Not::Malformed)? {
        "" => return Err(Not::Malformed),
        "connected" => Said::Hello,
        "mark" => Said::Mark,
        "stop" => Said::Stopped,
        "media" => audio(&Members::of(message.get("media").ok_or(Not::Malformed)?)?)?,
        "dtmf" => digit(&Members::of(message.get("dtmf").ok_or(Not::Malformed)?)?)?,
        "start" => {
            let section = Members::of(message.get("start").ok_or(Not::Malformed)?)?;
            started(&section, stream.as_deref().unwrap_or_default())?
        }
        _ => Said::Ignored,
    };
    Ok((sequence, stream, said))
}

fn audio(media: &Members<'_>) -> Maybe<Said> {
    for known in ["track", "timestamp", "payload"] {
        media.once(known)?;
    }
    let (track, timestamp_ms) = (track(media)?, media.count("timestamp")?);
    let audio = base64(media.text("payload")?.ok_or(Not::Malformed)?).ok_or(Not::Malformed)?;
    Ok(Said::Audio { track, timestamp_ms, audio })
}

fn digit(dtmf: &Members<'_>) -> Maybe<Said> {
    for known in ["track", "digit"] {
        dtmf.once(known)?;
    }
    let track = track(dtmf)?;
    let digit = match dtmf.get("digit") {
        Some(Json::Text(text)) => text.clone(),
        Some(Json::Whole(number)) => number.to_string(),
        _ => return Err(Not::Malformed),
    };
    let digit = digit.to_ascii_uppercase();
    match "0123456789*#ABCD".chars().find(|key| digit == key.to_string()) {
        Some(digit) => Ok(Said::Digit { track, digit }),
        None => Err(Not::Malformed),
    }
}

fn started(start: &Members<'_>, outer: &str) -> Maybe<Said> {
    for known in ["accountSid", "callSid", "streamSid", "tracks", "customParameters", "mediaFormat"] {
        start.once(known)?;
    }
    let inner = start.id("streamSid").unwrap_or_default();
    if matches!(start.get("callSid"), Some(Json::Float(_))) || matches!(start.get("streamSid"), Some(Json::Float(_))) {
        return Err(Not::Sure);
    }
    let call = match start.get("callSid") {
        None => None,
        Some(_) => Some(start.id("callSid").filter(|call| is_id(call)).ok_or(Not::Malformed)?),
    };
    let stream = if inner.is_empty() { outer.to_owned() } else { inner };
    if !is_id(&stream) || !outer.is_empty() && outer != stream {
        return Err(Not::Malformed);
    }
    let parameters = match start.get("customParameters") {
        None => Vec::new(),
        Some(Json::Object(members)) => {
            // Of a name given twice the last value counts, and none at all if that is null.
            let last = |name: &str| members.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value);
            let mut names: Vec<String> = members.iter().map(|(name, _)| name.clone()).collect();
            names.sort_unstable();
            names.dedup();
            names.retain(|name| last(name) != Some(&Json::Null));
            names
        }
        Some(_) => return Err(Not::Malformed),
    };
    let tracks = tracks(start.get("tracks"))?;
    format(start.get("mediaFormat"))?;
    Ok(Said::Started { call, stream, tracks, parameters })
}

fn tracks(given: Option<&Json>) -> Maybe<Vec<Track>> {
    let names: Vec<&str> = match given {
        None => Vec::new(),
        Some(Json::Text(name)) => vec![name],
        Some(Json::List(names)) => {
            let name = |name: &'_ Json| if let Json::Text(name) = name { Ok(name.clone()) } else { Err(Not::Malformed) };
            return Ok(named(&names.iter().map(name).collect::<Maybe<Vec<String>>>()?));
        }
        Some(_) => return Err(Not::Malformed),
    };
    Ok(named(&names))
}

fn named(names: &[impl AsRef<str>]) -> Vec<Track> {
    let is_one = |wanted: [&str; 4]| names.iter().any(|name| wanted.contains(&name.as_ref()));
    let (inbound, outbound) = (
        is_one(["inbound", "inbound_track", "both", "both_tracks"]),
        is_one(["outbound", "outbound_track", "both", "both_tracks"]),
    );
    match (inbound, outbound) {
        (_, false) => vec![Track::Inbound],
        (false, true) => vec![Track::Outbound],
        (true, true) => vec![Track::Inbound, Track::Outbound],
    }
}

fn format(given: Option<&Json>) -> Maybe<()> {
    let format = match given {
        None => return Ok(()),
        // A list of the three values in order is no format that anybody sends.
        Some(Json::List(_)) => return Err(Not::Sure),
        Some(given) => Members::of(given)?,
    };
    for known in ["encoding", "sampleRate", "channels"] {
        format.once(known)?;
    }
    let encoding = format.text("encoding")?.is_none_or(|encoding| encoding.eq_ignore_ascii_case("audio/x-mulaw"));
    let is = |key: &str, wanted: u64| Ok(format.get(key).is_none() || format.count(key)? == Some(wanted));
    if encoding & is("sampleRate", 8000)? & is("channels", 1)? { Ok(()) } else { Err(Not::Malformed) }
}

fn track(section: &Members<'_>) -> Maybe<Track> {
    match section.text("track")?.unwrap_or_default() {
        "" | "inbound" | "inbound_track" => Ok(Track::Inbound),
        "outbound" | "outbound_track" => Ok(Track::Outbound),
        _ => Err(Not::Malformed),
    }
}

fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= MAX_ID_BYTES && id.bytes().all(|byte| (0x21..=0x7E).contains(&byte))
}

/// Base64 bit by bit: white space is passed over, padding may be short or absent but not more than the last group of four has room for.
fn base64(payload: &str) -> Option<Vec<u8>> {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bare: Vec<char> = payload.chars().filter(|sign| !matches!(sign, ' ' | '\t' | '\n' | '\r' | '\u{c}')).collect();
    let signs = bare.iter().take_while(|sign| **sign != '=').count();
    let padding = bare.len() - signs;
    let fits = bare[signs..].iter().all(|sign| *sign == '=') && (padding == 0 || signs % 4 >= 2 && signs % 4 + padding <= 4);
    if !fits || signs % 4 == 1 {
        return None;
    }
    let (mut audio, mut bits, mut count) = (Vec::new(), 0_usize, 0);
    for sign in &bare[..signs] {
        bits = bits << 6 & 0xFFFF | ALPHABET.find(*sign)?;
        count += 6;
        if count >= 8 {
            count -= 8;
            audio.push((bits >> count).to_le_bytes()[0]);
        }
    }
    Some(audio)
}

/// An object's members; a member that is null is not there.
struct Members<'a>(&'a [(String, Json)]);

impl<'a> Members<'a> {
    fn of(json: &'a Json) -> Maybe<Self> {
        if let Json::Object(members) = json { Ok(Self(members)) } else { Err(Not::Malformed) }
    }

    fn once(&self, key: &str) -> Maybe<()> {
        if self.0.iter().filter(|(known, _)| known == key).count() > 1 { Err(Not::Malformed) } else { Ok(()) }
    }

    fn get(&self, key: &str) -> Option<&'a Json> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value).filter(|value| **value != Json::Null)
    }

    fn text(&self, key: &str) -> Maybe<Option<&'a str>> {
        match self.get(key) {
            None => Ok(None),
            Some(Json::Text(text)) => Ok(Some(text)),
            Some(_) => Err(Not::Malformed),
        }
    }

    /// A count as number or text; what is neither negative nor beyond a number is one.
    fn count(&self, key: &str) -> Maybe<Option<u64>> {
        match self.get(key) {
            None | Some(Json::Negative(_)) => Ok(None),
            Some(Json::Whole(count)) => Ok(Some(*count)),
            Some(Json::Float(number)) => Ok(floor(*number)),
            Some(Json::Text(text)) => {
                let text = text.trim();
                Ok(text.parse().ok().or_else(|| text.parse().ok().and_then(floor)))
            }
            Some(Json::Bool | Json::List(_) | Json::Object(_) | Json::Null) => Err(Not::Malformed),
        }
    }

    /// Text, or a number as text.
    fn id(&self, key: &str) -> Option<String> {
        match self.get(key)? {
            Json::Text(text) => Some(text.clone()).filter(|text| !text.is_empty()),
            Json::Whole(number) => Some(number.to_string()),
            Json::Negative(number) => Some(number.to_string()),
            Json::Float(_) => Some("a fraction".to_owned()),
            Json::Null | Json::Bool | Json::List(_) | Json::Object(_) => None,
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "neither negative nor infinite; the rest is the largest count"
)]
fn floor(number: f64) -> Option<u64> {
    (number >= 0.0 && number.is_finite()).then(|| number.floor() as u64)
}

#[derive(Debug, PartialEq)]
enum Json {
    Null,
    Bool,
    Whole(u64),
    Negative(i64),
    Float(f64),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Json;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Json, E> {
        Ok(Json::Bool)
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(Json::Whole(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(u64::try_from(number).map_or(Json::Negative(number), Json::Whole))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json, E> {
        Ok(Json::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            values.push(value);
        }
        Ok(Json::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Json::Object(members))
    }
}
