//! What goes out on a connection: audio at its pace, what memory has not fetched before, and what keeps the connection up.

use super::{Chunk, Control, Instant, Link, Output, Refusal, Report, State, Timer};
use crate::upstream::{backlog::FETCH_AGAIN, watch::ANSWER};

impl Link {
    /// Sends what may be sent now, and behind the last of it what was waiting for that.
    pub(super) fn flush(&mut self, now: Instant) {
        if self.rotation.holds_back() || !self.flush_prelude(now) {
            return;
        }
        let State::Open(connection) = &mut self.state else { return };
        let sent = self.backlog.next_unsent().is_some();
        while let Some(chunk) = self.backlog.next_unsent() {
            if let Some(due) = connection.pace.due(self.settings.replay_speed, now) {
                self.timers.set(Timer::Pace, due);
                return self.fetch();
            }
            connection.send(chunk, now);
            self.rotation.listen(chunk);
            let is_new = !self.recovered && !self.backlog.is_next_fetched() && chunk.end() > self.backlog.first_sent();
            self.outputs.push_back(Output::Audio { audio: chunk.audio.clone(), received: is_new.then_some(chunk.received) });
            if connection.is_news() {
                let sent_ms = self.backlog.end_ms(chunk.end());
                self.outputs.push_back(Output::Report(Box::new(Report::Behind { sent_ms })));
            }
            self.backlog.sent(now);
        }
        if !self.backlog.is_all_sent() {
            return self.fetch();
        }
        if connection.pace.caught_up(now) {
            self.outputs.push_back(Output::Report(Box::new(Report::CaughtUp)));
        }
        if sent && self.interim.is_some() && !self.timers.is_set(Timer::Stall) {
            self.timers.set(Timer::Stall, now + self.settings.stall);
        }
        if self.ended && !connection.closing {
            connection.closing = true;
            self.outputs.push_back(Output::Control(Control::CloseStream));
            self.timers.set(Timer::Close, now + self.settings.close_deadline);
        } else if self.finalize_wanted && !connection.closing {
            self.finalize(now);
        }
        self.look_for_silence(now);
    }

    /// Asks for a final. While one `finalize` is unanswered, nothing tells its answer from that of a second one: that waits, but not for ever.
    fn finalize(&mut self, now: Instant) {
        let State::Open(connection) = &mut self.state else { return };
        if let Some(asked) = connection.finalize_at {
            // Where it was not asked for here, it was lately.
            let known = connection.finalize_expiry.filter(|(of, _)| *of == asked);
            let (_, expiry) = *connection.finalize_expiry.insert(known.unwrap_or((asked, now + ANSWER)));
            if now < expiry {
                return self.timers.set(Timer::Finalize, expiry);
            }
        }
        self.finalize_wanted = false;
        self.timers.clear(Timer::Finalize);
        let asked = connection.sent_end();
        (connection.finalize_at, connection.finalize_expiry) = (Some(asked), Some((asked, now + ANSWER)));
        self.outputs.push_back(Output::Control(Control::Finalize));
    }

    /// Asks for what is to be sent soon and memory has not.
    fn fetch(&mut self) {
        if !self.timers.is_set(Timer::Fetch)
            && let Some(from) = self.backlog.poll_fetch()
        {
            self.outputs.push_back(Output::Fetch { from });
        }
    }

    /// What the spool had behind the point of [`Output::Fetch`], in order; nothing where it has nothing, or not yet.
    pub fn handle_fetched(&mut self, chunks: impl IntoIterator<Item = Chunk>, now: Instant) {
        if self.is_closed() {
            return;
        }
        if !self.backlog.fetched(chunks) {
            self.timers.set(Timer::Fetch, now + FETCH_AGAIN);
        }
        self.give_up_lost();
        self.flush(now);
    }

    pub(super) fn keep_alive(&mut self, now: Instant) {
        let (State::Open(connection), Some(every)) = (&mut self.state, self.settings.keepalive) else { return };
        let due = connection.last_sent + every;
        if due > now {
            self.timers.set(Timer::Keepalive, due);
            return;
        }
        connection.last_sent = now;
        connection.kept_alive = true;
        self.outputs.push_back(Output::Control(Control::Keepalive));
        self.timers.set(Timer::Keepalive, now + every);
    }

    pub(super) fn ping(&mut self, chance: u32, now: Instant) {
        let State::Open(connection) = &mut self.state else { return };
        if connection.unanswered_pings >= self.settings.missed_pongs {
            self.outputs.push_back(Output::Hangup);
            return self.lose(Refusal::Silent, chance, now);
        }
        connection.unanswered_pings += 1;
        self.outputs.push_back(Output::Ping);
        self.timers.set(Timer::Ping, now + self.settings.ping);
    }

    /// What the service says is not being read: its silence is no word against it, and its goodbye cannot be heard.
    pub fn handle_unread(&mut self, now: Instant) {
        let State::Open(connection) = &mut self.state else { return };
        connection.unanswered_pings = 0;
        connection.watch.handle_heard(now);
        if connection.closing {
            self.timers.set(Timer::Close, now + self.settings.close_deadline);
        }
    }
}
