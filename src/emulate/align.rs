//! Where in which recording the incoming bytes are.
//!
//! Promises: a [`Piece`] says that these bytes, and no others, came in on this connection just now. Found by looking up
//! each window of [`BLOCK`] incoming bytes among the recordings' blocks, then followed byte by byte until one differs; then
//! searched again. Blocks that stand in several places (long silence) are never used for finding.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use super::script::Reference;

/// Bytes that must agree to recognise a place: 4 ms, about 80 bits of even the quietest noise in the fixtures.
const BLOCK: usize = 32;
/// Bytes kept while searching; a place is found within two blocks of where it begins.
const KEPT: usize = 4 * BLOCK;

/// The recordings, with [`one_zero`], and where each block of them stands.
pub(super) struct Index {
    references: Vec<Reference>,
    /// `None` for a block that stands in several places.
    blocks: HashMap<[u8; BLOCK], Option<(usize, usize)>>,
}

/// Bytes `from..to` of a recording, which came in from position `at` of the connection on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) reference: usize,
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) at: u64,
}

/// One connection's place in the recordings.
pub(super) struct Follower {
    index: Arc<Index>,
    /// Bytes taken so far.
    position: u64,
    /// The recording and the byte of it that should come next.
    following: Option<(usize, usize)>,
    /// The last bytes that belong to no piece.
    unmatched: Vec<u8>,
    pieces: VecDeque<Piece>,
}

impl Index {
    /// Notes every block of every recording; about 60 bytes of memory for each 4 ms.
    pub(super) fn new(mut references: Vec<Reference>) -> Self {
        for recording in &mut references {
            recording.audio = recording.audio.iter().copied().map(one_zero).collect();
        }
        let mut blocks = HashMap::new();
        for (reference, recording) in references.iter().enumerate() {
            for (number, block) in recording.audio.as_chunks::<BLOCK>().0.iter().enumerate() {
                blocks.entry(*block).and_modify(|place| *place = None).or_insert(Some((reference, number * BLOCK)));
            }
        }
        Self { references, blocks }
    }

    /// A recording by its number in a [`Piece`].
    pub(super) fn reference(&self, number: usize) -> &Reference {
        &self.references[number]
    }
}

impl Follower {
    pub(super) fn new(index: Arc<Index>) -> Self {
        Self { index, position: 0, following: None, unmatched: Vec::new(), pieces: VecDeque::new() }
    }

    /// Takes the next bytes of the connection.
    pub(super) fn handle_audio(&mut self, mut audio: &[u8]) {
        while !audio.is_empty() {
            audio = match self.following {
                Some(place) => self.follow(place, audio),
                None => self.search(audio),
            };
        }
    }

    /// The next piece that was recognised, in the order of coming in.
    pub(super) fn poll_output(&mut self) -> Option<Piece> {
        self.pieces.pop_front()
    }

    /// Goes along the recording as far as the bytes agree; gives back the rest.
    fn follow<'a>(&mut self, (reference, at): (usize, usize), audio: &'a [u8]) -> &'a [u8] {
        let expected = &self.index.references[reference].audio[at..];
        let agreeing = audio.iter().zip(expected).take_while(|(came, should)| one_zero(**came) == **should).count();
        if agreeing > 0 {
            self.found(reference, at, agreeing, self.position);
        }
        self.position += agreeing as u64;
        self.following = (agreeing == audio.len()).then_some((reference, at + agreeing));
        &audio[agreeing..]
    }

    /// Takes bytes until a block is recognised; gives back the rest.
    fn search<'a>(&mut self, audio: &'a [u8]) -> &'a [u8] {
        for (taken, byte) in audio.iter().enumerate() {
            self.unmatched.push(one_zero(*byte));
            self.position += 1;
            let Some(window) = self.unmatched.last_chunk::<BLOCK>() else { continue };
            if let Some(Some((reference, at))) = self.index.blocks.get(window).copied() {
                self.anchor(reference, at);
                return &audio[taken + 1..];
            }
            if self.unmatched.len() >= KEPT {
                self.unmatched.drain(..KEPT - 2 * BLOCK);
            }
        }
        &[]
    }

    /// Takes the block just recognised, and what agrees before it, as a piece.
    fn anchor(&mut self, reference: usize, at: usize) {
        let before = &self.unmatched[..self.unmatched.len() - BLOCK];
        let expected = &self.index.references[reference].audio[..at];
        let back = before.iter().rev().zip(expected.iter().rev()).take_while(|(came, should)| came == should).count();
        self.found(reference, at - back, back + BLOCK, self.position - (back + BLOCK) as u64);
        self.unmatched.clear();
        self.following = Some((reference, at + BLOCK));
    }

    fn found(&mut self, reference: usize, from: usize, length: usize, at: u64) {
        self.pieces.push_back(Piece { reference, from: from as u64, to: (from + length) as u64, at });
    }
}

