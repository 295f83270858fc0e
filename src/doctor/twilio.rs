//! Whether Twilio can reach this bridge, and whether its signature can fit.
//!
//! Promises: pure; every address that is shown is one that the signature check itself makes.

use url::{Host, Url};

use super::{Check, State, under};
use crate::{
    config::{Config, show_url},
    dialect::signature,
    net::Reach,
};

/// Where streams come in.
const MEDIA: &str = "/media/twilio";
/// Ends of names that nobody outside can resolve.
const NOT_PUBLIC: [&str; 6] = ["localhost", ".localhost", ".local", ".internal", ".lan", ".home.arpa"];
/// How the account's and an API key's names begin, and how long they are: neither signs anything.
const SIDS: [&str; 2] = ["AC", "SK"];
const SID_LENGTH: usize = 34;

/// What the settings alone do not show.
pub(super) struct Facts {
    /// What is wrong with `twilio.after`, if anything.
    pub(super) after: Option<String>,
    /// Whether an auth token looks like the name of an account or key.
    pub(super) has_sid: bool,
}

/// Whether this is the name of an account or of an API key rather than an auth token.
pub(super) fn is_sid(token: &str) -> bool {
    token.len() == SID_LENGTH && SIDS.iter().any(|start| token.starts_with(start))
}

pub(super) fn judge(config: &Config, facts: &Facts) -> Vec<Check> {
    let mut found: Vec<Check> = admission(config).into_iter().chain(public(config)).chain(tokens(config, facts)).collect();
    if let Some(why) = &facts.after {
        let why = config.error("twilio.after", why).to_string();
        found.push(fail(why).advise("mend it or take it out; serve does not start with it"));
    }
    match (&config.public_url, config.twilio.auth_tokens.len()) {
        (None, 0) if found.is_empty() => vec![Check::new("twilio", State::Skip, unused(config))],
        (public, tokens) => {
            let shown = public.as_ref().map_or_else(|| format!("http://{}", config.listen), show_url);
            let signed = shown.parse().ok().filter(|_| tokens > 0).map(|url| signed(&url)).unwrap_or_default();
            let tokens = if tokens == 1 { "1 auth token".to_owned() } else { format!("{tokens} auth tokens") };
            under("twilio", format!("{shown}, {tokens}{signed}"), found)
        }
    }
}

/// What a signature may be for.
fn signed(public_url: &Url) -> String {
    let also = if public_url.port().is_some() { "with no port, with :443, or " } else { "with :443 or " };
    format!("; signatures fit {}, also {also}a slash behind", address(public_url).unwrap_or_default())
}

/// Whether anything can get in at all.
fn admission(config: &Config) -> Option<Check> {
    let advice = "set TWILIO_AUTH_TOKEN, or PULSE_BRIDGE_INGEST_TOKENS, or allow unsigned streams on purpose with \
                  twilio.allow_unsigned";
    config.lets_no_stream_in().then(|| fail("no stream can get in: neither auth tokens nor ingest tokens are set").advise(advice))
}

fn public(config: &Config) -> Vec<Check> {
    let Some(url) = &config.public_url else {
        let advice = "set it to the address that Twilio dials, e.g. public_url = \"https://bridge.example.com\"";
        let text = "public_url is not set: no signature of Twilio's fits but for this machine's own address";
        let needed = !config.twilio.auth_tokens.is_empty();
        return needed.then(|| Check::new("twilio", State::Warn, text).advise(advice)).into_iter().collect();
    };
    let shown = show_url(url);
    let mut found = Vec::new();
    if !is_public(url) {
        let advice = "set it to the address of the proxy or tunnel in front, e.g. public_url = \"https://bridge.example.com\"";
        found.push(fail(format!("public_url is {shown}, which Twilio cannot reach from outside")).advise(advice));
    } else if url.scheme() != "https" {
        let secured = secured(url);
        let dialled = address(&secured).unwrap_or_default();
        let text = format!("public_url is {shown}; Twilio signs {dialled}");
        found.push(fail(text).advise(format!("set public_url = \"{}\"", show_url(&secured))));
    }
    if config.api_token.is_none() {
        let text = "public_url is set but api_token is not: serve does not start, API and dashboard would be open to anyone";
        found.push(fail(text).advise("set api_token (PULSE_BRIDGE_API_TOKEN), e.g. to what openssl rand -hex 24 prints"));
    }
    found
}

