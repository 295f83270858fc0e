//! The slot of a link that is refused, retuned, or replaced on a plan that is full.

use super::{
    refused::{answer, refuse},
    *,
};
use crate::upstream::{Class, Fill};

const FINALIZE: &str = r#"{"type":"finalize"}"#;

impl Rig {
    /// Asks for another language; what comes of it.
    async fn retune(&self, language: &str) -> Tuned {
        let mut parameters = Parameters::default();
        parameters.set("language", language).unwrap();
        let (answer, told) = oneshot::channel();
        within(self.commands.send(Command::Retune(Arc::new(parameters), answer))).await.unwrap();
        within(told).await.expect("an answer")
    }

    async fn until_filled(&self, in_use: usize, limit: usize) {
        let wanted = Fill { in_use, limit, waiting: 0 };
        let filled = async {
            while self.turns.fill() != wanted {
                tokio::task::yield_now().await;
            }
        };
        within(filled).await;
    }
}

#[tokio::test]
async fn a_link_that_was_refused_for_its_language_takes_a_slot_again_for_another() {
    let mut rig = Rig::new(fast());
    rig.talk(5).await;
    refuse(&rig, &[&answer("400 Bad Request", "", r#"{"error":"LANGUAGE_NOT_ENABLED"}"#)]).await;
    assert_eq!(rig.cause().await.code(), "language");
    rig.until_filled(0, 2).await;
    assert_eq!(rig.retune("es").await, Tuned::Later);
    let mut service = rig.accept().await;
    assert!(service.asked.contains("language=es"), "{}", service.asked);
    assert_eq!(rig.turns.fill(), Fill { in_use: 1, limit: 2, waiting: 0 });
    service.hear(2_400).await;
    assert_eq!(service.audio, samples(0..2_400));
}

#[tokio::test]
async fn a_track_that_is_left_for_after_the_call_stays_so_in_another_language() {
    let mut rig = Rig::with_turn(fast(), 256, 1_024, Turns::none);
    rig.talk(5).await;
    assert_eq!(rig.retune("es").await, Tuned::Later);
    assert_eq!(rig.turns.fill(), Fill { in_use: 0, limit: 2, waiting: 0 });
    rig.talk(5).await;
    rig.hang_up();
    let gap = rig
        .until(|report| match report {
            Report::State(LinkState::Queued | LinkState::Live | LinkState::Reconnecting { .. }) => {
                panic!("it is not to be streamed")
            }
            Report::Gap { gap, .. } => Some(*gap),
            _ => None,
        })
        .await;
    assert_eq!((gap.from_ms, gap.to_ms, gap.reason), (0, 600, GapReason::Quota));
    assert!(!rig.totals().await.complete);
}

#[tokio::test]
async fn on_a_full_plan_another_language_takes_over_on_the_slot_that_is_held() {
    let mut rig = Rig::new(fast());
    let _other = rig.turns.ask(1, Class::New);
    let mut first = rig.accept().await;
    rig.talk(5).await;
    first.hear(2_400).await;
    assert_eq!(rig.retune("es").await, Tuned::Later);
    assert_eq!(first.control().await, FINALIZE);
    first.say(r#"{"transcript":"","is_final":true,"from_finalize":true}"#).await;
    assert_eq!(first.control().await, r#"{"type":"close_stream"}"#);
    let mut second = rig.accept().await;
    assert!(second.asked.contains("language=es"), "{}", second.asked);
    rig.talk(5).await;
    rig.hang_up();
    second.hear(4_800).await;
    assert_eq!(second.audio, samples(0..4_800), "from the mark, as behind any loss");
    second.end().await;
    let totals = rig.totals().await;
    assert_eq!((totals.reconnects, totals.complete), (0, true));
}

#[tokio::test]
async fn a_wish_that_replaces_another_takes_over_the_session_of_its_connection() {
    let mut rig = Rig::new(fast());
    let mut first = rig.accept().await;
    rig.talk(5).await;
    first.hear(2_400).await;
    let (told, _second) = tokio::join!(rig.retune("es"), rig.accept());
    assert_eq!((told, rig.turns.fill()), (Tuned::Ready, Fill { in_use: 2, limit: 2, waiting: 0 }));
    let (told, third) = tokio::join!(rig.retune("fr"), rig.accept());
    assert_eq!((told, rig.turns.fill()), (Tuned::Ready, Fill { in_use: 2, limit: 2, waiting: 0 }));
    assert!(third.asked.contains("language=fr"), "{}", third.asked);
}

#[tokio::test]
async fn a_refusal_of_the_next_connection_is_known_to_all_and_costs_the_link_nothing() {
    let mut rig = Rig::new(LinkSettings { session_limit: Duration::from_secs(1), ..fast() });
    let mut service = rig.accept().await;
    refuse(&rig, &[&answer("429 Too Many Requests", "Retry-After: 60\r\n", "")]).await;
    rig.until_filled(1, 1).await;
    rig.talk(5).await;
    service.hear(2_400).await;
}
