use super::*;
use crate::segment::{TrackKey, Utterance, Word};

pub(super) const IN: Track = Track::Inbound;
pub(super) const OUT: Track = Track::Outbound;

#[test]
fn a_closed_final_goes_out_at_once_and_the_time_it_took_is_told() {
    let mut call = Call::new();
    assert_eq!(call.says(IN, "My card is 4111 1111 1111 1111, thanks."), ["My card is [CREDIT_CARD_1], thanks."]);
    assert_eq!(call.says(OUT, "We close at 5."), ["We close at 5."]);
    assert_eq!(call.gate.poll_timeout(), None);
}

#[test]
fn an_open_tail_is_held_with_everything_behind_it_until_it_is_closed() {
    let mut call = Call::new();
    assert_eq!(call.says(IN, "it's 4111 1111"), NOTHING);
    assert_eq!(call.says(OUT, "go ahead"), NOTHING);
    assert_eq!(call.says(IN, "1111 1111 is all"), ["it's [CREDIT_CARD_1]", "go ahead", "[CREDIT_CARD_1] is all"]);
}

#[test]
fn the_other_party_asking_for_something_else_closes_a_tail() {
    let mut call = Call::new();
    assert_eq!(call.says(IN, "we were 3001"), NOTHING);
    let reply = "then I will have the big hall ready, and your zip code?";
    assert_eq!(call.says(OUT, reply), ["we were 3001", reply]);
}

#[test]
fn after_six_seconds_an_open_tail_goes_out_masked_and_its_other_half_alike() {
    let mut call = Call::new();
    assert_eq!(call.says(IN, "so 4 1 1 1 1"), NOTHING);
    let deadline = call.gate.poll_timeout().expect("something is held");
    assert_eq!(deadline, call.now + Duration::from_secs(6));
    assert_eq!(call.waits(Duration::from_millis(5999)), NOTHING);
    assert_eq!(call.waits(Duration::from_millis(1)), ["so [NUMBER_1]"]);
    assert_eq!(call.notes, [Note::Forced(Forced::Time)]);
    assert_eq!(call.says(IN, "1 1 1 1 1 1 1 1 1 1 1 thank you"), ["[NUMBER_1] thank you"]);
}

#[test]
fn where_a_question_may_be_missing_every_number_goes() {
    let mut call = Call::new();
    call.gate.handle_final_unasked(final_on(IN, "nine two seven, as of 2027 people", 0), call.now);
    assert_eq!(call.out(), ["[NUMBER_1], as of [NUMBER_2] people"]);
    assert_eq!(call.says(OUT, "as of 2027 it is"), ["as of [NUMBER_2] it is"], "taken out once, taken out again");
}

#[test]
fn six_seconds_of_the_call_are_enough_however_fast_it_is_played() {
    let mut call = Call::new();
    assert_eq!(call.says(IN, "so 4 1 1 1 1"), NOTHING);
    call.at_ms += 5_000;
    assert_eq!(call.says(OUT, "okay"), NOTHING, "six seconds, not more");
    assert_eq!(call.says(OUT, "yes"), ["so [NUMBER_1]", "okay", "yes"]);
    assert_eq!(call.notes, [Note::Forced(Forced::Time)]);
}

#[test]
fn three_more_finals_end_the_waiting() {
    let mut call = Call::new();
    assert_eq!(call.says(IN, "my social is 123"), NOTHING);
    assert_eq!(call.says(OUT, "okay"), NOTHING);
    assert_eq!(call.says(OUT, "yes"), NOTHING);
    assert_eq!(call.says(OUT, "okay"), ["my social is [SSN_1]", "okay", "yes", "okay"]);
    assert_eq!(call.notes, [Note::Forced(Forced::Finals)]);
}

#[test]
fn no_more_is_held_than_a_call_may_hold() {
    let settings = GateSettings { hold: Duration::from_hours(1), hold_finals: usize::MAX, ..GateSettings::default() };
    for (size, most) in [(1, 64), (1000, 16)] {
        let mut call = Call { gate: Gate::new(settings.clone(), [7; 32]), ..Call::new() };
        call.says(IN, "my card is 4111");
        let nod = format!("okay{}", " ".repeat(size));
        let released = (0..80).position(|_| !call.says(OUT, &nod).is_empty());
        assert_eq!(call.notes, [Note::Forced(Forced::Memory)], "{size}");
        assert!(released.is_some_and(|count| count <= most), "{size} {released:?}");
    }
}

#[test]
fn the_end_lets_everything_out_and_judges_it_as_complete() {
    let mut call = Call::new();
    call.says(IN, "it is 4 5 7 6");
    assert_eq!(call.ends(), ["it is 4 5 7 6"], "four digits with no cue, and none follow");
    let mut call = Call::new();
    call.says(IN, "my pin is 4 5 6 7");
    assert_eq!(call.ends(), ["my pin is [PIN_1]"]);
}

