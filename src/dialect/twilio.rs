//! Twilio Media Streams, as the sender documents them and as clones vary them. Source: protocols/ingress.md section 3.2.
//!
//! Promises: numbers as text and text as numbers are one; what clones leave out (`tracks`, `customParameters`, counters, ids on
//! media) is absent, not an error; a media message of the ordinary shape takes the steady path of `scan` and everything
//! else one full typed parse that borrows from the message.

use std::borrow::Cow;

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Buffer, Format, Frame, Incoming, Malformed, Message, Start,
    fields::{Count, Pairs, Text, scalar},
    scan,
};
use crate::media::{CallSid, StreamSid, Track};

/// Base64 as phones send it: padding is optional, bits behind the last byte do not matter.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true),
);

/// Understands one message.
pub(super) fn decode<'a>(text: &'a str, buffer: &'a mut Buffer) -> Result<Message<'a>, Malformed> {
    if let Some(media) = scan::media(text)
        && let Some(length) = decode_base64(media.payload, buffer)
    {
        let frame = Frame { track: media.track, timestamp_ms: media.timestamp_ms, audio: &buffer.0[..length] };
        let stream = media.stream.map(Cow::Borrowed);
        return Ok(Message { stream, sequence: media.sequence, incoming: Incoming::Audio(frame) });
    }
    parse(text, buffer)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    #[serde(borrow)]
    event: Option<Text<'a>>,
    #[serde(default)]
    sequence_number: Count,
    #[serde(borrow)]
    stream_sid: Option<&'a RawValue>,
    #[serde(borrow)]
    start: Option<&'a RawValue>,
    #[serde(borrow)]
    media: Option<&'a RawValue>,
    #[serde(borrow)]
    dtmf: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireStart<'a> {
    #[serde(borrow)]
    account_sid: Option<&'a RawValue>,
    #[serde(borrow)]
    call_sid: Option<&'a RawValue>,
    #[serde(borrow)]
    stream_sid: Option<&'a RawValue>,
    #[serde(borrow)]
    tracks: Option<&'a RawValue>,
    custom_parameters: Option<Pairs>,
    #[serde(borrow)]
    media_format: Option<WireFormat<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireFormat<'a> {
    #[serde(borrow)]
    encoding: Option<Text<'a>>,
    sample_rate: Option<Count>,
    channels: Option<Count>,
}

#[derive(Deserialize)]
struct WireMedia<'a> {
    #[serde(borrow)]
    track: Option<Text<'a>>,
    #[serde(default)]
    timestamp: Count,
    #[serde(borrow)]
    payload: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct WireDigit<'a> {
    #[serde(borrow)]
    track: Option<Text<'a>>,
    #[serde(borrow)]
    digit: Option<&'a RawValue>,
}

/// The full parse: what it answers is the truth that the steady path must match.
pub(super) fn parse<'a>(text: &'a str, buffer: &'a mut Buffer) -> Result<Message<'a>, Malformed> {
    let wire: Wire<'a> = object(text).ok_or(Malformed::Json)?;
    let stream = wire.stream_sid.and_then(scalar);
    let incoming = match &*wire.event.ok_or(Malformed::Event)?.0 {
        "media" => Incoming::Audio(frame(wire.media, buffer)?),
        "start" => Incoming::Started(Box::new(start(wire.start, stream.as_deref())?)),
        "dtmf" => digit(wire.dtmf)?,
        "connected" => Incoming::Hello,
        "mark" => Incoming::Mark,
        "stop" => Incoming::Stopped,
        "" => return Err(Malformed::Event),
        _ => Incoming::Ignored("unknown_event"),
    };
    Ok(Message { stream, sequence: wire.sequence_number.0, incoming })
}

fn section<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Result<T, Malformed> {
    object(raw.ok_or(Malformed::Section)?.get()).ok_or(Malformed::Section)
}

/// Reads an object; a list of its values, which would do as well for serde, is none.
fn object<'a, T: Deserialize<'a>>(text: &'a str) -> Option<T> {
    text.trim_start().starts_with('{').then(|| serde_json::from_str(text).ok())?
}

fn frame<'a>(raw: Option<&'a RawValue>, buffer: &'a mut Buffer) -> Result<Frame<'a>, Malformed> {
    let wire: WireMedia<'_> = section(raw)?;
    let track = track(wire.track.as_ref())?;
    let payload = wire.payload.ok_or(Malformed::Payload)?.0;
    let length = match decode_base64(&payload, buffer) {
        Some(length) => length,
        None => decode_base64(&without_space(&payload).ok_or(Malformed::Payload)?, buffer).ok_or(Malformed::Payload)?,
    };
    Ok(Frame { track, timestamp_ms: wire.timestamp.0, audio: &buffer.0[..length] })
}

