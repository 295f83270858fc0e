//! The phone's sockets, its pace, and the command's output.

mod command;
mod expected;
mod load;
mod questions;
mod screen;

use std::{
    collections::BTreeMap,
    fmt,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
pub use command::{Arguments, Expect, command};
pub use expected::Expectations;
use futures_util::{
    SinkExt, StreamExt,
    stream::{FuturesUnordered, SplitSink, SplitStream},
};
use sha2::{Digest, Sha256};
use tokio::time::timeout;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message as Frame, client::IntoClientRequest, http::HeaderValue, protocol::frame::coding::CloseCode},
};
use url::Url;

pub use load::load;

use super::{
    Ids, Pace, Played, Progress, Recording, Settings, TrackSent,
    faults::{Schedule, Step},
    wire,
};
use crate::{
    clock,
    dialect::signature,
    fixture::{Media, Message},
    hex::hex,
    media::{MAX_ID_BYTES, Track},
    net,
};

/// How long the handshake may take.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// How long the bridge may take to answer our close, beside the recording's own length: at the greatest speed it reads no faster than it
/// can hand the audio on.
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);
/// How long a stream without a `stop` stays open after its last message was read, so that a bridge which refused it can say so.
const REFUSAL_PATIENCE: Duration = Duration::from_millis(200);
/// At the greatest speed, messages written before the socket is flushed.
const FLUSHED_AT_ONCE: u64 = 64;

/// What our ping carries; a bridge may send pongs of its own.
const READ_ALL: &[u8] = b"read all?";

type Socket = WebSocketStream<Box<dyn net::Stream>>;

/// Plays all recordings at once, as calls 1, 2 and so on; the results in the recordings' order.
pub async fn play_all(recordings: &[&Recording], settings: &Settings, progress: &Progress) -> Vec<Played> {
    let mut playing: FuturesUnordered<_> = recordings
        .iter()
        .zip(1..)
        .map(|(recording, call)| async move { (call, play_as(call, recording, settings, progress).await) })
        .collect();
    let mut played = BTreeMap::new();
    while let Some((call, result)) = playing.next().await {
        played.insert(call, result);
    }
    played.into_values().collect()
}

/// Plays one call to its end. What goes wrong is in the result.
pub async fn play(recording: &Recording, settings: &Settings, progress: &Progress) -> Played {
    play_as(1, recording, settings, progress).await
}

/// Plays one call of several; the fault plan knows it by this number.
pub(super) async fn play_as(call: u32, recording: &Recording, settings: &Settings, progress: &Progress) -> Played {
    let ids = settings.ids.clone().unwrap_or_else(fresh_ids);
    let schedule = Schedule::new(&recording.messages, &settings.faults, call);
    let mut sent = Sent::default();
    let outcome = async {
        ensure!(is_plain(&ids.call_sid) && is_plain(&ids.stream_sid), "a call's ids are 1 to 128 letters, digits, - and _");
        let socket = timeout(CONNECT_DEADLINE, dial(settings)).await;
        let socket = socket.map_err(|_| anyhow::anyhow!("{} did not answer within 10 s", shown(&settings.to)))??;
        let speaking = Speaking { recording, schedule: &schedule, ids: &ids, settings, progress };
        converse(socket, &speaking, &mut sent).await
    }
    .await;
    progress.done.fetch_add(1, Relaxed);
    let took = sent.began.zip(sent.ended).map_or(Duration::ZERO, |(began, ended)| ended.saturating_duration_since(began));
    Played {
        recording: recording.name.clone(),
        call_sid: ids.call_sid,
        stream_sid: ids.stream_sid,
        messages: sent.messages,
        tracks: sent.tracks.into_iter().map(|(track, sent)| (track, sent.into_result())).collect(),
        took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        ended: match (&outcome, sent.stopped) {
            (Err(_), _) => "failed",
            (Ok(()), true) => "stop",
            (Ok(()), false) => "disconnect",
        },
        faults: schedule.done,
        notes: recording.notes.clone(),
        error: outcome.err().map(|error| format!("{error:#}")),
        completed_after_ms: None,
        expect: None,
    }
}

/// What went out so far.
#[derive(Default)]
struct Sent {
    messages: u64,
    began: Option<Instant>,
    ended: Option<Instant>,
    stopped: bool,
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

/// What is said, and how.
struct Speaking<'a> {
    recording: &'a Recording,
    schedule: &'a Schedule,
    ids: &'a Ids,
    settings: &'a Settings,
    progress: &'a Progress,
}