fn tokens(config: &Config, facts: &Facts) -> Vec<Check> {
    let mut found = Vec::new();
    if facts.has_sid {
        let text = "an auth token begins with AC or SK: that is the name of an account or key, which signs nothing";
        found.push(fail(text).advise("set TWILIO_AUTH_TOKEN to the account's auth token, beside its name in Twilio's console"));
    }
    if config.public_url.is_some() && config.twilio.auth_tokens.is_empty() && !config.lets_no_stream_in() {
        let text = "no auth token is set: what Twilio signs is not checked, and its webhooks get in only where anybody does";
        found.push(Check::new("twilio", State::Warn, text).advise("set TWILIO_AUTH_TOKEN to the account's auth token"));
    }
    found
}

fn fail(text: impl Into<String>) -> Check {
    Check::new("twilio", State::Fail, text)
}

fn unused(config: &Config) -> &'static str {
    match config.ingest.tokens.is_empty() {
        true => "not configured (no auth token, no public_url); streams get in unsigned",
        false => "not configured (no auth token, no public_url); streams get in by ingest token",
    }
}

/// Where Twilio dials for a stream.
fn address(public_url: &Url) -> Option<String> {
    let port = public_url.port().map(|port| format!(":{port}/")).unwrap_or_default();
    signature::candidates(public_url, MEDIA).into_iter().find(|address| address.contains(&port))
}

/// The same host with TLS, which a port that speaks plain HTTP does not have.
fn secured(url: &Url) -> Url {
    format!("https://{}", url.host_str().unwrap_or_default()).parse().unwrap_or_else(|_| url.clone())
}

