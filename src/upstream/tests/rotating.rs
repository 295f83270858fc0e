//! The replacement of a connection before its time is over, and by one with other parameters.

mod taking_over;

use super::*;
use crate::upstream::Parameters;

/// A session of ten seconds: the next one is opened after nine, and takes over after 9.8 at the latest.
const LIMIT: Duration = Duration::from_secs(10);
const FINALIZE: &str = r#"{"type":"finalize"}"#;

/// The answer to `finalize`: an empty final.
const NOTHING: &str = r#"{"transcript":"","is_final":true,"from_finalize":true}"#;

impl Rig {
    fn rotating() -> Self {
        let deaf_after = Duration::from_hours(1);
        let mut rig = Self::with(LinkSettings { session_limit: LIMIT, deaf_after, ..LinkSettings::default() });
        rig.connect();
        rig
    }

    /// A rig whose next connection is open since 9 s, while somebody speaks.
    fn ready() -> Self {
        let mut rig = Self::rotating();
        rig.talk(8_940);
        rig.final_words("one two three", 0.5, 8.5);
        rig.quietly().talk(60);
        assert_eq!(rig.log, ["9000 open next"]);
        rig.next_ready();
        rig
    }

    fn next_ready(&mut self) {
        self.link.handle_next_ready(self.now);
        self.drain();
    }

    fn next_refused(&mut self, refusal: Refusal) {
        self.link.handle_next_refused(refusal, MIDDLE, self.now);
        self.drain();
    }

    /// Real-time silence.
    fn hush(&mut self, ms: u64) {
        for _ in 0..ms / 60 {
            self.wait(60);
            self.push(vec![0xFF; 480].into());
        }
    }

    fn retune(&mut self, language: &str) {
        let mut parameters = Parameters::default();
        parameters.set("language", language).unwrap();
        self.link.handle_retune(Arc::new(parameters), self.now);
        self.drain();
    }

    /// This is the last that was sent; how long what was sent before it, to be known by, is in seconds.
    fn reminded(&self, last: std::ops::Range<u64>) -> f64 {
        let (sent, last) = (self.sent(), samples(last));
        assert!(sent.ends_with(&last), "{} bytes do not end with these {}", sent.len(), last.len());
        let before = u32::try_from(sent.len() - last.len()).unwrap();
        assert!(before <= 6 * 8_000, "{before} bytes");
        f64::from(before) / 8_000.0
    }

    /// Ends the call and says what became of it.
    fn end(&mut self) -> Totals {
        self.hang_up();
        self.wait(2_000);
        self.last();
        self.totals.expect("the link is done")
    }
}

fn busy() -> Refusal {
    Refusal::Unavailable { status: 503, reason: Reason::default() }
}

fn language() -> Refusal {
    Refusal::Language { reason: Reason::default() }
}

#[test]
fn at_a_silence_the_next_connection_takes_over_when_what_was_sent_is_answered_and_nothing_is_sent_twice() {
    let mut rig = Rig::ready();
    rig.quietly().hush(600);
    assert_eq!(rig.log, [format!("9600 {FINALIZE}")]);
    rig.quietly().talk(120);
    assert!(rig.audio.is_empty(), "what comes meanwhile waits");
    rig.hear(NOTHING);
    assert_eq!(rig.said("swap"), ["swap"]);
    assert!(rig.said("live").is_empty() && rig.said("reconnecting").is_empty(), "{:?}", rig.log);
    rig.talk(6_000);
    let before = rig.reminded(9_600 * 8..15_720 * 8);
    rig.final_words("four five", before + 0.5, before + 1.0);
    assert_eq!(rig.said("final").last(), Some(&"final 10100..10600 four five"), "times go on");
    let totals = rig.end();
    assert_eq!((totals.reconnects, totals.complete), (0, true));
}

