//! Being the phone: recorded calls played into any bridge as Twilio would send them (protocols/ingress.md section 3).
//!
//! Promises: the recording's bytes go out unchanged and in the recording's order, counters as strings; each call has ids of
//! its own; a recording without `stop` ends by a broken socket. Only a fault plan changes that, and says what it did. A [`Played`] says by
//! hash what was sent.

mod differ;
mod driver;
pub mod expect;
pub mod faults;
mod log;
mod report;
mod scan;
mod wire;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, atomic::AtomicU64},
};

use bytes::Bytes;
use secrecy::SecretString;
use serde::Serialize;
use url::Url;

pub use driver::{Arguments, Expect, Expectations, command, load, play, play_all};

use self::{expect::Comparison, faults::Faults};

use crate::{
    audio::{Wav, telephone},
    fixture::{Fixture, Media, Message, Start},
    media::Track,
    net::{Dialler, Reach},
};

/// Where a bridge listens by default.
pub const DEFAULT_TO: &str = "ws://127.0.0.1:8080/media/twilio";
/// Bytes in the frames that a file is cut into: 20 ms, as Twilio sends them.
const FRAME_BYTES: usize = 160;
/// Milliseconds in such a frame.
const FRAME_MS: u64 = 20;

/// A call to play.
#[derive(Debug, Clone)]
pub struct Recording {
    /// How it is called in results.
    pub name: String,
    /// What the phone sends, in order.
    pub messages: Vec<Message>,
    /// What of it is not as it was recorded, in a line each.
    pub notes: Vec<String>,
}

/// The ids under which a call is played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ids {
    /// `CA` and 32 hex digits.
    pub call_sid: String,
    /// `MZ` and 32 hex digits.
    pub stream_sid: String,
}

/// How fast a call is played.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// So many times as fast as it was spoken, 0.01 to 1000.
    Times(f64),
    /// As fast as the bridge takes it.
    Max,
}

impl std::str::FromStr for Pace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<f64>() {
            _ if text == "max" => Ok(Self::Max),
            Ok(times) if (0.01..=1000.0).contains(&times) => Ok(Self::Times(times)),
            _ => Err("give a number from 0.01 to 1000, or max".to_owned()),
        }
    }
}

/// How and whereto calls are played.
#[derive(Clone)]
pub struct Settings {
    /// The bridge's media route.
    pub to: Url,
    /// How fast.
    pub pace: Pace,
    /// Signs the handshake with this account token.
    pub sign_with: Option<SecretString>,
    /// The URL that is signed, where it is not the one that is dialled (a proxy in between).
    pub sign_url: Option<String>,
    /// Ids for a single call; absent: fresh ones for each call.
    pub ids: Option<Ids>,
    /// Custom parameters beside the recorded ones, which they replace by name.
    pub parameters: BTreeMap<String, String>,
    /// What goes wrong on the way.
    pub faults: Arc<Faults>,
    /// Connects, with TLS for `wss`.
    pub dialler: Dialler,
}

impl Settings {
    /// Plays to `to` at real time, unsigned, with fresh ids.
    #[must_use]
    pub fn new(to: Url) -> Self {
        Self {
            to,
            pace: Pace::Times(1.0),
            sign_with: None,
            sign_url: None,
            ids: None,
            parameters: BTreeMap::new(),
            faults: Arc::default(),
            dialler: Dialler::new(Reach::Anywhere),
        }
    }
}

/// How far all calls together have got.
#[derive(Debug, Default)]
pub struct Progress {
    /// Media messages sent.
    pub sent: AtomicU64,
    /// Media time of the call that is furthest, in milliseconds.
    pub at_ms: AtomicU64,
    /// Calls at their end.
    pub done: AtomicU64,
}

/// What one call came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Played {
    /// The recording's name.
    pub recording: String,
    /// The call's own id.
    pub call_sid: String,
    /// The stream's own id.
    pub stream_sid: String,
    /// Messages sent, media included.
    pub messages: u64,
    /// What was sent on each track.
    pub tracks: BTreeMap<Track, TrackSent>,
    /// From the first message sent to the last, in milliseconds.
    pub took_ms: u64,
    /// `stop`, `disconnect` (without a `stop`, as recorded or planned) or `failed`.
    pub ended: &'static str,
    /// How many frames suffered which fault of the plan.
    pub faults: BTreeMap<&'static str, u64>,
    /// What of the recording is not as it was recorded.
    pub notes: Vec<String>,
    /// Why it failed, in one line.
    pub error: Option<String>,
    /// From the call's end to the moment when its last event was there, in milliseconds, if that was asked for.
    pub completed_after_ms: Option<u64>,
    /// How its events compare with what is expected, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect: Option<Comparison>,
}