#[test]
fn a_read_back_is_known_without_a_cue_and_has_the_same_number() {
    let mut call = Call::new();
    call.says(IN, "my pin is 4 8 1 6, my phone 555 123 9876, okay?");
    assert_eq!(call.says(OUT, "so four eight one six was it"), ["so [PIN_1] was it"]);
    assert_eq!(call.says(OUT, "ending in 9876 then"), ["ending in [PHONE_1] then"]);
    assert_eq!(call.says(OUT, "and order 1234 then"), ["and order 1234 then"]);
}

#[test]
fn what_was_typed_is_known_when_it_is_read_back() {
    let mut call = Call::new();
    for (index, key) in "4816#".chars().enumerate() {
        call.gate.handle_digit(IN, &Role::caller(), 100 * index as u64, Some(key), call.now);
    }
    let keys: Vec<_> = std::iter::from_fn(|| call.gate.poll_output()).collect();
    assert!(keys.iter().all(|out| matches!(out, Out::Digit { masked: true, digit: None, .. })), "{keys:?}");
    assert_eq!(keys.len(), 5);
    assert_eq!(call.says(OUT, "I have 4816 here"), ["I have [NUMBER_1] here"]);
}

#[test]
fn a_menu_digit_shows_only_where_asked_for_and_alone() {
    let settings = GateSettings { digits: DigitPolicy::ShowMenu, ..GateSettings::default() };
    let mut gate = Gate::new(settings, [7; 32]);
    let now = crate::clock::now();
    gate.handle_digit(IN, &Role::caller(), 1000, Some('2'), now);
    assert!(gate.poll_output().is_none(), "another may follow");
    gate.handle_timeout(gate.poll_timeout().expect("it waits"));
    assert!(matches!(gate.poll_output(), Some(Out::Digit { masked: false, digit: Some('2'), at_ms: 1000, .. })));

    gate.handle_digit(IN, &Role::caller(), 20_000, Some('4'), now);
    gate.handle_digit(IN, &Role::caller(), 20_500, Some('1'), now);
    for _ in 0..2 {
        assert!(matches!(gate.poll_output(), Some(Out::Digit { masked: true, digit: None, .. })));
    }
    gate.handle_final(final_on(OUT, "please type your pin", 30_000), now);
    gate.handle_digit(IN, &Role::caller(), 32_000, Some('7'), now);
    let last = std::iter::from_fn(|| gate.poll_output()).last();
    assert!(matches!(last, Some(Out::Digit { masked: true, .. })), "{last:?}");
}

#[test]
fn the_words_of_a_placeholder_are_one_element_with_their_times() {
    let segment = worded(
        "Card 4111-1111 1111 one one one one, thanks",
        &["Card", "4111-1111", "1111", "one", "one", "one", "one,", "thanks"],
    );
    let release = released(segment);
    let words: Vec<_> = release.segment.words.iter().map(|w| (w.text.as_str(), w.start_ms, w.end_ms, w.redacted)).collect();
    assert_eq!(words, [("Card", 0, 90, false), ("[CREDIT_CARD_1]", 100, 690, true), ("thanks", 700, 790, false)]);
    assert_eq!(release.segment.words[1].confidence, None);
    let redaction = &release.redactions[0];
    assert_eq!(
        (redaction.kind.as_str(), redaction.label.as_str(), redaction.start_ms, redaction.end_ms, redaction.source),
        ("CREDIT_CARD", "[CREDIT_CARD_1]", 100, 690, "bridge")
    );
}

#[test]
fn a_word_with_a_space_inside_does_not_shift_what_is_taken_out() {
    let release = released(worded(
        "on June 5 my card is 4111111111111111 you see",
        &["on", "June 5", "my", "card", "is", "4111111111111111", "you see"],
    ));
    let words: Vec<_> = release.segment.words.iter().map(|word| word.text.as_str()).collect();
    assert_eq!(words, ["on", "June 5", "my", "card", "is", "[CREDIT_CARD_1]", "you see"]);
}

#[test]
fn sentences_are_cut_from_the_same_masks() {
    let mut segment = final_on(IN, "My pin is 4816. Did you write that? 4816.", 0);
    segment.utterances = ["My pin is 4816.", "Did you write that?", "4816."].map(sentence).to_vec();
    let release = released(segment);
    let sentences: Vec<_> = release.segment.utterances.iter().map(|utterance| utterance.text.as_str()).collect();
    assert_eq!(release.segment.text.as_str(), "My pin is [PIN_1]. Did you write that? [PIN_1].");
    assert_eq!(sentences, ["My pin is [PIN_1].", "Did you write that?", "[PIN_1]."]);
}

