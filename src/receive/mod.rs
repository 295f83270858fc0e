//! A webhook receiver that checks what it is sent (Standard Webhooks 1.0.0, contract: Events).
//!
//! Promises: a delivery counts only if its signature is right and it was answered with 2xx; every one is reported, in the
//! order in which they were answered, with whether it was seen before and whether `seq` runs on without a gap. Nothing but a
//! right signature is ever failed on purpose: what is forged is refused.

mod driver;
mod fail;
mod ledger;
mod verify;

use std::fmt;

use bytes::Bytes;
use secrecy::SecretString;
use serde::Serialize;

pub use driver::{Arguments, command, serve};
pub use fail::{BadSpec, Fail, Spec};
pub use ledger::{Counts, Missing, Order};
pub use verify::{BadSignature, verify};

/// What the receiver checks, and how it fails.
#[derive(Clone, Default)]
pub struct Settings {
    /// Any of these may have signed, each `whsec_` and base64; none: signatures are not checked, which every report says.
    pub secrets: Vec<SecretString>,
    /// Which deliveries fail on purpose.
    pub fail: Fail,
}

/// Whether a delivery's signature is right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Signature {
    /// It is.
    Verified,
    /// It is not; answered 401.
    Refused(BadSignature),
    /// No secret was given to check with.
    Unchecked,
}

/// One delivery and what became of it.
#[derive(Debug, Clone, Serialize)]
pub struct Received {
    /// Counts the deliveries from 1, failed ones too.
    pub number: u64,
    /// The header, if there was one.
    pub webhook_id: Option<String>,
    /// The body's `type`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The body's `data.session_id`.
    pub session_id: Option<String>,
    /// The body's `data.seq`.
    pub seq: Option<u64>,
    /// Whether the signature is right.
    pub signature: Signature,
    /// How it stands to what came before; absent unless it was accepted.
    pub order: Option<Order>,
    /// The HTTP status that was answered; 0 where there was no answer.
    pub status: u16,
    /// How it was failed on purpose, in the word that asks for it; `left` if its sender did not wait for the answer.
    pub failed: Option<&'static str>,
    /// The bytes as posted.
    #[serde(skip)]
    pub body: Bytes,
    /// Every header as it came, names in lower case, for checking by someone else's code.
    #[serde(skip)]
    pub headers: Vec<(String, String)>,
}

impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seq = self.seq.map_or_else(|| "-".to_owned(), |seq| seq.to_string());
        match self.status {
            0 => write!(f, "{seq:>3} {:<22} ---  ", self.kind),
            status => write!(f, "{seq:>3} {:<22} {status}  ", self.kind),
        }?;
        match &self.signature {
            Signature::Verified => f.write_str("signature verified"),
            Signature::Refused(why) => write!(f, "signature refused: {why}"),
            Signature::Unchecked => f.write_str("signature not checked"),
        }?;
        match self.order {
            None | Some(Order::Next | Order::Unnumbered) => Ok(()),
            Some(Order::Duplicate) => f.write_str("  duplicate"),
            Some(Order::Gap { expected }) => write!(f, "  out of order: expected seq {expected}"),
        }?;
        match self.failed {
            None => Ok(()),
            Some("left") => f.write_str("  the sender left before the answer"),
            Some(way) => write!(f, "  on purpose: {way}"),
        }
    }
}

/// What all deliveries together came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Whether nothing was forged and no call that ended misses an event.
    pub passed: bool,
    /// How many of what.
    #[serde(flatten)]
    pub counts: Counts,
    /// Sessions with gaps in `seq`, those still under way too.
    pub missing: Vec<Missing>,
}

impl Summary {
    fn new(counts: Counts, missing: Vec<Missing>) -> Self {
        let passed = counts.forged == 0 && !missing.iter().any(|missing| missing.completed);
        Self { passed, counts, missing }
    }
}

/// Sessions with gaps that the last lines name; `--json` has them all.
const SHOWN_SESSIONS: usize = 10;

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { deliveries, accepted, duplicates, forged, failed, abandoned, out_of_order, complete_sessions, sessions } =
            &self.counts;
        let verdict = if self.passed { "passed" } else { "failed" };
        write!(
            f,
            "{verdict}  {deliveries} deliveries · {accepted} accepted · {duplicates} duplicates · {out_of_order} out of order · "
        )?;
        write!(f, "{forged} forged · {failed} failed on purpose · {abandoned} left by their sender · ")?;
        write!(f, "{complete_sessions} of {sessions} sessions complete")?;
        for Missing { session_id, completed, seqs } in self.missing.iter().take(SHOWN_SESSIONS) {
            let run = |(first, last): &(u64, u64)| if first == last { first.to_string() } else { format!("{first}-{last}") };
            let seqs = seqs.iter().map(run).collect::<Vec<_>>().join(", ");
            let state = if *completed { "ended" } else { "under way" };
            write!(f, "\n        {session_id} ({state}) misses seq {seqs}")?;
        }
        match self.missing.len().saturating_sub(SHOWN_SESSIONS) {
            0 => Ok(()),
            more => write!(f, "\n        and {more} sessions more"),
        }
    }
}
