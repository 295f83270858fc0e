//! The phone's sockets, its pace, and the command's output.

use std::{
    collections::BTreeMap,
    fmt, fs,
    io::Write,
    path::{Path, PathBuf},
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use futures_util::{
    SinkExt, StreamExt,
    stream::{FuturesUnordered, SplitSink, SplitStream},
};
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use tokio::time::timeout;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message as Frame, client::IntoClientRequest, http::HeaderValue, protocol::frame::coding::CloseCode},
};
use url::Url;

use super::{Ids, Pace, Played, Progress, Recording, Settings, TrackSent, wire};
use crate::{
    audio::Wav,
    clock,
    dialect::signature,
    fixture::{self, Fixture, Media, Message},
    hex::hex,
    media::{MAX_ID_BYTES, Track},
    net,
};

/// How long the handshake may take.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// How long the bridge may take to answer our close.
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);
/// How long a stream without a `stop` stays open after its last message, so that a bridge which refused it can say so.
const REFUSAL_PATIENCE: Duration = Duration::from_millis(200);
/// At the greatest speed, messages written before the socket is flushed.
const FLUSHED_AT_ONCE: u64 = 64;

type Socket = WebSocketStream<Box<dyn net::Stream>>;

/// What the `replay` command was given.
#[derive(Clone)]
pub struct Arguments {
    /// What is played, at least one; see [`load`].
    pub recordings: Vec<Recording>,
    /// The bridge's media route; the command line's default is [`super::DEFAULT_TO`].
    pub to: Url,
    /// How fast.
    pub pace: Pace,
    /// How many calls at once, taking the recordings in turn; at least one for each recording.
    pub calls: usize,
    /// Signs the handshake with this account token.
    pub sign_with: Option<SecretString>,
    /// One JSON object a call in place of a line.
    pub json: bool,
}

/// The command: plays, prints a line for each call to `out`; whether all went through.
///
/// # Errors
/// If nothing could be played, in one line that says what to do.
pub async fn command(arguments: Arguments, out: &mut (impl Write + Send)) -> anyhow::Result<bool> {
    let recordings = &arguments.recordings;
    ensure!(!recordings.is_empty(), "nothing to play; name a fixture's folder or a WAV file");
    let calls = arguments.calls.max(recordings.len());
    let recordings: Vec<&Recording> = recordings.iter().cycle().take(calls).collect();
    let settings = Settings { pace: arguments.pace, sign_with: arguments.sign_with, ..Settings::new(arguments.to) };
    let progress = Progress::default();
    let played = play_all(&recordings, &settings, &progress);
    let played = if arguments.json { played.await } else { with_bar(played, &recordings, &progress).await };
    for call in &played {
        let line = if arguments.json { serde_json::to_string(call)? } else { call.to_string() };
        writeln!(out, "{line}").context("failed to print")?;
    }
    Ok(played.iter().all(|call| call.error.is_none()))
}

/// Shows on stderr, if that is a terminal, how far the calls have got.
async fn with_bar(played: impl Future<Output = Vec<Played>>, recordings: &[&Recording], progress: &Progress) -> Vec<Played> {
    const PAINTED_EVERY: Duration = Duration::from_millis(200);
    let bar = indicatif::ProgressBar::new(recordings.iter().map(|recording| recording.media_messages()).sum());
    tokio::pin!(played);
    loop {
        tokio::select! {
            played = &mut played => {
                bar.finish_and_clear();
                return played;
            }
            () = tokio::time::sleep(PAINTED_EVERY) => bar.set_position(progress.sent.load(Relaxed)),
        }
    }
}

/// Reads what a path names: a fixture, a folder of fixtures, a WAV file.
///
/// # Errors
/// One line that names the file and what is wrong with it.
pub fn load(path: &Path) -> anyhow::Result<Vec<Recording>> {
    if path.join(fixture::MESSAGES).exists() {
        return Ok(vec![Recording::of_fixture(Fixture::load(path)?)]);
    }
    if path.is_dir() {
        let mut inside: Vec<PathBuf> = fs::read_dir(path)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
        inside.retain(|path| path.join(fixture::MESSAGES).exists() || is_wav(path));
        inside.sort();
        ensure!(!inside.is_empty(), "{} holds neither fixtures nor WAV files", path.display());
        let loaded: Vec<Vec<Recording>> = inside.iter().map(|path| load(path)).collect::<Result<_, _>>()?;
        return Ok(loaded.concat());
    }
    let file = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    ensure!(is_wav(path), "{} is neither a fixture's folder (with {}) nor a .wav file", path.display(), fixture::MESSAGES);
    let wav = Wav::parse(&file.into()).with_context(|| path.display().to_string())?;
    let name = path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    Ok(vec![Recording::of_wav(name, &wav)])
}

