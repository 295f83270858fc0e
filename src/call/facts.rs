//! What is known of a call when its stream starts: names, direction, roles, and which parameters mean something to us.
//!
//! Promises: a parameter that we read is not passed on; one that we cannot use falls back to the default and never to
//! somebody else's role or webhook.

use crate::{
    dialect::{Dialect, Start},
    event::{Direction, Speech},
    media::{CallSid, EndpointName, SessionId, StreamSid, Track},
    pii::last_four,
    segment::Role,
    store::LiveSession,
};

/// Parameters of a start message that the bridge reads itself (contract, Events, details); `role_…` besides.
const READ_HERE: [&str; 5] = ["token", "webhook", "language", "keywords", "direction"];
/// Longest parameter value that is passed on, in bytes; Twilio allows 500 for name and value together (protocols/ingress.md section 3.1).
const MAX_PARAMETER_BYTES: usize = 500;
/// Most parameters that are passed on.
const MAX_PARAMETERS: usize = 64;

/// Reads Twilio's words for which way a call was dialled: `inbound`, and `outbound` with or without a suffix such as `-dial`.
pub fn direction_named(word: &str) -> Option<Direction> {
    match word.split('-').next() {
        Some("inbound") => Some(Direction::Inbound),
        Some("outbound") => Some(Direction::Outbound),
        _ => None,
    }
}

/// What the voice webhook said of a call before its stream came.
#[derive(Clone, Default)]
pub struct Remembered {
    /// Who called; shown by its last four digits only.
    pub from: Option<String>,
    /// Who was called; shown by its last four digits only.
    pub to: Option<String>,
    /// Which way.
    pub direction: Option<Direction>,
}

/// What is known of a session when it begins.
#[derive(Clone)]
pub struct Facts {
    /// Our name for it.
    pub session: SessionId,
    /// The peer's name for the call.
    pub call_sid: CallSid,
    /// The peer's name for the first stream.
    pub stream_sid: StreamSid,
    /// The peer's account.
    pub account_sid: Option<String>,
    /// Who speaks this protocol.
    pub dialect: &'static str,
    /// Which way the call was dialled.
    pub direction: Direction,
    /// Last four digits.
    pub from: Option<String>,
    /// Last four digits.
    pub to: Option<String>,
    /// The tracks that the peer announced.
    pub tracks: Vec<Track>,
    /// Parameters that are passed on; not yet through the gate.
    pub parameters: Vec<(String, String)>,
    /// The one endpoint that this call's events go to, where a parameter names one.
    pub webhook: Option<EndpointName>,
    /// The language that a parameter asks for.
    pub language: Option<String>,
    /// The keywords that a parameter gives.
    pub keywords: Option<String>,
    /// What transcribes.
    pub speech: Speech,
    /// When the stream started, in milliseconds since 1970.
    pub started_ms: u64,
    roles: [Role; 3],
}

impl Facts {
    /// Puts together what the start message and the voice webhook said.
    pub fn new(
        session: SessionId,
        start: Start,
        remembered: &Remembered,
        dialect: &'static str,
        speech: Speech,
        started_ms: u64,
    ) -> Self {
        let parameter = |name: &str| start.params.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str());
        let direction = parameter("direction").and_then(direction_named).or(remembered.direction).unwrap_or_default();
        let roles = roles(direction, parameter("role_inbound"), parameter("role_outbound"), parameter("role_mixed"));
        let call_sid = start.call().clone();
        Self {
            webhook: parameter("webhook").and_then(|name| EndpointName::new(name).ok()),
            language: parameter("language").filter(|word| is_language(word)).map(str::to_owned),
            keywords: parameter("keywords").filter(|words| !words.is_empty()).map(str::to_owned),
            from: remembered.from.as_deref().and_then(last_four),
            to: remembered.to.as_deref().and_then(last_four),
            parameters: passed_on(&start.params),
            tracks: start.tracks,
            call_sid,
            stream_sid: start.stream_sid,
            account_sid: start.account_sid.filter(|id| CallSid::new(id).is_ok()),
            session,
            dialect,
            direction,
            speech,
            started_ms,
            roles,
        }
    }

    /// A session as the store has it; its parameters were told long ago.
    pub fn stored(live: &LiveSession, speech: Speech) -> Self {
        let start = &live.session.start;
        let mut roles = roles(start.direction, None, None, None);
        for track in &live.session.tracks {
            roles[track.key.track as usize] = track.role.clone();
        }
        let nameless = || StreamSid::new("-").expect("a dash is visible ASCII");
        Self {
            session: start.id.clone(),
            call_sid: start.call_sid.clone(),
            stream_sid: live.streams.first().map_or_else(nameless, |(_, stream_sid, _)| stream_sid.clone()),
            account_sid: start.account_sid.clone(),
            dialect: Dialect::Twilio.as_str(),
            direction: start.direction,
            from: start.from.clone(),
            to: start.to.clone(),
            tracks: live.session.tracks.iter().map(|track| track.key.track).collect(),
            parameters: Vec::new(),
            webhook: start.webhook.clone(),
            language: start.context["language"].as_str().map(str::to_owned),
            keywords: start.context["keywords"].as_str().map(str::to_owned),
            speech,
            started_ms: start.started_wall_ms,
            roles,
        }
    }

    /// What the party on this track is to the operator.
    pub fn role(&self, track: Track) -> &Role {
        &self.roles[track as usize]
    }
}

/// Inbound is the caller and outbound the agent; a call that the platform dialled swaps them; names given by parameter win.
fn roles(direction: Direction, inbound: Option<&str>, outbound: Option<&str>, mixed: Option<&str>) -> [Role; 3] {
    let (first, second) = match direction {
        Direction::Inbound => (Role::caller(), Role::agent()),
        Direction::Outbound => (Role::agent(), Role::caller()),
    };
    [
        inbound.and_then(Role::named).unwrap_or(first),
        outbound.and_then(Role::named).unwrap_or(second),
        mixed.and_then(Role::named).or_else(|| Role::named("mixed")).unwrap_or_else(Role::caller),
    ]
}

fn passed_on(params: &[(String, String)]) -> Vec<(String, String)> {
    params
        .iter()
        .filter(|(name, value)| {
            !READ_HERE.contains(&name.as_str()) && !name.starts_with("role_") && name.len() + value.len() <= MAX_PARAMETER_BYTES
        })
        .take(MAX_PARAMETERS)
        .cloned()
        .collect()
}

fn is_language(word: &str) -> bool {
    (2..=32).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}
