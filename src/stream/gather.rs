//! Gathers a track's bytes into chunks of one length.
//!
//! Promises: the chunks' bytes, one behind the other, are the bytes that were put in; a chunk's bytes lie side by side on the media
//! clock; memory is allocated once a chunk, not once a frame.

use std::{collections::VecDeque, time::Instant};

use bytes::Bytes;

use crate::media::{Chunk, MULAW_SILENCE, Offset, bytes_to_ms};

/// One track's chunks in the making.
#[derive(Debug)]
pub(super) struct Gather {
    chunk_bytes: usize,
    /// Behind the last byte put in.
    offset: Offset,
    /// The same point on the track's media clock, in bytes from its first byte.
    position: u64,
    partial: Vec<u8>,
    received: Option<Instant>,
    ready: VecDeque<Chunk>,
}

impl Gather {
    pub(super) fn new(chunk_bytes: usize) -> Self {
        let chunk_bytes = chunk_bytes.max(1);
        Self { chunk_bytes, offset: Offset(0), position: 0, partial: Vec::new(), received: None, ready: VecDeque::new() }
    }

    /// Bytes from the track's first byte to the end of what was put in, by the media clock.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn push(&mut self, mut audio: &[u8], received: Instant) {
        while !audio.is_empty() {
            let taken = self.room().min(audio.len());
            let (now, later) = audio.split_at(taken);
            self.partial.extend_from_slice(now);
            self.advance(taken, received);
            audio = later;
        }
    }

    pub(super) fn push_silence(&mut self, mut bytes: u64, received: Instant) {
        while bytes > 0 {
            let taken = self.room().min(usize::try_from(bytes).unwrap_or(usize::MAX));
            self.partial.resize(self.partial.len() + taken, MULAW_SILENCE);
            self.advance(taken, received);
            bytes -= taken as u64;
        }
    }

    /// Moves the media clock on without any bytes.
    pub(super) fn skip(&mut self, bytes: u64) {
        self.flush();
        self.position += bytes;
    }

    /// Gives out what there is, though it is less than a whole chunk.
    pub(super) fn flush(&mut self) {
        let Some(received) = self.received.take() else { return };
        let audio = Bytes::from(std::mem::take(&mut self.partial));
        let bytes = audio.len() as u64;
        let offset = Offset(self.offset.0 - bytes);
        self.ready.push_back(Chunk { offset, at_ms: bytes_to_ms(self.position - bytes), audio, received });
    }

    pub(super) fn pop(&mut self) -> Option<Chunk> {
        self.ready.pop_front()
    }

    fn room(&mut self) -> usize {
        if self.partial.is_empty() {
            self.partial.reserve_exact(self.chunk_bytes);
        }
        self.chunk_bytes - self.partial.len()
    }

    fn advance(&mut self, bytes: usize, received: Instant) {
        self.offset = self.offset.plus(bytes as u64);
        self.position += bytes as u64;
        self.received = Some(received);
        if self.partial.len() == self.chunk_bytes {
            self.flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_whole_chunks_and_the_rest_with_a_flush() {
        let now = crate::clock::now();
        let mut gather = Gather::new(480);
        for frame in 0..4_u8 {
            gather.push(&[frame; 160], now);
        }
        let first = gather.pop().unwrap();
        assert_eq!((first.offset, first.at_ms, first.audio.len()), (Offset(0), 0, 480));
        assert!(gather.pop().is_none());
        gather.flush();
        let rest = gather.pop().unwrap();
        assert_eq!((rest.offset, rest.at_ms, &*rest.audio), (Offset(480), 60, &[3; 160][..]));
        gather.flush();
        assert!(gather.pop().is_none());
    }

    #[test]
    fn a_skip_moves_the_clock_and_not_the_offset_and_no_chunk_lies_across_it() {
        let now = crate::clock::now();
        let mut gather = Gather::new(480);
        gather.push(&[1; 8], now);
        gather.push_silence(8, now);
        gather.skip(8000);
        gather.push(&[2; 480], now);
        let (before, after) = (gather.pop().unwrap(), gather.pop().unwrap());
        assert_eq!((before.offset, before.at_ms, before.audio.len()), (Offset(0), 0, 16));
        assert_eq!(&before.audio[8..], [MULAW_SILENCE; 8]);
        assert_eq!((after.offset, after.at_ms, after.audio.len()), (Offset(16), 1002, 480));
        assert_eq!(gather.position(), 8496);
    }
}
