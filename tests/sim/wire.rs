//! What the driver of a link does, without sockets: performs what the machine asks for, holds back what cannot be written,
//! and hands in what comes.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::AtomicI64},
    time::Duration,
};

use pulse_bridge::{
    media::{Chunk, Offset},
    upstream::{Control, Link, Lost, Output, QUEUE_MS, Reason, Refusal, Report, Stretch},
};

use crate::{
    chance::Chance,
    clock::{Clock, Happening},
    network::{Arrival, Connection, Far, Frame},
    plan::{Harm, MILLI, Plan, SECOND},
    record::{Record, Tried},
    spool::Spool,
};

/// What waits in the link's queue.
enum Command {
    Audio(Chunk),
    Covered(Offset),
}

/// One track's link and its driver.
pub(crate) struct Wire {
    track: usize,
    pub(crate) link: Link,
    chance: Chance,
    commands: VecDeque<Command>,
    /// Milliseconds of audio in `commands`.
    queued_ms: u64,
    hung_up: bool,
    end_told: bool,
    pub(crate) spool: Spool,
    /// Audio before this is covered by what is stored.
    mark: Offset,
    /// What the spool is being asked for.
    asked: Option<Offset>,
    /// What streaming left over.
    left_over: VecDeque<Report>,
    dial: u32,
    dialling: Option<Result<(), Refusal>>,
    connection: Option<usize>,
    blocked: Option<Frame>,
    /// Counts writes that had to wait.
    waits: u64,
    /// All audio that anybody holds for this track.
    pub(crate) held: Arc<AtomicI64>,
}

impl Wire {
    pub(crate) fn new(track: usize, plan: &Plan, clock: &Clock) -> Self {
        Self {
            track,
            link: Link::new(Arc::new(plan.settings.clone()), None, clock.instant()),
            chance: Chance::new(plan.seed, 100 + track as u64),
            commands: VecDeque::new(),
            queued_ms: 0,
            hung_up: false,
            end_told: false,
            spool: Spool::new(plan.spool.clone()),
            mark: Offset(0),
            asked: None,
            left_over: VecDeque::new(),
            dial: 0,
            dialling: None,
            connection: None,
            blocked: None,
            waits: 0,
            held: Arc::default(),
        }
    }

    /// A piece of audio from the phone; what does not fit into the queue is on the spool only.
    pub(crate) fn audio(&mut self, chunk: Chunk) {
        let ms = chunk.audio.len() as u64 / 8;
        if self.queued_ms + ms <= QUEUE_MS {
            self.queued_ms += ms;
            self.commands.push_back(Command::Audio(chunk));
        }
    }

    /// Behind the end of the audio only the spool is told.
    pub(crate) fn covered(&mut self, mark: Offset) {
        self.mark = self.mark.max(mark);
        self.spool.covered(mark);
        if !self.hung_up {
            self.commands.push_back(Command::Covered(mark));
        }
    }

    /// The spool has read.
    pub(crate) fn fetched(&mut self, plan: &Plan, clock: &Clock, record: &mut Record) {
        let Some(from) = self.asked.take() else { return };
        let chunks = self.spool.read(from, &plan.tracks[self.track], &self.held, clock);
        record.note(clock, self.track, || {
            let end = chunks.last().map_or(from, Chunk::end);
            format!("fetches {}-{}", from.0 / 8, end.0 / 8)
        });
        self.link.handle_fetched(chunks, clock.instant());
    }

    pub(crate) const fn hang_up(&mut self) {
        self.hung_up = true;
    }

    /// Audio that is not the link's own to bound: what waits before and behind it.
    pub(crate) fn outside(&self, connections: &[Connection]) -> u64 {
        let blocked = if let Some(Frame::Audio(audio)) = &self.blocked { audio.len() as u64 } else { 0 };
        let on_the_way: u64 = connections.iter().filter(|it| it.track == self.track).map(Connection::audio_waiting).sum();
        self.queued_ms * 8 + blocked + on_the_way
    }

    /// When the machine wants to be woken; a blocked write lets nothing else happen.
    pub(crate) fn wakes_at(&self, clock: &Clock) -> Option<u64> {
        if self.blocked.is_some() { None } else { self.link.poll_timeout().map(|at| clock.since_start(at)) }
    }

    pub(crate) fn wake(&mut self, clock: &Clock) {
        let chance = self.chance.draw();
        self.link.handle_timeout(clock.instant(), chance);
    }

