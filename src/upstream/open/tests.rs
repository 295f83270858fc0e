use super::*;
use crate::transcript::tests::heard;

fn at(ms: u64) -> Offset {
    Offset(ms * 8)
}

/// Interims as (text, ms of audio sent).
fn shown(interims: &[(&str, u64)]) -> Runs {
    let mut runs = Runs::default();
    interims.iter().for_each(|(text, sent)| runs.handle_interim(Unredacted::new(*text), &heard(text, 0, 0), at(*sent)));
    runs
}

fn texts(runs: impl IntoIterator<Item = Run>) -> Vec<String> {
    runs.into_iter().map(|run| run.last.text.expose().to_owned()).collect()
}

/// What is open behind a final of this text between these milliseconds, and what it shows to be missed.
fn after(interims: &[(&str, u64)], text: &str, (from, to): (u64, u64)) -> (Vec<String>, Vec<String>) {
    let mut runs = shown(interims);
    let text = Unredacted::new(text);
    let closing = Closing { text: &text, connection: 0, span: Some((at(from), at(to))), is_new: true };
    let voice = |from: Offset, to: Offset| to.since(from) / 8;
    let missed = texts(runs.take_missed(&closing, (at(0), at(from)), voice));
    runs.close(&closing, |from, to| to.since(from) / 8);
    (texts(runs.open), missed)
}

const NONE: Vec<String> = Vec::new();

#[test]
fn interims_that_grow_or_change_a_word_are_one_segment() {
    for growing in [
        &["i wou", "i would like", "I'd would like to cha"][..],
        &["hello", "hello there"],
        &["yell", "hello there"],
        &["two tree", "two three four"],
        &["how are you doing", "how are"],
    ] {
        let interims: Vec<(&str, u64)> = growing.iter().map(|text| (*text, 100)).collect();
        assert_eq!(shown(&interims).open.len(), 1, "{growing:?}");
    }
    assert_eq!(texts(shown(&[("I would like", 100), ("I think so too", 900)]).open), ["I would like", "I think so too"]);
}

#[test]
fn the_final_of_a_segment_closes_it() {
    let interims = [("my number", 1_000), ("my number is five two", 2_000)];
    assert_eq!(after(&interims, "My number is 52.", (400, 1_800)), (NONE, NONE));
    assert_eq!(after(&interims, "[PHONENUMBER_1]", (400, 1_800)), (NONE, NONE), "its time says so whatever its words");
}

#[test]
fn a_final_that_begins_behind_the_first_interim_of_other_words_is_not_its_final() {
    let interims = [("my number is", 1_000), ("what is", 4_000)];
    assert_eq!(after(&interims, "What is yours?", (3_500, 4_200)), (NONE, vec!["my number is".to_owned()]));
    assert_eq!(after(&[("my number is", 1_000)], "What is yours?", (3_500, 4_200)).1, ["my number is"]);
}

#[test]
fn what_was_shown_before_the_finals_own_words_is_missing_however_late_it_was_shown() {
    let late = [("my number is five", 6_000), ("what is yours", 6_500)];
    assert_eq!(after(&late, "What is yours?", (3_000, 4_800)), (NONE, vec!["my number is five".to_owned()]));
    let alike = [("yellow coffee chair", 6_000), ("yellow candle", 6_300), ("yellow candle coffee morning", 6_500)];
    assert_eq!(after(&alike, "yellow candle coffee morning", (3_000, 4_800)).1, ["yellow coffee chair"]);
    // Shown once more behind what comes later, it is still the one that this final ends.
    let again = [("island chair mou", 6_000), ("train forest yellow", 6_300), ("island chair mountain", 6_500)];
    assert_eq!(after(&again, "island chair mountain", (3_000, 4_800)).1, NONE);
}

#[test]
fn a_final_closes_no_segment_of_which_it_says_nothing_and_that_went_on_behind_it() {
    let interims = [("basket table", 2_500), ("basket table chair water", 4_000)];
    assert_eq!(after(&interims, "right river bridge", (400, 2_400)), (vec!["basket table chair water".to_owned()], NONE));
}

#[test]
fn one_word_alone_shows_by_its_final_that_what_was_shown_before_it_is_missing() {
    let mut runs = shown(&[("bread bridge sure", 2_000), ("station bridge evening", 4_200), ("forest", 5_400)]);
    let voice = |from: Offset, to: Offset| to.since(from) / 8;
    let [first, second] = ["bread bridge sure island", "forest"].map(Unredacted::new);
    runs.close(&Closing { text: &first, connection: 0, span: Some((at(0), at(1_400))), is_new: true }, voice);
    let closing = Closing { text: &second, connection: 0, span: Some((at(3_200), at(3_600))), is_new: true };
    assert_eq!(texts(runs.take_missed(&closing, (at(1_400), at(3_200)), voice)), ["station bridge evening"]);
}

#[test]
fn one_word_of_a_later_segment_does_not_make_a_final_that_segments() {
    let interims = [("paper sugar", 2_000), ("right stone winter yes", 4_000), ("sugar", 5_000)];
    let open = vec!["right stone winter yes".to_owned(), "sugar".to_owned()];
    assert_eq!(after(&interims, "paper sugar mountain chair", (400, 2_400)), (open, NONE));
}

#[test]
fn one_word_shown_long_behind_a_final_that_has_it_too_is_not_of_it() {
    let interims = [("candle basket mountain", 4_000), ("cof", 8_000)];
    let open = vec!["candle basket mountain".to_owned(), "cof".to_owned()];
    assert_eq!(after(&interims, "blanket coffee market purple", (400, 1_800)), (open, NONE));
    assert_eq!(after(&[("cof", 1_200)], "coffee garden", (400, 1_400)), (NONE, NONE));
}

#[test]
fn one_new_word_behind_words_that_were_told_is_missed() {
    let interims = [("mountain island basket ticket", 900), ("market river basket", 1_900)];
    let missed = vec!["mountain island basket ticket".to_owned()];
    assert_eq!(after(&interims, "market river basket", (400, 1_300)), (NONE, missed));
}

#[test]
fn an_interim_that_its_final_overtook_opens_nothing() {
    let mut runs = Runs::default();
    runs.handle_told(&Unredacted::new("How are you?"));
    runs.handle_interim(Unredacted::new("how are you"), &heard("how are you", 0, 0), at(900));
    assert!(runs.is_empty());
}

#[test]
fn odd_times_alone_make_no_final_a_missing_one() {
    assert_eq!(after(&[("my number is", 1_000)], "My number is five.", (2_000, 2_500)), (NONE, NONE));
    assert_eq!(after(&[("hm", 1_000)], "What is yours?", (2_000, 2_500)).1, NONE, "one word may have been a noise");
}

#[test]
fn a_late_final_leaves_the_next_segment_open() {
    let interims = [("my number is", 1_000), ("what is", 5_000)];
    assert_eq!(after(&interims, "My number is five two.", (400, 2_800)), (vec!["what is".to_owned()], NONE));
    let revised = [("eight people", 1_000), ("a table for two", 2_800)];
    assert_eq!(after(&revised, "A table for two people", (400, 2_800)), (NONE, NONE), "heard better, not another one");
}

#[test]
fn open_segments_are_bounded() {
    let texts: Vec<String> = (0..100).map(|n| format!("a{n} b{n} c{n}")).collect();
    let interims: Vec<(&str, u64)> = texts.iter().map(|text| (text.as_str(), 100)).collect();
    assert_eq!(shown(&interims).open.len(), MAX_RUNS);
}
