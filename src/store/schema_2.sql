-- Version 2: what was said is sealed at rest, an attempt under way shows as a lease, a paused endpoint stays paused over a restart.

-- From here on `events.body`, `segments.body`, `sessions.context` and `attempts.answer` are sealed: a key's number (1 byte), a nonce (24),
-- and the rest under XChaCha20-Poly1305. What is there is sealed in this step's transaction, behind these statements.
ALTER TABLE sessions RENAME COLUMN context TO clear_context;   -- dropped once it is sealed
ALTER TABLE sessions ADD COLUMN context BLOB NOT NULL DEFAULT x'';   -- JSON that the call needs to go on after a restart
CREATE INDEX sessions_by_key ON sessions (key_id, id);

-- Further data keys of a session, beside the one in `sessions`: made where that one's master key is gone. `n` is the number that
-- a sealed blob begins with; the session's own is 0.
CREATE TABLE data_keys (
    session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    n          INTEGER NOT NULL CHECK (n BETWEEN 1 AND 255),
    key_id     TEXT NOT NULL,                  -- which master key wraps it
    sealed     BLOB NOT NULL,
    PRIMARY KEY (session_id, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX data_keys_by_key ON data_keys (key_id, session_id, n);

-- Endpoints that are paused: one said 410 and wants nothing more until somebody asks for a retry.
CREATE TABLE endpoints (
    name           TEXT PRIMARY KEY,
    paused_wall_ms INTEGER NOT NULL,           -- since when
    reason         TEXT NOT NULL               -- our own words
) STRICT, WITHOUT ROWID;

-- How a media socket ended and when, so that a restart ends its call as it was ended.
ALTER TABLE streams ADD COLUMN ended_at_ms INTEGER;   -- call clock; NULL while it is open
ALTER TABLE streams ADD COLUMN end_reason TEXT CHECK ((ended_at_ms IS NULL) = (end_reason IS NULL));

-- Deliveries again, with the state `leased`: a POST is under way, and nobody else makes one before the lease is over.
CREATE TABLE deliveries_2 (
    id         TEXT PRIMARY KEY,               -- dlv_ + ULID
    session_id TEXT NOT NULL,
    seq        INTEGER NOT NULL,
    endpoint   TEXT NOT NULL,
    place      INTEGER NOT NULL,               -- order in which the outbox takes notice; a retry by hand gets a new one
    state      TEXT NOT NULL CHECK (state IN ('pending', 'leased', 'delivered', 'parked')),
    attempts   INTEGER NOT NULL DEFAULT 0,     -- steps of the schedule used up
    next_wall_ms INTEGER NOT NULL,             -- not before; of a parked one: since when it is
    lease_until_wall_ms INTEGER,               -- while leased: after this the attempt counts as never made
    reason     TEXT,                           -- of the last failure, or why it is parked; our own words only
    FOREIGN KEY (session_id, seq) REFERENCES events (session_id, seq) ON DELETE CASCADE,
    CHECK ((state = 'leased') = (lease_until_wall_ms IS NOT NULL))
) STRICT;
INSERT INTO deliveries_2 (id, session_id, seq, endpoint, place, state, attempts, next_wall_ms, reason)
    SELECT id, session_id, seq, endpoint, place, state, attempts, next_wall_ms, reason FROM deliveries;
CREATE TABLE attempts_2 (
    delivery_id TEXT NOT NULL REFERENCES deliveries_2 (id) ON DELETE CASCADE,
    n           INTEGER NOT NULL,              -- from 1, over all rounds
    wall_ms     INTEGER NOT NULL,
    took_ms     INTEGER NOT NULL,
    status      INTEGER,                       -- NULL: no answer
    failure     TEXT,                          -- why there is none
    answer      BLOB,                          -- the receiver's first KiB
    PRIMARY KEY (delivery_id, n)
) STRICT, WITHOUT ROWID;
INSERT INTO attempts_2 SELECT delivery_id, n, wall_ms, took_ms, status, failure, answer FROM attempts;
DROP TABLE attempts;
DROP TABLE deliveries;
ALTER TABLE deliveries_2 RENAME TO deliveries;
ALTER TABLE attempts_2 RENAME TO attempts;
CREATE INDEX deliveries_by_event ON deliveries (session_id, seq);
CREATE INDEX deliveries_waiting ON deliveries (endpoint, place) WHERE state IN ('pending', 'leased');
CREATE INDEX deliveries_parked ON deliveries (endpoint) WHERE state = 'parked';
CREATE INDEX deliveries_by_place ON deliveries (place);