    /// Performs and hands in until nothing is left to do; gives what the session is to hear.
    pub(crate) fn pump(
        &mut self,
        plan: &Plan,
        clock: &mut Clock,
        connections: &mut [Connection],
        record: &mut Record,
    ) -> Option<Report> {
        loop {
            if !self.try_again(clock, connections) {
                return None;
            }
            if let Some(report) = self.left_over.pop_front() {
                return Some(report);
            }
            if let Some(output) = self.link.poll_output() {
                match output {
                    Output::Report(report) => return Some(*report),
                    output => self.perform(output, plan, clock, connections, record),
                }
                continue;
            }
            if !self.hear(clock, connections, record) && !self.take_command(clock) {
                return None;
            }
        }
    }

    fn perform(&mut self, output: Output, plan: &Plan, clock: &mut Clock, connections: &mut [Connection], record: &mut Record) {
        match output {
            Output::Report(_) => {}
            Output::Fetch { from } => {
                self.asked = Some(from);
                let after = self.chance.of(1..self.spool.read_after());
                clock.after(after, Happening::Fetched(self.track));
            }
            Output::Leftover(stretches) => self.left_over.extend(stretches.iter().map(Stretch::given_up)),
            Output::Hangup => self.let_go(connections),
            Output::Dial => self.dial(plan, clock, connections, record),
            Output::Audio { audio, .. } => self.write(Frame::Audio(audio), plan, clock, connections),
            Output::Control(control) => {
                record.note(clock, self.track, || format!("sends {control:?}"));
                self.write(Frame::Text(said(control).to_owned()), plan, clock, connections);
            }
            Output::Ping => self.write(Frame::Ping, plan, clock, connections),
            // There is no batch here, and no session is as old as its limit.
            Output::Open(_)
            | Output::DialNext(_)
            | Output::DropNext
            | Output::Swap
            | Output::Tune(_)
            | Output::Proven
            | Output::Tuned(_) => unreachable!("nobody asked for it"),
        }
    }

    fn let_go(&mut self, connections: &mut [Connection]) {
        if let Some(connection) = self.connection.take() {
            connections[connection].drop_near_end();
        }
        self.dialling = None;
        self.blocked = None;
    }

    fn dial(&mut self, plan: &Plan, clock: &mut Clock, connections: &mut [Connection], record: &mut Record) {
        self.let_go(connections);
        record.tried(clock, self.track, Tried::Dial);
        let weather = &plan.weather;
        let (answer, after) = if weather.is_away(clock.now) {
            match self.chance.of(0..3) {
                0 => (Err(unreachable()), self.chance.of(1..200) * MILLI),
                1 => (Err(unreachable()), 10 * SECOND),
                _ => (Err(unavailable()), self.chance.of(1..200) * MILLI),
            }
        } else if clock.now < weather.over && self.chance.percent(weather.refused) {
            (Err(refusal(&mut self.chance)), self.chance.of(1..300) * MILLI)
        } else {
            (Ok(()), 3 * plan.network.latency + self.chance.of(1..100) * MILLI)
        };
        self.dial += 1;
        self.dialling = Some(answer);
        clock.after(after, Happening::Dialled(self.track, self.dial));
    }

    /// The answer to a dial has come.
    pub(crate) fn dialled(
        &mut self,
        dial: u32,
        plan: &Plan,
        clock: &mut Clock,
        connections: &mut Vec<Connection>,
        record: &mut Record,
    ) {
        if dial != self.dial {
            return;
        }
        self.link.handle_covered(self.mark, clock.instant());
        match self.dialling.take() {
            None => {}
            Some(Ok(())) => {
                let connection = Connection::open(connections.len(), self.track, plan, clock);
                self.connection = Some(connections.len());
                record.note(clock, self.track, || format!("connection {} is open", connections.len()));
                connections.push(connection);
                record.tried(clock, self.track, Tried::Connected);
                self.link.handle_connected(clock.instant());
            }
            Some(Err(refusal)) => {
                record.note(clock, self.track, || format!("refused: {}", refusal.code()));
                record.tried(clock, self.track, Tried::Failed { retry_after: refusal.retry_after() });
                self.link.handle_refused(refusal, self.chance.draw(), clock.instant());
            }
        }
    }

    fn write(&mut self, frame: Frame, plan: &Plan, clock: &mut Clock, connections: &mut [Connection]) {
        let Some(number) = self.connection else { return };
        if connections[number].is_full(&frame) {
            self.blocked = Some(frame);
            self.waits += 1;
            let deadline = u64::try_from(plan.settings.write_deadline.as_micros()).expect("seconds");
            clock.after(deadline, Happening::WriteDeadline(self.track, self.waits));
        } else {
            connections[number].write(frame, clock);
        }
    }

