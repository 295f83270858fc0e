//! Refusals of the HTTP routes as `application/problem+json` (RFC 9457).
//!
//! Promises: the detail is ours, never a peer's text, so nothing personal and no secret can be in it.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

/// What every refusal is sent as.
const CONTENT_TYPE: &str = "application/problem+json";

/// One refusal: the status, and one line that says what is wrong and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    detail: String,
}

/// When to try again where the bridge cannot serve now, in seconds: what it waits for seldom takes less, and another bridge behind the same
/// address may take the call meanwhile.
const RETRY_AFTER_S: u64 = 10;

impl Problem {
    /// A refusal with this status; `detail` is one line that says what to do.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into() }
    }

    /// There is nothing under this name.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// The request is not one we can read.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// The store or another part of the bridge cannot serve this now; the answer carries `Retry-After`.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }

    /// What it says.
    #[cfg(test)]
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// The contract names it, this version does not have it.
    pub fn not_built(what: &str) -> Self {
        Self::not_found(format!("{what} is part of the contract but not of this version yet"))
    }
}

/// Gives a refusal that is not one of ours (an unreadable query, a wrong method, a body too large) the same form.
pub async fn in_our_form(response: Response) -> Response {
    let status = response.status();
    // All of ours are JSON, the 503 of `/readyz` too.
    let is_ours = response.headers().get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().ends_with(b"json"));
    if is_ours || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let detail = match status {
        StatusCode::BAD_REQUEST => {
            "the path or the query cannot be read; limit is a whole number from 1 up, after_seq one from 0 up"
        }
        StatusCode::METHOD_NOT_ALLOWED => "this route does not take this method",
        StatusCode::PAYLOAD_TOO_LARGE => "the body is too large",
        _ => status.canonical_reason().unwrap_or("the request was refused"),
    };
    let mut problem = Problem::new(status, detail).into_response();
    if let Some(allow) = response.headers().get(header::ALLOW) {
        problem.headers_mut().insert(header::ALLOW, allow.clone());
    }
    problem
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or("Error");
        let body = serde_json::json!({
            "type": "about:blank", "title": title, "status": self.status.as_u16(), "detail": self.detail,
        });
        let mut response = (self.status, [(header::CONTENT_TYPE, CONTENT_TYPE)], body.to_string()).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER_S.into());
        }
        response
    }
}
