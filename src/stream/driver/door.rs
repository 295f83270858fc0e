//! The way from a stream to its call.
//!
//! Promises: what comes before the stream is let in is kept, in order, up to [`QUEUED_BYTES`] a track and [`QUEUED_ITEMS`]; once it is
//! refused nothing more is passed on; a stream that ends while it still asks is let in or refused before it is over.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use tokio::time::timeout;
use tracing::{debug, info};

use super::{Admission, Calls, Event, StreamStart};
use crate::{
    media::{Chunk, EndReason, MULAW_SILENCE, Track},
    stream::{
        Closing, Stream, StreamTotals,
        closing::{NOT_ADMITTED_IN_TIME, SESSION_OVER},
    },
};

/// Most audio of a track kept for a stream that is not let in yet, in bytes: ten seconds, which all fit into what is behind at once. A
/// sender that is faster than speech must wait then; one that is not has sent for [`QUEUED_TIME`].
pub const QUEUED_BYTES: usize = 80_000;
/// Most chunks and digits kept for a stream that is not let in yet.
pub const QUEUED_ITEMS: usize = 2_000;
/// How long a stream whose queue is full may wait for being let in before it is closed.
pub const QUEUED_TIME: Duration = Duration::from_secs(10);
/// How long a stream that is over waits for being let in.
pub const ADMIT_DEADLINE: Duration = Duration::from_secs(30);

type Asking<A> = Pin<Box<dyn Future<Output = Result<A, Closing>> + Send>>;

/// The way to the call: shut until the start, then asked, then open or refused for good.
pub(super) enum Door<A> {
    Shut,
    Asked { answer: Asking<A>, since: Instant, queue: Vec<Passed>, bytes: [usize; Track::ALL.len()] },
    Open(A),
    Refused,
}

pub(super) enum Passed {
    Audio(Track, Chunk),
    Digit(Track, u64, Option<char>),
    Lost(Track, u64, u64),
    Paused(Track, u64),
    Resumed(Track, u64),
}

impl<A> Door<A> {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Event<A>> {
        let Self::Asked { answer, .. } = self else { return Poll::Pending };
        match ready!(answer.as_mut().poll(cx)) {
            Ok(admission) => Poll::Ready(Event::Admitted(admission)),
            Err(why) => {
                *self = Self::Refused;
                Poll::Ready(Event::Refused(why))
            }
        }
    }

    /// Whether the stream has asked and has no answer yet.
    pub(super) const fn is_asked(&self) -> bool {
        matches!(self, Self::Asked { .. })
    }

    /// Whether the stream was let in.
    pub(super) const fn is_open(&self) -> bool {
        matches!(self, Self::Open(_))
    }

    /// Until when the queue may stay full; `None` while there is room.
    pub(super) fn full_until(&self) -> Option<Instant> {
        match self {
            Self::Asked { since, queue, bytes, .. }
                if bytes.iter().any(|bytes| *bytes >= QUEUED_BYTES) || queue.len() >= QUEUED_ITEMS =>
            {
                Some(*since + QUEUED_TIME)
            }
            _ => None,
        }
    }
}

impl<A: Admission> Door<A> {
    pub(super) fn ask<C: Calls<Admission = A>>(&mut self, calls: &C, start: StreamStart) {
        let calls = calls.clone();
        let since = start.at;
        let answer = Box::pin(async move { calls.admit(start).await });
        *self = Self::Asked { answer, since, queue: Vec::new(), bytes: [0; Track::ALL.len()] };
    }

    pub(super) fn pass(&mut self, passed: Passed) {
        match self {
            Self::Shut | Self::Refused => {}
            Self::Asked { queue, bytes, .. } => {
                if let Passed::Audio(track, chunk) = &passed {
                    bytes[*track as usize] += chunk.audio.len();
                }
                queue.push(passed);
            }
            Self::Open(admission) => hand_over(admission, passed),
        }
    }

    /// Lets in, and hands over what waited; as silence where the call was paused at any time since the socket `began`.
    pub(super) fn open(&mut self, mut admission: A, began: Instant) {
        if let Self::Asked { queue, .. } = self {
            let (is_paused, mut told) = (admission.was_paused_since(began), [false; Track::ALL.len()]);
            for mut passed in std::mem::take(queue) {
                if is_paused {
                    let begins = passed.silence().filter(|(track, _)| !std::mem::replace(&mut told[*track as usize], true));
                    if let Some((track, at_ms)) = begins {
                        hand_over(&mut admission, Passed::Paused(track, at_ms));
                    }
                }
                hand_over(&mut admission, passed);
            }
        }
        *self = Self::Open(admission);
    }

    pub(super) async fn make_room(&mut self) {
        if let Self::Open(admission) = self {
            admission.make_room().await;
        }
    }

    /// Lets the stream know how things stand on the other side.
    pub(super) fn heed(&self, stream: &mut Stream, now: Instant) {
        if self.full_until().is_some_and(|until| until <= now) {
            stream.handle_refused(NOT_ADMITTED_IN_TIME, now);
        }
        if let Self::Open(admission) = self {
            stream.handle_paused(admission.is_paused(), now);
            if admission.is_over() {
                stream.handle_refused(SESSION_OVER, now);
            }
        }
    }

    /// The stream is over: waits for the answer where there is none yet.
    pub(super) async fn settle(&mut self, began: Instant) {
        if let Self::Asked { answer, .. } = self {
            match timeout(ADMIT_DEADLINE, answer).await {
                Ok(Ok(admission)) => self.open(admission, began),
                Ok(Err(why)) => debug!(why = why.reason, "stream refused behind its end"),
                Err(_) => info!("stream neither let in nor refused in time"),
            }
        }
    }

    pub(super) async fn finish(self, reason: EndReason, totals: StreamTotals) {
        if let Self::Open(admission) = self {
            admission.ended(reason, totals).await;
        }
    }
}

impl Passed {
    /// Takes out what it says; where it is audio, whose and from where on.
    fn silence(&mut self) -> Option<(Track, u64)> {
        match self {
            Self::Audio(track, chunk) => {
                chunk.audio = vec![MULAW_SILENCE; chunk.audio.len()].into();
                Some((*track, chunk.at_ms))
            }
            Self::Digit(_, _, digit) => {
                *digit = None;
                None
            }
            Self::Lost(..) | Self::Paused(..) | Self::Resumed(..) => None,
        }
    }
}

fn hand_over<A: Admission>(admission: &mut A, passed: Passed) {
    let base_ms = admission.base_ms();
    match passed {
        Passed::Audio(track, mut chunk) => {
            chunk.at_ms = chunk.at_ms.saturating_add(base_ms);
            admission.audio(track, chunk);
        }
        Passed::Digit(track, at_ms, digit) => admission.digit(track, at_ms.saturating_add(base_ms), digit),
        Passed::Lost(track, from_ms, to_ms) => {
            admission.lost(track, from_ms.saturating_add(base_ms), to_ms.saturating_add(base_ms));
        }
        Passed::Paused(track, at_ms) => admission.paused(track, at_ms.saturating_add(base_ms)),
        Passed::Resumed(track, at_ms) => admission.resumed(track, at_ms.saturating_add(base_ms)),
    }
}