    /// A blocked write is tried again; says whether there is none any more. A socket that broke under it is read to its end.
    fn try_again(&mut self, clock: &mut Clock, connections: &mut [Connection]) -> bool {
        let (Some(frame), Some(number)) = (&self.blocked, self.connection) else { return true };
        if connections[number].far == Far::Gone {
            self.blocked = None;
        } else if !connections[number].is_full(frame) {
            let frame = self.blocked.take().expect("just seen");
            connections[number].write(frame, clock);
        }
        self.blocked.is_none()
    }

    /// The deadline of a blocked write is over.
    pub(crate) fn write_is_overdue(&mut self, wait: u64, clock: &mut Clock, connections: &mut [Connection], record: &mut Record) {
        if self.waits != wait || self.blocked.is_none() {
            return;
        }
        self.let_go(connections);
        self.lost(Lost::Stalled, clock, record);
    }

    fn lost(&mut self, lost: Lost, clock: &Clock, record: &mut Record) {
        record.note(clock, self.track, || format!("lost: {lost:?}"));
        record.tried(clock, self.track, Tried::Failed { retry_after: None });
        self.link.handle_lost(lost, self.chance.draw(), clock.instant());
    }

    /// Hands in the next thing from the socket.
    fn hear(&mut self, clock: &mut Clock, connections: &mut [Connection], record: &mut Record) -> bool {
        let Some(arrival) = self.connection.and_then(|number| connections[number].heard(clock)) else { return false };
        let now = clock.instant();
        self.link.handle_covered(self.mark, now);
        match arrival {
            Arrival::Text(text) => {
                record.message(clock, self.track, &text);
                self.link.handle_message(&text, now);
            }
            Arrival::Pong => self.link.handle_pong(now),
            Arrival::Close(code) => {
                self.let_go(connections);
                self.lost(Lost::Closed { code, reason: Reason::in_a_call("") }, clock, record);
            }
            Arrival::Broken => {
                self.let_go(connections);
                self.lost(Lost::Broken, clock, record);
            }
        }
        true
    }

    /// Hands in the next thing from the queue, as far as the link will have it.
    fn take_command(&mut self, clock: &Clock) -> bool {
        if !self.link.is_listening() {
            return false;
        }
        let now = clock.instant();
        match self.commands.pop_front() {
            Some(Command::Audio(chunk)) => {
                self.queued_ms -= chunk.audio.len() as u64 / 8;
                self.link.handle_audio(chunk, now);
            }
            Some(Command::Covered(mark)) => self.link.handle_covered(mark, now),
            None if self.hung_up && !self.end_told => {
                self.end_told = true;
                self.link.handle_spooled(self.spool.end(), now);
                self.link.handle_audio_ended(now);
            }
            None => return false,
        }
        true
    }

    /// Harm comes to a connection.
    pub(crate) fn harm(number: usize, plan: &Plan, clock: &mut Clock, connections: &mut [Connection], record: &mut Record) {
        let connection = &mut connections[number];
        let harm = if plan.weather.is_away(clock.now) { Harm::Reset } else { connection.harm.unwrap_or(Harm::Reset) };
        if connection.far == Far::Well {
            record.note(clock, connection.track, || format!("connection {number}: {harm:?}"));
        }
        connection.strike(harm, clock);
    }
}

/// As it stands on the wire.
const fn said(control: Control) -> &'static str {
    match control {
        Control::CloseStream => r#"{"type":"close_stream"}"#,
        Control::Finalize => r#"{"type":"finalize"}"#,
        Control::Keepalive => r#"{"type":"keepalive"}"#,
    }
}

fn unreachable() -> Refusal {
    Refusal::Unreachable { reason: Reason::before_a_call("nobody answers") }
}

fn unavailable() -> Refusal {
    Refusal::Unavailable { status: 503, reason: Reason::before_a_call("restarting") }
}

fn refusal(chance: &mut Chance) -> Refusal {
    let wait = chance.pick(&[None, None, Some(1), Some(3)]).map(Duration::from_secs);
    match chance.of(0..3) {
        0 => Refusal::RateLimited { retry_after: wait, reason: Reason::before_a_call("too many requests") },
        1 => unavailable(),
        _ => unreachable(),
    }
}
