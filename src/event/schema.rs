//! The JSON Schema of each event type: what `/schemas/{type}.json` serves and what tests hold every event to.

macro_rules! schemas {
    ($($kind:literal),* $(,)?) => {
        /// Every event type, in the order in which a call meets them.
        pub const KINDS: &[&str] = &[$($kind),*];

        /// The JSON Schema (draft 2020-12) of one event type; `None` for a word that is no type.
        #[must_use]
        pub fn schema(kind: &str) -> Option<&'static str> {
            match kind {
                $($kind => Some(include_str!(concat!("../schemas/", $kind, ".json"))),)*
                _ => None,
            }
        }
    };
}

schemas![
    "call.started",
    "speech.started",
    "speech.ended",
    "transcript.partial",
    "transcript.final",
    "transcript.gap",
    "call.dtmf",
    "call.completed",
];
