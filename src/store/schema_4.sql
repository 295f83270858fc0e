-- Version 4: what came of each track is known once its stream is over, so that a restart sees whether the spool has all of it; a session is
-- erased in a time that grows with its length, not with the square of it.

ALTER TABLE tracks ADD COLUMN received_ms INTEGER;   -- audio; this and the next are NULL while the stream is open
ALTER TABLE tracks ADD COLUMN filled_ms INTEGER;     -- silence filled in
ALTER TABLE tracks ADD COLUMN ended_at_ms INTEGER;   -- call clock: where it ended

-- An event that goes takes its segment with it, which is looked for by this.
CREATE INDEX segments_by_event ON segments (session_id, seq);
