//! The emulator's sockets: HTTP for admission, batch and the log, `WebSocket`s for sessions.

mod converse;
mod hear;
mod quiet;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use axum::{
    Json, Router,
    body::{Body, to_bytes},
    extract::{Request as HttpRequest, State},
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::{get, post},
    serve::ListenerExt,
};
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::converse::Conversation;
use super::{
    admit::{Auth, ROUTES, Refusal, Route, admit, is_let_in},
    asr::Asked,
    batch,
    faults::{Fault, Faults, Limit, Manner, Suffered, Wait},
    log::{HeardLog, Request},
    recognition,
    script::Script,
    session::Session,
    speech::Speech,
    wire::Parameters,
};
use crate::{
    clock,
    fixture::{self, Fixture},
    hex::hex,
};

/// An emulator, ready to serve.
#[derive(Clone, Default)]
pub struct Emulator {
    /// What makes words of the audio.
    pub speech: Speech,
    /// How it misbehaves.
    pub faults: Faults,
    /// Whose requests it takes.
    pub auth: Auth,
    /// Where it notes what happens; keep a clone to read it.
    pub log: HeardLog,
}

struct Shared {
    emulator: Emulator,
    shutdown: CancellationToken,
    sessions: TaskTracker,
}

impl Shared {
    /// Lets so much time pass, or what is left until the shutdown.
    async fn pause(&self, time: Option<Wait>) {
        let Some(time) = time else { return };
        tokio::select! {
            () = converse::wait(time) => {}
            () = self.shutdown.cancelled() => {}
        }
    }
}

/// Serves until `shutdown`; returns when every session has ended.
///
/// # Errors
/// If the listener breaks.
pub async fn serve(listener: TcpListener, emulator: Emulator, shutdown: CancellationToken) -> io::Result<()> {
    let sessions = TaskTracker::new();
    let shared = Arc::new(Shared { emulator, shutdown: shutdown.clone(), sessions: sessions.clone() });
    let listener = listener.tap_io(|socket| {
        // Latency only; a socket that refuses it still works.
        let _ = socket.set_nodelay(true);
    });
    axum::serve(listener, router(shared)).with_graceful_shutdown(shutdown.cancelled_owned()).await?;
    sessions.close();
    sessions.wait().await;
    Ok(())
}

/// What the `emulate` command was given.
#[derive(Clone, Default)]
pub struct Arguments {
    /// See [`load_script`]; absent: a built-in sentence.
    pub script: Option<PathBuf>,
    /// See [`load_faults`]; absent: none.
    pub faults: Option<PathBuf>,
}

impl Emulator {
    /// An emulator as the command line wants it: it takes any key.
    ///
    /// # Errors
    /// One line that names the file and what is wrong with it.
    pub fn of_arguments(arguments: &Arguments) -> anyhow::Result<Self> {
        let script = arguments.script.as_deref().map(load_script).transpose()?.unwrap_or_default();
        let faults = arguments.faults.as_deref().map(load_faults).transpose()?.unwrap_or_default();
        Ok(Self { speech: script.into(), faults, ..Self::default() })
    }
}

/// Reads a script: a fixture's folder, a folder of such folders, or a JSON file of times.
///
/// # Errors
/// One line that names the file and what is wrong with it.
pub fn load_script(path: &Path) -> anyhow::Result<Script> {
    if !path.is_dir() {
        let json = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        return Script::of_times(&json).with_context(|| path.display().to_string());
    }
    let folders = if path.join(fixture::MESSAGES).exists() { vec![path.to_owned()] } else { fixtures_in(path)? };
    anyhow::ensure!(!folders.is_empty(), "{} holds no fixture (a folder with {})", path.display(), fixture::MESSAGES);
    let fixtures: Vec<Fixture> = folders.iter().map(|folder| Fixture::load(folder)).collect::<Result<_, _>>()?;
    Ok(Script::of_fixtures(&fixtures))
}

/// Reads a fault plan.
///
/// # Errors
/// One line that names the file and what is wrong with it.
pub fn load_faults(path: &Path) -> anyhow::Result<Faults> {
    let json = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Faults::of_json(&json).map_err(|problem| anyhow::anyhow!("{} {problem}", path.display()))
}

fn fixtures_in(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut folders: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.join(fixture::MESSAGES).exists()).collect();
    folders.sort();
    Ok(folders)
}

fn router(shared: Arc<Shared>) -> Router {
    let mut router = Router::new()
        .route("/emulate/log", get(show_log))
        .route("/waves/v1/health", get(|| async { Json(serde_json::json!({"status": "ok"})) }));
    for route in ROUTES {
        let handler = if route.is_stream {
            get(move |shared, request| stream(route, shared, request))
        } else {
            post(move |shared, uri, headers, body| answer_batch(route, shared, uri, headers, body))
        };
        router = router.route(route.path, handler);
    }
    router.with_state(shared)
}

async fn show_log(State(shared): State<Arc<Shared>>) -> Response {
    let log = &shared.emulator.log;
    if !log.is_kept() {
        return StatusCode::NOT_FOUND.into_response();
    }
    Json(serde_json::json!({"most_open": log.most_open(), "connections": log.connections()})).into_response()
}

