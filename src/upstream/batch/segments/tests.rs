use super::*;
use crate::clock;

fn at(ms: u64) -> Offset {
    Offset(ms_to_bytes(ms))
}

/// A piece from 10 s of the track on, 20 s long, on a clock that is 500 ms ahead of the track; the first second is not wanted.
fn piece() -> Piece {
    let wanted = vec![(at(11_000), at(30_000))];
    Piece { start: at(10_000), start_ms: 10_500, length: ms_to_bytes(20_000), wanted, voice_ms: 5_000 }
}

fn answer(text: &str) -> wire::Transcript {
    match wire::parse(text) {
        wire::Message::Transcript(transcript) => *transcript,
        _ => panic!("{text}"),
    }
}

fn segments_of(piece: &Piece, request: u32, text: &str) -> Vec<Heard> {
    Hearing { piece, request, now: clock::now() }.segments(answer(text))
}

/// An answer with these words, each with its times in seconds and its speaker, and these utterances.
fn said(words: &[(&str, f64, f64, u32)], utterances: &[(&str, f64, f64)]) -> String {
    let text: Vec<&str> = words.iter().map(|word| word.0).collect();
    let word = |(word, start, end, speaker): &(&str, f64, f64, u32)| serde_json::json!({"word": word, "start": start, "end": end, "confidence": 1, "speaker": speaker});
    let utterance =
        |(text, start, end): &(&str, f64, f64)| serde_json::json!({"text": text, "start": start, "end": end, "speaker": 0});
    serde_json::json!({"status": "success", "transcription": text.join(" "), "language": "en",
        "words": words.iter().map(word).collect::<Vec<_>>(), "utterances": utterances.iter().map(utterance).collect::<Vec<_>>()})
    .to_string()
}

fn shown(segments: &[Heard]) -> Vec<(&str, u64, u64)> {
    segments.iter().map(|heard| (heard.text.expose(), heard.start_ms, heard.end_ms)).collect()
}

#[test]
fn words_lie_on_the_call_s_clock_and_those_around_the_stretch_are_left_out() {
    let words = [("before", 0.2, 0.9, 0), ("edge", 0.9, 1.2, 0), ("Hello", 1.25, 1.5, 0), ("there", 1.6, 2.0, 0)];
    let heard = segments_of(&piece(), 0, &said(&words, &[("before edge Hello there", 0.2, 2.0)]));
    assert_eq!(shown(&heard), [("edge Hello there", 11_400, 12_500)]);
    assert_eq!((heard[0].recovered, heard[0].covers, heard[0].utterances.len()), (true, at(12_000), 0));
    assert_eq!(heard[0].language.as_deref(), Some("en"));
}

#[test]
fn sentences_pauses_and_speakers_part_segments() {
    let words = [
        ("One.", 2.0, 2.2, 0),
        ("Two", 2.3, 2.5, 0),
        ("three.", 2.6, 2.9, 0),
        ("Four", 3.0, 3.2, 1),
        ("five", 4.0, 4.2, 1),
        ("six", 4.99, 5.2, 1),
    ];
    let heard =
        segments_of(&piece(), 0, &said(&words, &[("One!", 2.0, 2.2), ("Two three!", 2.3, 2.9), ("Four five six", 3.0, 5.2)]));
    assert_eq!(
        shown(&heard).iter().map(|it| it.0).collect::<Vec<_>>(),
        ["One!", "Two three!", "Four", "five six"],
        "whole sentences in the service's words, parts of one in their own"
    );
    assert!(heard.windows(2).all(|pair| pair[0].covers <= pair[1].covers));
    let unsaid = segments_of(&piece(), 0, &said(&words, &[]));
    assert_eq!(unsaid.iter().map(|it| it.text.expose()).collect::<Vec<_>>(), ["One. Two three.", "Four", "five six"]);
}