#[test]
fn words_and_sentences_that_say_more_than_the_text_are_searched_on_their_own() {
    let mut segment = worded("my number is [PHONENUMBER_1]", &["my", "number", "is", "555", "1234567"]);
    segment.utterances = vec![sentence("my number is 555 12 13")];
    let release = released(segment);
    assert_eq!(release.segment.text.as_str(), "my number is [PHONE_1]");
    let words: Vec<_> = release.segment.words.iter().map(|word| word.text.as_str()).collect();
    assert_eq!(words[..3], ["my", "number", "is"]);
    assert!(words[3].starts_with('[') && words.len() == 4, "{words:?}");
    assert!(!release.segment.utterances[0].text.as_str().contains("555"), "{:?}", release.segment.utterances);
}

#[test]
fn the_services_placeholders_are_mapped_numbered_anew_and_never_searched() {
    let segment = worded("I am [FIRSTNAME_4] and [FIRSTNAME_7].", &["I", "am", "[firstname_4]", "and", "[firstname_7]."]);
    let release = released(segment);
    assert_eq!(release.segment.text.as_str(), "I am [PERSON_1] and [PERSON_2].");
    let words: Vec<_> = release.segment.words.iter().map(|word| word.text.as_str()).collect();
    assert_eq!(words, ["I", "am", "[PERSON_1]", "and", "[PERSON_2]"]);
    assert!(release.redactions.iter().all(|redaction| redaction.source == "service" && redaction.kind == "PERSON"));
}

#[test]
fn digits_beside_the_services_placeholder_are_its_other_half() {
    let mut call = Call::new();
    assert_eq!(call.says(IN, "it is [ACCOUNTNUMBER_1] 5678 on file"), ["it is [BANK_ACCOUNT_2] [BANK_ACCOUNT_1] on file"]);
    assert_eq!(call.says(IN, "again [ACCOUNTNUMBER_1]"), ["again [BANK_ACCOUNT_3]"]);
    assert_eq!(call.says(IN, "4455 on file"), ["[BANK_ACCOUNT_4] on file"]);
}

#[test]
fn parameters_pass_the_same_rules_with_their_names_as_cues() {
    let mut gate = Gate::new(GateSettings::default(), [7; 32]);
    for (name, value, expected) in [
        ("customerSsn", "9876", "[SSN_1]"),
        ("order_id", "12345678", "12345678"),
        ("note", "48151623", "[NUMBER_1]"),
        ("email", "ann@example.com", "[EMAIL_1]"),
        ("contact", "ann@example.com", "[EMAIL_1]"),
        ("owner", "a@b.com", "[EMAIL_2]"),
        ("queue", "sales-2", "sales-2"),
        ("pan", "4111111111111111", "[CREDIT_CARD_1]"),
    ] {
        assert_eq!(gate.parameter(name, value).as_str(), expected, "{name}");
    }
}

#[test]
fn interims_are_withheld_or_masked_widely() {
    let mut gate = Gate::new(GateSettings::default(), [7; 32]);
    gate.handle_interim(final_on(IN, "hello", 0), crate::clock::now());
    assert!(gate.poll_output().is_none());

    let mut gate = Gate::new(GateSettings { interims: true, ..GateSettings::default() }, [7; 32]);
    gate.handle_interim(worded("at five forty with ann at example dot com", &["at"]), crate::clock::now());
    let Some(Out::Interim(interim)) = gate.poll_output() else { panic!("an interim") };
    assert_eq!(interim.text.as_str(), "at [NUMBER] [NUMBER] with [EMAIL]");
    assert!(interim.words.is_empty());
}

#[test]
fn only_known_fields_pass() {
    let mut segment = final_on(IN, "hello", 0);
    segment.language = Some("call me on 5551234567".to_owned());
    segment.languages = vec!["en-US".to_owned(), "5551234567".to_owned()];
    segment.emotion = Some(serde_json::json!({"joy": 0.5, "said": "555 1234567", "555": 1, "more": {"a": "b"}}));
    segment.gender = Some(serde_json::json!("5551234567"));
    let release = released(segment).segment;
    assert_eq!((release.language, release.languages), (None, vec!["en-US".to_owned()]));
    assert_eq!((release.emotion, release.gender), (Some(serde_json::json!({"joy": 0.5})), None));
}