/// Decodes into the buffer and says how many bytes there are; `None` if it is no base64.
fn decode_base64(payload: &str, buffer: &mut Buffer) -> Option<usize> {
    let room = buffer.room(base64::decoded_len_estimate(payload.len()));
    BASE64.decode_slice(payload, room).ok()
}

/// The payload without line breaks and spaces; `None` if it has none, so that nothing is decoded twice in vain.
fn without_space(payload: &str) -> Option<String> {
    let bare: String = payload.chars().filter(|char| !char.is_ascii_whitespace()).collect();
    (bare.len() < payload.len()).then_some(bare)
}

fn track(name: Option<&Text<'_>>) -> Result<Track, Malformed> {
    match name.map(|name| &*name.0) {
        None | Some("" | "inbound" | "inbound_track") => Ok(Track::Inbound),
        Some("outbound" | "outbound_track") => Ok(Track::Outbound),
        Some(_) => Err(Malformed::Track),
    }
}

fn digit(raw: Option<&RawValue>) -> Result<Incoming<'_>, Malformed> {
    let wire: WireDigit<'_> = section(raw)?;
    let track = track(wire.track.as_ref())?;
    let text = wire.digit.and_then(scalar).ok_or(Malformed::Digit)?;
    let mut chars = text.chars().map(|char| char.to_ascii_uppercase());
    match (chars.next(), chars.next()) {
        (Some(digit @ ('0'..='9' | '*' | '#' | 'A'..='D')), None) => Ok(Incoming::Digit { track, digit }),
        _ => Err(Malformed::Digit),
    }
}

fn start(raw: Option<&RawValue>, outer_stream: Option<&str>) -> Result<Start, Malformed> {
    let wire: WireStart<'_> = section(raw).map_err(|_| Malformed::Start)?;
    // A name that is empty or no name is a mistake; none at all is normal for a PBX.
    let named = wire.call_sid.filter(|raw| raw.get() != "null");
    let call_sid =
        named.map(|raw| scalar(raw).and_then(|name| CallSid::new(&name).ok()).ok_or(Malformed::CallSid)).transpose()?;
    let inner_stream = wire.stream_sid.and_then(scalar);
    let stream_sid = match (inner_stream.as_deref(), outer_stream) {
        (Some(inner), Some(outer)) if inner != outer => return Err(Malformed::StreamSid),
        (inner, outer) => inner.or(outer).ok_or(Malformed::StreamSid)?,
    };
    Ok(Start {
        call_sid,
        stream_sid: StreamSid::new(stream_sid).map_err(|_| Malformed::StreamSid)?,
        account_sid: wire.account_sid.and_then(scalar).map(Cow::into_owned),
        tracks: tracks(wire.tracks)?,
        params: wire.custom_parameters.unwrap_or_default().0,
        format: format(wire.media_format.as_ref())?,
    })
}

/// The announced tracks without doubles; inbound where none that we know is named.
fn tracks(raw: Option<&RawValue>) -> Result<Vec<Track>, Malformed> {
    let names = match raw {
        None => Vec::new(),
        Some(raw) if raw.get().starts_with('"') => scalar(raw).into_iter().map(Text).collect(),
        Some(raw) => serde_json::from_str::<Vec<Text<'_>>>(raw.get()).map_err(|_| Malformed::Start)?,
    };
    let mut tracks = Vec::with_capacity(2);
    for Text(name) in &names {
        let meant: &[Track] = match &**name {
            "inbound" | "inbound_track" => &[Track::Inbound],
            "outbound" | "outbound_track" => &[Track::Outbound],
            "both" | "both_tracks" => &[Track::Inbound, Track::Outbound],
            _ => &[],
        };
        tracks.extend(meant);
    }
    tracks.sort_unstable();
    tracks.dedup();
    if tracks.is_empty() {
        tracks.push(Track::Inbound);
    }
    Ok(tracks)
}

/// Mu-law at 8000 Hz in one channel is all that Twilio sends, so what is not said is that.
fn format(wire: Option<&WireFormat<'_>>) -> Result<Format, Malformed> {
    let Some(wire) = wire else { return Ok(Format::Mulaw8k) };
    let encoding = wire.encoding.as_ref().is_none_or(|encoding| encoding.0.eq_ignore_ascii_case("audio/x-mulaw"));
    let rate = wire.sample_rate.is_none_or(|rate| rate == Count(Some(8000)));
    let channels = wire.channels.is_none_or(|channels| channels == Count(Some(1)));
    if encoding && rate && channels { Ok(Format::Mulaw8k) } else { Err(Malformed::Format) }
}
