//! Where the settings come from, and which of them somebody should know of.
//!
//! Promises: pure; warns of what `serve` warns of at its start, and of what it is silent about.

use super::{Check, State, under};
use crate::config::{Config, NO_STREAM, Origin};

/// Anybody on the machine may read it.
const BY_OTHERS: u32 = 0o004;

/// A file with secrets in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SecretFile {
    /// As it was named.
    pub(super) path: String,
    /// Its permission bits, where they can be seen.
    pub(super) mode: Option<u32>,
}

/// The files that hold secrets, by the settings' origins; each once.
pub(super) fn secret_files(config: &Config) -> Vec<String> {
    let holds = |path: &str, is_secret| is_secret || path == "webhook.endpoints";
    let secret = config.origins().filter(|(key, _)| holds(key.path, key.is_secret()));
    let mut files: Vec<String> = secret
        .filter_map(|(_, origin)| match origin {
            Origin::File { name, .. } => Some(name.to_string()),
            Origin::NamedFile { path, .. } => Some(path),
            Origin::Default | Origin::Environment(_) | Origin::Argument(_) => None,
        })
        .collect();
    files.sort();
    files.dedup();
    files
}

/// `misspelt`: variables that set nothing, each with the one that may be meant.
pub(super) fn judge(config: &Config, files: &[SecretFile], misspelt: &[(String, String)]) -> Vec<Check> {
    let warn = |text: &str| Check::new("settings", State::Warn, text);
    let mut found: Vec<Check> = files.iter().filter_map(exposed).collect();
    let miss = |(name, meant): &(String, String)| {
        warn(&format!("{name} is set, and is no setting")).advise(format!("did you mean {meant}?"))
    };
    found.extend(misspelt.iter().map(miss));
    // That nothing gets in is more than a warning, and said with Twilio's settings.
    found.extend(config.warnings().iter().filter(|line| *line != NO_STREAM).map(|line| warn(line)));
    if config.webhook.endpoints.is_empty() {
        let advice = "set webhook.url and webhook.secret (PULSE_BRIDGE_WEBHOOK_URL, PULSE_BRIDGE_WEBHOOK_SECRET)";
        found.push(warn("no webhook endpoint is set: events are stored and served by the API only").advise(advice));
    }
    let serves_twilio = !config.twilio.auth_tokens.is_empty() || config.twilio.allow_unsigned;
    if serves_twilio && config.origin("twilio.after") == Origin::Default {
        let advice = r#"set it to what the call is for, e.g. twilio.after = "<Dial>NUMBER</Dial>" (PULSE_BRIDGE_TWILIO_AFTER)"#;
        found.push(warn("twilio.after is not set: /twilio/voice only keeps the call up, in silence").advise(advice));
    }
    under("settings", sources(config), found)
}

fn exposed(file: &SecretFile) -> Option<Check> {
    let mode = file.mode.filter(|mode| mode & BY_OTHERS != 0)?;
    let text = format!("{} holds secrets, and everybody on this machine can read it (mode {:03o})", file.path, mode & 0o777);
    Some(Check::new("settings", State::Warn, text).advise(format!("chmod 600 {}", file.path)))
}

