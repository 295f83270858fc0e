//! One-time tokens that bind a stream to the call it was ordered for: the handshake's signature covers only the URL, so a
//! captured one would open streams for ever. Source: protocols/ingress.md section 3.5, limits of the signature.
//!
//! Promises: a token is good once, for ten minutes, and for the call it was minted for; a used one is remembered until it would
//! have expired; memory is bounded; tokens are kept as hashes only, so neither a dump nor the time of a lookup gives one away.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::SecretString;
use sha2::{Digest, Sha256};

use crate::media::CallSid;

/// How long a token is good: Twilio opens the stream at once, only the call may ring for a while.
pub const LIFETIME: Duration = Duration::from_mins(10);
/// Most tokens remembered at once; the oldest give way. 100,000 answers in ten minutes are 166 a second, and about 20 MB.
pub const MOST: usize = 100_000;

type Hash = [u8; 32];

/// What a token is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Minted for this call, and now used.
    Good,
    /// Never minted, expired, or forgotten.
    Unknown,
    /// Good once, but not any more.
    Used,
    /// Minted for another call; still good for that one.
    OtherCall,
}

/// The tokens that are out.
#[derive(Debug, Default)]
pub struct Tokens {
    known: HashMap<Hash, Entry>,
    oldest_first: VecDeque<(Instant, Hash)>,
}

#[derive(Debug)]
struct Entry {
    call: CallSid,
    used: bool,
}

impl Tokens {
    /// Mints a token for `call`, made of 32 random bytes and good until [`LIFETIME`] from `now`.
    #[must_use]
    pub fn mint(&mut self, call: CallSid, chance: [u8; 32], now: Instant) -> SecretString {
        self.forget(now, MOST - 1);
        let token = URL_SAFE_NO_PAD.encode(chance);
        let hash = hash(&token);
        self.known.insert(hash, Entry { call, used: false });
        self.oldest_first.push_back((now + LIFETIME, hash));
        SecretString::from(token)
    }

    /// Uses a token for `call`; only [`Verdict::Good`] uses it up.
    pub fn consume(&mut self, token: &str, call: &CallSid, now: Instant) -> Verdict {
        self.forget(now, MOST);
        match self.known.get_mut(&hash(token)) {
            None => Verdict::Unknown,
            Some(entry) if entry.call != *call => Verdict::OtherCall,
            Some(entry) if entry.used => Verdict::Used,
            Some(entry) => {
                entry.used = true;
                Verdict::Good
            }
        }
    }

    /// Whether a token was minted and is not used yet; uses nothing up. For a token in a path, seen before the start.
    pub fn is_fresh(&mut self, token: &str, now: Instant) -> bool {
        self.forget(now, MOST);
        self.known.get(&hash(token)).is_some_and(|entry| !entry.used)
    }

    /// Drops what has expired, and the oldest of more than `most`.
    fn forget(&mut self, now: Instant, most: usize) {
        while let Some((expires, hash)) = self.oldest_first.front()
            && (*expires <= now || self.oldest_first.len() > most)
        {
            self.known.remove(hash);
            self.oldest_first.pop_front();
        }
    }
}

fn hash(token: &str) -> Hash {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn call(name: &str) -> CallSid {
        CallSid::new(name).unwrap()
    }

    #[test]
    fn a_token_is_good_once_and_for_its_call_only() {
        let now = crate::clock::now();
        let mut tokens = Tokens::default();
        let token = tokens.mint(call("CA1"), [7; 32], now);
        let token = token.expose_secret();
        assert_eq!(token.len(), 43);
        assert_eq!(tokens.consume("other", &call("CA1"), now), Verdict::Unknown);
        assert_eq!(tokens.consume(token, &call("CA2"), now), Verdict::OtherCall);
        assert!(tokens.is_fresh(token, now));
        assert_eq!(tokens.consume(token, &call("CA1"), now), Verdict::Good);
        assert_eq!(tokens.consume(token, &call("CA1"), now), Verdict::Used);
        assert_eq!(tokens.consume(token, &call("CA2"), now), Verdict::OtherCall);
        assert!(!tokens.is_fresh(token, now));
    }

    #[test]
    fn a_token_used_or_not_is_forgotten_when_it_expires() {
        let now = crate::clock::now();
        let mut tokens = Tokens::default();
        let used = tokens.mint(call("CA1"), [1; 32], now);
        let unused = tokens.mint(call("CA2"), [2; 32], now);
        let just_before = now + Duration::from_secs(599);
        assert_eq!(tokens.consume(used.expose_secret(), &call("CA1"), now), Verdict::Good);
        assert_eq!(tokens.consume(used.expose_secret(), &call("CA1"), just_before), Verdict::Used);
        assert!(tokens.is_fresh(unused.expose_secret(), just_before));
        assert_eq!(tokens.consume(used.expose_secret(), &call("CA1"), now + LIFETIME), Verdict::Unknown);
        assert_eq!(tokens.consume(unused.expose_secret(), &call("CA2"), now + LIFETIME), Verdict::Unknown);
        assert!(tokens.known.is_empty() && tokens.oldest_first.is_empty());
    }

    #[test]
    fn when_too_many_are_out_the_oldest_give_way() {
        let now = crate::clock::now();
        let mut tokens = Tokens::default();
        let chance = |number: usize| {
            let mut chance = [0; 32];
            chance[..8].copy_from_slice(&number.to_be_bytes());
            chance
        };
        let first = tokens.mint(call("CA1"), chance(0), now);
        let second = tokens.mint(call("CA1"), chance(1), now);
        for number in 2..=MOST {
            let _ = tokens.mint(call("CA1"), chance(number), now);
        }
        assert_eq!((tokens.known.len(), tokens.oldest_first.len()), (MOST, MOST));
        assert_eq!(tokens.consume(first.expose_secret(), &call("CA1"), now), Verdict::Unknown);
        assert_eq!(tokens.consume(second.expose_secret(), &call("CA1"), now), Verdict::Good);
    }
}
