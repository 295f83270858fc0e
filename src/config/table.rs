//! Every setting there is, in one table: path, environment name, kind, default, secrecy and a line of documentation.
//!
//! Promises: the file reader, the environment overlay, the unknown-key errors, the list of effective settings and
//! `docs/settings.md` all read this table and nothing else, so they cannot disagree.

use std::time::Duration;

use crate::upstream::Protocol;

/// How the paths of the older ASR's own parameters begin.
const ASR: &str = "upstream.asr.";
/// Prefix of every setting's environment name.
pub const PREFIX: &str = "PULSE_BRIDGE_";

/// What a setting's value looks like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number within both bounds.
    Int(u64, u64),
    /// A number within both bounds.
    Ratio(f64, f64),
    /// A number and a unit (`ms`, `s`, `min`, `h`, `d`), within both bounds.
    Span(Duration, Duration),
    /// A number and a unit (`B`, `KiB`, `MiB`, `GiB`, `TiB`), within both bounds in bytes.
    Bytes(u64, u64),
    /// Any text.
    Text,
    /// Text that names people or numbers: shown by its length only.
    Private,
    /// An address and a port.
    Listen,
    /// A URL with one of these schemes.
    Url(&'static [&'static str]),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Any of these words, by commas in the environment; an empty list in the file is none of them.
    Words(&'static [&'static str]),
    /// `true`, `false`, or a whole number within both bounds.
    SwitchOr(u64, u64),
    /// Texts; a comma list in the environment.
    List,
    /// A secret text.
    Secret,
    /// Secret texts; a comma list in the environment, commas or lines in a file.
    Secrets,
    /// An array of tables in the file; see [`ENDPOINT`].
    Endpoints,
    /// A table of names and scalar values in the file, passed on as it is.
    Extra,
    /// A table of names and lists of texts in the file.
    Lists,
}

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// `section.key`, or `key` at the top level.
    pub path: &'static str,
    /// Its shape and bounds.
    pub kind: Kind,
    /// In the form the environment would give it; empty: none.
    pub default: &'static str,
    /// An environment name outside the `PULSE_BRIDGE_` rule, as the service itself calls it.
    pub alias: Option<&'static str>,
    /// A parameter of the speech service under its own name; no default: the service's own holds.
    pub is_parameter: bool,
    /// Known, but anything but its default is refused: this version does not do it.
    pub later: bool,
    /// What it does, in one sentence.
    pub doc: &'static str,
}

impl Key {
    const fn alias(mut self, name: &'static str) -> Self {
        self.alias = Some(name);
        self
    }

    const fn later(mut self) -> Self {
        self.later = true;
        self
    }

    /// `PULSE_BRIDGE_<SECTION>_<KEY>`; none for what only a file can say.
    #[must_use]
    pub fn variable(&self) -> Option<String> {
        match self.kind {
            Kind::Endpoints | Kind::Extra | Kind::Lists => None,
            _ => Some(format!("{PREFIX}{}", self.path.replace('.', "_").to_uppercase())),
        }
    }

    /// Every environment name that sets it, the one in the contract first; without the `_FILE` forms.
    #[must_use]
    pub fn variables(&self) -> Vec<String> {
        self.alias.map(str::to_owned).into_iter().chain(self.variable()).collect()
    }

    /// Whether it is asked of this service.
    #[must_use]
    pub fn is_asked_of(&self, protocol: Protocol) -> bool {
        let is_asr = self.path.starts_with(ASR);
        self.is_parameter
            && match protocol {
                Protocol::Pulse => !is_asr,
                Protocol::Asr => is_asr || self.path == "upstream.language",
            }
    }

    /// Whether its value must never be shown; such a key also has the `_FILE` names.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::Secret | Kind::Secrets)
    }
}

const fn key(path: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    Key { path, kind, default, alias: None, is_parameter: false, later: false, doc }
}

/// A row of `protocols/pulse.md` section 4, or of section 9 where its path begins with [`ASR`].
const fn parameter(path: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    Key { path, kind, default, alias: None, is_parameter: true, later: false, doc }
}

