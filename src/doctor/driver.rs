//! Gathers the facts: asks the peers, looks at the disk, all at once.
//!
//! Promises: every check ends within [`LIMIT`], so that all of them together do; nothing is written, and a `ping` to each
//! endpoint is the only event that is sent.

mod disk;
mod ping;

use std::{fs, os::unix::fs::PermissionsExt, sync::Arc, time::Duration};

use futures_util::future::join_all;
use secrecy::ExposeSecret;
use url::{Host, Url};

use super::{
    Check, Report, State,
    clock::{self, Reading},
    data, settings, speech, twilio, webhook,
};
use crate::{
    clock::{now, ulid},
    config::{Config, Effective, Origin, mask, misspelt, show_url, table},
    dialect::twiml,
    engine::driver::install,
    net::{Dialler, Reach},
    serve,
    upstream::{Probe, probe},
    webhook::{Endpoint, Endpoints},
};

/// The longest that any check may take.
pub const LIMIT: Duration = Duration::from_secs(5);

/// Checks everything that the settings name.
pub async fn examine(config: &Config) -> Report {
    let dialler = Arc::new(Dialler::new(Reach::Anywhere));
    let (endpoints, unusable) = match serve::endpoints(config) {
        Ok(endpoints) => (endpoints, None),
        Err(why) => (Endpoints::default(), Some(Check::new("settings", State::Fail, format!("{why:#}")))),
    };
    let pings = endpoints.iter().map(|endpoint| ping::ping(endpoint, secrets_of(config, endpoint), Arc::clone(&dialler)));
    let (data, (speech, speech_time), pings) =
        tokio::join!(disk::look(config), speech(config, Arc::clone(&dialler)), join_all(pings));

    let files = settings::secret_files(config).into_iter().map(|path| settings::SecretFile { mode: mode(&path), path });
    let names: Vec<String> = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()).collect();
    let mut checks = settings::judge(config, &files.collect::<Vec<_>>(), &misspelt(&names));
    checks.extend(unusable);
    let asked = speech_time.is_some() || !pings.is_empty();
    let readings = speech_time.flatten().into_iter().chain(pings.iter().filter_map(|(_, reading)| reading.clone()));
    checks.push(clock::judge(&readings.collect::<Vec<_>>(), asked));
    checks.extend(data.map_or_else(|| vec![hung(config)], |facts| data::judge(&config.data_dir, &facts)));
    checks.push(speech);
    checks.extend(pings.iter().map(|(facts, _)| webhook::judge(facts, LIMIT)));
    checks.extend(twilio::judge(config, &twilio_facts(config)));
    // A `database_url` is refused with the settings.
    checks.push(Check::new("database", State::Skip, "not configured (one node)"));
    Report::new(checks, in_effect(config))
}

/// The speech line, and, if there was anybody to ask, what its clock says.
async fn speech(config: &Config, dialler: Arc<Dialler>) -> (Check, Option<Option<Reading>>) {
    let Some(url) = config.upstream.speech_url() else { return (built_in(config), None) };
    let protocol = config.upstream.protocol;
    let facts = |outcome| speech::Facts { protocol, address: short(&url), key: key_of(config), chosen: chosen(config), outcome };
    let asked = match serve::upstream(config, &config.upstream, dialler, Arc::default()) {
        Ok(upstream) => probe(&upstream, &format!("doctor.{}", ulid()), now() + LIMIT).await,
        Err(why) => return (speech::judge(&facts(speech::Outcome::Unasked(format!("{why:#}"))), LIMIT), None),
    };
    let reading = reading("the speech service".to_owned(), &url, &asked);
    (speech::judge(&facts((&asked).into()), LIMIT), Some(reading))
}

/// The speech line where the built-in engine recognises.
fn built_in(config: &Config) -> Check {
    if let Err(why) = config.check_engine() {
        return speech::not_built_in(&why.to_string());
    }
    let found = install::find(&config.data_dir, config.engine.model);
    speech::built_in(config.engine.model, found.map(drop).map_err(|missing| missing.what))
}

fn reading(peer: String, url: &Url, asked: &Probe) -> Option<Reading> {
    asked.date.as_ref().and_then(|date| Reading::of_date(peer, is_here(url), date, asked.between_ms))
}

/// Where the key comes from, by the name under which it is looked for, and its end.
fn key_of(config: &Config) -> Option<(String, String)> {
    let key = config.upstream.api_key.as_ref()?;
    let name = match config.origin("upstream.api_key") {
        Origin::Environment(name) => name,
        Origin::NamedFile { path, variable } => format!("the key in {path} ({variable})"),
        other => format!("upstream.api_key ({other})"),
    };
    Some((name, mask(key)))
}

fn chosen(config: &Config) -> Vec<String> {
    let origins = config.origins().filter(|(key, _)| key.is_parameter || key.path == "upstream.extra");
    origins.map(|(key, origin)| format!("{} ({origin})", key.path)).collect()
}

fn secrets_of(config: &Config, endpoint: &Endpoint) -> String {
    let set = config.webhook.endpoints.iter().find(|set| set.name == *endpoint.name());
    set.map(|set| crate::config::masked(&set.secrets)).unwrap_or_default()
}

fn twilio_facts(config: &Config) -> twilio::Facts {
    let has_sid = config.twilio.auth_tokens.iter().any(|token| twilio::is_sid(token.expose_secret()));
    twilio::Facts { after: twiml::check_after(&config.twilio.after).err(), has_sid }
}

fn hung(config: &Config) -> Check {
    let text = format!("{} did not answer within {} s", config.data_dir.display(), LIMIT.as_secs());
    Check::new("data", State::Fail, text).advise("check the disk or the network file system that it is on")
}

/// What has a value, and a meaning in this version.
fn in_effect(config: &Config) -> Vec<Effective> {
    let is_later = |path: &str| table::find(path).is_some_and(|key| key.later);
    config.effective().into_iter().filter(|line| line.value != "-" && !is_later(&line.key)).collect()
}

/// An address with the last part of its path alone.
fn short(url: &Url) -> String {
    let shown = show_url(url);
    let path = shown.find("://").and_then(|at| shown[at + 3..].find('/').map(|slash| at + 3 + slash));
    match path.and_then(|first| Some((first, shown.rfind('/')?))) {
        Some((first, last)) if last > first => format!("{}/…{}", &shown[..first], &shown[last..]),
        _ => shown,
    }
}

fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn mode(path: &str) -> Option<u32> {
    fs::metadata(path).ok().map(|file| file.permissions().mode())
}
