//! A signed `ping` to one endpoint.

use std::{error::Error, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Request, header};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use url::Url;

use super::{LIMIT, is_here, short};
use crate::{
    clock,
    doctor::{
        clock::Reading,
        no_answer::NoAnswer,
        webhook::{Answer, Facts},
    },
    event::rfc3339,
    net::{Connector, DialError, Dialler},
    webhook::{
        Endpoint,
        driver::{ANSWER_READ_BYTES, signed},
    },
};

/// Posts it, and says what came of it and what the receiver's clock says.
pub(super) async fn ping(endpoint: &Endpoint, secrets: String, dialler: Arc<Dialler>) -> (Facts, Option<Reading>) {
    let id = format!("evt_{}", clock::ulid());
    let (began, asked_ms) = (clock::now(), clock::wall_ms());
    let asked = tokio::time::timeout(LIMIT, exchange(endpoint, &id, asked_ms, dialler)).await;
    let (took, answered_ms) = (clock::now().saturating_duration_since(began), clock::wall_ms());
    let answered = asked.unwrap_or(Err(NoAnswer::Timeout));
    let reading = answered.as_ref().ok().and_then(|(_, headers)| {
        let date = headers.get(header::DATE)?.to_str().ok()?;
        let peer = format!("the receiver {}", endpoint.name());
        Reading::of_date(peer, is_here(endpoint.url()), date, (asked_ms, answered_ms))
    });
    let facts = Facts {
        name: endpoint.name().to_string(),
        address: short(endpoint.url()),
        ordered: endpoint.is_ordered(),
        secrets,
        id,
        outcome: answered.map(|(status, headers)| answer(status, took, endpoint.url(), &headers)),
    };
    (facts, reading)
}

fn answer(status: u16, took: Duration, from: &Url, headers: &HeaderMap) -> Answer {
    let location = headers.get(header::LOCATION).and_then(|value| from.join(value.to_str().ok()?).ok());
    Answer { status, took, location }
}

/// The post that a delivery would be, and as much of the answer as one reads.
async fn exchange(endpoint: &Endpoint, id: &str, now_ms: u64, dialler: Arc<Dialler>) -> Result<(u16, HeaderMap), NoAnswer> {
    let body = serde_json::json!({"type": "ping", "timestamp": rfc3339(now_ms), "data": {"event_id": id}});
    let unfit = |_| NoAnswer::NoWay("its url fits in no request".to_owned());
    let request: Request<Full<Bytes>> = signed(endpoint, id, body.to_string().into(), now_ms / 1000).map_err(unfit)?;
    let client = Client::builder(TokioExecutor::new()).build(Connector::new(dialler, LIMIT));
    let response = client.request(request).await.map_err(|error| cause(&error))?;
    let (head, mut body) = response.into_parts();
    let mut read = 0;
    while read < ANSWER_READ_BYTES
        && let Some(frame) = body.frame().await
    {
        let frame = frame.map_err(|error| cause(&error))?;
        read += frame.data_ref().map_or(0, Bytes::len);
    }
    Ok((head.status.as_u16(), head.headers))
}

/// By the first error of the chain that says enough.
fn cause(error: &(dyn Error + 'static)) -> NoAnswer {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<DialError>() {
            return error.into();
        }
        if error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse) {
            return NoAnswer::NotHttp;
        }
        next = error.source();
    }
    NoAnswer::Broken
}
