//! Deliveries by what they have in common.
//!
//! Promises: a question that names a call or a state that is on its way out, waiting or parked, reads the deliveries it means and no
//! others, however many there ever were; counting what waits reads an index alone.

use rusqlite::{Connection, params, params_from_iter, types::Value};

use super::{Backlog, Delivery, DeliveryFilter, DeliveryState, Page, read, saved, write::int};
use crate::webhook::DeliveryId;

type Answer<T> = rusqlite::Result<T>;

/// The events at the front of an endpoint's queue among which the oldest is looked for: more than are under way at once, and few reads.
const FRONT: u32 = 100;

/// A filter as SQL: only what it names stands there, so that each question has a plan of its own.
struct Question {
    /// The index to read by; named, since without figures of the tables the planner takes a walk over all of them for cheaper.
    by: &'static str,
    events: &'static str,
    terms: Vec<&'static str>,
    bound: Vec<Value>,
}

impl Question {
    fn of(filter: &DeliveryFilter) -> Self {
        let by = match (&filter.call_sid, filter.state) {
            (Some(_), _) => "INDEXED BY deliveries_by_event",
            (None, Some(DeliveryState::Pending | DeliveryState::Leased)) => "INDEXED BY deliveries_waiting",
            (None, Some(DeliveryState::Parked)) => "INDEXED BY deliveries_parked",
            (None, Some(DeliveryState::Delivered) | None) => "",
        };
        let mut question = Self { by, events: "", terms: Vec::new(), bound: Vec::new() };
        question.terms.extend(filter.state.map(stands));
        let call = "d.session_id IN (SELECT id FROM sessions WHERE call_sid = ? OR id = ?)";
        question.add(call, filter.call_sid.iter().flat_map(|sid| [sid.clone().into(), sid.clone().into()]));
        question.add("d.endpoint = ?", filter.endpoint.clone().map(Value::from));
        question.add("e.wall_ms >= ?", filter.since_wall_ms.map(int).map(Value::from));
        question.add("e.wall_ms < ?", filter.until_wall_ms.map(int).map(Value::from));
        if filter.since_wall_ms.or(filter.until_wall_ms).is_some() {
            // A cross join keeps the order: each delivery's event, never all events of that time.
            question.events = "CROSS JOIN events e ON e.session_id = d.session_id AND e.seq = d.seq";
        }
        question
    }

    fn add(&mut self, term: &'static str, bound: impl IntoIterator<Item = Value>) {
        let before = self.bound.len();
        self.bound.extend(bound);
        self.terms.extend((self.bound.len() > before).then_some(term));
    }

    /// The ids of what is meant.
    fn ids(&self) -> String {
        let terms = if self.terms.is_empty() { String::new() } else { format!("WHERE {}", self.terms.join(" AND ")) };
        format!("SELECT d.id FROM deliveries d {} {} {terms}", self.by, self.events)
    }
}

/// The state as the indexes say it: one that covers only some of the states is taken only where the question names them as it does.
const fn stands(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Pending => "d.state IN ('pending', 'leased') AND d.state = 'pending'",
        DeliveryState::Leased => "d.state IN ('pending', 'leased') AND d.state = 'leased'",
        DeliveryState::Delivered => "d.state = 'delivered'",
        DeliveryState::Parked => "d.state = 'parked'",
    }
}

/// A page of them. What they look like is read only once it is known which they are.
fn page_of(filter: &DeliveryFilter) -> (String, Vec<Value>) {
    let mut question = Question::of(filter);
    question.add("d.id < ?", filter.cursor.clone().map(Value::from));
    question.bound.push((read::page_size(filter.limit) + 1).into());
    let sql = format!("{} WHERE d.id IN ({} ORDER BY d.id DESC LIMIT ?) ORDER BY d.id DESC", read::DELIVERY, question.ids());
    (sql, question.bound)
}

pub(super) fn deliveries(connection: &Connection, filter: &DeliveryFilter) -> Answer<Page<Delivery>> {
    let (sql, bound) = page_of(filter);
    let items = read::all(connection, &sql, params_from_iter(bound), read::delivery_row)?;
    Ok(read::page(items, filter.limit, |delivery| delivery.id.to_string()))
}

fn all_of(filter: &DeliveryFilter) -> (String, Vec<Value>) {
    let question = Question::of(filter);
    (format!("{} ORDER BY d.session_id, d.seq, d.id", question.ids()), question.bound)
}

/// Every delivery that a filter means, each session's in the order of `seq`, whatever its page says.
pub(super) fn matching(connection: &Connection, filter: &DeliveryFilter) -> Answer<Vec<DeliveryId>> {
    let (sql, bound) = all_of(filter);
    read::all(connection, &sql, params_from_iter(bound), |row| saved::delivery(row, 0))
}

const WAITING: &str = "SELECT endpoint, count(*) FROM deliveries INDEXED BY deliveries_waiting
     WHERE state IN ('pending', 'leased') GROUP BY endpoint";
const PARKED: &str =
    "SELECT endpoint, count(*) FROM deliveries INDEXED BY deliveries_parked WHERE state = 'parked' GROUP BY endpoint";
const OLDEST: &str = "SELECT min(e.wall_ms) FROM (SELECT session_id, seq FROM deliveries INDEXED BY deliveries_waiting
     WHERE endpoint = ? AND state IN ('pending', 'leased') ORDER BY place LIMIT ?) d
     CROSS JOIN events e ON e.session_id = d.session_id AND e.seq = d.seq";