/// `pulse-bridge.toml, 2 values from the environment, 1 from a file`.
fn sources(config: &Config) -> String {
    let count = |wanted: fn(&Origin) -> bool| config.origins().filter(|(_, origin)| wanted(origin)).count();
    let environment = count(|origin| matches!(origin, Origin::Environment(_)));
    let files = count(|origin| matches!(origin, Origin::NamedFile { .. }));
    let mut parts = vec![config.settings_file().unwrap_or("no settings file").to_owned()];
    let mut counted = |number: usize, from: &str| {
        let values = match (parts.len(), number) {
            (1, 1) => " value",
            (1, _) => " values",
            _ => "",
        };
        if number > 0 {
            parts.push(format!("{number}{values} from {from}"));
        }
    };
    counted(environment, "the environment");
    counted(files, if files == 1 { "a file" } else { "files" });
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Sources, demo::settings_for};

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn lines(config: &Config, files: &[SecretFile], misspelt: &[(String, String)]) -> String {
        let line = |check: Check| {
            let advice = check.advice.map(|advice| format!("\n  → {advice}")).unwrap_or_default();
            format!("{:?} {}{advice}\n", check.state, check.text)
        };
        judge(config, files, misspelt).into_iter().map(line).collect()
    }

    #[test]
    fn the_first_line_says_where_the_values_come_from() {
        let sources = |file: Option<&str>, names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let value = |name: &str| names.contains(&name.to_owned()).then(|| "x".to_owned());
            let file = file.map(|text| ("pulse-bridge.toml", text));
            let read_file = |_: &str| Ok("secret-of-a-file".to_owned());
            sources(&Config::load(&Sources { file, env: &value, env_names: &names, read_file: &read_file }).unwrap())
        };
        let (key, token, ingest) = ("SMALLEST_API_KEY", "TWILIO_AUTH_TOKEN", "PULSE_BRIDGE_INGEST_TOKENS_FILE");
        let all = [
            sources(None, &[]),
            sources(Some("listen = \"127.0.0.1:1\""), &[]),
            sources(Some(""), &[key, token, ingest]),
            sources(None, &[key]),
            sources(None, &["SMALLEST_API_KEY_FILE", ingest]),
        ];
        insta::assert_snapshot!(all.join("\n"), @r"
        no settings file
        pulse-bridge.toml
        pulse-bridge.toml, 2 values from the environment, 1 from a file
        no settings file, 1 value from the environment
        no settings file, 2 values from files
        ");
    }

    #[test]
    fn what_somebody_should_know_of_stands_below() {
        let open = settings_for(
            None,
            &[("PULSE_BRIDGE_TWILIO_ALLOW_UNSIGNED", "true"), ("PULSE_BRIDGE_INGEST_ALLOW_UNAUTHENTICATED", "true")],
        );
        let files = [("tight.toml", Some(0o100_640)), ("loose.toml", Some(0o100_644)), ("gone.toml", None)];
        let files = files.map(|(path, mode)| SecretFile { path: path.to_owned(), mode });
        let misspelt = [("SMALLEST_KEY".to_owned(), "SMALLEST_API_KEY".to_owned())];
        insta::assert_snapshot!(lines(&open.unwrap(), &files, &misspelt), @r#"
        Ok no settings file, 2 values from the environment
        Warn loose.toml holds secrets, and everybody on this machine can read it (mode 644)
          → chmod 600 loose.toml
        Warn SMALLEST_KEY is set, and is no setting
          → did you mean SMALLEST_API_KEY?
        Warn twilio.allow_unsigned is on: anyone who finds the port can stream calls here
        Warn ingest.allow_unauthenticated is on: anyone who finds the port can stream calls here
        Warn no webhook endpoint is set: events are stored and served by the API only
          → set webhook.url and webhook.secret (PULSE_BRIDGE_WEBHOOK_URL, PULSE_BRIDGE_WEBHOOK_SECRET)
        Warn twilio.after is not set: /twilio/voice only keeps the call up, in silence
          → set it to what the call is for, e.g. twilio.after = "<Dial>NUMBER</Dial>" (PULSE_BRIDGE_TWILIO_AFTER)
        "#);
    }

    #[test]
    fn nothing_is_said_where_nothing_is_to_know() {
        let well = settings_for(
            None,
            &[
                ("TWILIO_AUTH_TOKEN", "0123456789abcdef0123456789abcdef"),
                ("PULSE_BRIDGE_TWILIO_AFTER", "<Dial>+15550100</Dial>"),
                ("PULSE_BRIDGE_WEBHOOK_URL", "https://h.example/in"),
                ("PULSE_BRIDGE_WEBHOOK_SECRET", SECRET),
            ],
        );
        assert_eq!(lines(&well.unwrap(), &[], &[]), "Ok no settings file, 4 values from the environment\n");
        let silent = settings_for(None, &[]).unwrap();
        assert!(!lines(&silent, &[], &[]).contains("no stream can get in"), "that is said with Twilio's settings");
    }

    #[test]
    fn files_with_secrets_are_known_by_the_values_that_came_from_them() {
        let file = format!("[[webhook.endpoints]]\nname = \"a\"\nurl = \"http://h/\"\nsecrets = [\"{SECRET}\"]");
        assert_eq!(secret_files(&settings_for(Some(&file), &[]).unwrap()), ["settings"]);
        assert_eq!(secret_files(&settings_for(Some("api_token = \"x\""), &[]).unwrap()), ["settings"]);
        assert!(secret_files(&settings_for(Some("data_dir = \"x\""), &[("SMALLEST_API_KEY", "k")]).unwrap()).is_empty());
        let names = ["SMALLEST_API_KEY_FILE".to_owned()];
        let sources = Sources {
            file: None,
            env: &|name| (name == names[0]).then(|| "/run/key".to_owned()),
            env_names: &names,
            read_file: &|_| Ok("k".to_owned()),
        };
        assert_eq!(secret_files(&Config::load(&sources).unwrap()), ["/run/key"]);
    }
}