#[test]
fn a_search_that_breaks_lets_no_word_through() {
    use window::Part;
    for part in [Part::Reading, Part::Searching, Part::Masking, Part::Applying] {
        let mut call = Call::new();
        call.gate.window.breaks = Some(part);
        assert_eq!(call.says(IN, "my name is ann"), [REDACTION_FAILED], "{part:?}");
        assert_eq!(call.notes, [Note::Failed], "{part:?}");
        call.gate.window.breaks = None;
        assert_eq!(call.says(IN, "hello"), ["hello"], "the next final is searched again");
    }
    let mut gate = Gate::new(GateSettings { interims: true, ..GateSettings::default() }, [7; 32]);
    gate.window.breaks = Some(Part::Searching);
    assert_eq!(gate.parameter("a", "b").as_str(), REDACTION_FAILED);
    assert!(matches!(gate.poll_output(), Some(Out::Note(Note::Failed))));
    gate.handle_interim(final_on(IN, "hello", 0), crate::clock::now());
    assert!(gate.poll_output().is_none());
}

#[test]
fn words_that_cannot_be_searched_are_withheld_and_counted() {
    let said = "la ".repeat(window::MAX_TOKENS);
    let mut gate = Gate::new(GateSettings::default(), [7; 32]);
    gate.handle_final(worded("hello", &[said.as_str(), "la"]), crate::clock::now());
    assert!(matches!(gate.poll_output(), Some(Out::Note(Note::Failed))));
    let Some(Out::Release(release)) = gate.poll_output() else { panic!("a release") };
    assert_eq!(release.segment.text.as_str(), "hello");
    assert!(release.segment.words.iter().all(|word| word.text.as_str() == REDACTION_FAILED));
}

pub(super) const NOTHING: [&str; 0] = [];

/// A call through the gate, on one clock.
pub(super) struct Call {
    pub(super) gate: Gate,
    pub(super) now: Instant,
    pub(super) at_ms: u64,
    pub(super) notes: Vec<Note>,
}

impl Call {
    pub(super) fn new() -> Self {
        Self::with(Policy::default())
    }

    pub(super) fn with(policy: Policy) -> Self {
        let settings = GateSettings { policy: Arc::new(policy), ..GateSettings::default() };
        Self { gate: Gate::new(settings, [7; 32]), now: crate::clock::now(), at_ms: 0, notes: Vec::new() }
    }

    /// What comes out when a party says something.
    pub(super) fn says(&mut self, track: Track, text: &str) -> Vec<String> {
        self.at_ms += 1000;
        self.gate.handle_final(Segment { heard_at: self.now, ..final_on(track, text, self.at_ms) }, self.now);
        self.out()
    }

    pub(super) fn waits(&mut self, time: Duration) -> Vec<String> {
        self.now += time;
        self.gate.handle_timeout(self.now);
        self.out()
    }

    /// What comes out when the call is over.
    pub(super) fn ends(&mut self) -> Vec<String> {
        self.gate.handle_end(self.now);
        self.out()
    }

    pub(super) fn out(&mut self) -> Vec<String> {
        let mut texts = Vec::new();
        while let Some(out) = self.gate.poll_output() {
            match out {
                Out::Release(release) => texts.push(release.segment.text.as_str().to_owned()),
                Out::Note(note) => self.notes.push(note),
                Out::Interim(_) | Out::Digit { .. } => {}
            }
        }
        texts
    }
}

pub(super) fn released(segment: Segment<Unredacted>) -> Release {
    let mut gate = Gate::new(GateSettings::default(), [7; 32]);
    gate.handle_final(segment, crate::clock::now());
    gate.handle_end(crate::clock::now());
    let releases = std::iter::from_fn(|| gate.poll_output()).filter_map(|out| match out {
        Out::Release(release) => Some(release),
        _ => None,
    });
    releases.last().expect("a release")
}

/// A final with words of 90 ms, one every 100 ms.
pub(super) fn worded(text: &str, words: &[&str]) -> Segment<Unredacted> {
    let word = |(index, word): (u64, &&str)| Word {
        text: Unredacted::new(*word),
        start_ms: index * 100,
        end_ms: index * 100 + 90,
        confidence: Some(0.9),
        speaker: "inbound:0".to_owned(),
        speaker_confidence: Some(0.8),
        redacted: false,
    };
    Segment { words: (0..).zip(words).map(word).collect(), ..final_on(IN, text, 0) }
}

pub(super) fn sentence(text: &str) -> Utterance<Unredacted> {
    Utterance { text: Unredacted::new(text), start_ms: 0, end_ms: 100, speaker: "inbound:0".to_owned() }
}

/// A final of one track, without words.
pub(crate) fn final_on(track: Track, text: &str, start_ms: u64) -> Segment<Unredacted> {
    let role = if track == Track::Outbound { Role::agent() } else { Role::caller() };
    let key = TrackKey { stream: 0, track };
    let bare = Segment::bare(key, role, Unredacted::new(text), (start_ms, start_ms + 1000), crate::clock::now());
    Segment { id: "seg_1".to_owned(), speaker: format!("{track}:0"), ..bare }
}