/// What waits for each endpoint, by name. The counts are exact; the oldest is that of the [`FRONT`] first by place. Places are given as events
/// are stored, so it is out by the moment between the making of an event and its commit at most, unless a retry by hand
/// has put older ones behind more than those: they count again once their turn comes near.
pub(super) fn backlogs(connection: &Connection) -> Answer<Vec<Backlog>> {
    let count = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, saved::uint(row, 1)?));
    let mut backlogs = std::collections::BTreeMap::<String, Backlog>::new();
    let empty = |endpoint: &String| Backlog { endpoint: endpoint.clone(), pending: 0, parked: 0, oldest_wall_ms: None };
    for (endpoint, pending) in read::all(connection, WAITING, (), count)? {
        let oldest: Option<i64> = connection.prepare_cached(OLDEST)?.query_row(params![endpoint, FRONT], |row| row.get(0))?;
        let backlog = Backlog { pending, oldest_wall_ms: oldest.map(i64::unsigned_abs), ..empty(&endpoint) };
        backlogs.insert(endpoint, backlog);
    }
    for (endpoint, parked) in read::all(connection, PARKED, (), count)? {
        backlogs.entry(endpoint).or_insert_with_key(empty).parked = parked;
    }
    Ok(backlogs.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock,
        store::{driver::tests::masters, schema, sealed::Keyring},
    };

    #[test]
    fn a_question_about_a_call_or_a_state_on_its_way_out_reads_nothing_else() {
        let connection = tables();
        let parked = DeliveryFilter { state: Some(DeliveryState::Parked), ..DeliveryFilter::default() };
        let [pending, leased] = [DeliveryState::Pending, DeliveryState::Leased]
            .map(|state| DeliveryFilter { state: Some(state), ..DeliveryFilter::default() });
        let call = DeliveryFilter { call_sid: Some("CA1".into()), ..DeliveryFilter::default() };
        let (endpoint, cursor) = (Some("crm".to_owned()), Some("dlv_2".to_owned()));
        let both =
            DeliveryFilter { endpoint, cursor, since_wall_ms: Some(1), until_wall_ms: Some(2), ..DeliveryFilter::default() };
        let states = [Some(DeliveryState::Parked), Some(DeliveryState::Pending), None];
        let more = states.map(|state| DeliveryFilter { state, call_sid: Some("CA1".into()), ..both.clone() });
        let without = [&parked, &pending, &leased].map(|filter| DeliveryFilter { state: filter.state, ..both.clone() });
        for filter in [parked, pending, leased, call].iter().chain(&more).chain(&without) {
            for (sql, bound) in [page_of(filter), all_of(filter)] {
                for step in plan(&connection, &sql, bound) {
                    let is_bounded =
                        ["INDEX deliveries_parked", "INDEX deliveries_waiting"].iter().any(|index| step.contains(index));
                    assert!(is_bounded || !step.starts_with("SCAN") || step.starts_with("SCAN CONSTANT"), "{step}: {sql}");
                }
            }
        }
        let all = plan(&connection, &page_of(&DeliveryFilter::default()).0, vec![51.into()]).join("; ");
        assert!(
            all.contains("SCAN d USING COVERING INDEX sqlite_autoindex_deliveries_1") && !all.contains("TEMP"),
            "newest first: {all}"
        );
    }

    #[test]
    fn what_waits_is_counted_from_the_indexes_and_its_oldest_is_near_the_front() {
        let connection = tables();
        connection
            .execute_batch(
                "INSERT INTO sessions (id, call_sid, dialect, direction, started_wall_ms, key_id, data_key, context)
                 VALUES ('ses_1', 'CA1', 'twilio', 'inbound', 1, 'k1', x'', x'');
                 WITH RECURSIVE n(seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM n WHERE seq < 150)
                 INSERT INTO events SELECT 'ses_1', seq, 'evt_' || seq, 'k', 1000 + seq, x'' FROM n;
                 INSERT INTO deliveries (id, session_id, seq, endpoint, place, state, next_wall_ms)
                 SELECT 'dlv_' || seq, 'ses_1', seq, 'crm', seq, 'pending', 0 FROM events;
                 UPDATE deliveries SET state = 'parked', endpoint = 'audit' WHERE seq > 140;
                 UPDATE deliveries SET state = 'leased', lease_until_wall_ms = 9 WHERE seq = 2;
                 UPDATE deliveries SET place = 200 WHERE seq = 1;",
            )
            .unwrap();
        let backlog = |endpoint: &str, pending, parked, oldest_wall_ms| Backlog {
            endpoint: endpoint.into(),
            pending,
            parked,
            oldest_wall_ms,
        };
        assert_eq!(backlogs(&connection).unwrap(), [backlog("audit", 0, 10, None), backlog("crm", 140, 0, Some(1_002))]);
        connection
            .execute("UPDATE deliveries SET state = 'delivered', lease_until_wall_ms = NULL WHERE seq BETWEEN 2 AND 50", ())
            .unwrap();
        assert_eq!(backlogs(&connection).unwrap()[1], backlog("crm", 91, 0, Some(1_001)), "its turn has come near");
    }

    fn tables() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection, &Keyring::new(masters("k1"), clock::random)).unwrap();
        connection
    }

    fn plan(connection: &Connection, sql: &str, bound: Vec<Value>) -> Vec<String> {
        read::all(connection, &format!("EXPLAIN QUERY PLAN {sql}"), params_from_iter(bound), |row| row.get(3)).unwrap()
    }
}
