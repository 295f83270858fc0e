//! What the spool is for: audio that a link could not get out, in this run or before the next.

use super::*;

#[tokio::test]
async fn what_a_service_that_read_nothing_has_missed_its_successor_hears_from_the_spool() {
    let mut rig =
        Rig::new(LinkSettings { write_deadline: Duration::from_millis(100), deaf_after: Duration::from_hours(1), ..fast() });
    let _deaf = rig.accept().await;
    for _ in 0..200 {
        rig.chunk(48_000).await;
    }
    assert_eq!(rig.cause().await, Refusal::Stalled);
    let mut service = rig.accept().await;
    let length = rig.offset;
    rig.hang_up();
    service.hear(usize::try_from(length).unwrap()).await;
    assert!(service.audio.iter().zip(0..length).all(|(byte, offset)| *byte == sample(offset)), "twenty minutes, in order");
    service.end().await;
    assert!(rig.totals().await.complete);
}

#[tokio::test]
async fn a_link_without_a_connection_is_left_when_the_bridge_stops_and_one_with_a_connection_later() {
    let (mut away, mut connected) = (Rig::new(fast()), Rig::new(fast()));
    let mut service = connected.accept().await;
    connected.talk(1).await;
    service.hear(480).await;
    for rig in [&away, &connected] {
        rig.leaving.unconnected.cancel();
    }
    away.until(|report| matches!(report, Report::Left).then_some(())).await;
    within(&mut away.task).await.unwrap();
    connected.talk(1).await;
    service.hear(960).await;
    connected.leaving.all.cancel();
    connected.until(|report| matches!(report, Report::Left).then_some(())).await;
    within(&mut connected.task).await.unwrap();
}

#[tokio::test]
async fn the_last_audio_that_the_links_queue_had_no_room_for_is_sent_from_the_spool() {
    let mut rig = Rig::new(fast());
    let mut service = rig.accept().await;
    rig.talk(2).await;
    let audio = (960..1_440).map(sample).collect();
    rig.spool.append(&Chunk { offset: Offset(960), at_ms: 120, audio, received: crate::clock::now() }).unwrap();
    rig.hang_up();
    service.hear(1_440).await;
    assert_eq!(service.audio, samples(0..1_440));
    service.end().await;
    let totals = rig.totals().await;
    assert_eq!((totals.complete, totals.finalized_ms), (true, 180));
}
