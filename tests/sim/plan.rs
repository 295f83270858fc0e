//! What a seed means: what is said, how the service behaves, what the network does, and when all of that is over.

use pulse_bridge::{spool::KEPT_MS, upstream::LinkSettings};

use crate::{chance::Chance, truth::Truth};

/// Microseconds in a millisecond and in a second: the unit of all times here is the microsecond since the call began.
pub(crate) const MILLI: u64 = 1_000;
pub(crate) const SECOND: u64 = 1_000 * MILLI;
/// Far behind the end of everything.
pub(crate) const NEVER: u64 = u64::MAX / 4;

/// One whole run.
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) settings: LinkSettings,
    pub(crate) tracks: [Truth; 2],
    /// Milliseconds of audio in a chunk.
    pub(crate) chunk_ms: u64,
    pub(crate) service: Service,
    pub(crate) network: Network,
    pub(crate) weather: Weather,
    pub(crate) spool: Spool,
    /// How long the store takes to store, at most.
    pub(crate) store: u64,
    /// What the harness itself breaks, to see that the checks find it.
    pub(crate) sabotage: Option<Sabotage>,
}

/// How the service behaves on every connection.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a habit of its own")]
pub(crate) struct Service {
    /// Milliseconds of audio behind a word before it is known.
    pub(crate) lookahead_ms: u64,
    /// Silence that ends an utterance, in milliseconds of audio.
    pub(crate) silence_ms: u64,
    /// A final is cut after so many words.
    pub(crate) most_words: usize,
    /// From the audio to the answer.
    pub(crate) decoding: u64,
    /// Most by which a time is wrong, in milliseconds.
    pub(crate) jitter_ms: u64,
    /// Interims may end inside a word.
    pub(crate) half_words: bool,
    /// It marks what it was asked for.
    pub(crate) says_asked: bool,
    /// It answers `keepalive` with an error.
    pub(crate) refuses_keepalive: bool,
    /// The text and the end of a stream come in one message.
    pub(crate) ends_with_text: bool,
    /// Long silence is told as a final without words.
    pub(crate) empty_finals: bool,
    /// Finals that come seconds late, of a hundred.
    pub(crate) late: u64,
    /// Finals that come twice.
    pub(crate) doubled: u64,
    /// Finals that never come.
    pub(crate) missing: u64,
    /// Interims that come behind their final.
    pub(crate) stale: u64,
}

/// What lies between.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    /// One way, at least.
    pub(crate) latency: u64,
    /// On top of it, at most.
    pub(crate) jitter: u64,
    /// Bytes on the way before a write has to wait.
    pub(crate) window: u64,
}

/// How slow the spool is.
#[derive(Debug, Clone)]
pub(crate) struct Spool {
    /// From the chunk to a file that can be read, at most.
    pub(crate) written_after: u64,
    /// From the question to the answer, at most.
    pub(crate) read_after: u64,
    /// Milliseconds of audio that are kept although a stored final covers them: the spool promises [`KEPT_MS`].
    pub(crate) keeps_ms: u64,
}

/// When what fails.
#[derive(Debug, Clone)]
pub(crate) struct Weather {
    /// The service cannot be reached, and every connection to it breaks at the beginning.
    pub(crate) away: Vec<(u64, u64)>,
    /// Connections opened then do not live for long.
    pub(crate) flapping: Vec<(u64, u64)>,
    /// Connections that come to some harm, of a hundred.
    pub(crate) harmed: u64,
    /// Longest time until then.
    pub(crate) longest_life: u64,
    /// Kinds of harm.
    pub(crate) harms: Vec<Harm>,
    /// Dials that are refused, of a hundred.
    pub(crate) refused: u64,
    /// From here on all is well, unless the service is away.
    pub(crate) over: u64,
    /// The service does not come back before all deadlines: some audio cannot be transcribed.
    pub(crate) hopeless: bool,
}