#[test]
fn speech_without_a_pause_is_cut_at_the_latest_moment_and_no_word_of_it_is_lost() {
    let mut rig = Rig::ready();
    rig.covered(8_500);
    rig.interim("four fi");
    rig.talk(780);
    rig.quietly().talk(600);
    assert_eq!(rig.log, ["9800 swap"], "nothing is asked for that would cut a word in two");
    rig.wait(6_000);
    let before = rig.reminded(8_500 * 8..rig.offset);
    rig.final_words("four five", before + 0.5, before + 1.5);
    assert_eq!(rig.said("final").last(), Some(&"final 9000..10000 four five"));
    assert_eq!(rig.end().reconnects, 0);
}

#[test]
fn an_open_interim_or_a_voice_in_the_last_of_the_audio_is_no_silence() {
    let mut rig = Rig::ready();
    rig.interim("four");
    rig.hush(600);
    assert!(rig.said(FINALIZE).is_empty(), "a word is still open");
    rig.final_words("four", 9.0, 9.2);
    rig.hush(60);
    assert_eq!(rig.said(FINALIZE).len(), 1, "now it is closed");
    let mut rig = Rig::ready();
    rig.hush(540);
    rig.talk(60);
    assert!(rig.said(FINALIZE).is_empty());
}

#[test]
fn a_phone_that_sends_nothing_is_silent() {
    let mut rig = Rig::ready();
    rig.quietly().wait(600);
    assert_eq!(rig.log, [format!("9600 {FINALIZE}")]);
}

#[test]
fn without_an_answer_the_rest_is_sent_again_and_its_known_words_are_dropped() {
    let mut rig = Rig::ready();
    rig.covered(8_500);
    rig.quietly().hush(600);
    rig.wait(1_999);
    assert!(rig.said("swap").is_empty());
    rig.quietly().wait(1);
    assert_eq!(rig.said("swap"), ["swap"]);
    rig.wait(6_000);
    let mut sent = samples(8_500 * 8..9_000 * 8);
    sent.resize(sent.len() + 600 * 8, 0xFF);
    assert!(rig.sent().ends_with(&sent), "from the mark");
    assert!(rig.end().complete);
}

#[test]
fn an_answer_that_leaves_words_open_is_not_taken_for_the_whole() {
    let mut rig = Rig::ready();
    rig.quietly().hush(600);
    // Its own end of speech, on its way when it was asked.
    rig.final_words("four", 8.6, 8.9);
    assert!(rig.said("swap").is_empty());
    rig.hear(NOTHING);
    assert_eq!(rig.said("swap"), ["swap"]);
}

#[test]
fn a_second_finalize_waits_for_the_answer_to_the_first() {
    let mut rig = Rig::ready();
    rig.link.handle_finalize(rig.now);
    rig.drain();
    rig.hush(600);
    assert_eq!(rig.said(FINALIZE).len(), 1, "the answer to one is not taken for the other's");
    rig.quietly().hear(NOTHING);
    assert_eq!(rig.log, [format!("9600 {FINALIZE}")], "what was being said then is left open");
    rig.hear(NOTHING);
    assert_eq!(rig.said("swap"), ["swap"]);
}

#[test]
fn a_next_connection_that_fails_is_tried_again_more_and_more_slowly_and_not_for_ever() {
    let mut rig = Rig::rotating();
    rig.talk(9_000);
    rig.next_refused(busy());
    rig.quietly().talk(1_200);
    assert_eq!(rig.log, ["9500 open next"]);
    assert!(rig.sent() == samples(9_000 * 8..10_200 * 8), "the connection in use goes on");
    for _ in 1..20 {
        rig.next_refused(busy());
        rig.wait(30_000);
        rig.link.handle_pong(rig.now);
    }
    assert_eq!(rig.said("open next").len(), 10);
    assert!(rig.said("swap").is_empty() && rig.said("reconnecting").is_empty());
}

