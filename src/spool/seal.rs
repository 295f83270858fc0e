//! Encryption of what lies at rest: data keys, and sealing bytes under one.
//!
//! Promises: a key has no `Debug`, no `Display`, and is wiped when dropped; sealed bytes open only under the same key with
//! the same associated data, so a piece moved elsewhere does not open. Nonces are arguments: 24 random bytes each, which
//! `XChaCha20` makes safe to draw at random.

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Bytes of a nonce.
pub const NONCE_BYTES: usize = 24;
/// Bytes by which sealing makes a text longer, the nonce not counted.
pub const TAG_BYTES: usize = 16;

/// A key for data at rest: a master key, or the data key of one session.
#[derive(Clone)]
pub struct DataKey(Zeroizing<[u8; 32]>);

impl DataKey {
    /// Takes 32 random bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// A key for another purpose that says nothing about this one, e.g. for the keyed hashes of the redaction gate.
    ///
    /// # Panics
    /// Never: HMAC takes keys of any length.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(&self.0[..]).expect("HMAC takes keys of any length");
        mac.update(purpose.as_bytes());
        mac.finalize().into_bytes().into()
    }

    /// Seals `clear`, bound to `about`.
    ///
    /// # Panics
    /// If `clear` is longer than the cipher's limit of 256 GB.
    #[must_use]
    pub fn seal(&self, nonce: &[u8; NONCE_BYTES], about: &[u8], clear: &[u8]) -> Vec<u8> {
        let payload = Payload { msg: clear, aad: about };
        self.cipher().encrypt(&XNonce::from(*nonce), payload).expect("no text here comes near the cipher's limit of 256 GB")
    }

    /// Opens what was sealed; `None` if anything about it was changed.
    #[must_use]
    pub fn open(&self, nonce: &[u8; NONCE_BYTES], about: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        self.cipher().decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: about }).ok()
    }

    /// Puts `inner` under this key, bound to `about` and to this key's name.
    #[must_use]
    pub fn wrap(&self, key_id: &str, nonce: &[u8; NONCE_BYTES], about: &str, inner: &Self) -> WrappedKey {
        let mut sealed = nonce.to_vec();
        sealed.extend(self.seal(nonce, &wrapping(key_id, about), &inner.0[..]));
        WrappedKey { key_id: key_id.to_owned(), sealed }
    }

    /// Takes a key out again; `None` if this is not the key that wraps it, or it belongs elsewhere.
    #[must_use]
    pub fn unwrap(&self, about: &str, wrapped: &WrappedKey) -> Option<Self> {
        let (nonce, sealed) = wrapped.sealed.split_first_chunk()?;
        let clear = Zeroizing::new(self.open(nonce, &wrapping(&wrapped.key_id, about), sealed)?);
        Some(Self::new(clear.as_slice().try_into().ok()?))
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&(*self.0).into())
    }
}

fn wrapping(key_id: &str, about: &str) -> Vec<u8> {
    format!("data key of {about} under {key_id}").into_bytes()
}

/// A session's data key under a master key; safe to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedKey {
    /// Which master key.
    pub key_id: String,
    /// Nonce and sealed key.
    pub sealed: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: [u8; NONCE_BYTES] = [7; NONCE_BYTES];

    #[test]
    fn what_is_sealed_opens_only_as_it_was() {
        let key = DataKey::new([1; 32]);
        let sealed = key.seal(&NONCE, b"here", b"audio");
        assert_eq!(sealed.len(), 5 + TAG_BYTES);
        assert_eq!(key.open(&NONCE, b"here", &sealed).as_deref(), Some(&b"audio"[..]));
        assert_eq!(key.open(&NONCE, b"there", &sealed), None);
        assert_eq!(key.open(&[8; NONCE_BYTES], b"here", &sealed), None);
        assert_eq!(DataKey::new([2; 32]).open(&NONCE, b"here", &sealed), None);
        let mut changed = sealed.clone();
        changed[0] ^= 1;
        assert_eq!(key.open(&NONCE, b"here", &changed), None);
    }

    #[test]
    fn a_wrapped_key_opens_for_its_session_alone() {
        let (master, data) = (DataKey::new([1; 32]), DataKey::new([3; 32]));
        let wrapped = master.wrap("k1", &NONCE, "ses_1", &data);
        assert!(!wrapped.sealed.windows(32).any(|window| window == [3; 32]));
        let again = master.unwrap("ses_1", &wrapped).unwrap();
        assert_eq!(again.derive("x"), data.derive("x"));
        assert!(master.unwrap("ses_2", &wrapped).is_none());
        assert!(master.unwrap("ses_1", &WrappedKey { key_id: "k2".into(), ..wrapped.clone() }).is_none());
        assert!(master.unwrap("ses_1", &WrappedKey { sealed: vec![1; 9], ..wrapped }).is_none());
    }

    #[test]
    fn derived_keys_differ_by_purpose_and_by_key() {
        let key = DataKey::new([1; 32]);
        assert_ne!(key.derive("gate"), key.derive("other"));
        assert_ne!(key.derive("gate"), DataKey::new([2; 32]).derive("gate"));
    }
}
