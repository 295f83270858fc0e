//! One connection: bytes on their way up, messages on their way down, and what becomes of both.
//!
//! Order is kept in each direction. Bytes that the service has not read fill the window, and a full window makes a write wait.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::{
    chance::Chance,
    clock::{Clock, Happening},
    plan::{Harm, MILLI, NEVER, Network, Plan, SECOND},
    service::{Order, Say, Session, Speech},
};

/// What a link writes.
pub(crate) enum Frame {
    Audio(Bytes),
    Text(String),
    Ping,
}

impl Frame {
    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Audio(audio) => audio.len() as u64 + 8,
            Self::Text(text) => text.len() as u64 + 6,
            Self::Ping => 6,
        }
    }
}

/// What reaches a link.
pub(crate) enum Arrival {
    Text(String),
    Pong,
    Close(Option<u16>),
    Broken,
}

/// How it stands with a connection at the service's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Far {
    Well,
    /// Takes everything, says nothing but pong.
    Mute,
    /// Nothing arrives any more in either direction.
    Vanished,
    /// Closed or broken.
    Gone,
}

/// One connection.
pub(crate) struct Connection {
    pub(crate) track: usize,
    number: usize,
    pub(crate) session: Session,
    pub(crate) far: Far,
    network: Network,
    chance: Chance,
    up: VecDeque<(u64, Frame)>,
    /// Bytes that the service has not read.
    pub(crate) waiting: u64,
    stalled_until: u64,
    down: VecDeque<(u64, Arrival)>,
    sends: VecDeque<(u64, Speech)>,
    said_at: u64,
    final_at: u64,
    pub(crate) harm: Option<Harm>,
    /// Bytes until it is cut, in both directions.
    cut: (u64, u64),
    /// It is not cut any more from then on.
    harmful_until: u64,
}

impl Connection {
    /// A connection that opens now.
    pub(crate) fn open(number: usize, track: usize, plan: &Plan, clock: &mut Clock) -> Self {
        let mut chance = Chance::new(plan.seed, 1_000 + number as u64);
        let session = Session::new(plan.service.clone(), plan.sabotage, Chance::new(plan.seed, 2_000_000 + number as u64));
        let weather = &plan.weather;
        let flaps = weather.is_flapping(clock.now);
        let well = !flaps && (clock.now >= weather.over || !chance.percent(weather.harmed));
        let harm = (!well).then(|| chance.pick(&weather.harms));
        let life = chance.of(0..if flaps { 3 * SECOND } else { weather.longest_life });
        let cut = match harm {
            Some(Harm::CutUp) => (life / MILLI * 8, NEVER),
            Some(Harm::CutDown) => (NEVER, life / MILLI / 2),
            _ => (NEVER, NEVER),
        };
        let harmful_until = if flaps { NEVER } else { weather.over };
        let harm_at = if weather.is_away(clock.now) { clock.now } else { clock.now + life };
        if harm.is_some() && harm_at < harmful_until || weather.is_away(clock.now) {
            clock.at(harm_at, Happening::Harm(number));
        }
        Self {
            track,
            number,
            session,
            far: Far::Well,
            network: plan.network.clone(),
            chance,
            up: VecDeque::new(),
            waiting: 0,
            stalled_until: 0,
            down: VecDeque::new(),
            sends: VecDeque::new(),
            said_at: 0,
            final_at: 0,
            harm,
            cut,
            harmful_until,
        }
    }

    /// Whether a frame of that length has to wait.
    pub(crate) fn is_full(&self, frame: &Frame) -> bool {
        self.waiting > 0 && self.waiting + frame.length() > self.network.window
    }

    /// Bytes of audio on the way.
    pub(crate) fn audio_waiting(&self) -> u64 {
        self.up.iter().map(|(_, frame)| if let Frame::Audio(audio) = frame { audio.len() as u64 } else { 0 }).sum()
    }

    /// A frame leaves the link.
    pub(crate) fn write(&mut self, frame: Frame, clock: &mut Clock) {
        self.waiting += frame.length();
        if self.far == Far::Gone {
            return;
        }
        self.cut.0 = self.cut.0.saturating_sub(frame.length());
        if self.cut.0 == 0 && clock.now < self.harmful_until {
            // Half of it was on the wire when it broke.
            return self.strike(Harm::Reset, clock);
        }
        let earliest = self.up.back().map_or(0, |(at, _)| *at);
        let at = (clock.now + self.network.latency + self.chance.of(0..self.network.jitter)).max(earliest);
        self.up.push_back((at, frame));
        clock.at(at, Happening::Up(self.number));
    }