async fn stream(route: Route, State(shared): State<Arc<Shared>>, request: HttpRequest) -> Response {
    let (mut parts, _) = request.into_parts();
    let (number, asked, faults) = match begin(route, &shared, &parts.uri, &parts.headers) {
        Ok(begun) => begun,
        Err(refusal) => return refuse(refusal),
    };
    let log = shared.emulator.log.clone();
    let limit = faults.iter().find_map(|suffered| match suffered.fault {
        Fault::Limit { sessions, how } => Some((sessions, how)),
        _ => None,
    });
    let open = log.open(limit.map(|(sessions, _)| sessions));
    if open.is_none() && matches!(limit, Some((_, Limit::Refuse))) {
        log.note_refused(number, 429);
        return refuse(Refusal::of_status(429, None));
    }
    // Taken now, so that a shutdown between here and the upgrade waits for the session.
    let token = shared.sessions.token();
    let manner = Manner::of(&faults);
    shared.pause(manner.accepts_after).await;
    let (upgrade, answer) = match converse::handshake(&mut parts).await {
        Ok(both) => both,
        Err(rejection) => {
            shared.emulator.log.note_refused(number, rejection.status().as_u16());
            return rejection;
        }
    };
    log.note_opened(number);
    let session = Session::new(session_id(), asked, faults, &shared.emulator.speech);
    tokio::spawn(async move {
        let log = &shared.emulator.log;
        let engine = shared.emulator.speech.engine();
        let conversation = Conversation { session, engine, manner, number, log, open, shutdown: &shared.shutdown };
        log.note_ended(number, conversation.hold(upgrade).await);
        drop(token);
    });
    answer
}

async fn answer_batch(route: Route, State(shared): State<Arc<Shared>>, uri: Uri, headers: HeaderMap, body: Body) -> Response {
    let (number, asked, faults) = match begin(route, &shared, &uri, &headers) {
        Ok(begun) => begun,
        Err(refusal) => return refuse(refusal),
    };
    let log = &shared.emulator.log;
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let limit = usize::try_from(batch::LIMIT).unwrap_or(usize::MAX);
    let body = if declared > Some(batch::LIMIT) { None } else { to_bytes(body, limit).await.ok() };
    if let Some(body) = &body {
        log.note_audio(number, body);
    }
    shared.pause(batch::delay(&faults)).await;
    let answer = match body {
        Some(body) => tokio::select! {
            answer = answer_to(body, &asked, route, &faults, &shared.emulator.speech) => answer,
            () = shared.shutdown.cancelled() => Err(Refusal::of_status(503, None)),
        },
        None => Err(batch::too_large(route)),
    };
    match answer {
        Ok(answer) => {
            log.note_final(number, answer["transcription"].as_str().unwrap_or_default().to_owned());
            log.note_ended(number, "server");
            Json(answer).into_response()
        }
        Err(refusal) => {
            log.note_refused(number, refusal.status);
            refuse(refusal)
        }
    }
}

async fn answer_to(
    body: Bytes,
    asked: &Parameters,
    route: Route,
    faults: &[Suffered],
    speech: &Speech,
) -> Result<serde_json::Value, Refusal> {
    // A long file takes a while to decode.
    let faults = faults.to_vec();
    let opening = tokio::task::spawn_blocking(move || batch::open(&body, route, &faults));
    let recording = opening.await.map_err(|_| Refusal::of_status(500, None))??;
    match speech {
        Speech::Scripted(script) => Ok(recording.answer(&recording.heard_by(script), asked)),
        Speech::Recognised(pool) => {
            let asked = recognition::heard_alone(asked);
            let spoken = hear::hear(recording.mulaw(), &batch::ear_settings(&asked)?, &asked, pool).await;
            Ok(batch::without_speakers(recording.answer(&spoken, &asked)))
        }
    }
}

/// Notes a request and decides about it.
fn begin(route: Route, shared: &Shared, uri: &Uri, headers: &HeaderMap) -> Result<(u32, Parameters, Vec<Suffered>), Refusal> {
    let emulator = &shared.emulator;
    let query: Vec<(String, String)> =
        url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let external_session_id = Parameters::of_query(&query).external_session_id;
    let named = |(name, value): (&header::HeaderName, &header::HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let (at_ms, is_batch) = (emulator.log.now_ms(), !route.is_stream);
    let before = if is_batch { emulator.log.batches_taken() } else { Vec::new() };
    let (number, attempt) = emulator.log.begin(&Request {
        at_ms,
        is_batch,
        route: route.letter,
        path: uri.path(),
        query: &query,
        headers: headers.iter().map(named).collect(),
        external_session_id: &external_session_id,
    });
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let faults = if is_batch {
        emulator.faults.of_batch(number, attempt)
    } else {
        emulator.faults.of_connection(number, attempt, &external_session_id)
    };
    let refused = faults.iter().find_map(|suffered| match &suffered.fault {
        Fault::Refuse { status, retry_after } => Some(Refusal::of_status(*status, *retry_after)),
        Fault::RefuseFlag { flag } => Refusal::of_flag(flag, &query),
        fault => batch::refused(fault, &before, at_ms),
    });
    let (asked, verdict) = if route.is_asr() {
        let is_let_in = is_let_in(&query, authorization, &emulator.auth) == Some(true);
        (Asked::of_query(&query, is_let_in, &faults), Ok(()))
    } else {
        (Parameters::of_query(&query), admit(route, &query, authorization, &emulator.auth))
    };
    let verdict = refused.map_or(verdict, Err);
    verdict.inspect_err(|refusal| emulator.log.note_refused(number, refusal.status))?;
    Ok((number, asked, faults))
}

fn refuse(refusal: Refusal) -> Response {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Json(refusal.body)).into_response();
    if let Some(seconds) = refusal.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// A UUID, as sessions of the live service have.
fn session_id() -> String {
    let mut bytes = clock::random::<16>();
    bytes[6] = bytes[6] & 0x0F | 0x40;
    bytes[8] = bytes[8] & 0x3F | 0x80;
    let hex = hex(&bytes);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests;
