//! What is made of answers without a word, and of what streaming had shown there.

use super::*;

/// An interim of three seconds from the tenth one on.
fn open() -> Heard {
    let wanted = vec![(at(10_000), at(13_000))];
    let piece = Piece { start: at(10_000), start_ms: 10_000, length: 64_000, wanted, voice_ms: 0 };
    let wire::Message::Transcript(answer) = wire::parse(r#"{"transcription":"half a"}"#) else { unreachable!() };
    Hearing { piece: &piece, request: 0, now: clock::now() }.segments(*answer).remove(0)
}

fn bench(wanted: Stretch, open: Option<Heard>, form: PhoneForm) -> Bench {
    let mut bench = Bench::new(vec![]);
    bench.batch = Batch::new(vec![wanted], open, (form, PATIENCE), bench.now);
    bench
}

#[test]
fn what_was_being_said_is_said_only_where_batch_brings_nothing_better() {
    for (status, body, finals, lost) in [(200, HELLO, "hello", 0), (403, "", "half a", 1)] {
        let mut bench = Bench::new(vec![]);
        bench.batch = Batch::new(vec![stretch(10_000, 20_000)], Some(open()), IN_FORM, bench.now);
        bench.until_posted();
        bench.answer(status, body);
        assert!(!bench.until_posted());
        assert_eq!((bench.finals.len(), bench.finals[0].0.as_str(), bench.lost.len()), (1, finals, lost), "{status}");
    }
    let mut bench = Bench::new(vec![]);
    bench.batch = Batch::new(vec![stretch(10_000, 20_000)], Some(open()), IN_FORM, bench.now);
    bench.until_posted();
    bench.answer(403, "");
    bench.until_posted();
    assert_eq!(bench.lost, [(13_000, 20_000)], "only what streaming did not hear is a gap");
}

#[test]
fn words_that_were_shown_do_not_vanish_behind_an_answer_without_any_there() {
    // One word in the middle of the minute.
    let later = r#"{"transcription":"later","words":[{"word":"later","start":30.0,"end":30.4}]}"#;
    for (body, voice, expected) in
        [(SILENCE, true, &["half a"][..]), (SILENCE, false, &["half a"]), (later, true, &["half a", "later"])]
    {
        let mut bench = bench(stretch(10_000, 60_000), Some(open()), PhoneForm::Pcm16);
        bench.byte = if voice { |_| 0x80 } else { |_| 0xFF };
        bench.until_posted();
        bench.answer(200, body);
        assert!(!bench.until_posted());
        let said: Vec<&str> = bench.finals.iter().map(|(text, ..)| text.as_str()).collect();
        assert_eq!((said.as_slice(), bench.covered, bench.lost.len()), (expected, at(60_000), 0), "{body}");
    }
}

#[test]
fn a_voice_without_words_is_asked_for_again_as_pcm_before_it_is_taken_for_silence() {
    for body in [SILENCE, r#"{"status":"error","code":"NoAudio"}"#] {
        let mut bench = bench(stretch(10_000, 20_000), None, PhoneForm::Mulaw);
        bench.until_posted();
        bench.answer(200, body);
        assert!(bench.until_posted());
        bench.answer(200, SILENCE);
        assert!(!bench.until_posted());
        assert_eq!(
            (bench.forms.as_slice(), bench.posted.as_slice()),
            (&[PhoneForm::Mulaw, PhoneForm::Pcm16][..], &[12_000; 2][..])
        );
        assert_eq!((bench.wordless.as_slice(), bench.lost.len()), (&[(10_000, true), (10_000, false)][..], 0));
    }
}

#[test]
fn a_service_that_hears_pcm_alone_gets_nothing_else_from_there_on() {
    let mut bench = bench(stretch(0, 700_000), None, PhoneForm::Mulaw);
    let mut answers = vec![HELLO, SILENCE];
    while bench.until_posted() {
        bench.answer(200, answers.pop().unwrap_or(HELLO));
    }
    assert_eq!((bench.forms[0], bench.forms[1..].iter().all(|form| *form == PhoneForm::Pcm16)), (PhoneForm::Mulaw, true));
    assert_eq!((bench.finals.len(), bench.forms.len(), bench.wordless.len()), (3, 4, 1));
}

#[test]
fn silence_is_not_asked_for_twice() {
    let mut bench = bench(stretch(10_000, 20_000), None, PhoneForm::Mulaw);
    bench.byte = |_| 0xFF;
    bench.until_posted();
    bench.answer(200, SILENCE);
    assert!(!bench.until_posted() && bench.wordless.is_empty());
    assert_eq!((bench.forms.as_slice(), bench.counted.as_slice()), (&[PhoneForm::Mulaw][..], &["empty"][..]));
}
