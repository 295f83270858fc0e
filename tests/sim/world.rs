//! The call, its two links, the service, the network, the spool and the store together: take what is next, deliver, repeat.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
};

use pulse_bridge::{
    call::{Call, Facts, Output, Remembered, Unit},
    dialect::{Format, Start},
    event::{Line, Speech},
    media::{CallSid, Chunk, EndReason, Offset, Received, SessionId, StreamSid},
    redact::{Choices, Gate, GateSettings, Policy},
    segment::TrackKey,
};

use crate::{
    chance::Chance,
    clock::{Clock, Happening},
    network::{Connection, Frame},
    plan::{MILLI, Plan, SECOND, Sabotage},
    record::{Record, TRACKS},
    truth::{MS, place},
    wire::Wire,
};

/// No run takes longer than this after the phone has hung up.
const PATIENCE: u64 = 90 * 60 * SECOND;
/// Nor more steps than this.
const MOST_STEPS: u64 = 3_000_000;

/// Everything that takes part.
pub(crate) struct World<'a> {
    plan: &'a Plan,
    clock: Clock,
    chance: Chance,
    call: Call,
    wires: [Wire; 2],
    connections: Vec<Connection>,
    /// Milliseconds of audio that the phone has sent.
    phoned_ms: [u64; 2],
    storing: VecDeque<Unit>,
    lines: Vec<Line>,
    record: Record,
}

/// What is said here is words in any order, and some look like names then: the gate looks for numbers alone.
fn numbers_alone() -> GateSettings {
    let types = ["numbers".to_owned()];
    let policy = Policy::new(&Choices { types: &types, ..Choices::default() }).expect("a group");
    GateSettings { policy: Arc::new(policy), ..GateSettings::default() }
}

impl<'a> World<'a> {
    /// Runs the whole plan.
    pub(crate) fn run(plan: &'a Plan, tracing: bool) -> Record {
        let mut clock = Clock::new();
        let wires = [0, 1].map(|track| Wire::new(track, plan, &clock));
        let gate = Gate::new(numbers_alone(), [7; 32]);
        let call = Call::started(facts(), gate, clock.instant());
        for track in [0, 1] {
            clock.at(0, Happening::Phone(track));
        }
        for (from, _) in &plan.weather.away {
            clock.at(*from, Happening::Away);
        }
        clock.at(plan.hang_up(), Happening::HangUp);
        let mut world = World {
            plan,
            clock,
            chance: Chance::new(plan.seed, 7),
            call,
            wires,
            connections: Vec::new(),
            phoned_ms: [0; 2],
            storing: VecDeque::new(),
            lines: Vec::new(),
            record: Record::new(tracing),
        };
        world.settle();
        world.turn();
        world.record.ended = world.clock.now;
        world.record.connections = world.connections.len();
        world.record
    }

