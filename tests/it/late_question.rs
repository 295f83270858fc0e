//! What one party asks decides what the other one's digits are, whichever of the two is transcribed first.

use pulse_bridge::emulate::{Fault, Faults, Rule};

use crate::stage::{Plan, Stage, text_of};

/// The agent's link is away for some seconds, so that the question for the code is heard after the answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_security_code_is_hidden_though_its_question_is_heard_after_it() {
    let fault = Fault::Refuse { status: 503, retry_after: None };
    let away = Rule {
        connections: None,
        attempts: Some(vec![0, 1, 2]),
        session: Some(".outbound".to_owned()),
        after_finals: None,
        fault,
    };
    let mut stage = Stage::with(Plan { faults: Faults { faults: vec![away] }, ..Plan::default() }).await;
    let played = stage.call_as("pay-by-card", &stage.phone()).await;
    let events = stage.events_of(&played.call_sid).await;
    assert!(text_of(&events, "outbound").contains("the security code on the back"), "the question is heard");
    let said = text_of(&events, "inbound");
    assert!(!said.contains("nine two seven"), "{said}");
    // What it was nobody knew when it had to go out.
    assert!(said.contains("[NUMBER_") || said.contains("[CVV_"), "{said}");
    stage.end().await;
}
