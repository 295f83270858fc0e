//! What the spool is for: audio that a link could not get out, in this run or before the next.

use super::*;

#[tokio::test]
async fn what_a_service_that_read_nothing_has_missed_its_successor_hears_from_the_spool() {
    let mut rig = Rig::new(LinkSettings { write_deadline: Duration::from_millis(100), ..fast() });
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
