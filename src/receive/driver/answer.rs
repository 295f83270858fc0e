//! The bodies of answers, ordinary and otherwise.
//!
//! Promises: memory does not depend on how long an answer is; none has a length declared but the empty ones.

use std::{io, time::Duration};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http_body_util::{BodyExt, Empty, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Response,
    body::Frame,
    header::{CONNECTION, HeaderValue, LOCATION, RETRY_AFTER},
};

use super::socket::Reset;
use crate::receive::fail::{Planned, Way};

/// Written at once of a huge answer: 64 KiB, so that 16 make a MiB.
static PIECE: [u8; 64 * 1024] = [b'x'; 64 * 1024];
const PIECES_A_MIB: usize = 16;
/// Longest dripping answer, in bytes; a sender that takes it all has been patient enough.
const DRIP_BYTES: usize = 1 << 20;
/// How long half an answer may be read before the reset behind it takes the rest away.
const HALF_READ: Duration = Duration::from_millis(50);

/// How long an answer that hangs is not given; far above any sender's patience.
const HANG: Duration = Duration::from_hours(1);

/// What hyper sends; an error in it ends the connection.
pub(super) type Answer = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// An answer without a body.
pub(super) fn empty(status: u16) -> Answer {
    let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
    let mut answer = Response::new(body);
    *answer.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    answer
}

/// The answer of a delivery that is failed on purpose; one that hangs is given so late that nobody waits for it.
///
/// # Errors
/// A reset without an answer.
pub(super) async fn of_plan(planned: &Planned, reset: &Reset) -> io::Result<Answer> {
    match &planned.way {
        Way::Reset { midway: false } => {
            reset.on_drop();
            return Err(on_purpose());
        }
        Way::Hang => tokio::time::sleep(HANG).await,
        Way::Garbage => reset.garble(),
        _ => {}
    }
    let mut answer = empty(planned.way.status().unwrap_or(200));
    match &planned.way {
        Way::Usual | Way::Status(_) | Way::Hang => {}
        Way::Garbage => drop(answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"))),
        Way::Reset { .. } => *answer.body_mut() = half(reset.clone()),
        Way::Huge { mib, .. } => *answer.body_mut() = huge(usize::try_from(*mib).unwrap_or(usize::MAX)),
        Way::Redirect { to, .. } => {
            let to = HeaderValue::from_str(to).expect("the spec was checked to be visible ASCII");
            answer.headers_mut().insert(LOCATION, to);
        }
        Way::Drip { pause, .. } => *answer.body_mut() = drip(*pause),
    }
    if let Some(seconds) = planned.retry_after {
        answer.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    Ok(answer)
}

fn huge(mib: usize) -> UnsyncBoxBody<Bytes, io::Error> {
    let pieces = std::iter::repeat_n(Bytes::from_static(&PIECE), mib.saturating_mul(PIECES_A_MIB));
    StreamBody::new(stream::iter(pieces.map(|piece| Ok(Frame::data(piece))))).boxed_unsync()
}

fn drip(pause: Duration) -> UnsyncBoxBody<Bytes, io::Error> {
    let drops = stream::iter(0..DRIP_BYTES).then(move |_| async move {
        tokio::time::sleep(pause).await;
        Ok(Frame::data(Bytes::from_static(b".")))
    });
    StreamBody::new(drops).boxed_unsync()
}

fn half(reset: Reset) -> UnsyncBoxBody<Bytes, io::Error> {
    let first = stream::iter([Ok(Frame::data(Bytes::from_static(b"half an answ")))]);
    let second = stream::once(async move {
        tokio::time::sleep(HALF_READ).await;
        reset.on_drop();
        Err(on_purpose())
    });
    StreamBody::new(first.chain(second)).boxed_unsync()
}

fn on_purpose() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "reset on purpose")
}
