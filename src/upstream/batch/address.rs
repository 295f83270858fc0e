//! Where batch requests go and what they ask for.
//!
//! Promises: the streaming address alone decides, by the tables of protocols/pulse.md sections 2.1 and 2.2; a path that is not in them has
//! no batch; neither a key nor a `webhook_…` parameter ever gets into the URL.

use url::{Url, form_urlencoded::Serializer};

use crate::upstream::Parameters;

/// The path of each stream and of the batch beside it. D is the predecessor of B and C; its batch is that of its host.
const PATHS: [(&str, &str); 5] = [
    ("/waves/v1/stt/live", "/waves/v1/stt/"),
    ("/waves/v1/pulse/get_text", "/waves/v1/pulse/get_text"),
    ("/api/v1/pulse/get_text", "/api/v1/pulse/get_text"),
    ("/waves/v1/lightning/get_text", "/waves/v1/pulse/get_text"),
    ("/api/v1/lightning/get_text", "/api/v1/pulse/get_text"),
];
/// The streaming parameters that batch takes as well (protocols/pulse.md section 8.1).
const SHARED: [&str; 11] = [
    "model",
    "language",
    "diarize",
    "redact_pii",
    "redact_pci",
    "format",
    "punctuate",
    "capitalize",
    "numerals",
    "emotion_detection",
    "gender_detection",
];
/// Asked for whatever the settings say: words and utterances place the text.
const TIMES: &str = "word_timestamps";
/// Names in an operator's address that are never passed on.
const KEYS: [&str; 3] = ["token", "api_key", "authorization"];

/// The batch address beside a streaming address; `None` where the tables have none.
#[must_use]
pub fn batch_address(stream: &Url) -> Option<Url> {
    let path = stream.path().trim_end_matches('/');
    let (_, path) = PATHS.iter().find(|(stream, _)| *stream == path)?;
    let (secure, plain) = ("https", "http");
    let scheme = if matches!(stream.scheme(), "wss" | "https") { secure } else { plain };
    // The scheme of a WebSocket cannot be set in place.
    let host = stream.host_str()?;
    let port = stream.port().map(|port| format!(":{port}")).unwrap_or_default();
    Url::parse(&format!("{scheme}://{host}{port}{path}")).ok()
}

/// The URL of one request: the operator's, with what is asked for in place of what it says about the same parameters. The older ASR's
/// settings say nothing about most of them.
#[must_use]
pub(in crate::upstream) fn request_url(base: &Url, parameters: &Parameters) -> Url {
    let ours = |name: &str| name == TIMES || SHARED.contains(&name) && parameters.knows(name);
    let dropped = |name: &str| ours(name) || KEYS.contains(&name) || name.starts_with("webhook_");
    let mut query = Serializer::new(String::new());
    query.append_pair(TIMES, "true");
    query.extend_pairs(SHARED.into_iter().filter_map(|name| parameters.get(name).map(|value| (name, value))));
    query.extend_pairs(base.query_pairs().filter(|(name, _)| !dropped(&name.to_ascii_lowercase())));
    let query = query.finish();
    let mut url = base.clone();
    url.set_query(Some(&query));
    url.set_fragment(None);
    url
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::Protocol;

    #[test]
    fn every_row_of_the_table_has_its_batch() {
        for (stream, expected) in [
            ("wss://api.smallest.ai/waves/v1/stt/live?model=pulse", Some("https://api.smallest.ai/waves/v1/stt/")),
            ("wss://api.us.smallest.ai/waves/v1/stt/live", Some("https://api.us.smallest.ai/waves/v1/stt/")),
            ("wss://api.smallest.ai/waves/v1/pulse/get_text", Some("https://api.smallest.ai/waves/v1/pulse/get_text")),
            ("wss://waves-api.smallest.ai/api/v1/pulse/get_text", Some("https://waves-api.smallest.ai/api/v1/pulse/get_text")),
            ("wss://api.smallest.ai/waves/v1/lightning/get_text", Some("https://api.smallest.ai/waves/v1/pulse/get_text")),
            (
                "wss://waves-api.smallest.ai/api/v1/lightning/get_text",
                Some("https://waves-api.smallest.ai/api/v1/pulse/get_text"),
            ),
            ("ws://127.0.0.1:9090/waves/v1/stt/live", Some("http://127.0.0.1:9090/waves/v1/stt/")),
            ("ws://[::1]:9090/waves/v1/stt/live/", Some("http://[::1]:9090/waves/v1/stt/")),
            ("ws://inference:8080/transcribe", None),
            ("wss://waves-api.smallest.ai/api/v1/asr", None),
            ("wss://api.smallest.ai/", None),
        ] {
            let found = batch_address(&stream.parse().unwrap());
            assert_eq!(found.as_ref().map(Url::as_str), expected, "{stream}");
        }
    }

    #[test]
    fn a_request_asks_for_what_batch_knows_and_carries_no_key_and_no_webhook() {
        let mut parameters = Parameters::default();
        for (name, value) in [("language", "de"), ("word_timestamps", "false"), ("punctuate", "false"), ("keywords", "Ana:2")] {
            parameters.set(name, value).unwrap();
        }
        let base = "https://h/waves/v1/stt/?region=us&token=sk_1&Webhook_URL=http://x&language=en#top".parse().unwrap();
        assert_eq!(
            request_url(&base, &parameters).as_str(),
            "https://h/waves/v1/stt/?word_timestamps=true&model=pulse&language=de&diarize=true&redact_pii=true&redact_pci=true&punctuate=false&region=us"
        );
    }

    #[test]
    fn beside_the_older_asr_the_address_may_say_what_its_settings_cannot() {
        let base = "https://h/waves/v1/stt/?model=pulse&redact_pii=true&language=hi".parse().unwrap();
        assert_eq!(
            request_url(&base, &Parameters::of(Protocol::Asr)).as_str(),
            "https://h/waves/v1/stt/?word_timestamps=true&language=en&model=pulse&redact_pii=true"
        );
    }
}