/// Mu-law has two zeros; a client that decoded and coded again kept one of them.
const fn one_zero(byte: u8) -> u8 {
    if byte == 0x7F { 0xFF } else { byte }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A recording of `seed` in which no two blocks are alike.
    fn recording(seed: u64, length: usize) -> Reference {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let byte = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.to_be_bytes()[0]
        };
        let audio: Vec<u8> = std::iter::repeat_with(byte).take(length).collect();
        Reference { audio: audio.into(), words: Vec::new() }
    }

    /// What is found in `parts`, neighbouring pieces joined, as (recording, from, to, at).
    fn found(parts: &[&[u8]]) -> Vec<(usize, u64, u64, u64)> {
        let index = Index::new(vec![recording(1, 4000), recording(2, 4000)]);
        let mut follower = Follower::new(Arc::new(index));
        let mut joined: Vec<(usize, u64, u64, u64)> = Vec::new();
        for part in parts.iter().flat_map(|part| part.chunks(37)) {
            follower.handle_audio(part);
            while let Some(piece) = follower.poll_output() {
                match joined.last_mut() {
                    Some(last) if last.0 == piece.reference && last.2 == piece.from && piece.at == last.3 + last.2 - last.1 => {
                        last.2 = piece.to;
                    }
                    _ => joined.push((piece.reference, piece.from, piece.to, piece.at)),
                }
            }
        }
        joined
    }

    #[test]
    fn a_recording_is_followed_from_any_byte_of_it() {
        let audio = recording(2, 4000).audio;
        assert_eq!(found(&[&audio[..]]), [(1, 0, 4000, 0)]);
        assert_eq!(found(&[&audio[1003..3001]]), [(1, 1003, 3001, 0)]);
    }

    #[test]
    fn what_is_lost_is_not_found_and_what_follows_is_found_again() {
        let audio = recording(1, 4000).audio;
        assert_eq!(found(&[&audio[..1000], &audio[1500..]]), [(0, 0, 1000, 0), (0, 1500, 4000, 1000)]);
    }

    #[test]
    fn filled_silence_belongs_to_nothing_but_counts_as_time() {
        let audio = recording(1, 4000).audio;
        let silence = [0xFF; 500];
        assert_eq!(found(&[&audio[..1000], &silence, &audio[1500..]]), [(0, 0, 1000, 0), (0, 1500, 4000, 1500)]);
    }

    #[test]
    fn audio_sent_again_is_found_again_and_another_recording_is_told_apart() {
        let (first, second) = (recording(1, 4000).audio, recording(2, 4000).audio);
        assert_eq!(
            found(&[&first[..2000], &first[1000..2000], &second[..800]]),
            [(0, 0, 2000, 0), (0, 1000, 2000, 2000), (1, 0, 800, 3000)]
        );
    }

    #[test]
    fn the_two_zeros_of_mulaw_are_one() {
        let audio = recording(1, 4000).audio;
        let decoded_and_coded: Vec<u8> =
            audio.iter().map(|byte| audio_codec_algorithms::encode_ulaw(audio_codec_algorithms::decode_ulaw(*byte))).collect();
        assert_ne!(audio, decoded_and_coded);
        assert_eq!(found(&[&decoded_and_coded]), [(0, 0, 4000, 0)]);
    }

    #[test]
    fn silence_in_a_recording_is_no_place() {
        let mut follower =
            Follower::new(Arc::new(Index::new(vec![Reference { audio: vec![0xFF; 4000].into(), words: Vec::new() }])));
        follower.handle_audio(&[0xFF; 1000]);
        assert_eq!(follower.poll_output(), None);
        assert!(follower.unmatched.len() < KEPT, "memory stays bounded while nothing is found");
    }
}
