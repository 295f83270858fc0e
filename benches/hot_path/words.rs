//! The speech service's side: finals of a live call, and their way from JSON to a signed request.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use pulse_bridge::{
    clock,
    event::{Data, Event, TranscriptText},
    media::{CallSid, Chunk, EndpointName, Offset, SessionId, Track},
    pii::Unredacted,
    redact::{Gate, GateSettings, Out},
    segment::{Heard, Release, Role, Segment, TrackKey},
    transcript::{Said, Transcript},
    upstream::{Link, Output, Report},
    webhook::{Endpoint, driver::signed},
};

use super::{call, phone};

/// From one final to the next, in seconds, and in chunks of 60 ms.
const BETWEEN_S: u64 = 3;
const CHUNKS: usize = 50;
const CHUNK_BYTES: usize = 3 * phone::FRAME_BYTES;
/// The number of people on the line changes nothing here.
const KEY: TrackKey = TrackKey { stream: 0, track: Track::Inbound };
/// The example of the Standard Webhooks specification.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// What people say in ten words without anything to take out.
pub(crate) const PLAIN: [&str; 4] = [
    "hello I would like to talk about my last bill",
    "sure I can help you with that right away sir",
    "it seems that we were charged for the wrong plan",
    "let me have a look at what happened there then",
];
/// A card number, read out, with what closes it.
pub(crate) const CARD: [&str; 1] =
    ["it is four five three nine one four eight eight zero three four three six four six seven thank you"];

/// The stations of a final.
#[derive(Clone, Copy)]
pub(crate) enum Station {
    /// JSON to what was heard.
    Hear,
    /// What was heard to a segment with its place in the call.
    Place,
    /// The segment through the redaction gate.
    Gate,
    /// The clean segment to the event's bytes.
    Event,
    /// The bytes to the signed request.
    Sign,
}

impl Station {
    pub(crate) const ALL: [(&str, Self); 5] =
        [("hear", Self::Hear), ("place", Self::Place), ("gate", Self::Gate), ("event", Self::Event), ("sign", Self::Sign)];
}

/// A session as far as words are concerned.
pub(crate) struct Session {
    link: Link,
    transcript: Transcript,
    gate: Gate,
    endpoint: Endpoint,
    id: SessionId,
    call_sid: CallSid,
    seq: u64,
    spoken_s: u64,
    now: Instant,
    /// Time spent at each station.
    pub(crate) spent: [Duration; Station::ALL.len()],
}

impl Session {
    pub(crate) fn new() -> Self {
        let now = clock::now();
        let id = SessionId::new("ses_01J0000000000000000000000A").expect("a good id");
        let name = EndpointName::new("crm").expect("a good name");
        let url = "https://crm.example/hooks/calls".parse().expect("a good address");
        Self {
            link: call::connected(now),
            transcript: Transcript::new(&id),
            gate: Gate::new(GateSettings::default(), [7; 32]),
            endpoint: Endpoint::new(name, url, &[SECRET.into()], Vec::new(), true).expect("a good endpoint"),
            id,
            call_sid: CallSid::new("CA0f1e2d3c4b5a69788796a5b4c3d2e1f0").expect("a good id"),
            seq: 0,
            spoken_s: 0,
            now,
            spent: [Duration::ZERO; Station::ALL.len()],
        }
    }

    /// Three seconds of audio go out, and the service answers them with a final. The service's work and the audio are not timed.
    pub(crate) fn final_of(&mut self, text: &str) {
        let message = message(text, self.spoken_s);
        self.speak();
        let heard = self.timed(Station::Hear, |session| session.hear(&message));
        self.link.handle_covered(heard.covers, self.now);
        let segment = self.timed(Station::Place, |session| session.place(heard));
        let release = self.timed(Station::Gate, |session| session.release(segment));
        for release in release {
            let event = self.timed(Station::Event, |session| session.event(&release));
            black_box(self.timed(Station::Sign, |session| session.sign(event)));
        }
    }

    fn timed<T>(&mut self, station: Station, work: impl FnOnce(&mut Self) -> T) -> T {
        let began = clock::now();
        let done = work(self);
        self.spent[station as usize] += clock::now().saturating_duration_since(began);
        done
    }

    fn speak(&mut self) {
        for chunk in 0..CHUNKS {
            self.now += Duration::from_millis(60);
            let at_ms = self.spoken_s * 1_000 + chunk as u64 * 60;
            let audio = Bytes::from_static(phone::speech(chunk * 3, CHUNK_BYTES));
            let chunk = Chunk { offset: Offset(at_ms * 8), at_ms, audio, received: self.now };
            self.link.handle_audio(chunk, self.now);
            while self.link.poll_output().is_some() {}
        }
        self.spoken_s += BETWEEN_S;
    }

    fn hear(&mut self, message: &str) -> Heard {
        self.link.handle_message(message, self.now);
        let mut heard = None;
        while let Some(output) = self.link.poll_output() {
            if let Output::Report(report) = output
                && let Report::Final(words) = *report
            {
                heard = Some(words);
            }
        }
        heard.expect("a final with words is reported")
    }

    fn place(&mut self, heard: Heard) -> Segment<Unredacted> {
        self.transcript.handle_final(KEY, &Role::caller(), heard);
        match self.transcript.poll_output() {
            Some(Said::Final(segment)) => segment,
            _ => panic!("words that were not said before make a segment"),
        }
    }

    /// A held final comes out with one of the next.
    fn release(&mut self, segment: Segment<Unredacted>) -> Vec<Release> {
        self.gate.handle_final(segment, self.now);
        let outs = std::iter::from_fn(|| self.gate.poll_output());
        outs.filter_map(|out| if let Out::Release(release) = out { Some(release) } else { None }).collect()
    }

    fn event(&mut self, release: &Release) -> Event {
        self.seq += 1;
        let data = Data::TranscriptFinal(Box::new(TranscriptText::of_final(release)));
        Event::new(clock::ulid(), clock::wall_ms(), &self.id, &self.call_sid, self.seq, &data)
    }

    fn sign(&mut self, event: Event) -> Request<Full<Bytes>> {
        let timestamp_s = event.wall_ms / 1_000;
        signed(&self.endpoint, &event.id.to_string(), event.body, timestamp_s).expect("a good address")
    }
}

/// A final as the service writes it (protocols/pulse.md section 6.1): a word every quarter of a second or faster.
#[expect(clippy::cast_precision_loss, reason = "seconds of a call are small")]
fn message(text: &str, from_s: u64) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    let step = BETWEEN_S as f64 * 0.9 / words.len() as f64;
    let at = |word: usize| ((from_s as f64 + step * word as f64) * 1_000.0).round() / 1_000.0;
    let timed = words.iter().enumerate().map(|(index, word)| {
        serde_json::json!({"word": word, "start": at(index), "end": at(index + 1), "confidence": 0.98, "speaker": 0, "speaker_confidence": 0.9})
    });
    serde_json::json!({
        "type": "transcription", "status": "success", "session_id": "01J0000000000000000000000A",
        "transcript": text, "transcription": text, "is_final": true, "is_last": false, "from_finalize": false,
        "language": "en", "languages": ["en"], "words": timed.collect::<Vec<_>>(),
        "utterances": [{"text": text, "start": at(0), "end": at(words.len()), "speaker": 0}],
    })
    .to_string()
}
