//! A running bridge, asked over its API.
//!
//! Promises: every question ends within [`ASK_DEADLINE`], but for one that makes the bridge work, within [`WORK_DEADLINE`]; an answer is read up to [`MAX_ANSWER_BYTES`]; the token goes nowhere but into
//! the header, and what the other side says is made safe before it is shown.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, anyhow};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, header};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::Url;

use super::{Bridge, Failure, Settings, table};
use crate::{
    config,
    doctor::reachable,
    net::{Connector, Dialler, Reach},
};

/// Connecting, asking and reading together.
const ASK_DEADLINE: Duration = Duration::from_secs(15);
/// The same for sending a backlog again, which the bridge does a little at a time beside its calls: some hundred thousand deliveries.
const WORK_DEADLINE: Duration = Duration::from_mins(10);
/// The most that is read of an answer: a page of 500 deliveries is a few hundred kilobytes.
const MAX_ANSWER_BYTES: usize = 8 << 20;
/// The most of a refusal's text that is shown.
const MAX_DETAIL_CHARS: usize = 300;

/// A running bridge's API.
pub(super) struct Asking {
    client: Client<Connector, Full<Bytes>>,
    origin: String,
    token: Option<SecretString>,
}

/// Why there is no answer to go on with.
pub(super) struct Refused {
    /// The HTTP status; `None` where there was no answer at all.
    pub(super) status: Option<u16>,
    /// One line that says what to do.
    pub(super) why: anyhow::Error,
}

impl Asking {
    /// The bridge of `--url`, else the one of the settings; with the token of `--token`, else that of the settings.
    ///
    /// # Errors
    /// Settings that are wrong where they are needed, an address that is none.
    pub(super) fn new(settings: &Settings, bridge: &Bridge) -> Result<Self, Failure> {
        let config = match (&bridge.url, &bridge.token) {
            (Some(_), Some(_)) => None,
            _ => Some(config::driver::read(settings.config.as_deref())?),
        };
        let origin = if let Some(url) = &bridge.url {
            origin(url).map_err(Failure::usage)?
        } else {
            let listen = config.as_ref().map(|config| reachable(config.listen)).filter(|listen| listen.port() != 0);
            let listen = listen.context("listen has port 0, which says nothing; give the bridge's address as --url");
            format!("http://{}", listen.map_err(Failure::usage)?)
        };
        let token = bridge.token.clone().or_else(|| config.and_then(|config| config.api_token));
        let dialler = Arc::new(Dialler::new(Reach::Anywhere));
        let client = Client::builder(TokioExecutor::new()).build(Connector::new(dialler, ASK_DEADLINE));
        Ok(Self { client, origin, token })
    }

    /// `GET`.
    pub(super) async fn get(&self, path: &str) -> Result<Value, Refused> {
        self.ask(Method::GET, path, Bytes::new(), ASK_DEADLINE).await
    }

    /// `POST` without a body.
    pub(super) async fn post(&self, path: &str) -> Result<Value, Refused> {
        self.ask(Method::POST, path, Bytes::new(), ASK_DEADLINE).await
    }

    /// `POST` with a JSON body, of what may take the bridge minutes.
    pub(super) async fn work(&self, path: &str, body: &Value) -> Result<Value, Refused> {
        self.ask(Method::POST, path, body.to_string().into(), WORK_DEADLINE).await
    }

    async fn ask(&self, method: Method, path: &str, body: Bytes, deadline: Duration) -> Result<Value, Refused> {
        let origin = &self.origin;
        let answered = tokio::time::timeout(deadline, self.send(method, path, body)).await;
        let unanswered = |why| Refused { status: None, why };
        let late = || anyhow!("{origin} did not answer within {} s; it may go on all the same", deadline.as_secs());
        let (status, body) = answered.unwrap_or_else(|_| Err(late())).map_err(unanswered)?;
        if !(200..300).contains(&status) {
            return Err(Refused { status: Some(status), why: self.refusal(status, &body) });
        }
        let json = serde_json::from_slice(&body).map_err(|_| anyhow!("{origin} did not answer in JSON; is it a pulse-bridge?"));
        json.map_err(unanswered)
    }

    async fn send(&self, method: Method, path: &str, body: Bytes) -> anyhow::Result<(u16, Bytes)> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.origin));
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.expose_secret()));
        }
        // The error would show the header.
        let request = request.body(Full::new(body)).map_err(|_| anyhow!("the API token has characters that no header takes"))?;
        let response = self.client.request(request).await.map_err(|_| {
            anyhow!(
                "cannot ask {}; start the bridge (pulse-bridge serve), or give the address of the one that runs as --url",
                self.origin
            )
        })?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|_| anyhow!("{} broke off its answer, or gave one without end", self.origin))?;
        Ok((status, body.to_bytes()))
    }

    fn refusal(&self, status: u16, body: &[u8]) -> anyhow::Error {
        let origin = &self.origin;
        let problem: Value = serde_json::from_slice(body).unwrap_or_default();
        let detail = problem["detail"].as_str().map(|detail| detail.chars().take(MAX_DETAIL_CHARS).collect::<String>());
        match (status, detail) {
            (401, _) if self.token.is_some() => {
                anyhow!("{origin} refused the API token (401); give the bridge's own as --token or PULSE_BRIDGE_API_TOKEN")
            }
            (401, _) => anyhow!("{origin} wants its API token (401); give it as --token or PULSE_BRIDGE_API_TOKEN"),
            (403, _) => anyhow!(
                "{origin} answers its API to its own machine alone (403); set api_token there, and give it here as --token"
            ),
            (_, Some(detail)) => anyhow!("{origin} answered {status}: {}", table::safe(&detail)),
            (_, None) => anyhow!("{origin} answered {status}; is it a pulse-bridge of this version?"),
        }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        refused.why.into()
    }
}

/// The address without its last slash. It may have a path, where a proxy puts the bridge below one.
fn origin(url: &str) -> anyhow::Result<String> {
    let wanted = "give an address such as http://127.0.0.1:8080";
    let parsed = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let parsed = parsed.filter(|url| url.query().is_none() && url.fragment().is_none() && url.username().is_empty());
    let parsed = parsed.with_context(|| format!("--url is no address of a bridge; {wanted}"))?;
    Ok(parsed.as_str().trim_end_matches('/').to_owned())
}
