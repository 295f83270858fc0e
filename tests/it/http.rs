//! A tiny HTTP client for the bridge's own routes.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Method, Request};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

use crate::stage::{PATIENCE, Stage};

/// An answer, read whole.
pub(crate) struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// A header as text; empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|why| panic!("{why}: {}", self.text()))
    }

    /// A refusal as RFC 9457 wants it; gives its detail.
    pub(crate) fn problem(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text());
        let body = self.json();
        assert_eq!(body["status"], status);
        assert!(body["title"].is_string() && body["type"].is_string(), "{body}");
        body["detail"].as_str().expect("a problem has a detail").to_owned()
    }
}

/// `GET` without anything.
pub(crate) async fn get(stage: &Stage, path: &str) -> Answer {
    ask(stage, Method::GET, path, &[], "").await
}

/// The body of a `GET` from any address.
pub(crate) async fn ask_at(url: &str) -> String {
    let client = Client::builder(TokioExecutor::new()).build::<_, Full<Bytes>>(HttpConnector::new());
    let answer = client.get(url.parse().unwrap()).await.unwrap();
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// `GET` with headers.
pub(crate) async fn get_with(stage: &Stage, path: &str, headers: &[(&str, &str)]) -> Answer {
    ask(stage, Method::GET, path, headers, "").await
}

/// `POST` of a form.
pub(crate) async fn post(stage: &Stage, path: &str, form: &[(String, String)], headers: &[(&str, &str)]) -> Answer {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let mut all = vec![("content-type", "application/x-www-form-urlencoded")];
    all.extend(headers);
    ask(stage, Method::POST, path, &all, &body).await
}

/// Any request.
pub(crate) async fn ask(stage: &Stage, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    ask_url(&stage.http(path), method, headers, body).await
}

/// Any request to any address.
pub(crate) async fn ask_url(url: &str, method: Method, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
    let client = Client::builder(TokioExecutor::new()).build::<_, Full<Bytes>>(HttpConnector::new());
    let asking = async {
        let (head, body) = client.request(request).await.unwrap().into_parts();
        Answer { status: head.status.as_u16(), headers: head.headers, body: body.collect().await.unwrap().to_bytes() }
    };
    tokio::time::timeout(PATIENCE, asking).await.expect("the bridge answers in time")
}
