//! A session that takes no reports for a while.

use super::*;

fn interim(number: usize) -> String {
    format!(r#"{{"transcript":"{number}","is_final":false}}"#)
}

#[tokio::test]
async fn a_session_that_takes_no_reports_costs_no_healthy_connection() {
    const SAID: usize = MAX_WAITING_REPORTS + 50;
    let mut rig = Rig::with_room(LinkSettings { ping: Duration::from_millis(30), ..fast() }, 256, 1);
    let mut service = rig.accept().await;
    rig.talk(1).await;
    service.hear(480).await;
    for number in 0..=SAID {
        service.say(&interim(number)).await;
    }
    for _ in 0..12 {
        assert_eq!(service.control().await, "ping", "more than may be unanswered");
    }
    let last = SAID.to_string();
    rig.until(|report| match report {
        Report::State(LinkState::Reconnecting { cause, .. }) => panic!("lost: {cause}"),
        Report::Interim(heard) => (heard.text.expose() == last).then_some(()),
        _ => None,
    })
    .await;
}

#[test]
fn of_reports_in_a_row_of_where_a_link_is_only_the_last_waits() {
    let mut waiting = VecDeque::new();
    for report in [1, 2, 3].map(|sent_ms| Report::Behind { sent_ms }) {
        wait(&mut waiting, report);
    }
    wait(&mut waiting, Report::CaughtUp);
    wait(&mut waiting, Report::Behind { sent_ms: 4 });
    assert!(matches!(
        waiting.make_contiguous(),
        [Report::Behind { sent_ms: 3 }, Report::CaughtUp, Report::Behind { sent_ms: 4 }]
    ));
}
