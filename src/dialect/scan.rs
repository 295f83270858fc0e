//! The steady path: finds the four fields of an ordinary media message without a JSON parser.
//!
//! Promises: what it accepts is a strict part of JSON with one meaning only (known keys once each, strings without escapes
//! and control characters, plain counts), so the full parse gives the same answer; a test compares the two over generated
//! messages. Everything else is `None`, which is no error but the full parse's turn. Only the payload's inside is left
//! unchecked: base64 decoding must accept every byte of it, or the full parse must be asked.

use crate::media::Track;

/// Most digits of a count: all such counts fit its type.
const MAX_DIGITS: usize = 18;

/// The fields of an ordinary media message.
#[derive(Debug, PartialEq)]
pub(super) struct Media<'a> {
    pub(super) stream: Option<&'a str>,
    pub(super) sequence: Option<u64>,
    pub(super) track: Track,
    pub(super) timestamp_ms: Option<u64>,
    pub(super) payload: &'a str,
}

/// Reads a media message of the ordinary shape, keys in any order.
pub(super) fn media(text: &str) -> Option<Media<'_>> {
    let mut at = Cursor(text);
    let (mut event, mut stream, mut sequence, mut inner) = (None, None, None, None);
    at.sign("{")?;
    loop {
        at.skip_space();
        if at.takes(r#""event""#) {
            once(&mut event, at.value(Cursor::media_event)?)?;
        } else if at.takes(r#""sequenceNumber""#) {
            once(&mut sequence, at.value(Cursor::count)?)?;
        } else if at.takes(r#""media""#) {
            once(&mut inner, at.value(Cursor::inner)?)?;
        } else if at.takes(r#""streamSid""#) {
            once(&mut stream, at.value(Cursor::word)?)?;
        } else {
            return None;
        }
        if at.ends()? {
            break;
        }
    }
    at.skip_space();
    if !at.0.is_empty() {
        return None;
    }
    let (Inner { track, timestamp_ms, payload }, ()) = (inner?, event?);
    let stream = stream.filter(|stream: &&str| !stream.is_empty());
    Some(Media { stream, sequence, track, timestamp_ms, payload })
}

struct Inner<'a> {
    track: Track,
    timestamp_ms: Option<u64>,
    payload: &'a str,
}

/// Fills an empty slot; a second value of the same key is ambiguous.
fn once<T>(slot: &mut Option<T>, value: T) -> Option<()> {
    slot.replace(value).is_none().then_some(())
}

