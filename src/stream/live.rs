//! A stream's tracks on the call's media clock.
//!
//! Promises: zero is the first frame placed of any track; a track that begins later says so by the time of its first chunk and is not
//! filled up in front, one that began before it has its first moments at zero and keeps step behind them; a track whose first timestamp makes no sense beside the others' begins when it came;
//! of what comes in a pause nothing but its length gets here, as silence, so that the clock goes on.

use std::{collections::VecDeque, time::Instant};

use super::{
    MAX_MESSAGE_BYTES,
    line::{AHEAD_CAP_MS, BEHIND_CAP_MS},
    order::{Arrival, Order, OrderCounters},
};
use crate::media::{CallSid, Chunk, MULAW_SILENCE, StreamSid, Track};

/// What stands for the frames of a pause; no message holds a longer one.
static SILENCE: [u8; MAX_MESSAGE_BYTES] = [MULAW_SILENCE; MAX_MESSAGE_BYTES];

/// A started stream.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) call_sid: Option<CallSid>,
    pub(super) stream_sid: StreamSid,
    chunk_ms: u64,
    lanes: Vec<Lane>,
    zero: Option<Zero>,
    paused: bool,
}

#[derive(Debug)]
struct Lane {
    track: Track,
    order: Order,
    /// The call's clock at the track's first byte; below zero where the other track's later audio came first.
    begins_ms: Option<i64>,
    /// A frame has come in the pause that goes on.
    paused: bool,
    /// Where pauses began (`true`) and ended, in milliseconds from the track's first byte; not yet told.
    turns: VecDeque<(u64, bool)>,
}

/// The call's first audio.
#[derive(Debug, Clone, Copy)]
struct Zero {
    stamp_ms: Option<u64>,
    at: Instant,
}

impl Live {
    pub(super) fn new(call_sid: Option<CallSid>, stream_sid: StreamSid, chunk_ms: u64) -> Self {
        Self { call_sid, stream_sid, chunk_ms, lanes: Vec::with_capacity(2), zero: None, paused: false }
    }

    /// Takes a frame of any track, announced or not.
    pub(super) fn handle_frame(&mut self, track: Track, frame: Arrival<'_>, now: Instant) {
        let at = self.lanes.iter().position(|lane| lane.track == track).unwrap_or_else(|| {
            self.lanes.push(Lane::new(track, self.chunk_ms));
            self.lanes.len() - 1
        });
        let lane = &mut self.lanes[at];
        let frame = if self.paused { lane.silenced(frame) } else { frame };
        lane.order.handle_frame(frame, now);
        lane.begin(&mut self.zero, now);
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        for lane in &mut self.lanes {
            lane.order.handle_timeout(now);
            lane.begin(&mut self.zero, now);
        }
    }

    /// Whether what comes is silence.
    pub(super) fn is_paused(&self) -> bool {
        self.paused
    }

    /// A pause begins or ends. What came before is let go of, so that none of it is taken for what comes behind, nor a late frame of the
    /// pause put between.
    pub(super) fn handle_paused(&mut self, paused: bool, now: Instant) {
        self.paused = paused;
        for lane in &mut self.lanes {
            lane.order.let_go();
            lane.begin(&mut self.zero, now);
            if !paused && std::mem::take(&mut lane.paused) {
                lane.turns.push_back((lane.order.length_ms(), false));
            }
        }
    }

    /// The pause goes back to the first frame of each track.
    pub(super) fn handle_begun_paused(&mut self) {
        for lane in self.lanes.iter_mut().filter(|lane| lane.order.has_begun()) {
            lane.paused = true;
            lane.turns.push_back((0, true));
        }
    }

    /// No more will come; so many of the stream's messages are missing.
    pub(super) fn handle_end(&mut self, missing: u64, now: Instant) {
        for lane in &mut self.lanes {
            lane.order.handle_end();
            lane.begin(&mut self.zero, now);
        }
        let end_ms = self.lanes.iter().filter_map(Lane::end_ms).max().unwrap_or(0);
        for lane in &mut self.lanes {
            let until_ms = end_ms.saturating_add_signed(-lane.begins_ms.unwrap_or(0));
            lane.order.handle_missing_end(missing, until_ms);
        }
    }

