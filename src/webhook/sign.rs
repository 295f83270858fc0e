//! Standard Webhooks 1.0.0 signatures: id, timestamp and body to a header, and the check of one.
//!
//! Promises: a signature is `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`; several keys give several
//! signatures in one header, so that secrets can rotate; checking takes the same time whether a byte is right or wrong.
//! Source: <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>.

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

/// The header with the event's id.
pub const ID_HEADER: &str = "webhook-id";
/// The header with the attempt's time, in seconds since 1970-01-01 UTC.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// The header with the signatures, separated by spaces.
pub const SIGNATURE_HEADER: &str = "webhook-signature";
/// How far an attempt's time may lie from the receiver's clock either way, in seconds: the reference libraries' five minutes.
pub const TOLERANCE_S: u64 = 300;
/// The most signatures that are looked at in one header, so that a long one costs nothing.
const MAX_SIGNATURES: usize = 16;

/// Why a secret cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSecret {
    /// Not base64 behind the prefix.
    #[error("the webhook secret is not `whsec_` followed by base64")]
    NotBase64,
    /// The standard asks for 24 to 64 bytes.
    #[error("the webhook secret must hold 24 to 64 bytes")]
    Length,
}

/// A secret's bytes, ready to sign; wiped when dropped, never shown.
pub struct SigningKey(Zeroizing<Vec<u8>>);

impl SigningKey {
    /// Reads `whsec_` and base64 (the prefix may be missing).
    ///
    /// # Errors
    /// If it is not base64 or has not 24 to 64 bytes.
    pub fn parse(secret: &SecretString) -> Result<Self, BadSecret> {
        let text = secret.expose_secret().trim();
        let bytes = BASE64_STANDARD.decode(text.strip_prefix("whsec_").unwrap_or(text)).map_err(|_| BadSecret::NotBase64)?;
        let bytes = Zeroizing::new(bytes);
        if (24..=64).contains(&bytes.len()) { Ok(Self(bytes)) } else { Err(BadSecret::Length) }
    }

    fn mac(&self, id: &str, timestamp_s: u64, body: &[u8]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(format!("{id}.{timestamp_s}.").as_bytes());
        mac.update(body);
        mac.finalize().into_bytes().into()
    }
}

/// The signature header of one attempt: one `v1,…` for each key, separated by spaces.
#[must_use]
pub fn sign(keys: &[SigningKey], id: &str, timestamp_s: u64, body: &[u8]) -> String {
    let signatures = keys.iter().map(|key| format!("v1,{}", BASE64_STANDARD.encode(key.mac(id, timestamp_s, body))));
    signatures.collect::<Vec<_>>().join(" ")
}

/// Why a posted event is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// A header is missing or malformed.
    #[error("a webhook header is missing or malformed")]
    Malformed,
    /// Older or newer than [`TOLERANCE_S`].
    #[error("the webhook's timestamp is more than {TOLERANCE_S} s from this clock")]
    Timestamp,
    /// No signature is by a known key.
    #[error("no signature matches")]
    Signature,
}

/// Checks one post as a receiver would; `now_s` are seconds since 1970-01-01 UTC.
///
/// # Errors
/// Says which check failed.
pub fn verify(
    keys: &[SigningKey],
    id: &str,
    timestamp: &str,
    signatures: &str,
    body: &[u8],
    now_s: u64,
) -> Result<(), Unverified> {
    let timestamp_s: u64 = timestamp.parse().map_err(|_| Unverified::Malformed)?;
    if id.is_empty() {
        return Err(Unverified::Malformed);
    }
    if timestamp_s.abs_diff(now_s) > TOLERANCE_S {
        return Err(Unverified::Timestamp);
    }
    let offered: Vec<Vec<u8>> = signatures
        .split_ascii_whitespace()
        .filter_map(|one| BASE64_STANDARD.decode(one.strip_prefix("v1,")?).ok())
        .take(MAX_SIGNATURES)
        .collect();
    let matches = keys.iter().fold(Choice::from(0), |found, key| {
        let mac = key.mac(id, timestamp_s, body);
        offered.iter().fold(found, |found, one| found | one.ct_eq(&mac[..]))
    });
    if bool::from(matches) { Ok(()) } else { Err(Unverified::Signature) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const OTHER: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const AT: u64 = 1_614_265_330;
    const HEADER: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn key(secret: &str) -> SigningKey {
        SigningKey::parse(&secret.into()).unwrap()
    }

    #[test]
    fn the_standards_own_vector_comes_out() {
        assert_eq!(sign(&[key(SECRET)], ID, AT, BODY), HEADER);
        assert_eq!(sign(&[key(&SECRET["whsec_".len()..])], ID, AT, BODY), HEADER);
    }

    #[test]
    fn two_keys_sign_once_each_and_either_is_believed() {
        let header = sign(&[key(OTHER), key(SECRET)], ID, AT, BODY);
        assert!(header.ends_with(&format!(" {HEADER}")));
        for known in [SECRET, OTHER] {
            assert_eq!(verify(&[key(known)], ID, "1614265330", &header, BODY, AT), Ok(()));
        }
    }

    #[test]
    fn a_changed_id_time_body_or_signature_is_not_believed() {
        let check = |id, at, header: &str, body, now| verify(&[key(SECRET)], id, at, header, body, now);
        let at = "1614265330";
        assert_eq!(check("msg_other", at, HEADER, BODY, AT), Err(Unverified::Signature));
        assert_eq!(check(ID, "1614265331", HEADER, BODY, AT), Err(Unverified::Signature));
        assert_eq!(check(ID, at, HEADER, b"{}", AT), Err(Unverified::Signature));
        assert_eq!(check(ID, at, "v1,AAAA v2,x", BODY, AT), Err(Unverified::Signature));
        assert_eq!(check(ID, at, "", BODY, AT), Err(Unverified::Signature));
        assert_eq!(check(ID, "yesterday", HEADER, BODY, AT), Err(Unverified::Malformed));
        assert_eq!(check("", at, HEADER, BODY, AT), Err(Unverified::Malformed));
        assert_eq!(check(ID, at, HEADER, BODY, AT + TOLERANCE_S), Ok(()));
        assert_eq!(check(ID, at, HEADER, BODY, AT + TOLERANCE_S + 1), Err(Unverified::Timestamp));
        assert_eq!(check(ID, at, HEADER, BODY, AT - TOLERANCE_S - 1), Err(Unverified::Timestamp));
    }

    #[test]
    fn a_secret_is_refused_by_what_is_wrong_with_it() {
        assert_eq!(SigningKey::parse(&"whsec_not base64".into()).err(), Some(BadSecret::NotBase64));
        assert_eq!(SigningKey::parse(&"whsec_AAAA".into()).err(), Some(BadSecret::Length));
        assert_eq!(SigningKey::parse(&format!("whsec_{}", "A".repeat(88)).into()).err(), Some(BadSecret::Length));
    }
}
