//! What came out of a call, asked of the bridge it was played into.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, header};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::sync::Semaphore;
use url::Url;

use super::reason;
use crate::{
    clock,
    net::{Connector, Dialler},
};

/// Connecting, asking and reading together.
const ASK_DEADLINE: Duration = Duration::from_secs(15);
/// The most that is read of an answer: the events of a call of many hours.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// Questions at once, however many calls there are.
const ASKED_AT_ONCE: usize = 16;
/// How long after a call's end its last event may take: the 10 s in which a stream may come back, the two minutes in
/// which a call drains, and a little.
pub(super) const COMPLETED_WITHIN: Duration = Duration::from_secs(150);
/// How long a bridge may take until it knows a call that has ended.
const KNOWN_WITHIN: Duration = Duration::from_secs(5);
/// Between two questions about a call, at first; each pause is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest of these pauses.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// A running bridge's API.
pub(super) struct Questions {
    client: Client<Connector, Empty<Bytes>>,
    origin: String,
    token: Option<SecretString>,
    at_once: Semaphore,
}

/// An answer's status and body.
struct Answer {
    status: u16,
    body: Bytes,
}

impl Questions {
    /// To the bridge whose media route is `to`.
    pub(super) fn new(to: &Url, token: Option<SecretString>, dialler: Dialler) -> Self {
        let scheme = if to.scheme() == "wss" { "https" } else { "http" };
        let port = to.port().map(|port| format!(":{port}")).unwrap_or_default();
        let origin = format!("{scheme}://{}{port}", to.host_str().unwrap_or_default());
        let client = Client::builder(TokioExecutor::new()).build(Connector::new(Arc::new(dialler), ASK_DEADLINE));
        Self { client, origin, token, at_once: Semaphore::new(ASKED_AT_ONCE) }
    }

    /// Whether it will answer, asked before anything is played.
    pub(super) async fn check(&self) -> anyhow::Result<()> {
        let answer = self.ask("/v1/calls?limit=1").await?;
        if answer.status == 200 { Ok(()) } else { Err(self.refusal(&answer)) }
    }

    /// The call's events, and what is wrong if its last one is not among them.
    pub(super) async fn events_of(&self, call_sid: &str, within: Duration) -> anyhow::Result<(Vec<Value>, Option<String>)> {
        let asked_first = clock::now();
        let (mut events, mut after_seq, mut pause) = (Vec::<Value>::new(), 0, FIRST_PAUSE);
        loop {
            let answer = self.ask(&format!("/v1/calls/{call_sid}/events?after_seq={after_seq}")).await?;
            let waited = clock::now().saturating_duration_since(asked_first);
            match answer.status {
                200 => events.extend(parse(&answer.body)?),
                404 if waited >= KNOWN_WITHIN => {
                    bail!("{} knows no call {call_sid} (404); is --to the bridge itself?", self.origin)
                }
                // The store may be busy, or the call not written yet.
                404 | 503 => {}
                _ => return Err(self.refusal(&answer)),
            }
            let last = events.last().unwrap_or(&Value::Null);
            if last["type"] == "call.completed" {
                return Ok((events, None));
            }
            after_seq = last["data"]["seq"].as_u64().unwrap_or(0);
            if waited >= within {
                return Ok((events, Some(format!("no call.completed within {} s", within.as_secs()))));
            }
            clock::sleep_until(Some(clock::now() + pause)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn ask(&self, path: &str) -> anyhow::Result<Answer> {
        let _permit = self.at_once.acquire().await.context("never closed")?;
        let mut request = Request::get(format!("{}{path}", self.origin));
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.expose_secret()));
        }
        // The error would show the header.
        let request = request.body(Empty::new()).map_err(|_| anyhow!("the API token has characters that no header takes"))?;
        let asking = async {
            let response = self
                .client
                .request(request)
                .await
                .with_context(|| format!("cannot ask {}; is the bridge running there?", self.origin))?;
            let (status, body) = (response.status().as_u16(), Limited::new(response.into_body(), MAX_ANSWER_BYTES));
            let body = body.collect().await.map_err(|why| anyhow!("{} broke off its answer: {why}", self.origin))?;
            Ok(Answer { status, body: body.to_bytes() })
        };
        let answered = tokio::time::timeout(ASK_DEADLINE, asking).await;
        answered.unwrap_or_else(|_| Err(anyhow!("{} did not answer within {} s", self.origin, ASK_DEADLINE.as_secs())))
    }

    fn refusal(&self, answer: &Answer) -> anyhow::Error {
        let origin = &self.origin;
        match (answer.status, &self.token) {
            (401, Some(_)) => anyhow!("{origin} refused the API token (401); give the bridge's api_token as --token"),
            (401, None) => anyhow!("{origin} wants its API token (401); give it as --token or PULSE_BRIDGE_API_TOKEN"),
            (403, _) => anyhow!(
                "{origin} answers its API to its own machine alone (403); set api_token there, and give it here as --token"
            ),
            (404, _) => anyhow!("{origin} has no /v1/calls (404); --expect asks the bridge itself, so --to must name it"),
            (status, _) => anyhow!("{origin} answered {status}{}", reason(Some(&answer.body))),
        }
    }
}

fn parse(body: &[u8]) -> anyhow::Result<Vec<Value>> {
    let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(serde_json::from_slice).collect::<Result<_, _>>().context("the bridge's events are not JSON lines")
}