fn is_public(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => Reach::PublicOnly.allows(address.into()),
        Some(Host::Ipv6(address)) => Reach::PublicOnly.allows(address.into()),
        Some(Host::Domain(name)) => name.contains('.') && !NOT_PUBLIC.iter().any(|end| name.ends_with(end)),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::settings_for;

    const TOKEN: (&str, &str) = ("TWILIO_AUTH_TOKEN", "0123456789abcdef0123456789abcdef");
    const API: (&str, &str) = ("PULSE_BRIDGE_API_TOKEN", "operator-token");
    const INGEST: (&str, &str) = ("PULSE_BRIDGE_INGEST_TOKENS", "quiet");
    const WELL: Facts = Facts { after: None, has_sid: false };

    fn lines(settings: &[(&str, &str)], facts: &Facts) -> String {
        let line = |check: Check| {
            let advice = check.advice.map(|advice| format!("\n  → {advice}")).unwrap_or_default();
            format!("{:?} {}{advice}\n", check.state, check.text)
        };
        judge(&settings_for(None, settings).unwrap(), facts).into_iter().map(line).collect()
    }

    fn public(url: &str) -> (&str, &str) {
        ("PULSE_BRIDGE_PUBLIC_URL", url)
    }

    #[test]
    fn what_works_is_one_line() {
        let works = [
            lines(&[TOKEN, API, public("https://bridge.example.com")], &WELL),
            lines(&[("TWILIO_AUTH_TOKEN", "one,two"), API, public("https://bridge.example.com:8443")], &WELL),
            lines(&[INGEST], &WELL),
            lines(&[("PULSE_BRIDGE_TWILIO_ALLOW_UNSIGNED", "true")], &WELL),
        ];
        insta::assert_snapshot!(works.concat(), @r"
        Ok https://bridge.example.com, 1 auth token; signatures fit wss://bridge.example.com/media/twilio, also with :443 or a slash behind
        Ok https://bridge.example.com:8443, 2 auth tokens; signatures fit wss://bridge.example.com:8443/media/twilio, also with no port, with :443, or a slash behind
        Skip not configured (no auth token, no public_url); streams get in by ingest token
        Skip not configured (no auth token, no public_url); streams get in unsigned
        ");
    }

    #[test]
    fn every_fault_has_its_line_and_what_to_do() {
        let bad_after = Facts { after: Some("twilio.after is not well-formed".to_owned()), has_sid: false };
        let faults = [
            lines(&[], &WELL),
            lines(&[TOKEN, API, public("http://bridge.example.com")], &WELL),
            lines(&[TOKEN, API, public("http://bridge.example.com:8080")], &WELL),
            lines(&[TOKEN, API, public("https://127.0.0.1")], &WELL),
            lines(&[TOKEN, public("https://bridge.example.com")], &WELL),
            lines(&[TOKEN], &WELL),
            lines(&[INGEST, API, public("https://bridge.example.com")], &WELL),
            lines(&[INGEST, ("PULSE_BRIDGE_TWILIO_AFTER", "<Dial>")], &bad_after),
            lines(&[TOKEN, API, public("https://bridge.example.com")], &Facts { after: None, has_sid: true }),
        ];
        insta::assert_snapshot!(faults.concat(), @r#"
        Fail no stream can get in: neither auth tokens nor ingest tokens are set
          → set TWILIO_AUTH_TOKEN, or PULSE_BRIDGE_INGEST_TOKENS, or allow unsigned streams on purpose with twilio.allow_unsigned
        Fail public_url is http://bridge.example.com; Twilio signs wss://bridge.example.com/media/twilio
          → set public_url = "https://bridge.example.com"
        Fail public_url is http://bridge.example.com:8080; Twilio signs wss://bridge.example.com/media/twilio
          → set public_url = "https://bridge.example.com"
        Fail public_url is https://127.0.0.1, which Twilio cannot reach from outside
          → set it to the address of the proxy or tunnel in front, e.g. public_url = "https://bridge.example.com"
        Fail public_url is set but api_token is not: serve does not start, API and dashboard would be open to anyone
          → set api_token (PULSE_BRIDGE_API_TOKEN), e.g. to what openssl rand -hex 24 prints
        Ok http://127.0.0.1:8080, 1 auth token; signatures fit ws://127.0.0.1:8080/media/twilio, also with no port, with :443, or a slash behind
        Warn public_url is not set: no signature of Twilio's fits but for this machine's own address
          → set it to the address that Twilio dials, e.g. public_url = "https://bridge.example.com"
        Ok https://bridge.example.com, 0 auth tokens
        Warn no auth token is set: what Twilio signs is not checked, and its webhooks get in only where anybody does
          → set TWILIO_AUTH_TOKEN to the account's auth token
        Fail PULSE_BRIDGE_TWILIO_AFTER: twilio.after is not well-formed
          → mend it or take it out; serve does not start with it
        Fail an auth token begins with AC or SK: that is the name of an account or key, which signs nothing
          → set TWILIO_AUTH_TOKEN to the account's auth token, beside its name in Twilio's console
        "#);
    }

    #[test]
    fn the_forms_of_the_address_that_are_named_are_those_that_are_checked() {
        let all = |url: &str| signature::candidates(&url.parse().unwrap(), MEDIA).join(" ");
        let plain = "wss://b.example/media/twilio wss://b.example/media/twilio/ \
                     wss://b.example:443/media/twilio wss://b.example:443/media/twilio/";
        assert_eq!(all("https://b.example"), plain);
        assert_eq!(
            all("https://b.example:8443"),
            format!("{plain} wss://b.example:8443/media/twilio wss://b.example:8443/media/twilio/")
        );
    }

    #[test]
    fn only_names_and_addresses_that_the_world_can_dial_are_public() {
        for (url, expected) in [
            ("https://bridge.example.com", true),
            ("https://8.8.8.8", true),
            ("https://localhost", false),
            ("https://bridge.localhost", false),
            ("https://bridge", false),
            ("https://bridge.internal", false),
            ("https://10.0.0.5", false),
            ("https://[::1]", false),
            ("https://[2606:4700::1]", true),
        ] {
            assert_eq!(is_public(&url.parse().unwrap()), expected, "{url}");
        }
    }

    #[test]
    fn the_name_of_an_account_is_no_token() {
        assert!(is_sid("AC0123456789abcdef0123456789abcdef") && is_sid("SK0123456789abcdef0123456789abcdef"));
        assert!(!is_sid("0123456789abcdef0123456789abcdef") && !is_sid("AC01"));
    }
}
