//! Rules of several settings together, webhooks, and what is shown.

use super::*;
use crate::engine::files::Model;

#[test]
fn serve_needs_a_token_where_there_is_a_public_url() {
    let base = [("SMALLEST_API_KEY", "sk_x"), ("PULSE_BRIDGE_PUBLIC_URL", "https://b.example")];
    let error = from_env(&base).unwrap().check_serve().unwrap_err().to_string();
    assert!(error.starts_with("PULSE_BRIDGE_PUBLIC_URL: public_url is set but api_token is not"), "{error}");
    from_env(&[base[0], base[1], ("PULSE_BRIDGE_API_TOKEN", "t")]).unwrap().check_serve().unwrap();
}

#[test]
fn without_a_key_and_where_it_is_asked_for_the_built_in_engine_recognises() {
    let is_built_in = |env: &[(&str, &str)]| {
        let config = from_env(env).unwrap();
        config.check_serve().unwrap();
        assert_eq!(config.upstream.speech_url().is_none(), config.upstream.is_built_in());
        config.upstream.is_built_in()
    };
    assert!(is_built_in(&[]));
    assert!(is_built_in(&[("PULSE_BRIDGE_UPSTREAM_URL", "local"), ("SMALLEST_API_KEY", "sk_x")]));
    assert!(!is_built_in(&[("SMALLEST_API_KEY", "sk_x")]));
    assert!(!is_built_in(&[("PULSE_BRIDGE_UPSTREAM_URL", "ws://127.0.0.1:9/x")]));
}