/// What can happen to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Harm {
    /// Reset: what is on its way is lost in both directions.
    Reset,
    /// The end of the stream: what the service has said still arrives.
    HangUp,
    /// Cut within this many bytes of audio.
    CutUp,
    /// Cut within this many bytes of text.
    CutDown,
    /// A close frame.
    Close(Option<u16>),
    /// An error message, then a close frame or nothing.
    Error { closes: bool },
    /// Packets vanish.
    Vanish,
    /// Audio is taken and nothing is said; pings are answered.
    Mute,
    /// Nothing is read for a while.
    Stall,
    /// As `Mute`, from `close_stream` on.
    NoFarewell,
}

/// What the harness breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// A word is left out of a final.
    DropWord,
    /// A word of a final is said in the next one again, with its time.
    RepeatWord,
    /// Times are 100 ms late.
    LateTimes,
    /// Numbers of speakers are mixed up.
    MixSpeakers,
    /// A final is cut out of what was stored.
    DropFinal,
}

impl Plan {
    pub(crate) fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed, 1);
        let length = match chance.of(0..100) {
            0 => chance.of(180_000..420_000),
            n if n < 15 => chance.of(45_000..120_000),
            _ => chance.of(5_000..40_000),
        };
        let tracks = [1, 2].map(|track| {
            let length = if chance.percent(10) { length / 2 } else { length };
            Truth::new(&mut Chance::new(seed, 10 + track), length)
        });
        let end = tracks.iter().map(|truth| truth.clock(truth.length)).max().unwrap_or(0) * MILLI;
        Self {
            seed,
            settings: settings(&mut Chance::new(seed, 2)),
            tracks,
            chunk_ms: chance.pick(&[20, 60, 60, 60, 100]),
            service: Service::new(&mut Chance::new(seed, 3)),
            network: Network::new(&mut Chance::new(seed, 4)),
            weather: Weather::new(&mut Chance::new(seed, 5), end),
            spool: Spool {
                written_after: chance.pick(&[0, 20, 400]) * MILLI,
                read_after: chance.pick(&[1, 20, 300]) * MILLI,
                keeps_ms: KEPT_MS + chance.pick(&[0, 1_000, 60_000]),
            },
            store: chance.pick(&[2, 20, 20, 800]) * MILLI,
            sabotage: None,
        }
    }

    /// The same call over a service and a network that do nothing wrong.
    pub(crate) fn calm(seed: u64) -> Self {
        let mut plan = Self::new(seed);
        let Service { late, doubled, missing, stale, .. } = &mut plan.service;
        (*late, *doubled, *missing, *stale) = (0, 0, 0, 0);
        plan.weather = Weather { away: Vec::new(), flapping: Vec::new(), harmed: 0, refused: 0, hopeless: false, ..plan.weather };
        plan
    }

    /// When the phone hangs up.
    pub(crate) fn hang_up(&self) -> u64 {
        self.tracks.iter().map(|truth| truth.clock(truth.length)).max().unwrap_or(0) * MILLI + 40 * MILLI
    }

    /// One line a matter.
    pub(crate) fn describe(&self) -> Vec<String> {
        let Self { tracks, service, network, weather, spool, chunk_ms, store, .. } = self;
        let said = |truth: &Truth| format!("{} words in {} s, pauses {:?}", truth.words.len(), truth.length / 1000, truth.pauses);
        let seconds = |list: &[(u64, u64)]| list.iter().map(|(a, b)| (a / SECOND, b / SECOND)).collect::<Vec<_>>();
        let Weather { harmed, refused, harms, over, hopeless, .. } = weather;
        let (away, flapping) = (seconds(&weather.away), seconds(&weather.flapping));
        vec![
            format!("inbound {}; outbound {}; chunks of {chunk_ms} ms", said(&tracks[0]), said(&tracks[1])),
            format!("{service:?}"),
            format!("{network:?} {spool:?} store {store} us, memory {} ms", self.settings.memory_ms),
            format!("harmed {harmed} % {harms:?}, refused {refused} %, away {away:?} s, flapping {flapping:?} s"),
            format!("hang-up {} ms, harm over {} ms, hopeless {hopeless}", self.hang_up() / MILLI, over / MILLI),
        ]
    }
}