fn is_wav(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("wav"))
}

/// Plays all recordings at once; the results in the recordings' order.
pub async fn play_all(recordings: &[&Recording], settings: &Settings, progress: &Progress) -> Vec<Played> {
    let mut playing: FuturesUnordered<_> = recordings
        .iter()
        .enumerate()
        .map(|(index, recording)| async move { (index, play(recording, settings, progress).await) })
        .collect();
    let mut played = BTreeMap::new();
    while let Some((index, call)) = playing.next().await {
        played.insert(index, call);
    }
    played.into_values().collect()
}

/// Plays one call to its end. What goes wrong is in the result.
pub async fn play(recording: &Recording, settings: &Settings, progress: &Progress) -> Played {
    let ids = settings.ids.clone().unwrap_or_else(fresh_ids);
    let mut sent = Sent::default();
    let outcome = async {
        ensure!(is_plain(&ids.call_sid) && is_plain(&ids.stream_sid), "a call's ids are 1 to 128 letters, digits, - and _");
        let socket = timeout(CONNECT_DEADLINE, dial(settings)).await;
        let socket = socket.map_err(|_| anyhow::anyhow!("{} did not answer within 10 s", shown(&settings.to)))??;
        converse(socket, recording, &ids, settings, &mut sent, progress).await
    }
    .await;
    let stopped = recording.messages.iter().any(|message| matches!(message, Message::Stop { .. }));
    Played {
        recording: recording.name.clone(),
        call_sid: ids.call_sid,
        stream_sid: ids.stream_sid,
        messages: sent.messages,
        tracks: sent.tracks.into_iter().map(|(track, sent)| (track, sent.into_result())).collect(),
        ended: if outcome.is_err() {
            "failed"
        } else if stopped {
            "stop"
        } else {
            "disconnect"
        },
        error: outcome.err().map(|error| format!("{error:#}")),
    }
}

/// What went out so far.
#[derive(Default)]
struct Sent {
    messages: u64,
    tracks: BTreeMap<Track, SentTrack>,
}

#[derive(Default)]
struct SentTrack {
    frames: u64,
    bytes: u64,
    audio: Sha256,
}

impl SentTrack {
    fn into_result(self) -> TrackSent {
        TrackSent { frames: self.frames, bytes: self.bytes, sha256: hex(&self.audio.finalize()) }
    }
}

fn fresh_ids() -> Ids {
    let id = |prefix| format!("{prefix}{}", hex(&clock::random::<16>()));
    Ids { call_sid: id("CA"), stream_sid: id("MZ") }
}

fn is_plain(id: &str) -> bool {
    (1..=MAX_ID_BYTES).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// A URL without what may be secret in it: a token stands in the path.
fn shown(url: &Url) -> String {
    format!("{}://{}:{}", url.scheme(), url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default())
}

async fn dial(settings: &Settings) -> anyhow::Result<Socket> {
    let url = &settings.to;
    let mut request = url.as_str().into_client_request().with_context(|| shown(url))?;
    if let Some(token) = &settings.sign_with {
        let signed = settings.sign_url.as_deref().unwrap_or(url.as_str());
        let value = HeaderValue::from_str(&signature::sign(token, signed, &[])).expect("base64 is fit for a header");
        request.headers_mut().insert(signature::HEADER, value);
    }
    let unreachable = || format!("cannot reach {}; is the bridge running there?", shown(url));
    let socket = settings.dialler.connect(url, clock::now() + CONNECT_DEADLINE).await.with_context(unreachable)?;
    match client_async(request, socket).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => {
            bail!("{} refused the stream: {}{}", shown(url), response.status(), reason(response.body().as_deref()))
        }
        Err(error) => Err(error).with_context(|| format!("{}: failed to open the stream", shown(url))),
    }
}