impl Played {
    /// Whether the call went through, and its events are what is expected.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.error.is_none() && self.expect.as_ref().is_none_or(Comparison::is_same)
    }
}

/// What was sent on one track.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TrackSent {
    /// Media messages.
    pub frames: u64,
    /// Audio bytes.
    pub bytes: u64,
    /// SHA-256 of the audio bytes, in hex.
    pub sha256: String,
}

impl fmt::Display for Played {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}  {}  {} messages", self.ended, self.call_sid, self.recording, self.messages)?;
        for (track, sent) in &self.tracks {
            write!(f, "  {track} {}.{:03} s", sent.bytes / 8000, sent.bytes % 8000 / 8)?;
        }
        for (number, (fault, count)) in self.faults.iter().enumerate() {
            write!(f, "{}{fault} {count}", if number == 0 { "  " } else { ", " })?;
        }
        self.error.as_ref().map_or(Ok(()), |error| write!(f, "  {error}"))
    }
}

impl Recording {
    /// A fixture's call.
    #[must_use]
    pub fn of_fixture(fixture: Fixture) -> Self {
        Self { name: fixture.name, messages: fixture.messages, notes: Vec::new() }
    }

    /// A file's sound as a call: one channel is the inbound track, two are both tracks, inbound first.
    #[must_use]
    pub fn of_wav(name: String, wav: &Wav) -> Self {
        let channels: Vec<Bytes> = telephone(wav).into_iter().map(Bytes::from).collect();
        let tracks: Vec<Track> = [Track::Inbound, Track::Outbound].into_iter().take(channels.len()).collect();
        let start = Start {
            sequence: 1,
            account_sid: format!("AC{:032}", 0),
            call_sid: String::new(),
            stream_sid: String::new(),
            tracks: tracks.clone(),
            parameters: BTreeMap::new(),
        };
        let mut messages = vec![Message::Connected, Message::Start(start)];
        let frames = channels.iter().map(|channel| channel.len().div_ceil(FRAME_BYTES)).max().unwrap_or(0);
        let mut sequence = 1;
        for number in 0..frames {
            for (track, channel) in tracks.iter().zip(&channels) {
                let from = (number * FRAME_BYTES).min(channel.len());
                sequence += 1;
                messages.push(Message::Media(Media {
                    sequence,
                    track: *track,
                    chunk: number as u64 + 1,
                    timestamp_ms: number as u64 * FRAME_MS,
                    audio: channel.slice(from..channel.len().min(from + FRAME_BYTES)),
                }));
            }
        }
        messages.push(Message::Stop { sequence: sequence + 1 });
        Self { name, messages, notes: Vec::new() }
    }

    /// How long it is, in milliseconds of media time from its first frame to its last.
    #[must_use]
    pub fn length_ms(&self) -> u64 {
        let stamps = || {
            self.messages.iter().filter_map(|message| match message {
                Message::Media(media) => Some(media.timestamp_ms),
                _ => None,
            })
        };
        stamps().next().map_or(0, |first| stamps().max().unwrap_or(first).saturating_sub(first))
    }

    /// How many media messages it has.
    #[must_use]
    pub fn media_messages(&self) -> u64 {
        self.messages.iter().filter(|message| matches!(message, Message::Media(_))).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wav_of_two_channels_is_a_call_of_both_tracks_and_its_last_frame_may_be_short() {
        let wav = Wav::parse(&crate::audio::test_file(7, 8, 8000, 2, &[7; 2 * 200])).unwrap();
        let recording = Recording::of_wav("x".into(), &wav);
        let media: Vec<(Track, u64, usize)> = recording
            .messages
            .iter()
            .filter_map(|message| match message {
                Message::Media(media) => Some((media.track, media.timestamp_ms, media.audio.len())),
                _ => None,
            })
            .collect();
        let (inbound, outbound) = (Track::Inbound, Track::Outbound);
        assert_eq!(media, [(inbound, 0, 160), (outbound, 0, 160), (inbound, 20, 40), (outbound, 20, 40)]);
        assert_eq!(recording.messages.last(), Some(&Message::Stop { sequence: 6 }));
    }

    #[test]
    fn a_speed_is_a_number_from_a_hundredth_to_1000_or_max() {
        assert_eq!("0.01".parse(), Ok(Pace::Times(0.01)));
        assert_eq!("2.5".parse(), Ok(Pace::Times(2.5)));
        assert_eq!("1000".parse(), Ok(Pace::Times(1000.0)));
        assert_eq!("max".parse(), Ok(Pace::Max));
        for bad in ["0", "0.009", "-1", "1000.1", "inf", "NaN", "fast"] {
            assert_eq!(bad.parse::<Pace>().unwrap_err(), "give a number from 0.01 to 1000, or max", "{bad}");
        }
    }
}