#[test]
fn a_next_connection_that_is_gone_before_its_turn_is_opened_again() {
    let mut rig = Rig::ready();
    rig.next_refused(Refusal::ClosedBeforeMessage { code: Some(1000) });
    rig.quietly().hush(600);
    assert_eq!(rig.log, ["9500 open next"]);
    let mut rig = Rig::ready();
    rig.hush(660);
    rig.quietly().next_refused(busy());
    assert_eq!(rig.audio.len(), 1, "the one in use takes up its part again");
}

#[test]
fn a_ready_connection_takes_over_at_once_when_the_other_is_lost() {
    let mut rig = Rig::ready();
    rig.covered(8_500);
    rig.quietly().lose(Lost::Broken);
    assert_eq!(rig.log, ["9000 reconnecting 1 dropped", "9000 swap", "9000 live"]);
    rig.wait(6_000);
    rig.reminded(8_500 * 8..9_000 * 8);
    let totals = rig.end();
    assert!(totals.reconnects == 1 && totals.complete, "that was no rotation: {totals:?}");
}

#[test]
fn a_connection_being_opened_is_the_reconnect_when_the_other_is_lost() {
    let mut rig = Rig::rotating();
    rig.talk(9_000);
    rig.quietly().lose(Lost::Broken);
    assert_eq!(rig.log, ["9000 reconnecting 1 dropped", "9000 swap"]);
    rig.connect();
    assert_eq!(rig.said("live").len(), 1);
    let mut rig = Rig::rotating();
    rig.talk(9_000);
    rig.lose(Lost::Broken);
    rig.quietly().refuse(busy());
    rig.wait(1_500);
    assert_eq!(rig.log, ["9000 reconnecting 2 unavailable", "10000 dial"]);
}

#[test]
fn a_connection_lost_while_its_last_words_are_awaited_is_made_up_for_by_the_next() {
    let mut rig = Rig::ready();
    rig.hush(600);
    rig.quietly().lose(Lost::Broken);
    assert_eq!(rig.log, ["9600 reconnecting 1 dropped", "9600 swap", "9600 live"]);
    rig.wait(6_000);
    assert_eq!(rig.sent().len(), 9_600 * 8);
}

