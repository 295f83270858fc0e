//! A database of version 1, which kept everything in the clear, is opened.

use super::{at_rest::found, *};

const WORDS: [&str; 5] = ["mangosteen", "rambutan", "jackfruit", "tamarillo", "carambola"];

#[tokio::test]
async fn what_version_1_kept_in_the_clear_stands_nowhere_after_it_was_opened() {
    let folder = version_1();
    assert_eq!(found(&folder, &WORDS).len(), 5, "planted, one of them in a free page: {:?}", found(&folder, &WORDS));
    let store = reopen(&folder, "k1");
    assert_eq!(found(&folder, &WORDS), Vec::<String>::new());

    let session = session_id(1);
    let events = store.events(&session, 0, 9).await.unwrap();
    assert_eq!(events[0].body, body());
    let live = only_live(&store).await;
    assert_eq!(live.session.start.context, serde_json::json!({"keywords": WORDS[1]}));
    assert_eq!(live.segments[0].line.text.as_str(), WORDS[2]);
    let listed = store.deliveries(DeliveryFilter::default()).await.unwrap();
    let (_, attempts) = store.delivery(listed.items[0].id).await.unwrap().unwrap();
    assert_eq!(attempts[0].answer.as_deref(), Some(WORDS[3].as_bytes()));
    store.commit(vec![gap_event(&session, 2, &[])]).await.unwrap();
    store.close().await;
    assert_eq!(found(&folder, &WORDS), Vec::<String>::new());
}

#[tokio::test]
async fn a_start_that_died_before_the_file_was_written_anew_is_made_good_by_the_next() {
    let folder = version_1();
    let mut connection = Connection::open(folder.0.join("bridge.db")).unwrap();
    connection.execute_batch("PRAGMA foreign_keys = ON").unwrap();
    schema::migrate_up_to(&mut connection, &ring(), 2).unwrap();
    drop(connection);
    assert!(!found(&folder, &WORDS[4..]).is_empty(), "what was deleted before is still in a free page");
    let store = reopen(&folder, "k1");
    assert_eq!(found(&folder, &WORDS), Vec::<String>::new());
    assert_eq!(store.events(&session_id(1), 0, 9).await.unwrap()[0].body, body());
}

/// Long enough for pages of its own.
fn body() -> Vec<u8> {
    format!("{{\"text\":\"{}\"}}", WORDS[0].repeat(2000)).into_bytes()
}

/// As version 1 left it: one call, and another that was deleted and lies in free pages.
fn version_1() -> Folder {
    let folder = Folder::new();
    let connection = Connection::open(folder.0.join("bridge.db")).unwrap();
    connection.query_row("PRAGMA journal_mode = WAL", (), |_| Ok(())).unwrap();
    connection.execute_batch("PRAGMA foreign_keys = ON; PRAGMA secure_delete = OFF").unwrap();
    connection.execute_batch(include_str!("../../schema.sql")).unwrap();
    connection.execute_batch("PRAGMA user_version = 1").unwrap();
    for (n, words) in [(1, body()), (2, WORDS[4].repeat(2000).into_bytes())] {
        let session = session_id(n);
        let wrapped = masters("k1").new_data_key(&session).1;
        let context = format!("{{\"keywords\":\"{}\"}}", WORDS[1]);
        let sql = "INSERT INTO sessions (id, call_sid, dialect, direction, started_wall_ms, key_id, data_key, context)
             VALUES (?, 'CA1', 'twilio', 'inbound', 1, ?, ?, ?)";
        connection.execute(sql, (session.as_str(), &wrapped.key_id, &wrapped.sealed, context)).unwrap();
        let sql = "INSERT INTO events (session_id, seq, id, kind, wall_ms, body) VALUES (?, 1, ?, 'call.started', 5, ?)";
        connection.execute(sql, (session.as_str(), format!("evt_{n}"), words)).unwrap();
    }
    let Write::Segment { mut text, .. } = segment(&session_id(1), 1, "seg_a", 0) else { unreachable!() };
    text.text = Redacted::certified(WORDS[2]);
    let sql = "INSERT INTO segments (id, session_id, seq, stream, track, start_ms, end_ms, body) VALUES ('seg_a', ?, 1, 0, 'inbound', 0, 9, ?)";
    connection.execute(sql, (session_id(1).as_str(), serde_json::to_vec(&*text).unwrap())).unwrap();
    let delivery = DeliveryId::new(Ulid::from_parts(1, 1)).to_string();
    let sql = "INSERT INTO deliveries (id, session_id, seq, endpoint, place, state, next_wall_ms) VALUES (?, ?, 1, 'crm', 1, 'pending', 5)";
    connection.execute(sql, (&delivery, session_id(1).as_str())).unwrap();
    let sql = "INSERT INTO attempts (delivery_id, n, wall_ms, took_ms, status, answer) VALUES (?, 1, 5, 1, 500, ?)";
    connection.execute(sql, (&delivery, WORDS[3].as_bytes())).unwrap();
    connection.execute("DELETE FROM sessions WHERE id = ?", [session_id(2).as_str()]).unwrap();
    folder
}
