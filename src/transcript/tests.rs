use std::time::Duration;

use super::*;
use crate::{media::Track, segment::Latency};

const CALLER: TrackKey = TrackKey { stream: 0, track: Track::Inbound };

#[test]
fn an_interim_is_replaced_and_a_final_is_frozen() {
    let mut transcript = transcript();
    transcript.handle_interim(CALLER, &Role::caller(), heard("i would", 0, 800));
    transcript.handle_final(CALLER, &Role::caller(), heard("I would like", 0, 1000));
    transcript.handle_interim(CALLER, &Role::caller(), heard("i would li", 0, 900));
    transcript.handle_interim(CALLER, &Role::caller(), heard("to", 1000, 1400));

    assert_eq!(texts(&mut transcript), ["interim i would", "final I would like", "interim to"]);
}

#[test]
fn a_flushed_final_of_the_same_text_and_time_is_said_once() {
    let mut transcript = transcript();
    transcript.handle_final(CALLER, &Role::caller(), worded(" Goodbye then.", 1000));
    transcript.handle_final(CALLER, &Role::caller(), Heard { flushed: true, ..worded("goodbye then", 1010) });

    assert_eq!(texts(&mut transcript), ["final  Goodbye then.", "covered 8000"]);
}

#[test]
fn the_endpoints_own_final_behind_a_flushed_one_is_said_once() {
    let mut transcript = transcript();
    transcript.handle_final(CALLER, &Role::caller(), Heard { flushed: true, ..worded("goodbye then", 1000) });
    transcript.handle_final(CALLER, &Role::caller(), worded("Goodbye then.", 1000));

    assert_eq!(texts(&mut transcript), ["final goodbye then", "covered 8000"]);
}

#[test]
fn a_final_that_the_service_sends_twice_is_said_once() {
    let mut transcript = transcript();
    transcript.handle_final(CALLER, &Role::caller(), worded("Hello, this is Daniel.", 1000));
    transcript.handle_final(CALLER, &Role::caller(), worded("Hello, this is Daniel.", 1000));

    assert_eq!(texts(&mut transcript), ["final Hello, this is Daniel.", "covered 8000"]);
}

#[test]
fn people_say_yes_twice() {
    let mut transcript = transcript();
    transcript.handle_final(CALLER, &Role::caller(), worded("Yes.", 1000));
    transcript.handle_final(CALLER, &Role::caller(), Heard { flushed: true, ..worded("Yes.", 1600) });
    transcript.handle_final(CALLER, &Role::caller(), worded("Yes.", 1600));

    assert_eq!(texts(&mut transcript), ["final Yes.", "final Yes.", "covered 8000"], "the third one repeats the second's time");
}

#[test]
fn a_second_no_that_touches_the_first_is_said() {
    let mut transcript = transcript();
    let no = |start_ms| Heard { flushed: false, ..worded("No.", start_ms) };
    let first = no(1000);
    let end_ms = first.words[0].end_ms;
    transcript.handle_final(CALLER, &Role::caller(), first);
    transcript.handle_final(CALLER, &Role::caller(), no(end_ms - 21));

    assert_eq!(texts(&mut transcript), ["final No.", "final No."]);
}

#[test]
fn equal_finals_that_were_not_flushed_are_both_said() {
    let mut transcript = transcript();
    transcript.handle_final(CALLER, &Role::caller(), heard("yes", 0, 300));
    transcript.handle_final(CALLER, &Role::caller(), heard("yes", 300, 600));

    assert_eq!(texts(&mut transcript), ["final yes", "final yes"]);
}

#[test]
fn without_words_a_flushed_repeat_counts_for_half_a_second() {
    let begin = crate::clock::now();
    for (gap, expected) in [(500, "covered 8000"), (501, "final yes")] {
        let mut transcript = transcript();
        transcript.handle_final(CALLER, &Role::caller(), Heard { heard_at: begin, ..heard("yes", 0, 300) });
        let heard_at = begin + Duration::from_millis(gap);
        transcript.handle_final(CALLER, &Role::caller(), Heard { heard_at, flushed: true, ..heard("yes", 300, 600) });
        assert_eq!(texts(&mut transcript)[1], expected, "after {gap} ms");
    }
}

#[test]
fn the_other_track_may_say_the_same() {
    let agent = TrackKey { track: Track::Outbound, ..CALLER };
    let mut transcript = transcript();
    transcript.handle_final(CALLER, &Role::caller(), worded("bye", 1000));
    transcript.handle_final(agent, &Role::agent(), Heard { flushed: true, ..worded("bye", 1000) });

    assert_eq!(texts(&mut transcript), ["final bye", "final bye"]);
}

#[test]
fn empty_and_punctuation_only_finals_only_cover_audio() {
    let mut transcript = transcript();
    for text in ["", "  ", ".", " ?!", "…"] {
        transcript.handle_interim(CALLER, &Role::caller(), heard(text, 0, 100));
        transcript.handle_final(CALLER, &Role::caller(), heard(text, 0, 100));
        assert_eq!(texts(&mut transcript), ["covered 8000"], "{text:?}");
    }
}

#[test]
fn segment_ids_count_on_after_a_restart() {
    let mut transcript = Transcript::resumed(&session(), 3, &["inbound:0", "inbound:1", "outbound:0"].map(str::to_owned));
    transcript.handle_final(CALLER, &Role::caller(), heard("one", 0, 1));
    transcript.handle_final(CALLER, &Role::caller(), heard("two", 1, 2));

    assert_eq!(finals(&mut transcript).iter().map(|s| s.id.clone()).collect::<Vec<_>>(), ["seg_01ABC_4", "seg_01ABC_5"]);
}

