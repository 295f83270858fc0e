//! Whether the service still hears: what it is asked, and when it counts as deaf.

use std::time::Duration;

use super::{Control, Instant, Link, Output, Refusal, State, Timer};
use crate::upstream::watch::Standing;

/// How often a link looks.
const LOOK: Duration = Duration::from_secs(1);
/// A service that has left `finalize` without an answer so often, and never answered it, is not asked any more.
const MOST_IGNORED: u8 = 2;

impl Link {
    /// Asks for a final where one is due, and gives up a connection that takes audio and says nothing.
    pub(super) fn look_out(&mut self, chance: u32, now: Instant) {
        let State::Open(connection) = &mut self.state else { return };
        if connection.closing {
            return;
        }
        self.timers.set(Timer::Look, now + LOOK);
        let patience = self.hearing.patience.unwrap_or(self.settings.deaf_after);
        // What earlier connections were left without a word on may be music, and words may follow: this one is let get behind it.
        if patience >= self.settings.deaf_cap && self.hearing.patience.is_some() && connection.pace.is_behind() {
            connection.watch.excuse(now);
        }
        let standing = Standing {
            finalized: self.finalized,
            sent: connection.sent_end(),
            is_open: self.interim.is_some(),
            is_behind: connection.pace.is_behind(),
            answers: self.hearing.answers,
            patience,
        };
        if connection.watch.is_deaf(&standing, now) {
            self.hearing.patience = Some((patience * 2).min(self.settings.deaf_cap.max(patience)));
            self.outputs.push_back(Output::Hangup);
            return self.lose(Refusal::Deaf, chance, now);
        }
        if connection.watch.is_ignored(now) {
            connection.finalize_at = None;
            self.hearing.ignored = self.hearing.ignored.saturating_add(1);
        }
        let is_known_to_ignore = !self.hearing.answers && self.hearing.ignored >= MOST_IGNORED;
        if connection.finalize_at.is_none() && !is_known_to_ignore && connection.watch.should_ask(&standing, now) {
            connection.finalize_at = Some(connection.sent_end());
            connection.watch.handle_asked(connection.sent_end(), now);
            connection.last_sent = now;
            connection.kept_alive = false;
            self.outputs.push_back(Output::Control(Control::Finalize));
        }
    }
}
