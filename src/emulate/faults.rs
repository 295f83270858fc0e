//! How the emulator misbehaves, and on which connections.
//!
//! Promises: pure; without rules it behaves. A rule names its connections by number, by how often the same
//! `external_session_id` has connected, or by a part of that id; what it does not name it does not hold back.
//! Kinds that begin with `batch_` are for batch requests, all others for streams, so that one plan can have both.
//! The kinds are those of protocols/pulse.md section 11 item 8, and what else a service may do to a client; docs/tools.md lists them.

mod kinds;
mod manner;

use serde::{Deserialize, Serialize};

pub(super) use self::manner::{Manner, Wait};
use crate::plan;

/// The plan: `{"faults":[{"attempts":[0],"session":".inbound","kind":"drop","after_bytes":80000}]}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Faults {
    /// All rules that fit a connection hold on it.
    pub faults: Vec<Rule>,
}

/// One fault and the connections that suffer it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Which connections, counted by the server from 0 in the order of their handshakes; absent: all.
    #[serde(default)]
    pub connections: Option<Vec<u32>>,
    /// Which attempts with the same `external_session_id`, from 0; of batch kinds which batch requests; absent: all.
    #[serde(default)]
    pub attempts: Option<Vec<u32>>,
    /// A part of the `external_session_id`; absent: any.
    #[serde(default)]
    pub session: Option<String>,
    /// Only once the connection has said so many finals with words in them; absent: from the beginning. Not for what is decided before
    /// anything is said.
    #[serde(default)]
    pub after_finals: Option<u64>,
    /// What goes wrong.
    #[serde(flatten)]
    pub fault: Fault,
}

/// What goes wrong. Bytes are audio bytes of the connection as they came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fault {
    /// The handshake is refused: 429 (with `Retry-After`, in seconds, if given), 401, 403, 500, 503.
    Refuse {
        /// The HTTP status.
        status: u16,
        /// Seconds.
        #[serde(default)]
        retry_after: Option<u32>,
    },
    /// The plan has so many sessions: one more at once is refused.
    Limit {
        /// Connections at once, all of them counted.
        sessions: u32,
        /// How.
        #[serde(default)]
        how: Limit,
    },
    /// The handshake is refused with 403 if it asks for this: the plan lacks it.
    RefuseFlag {
        /// A parameter that is switched on.
        flag: String,
    },
    /// Whoever asks for this language gets an error frame and a close: the region does not serve it.
    RefuseLanguage {
        /// Which.
        language: String,
    },
    /// The connection is gone without a close frame.
    Drop {
        /// When.
        #[serde(default)]
        after_bytes: u64,
    },
    /// A close frame, 1008 where nothing else is said; 1005 is one without a code.
    Close {
        /// When.
        #[serde(default)]
        after_bytes: u64,
        /// The close code.
        #[serde(default = "policy")]
        code: u16,
    },
    /// An error frame, then a close with 1011.
    Error {
        /// When.
        #[serde(default)]
        after_bytes: u64,
        /// The error's words.
        #[serde(default = "decode_failed")]
        message: String,
    },
    /// From here on it says nothing more, yet keeps the connection and takes what comes.
    Stall {
        /// When.
        #[serde(default)]
        after_bytes: u64,
    },
    /// Every final comes twice.
    DuplicateFinal,
    /// Every so many finals one is never sent, although interims have shown its words.
    MissingFinal {
        /// 1: none is sent at all.
        #[serde(default = "second")]
        every: u64,
    },
    /// A final comes behind the first interim of the segment after it.
    LateFinal,
    /// A final ends in the middle of a run of six or more digits; the next one begins with the others.
    SplitEntity,
    /// A final ends inside its last word; the next one begins, without a space, with the rest.
    MidWordFinal,
    /// `close_stream` brings the last final, but no `is_last` and no close.
    NeverLast,
    /// The last words come with `is_last` itself.
    TextOnLast,
    /// No answer to `keepalive`.
    PongSilence,
    /// `speaker` as a string.
    StringSpeaker,
    /// Voice activity comes after the final it should have come before.
    LateVad,
    /// The handshake is answered late, or never.
    LateAccept {
        /// Milliseconds; absent: never.
        #[serde(default)]
        ms: Option<u64>,
    },
    /// The connection is gone without a close frame after so long by the clock, whatever was said.
    Flap {
        /// Milliseconds from the handshake.
        after_ms: u64,
    },
    /// From here on it reads slowly, or not at all.
    Slow {
        /// When.
        #[serde(default)]
        after_bytes: u64,
        /// 0: not at all.
        #[serde(default)]
        bytes_per_second: u64,
    },
    /// Each message comes up to so much later; their order stays.
    Jitter {
        /// Milliseconds.
        ms: u64,
        /// What the delays are drawn with.
        #[serde(default)]
        seed: u64,
    },
    /// Messages that mean nothing come in between: no JSON, wrong types, unknown types, binary ones, a long one.
    Garbage {
        /// How often, in bytes of audio.
        #[serde(default = "half_a_second")]
        every_bytes: u64,
    },
    /// One message that is longer than a client should take.
    Huge {
        /// When.
        #[serde(default)]
        after_bytes: u64,
        /// How long, in bytes; at most 16 MiB.
        #[serde(default = "mebibyte")]
        bytes: u64,
    },
    /// Bytes that are no WebSocket frame.
    BadFrame {
        /// When.
        #[serde(default)]
        after_bytes: u64,
    },
    /// Times count from zero again.
    ResetClock {
        /// When.
        #[serde(default)]
        after_bytes: u64,
    },
    /// The speaker has another number.
    Relabel {
        /// Which.
        #[serde(default = "one")]
        speaker: u32,
    },
    /// Every number of a final is a string.
    StringNumbers,
    /// No answer to WebSocket pings.
    PingSilence,
    /// The older ASR: the account has no plan for it.
    NoSubscription,
    /// The older ASR: the account has no money left.
    NoCredits,
    /// The older ASR: the account has too many streams.
    RateLimit,
    /// The older ASR: a region with these languages alone.
    Region {
        /// As `audioLanguage` names them.
        languages: Vec<String>,
    },
    /// The older ASR: the stream is ended after so long without audio, in place of 30 s.
    SocketTimeout {
        /// Milliseconds.
        after_ms: u64,
    },
    /// The older ASR: results have the two members of its own page alone.
    BareResults,
    /// A batch request is refused: any status, with the body that the service gives it, or with another of its forms.
    BatchRefuse {
        /// The HTTP status.
        status: u16,
        /// Seconds.
        #[serde(default)]
        retry_after: Option<u32>,
        /// The form of the body; absent: what goes with the status.
        #[serde(default)]
        form: Option<Form>,
    },
    /// A batch request is answered late.
    BatchDelay {
        /// Milliseconds.
        ms: u64,
    },
    /// The file is not decoded: 400 with `AudioDecodeError`.
    BatchDecodeError {
        /// Only files of this format tag (1: PCM, 7: mu-law); absent: all.
        #[serde(default)]
        tag: Option<u16>,
    },
    /// The file is too large: 413 on G, else 400.
    BatchTooLarge {
        /// Larger than this is.
        #[serde(default)]
        bytes: u64,
    },
    /// No more batch requests than this are taken in a minute: 429 with the seconds until one is.
    BatchLimit {
        /// How many.
        per_minute: usize,
    },
}

