//! Checking a Standard Webhooks signature, as any receiver would.
//!
//! Promises: pure; compares in constant time; takes several signatures in the header and several secrets; a timestamp more
//! than five minutes off either way is refused.

use secrecy::SecretString;
use serde::Serialize;

use crate::webhook::sign::{self, SigningKey, Unverified};

/// Why a signature was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum BadSignature {
    /// One of the three headers is not there or not what it should be.
    #[error("a webhook- header is missing or malformed")]
    BadHeader,
    /// More than five minutes from the receiver's clock.
    #[error("webhook-timestamp is more than five minutes from this clock")]
    OffClock,
    /// A secret that is not `whsec_` and base64.
    #[error("the secret is not whsec_ and base64")]
    BadSecret,
    /// Nobody with one of the secrets signed this body.
    #[error("no signature fits")]
    NoMatch,
}

/// Checks that one of the `v1` signatures in `header` is one of `secrets`' over `id`, `timestamp` and `body`; `now` in Unix seconds.
///
/// # Errors
/// Says what is wrong.
pub fn verify(
    secrets: &[SecretString],
    id: &str,
    timestamp: &str,
    body: &[u8],
    header: &str,
    now: u64,
) -> Result<(), BadSignature> {
    let keys = secrets.iter().map(SigningKey::parse).collect::<Result<Vec<_>, _>>().map_err(|_| BadSignature::BadSecret)?;
    sign::verify(&keys, id, timestamp, header, body, now).map_err(|why| match why {
        Unverified::Malformed => BadSignature::BadHeader,
        Unverified::Timestamp => BadSignature::OffClock,
        Unverified::Signature => BadSignature::NoMatch,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector that the Standard Webhooks libraries share.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const AT: &str = "1614265330";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNED: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    const NOW: u64 = 1_614_265_330;

    fn check(secrets: &[&str], body: &[u8], header: &str, now: u64) -> Result<(), BadSignature> {
        let secrets: Vec<SecretString> = secrets.iter().map(|secret| (*secret).into()).collect();
        verify(&secrets, ID, AT, body, header, now)
    }

    #[test]
    fn the_shared_vector_verifies_beside_other_signatures_and_secrets() {
        assert_eq!(check(&[SECRET], BODY, SIGNED, NOW), Ok(()));
        assert_eq!(
            check(&["whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX", SECRET], BODY, &format!("v1a,x v1,AAAA {SIGNED}"), NOW + 300),
            Ok(())
        );
    }

    #[test]
    fn every_kind_of_wrong_is_refused_by_its_name() {
        assert_eq!(check(&[SECRET], b"{}", SIGNED, NOW), Err(BadSignature::NoMatch));
        assert_eq!(check(&["whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"], BODY, SIGNED, NOW), Err(BadSignature::NoMatch));
        assert_eq!(check(&[SECRET], BODY, "", NOW), Err(BadSignature::NoMatch));
        assert_eq!(check(&[SECRET], BODY, SIGNED, NOW + 301), Err(BadSignature::OffClock));
        assert_eq!(check(&[SECRET], BODY, SIGNED, NOW - 301), Err(BadSignature::OffClock));
        assert_eq!(check(&["whsec_!"], BODY, SIGNED, NOW), Err(BadSignature::BadSecret));
        assert_eq!(verify(&[SECRET.into()], ID, "soon", BODY, SIGNED, NOW), Err(BadSignature::BadHeader));
    }
}
