//! A socket whose call is paused.

use super::*;
use crate::media::MULAW_SILENCE;

const KEY: &str = r#"{"event":"dtmf","streamSid":"MZ1","dtmf":{"digit":"5"}}"#;

#[tokio::test]
async fn what_a_stream_of_a_paused_call_sent_before_it_was_let_in_is_passed_on_as_silence() {
    let mut line = Line::with(StreamLimits::default(), 0, None).await;
    line.paused.store(true, Ordering::SeqCst);
    line.say(START).await;
    for number in 0..4 {
        line.say(media(number, &[7; 160])).await;
    }
    line.say(KEY).await;
    assert_eq!(line.note().await, Some(asked()));
    line.permits.add_permits(1);
    assert_eq!(line.note().await, Some(Noted::Paused(1000)));
    let mut silence = Vec::new();
    while silence.len() < 4 * 160 {
        match line.note().await {
            Some(Noted::Audio(_, audio)) => silence.extend(audio),
            Some(Noted::Digit(_, digit)) => assert_eq!(digit, None),
            Some(Noted::Paused(at_ms)) => assert_eq!(at_ms, 1000 + silence.len() as u64 / 8),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(silence, [MULAW_SILENCE; 640]);
    line.paused.store(false, Ordering::SeqCst);
    for number in 4..7 {
        line.say(media(number, &[9; 160])).await;
    }
    line.say(STOP).await;
    let mut rest = Vec::new();
    while !matches!(rest.last(), Some(Some(Noted::Ended(..)))) {
        rest.push(line.note().await);
    }
    rest.retain(|note| !matches!(note, Some(Noted::Digit(_, None))));
    let heard = rest.contains(&Some(Noted::Audio(1080, vec![9; 480])));
    assert!(heard && rest.last() == Some(&Some(Noted::Ended(EndReason::Stop, 140))), "{rest:?}");
}

#[tokio::test]
async fn what_came_in_a_pause_that_ended_before_the_stream_was_let_in_is_silence_too_and_what_comes_then_is_heard() {
    let mut line = Line::with(StreamLimits::default(), 0, None).await;
    line.was_paused.store(true, Ordering::SeqCst);
    // Before its start, so that it is there when the stream asks.
    for number in 0..4 {
        line.say(media(number, &[7; 160])).await;
    }
    line.say(START).await;
    assert_eq!(line.note().await, Some(asked()));
    line.permits.add_permits(1);
    for expected in
        [Noted::Paused(1000), Noted::Audio(1000, vec![MULAW_SILENCE; 480]), Noted::Audio(1060, vec![MULAW_SILENCE; 160])]
    {
        assert_eq!(line.note().await, Some(expected));
    }
    // The stream's own word for it.
    assert_eq!(line.note().await, Some(Noted::Paused(1000)));
    // Behind the next thing that comes.
    line.say(media(4, &[9; 480])).await;
    assert_eq!(line.note().await, Some(Noted::Resumed(1080)));
    assert_eq!(line.note().await, Some(Noted::Audio(1080, vec![9; 480])));
}

#[tokio::test]
async fn a_stream_that_is_let_in_behind_its_end_into_a_paused_call_is_silence() {
    let mut line = Line::with(StreamLimits::default(), 0, None).await;
    line.paused.store(true, Ordering::SeqCst);
    line.say(START).await;
    for number in 0..4 {
        line.say(media(number, &[7; 160])).await;
    }
    line.say(STOP).await;
    assert_eq!(line.closed().await.0, 1000);
    assert_eq!(line.note().await, Some(asked()));
    line.permits.add_permits(1);
    assert_eq!(line.note().await, Some(Noted::Paused(1000)));
    let (heard, end) = line.heard().await;
    assert_eq!((heard, end), (vec![MULAW_SILENCE; 640], Some(Noted::Ended(EndReason::Stop, 80))));
}