/// The reason that a refusal's body gives, if it gives one.
fn reason(body: Option<&[u8]>) -> String {
    let value: serde_json::Value = body.and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default();
    let text = value["detail"].as_str().or_else(|| value["title"].as_str());
    text.map(|text| format!(" ({text})")).unwrap_or_default()
}

async fn converse(
    socket: Socket,
    recording: &Recording,
    ids: &Ids,
    settings: &Settings,
    sent: &mut Sent,
    progress: &Progress,
) -> anyhow::Result<()> {
    let (mut writer, mut reader) = socket.split();
    let spoken = tokio::select! {
        spoken = speak(&mut writer, recording, ids, settings, sent, progress) => spoken,
        ended = listen(&mut reader) => bail!("the bridge ended the stream: {ended}"),
    };
    let (outcome, patience) = match spoken {
        // The bridge may take its time; what it owes us is on its way to the webhook, not here.
        Ok(true) => (writer.close().await.context("failed to close the stream"), CLOSE_DEADLINE),
        Ok(false) => (Ok(()), REFUSAL_PATIENCE),
        Err(broken) => (Err(broken), REFUSAL_PATIENCE),
    };
    // At the greatest speed everything may be written before the bridge's refusal arrives; where it does, it is why.
    match timeout(patience, listen(&mut reader)).await {
        Ok(ended) if ended.is_refusal() => bail!("the bridge ended the stream: {ended}"),
        _ => outcome,
    }
}

/// Sends the whole recording at its pace; whether it had a `stop`.
async fn speak(
    writer: &mut SplitSink<Socket, Frame>,
    recording: &Recording,
    ids: &Ids,
    settings: &Settings,
    sent: &mut Sent,
    progress: &Progress,
) -> anyhow::Result<bool> {
    let mut account = "";
    let mut zero: Option<(Instant, u64)> = None;
    for message in &recording.messages {
        if let Message::Start(start) = message {
            account = &start.account_sid;
        }
        if let (Message::Media(media), Pace::Times(speed)) = (message, settings.pace) {
            let (began, first_ms) = *zero.get_or_insert((clock::now(), media.timestamp_ms));
            let due = Duration::from_millis(media.timestamp_ms.saturating_sub(first_ms)).div_f64(speed);
            clock::sleep_until(Some(began + due)).await;
        }
        let text = wire::text_of(message, account, ids, &settings.parameters);
        writer.feed(Frame::Text(text.into())).await.context("the stream broke")?;
        if settings.pace != Pace::Max || sent.messages.is_multiple_of(FLUSHED_AT_ONCE) {
            writer.flush().await.context("the stream broke")?;
        }
        sent.messages += 1;
        if let Message::Media(media) = message {
            note(sent, media);
            progress.sent.fetch_add(1, Relaxed);
        }
    }
    writer.flush().await.context("the stream broke")?;
    Ok(recording.messages.iter().any(|message| matches!(message, Message::Stop { .. })))
}

fn note(sent: &mut Sent, media: &Media) {
    let track = sent.tracks.entry(media.track).or_default();
    track.frames += 1;
    track.bytes += media.audio.len() as u64;
    track.audio.update(&media.audio);
}

/// How the bridge ended a stream.
enum Ended {
    /// With a close frame; 1005 where it gave no code.
    Closed { code: u16, reason: String },
    /// Without one.
    Broken(Error),
}

impl Ended {
    /// Whether the bridge said that it did not take the stream to its end.
    fn is_refusal(&self) -> bool {
        let is_regular = |code| [CloseCode::Normal, CloseCode::Status].map(u16::from).contains(&code);
        matches!(self, Self::Closed { code, .. } if !is_regular(*code))
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed { code, reason } => f.write_str(format!("{code} {reason}").trim_end()),
            Self::Broken(why) => why.fmt(f),
        }
    }
}

/// Reads, which also answers pings, until the stream ends; says how it did.
async fn listen(reader: &mut SplitStream<Socket>) -> Ended {
    loop {
        match reader.next().await {
            Some(Ok(Frame::Close(frame))) => {
                let (code, reason) =
                    frame.map_or((CloseCode::Status, String::new()), |frame| (frame.code, frame.reason.to_string()));
                return Ended::Closed { code: code.into(), reason };
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return Ended::Broken(error),
            None => return Ended::Broken(Error::ConnectionClosed),
        }
    }
}

#[cfg(test)]
mod tests;
