//! A webhook receiver that checks what it is sent (Standard Webhooks 1.0.0, contract: Events).
//!
//! Promises: a delivery counts only if its signature is right and it was answered with 2xx; every one is reported, in the
//! order in which they were answered, with whether it was seen before and whether `seq` runs on without a gap.

mod driver;
mod fail;
mod ledger;
mod verify;

use std::fmt;

use bytes::Bytes;
use secrecy::SecretString;
use serde::Serialize;

pub use driver::{Arguments, command, serve};
pub use fail::{BadSpec, Fail};
pub use ledger::{Counts, Order};
pub use verify::{BadSignature, verify};

/// What the receiver checks, and how it fails.
#[derive(Clone, Default)]
pub struct Settings {
    /// Any of these may have signed, each `whsec_` and base64; none: signatures are not checked, which every report says.
    pub secrets: Vec<SecretString>,
    /// Which deliveries are refused on purpose.
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
    /// The HTTP status that was answered.
    pub status: u16,
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
        write!(f, "{seq:>3} {:<22} {}  ", self.kind, self.status)?;
        match &self.signature {
            Signature::Verified => f.write_str("signature verified"),
            Signature::Refused(why) => write!(f, "signature refused: {why}"),
            Signature::Unchecked => f.write_str("signature not checked"),
        }?;
        match self.order {
            None | Some(Order::Next | Order::Unnumbered) => Ok(()),
            Some(Order::Duplicate) => f.write_str("  duplicate"),
            Some(Order::Gap { expected }) => write!(f, "  out of order: expected seq {expected}"),
        }
    }
}
