//! `doctor` from outside: real faults on real sockets and files, each found by the program and told with what to do.

mod errors;
mod peers;
mod place;

use std::fs;

use peers::{Peers, SECRET, answering, nobody, silent};
use place::{Place, shown};
use pulse_bridge::{
    clock,
    emulate::{Auth, Fault, Faults},
    webhook::driver::ATTEMPT_DEADLINE,
};
use rusqlite::Connection;
use serde_json::Value;

const KEY: &str = "sk_0123456789abcdef9f2c";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// Nothing of these may be in anything that is printed.
const SECRETS: [&str; 5] = [KEY, TOKEN, SECRET, "hunter2", "15550100"];

#[test]
#[expect(clippy::too_many_lines, reason = "every setting is a line")]
fn what_works_is_told_with_every_setting_and_exits_0() {
    let peers = Peers::new();
    let (receiver, mut received) = peers.receiver(SECRET, "");
    let place = Place::new("works");
    place.write("pulse-bridge.toml", "# 1\n# 2\n# 3\n\n[upstream]\nlanguage = \"de\"\n\n# 8\nchunk_ms = 80\n", 0o644);
    place.write("token", TOKEN, 0o600);
    let (speech, receiver) = (peers.speech(Auth::Key(KEY.into()), Faults::default()), format!("{receiver}?token=hunter2"));
    let settings = [
        ("PULSE_BRIDGE_UPSTREAM_URL", speech.as_str()),
        ("SMALLEST_API_KEY", KEY),
        ("PULSE_BRIDGE_WEBHOOK_URL", &receiver),
        ("PULSE_BRIDGE_WEBHOOK_SECRET", SECRET),
        ("TWILIO_AUTH_TOKEN_FILE", "token"),
        ("PULSE_BRIDGE_TWILIO_AFTER", "<Dial>+15550100</Dial>"),
        ("PULSE_BRIDGE_PUBLIC_URL", "https://bridge.example.com"),
        ("PULSE_BRIDGE_API_TOKEN", "hunter2hunter2"),
    ];
    let answer = place.doctor(&settings);
    assert_eq!(answer.code, 0, "{}", answer.text);
    let _shown = shown();
    insta::assert_snapshot!(answer.text, @r"
    settings        ok     pulse-bridge.toml, 7 values from the environment, 1 from a file
    clock           ok     0.N s behind the speech service (webhook receivers tolerate 300 s)
    data            ok     ./data (made by the first start), N GB free, SQLite 3.N, no database yet, key not made yet
    speech          ok     ws://127.0.0.1:PORT/…/live opened a stream in N ms, key accepted
    webhook default ok     http://127.0.0.1:PORT/hooks?… answered 204 in N ms, signed ping accepted
    twilio          ok     https://bridge.example.com, 1 auth token; signatures fit wss://bridge.example.com/media/twilio, also with :443 or a slash behind
    database        skip   not configured (one node)

    0 problems, 0 warnings. Settings in effect, secrets masked:
      listen                              127.0.0.1:8080                          default
      public_url                          https://bridge.example.com              environment PULSE_BRIDGE_PUBLIC_URL
      data_dir                            ./data                                  default
      api_token                           …ter2                                   environment PULSE_BRIDGE_API_TOKEN
      twilio.auth_tokens                  …cdef                                   file named by TWILIO_AUTH_TOKEN_FILE
      twilio.allow_unsigned               false                                   default
      twilio.require_token                false                                   default
      twilio.after                        set, 22 characters                      environment PULSE_BRIDGE_TWILIO_AFTER
      ingest.allow_unauthenticated        false                                   default
      ingest.max_calls                    1000                                    default
      ingest.max_call                     4 h                                     default
      ingest.silence                      60 s                                    default
      upstream.url                        ws://127.0.0.1:PORT/waves/v1/stt/live  environment PULSE_BRIDGE_UPSTREAM_URL
      upstream.batch_format               pcm16                                   default
      upstream.batch_per_minute           25                                      default
      upstream.batch_deadline             300 s                                   default
      upstream.api_key                    …9f2c                                   environment SMALLEST_API_KEY
      upstream.protocol                   pulse                                   default
      upstream.max_sessions               100                                     default
      upstream.chunk_ms                   80                                      pulse-bridge.toml:9
      upstream.when_full                  wait                                    default
      upstream.slot_wait                  1800 s                                  default
      upstream.connects_per_second        20                                      default
      upstream.replay_speed               2                                       default
      upstream.session_limit              1 h                                     default
      upstream.close_deadline             5 s                                     default
      upstream.catch_up                   60 s                                    default
      upstream.model                      pulse                                   default
      upstream.language                   de                                      pulse-bridge.toml:6
      upstream.word_timestamps            true                                    default
      upstream.sentence_timestamps        true                                    default
      upstream.diarize                    true                                    default
      upstream.redact_pii                 true                                    default
      upstream.redact_pci                 true                                    default
      upstream.itn_normalize              true                                    default
      upstream.finalize_on_words          false                                   default
      upstream.asr.add_punctuation        true                                    default
      upstream.asr.speech_end_threshold   800                                     default
      upstream.asr.redact_sensitive_data  pci,ssn                                 default
      spool.per_track                     1 h                                     default
      engine.model                        fast                                    default
      engine.eou_timeout_ms               600                                     default
      webhook.url                         http://127.0.0.1:PORT/hooks?…          environment PULSE_BRIDGE_WEBHOOK_URL
      webhook.secret                      …LaSw                                   environment PULSE_BRIDGE_WEBHOOK_SECRET
      redaction.hold                      6 s                                     default
      redaction.partials                  false                                   default
      redaction.menu_digits               false                                   default
      redaction.types                     pii                                     default
      retention.calls                     30 d                                    default
      retention.attempts                  30 d                                    default
      retention.parked                    90 d                                    default
      disk.reserve                        64 MiB                                  default
      disk.min_free                       256 MiB                                 default
      drain.deadline                      600 s                                   default
    ");
    let ping = received.blocking_recv().unwrap();
    assert_eq!((ping.kind.as_str(), ping.status), ("ping", 204));
    assert_eq!(ping.signature, pulse_bridge::receive::Signature::Verified);
    assert_eq!(received.try_recv().ok().map(|more| more.kind), None, "the ping is all that is sent");
    let warned = place.doctor(&settings[..5]);
    assert_eq!(warned.code, 0, "a warning is no failure: {}", warned.text);
    assert!(warned.text.contains("\n0 problems, 2 warnings. "), "{}", warned.text);
}

#[test]
fn a_speech_service_that_would_not_is_told_by_the_cause() {
    let peers = Peers::new();
    let refusing = |status| peers.speech(Auth::Open, Faults::always(Fault::Refuse { status, retry_after: None }));
    let (hanging, _kept) = silent();
    let bad_parameter = answering("400 Bad Request", r#"{"error":"language de needs another plan"}"#);
    let addresses = [
        peers.speech(Auth::Key("another".into()), Faults::default()),
        format!("ws://{bad_parameter}/waves/v1/stt/live"),
        refusing(403),
        refusing(429),
        peers.speech(Auth::Open, Faults::default()).replace("/live", "/dead"),
        format!("ws://{}/live", nobody()),
        // No part of a name is so long: it is known without a question to anybody.
        format!("ws://{}.invalid/live", "x".repeat(64)),
        peers.untrusted(),
        format!("wss://{}/live", answering("200 OK", "")),
        format!("ws://{hanging}/live"),
    ];
    let found: Vec<String> = std::thread::scope(|scope| {
        let ask = |(number, address): (usize, &String)| {
            let place = Place::new(&format!("speech-{number}"));
            let settings = [("PULSE_BRIDGE_UPSTREAM_URL", address.as_str()), ("SMALLEST_API_KEY", KEY)];
            place.doctor(&[settings[0], settings[1], ("PULSE_BRIDGE_UPSTREAM_LANGUAGE", "de")]).lines_of("speech")
        };
        let asked: Vec<_> = addresses.iter().enumerate().map(|one| scope.spawn(move || ask(one))).collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    let _shown = shown();
    insta::assert_snapshot!(found.concat(), @r"
    speech      FAIL   ws://127.0.0.1:PORT/…/live refused the key (401)
                       → SMALLEST_API_KEY ends in …9f2c; make a new key, or unset it to use the built-in engine
    speech      FAIL   ws://127.0.0.1:PORT/…/live refused the parameters (400: language de needs another plan)
                       → check upstream.language (environment PULSE_BRIDGE_UPSTREAM_LANGUAGE)
    speech      FAIL   ws://127.0.0.1:PORT/…/live refused what the key's plan does not have (403: forbidden: the plan does not include this)
                       → use a key of a plan that has it (SMALLEST_API_KEY), or switch off one of upstream.redact_pii, upstream.redact_pci, upstream.diarize
    speech      warn   ws://127.0.0.1:PORT/…/live has no stream left for this account now (429: Rate limit exceeded: too many requests)
                       → each call takes a stream a track; set upstream.max_sessions to what the plan has, or raise the plan
    speech      FAIL   ws://127.0.0.1:PORT/…/dead has no such route (404)
                       → check the path of upstream.url; Pulse's own is wss://api.smallest.ai/waves/v1/stt/live
    speech      FAIL   nobody listens at ws://127.0.0.1:PORT/live (connection refused)
                       → start the speech service, or check host and port of upstream.url
    speech      FAIL   ws://nowhere.invalid/live: the name nowhere.invalid does not resolve
                       → check upstream.url and this machine's DNS
    speech      FAIL   no TLS session with wss://localhost:PORT/live (invalid peer certificate: UnknownIssuer)
                       → add its certificate authority to this system's certificates
    speech      FAIL   no TLS session with wss://127.0.0.1:PORT/live (received corrupt message of type InvalidContentType)
                       → it speaks no TLS there: check the scheme and the port of upstream.url
    speech      FAIL   ws://127.0.0.1:PORT/live did not answer within 5 s
                       → check upstream.url, the firewall, and whether the speech service is well
    ");
}

#[test]
fn every_receiver_that_does_not_take_a_ping_is_told_by_the_cause() {
    let peers = Peers::new();
    let (hanging, _kept) = silent();
    let endpoints = [
        ("well", peers.receiver(SECRET, "").0),
        ("slow", peers.receiver(SECRET, "delay_ms=1100").0),
        ("broken", peers.receiver(SECRET, "status=500").0),
        ("moved", format!("http://{}/hooks", answering("302 Found\nLocation: https://new.example/in/Xhunter2?t=hunter2", ""))),
        ("stranger", peers.receiver("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX", "").0),
        ("hanging", format!("http://{hanging}/hooks")),
        ("gone", peers.receiver(SECRET, "status=410").0),
        ("nobody", format!("http://{}/hooks", nobody())),
    ];
    let place = Place::new("webhooks");
    let one = |(name, url): &(&str, String)| {
        format!("[[webhook.endpoints]]\nname = \"{name}\"\nurl = \"{url}\"\nsecrets = [\"{SECRET}\"]\n")
    };
    place.write("pulse-bridge.toml", &endpoints.iter().map(one).collect::<String>(), 0o600);
    let began = clock::now();
    let answer = place.doctor(&[]);
    let took = clock::now() - began;
    assert!(took < ATTEMPT_DEADLINE, "a check is given up sooner than a delivery: {took:?}");
    assert_eq!(answer.code, 1);
    let _shown = shown();
    insta::assert_snapshot!(answer.lines_of("webhook"), @r"
    webhook well     ok     http://127.0.0.1:PORT/hooks answered 204 in N ms, signed ping accepted
    webhook slow     warn   http://127.0.0.1:PORT/hooks answered 204 in N s; slow receivers delay ordered events
    webhook broken   FAIL   http://127.0.0.1:PORT/hooks answered 500 in N ms; events would be tried again for days, then parked
                            → look for webhook-id evt_ULID in the receiver's log
    webhook moved    FAIL   http://127.0.0.1:PORT/hooks answered 302 in N ms; redirects are not followed
                            → set the url of webhook endpoint moved to https://new.example/in/…?…
    webhook stranger FAIL   http://127.0.0.1:PORT/hooks answered 401 in N ms to the signed ping
                            → does the receiver know this secret? stranger's: …LaSw
    webhook hanging  FAIL   http://127.0.0.1:PORT/hooks did not answer within 5 s
                            → check the url of webhook endpoint hanging, the firewall, and whether the receiver is well
    webhook gone     FAIL   http://127.0.0.1:PORT/hooks answered 410 in N ms; its events would wait until somebody resumes it
                            → let the receiver take events again, or take endpoint gone out
    webhook nobody   FAIL   nobody listens at http://127.0.0.1:PORT/hooks (connection refused)
                            → start the receiver, or check host and port of the url of webhook endpoint nobody
    ");
}

#[test]
fn a_clock_that_receivers_would_not_believe_is_told() {
    let place = Place::new("clock");
    let off = httpdate_ahead(400);
    let address = answering(&format!("401 Unauthorized\nDate: {off}"), "");
    let url = format!("ws://{address}/waves/v1/stt/live");
    let answer = place.doctor(&[("PULSE_BRIDGE_UPSTREAM_URL", &url), ("SMALLEST_API_KEY", KEY)]);
    let _shown = shown();
    insta::assert_snapshot!(answer.lines_of("clock"), @r"
    clock       FAIL   400 s behind the speech service (webhook receivers tolerate 300 s)
                       → let this machine's clock follow a time server, e.g. timedatectl set-ntp true; receivers refuse every event until then
    ");
}

#[test]
fn a_data_folder_that_cannot_be_used_is_told_by_the_cause() {
    let file = Place::new("file-for-folder");
    file.write("data", "", 0o600);
    let corrupted = Place::new("corrupted");
    corrupted.write("data/bridge.sqlite", &"no page of a database begins like this. ".repeat(200), 0o600);
    let exposed = Place::new("exposed");
    exposed.write("data/master.key", "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", 0o644);
    let full = Place::new("full");
    let found = [&file, &corrupted, &exposed].map(|place| place.doctor(&[]).lines_of("data")).concat();
    let nowhere = full.doctor(&[("PULSE_BRIDGE_DATA_DIR", "/proc/pulse-bridge")]).lines_of("data");
    assert!(nowhere.starts_with("data        FAIL   /proc/pulse-bridge "), "{nowhere}");
    let _shown = shown();
    insta::assert_snapshot!(found, @r"
    data        FAIL   ./data is not a folder
                       → move it away, or set data_dir (PULSE_BRIDGE_DATA_DIR)
    data        FAIL   ./data/bridge.sqlite is damaged (file is not a database)
                       → stop the bridge, keep a copy of the folder, then try sqlite3's .recover; moved away, a new one is made and what was not delivered is lost
    data        FAIL   ./data/master.key can be read by others; serve does not start with it
                       → chmod 600 ./data/master.key, and make a new key if others may have read it
    ");
}

#[test]
fn settings_that_cannot_work_or_tell_too_much_are_told() {
    let place = Place::new("told");
    place.write("key", "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", 0o644);
    let answer = place.doctor(&[
        ("PULSE_BRIDGE_KEY_FILE", "key"),
        ("SMALLEST_KEY", KEY),
        ("TWILIO_AUTH_TOKEN", TOKEN),
        ("PULSE_BRIDGE_PUBLIC_URL", "http://bridge.example.com"),
    ]);
    assert_eq!(answer.code, 1);
    let _shown = shown();
    insta::assert_snapshot!(answer.lines_of("settings") + &answer.lines_of("twilio"), @r#"
    settings    ok     no settings file, 2 values from the environment, 1 from a file
    settings    warn   key holds secrets, and everybody on this machine can read it (mode 644)
                       → chmod 600 key
    settings    warn   SMALLEST_KEY is set, and is no setting
                       → did you mean SMALLEST_API_KEY?
    settings    warn   no webhook endpoint is set: events are stored and served by the API only
                       → set webhook.url and webhook.secret (PULSE_BRIDGE_WEBHOOK_URL, PULSE_BRIDGE_WEBHOOK_SECRET)
    settings    warn   twilio.after is not set: /twilio/voice only keeps the call up, in silence
                       → set it to what the call is for, e.g. twilio.after = "<Dial>NUMBER</Dial>" (PULSE_BRIDGE_TWILIO_AFTER)
    twilio      FAIL   public_url is http://bridge.example.com; Twilio signs wss://bridge.example.com/media/twilio
                       → set public_url = "https://bridge.example.com"
    twilio      FAIL   public_url is set but api_token is not: serve does not start, API and dashboard would be open to anyone
                       → set api_token (PULSE_BRIDGE_API_TOKEN), e.g. to what openssl rand -hex 24 prints
    "#);
}

#[test]
fn settings_that_cannot_be_read_are_the_one_line_and_exit_2() {
    let place = Place::new("unreadable");
    place.write("pulse-bridge.toml", "[upstream]\nlangauge = \"en\"\n", 0o600);
    let answer = place.doctor(&[]);
    assert_eq!(answer.code, 2);
    let _shown = shown();
    insta::assert_snapshot!(answer.text, @r#"
    settings    FAIL   pulse-bridge.toml:2: unknown key "upstream.langauge"; did you mean "upstream.language"?

    1 problem, 0 warnings. Nothing else was checked: that takes the settings.
    "#);
    let answer = place.asked(&["doctor", "--json"], &[("PULSE_BRIDGE_DATABASE_URL", "postgres://u:hunter2@h/db")]);
    assert_eq!(answer.code, 2);
    let report: Value = serde_json::from_str(&answer.text).unwrap();
    assert_eq!((report["problems"].as_u64(), report["checks"][0]["state"].as_str()), (Some(1), Some("fail")));
}

#[test]
fn as_json_it_says_the_same() {
    let place = Place::new("json");
    let (text, json) = (place.doctor(&[]), place.asked(&["doctor", "--json"], &[]));
    assert_eq!((text.code, json.code), (1, 1));
    let report: Value = serde_json::from_str(&json.text).expect("one document");
    let checks = report["checks"].as_array().unwrap();
    let word = |check: &Value, field: &str| check[field].as_str().unwrap_or_default().to_owned();
    for check in checks {
        assert!(text.text.contains(&word(check, "advice")), "{check}");
        assert!(text.lines_of(&word(check, "name")).contains(&word(check, "text")), "{check}");
    }
    let names: Vec<String> = checks.iter().map(|check| word(check, "name")).collect();
    assert_eq!(names.join(" "), "settings settings clock data speech twilio database");
    let count = |state| checks.iter().filter(|check| check["state"] == state).count();
    assert_eq!((report["problems"].clone(), report["warnings"].clone()), (count("fail").into(), count("warn").into()));
    let first = &report["settings"][0];
    assert_eq!(["key", "value", "origin"].map(|field| word(first, field)), ["listen", "127.0.0.1:8080", "default"]);
}

#[test]
fn nothing_is_changed_on_disk() {
    let place = Place::new("unchanged");
    fs::create_dir(place.0.join("data")).unwrap();
    let empty = place.everything();
    place.doctor(&[]);
    assert_eq!(place.everything(), empty);
    let database = place.0.join("data/bridge.sqlite");
    let connection = Connection::open(database).unwrap();
    connection.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x); INSERT INTO t VALUES (1)").unwrap();
    let running = place.everything();
    assert_eq!(running.len(), 4, "folder, database, log and index: {:?}", running.keys());
    assert!(place.doctor(&[]).lines_of("data").contains("integrity ok"));
    assert!(place.everything() == running, "a running database changed");
    drop(connection);
    let stopped = place.everything();
    assert!(place.doctor(&[]).lines_of("data").contains("integrity ok"));
    assert!(place.everything() == stopped, "a closed database changed");
    fs::remove_dir_all(place.0.join("data")).unwrap();
    place.doctor(&[]);
    assert!(place.everything().is_empty(), "no folder is made");
}

/// A `Date` so many seconds from now.
fn httpdate_ahead(seconds: u64) -> String {
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_millis(clock::wall_ms() + seconds * 1_000);
    httpdate::fmt_http_date(at)
}
