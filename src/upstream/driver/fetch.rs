//! Reading a track's audio back beside everything else that a link's task does.

use std::{future::Future, pin::Pin};

use crate::{
    clock,
    media::{Chunk, Offset},
    spool::{Frame, Reader},
    upstream::FETCH_BYTES,
};

type Read = Pin<Box<dyn Future<Output = (Reader, Vec<Frame>)> + Send>>;

/// At most one read at a time.
pub(super) enum Fetch {
    Idle(Reader),
    Reading(Read),
    /// Between two of the others.
    Gone,
}

impl Fetch {
    pub(super) fn new(reader: Reader) -> Self {
        Self::Idle(reader)
    }

    /// Begins to read behind `from`; the link asks for nothing before it has its answer.
    pub(super) fn ask(&mut self, from: Offset) {
        *self = match std::mem::replace(self, Self::Gone) {
            Self::Idle(mut reader) => Self::Reading(Box::pin(async move {
                let frames = reader.read(from, FETCH_BYTES).await.unwrap_or_else(|why| {
                    tracing::warn!(%why, "failed to read spooled audio back; it is tried again for a while");
                    Vec::new()
                });
                (reader, frames)
            })),
            other => other,
        };
    }

    /// What was read. Safe to drop and ask again.
    pub(super) async fn next(&mut self) -> Vec<Chunk> {
        let Self::Reading(read) = self else { return std::future::pending().await };
        let (reader, frames) = read.await;
        *self = Self::Idle(reader);
        let now = clock::now();
        frames.into_iter().map(|frame| frame.into_chunk(now)).collect()
    }
}
