//! What links say while the store cannot write.
//!
//! Promises: finals, gaps and ends are kept in their order; of interims of one track in a row only the newest is; at most [`MOST`] are held,
//! then links keep the rest, and read no more of the service when that is full too. Their audio is on the spool all the while.

use std::collections::VecDeque;

use crate::{segment::TrackKey, upstream::Report};

/// Most reports that one session holds: some half an hour of talk.
const MOST: usize = 512;

/// See the module's promises.
#[derive(Default)]
pub(super) struct Held(VecDeque<(TrackKey, Report)>);

impl Held {
    /// Whether another one may be pushed.
    pub(super) fn has_room(&self) -> bool {
        self.0.len() < MOST
    }

    /// Whether there is nothing to pop.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next one came.
    pub(super) fn push(&mut self, key: TrackKey, report: Report) {
        let newest = self.0.iter_mut().rev().find(|(of, _)| *of == key).map(|(_, report)| report);
        match (newest, report) {
            (Some(open @ Report::Interim(_)), report @ Report::Interim(_)) => *open = report,
            (_, report) => self.0.push_back((key, report)),
        }
    }

    /// The oldest.
    pub(super) fn pop(&mut self) -> Option<(TrackKey, Report)> {
        self.0.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{call::tests::heard as said, media::Track, segment::Heard};

    const IN: TrackKey = TrackKey { stream: 0, track: Track::Inbound };
    const OUT: TrackKey = TrackKey { stream: 0, track: Track::Outbound };

    fn heard(text: &str) -> Heard {
        said(text, 0, 1_000)
    }

    #[test]
    fn interims_give_way_to_newer_ones_of_their_track_and_nothing_else_does() {
        let mut held = Held::default();
        held.push(IN, Report::Interim(heard("a")));
        held.push(OUT, Report::Interim(heard("x")));
        held.push(IN, Report::Interim(heard("a b")));
        held.push(IN, Report::Final(heard("a b c")));
        held.push(IN, Report::Interim(heard("d")));
        held.push(IN, Report::Final(heard("d e")));
        held.push(IN, Report::Final(heard("f")));
        let said = std::iter::from_fn(|| held.pop()).map(|(_, report)| match report {
            Report::Interim(heard) => format!("({})", heard.text.expose()),
            Report::Final(heard) => heard.text.expose().to_owned(),
            _ => unreachable!(),
        });
        assert_eq!(said.collect::<Vec<_>>(), ["(a b)", "(x)", "a b c", "(d)", "d e", "f"]);
    }

    #[test]
    fn there_is_a_bound() {
        let mut held = Held::default();
        while held.has_room() {
            held.push(IN, Report::Covered(crate::media::Offset(1)));
        }
        assert_eq!(std::iter::from_fn(|| held.pop()).count(), MOST);
        assert!(held.is_empty() && held.has_room());
    }
}
