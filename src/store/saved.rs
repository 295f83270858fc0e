//! Stored values back as the types they were.

use bytes::Bytes;
use rusqlite::{Result, Row};
use serde::Deserialize;

use super::{DeliveryState, Ended, NewSession, Session, StoredSegment, read::unreadable};
use crate::{
    event::{Direction, Line},
    media::{EndReason, Gap, Track},
    pii::Redacted,
    segment::{Role, TrackKey},
    spool::seal::WrappedKey,
    webhook::DeliveryId,
};

/// All but its context, which is sealed and wanted for a restart alone.
pub(super) fn session(row: &Row<'_>) -> Result<Session> {
    let direction: String = row.get(4)?;
    let start = NewSession {
        id: named(row, 0)?,
        call_sid: named(row, 1)?,
        dialect: row.get(2)?,
        account_sid: row.get(3)?,
        direction: if direction == "outbound" { Direction::Outbound } else { Direction::Inbound },
        from: row.get(5)?,
        to: row.get(6)?,
        webhook: row.get::<_, Option<String>>(7)?.map(|_| named(row, 7)).transpose()?,
        started_wall_ms: uint(row, 8)?,
        key: WrappedKey { key_id: row.get(9)?, sealed: row.get(10)? },
        context: serde_json::Value::Null,
    };
    let ended = row.get::<_, Option<i64>>(11)?.map(|wall_ms| {
        let reason = end_reason(row, 12)?;
        Ok::<_, rusqlite::Error>(Ended {
            wall_ms: wall_ms.unsigned_abs(),
            reason,
            duration_ms: uint(row, 13)?,
            complete: row.get(14)?,
        })
    });
    Ok(Session { start, ended: ended.transpose()?, tracks: Vec::new() })
}

/// The part of a stored final that the merged transcript needs.
#[derive(Deserialize)]
struct SavedText {
    segment_id: String,
    track: Track,
    role: String,
    speaker: String,
    start_ms: u64,
    end_ms: u64,
    text: String,
    redactions: Vec<SavedRedaction>,
    words: Vec<SavedWord>,
    utterances: Vec<SavedWord>,
}

#[derive(Deserialize)]
struct SavedWord {
    speaker: String,
}

#[derive(Deserialize)]
struct SavedRedaction {
    #[serde(rename = "type")]
    kind: String,
}

pub(super) fn segment(seq: u64, stream: u32, json: Bytes) -> Option<StoredSegment> {
    let saved: SavedText = serde_json::from_slice(&json).ok()?;
    let others = saved.words.into_iter().chain(saved.utterances).map(|word| word.speaker);
    let mut speakers: Vec<String> = std::iter::once(saved.speaker.clone()).chain(others).collect();
    speakers.sort_unstable();
    speakers.dedup();
    let line = Line {
        segment_id: saved.segment_id,
        track: saved.track,
        role: role(&saved.role),
        speaker: saved.speaker,
        start_ms: saved.start_ms,
        end_ms: saved.end_ms,
        text: Redacted::certified(saved.text),
    };
    let redactions = saved.redactions.into_iter().map(|redaction| redaction.kind).collect();
    Some(StoredSegment { seq, key: TrackKey { stream, track: saved.track }, line, speakers, redactions, json })
}

#[derive(Deserialize)]
struct SavedBody<T> {
    data: T,
}

#[derive(Deserialize)]
struct SavedGap {
    track: Track,
    #[serde(flatten)]
    gap: Gap,
}

pub(super) fn gap(body: &[u8]) -> Option<(Track, Gap)> {
    let saved: SavedBody<SavedGap> = serde_json::from_slice(body).ok()?;
    Some((saved.data.track, saved.data.gap))
}

/// The placeholders in an event's body, wherever they stand.
pub(super) fn placeholders(body: &[u8]) -> Vec<String> {
    let is_one = |word: &&[u8]| {
        let number = word.rsplit(|byte| *byte == b'_').next().unwrap_or_default();
        word.len() > number.len()
            && !number.is_empty()
            && number.iter().all(u8::is_ascii_digit)
            && word.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_')
    };
    // Behind a colon stands what is shown of the value.
    let inside = body.split(|byte| *byte == b'[').filter_map(|rest| rest.split(|byte| *byte == b']' || *byte == b':').next());
    inside.filter(is_one).map(|word| format!("[{}]", String::from_utf8_lossy(word))).collect()
}

/// A role as it was stored; one that no longer fits becomes the caller's.
pub(super) fn role(name: &str) -> Role {
    Role::named(name).unwrap_or_else(Role::caller)
}

pub(super) fn track(row: &Row<'_>, column: usize) -> Result<Track> {
    let word: String = row.get(column)?;
    Track::ALL.into_iter().find(|track| track.as_str() == word).ok_or_else(|| unreadable(column, "track"))
}

pub(super) fn end_reason(row: &Row<'_>, column: usize) -> Result<EndReason> {
    let word: String = row.get(column)?;
    serde_json::from_value(word.into()).map_err(|_| unreadable(column, "end reason"))
}

pub(super) fn delivery(row: &Row<'_>, column: usize) -> Result<DeliveryId> {
    DeliveryId::parse(&row.get::<_, String>(column)?).ok_or_else(|| unreadable(column, "delivery id"))
}

pub(super) fn state(row: &Row<'_>, column: usize) -> Result<DeliveryState> {
    DeliveryState::of(&row.get::<_, String>(column)?).ok_or_else(|| unreadable(column, "delivery state"))
}

/// An id that was checked before it was stored.
pub(super) fn named<T: TryFrom<String>>(row: &Row<'_>, column: usize) -> Result<T> {
    row.get::<_, String>(column)?.try_into().map_err(|_| unreadable(column, "id"))
}

pub(super) fn uint(row: &Row<'_>, column: usize) -> Result<u64> {
    row.get::<_, i64>(column).map(i64::unsigned_abs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_found_wherever_they_stand() {
        let body =
            br#"{"text":"[SSN_1] [x] and [DRIVER_LICENSE_12]","list":[1,2],"open":"[PIN_3","custom":{"a":"[PHONE_1]"},"b":"[_]",
            "c":"[CREDIT_CARD_2:4242] [DATE_OF_BIRTH:12345678]"}"#;
        assert_eq!(placeholders(body), ["[SSN_1]", "[DRIVER_LICENSE_12]", "[PHONE_1]", "[CREDIT_CARD_2]"]);
    }
}