async fn converse(socket: Socket, speaking: &Speaking<'_>, sent: &mut Sent) -> anyhow::Result<()> {
    let (mut writer, mut reader) = socket.split();
    let spoken = tokio::select! {
        spoken = speaking.run(&mut writer, sent) => spoken,
        ended = listen(&mut reader) => bail!("the bridge ended the stream: {ended}"),
    };
    // At the greatest speed everything may be written before the bridge's refusal arrives; where it does, it is why.
    if let Err(broken) = spoken {
        let ended = timeout(REFUSAL_PATIENCE, listen(&mut reader)).await.ok();
        return ended.filter(Ended::is_refusal).map_or(Err(broken), |ended| bail!("the bridge ended the stream: {ended}"));
    }
    let all_taken = if sent.stopped {
        writer.close().await.context("failed to close the stream")
    } else {
        // What is on its way when a socket breaks may be lost; its answer says that everything before it was read.
        writer.send(Frame::Ping(Bytes::from_static(READ_ALL))).await.context("the stream broke")
    };
    // The bridge may take its time; what it owes us is on its way to the webhook, not here.
    let patience = CLOSE_DEADLINE + Duration::from_millis(speaking.recording.length_ms());
    let mut ended = timeout(patience, listen(&mut reader)).await;
    if matches!(ended, Ok(Ended::Answered)) {
        ended = timeout(REFUSAL_PATIENCE, listen(&mut reader)).await.or(Ok(Ended::Answered));
    }
    match ended {
        Ok(ended) if ended.is_refusal() => bail!("the bridge ended the stream: {ended}"),
        // A close is an answer, and so is our ping's; a connection that breaks says nothing of what was still on its way.
        Ok(Ended::Broken(why)) if !sent.stopped || matches!(why, Error::Io(_)) => {
            bail!("the connection broke before the bridge had read the whole call: {why}")
        }
        Ok(_) => all_taken,
        Err(_) => bail!("the bridge has not read the whole call {} s after its last message", patience.as_secs()),
    }
}

impl Speaking<'_> {
    /// Sends everything that is to be sent, at its pace.
    async fn run(&self, writer: &mut SplitSink<Socket, Frame>, sent: &mut Sent) -> anyhow::Result<()> {
        let account = self.recording.messages.iter().find_map(|message| match message {
            Message::Start(start) => Some(start.account_sid.as_str()),
            _ => None,
        });
        let mut zero: Option<Instant> = None;
        for step in self.schedule.steps(&self.recording.messages) {
            let message = &self.recording.messages[step.message];
            if let Pace::Times(speed) = self.settings.pace {
                if matches!(message, Message::Media(_)) {
                    zero.get_or_insert_with(clock::now);
                }
                let due = Duration::from_millis(step.due_ms).div_f64(speed);
                clock::sleep_until(Some(zero.unwrap_or_else(clock::now) + due)).await;
            }
            let text = self.text_of(message, &step, account.unwrap_or_default());
            writer.feed(Frame::Text(text.into())).await.context("the stream broke")?;
            if self.settings.pace != Pace::Max || sent.messages.is_multiple_of(FLUSHED_AT_ONCE) {
                writer.flush().await.context("the stream broke")?;
            }
            sent.note(message);
            if matches!(message, Message::Media(_)) {
                self.progress.sent.fetch_add(1, Relaxed);
                self.progress.at_ms.fetch_max(step.due_ms, Relaxed);
            }
        }
        writer.flush().await.context("the stream broke")
    }

    fn text_of(&self, message: &Message, step: &Step, account: &str) -> String {
        let parameters = &self.settings.parameters;
        match message {
            Message::Media(media) if step.drift_ms != 0 => {
                let timestamp_ms = media.timestamp_ms.saturating_add_signed(step.drift_ms);
                wire::text_of(&Message::Media(Media { timestamp_ms, ..media.clone() }), account, self.ids, parameters)
            }
            message => wire::text_of(message, account, self.ids, parameters),
        }
    }
}

impl Sent {
    fn note(&mut self, message: &Message) {
        self.messages += 1;
        let now = clock::now();
        self.began.get_or_insert(now);
        self.ended = Some(now);
        match message {
            Message::Stop { .. } => self.stopped = true,
            Message::Media(media) => {
                let track = self.tracks.entry(media.track).or_default();
                track.frames += 1;
                track.bytes += media.audio.len() as u64;
                track.audio.update(&media.audio);
            }
            Message::Connected | Message::Start(_) | Message::Other(_) => {}
        }
    }
}

/// How the bridge ended a stream, if it did.
enum Ended {
    /// With a close frame; 1005 where it gave no code.
    Closed { code: u16, reason: String },
    /// Without one.
    Broken(Error),
    /// Not at all: it answered our ping.
    Answered,
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
            Self::Answered => f.write_str("not yet"),
        }
    }
}

/// Reads, which also answers pings, until the stream ends or our own ping is answered; says how it did.
async fn listen(reader: &mut SplitStream<Socket>) -> Ended {
    loop {
        match reader.next().await {
            Some(Ok(Frame::Close(frame))) => {
                let (code, reason) =
                    frame.map_or((CloseCode::Status, String::new()), |frame| (frame.code, frame.reason.to_string()));
                return Ended::Closed { code: code.into(), reason };
            }
            Some(Ok(Frame::Pong(answer))) if answer == READ_ALL => return Ended::Answered,
            Some(Ok(_)) => {}
            Some(Err(error)) => return Ended::Broken(error),
            None => return Ended::Broken(Error::ConnectionClosed),
        }
    }
}

#[cfg(test)]
mod tests;
