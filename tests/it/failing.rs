//! What a receiver may do wrong: every event comes again until it is taken, none is taken twice, and their order stays.

use futures_util::future::join_all;
use pulse_bridge::receive::{Order, Received, Spec};
use serde_json::Value;

use crate::{
    http,
    phone::good_call,
    stage::{Plan, Stage, accepted, assert_unbroken},
};

/// A call whose events meet a receiver that fails so: every delivery, until its last event is taken.
async fn deliveries_under(call: &str, specs: &[&str]) -> (Vec<Received>, Stage) {
    let fail = specs.iter().map(|spec| spec.parse::<Spec>().unwrap()).collect();
    let mut stage = Stage::with(Plan { fail, ..Plan::default() }).await;
    good_call(&stage, call).await;
    let mut deliveries: Vec<Received> = Vec::new();
    while !deliveries.last().is_some_and(|last| last.kind == "call.completed" && last.order.is_some()) {
        deliveries.push(stage.next_delivery().await);
    }
    (deliveries, stage)
}

/// What was taken is every event once and in order; gives what was not.
fn failed(call: &str, deliveries: &[Received]) -> Vec<(u16, Option<&'static str>)> {
    let (taken, failed): (Vec<&Received>, Vec<&Received>) = deliveries.iter().partition(|delivery| delivery.order.is_some());
    let orders: Vec<Option<Order>> = taken.iter().map(|delivery| delivery.order).collect();
    assert!(orders.iter().all(|order| *order == Some(Order::Next)), "{call}: {orders:?}");
    let events: Vec<Value> = taken.iter().map(|delivery| accepted(delivery)).collect();
    assert_unbroken(&events);
    for failed in &failed {
        let again = taken.iter().find(|taken| taken.webhook_id == failed.webhook_id).expect("it came again");
        assert_eq!(again.body, failed.body, "{call}: the same bytes");
    }
    failed.iter().map(|failed| (failed.status, failed.failed)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_to_fail_costs_time_and_no_event() {
    let rows = [
        ("CAreset", "reset,count=2", vec![(0, Some("reset")); 2], "retry"),
        ("CAmidway", "reset=midway,seq=2,count=1", vec![(200, Some("reset"))], "retry"),
        ("CAredirect", "redirect=http://127.0.0.1:9/,count=1", vec![(302, Some("redirect"))], "retry"),
        ("CAhuge", "huge=64", vec![], "delivered"),
        ("CAhuge500", "huge=8,status=500,type=call.completed,count=1", vec![(500, Some("huge"))], "retry"),
        ("CA429", "status=429,retry_after=1,after=1,count=1", vec![(429, Some("status"))], "retry_after"),
        ("CAdelay", "delay_ms=300", vec![], "delivered"),
    ];
    join_all(rows.map(|(call, spec, expected, verdict)| async move {
        let (deliveries, stage) = deliveries_under(call, &[spec]).await;
        assert_eq!(failed(call, &deliveries), expected, "{call}");
        let metrics = http::get(&stage, "/metrics").await;
        let counted = metrics.text().lines().any(|line| {
            line.starts_with("pulse_bridge_webhook_attempts_total{")
                && line.contains(&format!(r#"verdict="{verdict}""#))
                && !line.ends_with(" 0")
        });
        assert!(counted, "{call}: {verdict} in {}", metrics.text());
        stage.end().await;
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_failures_at_once_are_overcome_in_order() {
    let specs = ["reset,seq=1,count=1", "status=503,every=2,count=2", "redirect=/away,type=call.completed,count=1"];
    let (deliveries, stage) = deliveries_under("CAseveral", &specs).await;
    let ways = [(0, Some("reset")), (503, Some("status")), (503, Some("status")), (302, Some("redirect"))];
    assert_eq!(failed("CAseveral", &deliveries), ways);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_runs_into_the_deadline_is_none_and_the_event_comes_again() {
    let rows = [
        ("CAlate", "delay_ms=20000,type=call.completed,count=1", (0, Some("left"))),
        ("CAdrip", "drip=500,type=call.completed,count=1", (200, Some("drip"))),
    ];
    join_all(rows.map(|(call, spec, expected)| async move {
        let (deliveries, stage) = deliveries_under(call, &[spec]).await;
        assert_eq!(failed(call, &deliveries), [expected], "{call}");
        stage.end().await;
    }))
    .await;
}