/// Largest `disk.reserve`: it is allocated whole.
const LARGEST_RESERVE: u64 = 64 << 30;
/// Largest `disk.min_free`: above any disk that is bought today.
const LARGEST_MIN_FREE: u64 = 1 << 50;
const MS: Duration = Duration::from_millis(1);
const SEC: Duration = Duration::from_secs(1);
/// Largest `upstream.close_deadline`.
pub(crate) const LONGEST_CLOSE: Duration = Duration::from_mins(1);
/// Largest `upstream.catch_up`.
pub(crate) const LONGEST_CATCH_UP: Duration = Duration::from_mins(10);
/// Least and most of `spool.per_track`.
pub(crate) const SPOOL: (Duration, Duration) = (Duration::from_secs(10), Duration::from_hours(12));
/// Largest `upstream.slot_wait`: under the time after which a session takes its links for dead.
pub(crate) const LONGEST_SLOT_WAIT: Duration = Duration::from_mins(30);
const HOUR: Duration = Duration::from_hours(1);
pub(super) const DAY: Duration = Duration::from_hours(24);
/// Longest retention: ten years, so that sums of times stay far from any overflow.
const DECADE: Duration = Duration::from_hours(24 * 3_652);

/// Fields of one item of `webhook.endpoints`, in the order of the contract.
#[rustfmt::skip] // One field a line, as below.
pub const ENDPOINT: &[Key] = &[
    key("webhook.endpoints.name", Kind::Text, "", "Unique name: letters, digits, `-`, `_`, `.`."),
    key("webhook.endpoints.url", Kind::Url(&["https", "http"]), "", "Where its events are posted; a private address is allowed here."),
    key("webhook.endpoints.secrets", Kind::Secrets, "", "Signing secrets, `whsec_` and base64 of 24 to 64 bytes; two while rotating."),
    key("webhook.endpoints.events", Kind::List, "", "Event types; none: all but `transcript.partial` and `speech.*`."),
    key("webhook.endpoints.ordered", Kind::Bool, "true", "A call's events arrive in `seq` order."),
];

/// Names that look like settings but are not for the operator to choose, each with the reason.
pub const RESERVED: [(&str, &str); 13] = [
    ("upstream.encoding", "the call's own encoding is declared; audio passes through untouched"),
    ("upstream.sample_rate", "the call's own rate is declared; audio passes through untouched"),
    ("upstream.external_session_id", "it is made of each call's own id"),
    ("upstream.vad", "write it as upstream.vad_events"),
    ("upstream.token", "the key is upstream.api_key, and never travels in the address"),
    ("upstream.authorization", "the key is upstream.api_key, and never travels in the address"),
    ("upstream.asr.audio_encoding", "the call's own encoding is declared; audio passes through untouched"),
    ("upstream.asr.audio_sample_rate", "the call's own rate is declared; audio passes through untouched"),
    ("upstream.asr.audio_channels", "each track has a stream of its own"),
    ("upstream.asr.audio_language", "write it as upstream.language"),
    ("redaction.enabled", "redaction cannot be switched off"),
    ("redaction.off", "redaction cannot be switched off"),
    ("redaction.card", "redaction of card data cannot be switched off"),
];

/// The speech service's streaming address, used when there is a key and no `upstream.url`. Source: protocols/pulse.md section 2.1, A.
pub const PULSE_URL: &str = "wss://api.smallest.ai/waves/v1/stt/live";

/// The older ASR's, likewise. Source: protocols/pulse.md section 2.3.
pub const ASR_URL: &str = "wss://waves-api.smallest.ai/api/v1/asr";

/// What stands in `upstream.url` for the built-in engine.
pub const LOCAL: &str = "local";