/// What of the message is still to be read.
struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    fn skip_space(&mut self) {
        while let [b' ' | b'\t' | b'\n' | b'\r', ..] = self.0.as_bytes() {
            self.0 = &self.0[1..];
        }
    }

    /// Whether exactly this comes next; if so it is taken. Known texts are compared, not searched for their ends.
    #[inline]
    fn takes(&mut self, known: &str) -> bool {
        let rest = self.0.strip_prefix(known);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// Takes a sign and the space before it.
    #[inline]
    fn sign(&mut self, known: &str) -> Option<()> {
        self.skip_space();
        self.takes(known).then_some(())
    }

    /// What stands behind a key.
    #[inline]
    fn value<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        self.sign(":")?;
        self.skip_space();
        read(self)
    }

    /// Whether the object ends here (true) or goes on behind a comma.
    fn ends(&mut self) -> Option<bool> {
        self.skip_space();
        if self.takes(",") { Some(false) } else { self.takes("}").then_some(true) }
    }

    /// Text up to the next quote, whatever is in it.
    fn payload(&mut self) -> Option<&'a str> {
        let (payload, rest) = self.0.strip_prefix('"')?.split_once('"')?;
        self.0 = rest;
        Some(payload)
    }

    /// Text without escapes and control characters.
    fn word(&mut self) -> Option<&'a str> {
        let word = self.payload()?;
        word.bytes().all(|byte| byte >= b' ' && byte != b'\\').then_some(word)
    }

    /// A count of at most 18 digits, as text or as number, which has no needless zero in front.
    fn count(&mut self) -> Option<u64> {
        let quoted = self.takes("\"");
        let (digits, mut count) = (self.0, 0);
        while let [digit @ b'0'..=b'9', ..] = self.0.as_bytes() {
            if digits.len() - self.0.len() == MAX_DIGITS {
                return None;
            }
            count = count * 10 + u64::from(digit - b'0');
            self.0 = &self.0[1..];
        }
        let length = digits.len() - self.0.len();
        let fits = if quoted { self.takes("\"") } else { length == 1 || !digits.starts_with('0') };
        (fits && length > 0).then_some(count)
    }

    fn media_event(&mut self) -> Option<()> {
        self.takes(r#""media""#).then_some(())
    }

    fn inner(&mut self) -> Option<Inner<'a>> {
        let (mut track, mut timestamp_ms, mut payload, mut chunk) = (None, None, None, None);
        self.sign("{")?;
        loop {
            self.skip_space();
            if self.takes(r#""track""#) {
                once(&mut track, self.value(Self::track)?)?;
            } else if self.takes(r#""chunk""#) {
                once(&mut chunk, self.value(Self::count)?)?;
            } else if self.takes(r#""timestamp""#) {
                once(&mut timestamp_ms, self.value(Self::count)?)?;
            } else if self.takes(r#""payload""#) {
                once(&mut payload, self.value(Self::payload)?)?;
            } else {
                return None;
            }
            if self.ends()? {
                break;
            }
        }
        Some(Inner { track: track?, timestamp_ms, payload: payload? })
    }

    fn track(&mut self) -> Option<Track> {
        if self.takes(r#""inbound""#) {
            Some(Track::Inbound)
        } else if self.takes(r#""outbound""#) {
            Some(Track::Outbound)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_message_is_read_with_and_without_spaces() {
        let tight = r#"{"event":"media","sequenceNumber":"37","streamSid":"MZ01","media":{"track":"inbound","chunk":"18","timestamp":"340","payload":"//7+/w=="}}"#;
        let read = media(tight).unwrap();
        assert_eq!((read.stream, read.sequence, read.track), (Some("MZ01"), Some(37), Track::Inbound));
        assert_eq!((read.timestamp_ms, read.payload), (Some(340), "//7+/w=="));
        assert_eq!(media(&tight.replace(':', " : ").replace(',', " ,\n ")).as_ref(), Some(&read));
        assert_eq!(media(&tight.replace("\"37\"", "37").replace("\"340\"", "340")), Some(read));
    }

    #[test]
    fn what_is_unusual_is_left_to_the_full_parse() {
        for unusual in [
            r#"{"event":"media","media":{"track":"inbound","payload":"AA=="},"media":{"track":"inbound","payload":"AA=="}}"#,
            r#"{"event":"media","media":{"track":"inbound","payload":"AA==","payload":"//=="}}"#,
            r#"{"event":"med\u0069a","media":{"track":"inbound","payload":"AA=="}}"#,
            r#"{"event":"media","media":{"track":"inbound","payload":"AA==","more":1}}"#,
            r#"{"event":"media","media":{"track":"inbound_track","payload":"AA=="}}"#,
            r#"{"event":"media","media":{"payload":"AA=="}}"#,
            r#"{"event":"media","sequenceNumber":007,"media":{"track":"inbound","payload":"AA=="}}"#,
            r#"{"event":"media","sequenceNumber":"1234567890123456789","media":{"track":"inbound","payload":"AA=="}}"#,
            r#"{"event":"media","sequenceNumber":"7,"media":{"track":"inbound","payload":"AA=="}}"#,
            r#"{"event":"media","sequenceNumber":"","media":{"track":"inbound","payload":"AA=="}}"#,
            r#"{"event":"media","sequenceNumber":,"media":{"track":"inbound","payload":"AA=="}}"#,
            r#"{"event":"media","eventual":"x","media":{"track":"inbound","payload":"AA=="}}"#,
            "{\"event\":\"media\",\"streamSid\":\"MZ\n\",\"media\":{\"track\":\"inbound\",\"payload\":\"AA==\"}}",
            r#"{"event":"media","streamSid":"M\u005a","media":{"track":"inbound","payload":"AA=="}}"#,
            r#"{"event":"media","media":{"track":"inbound","payload":"AA==}}"#,
            r#"{"event":"media","sequenceNumber":-7,"media":{"track":"inbound","payload":"AA=="}}"#,
            r#"{"event":"media","sequenceNumber":7.5,"media":{"track":"inbound","payload":"AA=="}}"#,
            r#"{"event":"media","media":{"track":"inbound","payload":"AA=="}} x"#,
            r#"{"event":"media","media":{"track":"inbound","payload":"AA=="},}"#,
            r#"{"event":"stop","media":{"track":"inbound","payload":"AA=="}}"#,
            r#"{"event":"media","media":{"track":"inbound","payload":"AA=="}"#,
            "{}",
            "",
        ] {
            assert_eq!(media(unusual), None, "{unusual}");
        }
    }
}