    /// Until nothing is left to happen.
    fn turn(&mut self) {
        for _ in 0..MOST_STEPS {
            let wake = [0, 1].map(|track| self.wires[track].wakes_at(&self.clock));
            let call = self.call.poll_timeout().map(|at| self.clock.since_start(at));
            let event = self.clock.next_at();
            let Some(at) = [wake[0], wake[1], call, event].into_iter().flatten().min() else { return };
            if at > self.plan.hang_up() + PATIENCE {
                self.record.broken = Some(format!("something still waits {} s after the end", PATIENCE / SECOND));
                return;
            }
            if event == Some(at) {
                if let Some(what) = self.clock.pop() {
                    self.happen(what);
                }
            } else {
                self.clock.now = self.clock.now.max(at);
                for track in [0, 1].into_iter().filter(|track| wake[*track] == Some(at)) {
                    self.wires[track].wake(&self.clock);
                }
                if call == Some(at) {
                    self.call.handle_timeout(self.clock.instant());
                }
            }
            self.settle();
            if self.call.is_over() && self.wires.iter().all(|wire| wire.link.is_closed()) && self.storing.is_empty() {
                return;
            }
        }
        self.record.broken = Some(format!("not over after {MOST_STEPS} steps"));
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Phone(track) => self.phone(track),
            Happening::HangUp => self.hang_up(),
            Happening::Dialled(track, dial) => {
                self.wires[track].dialled(dial, self.plan, &mut self.clock, &mut self.connections, &mut self.record);
            }
            Happening::Up(number) => self.service_hears(number),
            Happening::Send(number) => self.connections[number].send_due(&mut self.clock),
            Happening::Down => {}
            Happening::Harm(number) => {
                Wire::harm(number, self.plan, &mut self.clock, &mut self.connections, &mut self.record);
            }
            Happening::Away => {
                for number in 0..self.connections.len() {
                    Wire::harm(number, self.plan, &mut self.clock, &mut self.connections, &mut self.record);
                }
            }
            Happening::WriteDeadline(track, wait) => {
                self.wires[track].write_is_overdue(wait, &mut self.clock, &mut self.connections, &mut self.record);
            }
            Happening::Fetched(track) => self.wires[track].fetched(self.plan, &self.clock, &mut self.record),
            Happening::Stored => self.stored(),
        }
    }

    /// The phone has spoken another piece.
    fn phone(&mut self, track: usize) {
        let truth = &self.plan.tracks[track];
        let (from, step) = (self.phoned_ms[track], self.plan.chunk_ms);
        let due = |from: u64| truth.clock_end(truth.piece_end(from, step)) * MILLI;
        if from >= truth.length {
            return;
        }
        if due(from) > self.clock.now {
            return self.clock.at(due(from), Happening::Phone(track));
        }
        let to = truth.piece_end(from, step);
        let audio = truth.audio(from, to, &self.wires[track].held);
        let received = self.clock.instant();
        let written_after = self.chance.of(0..self.plan.spool.written_after);
        self.wires[track].spool.append(from, to, written_after, &self.clock);
        self.wires[track].audio(Chunk { offset: Offset(from * MS), at_ms: truth.clock(from), audio, received });
        self.phoned_ms[track] = to;
        if to < truth.length {
            let jitter = self.chance.of(0..30) * MILLI;
            self.clock.at((due(to) + jitter).min(self.plan.hang_up() - 1), Happening::Phone(track));
        }
    }

    fn hang_up(&mut self) {
        let received = [0, 1].map(|track| {
            let truth = &self.plan.tracks[track];
            self.record.received_ms[track] = self.phoned_ms[track];
            let end_ms = truth.clock_end(truth.length);
            (TRACKS[track], Received { received_ms: truth.length, filled_ms: 0, end_ms })
        });
        self.record.note(&self.clock, 0, || "the phone hangs up".to_owned());
        let now = self.clock.instant();
        self.call.handle_stream_ended(0, EndReason::Stop, &received, now, now);
        self.wires.iter_mut().for_each(Wire::hang_up);
    }

    fn service_hears(&mut self, number: usize) {
        let connection = &mut self.connections[number];
        let truth = &self.plan.tracks[connection.track];
        while let Some(frame) = connection.arrived(&mut self.clock) {
            match frame {
                Frame::Audio(audio) => {
                    let expected = connection.session.upto().unwrap_or(0);
                    match place(&audio, expected) {
                        Some(at) => connection.session.audio(truth, at, audio.len() as u64),
                        None => self.record.broken = Some("a frame holds audio that nobody sent".to_owned()),
                    }
                }
                Frame::Text(text) if text.contains("close_stream") => {
                    if connection.is_heard_closing(&self.clock) {
                        connection.session.close(truth);
                    }
                }
                Frame::Text(text) if text.contains("finalize") => connection.session.finalize(truth),
                Frame::Text(_) => connection.session.keepalive(),
                Frame::Ping => connection.pong(&mut self.clock),
            }
            connection.hand_over(&mut self.clock);
        }
    }

    /// Everybody does what there is to do now.
    fn settle(&mut self) {
        loop {
            let mut busy = false;
            for track in [0, 1] {
                while let Some(report) =
                    self.wires[track].pump(self.plan, &mut self.clock, &mut self.connections, &mut self.record)
                {
                    busy = true;
                    self.record.report(&self.clock, track, &report);
                    self.call.handle_report(key(track), report, self.clock.instant());
                }
            }
            while let Some(output) = self.call.poll_output() {
                busy = true;
                self.perform(output);
            }
            if !busy {
                break;
            }
        }
        for wire in &self.wires {
            let held = u64::try_from(wire.held.load(Ordering::Relaxed)).unwrap_or(0);
            if held > self.record.most_held {
                let own = held.saturating_sub(wire.outside(&self.connections));
                self.record.most_held = self.record.most_held.max(own);
            }
        }
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Store(unit) => {
                self.storing.push_back(*unit);
                let after = self.chance.of(1..self.plan.store);
                self.clock.after(after, Happening::Stored);
            }
            Output::Covered(key, mark) => {
                let track = usize::from(key.track == TRACKS[1]);
                self.wires[track].covered(mark);
            }
            Output::Show(_) | Output::Note(_) => {}
            Output::Conclude => {
                let lines = std::mem::take(&mut self.lines);
                self.call.handle_transcript((lines, true), 0, String::new());
            }
        }
    }

    fn stored(&mut self) {
        let Some(unit) = self.storing.pop_front() else { return };
        let is_left_out = self.plan.sabotage == Some(Sabotage::DropFinal) && unit.segment.is_some() && self.lines.len() == 1;
        if let Some(release) = &unit.segment {
            self.lines.push(Line::of_final(release));
        }
        if !is_left_out {
            self.record.stored(&self.clock, &unit);
        }
        self.call.handle_stored(self.clock.instant());
    }
}

const fn key(track: usize) -> TrackKey {
    TrackKey { stream: 0, track: TRACKS[track] }
}

fn facts() -> Facts {
    let start = Start {
        call_sid: CallSid::new("CA1").ok(),
        stream_sid: StreamSid::new("MZ1").expect("visible ASCII"),
        account_sid: None,
        tracks: TRACKS.to_vec(),
        params: Vec::new(),
        format: Format::Mulaw8k,
    };
    let session = SessionId::new("ses_01").expect("visible ASCII");
    Facts::new(session, start, &Remembered::default(), "twilio", Speech::Pulse, 0)
}