#[test]
fn the_end_of_the_call_drops_the_next_connection_at_every_step() {
    let dialling = || {
        let mut rig = Rig::rotating();
        rig.talk(9_000);
        rig
    };
    let waiting = || {
        let mut rig = dialling();
        rig.next_refused(busy());
        rig
    };
    let parting = || {
        let mut rig = Rig::ready();
        rig.hush(660);
        rig
    };
    for mut rig in [dialling(), waiting(), Rig::ready(), parting()] {
        rig.quietly().hang_up();
        assert_eq!(rig.said("drop next"), ["drop next"]);
        assert_eq!(rig.said(r#"{"type":"close_stream"}"#).len(), 1, "on the connection in use");
        rig.next_ready();
        rig.next_refused(busy());
        rig.last();
        assert!(rig.totals.is_some_and(|totals| totals.complete && totals.sent_ms == rig.offset / 8));
        rig.wait(60_000);
        assert!(rig.said("dial").is_empty() && rig.said("swap").is_empty());
    }
}

#[test]
fn one_replacement_follows_the_other() {
    let mut rig = Rig::rotating();
    for round in 0..3 {
        rig.talk(9_000);
        rig.next_ready();
        rig.quietly().hush(600);
        rig.hear(NOTHING);
        assert_eq!(rig.said("swap").len(), 1, "{round}");
    }
    assert_eq!(rig.end().reconnects, 0);
}

#[test]
fn another_language_takes_over_at_the_next_silence_or_within_three_seconds() {
    let mut rig = Rig::rotating();
    rig.talk(3_000);
    rig.quietly().retune("es");
    assert_eq!(rig.log, ["3000 open next in es"]);
    rig.next_ready();
    rig.quietly().talk(3_060);
    assert_eq!(rig.log, ["6000 swap"], "somebody speaks without a pause");
    rig.wait(4_000);
    rig.final_words("hola", 5.0, 5.5);
    rig.quietly().retune("en");
    rig.next_ready();
    rig.hush(600);
    assert_eq!(rig.said(FINALIZE).len(), 1);
    assert_eq!(rig.said("tuned"), ["tuned ready"]);
}

#[test]
fn a_language_that_the_service_refuses_leaves_everything_as_it_was() {
    let mut rig = Rig::rotating();
    rig.talk(3_000);
    for refusal in [language(), Refusal::BadRequest { reason: Reason::default() }, Refusal::ClosedBeforeMessage { code: None }] {
        rig.retune("xx");
        rig.quietly().next_refused(refusal.clone());
        assert_eq!(rig.log, [format!("3000 tuned refused {}", refusal.code())]);
    }
    rig.quietly().talk(6_000);
    assert_eq!(rig.log, ["9000 open next"], "in the language of before");
    assert!(rig.sent() == samples(3_000 * 8..9_000 * 8));
}

#[test]
fn a_language_refused_after_it_took_over_is_taken_back() {
    let mut rig = Rig::rotating();
    rig.talk(3_000);
    rig.retune("xx");
    rig.next_ready();
    rig.hush(600);
    rig.hear(NOTHING);
    rig.quietly().hear(r#"{"type":"error","error_code":"LANGUAGE_NOT_ENABLED_IN_REGION","message":"xx"}"#);
    rig.wait(600);
    assert_eq!(
        rig.log,
        ["3600 hangup", "3600 tune back", "3600 tuned refused language", "3600 reconnecting 1 language", "3975 dial"]
    );
    rig.connect();
    rig.hear(r#"{"transcript":"hello","is_final":false}"#);
    rig.quietly().hear(r#"{"type":"error","error_code":"LANGUAGE_NOT_ENABLED_IN_REGION","message":"xx"}"#);
    assert_eq!(rig.said("refused"), ["refused"], "of the language of before nothing is better");
}

#[test]
fn without_a_connection_the_next_one_has_the_other_language() {
    let mut rig = Rig::rotating();
    rig.talk(3_000);
    rig.lose(Lost::Broken);
    rig.quietly().retune("es");
    rig.wait(500);
    assert_eq!(rig.log, ["3000 tune to es", "3000 tuned later", "3500 dial"]);
    rig.quietly().retune("fr");
    assert_eq!(rig.log, ["3500 tune to fr", "3500 tuned later", "3500 dial"], "the dial under way is of no use");
    rig.refuse(Refusal::Language { reason: Reason::default() });
    assert_eq!(rig.said("tune"), ["tune to fr", "tuned later", "tune back", "tuned refused language"]);
}

#[test]
fn a_link_that_was_refused_for_its_language_can_be_given_another() {
    let mut rig = Rig::new();
    rig.refuse(Refusal::Language { reason: Reason::default() });
    rig.talk(1_200);
    rig.quietly().retune("es");
    rig.connect();
    rig.wait(1_000);
    assert_eq!(rig.log, ["1200 tune to es", "1200 tuned later", "1200 dial", "1200 live"]);
    assert!(rig.sent() == samples(0..9_600));
}

#[test]
fn a_plan_that_is_full_for_long_does_not_keep_a_connection_to_its_limit() {
    let limit = Duration::from_secs(10_000);
    let mut rig =
        Rig::with(LinkSettings { session_limit: limit, deaf_after: Duration::from_hours(1), ..LinkSettings::default() });
    rig.connect();
    rig.wait(9_000_000);
    for _ in 0..10 {
        rig.next_refused(Refusal::NoSession);
        rig.wait(30_000);
    }
    rig.quietly().next_refused(Refusal::NoSession);
    rig.wait(600);
    assert_eq!(rig.said(""), [r#"{"type":"close_stream"}"#, "hangup", "dial"]);
    rig.connect();
    assert_eq!(rig.end().reconnects, 0);
}
