//! What is old goes at the start, by itself.

use pulse_bridge::{clock, store::Store};

use crate::{
    aged::make_old,
    http::ask_at,
    phone::Phone,
    stage::{PATIENCE, Stage, until},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_ended_long_ago_is_gone_after_a_start_and_a_new_one_is_not() {
    let stage = Stage::new().await;
    let data_dir = stage.data_dir.join("kept");
    let first = stage.another(&data_dir).await;
    for call in ["CAold", "CAnew"] {
        let mut phone = Phone::dial_at(first.address, call, "/media/twilio").await.unwrap();
        phone.start().await;
        phone.end().await;
    }
    until(|| first.calls.registry().is_empty()).await;
    until_delivered(&first.store, 2).await;
    let session = first.store.call("CAold").await.unwrap().unwrap().start.id;
    first.close().await;
    let old = make_old(&data_dir.join("bridge.sqlite"), session.as_str());

    let second = stage.another(&data_dir).await;
    let gone = async { while second.store.call(&old).await.unwrap().is_some() {} };
    tokio::time::timeout(PATIENCE, gone).await.expect("the first sweep is at the start");
    assert!(second.store.call("CAold").await.unwrap().is_none());
    assert!(second.store.call("CAnew").await.unwrap().is_some());
    let counted = async {
        let line = r#"pulse_bridge_retention_removed_total{kind="calls"} 1"#;
        while !ask_at(&format!("http://{}/metrics", second.address)).await.contains(line) {}
    };
    tokio::time::timeout(PATIENCE, counted).await.expect("it is counted");
    second.close().await;
    stage.end().await;
}

/// Waits until so many calls have ended with everything delivered.
async fn until_delivered(store: &Store, calls: usize) {
    let delivered = async { while store.old_calls(clock::wall_ms() + 60_000, 9).await.unwrap().len() < calls {} };
    tokio::time::timeout(PATIENCE, delivered).await.expect("everything is delivered in time");
}