/// A body of a refused batch request (protocols/pulse.md section 8.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// `errors` is a list with the parameter's `path`.
    Parameters,
    /// `errors` is a plain string.
    Plain,
    /// `error_code` for a language that the region does not serve.
    Language,
    /// `code` for a file without audio.
    NoAudio,
    /// `message` alone.
    Message,
    /// `error` alone.
    Error,
}

/// How a connection beyond the plan is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// 429 in place of the upgrade.
    #[default]
    Refuse,
    /// The upgrade, and a close with 1008 right behind it.
    Close,
}

/// A fault of one connection, and from which final on it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Suffered {
    pub(super) fault: Fault,
    pub(super) after_finals: u64,
}

impl From<Fault> for Suffered {
    fn from(fault: Fault) -> Self {
        Self { fault, after_finals: 0 }
    }
}

const fn policy() -> u16 {
    1008
}

fn decode_failed() -> String {
    "Invalid audio".to_owned()
}

/// In bytes of 8 kHz mu-law.
const fn half_a_second() -> u64 {
    4000
}

const fn mebibyte() -> u64 {
    1 << 20
}

const fn second() -> u64 {
    2
}

const fn one() -> u32 {
    1
}

impl Faults {
    /// Reads a plan.
    ///
    /// # Errors
    /// One line that says what the plan should be like.
    pub fn of_json(json: &str) -> Result<Self, String> {
        let plan = plan::read::<Self, Rule>(json)?;
        let vain = plan.faults.iter().position(|rule| rule.after_finals.is_some() && rule.fault.is_of_the_socket());
        vain.map_or(Ok(plan), |rule| {
            Err(format!("has in rule {} after_finals, but what this kind does is decided before anything is said", rule + 1))
        })
    }

    /// One fault on every connection; for tests.
    #[must_use]
    pub fn always(fault: Fault) -> Self {
        Self { faults: vec![Rule::always(fault)] }
    }

    /// This plan and one more rule: a fault on some attempts of each session.
    #[must_use]
    pub fn and_on_attempts(mut self, attempts: &[u32], fault: Fault) -> Self {
        self.faults.push(Rule { attempts: Some(attempts.to_vec()), ..Rule::always(fault) });
        self
    }

    /// This plan and one more rule: a fault everywhere.
    #[must_use]
    pub fn and_always(mut self, fault: Fault) -> Self {
        self.faults.push(Rule::always(fault));
        self
    }

    /// What this stream suffers.
    pub(super) fn of_connection(&self, connection: u32, attempt: u32, session: &str) -> Vec<Suffered> {
        self.of(connection, attempt, session, false)
    }

    /// What this batch request suffers; `attempt` counts all of them, as they name no session.
    pub(super) fn of_batch(&self, connection: u32, attempt: u32) -> Vec<Suffered> {
        self.of(connection, attempt, "", true)
    }

    fn of(&self, connection: u32, attempt: u32, session: &str, is_batch: bool) -> Vec<Suffered> {
        let named = |list: &Option<Vec<u32>>, number| list.as_ref().is_none_or(|list| list.contains(&number));
        let fits = |rule: &&Rule| {
            rule.fault.is_of_batch() == is_batch
                && named(&rule.connections, connection)
                && named(&rule.attempts, attempt)
                && rule.session.as_ref().is_none_or(|part| session.contains(part.as_str()))
        };
        let suffered = |rule: &Rule| Suffered { fault: rule.fault.clone(), after_finals: rule.after_finals.unwrap_or(0) };
        self.faults.iter().filter(fits).map(suffered).collect()
    }
}

impl Rule {
    /// A fault on every connection, from the beginning.
    const fn always(fault: Fault) -> Self {
        Self { connections: None, attempts: None, session: None, after_finals: None, fault }
    }
}

#[cfg(test)]
mod tests;
