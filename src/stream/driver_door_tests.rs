//! What waits before the door.

use super::*;

#[test]
fn a_queue_is_full_at_its_bytes_or_its_items_and_never_before() {
    let now = clock::now();
    let chunk = |length: usize| Chunk { offset: Offset(0), at_ms: 0, audio: vec![7; length].into(), received: now };
    let bytes = [0; Track::ALL.len()];
    let shut = || Door::<Seat>::Asked { answer: Box::pin(std::future::pending()), since: now, queue: Vec::new(), bytes };
    let mut by_bytes = shut();
    by_bytes.pass(Passed::Audio(Track::Outbound, chunk(QUEUED_BYTES - 1)));
    by_bytes.pass(Passed::Audio(Track::Inbound, chunk(QUEUED_BYTES - 1)));
    assert_eq!(by_bytes.full_until(), None);
    by_bytes.pass(Passed::Audio(Track::Inbound, chunk(1)));
    assert_eq!(by_bytes.full_until(), Some(now + QUEUED_TIME));
    let mut by_items = shut();
    for _ in 1..QUEUED_ITEMS {
        by_items.pass(Passed::Digit(Track::Inbound, 0, Some('5')));
    }
    assert_eq!(by_items.full_until(), None);
    by_items.pass(Passed::Digit(Track::Inbound, 0, Some('5')));
    assert_eq!(by_items.full_until(), Some(now + QUEUED_TIME));
    by_items.open(Seat(mpsc::unbounded_channel().0, CancellationToken::new(), Arc::default(), Arc::default()), now);
    assert_eq!(by_items.full_until(), None);
}

#[tokio::test]
async fn a_sender_faster_than_speech_waits_until_it_is_let_in() {
    let mut line = Line::with(StreamLimits::default(), 0, None).await;
    let (mut sending, reading) = line.phone.split();
    let sender = tokio::spawn(async move {
        sending.send(Sent::text(START)).await.unwrap();
        for number in 0..3000 {
            sending.send(Sent::text(media(number, &[7; 160]))).await.unwrap();
        }
        sending.send(Sent::text(STOP)).await.unwrap();
        sending
    });
    assert_eq!(timeout(PATIENCE, line.notes.recv()).await.unwrap(), Some(asked()));
    line.permits.add_permits(1);
    let mut received = 0;
    let end = loop {
        match timeout(PATIENCE, line.notes.recv()).await.unwrap() {
            Some(Noted::Audio(_, audio)) => received += audio.len(),
            other => break other,
        }
    };
    assert_eq!((received, end), (3000 * 160, Some(Noted::Ended(EndReason::Stop, 60_000))));
    drop((sender.await, reading));
}
