//! The settings' rules, one table a kind of rule.

use std::{collections::HashMap, io, net::SocketAddr, time::Duration};

use secrecy::ExposeSecret;

use super::*;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const KEY_A: &str = "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

#[test]
fn the_mistake_in_the_contract_is_named_with_file_line_and_nearest_key() {
    let text = format!("{}[upstream]\nlangauge = \"en\"\n", "\n".repeat(12));
    let shown = format!("error: {}", from_file(&text).unwrap_err());
    insta::assert_snapshot!(shown, @r#"error: pulse-bridge.toml:14: unknown key "upstream.langauge"; did you mean "upstream.language"?"#);
}

#[test]
fn an_unknown_name_is_an_error_with_the_nearest_one() {
    let cases = [
        ("lissten = \"x\"", r#"pulse-bridge.toml:1: unknown key "lissten"; did you mean "listen"?"#),
        ("\n[upstrem]\nurl = \"ws://h\"", r#"pulse-bridge.toml:2: unknown key "upstrem"; did you mean "upstream"?"#),
        ("language = \"en\"", r#"pulse-bridge.toml:1: unknown key "language"; did you mean "upstream.language"?"#),
        (
            "[ingest]\nauth_tokens = []",
            r#"pulse-bridge.toml:2: unknown key "ingest.auth_tokens"; did you mean "twilio.auth_tokens"?"#,
        ),
        (
            "[[webhook.endpoints]]\nname = \"a\"\nurll = \"http://h\"",
            r#"pulse-bridge.toml:3: unknown key "webhook.endpoints.urll"; did you mean "webhook.endpoints.url"?"#,
        ),
        (
            "[redaction]\nenabled = false",
            r#"pulse-bridge.toml:2: "redaction.enabled" is not a setting: redaction cannot be switched off"#,
        ),
        ("upstream = 3", "pulse-bridge.toml:1: upstream is a section; write [upstream] and its keys below"),
    ];
    for (text, error) in cases {
        assert_eq!(from_file(text).unwrap_err().to_string(), error);
    }
}

#[test]
fn the_first_mistake_of_a_file_is_the_one_named() {
    let error = from_file("[upstream]\nzzz = 1\naaa = 2\n").unwrap_err().to_string();
    assert!(error.starts_with("pulse-bridge.toml:2:"), "{error}");
}

#[test]
fn an_unknown_variable_is_an_error_with_the_nearest_one() {
    let cases = [
        ("PULSE_BRIDGE_UPSTREAM_LANGAUGE", "PULSE_BRIDGE_UPSTREAM_LANGUAGE"),
        ("PULSE_BRIDGE_UPSTREAM_LANGUAGE_FILE", "PULSE_BRIDGE_UPSTREAM_LANGUAGE"),
        ("PULSE_BRIDGE_API_TOKENS", "PULSE_BRIDGE_API_TOKEN"),
    ];
    for (name, near) in cases {
        assert_eq!(from_env(&[(name, "x")]).unwrap_err().to_string(), format!("{name}: unknown setting; did you mean {near}?"));
    }
}

#[test]
fn a_name_of_the_services_own_that_is_nearly_right_is_noticed_and_no_error() {
    let names = [
        "TWILIO_AUTH_TOKENS",
        "TWILIO_AUTH_TOKEN",
        "SMALLEST_KEY",
        "SMALLEST_API_KEY_FLIE",
        "TWILIO_ACCOUNT_SID",
        "TWILIO_API_KEY",
        "TWILIO_API_SECRET",
        "HOME",
        "OPENAI_API_KEY",
    ];
    from_env(&names.map(|name| (name, "x"))).unwrap();
    let found = misspelt(&names.map(str::to_owned));
    let found: Vec<String> = found.into_iter().map(|(name, meant)| format!("{name} {meant}")).collect();
    let expected =
        ["TWILIO_AUTH_TOKENS TWILIO_AUTH_TOKEN", "SMALLEST_KEY SMALLEST_API_KEY", "SMALLEST_API_KEY_FLIE SMALLEST_API_KEY_FILE"];
    assert_eq!(found, expected);
}

#[test]
fn names_set_by_the_platform_are_not_taken_for_settings() {
    from_env(&[("PULSE_BRIDGE_SERVICE_HOST", "10.0.0.1"), ("PULSE_BRIDGE_PORT", "tcp://10.0.0.1:8080"), ("PULSE", "x")]).unwrap();
}

#[test]
fn every_default_of_the_contract_holds() {
    let config = from_file("").unwrap();
    assert_eq!(config.listen, SocketAddr::from(([127, 0, 0, 1], 8080)));
    assert_eq!((config.ingest.max_calls, config.ingest.max_call, config.ingest.silence), (1000, hours(4), seconds(60)));
    assert_eq!(config.upstream.chunk_ms, 60);
    assert_eq!((config.drain.deadline, config.upstream.close_deadline), (seconds(600), seconds(5)));
    assert_eq!((config.upstream.catch_up, config.spool.per_track), (seconds(60), seconds(3_600)));
    let shown = config.effective();
    let paths =
        ["upstream.max_sessions", "retention.calls", "retention.attempts", "retention.parked", "disk.reserve", "disk.min_free"];
    let values = paths.map(|path| shown.iter().find(|line| line.key == path).map(|line| line.value.as_str()).unwrap_or_default());
    assert_eq!(values, ["100", "30 d", "30 d", "90 d", "64 MiB", "256 MiB"]);
    assert_eq!(config.twilio.after, r#"<Pause length="3600"/>"#);
    assert!(!config.twilio.allow_unsigned && !config.twilio.require_token && !config.ingest.allow_unauthenticated);
    assert!(
        config.webhook.endpoints.is_empty()
            && config.keys.is_empty()
            && config.public_url.is_none()
            && config.log.format.is_none()
    );
    let suggested = "model=pulse language=en word_timestamps=true sentence_timestamps=true diarize=true redact_pii=true redact_pci=true \
                     itn_normalize=true finalize_on_words=false";
    assert_eq!(asked(&config), suggested);
}

#[test]
fn every_parameter_of_the_service_is_sent_under_its_own_name() {
    let text = "[upstream]\nvad_threshold = 0.5\neou_timeout_ms = 1_200\nkeywords = [\"Acme:2\", \"Two words\"]\nredact_pii = false\nnumerals = \"auto\"";
    let asked = asked(&from_file(text).unwrap());
    for part in ["vad_threshold=0.5", "eou_timeout_ms=1200", "keywords=Acme:2,Two words", "redact_pii=false", "numerals=auto"] {
        assert!(asked.contains(part), "{asked}");
    }
    assert_eq!(
        Protocol::ALL.map(|protocol| table::KEYS.iter().filter(|key| key.is_asked_of(protocol)).count()),
        [25, 6],
        "28 and 9 of the pages, less the three that the bridge sets"
    );
}

#[test]
fn every_key_of_the_table_reaches_the_struct_and_the_list() {
    let build = include_str!("build.rs");
    for key in table::KEYS.iter().filter(|key| !key.later && !key.is_parameter) {
        assert!(build.contains(&format!("\"{}\"", key.path)), "{} is read by nothing", key.path);
    }
    let listed = from_file("").unwrap().effective();
    assert_eq!(listed.len(), table::KEYS.len());
}

#[test]
fn no_two_keys_share_a_path_or_a_variable() {
    let mut seen = std::collections::HashSet::new();
    for key in table::KEYS {
        assert!(seen.insert(key.path.to_owned()), "{}", key.path);
        for name in key.variables() {
            assert!(seen.insert(name.clone()), "{name}");
        }
    }
}

#[test]
fn environment_wins_over_file_and_file_over_default() {
    let text = "[upstream]\nchunk_ms = 80\nlanguage = \"de\"\n";
    let config = load(Some(text), &[("PULSE_BRIDGE_UPSTREAM_CHUNK_MS", "100")], &[]).unwrap();
    assert_eq!(config.upstream.chunk_ms, 100);
    assert!(asked(&config).contains("language=de"));
    assert_eq!(config.origin("upstream.chunk_ms").to_string(), "environment PULSE_BRIDGE_UPSTREAM_CHUNK_MS");
    assert_eq!(config.origin("upstream.language").to_string(), "pulse-bridge.toml:3");
    assert_eq!(config.origin("listen").to_string(), "default");
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let config = from_env(&[("PULSE_BRIDGE_LISTEN", ""), ("TWILIO_AUTH_TOKEN", " ")]).unwrap();
    assert!(config.twilio.auth_tokens.is_empty());
}

#[test]
fn lists_come_by_commas_from_the_environment_and_by_lines_from_a_file() {
    let config = from_env(&[("TWILIO_AUTH_TOKEN", "one, two,"), ("PULSE_BRIDGE_INGEST_TOKENS", "three")]).unwrap();
    assert_eq!(exposed(&config.twilio.auth_tokens), ["one", "two"]);
    assert_eq!(exposed(&config.ingest.tokens), ["three"]);
    let config = load(None, &[("TWILIO_AUTH_TOKEN_FILE", "/run/tokens")], &[("/run/tokens", "one\ntwo\n")]).unwrap();
    assert_eq!(exposed(&config.twilio.auth_tokens), ["one", "two"]);
}

#[test]
fn every_secret_comes_from_a_file_under_each_of_its_names() {
    for key in table::KEYS.iter().filter(|key| key.is_secret() && !key.later) {
        for name in key.variables() {
            let variable = format!("{name}_FILE");
            let value = match key.path {
                "key" => KEY_A,
                "redaction.hash_key" => KEY_A.trim_start_matches("k1:"),
                _ => SECRET,
            };
            let env = [(variable.as_str(), "/run/secret"), ("PULSE_BRIDGE_WEBHOOK_URL", "http://h/in")];
            let secret = [("PULSE_BRIDGE_WEBHOOK_SECRET", SECRET)];
            let env = if key.path == "webhook.secret" { env.to_vec() } else { [env.as_slice(), &secret].concat() };
            let config = load(None, &env, &[("/run/secret", &format!("{value}\n"))]).unwrap();
            assert_eq!(config.origin(key.path).to_string(), format!("file named by {variable}"));
        }
    }
}

#[test]
fn two_names_for_one_setting_are_an_error() {
    let cases = [
        (
            ["TWILIO_AUTH_TOKEN", "TWILIO_AUTH_TOKEN_FILE"],
            "TWILIO_AUTH_TOKEN_FILE: TWILIO_AUTH_TOKEN is set too; keep one of the two",
        ),
        (
            ["SMALLEST_API_KEY", "PULSE_BRIDGE_UPSTREAM_API_KEY"],
            "PULSE_BRIDGE_UPSTREAM_API_KEY: SMALLEST_API_KEY is set too; keep one of the two",
        ),
    ];
    for (names, error) in cases {
        assert_eq!(from_env(&names.map(|name| (name, "x"))).unwrap_err().to_string(), error);
    }
}

#[test]
fn a_secret_file_that_is_missing_or_empty_is_an_error_that_names_both() {
    let missing = from_env(&[("SMALLEST_API_KEY_FILE", "/run/none")]).unwrap_err().to_string();
    assert_eq!(missing, "SMALLEST_API_KEY_FILE: cannot read /run/none: entity not found");
    let empty = load(None, &[("SMALLEST_API_KEY_FILE", "/run/empty")], &[("/run/empty", " \n")]).unwrap_err().to_string();
    assert_eq!(empty, "SMALLEST_API_KEY_FILE: /run/empty is empty");
}

#[test]
fn times_need_a_unit_and_stay_in_their_bounds() {
    let span = |text: &str| from_env(&[("PULSE_BRIDGE_INGEST_SILENCE", text)]).map(|config| config.ingest.silence);
    for (text, expected) in
        [("60 s", seconds(60)), ("5min", seconds(300)), ("1 h", hours(1)), ("1500 ms", Duration::from_millis(1500))]
    {
        assert_eq!(span(text).unwrap(), expected, "{text}");
    }
    for text in ["60", "s", "", "-1 s", "1.5 s", "60 sec", "99999999999999999999 s", "18446744073709551615 d"] {
        assert!(text.is_empty() || span(text).is_err(), "{text}");
    }
    let error = span("2 h").unwrap_err().to_string();
    assert_eq!(error, "PULSE_BRIDGE_INGEST_SILENCE: ingest.silence is 2 h; it must be from 1 s to 1 h");
    let error = from_file("[ingest]\nsilence = 60").unwrap_err().to_string();
    assert_eq!(
        error,
        r#"pulse-bridge.toml:2: ingest.silence is "60"; write a number and a unit (ms, s, min, h, d), e.g. "60 s""#
    );
}

#[test]
fn numbers_stay_in_their_bounds() {
    let cases = [
        ("UPSTREAM_CHUNK_MS", ["20", "500"], ["19", "501"]),
        ("UPSTREAM_EOU_TIMEOUT_MS", ["100", "10000"], ["0", "10001"]),
        ("UPSTREAM_VAD_THRESHOLD", ["0", "1"], ["1.1", "NaN"]),
        ("UPSTREAM_MAX_SESSIONS", ["100", "100"], ["0", "-1"]),
        ("INGEST_MAX_CALLS", ["1", "100000"], ["0", "1e3"]),
        ("UPSTREAM_DIARIZE", ["true", "false"], ["yes", "1"]),
        ("DISK_RESERVE", ["0 B", "64GiB"], ["65 GiB", "64 MB"]),
        ("DISK_MIN_FREE", ["1 TiB", "1536 KiB"], ["256", "-1 B"]),
        ("RETENTION_PARKED", ["1 h", "3652 d"], ["59 min", "forever"]),
        ("ENGINE_MODEL", ["fast", "accurate"], ["large", "Fast"]),
        ("LOG_FORMAT", ["json", "pretty"], ["text", "JSON"]),
        ("LISTEN", ["0.0.0.0:1", "[::1]:0"], ["8080", "localhost:1"]),
        ("PUBLIC_URL", ["https://a.example", "http://a:8080/"], ["wss://a.example", "https://a.example/x"]),
        ("UPSTREAM_URL", ["ws://127.0.0.1:1/x", "wss://h/x?a=b"], ["https://h", "ws://u:p@h/"]),
        ("UPSTREAM_KEYWORDS", ["Anna:2,Acme Corp", "x"], ["Anna:often", ":2"]),
        ("UPSTREAM_LANGUAGE", ["multi", "hi-dev"], ["a&b", "en us"]),
        ("UPSTREAM_MODEL", ["pulse", "pulse"], ["pulse-pro", "a&b"]),
        ("KEY", [KEY_A, KEY_A], ["AAEC", "k1:AAEC"]),
    ];
    for (name, good, bad) in cases {
        let name = format!("PULSE_BRIDGE_{name}");
        for text in good {
            from_env(&[(&name, text)]).unwrap_or_else(|why| panic!("{name}={text}: {why}"));
        }
        for text in bad {
            let error = from_env(&[(&name, text)]).map(|_| ()).expect_err(text).to_string();
            assert!(error.starts_with(&format!("{name}: ")) && !error.contains('\n'), "{error}");
        }
    }
}

#[test]
fn what_is_not_built_is_refused_by_name_and_its_default_is_not() {
    let refused = [
        ("PULSE_BRIDGE_DATABASE_URL", "postgres://u:hunter2@h/db", "database_url"),
        ("PULSE_BRIDGE_AUDIOHOOK_SECRET", "hunter2", "audiohook.secret"),
    ];
    for (name, value, path) in refused {
        let error = from_env(&[(name, value)]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{name}: {path} is not built yet in this version")), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    from_file("[upstream]\nprotocol = \"pulse\"\nwhen_full = \"wait\"").unwrap();
}

mod protocol;
mod redaction;
mod rules;

pub(super) fn from_file(text: &str) -> Result<Config, ConfigError> {
    load(Some(text), &[], &[])
}

pub(super) fn from_env(env: &[(&str, &str)]) -> Result<Config, ConfigError> {
    load(None, env, &[])
}

pub(super) fn load(file: Option<&str>, env: &[(&str, &str)], files: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let env: HashMap<&str, &str> = env.iter().copied().collect();
    let files: HashMap<&str, &str> = files.iter().copied().collect();
    let names: Vec<String> = env.keys().map(|name| (*name).to_owned()).collect();
    Config::load(&Sources {
        file: file.map(|text| ("pulse-bridge.toml", text)),
        env: &|name| env.get(name).map(|value| (*value).to_owned()),
        env_names: &names,
        read_file: &|path| files.get(path).map(|text| (*text).to_owned()).ok_or_else(|| io::ErrorKind::NotFound.into()),
    })
}

fn asked(config: &Config) -> String {
    config.upstream.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

fn exposed(secrets: &[SecretString]) -> Vec<&str> {
    secrets.iter().map(ExposeSecret::expose_secret).collect()
}

fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

fn hours(number: u64) -> Duration {
    Duration::from_secs(3_600 * number)
}
