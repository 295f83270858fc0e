//! What is left after a cut against what was answered before it.

use std::collections::{BTreeMap, HashMap};

use pulse_bridge::{
    media::Offset,
    store::{CallFilter, DeliveryFilter, LiveSession},
};
use rusqlite::Connection;

use crate::{
    disk::Note,
    life::{DATABASE, Life},
    model::{SessionModel, View},
};

/// Read at a time, in bytes of audio.
const PIECE: u64 = 100_000;

/// Compares, and goes on from what is there; says what is wrong.
pub(crate) async fn check(life: &Life, sessions: &mut [SessionModel], notes: &[Note]) -> Result<(), String> {
    sound(life)?;
    let unfinished = life.store.unfinished().await.map_err(|why| why.to_string())?;
    let mut live = HashMap::new();
    for session in unfinished {
        let found = life.store.live(&session).await.map_err(|why| why.to_string())?;
        live.extend(found.map(|found| (session.to_string(), found)));
    }
    for (number, model) in sessions.iter_mut().enumerate() {
        let found = view(life, model, &live).await?;
        let answered = notes.iter().filter_map(|note| match note {
            Note::Stored { session, unit } if *session == number => Some(*unit),
            _ => None,
        });
        let answered = answered.max().unwrap_or(0).max(model.safe);
        let Some(units) = (answered..model.views.len()).find(|units| model.views[*units] == found) else {
            let is_lost = model.views[..answered].contains(&found);
            let what = if is_lost { "lost units that were answered" } else { "is as it never was" };
            let (found, answered) = (found.summary(), model.views[answered].summary());
            return Err(format!("session {number} {what}: found {found}; answered {answered}"));
        };
        model.views.truncate(units + 1);
        model.safe = units;
        if model.is_live() {
            spooled(life, number, model, notes).await?;
        }
    }
    let listed = life.store.calls(CallFilter { limit: 500, ..CallFilter::default() }).await.map_err(|why| why.to_string())?;
    let there = sessions.iter().filter(|model| model.now().is_there).count();
    if listed.items.len() == there { Ok(()) } else { Err(format!("{} calls are listed, {there} were made", listed.items.len())) }
}

fn sound(life: &Life) -> Result<(), String> {
    let asked = Connection::open(life.folder.0.join(DATABASE)).and_then(|connection| {
        let sound: String = connection.query_row("PRAGMA quick_check", (), |row| row.get(0))?;
        let strays: i64 = connection.query_row("SELECT count(*) FROM pragma_foreign_key_check", (), |row| row.get(0))?;
        Ok((sound, strays))
    });
    match asked {
        Ok((sound, 0)) if sound == "ok" => Ok(()),
        bad => Err(format!("the database is not sound: {bad:?}")),
    }
}

/// A session as the store shows it.
async fn view(life: &Life, model: &SessionModel, live: &HashMap<String, LiveSession>) -> Result<View, String> {
    let told = |why: pulse_bridge::store::StoreError| why.to_string();
    let Some(session) = life.store.call(model.id.as_str()).await.map_err(told)? else { return Ok(View::default()) };
    let events = life.store.events(&model.id, 0, u32::MAX).await.map_err(told)?;
    let segments = life.store.segments(&model.id).await.map_err(told)?;
    let (mut deliveries, mut cursor) = (BTreeMap::new(), None);
    loop {
        let call_sid = Some(model.id.to_string());
        let filter = DeliveryFilter { call_sid, limit: 500, cursor, ..DeliveryFilter::default() };
        let page = life.store.deliveries(filter).await.map_err(told)?;
        for it in page.items {
            deliveries.insert((it.seq, it.endpoint.to_string()), (it.state.as_str().to_owned(), it.attempts, it.reason));
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let live = live.get(model.id.as_str());
    if live.is_some_and(|live| live.next_seq != events.len() as u64 + 1) {
        return Err("the next number is not behind the last event".to_owned());
    }
    let mut segments: Vec<_> = segments.into_iter().map(|segment| (segment.seq, segment.json)).collect();
    segments.sort();
    let streams = live.map(|live| live.streams.iter().map(|(n, sid, at_ms)| (*n, sid.to_string(), *at_ms)).collect());
    Ok(View {
        is_there: true,
        // Of a session that has ended it is not read again.
        context: live.map_or_else(|| model.now().context.clone(), |live| Some(live.session.start.context.clone())),
        streams: streams.unwrap_or_default(),
        marks: session.tracks.iter().map(|track| track.mark.0).collect(),
        events: events.into_iter().map(|event| (event.seq, event.kind, event.body)).collect(),
        segments,
        deliveries,
        ended: session.ended,
    })
}

/// What was synced and no stored final covers is there, and nothing is there that was not said.
async fn spooled(life: &Life, number: usize, model: &mut SessionModel, notes: &[Note]) -> Result<(), String> {
    let found = life.spool.recover(&model.id, &model.data_key).await.map_err(|why| why.to_string())?;
    for at in 0..model.tracks.len() {
        let (track, mark) = (&model.tracks[at], model.now().marks[at]);
        let synced = notes.iter().filter_map(|note| match note {
            Note::Spooled { session, track, end } if (*session, *track) == (number, at) => Some(*end),
            _ => None,
        });
        let synced = synced.max().unwrap_or(0).max(track.safe);
        let mut there = mark;
        if let Some(left) = found.iter().find(|left| left.key == track.key) {
            if !left.unreadable.is_empty() {
                return Err(format!("session {number}: whole frames that do not open: {:?}", left.unreadable));
            }
            let mut reader = life.spool.resume(&model.id, left, &model.data_key).reader();
            let mut from = mark;
            loop {
                let frames = reader.read(Offset(from), PIECE).await.map_err(|why| why.to_string())?;
                let Some(last) = frames.last() else { break };
                from = last.offset.0 + last.audio.len() as u64;
                for frame in &frames {
                    let (offset, end) = (frame.offset.0, frame.offset.0 + frame.audio.len() as u64);
                    if frame.audio != model.audio(at, offset, frame.audio.len()) || frame.at_ms != offset / 8 || end > track.end {
                        return Err(format!("session {number}: wrong audio at byte {offset}"));
                    }
                    if offset <= there {
                        there = there.max(end);
                    }
                }
            }
        }
        if there < synced {
            return Err(format!("session {number}: audio is lost: there up to {there}, synced up to {synced}, mark {mark}"));
        }
        let track = &mut model.tracks[at];
        (track.safe, track.end) = (there.max(mark), track.end.max(mark));
    }
    Ok(())
}
