//! Why a peer did not answer, and what to do about it.
//!
//! Promises: each cause has its own sentence and its own advice; what a peer or a library says is repeated in one short line.

use std::io::ErrorKind;

use crate::{net::DialError, upstream::Reason};

/// Why a peer did not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// Its name does not resolve.
    UnknownHost(String),
    /// Nobody listens there.
    Refused,
    /// No way there, by this cause.
    NoWay(String),
    /// TLS did not come about, in the library's words.
    Tls(String),
    /// It took the connection and said nothing.
    Timeout,
    /// It took the connection and broke it off.
    Broken,
    /// It speaks something else.
    NotHttp,
}

impl From<&DialError> for NoAnswer {
    fn from(error: &DialError) -> Self {
        match error {
            DialError::Resolve { host } => Self::UnknownHost(host.clone()),
            DialError::Connect { kind: ErrorKind::ConnectionRefused, .. } => Self::Refused,
            DialError::Timeout { .. } | DialError::Connect { kind: ErrorKind::TimedOut, .. } => Self::Timeout,
            DialError::Connect { kind, .. } => Self::NoWay(kind.to_string()),
            DialError::Tls { reason, .. } => Self::Tls(short(reason)),
            DialError::BadUrl | DialError::NotPublic { .. } => Self::NoWay(error.to_string()),
        }
    }
}

impl NoAnswer {
    /// What happened at `address`, within `seconds`.
    pub(super) fn text(&self, address: &str, seconds: u64) -> String {
        match self {
            Self::UnknownHost(host) => format!("{address}: the name {} does not resolve", short(host)),
            Self::Refused => format!("nobody listens at {address} (connection refused)"),
            Self::NoWay(why) => format!("no way to {address} ({why})"),
            Self::Tls(why) => format!("no TLS session with {address} ({why})"),
            Self::Timeout => format!("{address} did not answer within {seconds} s"),
            Self::Broken => format!("{address} broke the connection off"),
            Self::NotHttp => format!("{address} does not answer in HTTP"),
        }
    }

    /// What to do about it; `setting` names the address, `peer` what should be there.
    pub(super) fn advice(&self, setting: &str, peer: &str) -> String {
        match self {
            Self::UnknownHost(_) => format!("check {setting} and this machine's DNS"),
            Self::Refused => format!("start the {peer}, or check host and port of {setting}"),
            Self::NoWay(_) => format!("check {setting}, the network and the firewall"),
            Self::Tls(why) => tls(why, setting),
            Self::Timeout => format!("check {setting}, the firewall, and whether the {peer} is well"),
            Self::Broken | Self::NotHttp => format!("check the scheme and the port of {setting}, and the {peer}'s log"),
        }
    }
}

/// By what rustls says.
fn tls(why: &str, setting: &str) -> String {
    let said = |words: &[&str]| words.iter().any(|word| why.contains(word));
    match () {
        () if said(&["UnknownIssuer"]) => "add its certificate authority to this system's certificates".to_owned(),
        () if said(&["Expired", "expired", "NotValidYet", "not valid yet"]) => {
            "have its certificate renewed, or check this machine's clock".to_owned()
        }
        () if said(&["NotValidForName", "not valid for"]) => {
            format!("its certificate is for another name: check the host of {setting}")
        }
        () if said(&["InvalidContentType", "corrupt message"]) => {
            format!("it speaks no TLS there: check the scheme and the port of {setting}")
        }
        () => format!("check {setting}, this system's certificates and its clock"),
    }
}

/// Somebody else's words in one short line.
pub(super) fn short(text: &str) -> String {
    Reason::before_a_call(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::TlsTrouble;

    #[test]
    fn every_cause_has_its_own_sentence_and_advice() {
        let host = || "nowhere.invalid".to_owned();
        let tls = |reason: &str| DialError::Tls { host: host(), reason: reason.to_owned(), trouble: TlsTrouble::Handshake };
        let causes = [
            DialError::Resolve { host: host() },
            DialError::Connect { host: host(), kind: ErrorKind::ConnectionRefused },
            DialError::Connect { host: host(), kind: ErrorKind::NetworkUnreachable },
            tls("invalid peer certificate: UnknownIssuer"),
            tls("invalid peer certificate: certificate expired: …"),
            tls("invalid peer certificate: certificate not valid for name \"a\""),
            tls("received corrupt message of type InvalidContentType"),
            tls("received fatal alert: HandshakeFailure"),
            DialError::Timeout { host: host() },
            DialError::BadUrl,
        ];
        let causes = causes.iter().map(NoAnswer::from).chain([NoAnswer::Broken, NoAnswer::NotHttp]);
        let lines = causes.map(|why| {
            let (text, advice) = (why.text("https://nowhere.invalid/in", 5), why.advice("webhook.url", "receiver"));
            format!("{text}\n  → {advice}\n")
        });
        insta::assert_snapshot!(lines.collect::<String>(), @r#"
        https://nowhere.invalid/in: the name nowhere.invalid does not resolve
          → check webhook.url and this machine's DNS
        nobody listens at https://nowhere.invalid/in (connection refused)
          → start the receiver, or check host and port of webhook.url
        no way to https://nowhere.invalid/in (network unreachable)
          → check webhook.url, the network and the firewall
        no TLS session with https://nowhere.invalid/in (invalid peer certificate: UnknownIssuer)
          → add its certificate authority to this system's certificates
        no TLS session with https://nowhere.invalid/in (invalid peer certificate: certificate expired:)
          → have its certificate renewed, or check this machine's clock
        no TLS session with https://nowhere.invalid/in (invalid peer certificate: certificate not valid for name "a")
          → its certificate is for another name: check the host of webhook.url
        no TLS session with https://nowhere.invalid/in (received corrupt message of type InvalidContentType)
          → it speaks no TLS there: check the scheme and the port of webhook.url
        no TLS session with https://nowhere.invalid/in (received fatal alert: HandshakeFailure)
          → check webhook.url, this system's certificates and its clock
        https://nowhere.invalid/in did not answer within 5 s
          → check webhook.url, the firewall, and whether the receiver is well
        no way to https://nowhere.invalid/in (the URL needs http, https, ws or wss and a host)
          → check webhook.url, the network and the firewall
        https://nowhere.invalid/in broke the connection off
          → check the scheme and the port of webhook.url, and the receiver's log
        https://nowhere.invalid/in does not answer in HTTP
          → check the scheme and the port of webhook.url, and the receiver's log
        "#);
    }

    #[test]
    fn an_unreachable_host_that_swallows_packets_is_a_timeout() {
        let swallowed = DialError::Connect { host: "h".to_owned(), kind: ErrorKind::TimedOut };
        assert_eq!(NoAnswer::from(&swallowed), NoAnswer::Timeout);
    }
}