#[test]
fn nobody_waits_for_a_minute_of_speech() {
    let words: Vec<(&str, f64, f64, u32)> = (0..60)
        .map(|n| ("la", 1.0 + f64::from(n) * 0.3, 1.25 + f64::from(n) * 0.3 - if n == 30 { 0.1 } else { 0.0 }, 0))
        .collect();
    let heard = segments_of(&piece(), 0, &said(&words, &[]));
    assert_eq!(heard.len(), 2, "{:?}", shown(&heard));
    assert_eq!(heard[0].words.len(), 31, "cut behind the word with the longest pause");
}

#[test]
fn words_without_a_pause_between_them_are_cut_in_the_middle_and_not_one_by_one() {
    let words: Vec<(&str, f64, f64, u32)> =
        (0..60).map(|n| ("la", 1.0 + f64::from(n) * 0.3, 1.0 + f64::from(n + 1) * 0.3, 0)).collect();
    let heard = segments_of(&piece(), 0, &said(&words, &[]));
    assert_eq!(heard.iter().map(|it| it.words.len()).collect::<Vec<_>>(), [30, 30]);
}

#[test]
fn an_answer_whose_words_all_count_keeps_the_service_s_own_text() {
    let text = r#"{"transcription":" Call 555-0100, please. ","words":[{"word":"Call","start":1.5,"end":1.7},{"word":"555-0100,","start":1.8,"end":2.4},{"word":"please.","start":2.5,"end":2.8}]}"#;
    let heard = segments_of(&piece(), 0, text);
    assert_eq!(shown(&heard), [("Call 555-0100, please.", 12_000, 13_300)]);
}

#[test]
fn without_words_sentences_do_and_without_times_the_stretch_does() {
    let text = r#"{"transcription":"a. b.","utterances":[{"text":"a.","start":0.1,"end":0.8},{"transcript":"b.","start":"2.0","end":2.5,"speaker":"speaker_1"}]}"#;
    let heard = segments_of(&piece(), 0, text);
    assert_eq!(shown(&heard), [("b.", 12_500, 13_000)]);
    assert_eq!(heard[0].utterances.len(), 1);
    let bare = segments_of(&piece(), 0, r#"{"transcription":"all of it"}"#);
    assert_eq!(shown(&bare), [("all of it", 11_500, 30_500)]);
    assert_eq!(bare[0].covers, at(30_000));
    assert!(segments_of(&piece(), 0, r#"{"transcription":" "}"#).is_empty());
}

#[test]
fn absurd_times_stay_within_the_piece() {
    let text =
        r#"{"transcription":"x y z","words":[{"word":"x","start":-4,"end":1e300},{"word":"y"},{"word":"z","start":25,"end":2}]}"#;
    for heard in segments_of(&piece(), 0, text) {
        assert!(heard.start_ms >= 10_500 && heard.end_ms <= 30_500 && heard.start_ms <= heard.end_ms, "{:?}", shown(&[heard]));
    }
}

#[test]
fn voices_of_two_requests_are_never_one() {
    let text = said(&[("x", 2.0, 2.2, 0), ("y", 2.3, 2.5, 0)], &[]);
    let voice = |request| segments_of(&piece(), request, &text)[0].words[0].speaker.unwrap();
    let connection = |request| segments_of(&piece(), request, &text)[0].connection;
    assert_ne!(voice(0), voice(1));
    assert_ne!(connection(0), connection(1));
    assert!(voice(0) >= OWN_NUMBERS && connection(0) >= OWN_NUMBERS);
}

#[test]
fn what_lies_between_two_stretches_parts_their_words() {
    let wanted = vec![(at(11_000), at(12_000)), (at(12_500), at(14_000))];
    let piece = Piece { wanted, ..piece() };
    let words = [("a", 1.5, 1.9, 0), ("known", 2.1, 2.4, 0), ("b", 2.6, 2.9, 0)];
    let heard = segments_of(&piece, 0, &said(&words, &[]));
    assert_eq!(shown(&heard).iter().map(|it| it.0).collect::<Vec<_>>(), ["a", "b"]);
}