#[test]
fn what_the_built_in_engine_cannot_do_is_refused_before_a_call_comes() {
    let refused = |env: &[(&str, &str)]| from_env(env).unwrap().check_serve().unwrap_err().to_string();
    let hindi = ("PULSE_BRIDGE_UPSTREAM_LANGUAGE", "hi");
    insta::assert_snapshot!(refused(&[hindi]), @r#"PULSE_BRIDGE_UPSTREAM_LANGUAGE: upstream.language is "hi", and the built-in engine hears English alone; set SMALLEST_API_KEY, or upstream.language = "en""#);
    assert!(refused(&[("PULSE_BRIDGE_UPSTREAM_PROTOCOL", "asr")]).contains("the built-in engine is used without a key"));
    from_env(&[hindi, ("SMALLEST_API_KEY", "sk_x")]).unwrap().check_serve().unwrap();
    from_env(&[("PULSE_BRIDGE_UPSTREAM_LANGUAGE", "en-GB")]).unwrap().check_serve().unwrap();
}

#[test]
fn the_engine_is_a_service_at_its_own_address_with_a_key_of_its_own() {
    let config = from_env(&[("PULSE_BRIDGE_ENGINE_MODEL", "accurate"), ("SMALLEST_API_KEY", "sk_theirs")]).unwrap();
    assert_eq!((config.engine.model, config.engine.eou_timeout_ms), (Model::Accurate, 600));
    let set = config.upstream.with_engine("ws://127.0.0.1:9/waves/v1/stt/live".parse().unwrap(), "ours".into(), &config.engine);
    assert_eq!(set.speech_url().unwrap().port(), Some(9));
    assert_eq!(set.batch_address().unwrap().port(), Some(9), "nothing goes to the cloud");
    assert_eq!(set.api_key.as_ref().unwrap().expose_secret(), "ours");
    assert!(set.parameters.contains(&("eou_timeout_ms", "600".to_owned())));
    let chosen = from_env(&[("PULSE_BRIDGE_UPSTREAM_EOU_TIMEOUT_MS", "900")]).unwrap();
    let set = chosen.upstream.with_engine("ws://127.0.0.1:9/".parse().unwrap(), "ours".into(), &chosen.engine);
    assert!(set.parameters.contains(&("eou_timeout_ms", "900".to_owned())));
    assert!(!set.parameters.contains(&("eou_timeout_ms", "600".to_owned())));
}

#[test]
fn the_speech_address_is_the_set_one_else_pulses_own_with_a_key() {
    let url = |env: &[(&str, &str)]| from_env(env).unwrap().upstream.speech_url().map(|url| url.to_string());
    assert_eq!(url(&[]), None);
    assert_eq!(url(&[("SMALLEST_API_KEY", "sk_x")]).unwrap(), "wss://api.smallest.ai/waves/v1/stt/live");
    assert_eq!(url(&[("PULSE_BRIDGE_UPSTREAM_URL", "ws://127.0.0.1:9/x")]).unwrap(), "ws://127.0.0.1:9/x");
    from_env(&[("PULSE_BRIDGE_UPSTREAM_URL", "ws://127.0.0.1:9/x")]).unwrap().check_serve().unwrap();
}

#[test]
fn two_variables_make_one_endpoint_named_default() {
    let config =
        from_env(&[("PULSE_BRIDGE_WEBHOOK_URL", "http://127.0.0.1:1/in"), ("PULSE_BRIDGE_WEBHOOK_SECRET", SECRET)]).unwrap();
    let [endpoint] = config.webhook.endpoints.as_slice() else { panic!("one endpoint") };
    assert_eq!((endpoint.name.as_str(), endpoint.url.as_str()), ("default", "http://127.0.0.1:1/in"));
    assert!(endpoint.ordered && endpoint.events.is_empty());
    assert_eq!(endpoint.secrets[0].expose_secret(), SECRET);
}

#[test]
fn endpoints_of_the_file_keep_their_order_and_their_fields() {
    let text = format!(
        "[[webhook.endpoints]]\nname = \"crm\"\nurl = \"https://crm.example/in\"\nsecrets = [\"{SECRET}\"]\nordered = false\n\
         [[webhook.endpoints]]\nname = \"log\"\nurl = \"http://10.0.0.1/in\"\nsecrets = [\"{SECRET}\"]\nevents = [\"call.completed\"]\n"
    );
    let config = from_file(&text).unwrap();
    let names: Vec<_> = config.webhook.endpoints.iter().map(|endpoint| (endpoint.name.as_str(), endpoint.ordered)).collect();
    assert_eq!(names, [("crm", false), ("log", true)]);
    assert_eq!(config.webhook.endpoints[1].events, ["call.completed"]);
}

#[test]
fn a_webhook_that_could_not_deliver_is_refused() {
    let endpoint = |fields: &str| format!("\n[[webhook.endpoints]]\n{fields}");
    let whole = format!("name = \"a\"\nurl = \"http://h/\"\nsecrets = [\"{SECRET}\"]\n");
    let cases = [
        (endpoint("url = \"http://h/\""), "a webhook endpoint needs a name"),
        (endpoint("name = \"a\""), "webhook endpoint \"a\" needs a url"),
        (endpoint("name = \"a\"\nurl = \"ftp://h/\""), "webhook.endpoints.url begins with ftp:"),
        (endpoint("name = \"a\"\nurl = \"http://h/\""), "webhook endpoint \"a\" has no secret"),
        (endpoint("name = \"a b\"\nurl = \"http://h/\""), "webhook.endpoints.name: "),
        (endpoint("name = \"a/b\"\nurl = \"http://h/\""), "webhook.endpoints.name \"a/b\" must be letters"),
        (
            endpoint("name = \"a\"\nurl = \"http://h/\"\nsecrets = [\"hunter2\"]"),
            "webhook endpoint \"a\": a secret must be whsec_",
        ),
        (
            endpoint(&format!("{whole}events = [\"transcript.finals\"]")),
            "webhook endpoint \"a\": unknown event \"transcript.finals\"; did you mean \"transcript.final\"?",
        ),
        (endpoint(&whole) + &endpoint(&whole), "two webhook endpoints are named \"a\""),
        ("[webhook]\nendpoints = [\"http://h/\"]".to_owned(), "webhook.endpoints must be tables"),
        ("\n[webhook]\nurl = \"http://h/\"".to_owned(), "webhook.url has no secret"),
        (format!("\n[webhook]\nsecret = \"{SECRET}\""), "webhook.secret has no address"),
    ];
    for (text, expected) in cases {
        let error = from_file(&text).unwrap_err().to_string();
        let what = error.split_once(": ").expect("an origin is in front").1;
        assert!(error.starts_with("pulse-bridge.toml:") && what.starts_with(expected), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn keys_are_held_to_the_rules_of_those_who_use_them() {
    let key = KEY_A.strip_prefix("k1:").expect("it is called k1");
    let long = format!("2026.{}:{key}", "k".repeat(59));
    from_env(&[("PULSE_BRIDGE_KEY", &format!("{KEY_A},{long}"))]).unwrap();
    let error = from_env(&[("PULSE_BRIDGE_KEY", &format!("{KEY_A},{KEY_A}"))]).unwrap_err().to_string();
    assert_eq!(error, "PULSE_BRIDGE_KEY: two master keys are called k1");
    let bare = SECRET.strip_prefix("whsec_").expect("it has the prefix");
    from_env(&[("PULSE_BRIDGE_WEBHOOK_URL", "http://h/"), ("PULSE_BRIDGE_WEBHOOK_SECRET", bare)]).unwrap();
}

#[test]
fn a_refused_weight_says_which_ones_are_taken() {
    from_env(&[("PULSE_BRIDGE_UPSTREAM_KEYWORDS", "Anna:100,Bob:0.5")]).unwrap();
    let error = from_env(&[("PULSE_BRIDGE_UPSTREAM_KEYWORDS", "Anna:2,Bob:101")]).unwrap_err().to_string();
    assert!(error.ends_with("item 2 must be \"Word\" or \"Word:weight\" with a weight above 0, at most 100"), "{error}");
}

#[test]
fn an_address_has_no_fragment_because_nobody_would_get_it() {
    for (name, address) in [
        ("PULSE_BRIDGE_PUBLIC_URL", "https://b.example/#hunter2"),
        ("PULSE_BRIDGE_UPSTREAM_URL", "wss://h/x#hunter2"),
        ("PULSE_BRIDGE_WEBHOOK_URL", "https://h/in#"),
    ] {
        let error = from_env(&[(name, address)]).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("{name}: ")) && error.ends_with("has a part behind '#', which is never sent; take it out"),
            "{error}"
        );
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn a_signing_secret_has_24_to_64_bytes() {
    use base64::{Engine, engine::general_purpose::STANDARD};
    for (bytes, fits) in [(23, false), (24, true), (64, true), (65, false)] {
        let secret = format!("whsec_{}", STANDARD.encode(vec![7; bytes]));
        let config = from_env(&[("PULSE_BRIDGE_WEBHOOK_URL", "http://h/"), ("PULSE_BRIDGE_WEBHOOK_SECRET", &secret)]);
        assert_eq!(config.is_ok(), fits, "{bytes} bytes");
    }
}

#[test]
fn newer_parameters_pass_through_and_known_ones_do_not_hide_there() {
    let config = from_file("[upstream.extra]\nshiny = true\nlevel = 3\nname = \"x\"").unwrap();
    let extra = [("level", "3"), ("name", "x"), ("shiny", "true")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(config.upstream.extra, extra);
    for (text, expected) in [
        (
            "[upstream.extra]\nlanguage = \"en\"",
            "upstream.extra.language has a setting of its own; write it as upstream.language",
        ),
        (
            "[upstream.extra]\nencoding = \"linear16\"",
            "upstream.extra.encoding is not a setting: the call's own encoding is declared",
        ),
        ("[upstream.extra]\n\"a&b\" = 1", "upstream.extra.a&b must be at most 64 letters"),
        ("[upstream]\nencoding = \"linear16\"", "\"upstream.encoding\" is not a setting: the call's own encoding is declared"),
    ] {
        let error = from_file(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn no_secret_is_shown_or_repeated() {
    let secrets = ["sk_0123456789abc9f2c", "hunter2hunter2", "short", SECRET];
    let env = [
        ("SMALLEST_API_KEY", secrets[0]),
        ("PULSE_BRIDGE_API_TOKEN", secrets[1]),
        ("PULSE_BRIDGE_INGEST_TOKENS", secrets[2]),
        ("PULSE_BRIDGE_WEBHOOK_URL", "https://h.example/in?token=hunter2"),
        ("PULSE_BRIDGE_WEBHOOK_SECRET", secrets[3]),
        ("PULSE_BRIDGE_TWILIO_AFTER", "<Dial>+15550100</Dial>"),
        ("PULSE_BRIDGE_UPSTREAM_KEYWORDS", "Anna Example:2"),
    ];
    let config = from_env(&env).unwrap();
    let shown = serde_json::to_string(&config.effective()).unwrap() + &format!("{config:?}");
    for secret in secrets.into_iter().chain(["hunter2", "15550100", "Anna"]) {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    let value = |path| config.effective().into_iter().find(|line| line.key == path).unwrap().value;
    assert_eq!(value("upstream.api_key"), "…9f2c");
    assert_eq!(value("ingest.tokens"), "…");
    assert_eq!(value("webhook.url"), "https://h.example/in?…");
}

#[test]
fn of_an_address_only_what_reads_as_words_is_shown() {
    for (url, shown) in [
        ("wss://api.smallest.ai/waves/v1/stt/live", "wss://api.smallest.ai/waves/v1/stt/live"),
        ("https://hooks.example:8443/services/T024BE7LD/B0/XXXXXXXXXXXXXXXX", "https://hooks.example:8443/services/…/…/…"),
        ("https://h.example/in/4f2a91bc77d0", "https://h.example/in/…"),
        ("https://h.example/averylongwordwithoutanyend/", "https://h.example/…"),
        ("https://h.example/in?token=hunter2", "https://h.example/in?…"),
        ("http://127.0.0.1:9/", "http://127.0.0.1:9"),
    ] {
        assert_eq!(show_url(&url.parse().unwrap()), shown, "{url}");
    }
}

#[test]
fn each_endpoint_of_the_file_is_listed_at_its_line_with_its_secrets_masked() {
    let one = |name: &str| {
        format!("[[webhook.endpoints]]\nname = \"{name}\"\nurl = \"https://{name}.example/in\"\nsecrets = [\"{SECRET}\"]\n")
    };
    let env = [("PULSE_BRIDGE_WEBHOOK_URL", "https://h.example/"), ("PULSE_BRIDGE_WEBHOOK_SECRET", SECRET)];
    let config = load(Some(&(one("crm") + &one("log"))), &env, &[]).unwrap();
    let listed = config.effective().into_iter().filter(|line| line.key.starts_with("webhook."));
    let listed: Vec<String> = listed.map(|line| format!("{} {} {}", line.key, line.value, line.origin)).collect();
    insta::assert_snapshot!(listed.join("\n"), @r"
    webhook.url https://h.example environment PULSE_BRIDGE_WEBHOOK_URL
    webhook.secret …LaSw environment PULSE_BRIDGE_WEBHOOK_SECRET
    webhook.endpoints 2 set pulse-bridge.toml:1
    webhook.endpoints.crm https://crm.example/in, secret …LaSw pulse-bridge.toml:1
    webhook.endpoints.log https://log.example/in, secret …LaSw pulse-bridge.toml:5
    ");
}

#[test]
fn a_broken_file_is_one_line_without_its_text() {
    let error = from_file("listen = \"127.0.0.1:1\"\napi_token = hunter2\n").unwrap_err().to_string();
    assert!(error.starts_with("pulse-bridge.toml:2: not valid TOML: "), "{error}");
    assert!(!error.contains('\n') && !error.contains("hunter2"), "{error}");
    let error = from_file("api_token = \"hunter2 pasted\"").unwrap_err().to_string();
    assert_eq!(error, "pulse-bridge.toml:1: api_token has a space or a character outside ASCII; check what was pasted");
    let error = from_file("api_token = \"\"").unwrap_err().to_string();
    assert_eq!(error, "pulse-bridge.toml:1: api_token is empty; leave it out or give it a value");
    let error = from_file("[ingest]\ntokens = [\"a\", \"\"]").unwrap_err().to_string();
    assert_eq!(error, "pulse-bridge.toml:2: ingest.tokens has an empty item; leave it out");
}

#[test]
fn open_doors_are_warned_of() {
    let env = [
        ("PULSE_BRIDGE_TWILIO_ALLOW_UNSIGNED", "true"),
        ("PULSE_BRIDGE_INGEST_ALLOW_UNAUTHENTICATED", "true"),
        ("PULSE_BRIDGE_UPSTREAM_URL", "ws://speech.example/waves/v1/stt/live"),
        ("SMALLEST_API_KEY", "sk_x"),
    ];
    assert_eq!(from_env(&env).unwrap().warnings().len(), 3);
    let signed: Vec<_> = env.into_iter().chain([("TWILIO_AUTH_TOKEN", "0123456789abcdef")]).collect();
    assert_eq!(from_env(&signed).unwrap().warnings().len(), 2, "with a token signatures are checked all the same");
    let near = [
        ("PULSE_BRIDGE_UPSTREAM_URL", "ws://[::1]:1/waves/v1/stt/live"),
        ("SMALLEST_API_KEY", "sk_x"),
        ("TWILIO_AUTH_TOKEN", "0123"),
    ];
    assert!(from_env(&near).unwrap().warnings().is_empty());
}

#[test]
fn doors_that_let_nobody_in_are_warned_of() {
    let warned = |env: &[(&str, &str)]| {
        let lines = from_env(env).unwrap().warnings();
        lines.iter().filter(|line| line.contains("no stream can get in") && line.contains("TWILIO_AUTH_TOKEN")).count()
    };
    assert_eq!(warned(&[]), 1);
    for (name, value) in [
        ("TWILIO_AUTH_TOKEN", "0123456789abcdef"),
        ("PULSE_BRIDGE_INGEST_TOKENS", "let-me-in"),
        ("PULSE_BRIDGE_TWILIO_ALLOW_UNSIGNED", "true"),
        ("PULSE_BRIDGE_INGEST_ALLOW_UNAUTHENTICATED", "true"),
    ] {
        assert_eq!(warned(&[(name, value)]), 0, "{name}");
    }
}

#[test]
fn an_endpoint_that_asks_for_what_is_switched_off_is_warned_of() {
    let endpoint = format!(
        "[ingest]\ntokens = [\"x\"]\n[[webhook.endpoints]]\nname = \"a\"\nurl = \"http://h/\"\nsecrets = [\"{SECRET}\"]\nevents = [\"transcript.partial\", \"speech.ended\"]\n"
    );
    assert_eq!(from_file(&endpoint).unwrap().warnings().len(), 2);
    let on = "[redaction]\npartials = true\n[upstream]\nvad_events = true\n";
    assert!(from_file(&(on.to_owned() + &endpoint)).unwrap().warnings().is_empty());
}

#[test]
fn the_command_line_address_takes_the_settings_place() {
    let mut config = from_file("listen = \"127.0.0.1:1\"").unwrap();
    config.set_listen("127.0.0.1:2".parse().unwrap());
    let line = &config.effective()[0];
    assert_eq!((line.value.as_str(), line.origin.as_str()), ("127.0.0.1:2", "--listen"));
}

#[test]
fn the_four_lines_of_the_readme_are_enough_beside_a_key() {
    let readme = include_str!("../../../README.md");
    let block = readme.split("```toml").nth(1).and_then(|rest| rest.split("```").next()).expect("there is one block");
    let text = block.replace("whsec_SECRET", SECRET);
    assert_eq!(text.trim().lines().count(), 4);
    let config = load(Some(&text), &[("SMALLEST_API_KEY", "sk_x")], &[]).unwrap();
    config.check_serve().unwrap();
    assert_eq!((config.twilio.auth_tokens.len(), config.webhook.endpoints.len()), (1, 1));
}

#[test]
fn batch_goes_where_the_settings_say_else_beside_the_stream_and_else_it_is_said_that_there_is_none() {
    let batch = |env: &[(&str, &str)]| {
        let config = from_env(&[env, &[("SMALLEST_API_KEY", "sk_x"), ("TWILIO_AUTH_TOKEN", "0123")]].concat()).unwrap();
        (config.upstream.batch_address().map(String::from), config.warnings())
    };
    assert_eq!(batch(&[]), (Some("https://api.smallest.ai/waves/v1/stt/".to_owned()), vec![]));
    let own = ("PULSE_BRIDGE_UPSTREAM_URL", "wss://inference/transcribe");
    let (address, warnings) = batch(&[own]);
    assert_eq!((address, warnings.len()), (None, 1));
    assert!(warnings[0].contains("will be a gap (transcript.gap); set upstream.batch_url"), "{warnings:?}");
    let set = ("PULSE_BRIDGE_UPSTREAM_BATCH_URL", "http://inference/batch");
    let (address, warnings) = batch(&[own, set]);
    assert_eq!((address.as_deref(), warnings.len()), (Some("http://inference/batch"), 1));
    assert!(warnings[0].contains("unencrypted"), "{warnings:?}");
}

#[test]
fn a_form_that_batch_cannot_take_is_refused_with_the_two_that_it_can() {
    for form in ["alaw", "flac", "opus"] {
        let error = from_env(&[("PULSE_BRIDGE_UPSTREAM_BATCH_FORMAT", form)]).unwrap_err().to_string();
        assert!(error.contains("upstream.batch_format") && error.contains("pcm16") && error.contains("mulaw"), "{error}");
    }
    let mulaw = from_env(&[("PULSE_BRIDGE_UPSTREAM_BATCH_FORMAT", "mulaw")]).unwrap();
    assert_eq!(mulaw.upstream.batch_format, crate::audio::PhoneForm::Mulaw);
}

/// `BLESS=1` writes the page anew.
#[test]
fn settings_page_is_in_step_with_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/settings.md");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, reference()).unwrap();
    }
    assert!(std::fs::read_to_string(path).unwrap_or_default() == reference(), "run: BLESS=1 cargo test --lib settings_page");
}

#[test]
fn every_row_is_written_and_every_default_reads_back() {
    for key in table::KEYS {
        assert!(key.doc.ends_with('.'), "{}", key.path);
        if let (Some(line), false) = (from_file("").unwrap().settings.get(key.path), key.default.is_empty()) {
            assert_eq!(value::show(key, line), key.default, "{}", key.path);
        }
    }
}
