//! Speaker labels: `inbound:0`, `inbound:1`, … each for one person of the call.
//!
//! The service's speaker numbers mean nothing across two connections (protocols/pulse.md section 7, Speakers), so what counts is the
//! voice that a link made of them; those of another stream are other people. What is said without one belongs to the track's party as a whole.

use std::collections::HashMap;

use crate::{
    media::Track,
    segment::{Heard, TrackKey},
};

/// A stream and a voice of its link; `None` where the service does not tell them apart.
type Voice = Option<(u32, u32)>;

/// All labels given out in a session.
#[derive(Default)]
pub(super) struct Labels {
    given: HashMap<(Track, Voice), u32>,
    latest: HashMap<TrackKey, String>,
    /// First free number of each track, where an earlier life of the session gave some out.
    taken: HashMap<Track, u32>,
}

impl Labels {
    /// Goes on behind the labels of an earlier life: who they were nobody knows any more.
    pub(super) fn behind(labels: &[String]) -> Self {
        let mut taken = HashMap::new();
        for (track, number) in labels.iter().filter_map(|label| label.split_once(':')) {
            let track = Track::ALL.into_iter().find(|known| known.as_str() == track);
            if let (Some(track), Ok(number)) = (track, number.parse::<u32>()) {
                let first_free = taken.entry(track).or_insert(0);
                *first_free = number.saturating_add(1).max(*first_free);
            }
        }
        Self { taken, ..Self::default() }
    }

    /// The label of a voice of a track; a new one if it was not heard before.
    pub(super) fn of(&mut self, key: TrackKey, voice: Option<u32>) -> String {
        let voice = voice.map(|voice| (key.stream, voice));
        let next = self.given.keys().filter(|(track, _)| *track == key.track).count();
        let next = u32::try_from(next).unwrap_or(u32::MAX).saturating_add(self.taken.get(&key.track).copied().unwrap_or(0));
        let index = *self.given.entry((key.track, voice)).or_insert(next);
        let label = format!("{}:{index}", key.track);
        self.latest.insert(key, label.clone());
        label
    }

    /// Who speaks most of a final, by time; the first of equals.
    pub(super) fn main(&mut self, key: TrackKey, heard: &Heard) -> String {
        let mut spoken: Vec<(u32, u64)> = Vec::new();
        for word in &heard.words {
            let Some(number) = word.speaker else { continue };
            let length = word.end_ms.saturating_sub(word.start_ms).max(1);
            match spoken.iter_mut().find(|(known, _)| *known == number) {
                Some((_, total)) => *total += length,
                None => spoken.push((number, length)),
            }
        }
        let most = spoken.iter().rev().max_by_key(|(_, total)| *total).map(|(number, _)| *number);
        let alone = heard.utterances.first().and_then(|utterance| utterance.speaker);
        self.of(key, most.or(alone))
    }

    /// A guess for an interim, which carries no numbers: the last one heard on this track. Gives out no new label.
    pub(super) fn latest(&self, key: TrackKey) -> String {
        self.latest.get(&key).cloned().unwrap_or_else(|| format!("{}:0", key.track))
    }
}