fn settings(chance: &mut Chance) -> LinkSettings {
    LinkSettings {
        memory_ms: chance.pick(&[5_000, 15_000, 15_000]),
        replay_speed: chance.pick(&[2, 2, 4]),
        ..LinkSettings::default()
    }
}

impl Service {
    fn new(chance: &mut Chance) -> Self {
        let mut rare = |share, most| if chance.percent(share) { chance.of(1..most) } else { 0 };
        let (late, doubled, missing, stale) = (rare(20, 30), rare(20, 30), rare(15, 15), rare(20, 30));
        Self {
            lookahead_ms: chance.of(0..350),
            silence_ms: chance.of(400..1_000),
            most_words: chance.pick(&[4, 10, 10, 10_000]),
            decoding: chance.of(20..700) * MILLI,
            jitter_ms: chance.pick(&[0, 0, 5, 20]),
            half_words: chance.percent(50),
            says_asked: chance.percent(60),
            refuses_keepalive: chance.percent(10),
            ends_with_text: chance.percent(50),
            empty_finals: chance.percent(20),
            late,
            doubled,
            missing,
            stale,
        }
    }
}

impl Network {
    fn new(chance: &mut Chance) -> Self {
        Self {
            latency: chance.of(1..120) * MILLI,
            jitter: chance.pick(&[1, 10, 60, 250]) * MILLI,
            window: chance.pick(&[8_000, 32_000, 128_000]),
        }
    }
}

impl Weather {
    fn new(chance: &mut Chance, end: u64) -> Self {
        let all = [
            Harm::Reset,
            Harm::HangUp,
            Harm::CutUp,
            Harm::CutDown,
            Harm::Close(Some(1000)),
            Harm::Close(Some(1001)),
            Harm::Close(Some(1008)),
            Harm::Close(Some(1011)),
            Harm::Close(None),
            Harm::Error { closes: true },
            Harm::Error { closes: false },
            Harm::Vanish,
            Harm::Mute,
            Harm::Stall,
            Harm::NoFarewell,
        ];
        let kinds = chance.pick(&[1, 3, 8]);
        let harms = (0..kinds).map(|_| chance.pick(&all)).collect();
        let hopeless = chance.percent(6);
        let mut weather = Self {
            away: Vec::new(),
            flapping: Vec::new(),
            harmed: chance.pick(&[10, 40, 80, 100]),
            longest_life: chance.pick(&[1, 3, 10, 30]) * SECOND,
            harms,
            refused: chance.pick(&[0, 0, 20, 60]),
            over: if chance.percent(50) { end + chance.of(0..10_000) * MILLI } else { chance.of(0..end) },
            hopeless,
        };
        if hopeless {
            weather.away.push((chance.of(0..end + 3 * SECOND), NEVER));
        } else if chance.percent(25) {
            let from = chance.of(0..end + SECOND);
            let longest = if chance.percent(30) { 90 } else { 20 };
            let until = from + chance.of(SECOND / 5..longest * SECOND);
            weather.away.push((from, until.min(end + 20 * SECOND)));
        }
        if chance.percent(15) {
            let from = chance.of(0..end);
            weather.flapping.push((from, (from + chance.of(SECOND..15 * SECOND)).min(end + 10 * SECOND)));
        }
        weather
    }

    /// Whether the service is away.
    pub(crate) fn is_away(&self, at: u64) -> bool {
        self.away.iter().any(|(from, until)| (*from..*until).contains(&at))
    }

    /// Whether connections die within seconds.
    pub(crate) fn is_flapping(&self, at: u64) -> bool {
        self.flapping.iter().any(|(from, until)| (*from..*until).contains(&at))
    }
}