    /// The next chunk of any track, its time on the call's clock.
    pub(super) fn poll_chunk(&mut self) -> Option<(Track, Chunk)> {
        self.lanes.iter_mut().find_map(|lane| {
            let mut chunk = lane.order.poll_chunk()?;
            chunk.at_ms = chunk.at_ms.saturating_add_signed(lane.begins_ms.unwrap_or(0));
            Some((lane.track, chunk))
        })
    }

    /// The next stretch of any track that was lost on the way, on the call's clock.
    pub(super) fn poll_lost(&mut self) -> Option<(Track, u64, u64)> {
        self.lanes.iter_mut().find_map(|lane| {
            let (from_ms, to_ms) = lane.order.poll_lost()?;
            let on_the_clock = |ms: u64| ms.saturating_add_signed(lane.begins_ms.unwrap_or(0));
            Some((lane.track, on_the_clock(from_ms), on_the_clock(to_ms)))
        })
    }

    /// Where a pause of any track began (`true`) or ended, on the call's clock.
    pub(super) fn poll_turn(&mut self) -> Option<(Track, u64, bool)> {
        self.lanes.iter_mut().find_map(|lane| {
            let begins_ms = lane.begins_ms?;
            let (at_ms, paused) = lane.turns.pop_front()?;
            Some((lane.track, at_ms.saturating_add_signed(begins_ms), paused))
        })
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.lanes.iter().filter_map(|lane| lane.order.poll_timeout()).min()
    }

    /// The call's clock at the end of what a track has sent; of all tracks if it has sent nothing.
    pub(super) fn clock_ms(&self, track: Track) -> u64 {
        let own = self.lanes.iter().find(|lane| lane.track == track).and_then(Lane::end_ms);
        own.or_else(|| self.lanes.iter().filter_map(Lane::end_ms).max()).unwrap_or(0)
    }

    pub(super) fn counters(&self) -> Vec<(Track, OrderCounters)> {
        self.lanes.iter().map(|lane| (lane.track, lane.order.counters())).collect()
    }
}

impl Lane {
    fn new(track: Track, chunk_ms: u64) -> Self {
        Self { track, order: Order::new(chunk_ms), begins_ms: None, paused: false, turns: VecDeque::new() }
    }

    /// A frame that came in a pause, without what it says.
    fn silenced<'a>(&mut self, frame: Arrival<'a>) -> Arrival<'a> {
        if !std::mem::replace(&mut self.paused, true) {
            self.turns.push_back((self.order.length_ms(), true));
        }
        Arrival { audio: &SILENCE[..frame.audio.len().min(SILENCE.len())], ..frame }
    }

    /// The call's clock at the end of what came.
    fn end_ms(&self) -> Option<u64> {
        self.begins_ms.map(|begins| self.order.length_ms().saturating_add_signed(begins))
    }

    /// Fixes where the track begins, once it has.
    fn begin(&mut self, zero: &mut Option<Zero>, now: Instant) {
        if self.begins_ms.is_none() && self.order.has_begun() {
            let stamp_ms = self.order.first_ms();
            let zero = *zero.get_or_insert(Zero { stamp_ms, at: now });
            let elapsed_ms = u64::try_from(now.saturating_duration_since(zero.at).as_millis()).unwrap_or(u64::MAX);
            self.begins_ms = Some(match (zero.stamp_ms, stamp_ms) {
                (Some(zero), Some(own)) if own >= zero && own - zero <= AHEAD_CAP_MS.saturating_add(elapsed_ms) => {
                    signed(own - zero)
                }
                (Some(zero), Some(own)) if own < zero && zero - own <= BEHIND_CAP_MS => -signed(zero - own),
                _ => signed(elapsed_ms),
            });
        }
    }
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}
