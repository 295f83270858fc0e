//! Every fixture, replayed as fast as the bridge takes it.

use std::collections::BTreeMap;

use crate::stage::{Stage, all_fixtures};

#[tokio::test(flavor = "multi_thread")]
async fn every_byte_of_every_fixture_goes_upstream_as_the_phone_sent_it() {
    let mut stage = Stage::new().await;
    for fixture in all_fixtures() {
        let played = stage.call(&fixture.name).await;
        assert_eq!(played.error, None, "{}", fixture.name);
        stage.events_of(&played.call_sid).await;
        let upstream: BTreeMap<String, String> =
            stage.heard_of(&played.call_sid).into_iter().map(|heard| (track(&heard), heard.sha256)).collect();
        let sent: BTreeMap<String, String> =
            played.tracks.iter().map(|(track, sent)| (track.to_string(), sent.sha256.clone())).collect();
        assert_eq!(upstream, sent, "{}", fixture.name);
        assert!(!sent.is_empty());
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audio_is_declared_as_it_is_and_named_after_the_call() {
    let mut stage = Stage::new().await;
    let played = stage.call("mid-word").await;
    stage.events_of(&played.call_sid).await;
    let connections = stage.heard_of(&played.call_sid);
    assert_eq!(connections.len(), 2, "one socket a track");
    for connection in connections {
        let query: BTreeMap<&str, &str> = connection.query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!((query["encoding"], query["sample_rate"], query["model"]), ("mulaw", "8000", "pulse"));
        assert_eq!(connection.controls.last().map(String::as_str), Some(r#"{"type":"close_stream"}"#));
    }
    stage.end().await;
}

fn track(heard: &pulse_bridge::emulate::ConnectionLog) -> String {
    let id = heard.query.iter().find(|(name, _)| name == "external_session_id").map(|(_, value)| value.as_str());
    id.and_then(|id| id.rsplit('.').next()).unwrap_or_default().to_owned()
}
