//! Who speaks: the service's speaker numbers, which start over with every connection, as voices of the link, which do not.
//!
//! Promises: a voice never stands for two people as far as the service can tell them apart. A number of a later connection is an old voice
//! only where that connection gave it clearly most of what the old voice is known to have said, and hardly anything else; any other
//! number is a new voice, and no two numbers of a connection are one. Memory is bounded by [`MAX_NUMBERS`].

/// Most speaker numbers of one connection that are told apart; what further ones say goes with what was said before it.
const MAX_NUMBERS: usize = 32;
/// Most voices told apart on one link, over all of its connections.
const MAX_VOICES: u32 = 512;
/// This share of what a number and a voice have in common must be with each other, as a fraction: a word at a border may be the other's.
const CLEAR: (u64, u64) = (2, 3);

/// The voices of one link.
#[derive(Debug, Default)]
pub(super) struct Voices {
    /// The first voice that was never given.
    next: u32,
    /// Numbers of this connection and their voices.
    named: Vec<(u32, u32)>,
    /// How long a number of this connection was heard where a voice is known to have spoken, in bytes of audio.
    echoes: Vec<Echo>,
}

#[derive(Debug)]
struct Echo {
    number: u32,
    voice: u32,
    bytes: u64,
}

impl Voices {
    /// A new connection: its numbers mean nothing yet.
    pub(super) fn handle_connected(&mut self) {
        self.named.clear();
        self.echoes.clear();
    }

    /// A word of so many bytes that `voice` is known to have said was heard again, from this number.
    pub(super) fn note_echo(&mut self, number: u32, voice: u32, bytes: u64) {
        let is_full = self.echoes.len() >= MAX_NUMBERS * 4;
        match self.echoes.iter_mut().find(|echo| (echo.number, echo.voice) == (number, voice)) {
            Some(echo) => echo.bytes += bytes,
            None if is_full => {}
            None => self.echoes.push(Echo { number, voice, bytes }),
        }
    }

    /// The voice of a number of this connection; none where there are too many to tell apart.
    pub(super) fn of(&mut self, number: u32) -> Option<u32> {
        if let Some((_, voice)) = self.named.iter().find(|(known, _)| *known == number) {
            return Some(*voice);
        }
        let voice = self.known(number).or_else(|| (self.next < MAX_VOICES).then_some(self.next))?;
        if self.named.len() >= MAX_NUMBERS {
            return None;
        }
        self.next = self.next.max(voice + 1);
        self.named.push((number, voice));
        Some(voice)
    }

    /// The old voice that a number clearly is.
    fn known(&self, number: u32) -> Option<u32> {
        let best = self.echoes.iter().filter(|echo| echo.number == number).max_by_key(|echo| echo.bytes)?;
        let total = |of: &dyn Fn(&Echo) -> bool| self.echoes.iter().filter(|echo| of(echo)).map(|echo| echo.bytes).sum::<u64>();
        let is_clear = |total: u64| best.bytes * CLEAR.1 >= total * CLEAR.0;
        let is_free = self.named.iter().all(|(_, voice)| *voice != best.voice);
        let is_known =
            is_free && is_clear(total(&|echo| echo.number == number)) && is_clear(total(&|echo| echo.voice == best.voice));
        is_known.then_some(best.voice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Voices 0 and 1 on a connection before, and a new connection that heard this of them: (number, voice, bytes).
    fn after(echoes: &[(u32, u32, u64)]) -> Voices {
        let mut voices = Voices::default();
        assert_eq!([voices.of(7), voices.of(3), voices.of(7)], [Some(0), Some(1), Some(0)]);
        voices.handle_connected();
        for (number, voice, bytes) in echoes {
            voices.note_echo(*number, *voice, *bytes);
        }
        voices
    }

    #[test]
    fn numbers_that_changed_places_are_the_old_voices() {
        let mut voices = after(&[(0, 1, 4_000), (1, 0, 8_000), (1, 0, 8_000)]);
        assert_eq!([voices.of(0), voices.of(1), voices.of(2)], [Some(1), Some(0), Some(2)]);
    }

    #[test]
    fn a_number_without_evidence_is_a_new_voice_although_it_is_an_old_number() {
        assert_eq!(after(&[]).of(7), Some(2));
        let mut voices = after(&[(0, 0, 4_000)]);
        assert_eq!([voices.of(7), voices.of(0)], [Some(2), Some(0)]);
    }

    #[test]
    fn a_number_that_stands_for_two_voices_is_neither() {
        assert_eq!(after(&[(0, 0, 4_000), (0, 1, 3_000)]).of(0), Some(2));
    }

    #[test]
    fn a_voice_that_was_parted_in_two_is_neither_of_them() {
        let mut voices = after(&[(0, 0, 4_000), (1, 0, 3_000)]);
        assert_eq!([voices.of(0), voices.of(1)], [Some(2), Some(3)]);
    }

    #[test]
    fn one_word_at_a_border_does_not_make_a_voice_new() {
        let mut voices = after(&[(0, 0, 8_000), (0, 1, 1_000), (1, 1, 6_000)]);
        assert_eq!([voices.of(0), voices.of(1)], [Some(0), Some(1)]);
    }

    #[test]
    fn what_a_number_was_called_it_stays_and_a_voice_is_given_once() {
        let mut voices = after(&[(0, 0, 1_000)]);
        assert_eq!(voices.of(0), Some(0));
        voices.note_echo(1, 0, 9_000);
        assert_eq!([voices.of(0), voices.of(1)], [Some(0), Some(2)]);
    }

    #[test]
    fn a_service_that_counts_speakers_for_ever_costs_no_memory() {
        let mut voices = Voices::default();
        let told = (0..1_000).filter(|number| voices.of(*number).is_some()).count();
        (0..1_000).for_each(|number| voices.note_echo(number, number, 1));
        assert_eq!((told, voices.named.len(), voices.echoes.len()), (MAX_NUMBERS, MAX_NUMBERS, MAX_NUMBERS * 4));
        for _ in 0..100 {
            voices.handle_connected();
            assert!((0..1_000).filter_map(|number| voices.of(number)).all(|voice| voice < MAX_VOICES));
        }
        assert!(voices.next <= MAX_VOICES);
    }
}
