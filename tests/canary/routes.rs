//! Every route of the bridge, and how the canary drives or asks it; one that is missing here fails the test.

use std::{collections::BTreeSet, path::Path};

use regex::Regex;

/// What is done with a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Asked with `GET` at the end, with every call, session and delivery in the place of what is in braces.
    Asked,
    /// Used while the calls run, and asked with what names nothing.
    Driven,
    /// Not built yet: asked like any other, and moved to [`Way::Asked`] when it is.
    Later,
}

/// By method and path, as in `src/api/mod.rs`. Exports and the live feed (`/v1/live`) are [`Way::Later`]; what a live feed says belongs
/// among the haystacks of `collect.rs` once there is one.
pub(crate) const ROUTES: [(&str, &str, Way); 29] = [
    ("get", "/v1/calls", Way::Asked),
    ("get", "/v1/calls/{sid}", Way::Asked),
    ("delete", "/v1/calls/{sid}", Way::Driven),
    ("get", "/v1/calls/{sid}/transcript", Way::Asked),
    ("get", "/v1/calls/{sid}/events", Way::Asked),
    ("post", "/v1/calls/{sid}/finalize", Way::Driven),
    ("post", "/v1/calls/{sid}/language", Way::Driven),
    ("post", "/v1/calls/{sid}/pause", Way::Driven),
    ("post", "/v1/calls/{sid}/resume", Way::Driven),
    ("any", "/v1/calls/{sid}/{verb}", Way::Later),
    ("get", "/v1/live", Way::Later),
    ("get", "/v1/deliveries", Way::Asked),
    ("post", "/v1/deliveries/retry", Way::Driven),
    ("get", "/v1/deliveries/{id}", Way::Asked),
    ("post", "/v1/deliveries/{id}/retry", Way::Driven),
    ("get", "/metrics", Way::Asked),
    ("get", "/media/twilio", Way::Asked),
    ("get", "/media/twilio/", Way::Asked),
    ("get", "/media/twilio/{token}", Way::Asked),
    ("any", "/media/{*path}", Way::Asked),
    ("post", "/twilio/voice", Way::Driven),
    ("post", "/twilio/status", Way::Driven),
    ("get", "/healthz", Way::Asked),
    ("get", "/readyz", Way::Asked),
    ("get", "/schemas/{file}", Way::Asked),
    ("get", "/", Way::Later),
    ("post", "/login", Way::Later),
    ("post", "/logout", Way::Later),
    ("get", "/openapi.json", Way::Later),
];

#[test]
fn every_route_has_a_place_in_the_canary() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api/mod.rs");
    let router = std::fs::read_to_string(path).unwrap();
    let route = Regex::new(r#"\.route\(\s*"([^"]+)",\s*(\w+)\((.*)"#).unwrap();
    let there: BTreeSet<(String, String, bool)> =
        route.captures_iter(&router).map(|it| (it[2].to_owned(), it[1].to_owned(), it[3].contains("not_built"))).collect();
    assert_eq!(there.len(), router.matches(".route(").count(), "a route is written in a way that this test cannot read");
    let known = ROUTES.map(|(method, path, way)| (method.to_owned(), path.to_owned(), way == Way::Later));
    assert_eq!(there, BTreeSet::from(known), "a route has no place in tests/canary/routes.rs, or a wrong one");
}
