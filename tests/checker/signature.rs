//! Whether a POST was signed by whoever knows the secret, after the text of Standard Webhooks 1.0.0 and nothing else.

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::received::Post;

/// How far the time of a POST may lie from its receiver's clock, in seconds.
const TOLERANCE_S: u64 = 300;

/// The secret's bytes.
pub(crate) struct Secret(Vec<u8>);

impl Secret {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.strip_prefix("whsec_").ok_or("the secret does not begin with whsec_")?;
        BASE64_STANDARD.decode(text).map(Self).map_err(|_| "the secret is not base64".to_owned())
    }

    /// Whether one of the POST's signatures is right, and its time near the receiver's.
    pub(crate) fn has_signed(&self, post: &Post) -> bool {
        let Ok(timestamp) = post.timestamp.parse::<u64>() else { return false };
        let is_one = |signature: &str| {
            let signature = signature.strip_prefix("v1,").and_then(|text| BASE64_STANDARD.decode(text).ok());
            signature.is_some_and(|signature| self.mac(post).verify_slice(&signature).is_ok())
        };
        timestamp.abs_diff(post.at_ms / 1000) <= TOLERANCE_S && post.signature.split(' ').any(is_one)
    }

    fn mac(&self, post: &Post) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        for part in [post.id.as_bytes(), b".", post.timestamp.as_bytes(), b".", &post.body] {
            mac.update(part);
        }
        mac
    }

    /// What the bridge would write into the header.
    #[cfg(test)]
    pub(crate) fn sign(&self, post: &Post) -> String {
        format!("v1,{}", BASE64_STANDARD.encode(self.mac(post).finalize().into_bytes()))
    }
}