#[test]
fn ids_go_on_behind_the_highest_one_even_where_one_before_it_was_never_stored() {
    assert_eq!(Transcript::last_number([]), 0);
    assert_eq!(Transcript::last_number(["seg_01ABC_1", "seg_01ABC_12", "seg_01ABC_9"]), 12);
}

#[test]
fn a_label_of_an_earlier_life_is_not_given_to_somebody_else() {
    let mut transcript = Transcript::resumed(&session(), 3, &["inbound:0", "inbound:1", "outbound:0"].map(str::to_owned));
    transcript.handle_final(CALLER, &Role::caller(), heard("one", 0, 1));

    assert_eq!(finals(&mut transcript).remove(0).speaker, "inbound:2");
}

#[test]
fn a_segment_belongs_to_who_speaks_most_of_it_and_each_word_to_its_speaker() {
    let mut transcript = transcript();
    transcript.handle_final(CALLER, &Role::caller(), spoken(0, &[(Some(3), 100), (Some(5), 300), (None, 100), (Some(3), 100)]));

    let segment = finals(&mut transcript).remove(0);
    assert_eq!(segment.speaker, "inbound:0");
    let words: Vec<_> = segment.words.iter().map(|word| word.speaker.as_str()).collect();
    assert_eq!(words, ["inbound:1", "inbound:0", "inbound:0", "inbound:1"]);
}

#[test]
fn a_voice_keeps_its_label_over_all_connections_of_a_link_but_not_over_streams() {
    let mut transcript = transcript();
    for (connection, voice) in [(0, 0), (1, 0), (2, 1), (3, 0)] {
        transcript.handle_final(CALLER, &Role::caller(), spoken(connection, &[(Some(voice), 100)]));
    }
    let second_stream = TrackKey { stream: 1, ..CALLER };
    transcript.handle_final(second_stream, &Role::caller(), spoken(0, &[(Some(0), 100)]));

    let speakers: Vec<_> = finals(&mut transcript).into_iter().map(|segment| segment.speaker).collect();
    assert_eq!(speakers, ["inbound:0", "inbound:0", "inbound:1", "inbound:0", "inbound:2"]);
}

#[test]
fn without_diarization_a_track_is_one_party_throughout() {
    let mut transcript = transcript();
    for connection in [0, 1] {
        transcript.handle_final(CALLER, &Role::caller(), spoken(connection, &[(None, 100)]));
    }
    let speakers: Vec<_> = finals(&mut transcript).into_iter().map(|segment| segment.speaker).collect();
    assert_eq!(speakers, ["inbound:0", "inbound:0"]);
}

#[test]
fn sentences_that_reach_back_before_their_final_are_left_out() {
    let sentence = |text: &str, start_ms, end_ms| HeardUtterance { text: Unredacted::new(text), start_ms, end_ms, speaker: None };
    let utterances = vec![sentence("before", 100, 900), sentence("inside", 1000, 1500), sentence("over", 900, 1500)];
    let mut transcript = transcript();
    transcript.handle_final(CALLER, &Role::caller(), Heard { utterances, ..heard("inside", 1000, 1500) });

    let segment = finals(&mut transcript).remove(0);
    let kept: Vec<_> = segment.utterances.iter().map(|utterance| utterance.text.expose()).collect();
    assert_eq!(kept, ["inside"]);
}

fn session() -> SessionId {
    SessionId::new("ses_01ABC").expect("a valid id")
}

fn transcript() -> Transcript {
    Transcript::new(&session())
}

/// What a service heard on its first connection, without words.
pub(crate) fn heard(text: &str, start_ms: u64, end_ms: u64) -> Heard {
    Heard {
        text: Unredacted::new(text),
        start_ms,
        end_ms,
        words: Vec::new(),
        utterances: Vec::new(),
        language: None,
        languages: Vec::new(),
        emotion: None,
        gender: None,
        connection: 0,
        covers: Offset(8000),
        flushed: false,
        provisional: false,
        recovered: false,
        heard_at: crate::clock::now(),
        sent_ms: 0,
        latency: Latency::default(),
    }
}

fn worded(text: &str, start_ms: u64) -> Heard {
    let words = vec![word(text, start_ms, start_ms + 400, None)];
    Heard { words, ..heard(text, start_ms, start_ms + 400) }
}

fn spoken(connection: u32, words: &[(Option<u32>, u64)]) -> Heard {
    let words: Vec<_> = words.iter().map(|(speaker, length)| word("word", 0, *length, *speaker)).collect();
    Heard { words, connection, ..heard("word word", 0, 1000) }
}

fn word(text: &str, start_ms: u64, end_ms: u64, speaker: Option<u32>) -> HeardWord {
    HeardWord { text: Unredacted::new(text), start_ms, end_ms, confidence: Some(0.9), speaker, speaker_confidence: None }
}

fn texts(transcript: &mut Transcript) -> Vec<String> {
    std::iter::from_fn(|| transcript.poll_output())
        .map(|said| match said {
            Said::Interim(segment) => format!("interim {}", segment.text.expose()),
            Said::Final(segment) => format!("final {}", segment.text.expose()),
            Said::Covered(_, offset) => format!("covered {}", offset.0),
        })
        .collect()
}

fn finals(transcript: &mut Transcript) -> Vec<Segment<Unredacted>> {
    std::iter::from_fn(|| transcript.poll_output())
        .filter_map(|said| match said {
            Said::Final(segment) => Some(segment),
            Said::Interim(_) | Said::Covered(..) => None,
        })
        .collect()
}
