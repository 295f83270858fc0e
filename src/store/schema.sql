-- Version 1. Times are milliseconds since 1970-01-01 UTC (…_wall_ms) or on the call's media clock (…_ms).

-- One session of a call, from its admission to its call.completed.
CREATE TABLE sessions (
    id            TEXT PRIMARY KEY,            -- ses_ + ULID, so sorted by age
    call_sid      TEXT NOT NULL,               -- the peer's name for the call
    dialect       TEXT NOT NULL,
    account_sid   TEXT,
    direction     TEXT NOT NULL CHECK (direction IN ('inbound', 'outbound')),
    from_last4    TEXT,                        -- never more than four digits
    to_last4      TEXT,
    webhook       TEXT,                        -- the only endpoint to tell, where the stream named one
    started_wall_ms INTEGER NOT NULL,
    key_id        TEXT NOT NULL,               -- which master key wraps data_key
    data_key      BLOB NOT NULL,               -- wrapped; without it the session's spooled audio is noise
    context       TEXT NOT NULL,               -- JSON that the call needs to go on after a restart; nothing that was said
    ended_wall_ms INTEGER,                     -- NULL while live
    end_reason    TEXT,
    duration_ms   INTEGER,
    complete      INTEGER,
    CHECK ((ended_wall_ms IS NULL) = (end_reason IS NULL))
) STRICT;
CREATE INDEX sessions_by_call ON sessions (call_sid, id);
CREATE INDEX sessions_live ON sessions (id) WHERE ended_wall_ms IS NULL;

-- Media sockets. A stream SID that was seen before is refused, so a recorded handshake opens nothing twice.
CREATE TABLE streams (
    session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    stream     INTEGER NOT NULL,               -- counts the session's streams from 0
    dialect    TEXT NOT NULL,
    stream_sid TEXT NOT NULL,
    at_ms      INTEGER NOT NULL,               -- call clock of the stream's first audio
    PRIMARY KEY (session_id, stream),
    UNIQUE (dialect, stream_sid)
) STRICT;

-- A stream's tracks, each with its mark: audio before it is covered by stored finals and needs no spool.
CREATE TABLE tracks (
    session_id  TEXT NOT NULL,
    stream      INTEGER NOT NULL,
    track       TEXT NOT NULL CHECK (track IN ('inbound', 'outbound', 'mixed')),
    role        TEXT NOT NULL,
    mark_offset INTEGER NOT NULL DEFAULT 0,    -- bytes of the track
    PRIMARY KEY (session_id, stream, track),
    FOREIGN KEY (session_id, stream) REFERENCES streams (session_id, stream) ON DELETE CASCADE
) STRICT;

-- Every stored event with the exact bytes that are posted.
CREATE TABLE events (
    session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    seq        INTEGER NOT NULL CHECK (seq >= 1),
    id         TEXT NOT NULL UNIQUE,           -- evt_ + ULID = webhook-id
    kind       TEXT NOT NULL,
    wall_ms    INTEGER NOT NULL,
    body       BLOB NOT NULL,
    PRIMARY KEY (session_id, seq)
) STRICT;
CREATE UNIQUE INDEX one_completed_per_session ON events (session_id) WHERE kind = 'call.completed';

-- Released finals: the data of transcript.final as JSON, past the redaction gate.
CREATE TABLE segments (
    id         TEXT PRIMARY KEY,               -- seg_…
    session_id TEXT NOT NULL,
    seq        INTEGER NOT NULL,               -- its event
    stream     INTEGER NOT NULL,
    track      TEXT NOT NULL,
    start_ms   INTEGER NOT NULL,
    end_ms     INTEGER NOT NULL,
    body       BLOB NOT NULL,
    FOREIGN KEY (session_id, seq) REFERENCES events (session_id, seq) ON DELETE CASCADE
) STRICT;
CREATE INDEX segments_in_order ON segments (session_id, start_ms, seq);

-- One event's way to one endpoint.
CREATE TABLE deliveries (
    id         TEXT PRIMARY KEY,               -- dlv_ + ULID
    session_id TEXT NOT NULL,
    seq        INTEGER NOT NULL,
    endpoint   TEXT NOT NULL,
    place      INTEGER NOT NULL,               -- order in which the outbox takes notice; a retry by hand gets a new one
    state      TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'parked')),
    attempts   INTEGER NOT NULL DEFAULT 0,     -- steps of the schedule used up
    next_wall_ms INTEGER NOT NULL,             -- not before
    reason     TEXT,                           -- of the last failure, or why it is parked; our own words only
    FOREIGN KEY (session_id, seq) REFERENCES events (session_id, seq) ON DELETE CASCADE
) STRICT;
CREATE INDEX deliveries_by_event ON deliveries (session_id, seq);
CREATE INDEX deliveries_pending ON deliveries (endpoint, place) WHERE state = 'pending';
CREATE INDEX deliveries_parked ON deliveries (endpoint) WHERE state = 'parked';
CREATE INDEX deliveries_by_place ON deliveries (place);

-- Each POST of a delivery.
CREATE TABLE attempts (
    delivery_id TEXT NOT NULL REFERENCES deliveries (id) ON DELETE CASCADE,
    n           INTEGER NOT NULL,              -- from 1, over all rounds
    wall_ms     INTEGER NOT NULL,
    took_ms     INTEGER NOT NULL,
    status      INTEGER,                       -- NULL: no answer
    failure     TEXT,                          -- why there is none
    answer      BLOB,                          -- the receiver's first KiB
    PRIMARY KEY (delivery_id, n)
) STRICT, WITHOUT ROWID;