/// All settings, in the order in which they are shown.
#[rustfmt::skip] // One setting a line reads as the table it is.
pub const KEYS: &[Key] = &[
    key("listen", Kind::Listen, "127.0.0.1:8080", "Address and port that the bridge listens on."),
    key("public_url", Kind::Url(&["https", "http"]), "", "Origin as Twilio sees it, e.g. `https://bridge.example.com`; needed for Twilio's signature, and needs `api_token`."),
    key("data_dir", Kind::Text, "./data", "Folder of the database, the spool and the made key."),
    key("api_token", Kind::Secret, "", "Bearer token of API, dashboard and metrics; without one they answer loopback only."),
    key("key", Kind::Secrets, "", "Master keys for data at rest, `id:base64` of 32 bytes; the first encrypts, all decrypt. None: one is made in `data_dir` with mode 0600."),
    key("database_url", Kind::Secret, "", "`postgres://…` for several nodes; none: SQLite under `data_dir`.").later(),

    key("twilio.auth_tokens", Kind::Secrets, "", "Auth tokens that may have signed Twilio's requests; two while rotating.").alias("TWILIO_AUTH_TOKEN"),
    key("twilio.allow_unsigned", Kind::Bool, "false", "Takes Twilio streams with no signature and no token. Anyone who finds the port can then spend your money; warned of at start."),
    key("twilio.require_token", Kind::Bool, "false", "A signed stream must also carry the one-time token of `/twilio/voice`."),
    key("twilio.after", Kind::Private, "<Pause length=\"3600\"/>", "TwiML that `/twilio/voice` runs after `<Start><Stream>`, e.g. `<Dial>+15550100</Dial>`."),

    key("ingest.tokens", Kind::Secrets, "", "Tokens taken in the path, as Bearer or as Basic password, for every dialect. In the path one replaces no signature where auth tokens are set."),
    key("ingest.allow_unauthenticated", Kind::Bool, "false", "Takes streams of a dialect that has neither a token nor a signature set up; warned of at start."),
    key("ingest.max_calls", Kind::Int(1, 100_000), "1000", "Calls at once; one more is refused."),
    key("ingest.max_call", Kind::Span(SEC, DAY), "4 h", "Longest call; then it is ended as `timeout`."),
    key("ingest.silence", Kind::Span(SEC, HOUR), "60 s", "A stream that sends nothing for so long is ended as `timeout`."),

    key("upstream.url", Kind::Url(&["wss", "ws"]), "", "Streaming address of the speech service, path included; with a key and no address, the service's own for the protocol. `local`, and without a key no address either: the built-in engine."),
    key("upstream.batch_url", Kind::Url(&["https", "http"]), "", "Where goes what streaming could not do; none: derived from `upstream.url`, and where that has no batch beside it, it is a gap."),
    key("upstream.batch_format", Kind::Choice(&["pcm16", "mulaw"]), "pcm16", "Form of its files: 16-bit PCM, or mu-law, half as large, where the service decodes it."),
    key("upstream.batch_per_minute", Kind::Int(1, 10_000), "25", "Requests of the whole process that begin in a minute; the plan's rate."),
    key("upstream.batch_deadline", Kind::Span(SEC, HOUR), "300 s", "How long a track's batch requests go on from their first failure; waiting for the plan's rate does not count, and a wait that the service asks for is kept beyond it once."),
    key("upstream.api_key", Kind::Secret, "", "Key of the speech service, sent as Bearer header only.").alias("SMALLEST_API_KEY"),
    key("upstream.protocol", Kind::Choice(&["pulse", "asr"]), "pulse", "`pulse`, or `asr`, the older Waves ASR, which has no word times, no speakers and no batch."),
    key("upstream.max_sessions", Kind::Int(1, 100_000), "100", "Speech sockets at once, all calls together; a two-track call takes two. From 20 on, a twentieth is kept for calls that are live already."),
    key("upstream.chunk_ms", Kind::Int(20, 500), "60", "Milliseconds of audio in one message to the speech service."),
    key("upstream.when_full", Kind::Choice(&["wait", "one_track", "batch_after", "refuse"]), "wait", "What a new call gets when the speech sockets are taken: `wait` keeps its audio and catches up, `one_track` streams the caller's track alone and leaves the other for after the call, `batch_after` leaves both for after it, `refuse` closes the stream with 1013."),
    key("upstream.slot_wait", Kind::Span(SEC, LONGEST_SLOT_WAIT), "1800 s", "How long after its end a call that waits for a speech socket is kept; then what is left goes to the batch endpoint, and is a gap with reason `quota` where that does not help."),
    key("upstream.connects_per_second", Kind::Int(1, 10_000), "20", "Connects to the speech service, all calls together, behind the first 100; one that lives 5 s does not count."),
    key("upstream.replay_speed", Kind::Int(1, 16), "2", "How many times as fast as speech audio goes out that had to wait: after a reconnect, or from a recording that is played fast."),
    key("upstream.session_limit", Kind::Span(SEC, DAY), "1 h", "How long the service lets a session last, which is the operator's to find out: from nine tenths of it on, another connection takes over at the next silence."),
    key("upstream.close_deadline", Kind::Span(SEC, LONGEST_CLOSE), "5 s", "How long the last words of a call are waited for after its end, counted anew with each that comes as long as the service gets on."),
    key("upstream.catch_up", Kind::Span(SEC, LONGEST_CATCH_UP), "60 s", "How long after a call's end a lost connection to the speech service is tried again, counted from its loss or the hang-up, whichever is later; one that gets on is never cut off."),

    parameter("upstream.model", Kind::Choice(&["pulse"]), "pulse", "Pulse model."),
    parameter("upstream.language", Kind::Text, "en", "Spoken language as the service names it; for Pulse passed through, for the older ASR one of its list."),
    parameter("upstream.word_timestamps", Kind::Bool, "true", "Times for each word."),
    parameter("upstream.sentence_timestamps", Kind::Bool, "true", "Times for each sentence."),
    parameter("upstream.diarize", Kind::Bool, "true", "Tells speakers on one track apart."),
    parameter("upstream.redact_pii", Kind::Bool, "true", "The service's own redaction of personal data, before ours."),
    parameter("upstream.redact_pci", Kind::Bool, "true", "The service's own redaction of card data, before ours."),
    parameter("upstream.full_transcript", Kind::Bool, "", "Asks for all finals so far, joined; not used by the bridge."),
    parameter("upstream.format", Kind::Bool, "", "Master switch of the next three."),
    parameter("upstream.punctuate", Kind::Bool, "", "Punctuation."),
    parameter("upstream.capitalize", Kind::Bool, "", "Capital letters."),
    parameter("upstream.itn_normalize", Kind::Bool, "true", "Spoken to written numbers in finals; redaction works on written digits best."),
    parameter("upstream.no_format_delay", Kind::Bool, "", "A number at the end is not held back for the next final."),
    parameter("upstream.numerals", Kind::Choice(&["true", "false", "auto"]), "", "Old name of number formatting, still taken by the service."),
    parameter("upstream.keywords", Kind::List, "", "Words to listen for, `Word:weight`; a weight of 1 to 3 is advised, above 5 invents words."),
    parameter("upstream.eou_timeout_ms", Kind::Int(100, 10_000), "", "Silence that ends an utterance; under about 1,100 may cut inside speech."),
    parameter("upstream.endpointing", Kind::Bool, "", "Voice activity ends an utterance on trailing silence."),
    parameter("upstream.endpointing_timeout", Kind::Int(0, 10_000), "", "Milliseconds of that silence."),
    parameter("upstream.vad_threshold", Kind::Ratio(0.0, 1.0), "", "How sure voice activity must be."),
    parameter("upstream.vad_min_speech_ms", Kind::Int(0, 60_000), "", "Shortest sound taken for speech."),
    parameter("upstream.vad_events", Kind::Bool, "", "Asks for voice activity, from which `speech.started` and `speech.ended` come."),
    parameter("upstream.finalize_on_words", Kind::Bool, "false", "Cuts a final every few words; longer segments split fewer names and numbers."),
    parameter("upstream.max_words", Kind::Int(1, 10_000), "", "Longest final in words, where `finalize_on_words` is on."),
    parameter("upstream.emotion_detection", Kind::Bool, "", "Emotion of each final."),
    parameter("upstream.gender_detection", Kind::Bool, "", "Gender of each final."),
    parameter("upstream.asr.add_punctuation", Kind::Bool, "true", "Punctuation (`addPunctuation`). This and the next four are the older ASR's, and only where `upstream.protocol` is `asr`."),
    parameter("upstream.asr.speech_end_threshold", Kind::Int(10, 60_000), "800", "Milliseconds of silence that end a turn (`speechEndThreshold`); the service's own 300 cut a number that is read out in groups."),
    parameter("upstream.asr.emit_voice_activity", Kind::Bool, "", "Asks for voice activity, from which `speech.started` and `speech.ended` come (`emitVoiceActivity`)."),
    parameter("upstream.asr.redact_sensitive_data", Kind::Words(&["pci", "ssn", "numbers"]), "pci,ssn", "The service's own redaction, before ours (`redactSensitiveData`); `[]` asks for none."),
    parameter("upstream.asr.speech_endpointing", Kind::SwitchOr(10, 60_000), "", "Whether the service ends turns by itself, or after how many milliseconds (`speechEndpointing`)."),
    key("upstream.extra", Kind::Extra, "", "Newer Pulse parameters, passed through by name."),

    key("spool.per_track", Kind::Span(SPOOL.0, SPOOL.1), "1 h", "Audio without a final that is kept on disk for each track of a call; past it the oldest is given up and told as a gap."),

    key("engine.model", Kind::Choice(&["fast", "accurate"]), "fast", "Model of the built-in speech engine: `accurate` has about a third fewer errors, and costs more than twice as much."),
    key("engine.eou_timeout_ms", Kind::Int(100, 10_000), "600", "Silence that ends an utterance where the built-in engine is used and `upstream.eou_timeout_ms` says nothing."),
    key("audiohook.api_key", Kind::Secret, "", "Key that an AudioHook client must name.").later(),
    key("audiohook.secret", Kind::Secret, "", "Secret that an AudioHook client must have signed with.").later(),

    key("webhook.url", Kind::Url(&["https", "http"]), "", "Address of the endpoint named `default`; needs `webhook.secret`."),
    key("webhook.secret", Kind::Secrets, "", "Its signing secrets, `whsec_` and base64 of 24 to 64 bytes; two while rotating."),
    key("webhook.endpoints", Kind::Endpoints, "", "Endpoints `{name, url, secrets, events, ordered}`; `events` default to all but `transcript.partial` and `speech.*`, `ordered` to `true`."),

    key("redaction.hold", Kind::Span(SEC, Duration::from_secs(30)), "6 s", "How long a final may be held because its end might be half a number; then the open end is masked."),
    key("redaction.partials", Kind::Bool, "false", "Lets interim text out to endpoints that ask for `transcript.partial`, digits and number words masked; else it is withheld."),
    key("redaction.menu_digits", Kind::Bool, "false", "Shows single keypad digits where no secret was asked for; else all are masked."),
    key("redaction.name_model", Kind::Text, "", "Folder of a name model, which finds names that no rule does; for programs built with `--features name-model`."),
    key("redaction.types", Kind::List, "pii", "What is taken out: types (`credit_card`, `phone`, …) and the groups `pci`, `ssn`, `numbers` and `pii` (all), those that stay with a `-` in front (`-person`). Card numbers, security codes and PINs always go ([redaction](redaction.md))."),
    key("redaction.mode", Kind::Extra, "", "What stands in its place, by type or group: `mask` (`[PHONE_1]`), `remove`, `hash` (`[PHONE:9f3a12bc]`), `last4` (`[CREDIT_CARD_1:4242]`, card numbers alone). Without a word: `mask`."),
    key("redaction.hash_key", Kind::Secret, "", "Key of `hash`, base64 of at least 32 bytes; the same on every node, so that a value has one hash everywhere."),
    key("redaction.allow", Kind::List, "", "Values and phrases that stay, however they are said: own numbers, products, agents' names. Frees no card number that passes its check, no security code, no PIN."),
    key("redaction.deny", Kind::Lists, "", "Values and phrases that always go, by type: `PERSON = [\"Acme Holdings\"]`."),
    key("redaction.patterns", Kind::Extra, "", "Regular expressions of your own, by name (A to Z and `_`): `MEMBER_ID = '\\bAB-\\d{6}\\b'` makes `[MEMBER_ID_1]`. Matched within one final, upper and lower case alike."),

    key("retention.calls", Kind::Span(HOUR, DECADE), "30 d", "How long an ended call is kept whose events were all delivered; then text, audio and deliveries are erased."),
    key("retention.attempts", Kind::Span(HOUR, DECADE), "30 d", "How long the record of a delivery's attempts is kept once it is delivered or parked."),
    key("retention.parked", Kind::Span(HOUR, DECADE), "90 d", "How long a delivery is kept once it is parked; then the delivery goes, and with it what kept its call."),

    key("disk.reserve", Kind::Bytes(0, LARGEST_RESERVE), "64 MiB", "Disk space taken ahead, as the file `reserve` in `data_dir`; given up when the disk is full, so that the events of live calls still land. `0 B`: none."),
    key("disk.min_free", Kind::Bytes(0, LARGEST_MIN_FREE), "256 MiB", "With less left on the disk of `data_dir` no new call is taken; live calls go on. `0 B`: not looked at."),

    key("drain.deadline", Kind::Span(MS, DAY), "600 s", "How long SIGTERM waits for live calls to end by themselves."),
    key("capture.dir", Kind::Text, "", "Folder in which each incoming call is recorded as a fixture that `replay` plays, with what was taken out of its text silent; none: nothing is recorded."),
    key("log.format", Kind::Choice(&["pretty", "json"]), "", "`pretty` on a terminal, else `json`; the filter comes from `RUST_LOG`."),
];

/// The last word of a path.
#[must_use]
pub fn last_word(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

/// The row of a path.
#[must_use]
pub fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}