    /// The service is asked to close; says whether it will answer.
    pub(crate) fn is_heard_closing(&mut self, clock: &Clock) -> bool {
        let answers = self.harm != Some(Harm::NoFarewell) || clock.now >= self.harmful_until;
        if !answers {
            self.far = Far::Mute;
        }
        answers
    }

    /// The next frame that has arrived, if the service reads it.
    pub(crate) fn arrived(&mut self, clock: &mut Clock) -> Option<Frame> {
        let (at, _) = self.up.front()?;
        if *at > clock.now || matches!(self.far, Far::Vanished | Far::Gone) {
            return None;
        }
        if self.stalled_until > clock.now {
            clock.at(self.stalled_until, Happening::Up(self.number));
            return None;
        }
        let (_, frame) = self.up.pop_front()?;
        self.waiting -= frame.length();
        Some(frame)
    }

    /// What the service wants to say goes on its way.
    pub(crate) fn hand_over(&mut self, clock: &mut Clock) {
        let says: Vec<Say> = self.session.says().collect();
        for say in says {
            let at = clock.now + say.after;
            let at = match say.order {
                Order::Final => at.max(self.final_at),
                Order::Shown => at.max(self.said_at),
                Order::Late => at,
            };
            match say.order {
                Order::Final => self.final_at = at,
                Order::Shown => self.said_at = at,
                Order::Late => {}
            }
            let behind = self.sends.partition_point(|(other, _)| *other <= at);
            self.sends.insert(behind, (at, say.what));
            clock.at(at, Happening::Send(self.number));
        }
    }

    /// The service sends what is due.
    pub(crate) fn send_due(&mut self, clock: &mut Clock) {
        while self.sends.front().is_some_and(|(at, _)| *at <= clock.now) {
            let Some((_, what)) = self.sends.pop_front() else { return };
            if self.far != Far::Well {
                continue;
            }
            match what {
                Speech::Text(text) => {
                    self.cut.1 = self.cut.1.saturating_sub(text.len() as u64);
                    if self.cut.1 == 0 && clock.now < self.harmful_until {
                        return self.strike(Harm::Reset, clock);
                    }
                    self.say(Arrival::Text(text), clock);
                }
                Speech::Close(code) => self.strike(Harm::Close(code), clock),
            }
        }
    }

    pub(crate) fn pong(&mut self, clock: &mut Clock) {
        if matches!(self.far, Far::Well | Far::Mute) {
            self.say(Arrival::Pong, clock);
        }
    }

    fn say(&mut self, what: Arrival, clock: &mut Clock) {
        let earliest = self.down.back().map_or(0, |(at, _)| *at);
        let at = (clock.now + self.network.latency + self.chance.of(0..self.network.jitter)).max(earliest);
        self.down.push_back((at, what));
        clock.at(at, Happening::Down);
    }

    /// The next thing that has arrived at the link.
    pub(crate) fn heard(&mut self, clock: &Clock) -> Option<Arrival> {
        let (at, _) = self.down.front()?;
        if *at > clock.now { None } else { self.down.pop_front().map(|(_, what)| what) }
    }

    /// Something happens to it.
    pub(crate) fn strike(&mut self, harm: Harm, clock: &mut Clock) {
        if self.far == Far::Gone || self.far == Far::Vanished {
            return;
        }
        match harm {
            Harm::Reset | Harm::CutUp | Harm::CutDown => {
                self.down.clear();
                self.end(Arrival::Broken, clock);
            }
            Harm::HangUp => self.end(Arrival::Broken, clock),
            Harm::Close(code) => self.end(Arrival::Close(code), clock),
            Harm::Error { closes } => {
                let error = r#"{"type":"error","status":"error","message":"Internal server error"}"#;
                self.say(Arrival::Text(error.to_owned()), clock);
                if closes {
                    self.end(Arrival::Close(Some(1011)), clock);
                } else {
                    self.far = Far::Mute;
                }
            }
            Harm::Vanish => {
                self.down.clear();
                self.far = Far::Vanished;
            }
            Harm::Mute => self.far = Far::Mute,
            Harm::NoFarewell => {}
            Harm::Stall => {
                self.stalled_until = clock.now + self.chance.of(200..9_000) * MILLI;
            }
        }
    }

    fn end(&mut self, how: Arrival, clock: &mut Clock) {
        self.say(how, clock);
        self.far = Far::Gone;
        self.up.clear();
        self.sends.clear();
    }

    /// The link has let go of it.
    pub(crate) fn drop_near_end(&mut self) {
        self.far = Far::Gone;
        self.up.clear();
        self.down.clear();
        self.sends.clear();
    }
}
