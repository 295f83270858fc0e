//! What of a final's audio is not to be heard.

use super::{tests::*, *};
use crate::segment::{Release, Segment, Word};

fn silent(release: &Release) -> Vec<(u64, u64)> {
    beeps(release).iter().map(|beep| (beep.start_ms, beep.end_ms)).collect()
}

/// A sentence of words, one every 100 ms.
fn said(text: &str) -> Segment<Unredacted> {
    let words: Vec<&str> = text.split(' ').collect();
    Segment { end_ms: words.len() as u64 * 100, ..worded(text, &words) }
}

#[test]
fn a_final_without_anything_taken_out_is_heard_whole() {
    assert_eq!(silent(&released(said("good morning and what can I do for you today"))), []);
}

#[test]
fn the_words_of_a_secret_are_silent_and_those_around_it_are_heard() {
    let release = released(said("thank you so much yes my card number is 4539 1488 0343 6467 and that is all there is to say"));
    assert_eq!(release.segment.words[9].text.as_str(), "[CREDIT_CARD_1]");
    assert_eq!(silent(&release), [(900 - MARGIN_MS, 1_290 + MARGIN_MS)]);
}

#[test]
fn two_secrets_are_two_ranges_or_one_where_nothing_lies_between() {
    let between = "and now for something else entirely here comes";
    let release = released(said(&format!("my pin is 4 8 1 6 {between} my phone 555 123 9876 okay")));
    assert_eq!(release.redactions.len(), 2, "{}", release.segment.text.as_str());
    assert_eq!(silent(&release), [(300 - MARGIN_MS, 690 + MARGIN_MS), (1_700 - MARGIN_MS, 1_990 + MARGIN_MS)]);
    let release = released(said("my pin is 4 8 1 6 my phone 555 123 9876 okay"));
    assert_eq!(silent(&release), [(300 - MARGIN_MS, 1_190 + MARGIN_MS)]);
}

#[test]
fn where_nobody_knows_when_the_words_were_said_the_whole_segment_is_silent() {
    let text = "my card number is 4539 1488 0343 6467 thanks";
    let wordless = released(final_on(IN, text, 5_000));
    let other_words = released(Segment { start_ms: 5_000, end_ms: 6_000, ..worded(text, &["something", "else"]) });
    for release in [wordless, other_words] {
        assert_eq!(silent(&release), [(5_000 - MARGIN_MS, 6_000 + MARGIN_MS)], "{}", release.segment.text.as_str());
    }
}

#[test]
fn what_only_words_or_sentences_tell_is_silent_too() {
    let words = worded("nothing of that kind was said", &["my", "pin", "is", "4816"]);
    assert_eq!(silent(&released(words)), [(300 - MARGIN_MS, 390 + MARGIN_MS)]);
    let sentences = Segment { utterances: vec![sentence("my pin is 4816")], ..final_on(IN, "nothing of that kind", 0) };
    assert_eq!(silent(&released(sentences)), [(0, 100 + MARGIN_MS)]);
}

#[test]
fn a_text_that_was_withheld_is_silent_as_a_whole() {
    let release = released(final_on(IN, "good morning", 5_000));
    let segment = Segment { text: Redacted::certified(REDACTION_FAILED), ..release.segment };
    assert_eq!(silent(&Release { segment, redactions: Vec::new() }), [(5_000 - MARGIN_MS, 6_000 + MARGIN_MS)]);
}

#[test]
fn a_secret_cut_over_two_finals_is_silent_in_each() {
    let mut gate = Gate::new(GateSettings::default(), [7; 32]);
    let now = crate::clock::now();
    gate.handle_final(said("my card number is 4539 1488"), now);
    let rest = said("0343 6467 thank you");
    let words =
        rest.words.iter().cloned().map(|word| Word { start_ms: word.start_ms + 2_000, end_ms: word.end_ms + 2_000, ..word });
    gate.handle_final(Segment { start_ms: 2_000, end_ms: 2_400, words: words.collect(), ..rest }, now);
    gate.handle_end(now);
    let releases = std::iter::from_fn(|| gate.poll_output()).filter_map(|out| match out {
        Out::Release(release) => Some(silent(&release)),
        _ => None,
    });
    let expected = [vec![(400 - MARGIN_MS, 590 + MARGIN_MS)], vec![(2_000 - MARGIN_MS, 2_190 + MARGIN_MS)]];
    assert_eq!(releases.collect::<Vec<_>>(), expected);
}
