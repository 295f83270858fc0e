//! Which parameters connections are opened with after several changes.

use super::*;
use crate::upstream::Class;
use crate::upstream::Protocol;

fn in_language(language: &str) -> Arc<Parameters> {
    let mut parameters = Parameters::default();
    parameters.set("language", language).unwrap();
    Arc::new(parameters)
}

#[tokio::test]
async fn the_way_back_leads_to_the_parameters_under_which_the_service_last_spoke() {
    let mut upstream = Arc::new(Upstream::at("ws://127.0.0.1:1/waves/v1/stt/live"));
    let usual = upstream.parameters.get("language").map(str::to_owned);
    let turn = Turns::new(2, 20, Duration::from_secs(5), Arc::default()).ask(1, Class::New).pop().unwrap();
    let (mut next, mut way) = (Next::new("CA1.inbound".to_owned(), Protocol::Pulse), Way::Idle);
    let mut language_after = |outputs: Vec<Output>| {
        outputs.into_iter().for_each(|output| next.perform(output, &mut way, &turn, &mut upstream));
        upstream.parameters.get("language").map(str::to_owned)
    };
    let tune = |language| Output::Tune(Some(in_language(language)));
    assert_eq!(language_after(vec![tune("es"), tune("fr")]).as_deref(), Some("fr"));
    assert_eq!(language_after(vec![Output::Tune(None)]), usual, "behind both");
    assert_eq!(language_after(vec![tune("es"), Output::Proven, tune("fr"), Output::Tune(None)]).as_deref(), Some("es"));
    let taken_over = vec![tune("fr"), Output::DialNext(Some(in_language("de"))), Output::Swap];
    assert_eq!(language_after(taken_over).as_deref(), Some("de"));
    assert_eq!(language_after(vec![Output::Tune(None)]).as_deref(), Some("es"));
}
