//! Everything that a bridge says when it is asked, and everything that it has written.

use std::{collections::BTreeSet, net::SocketAddr, path::Path};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    bridge::{API_TOKEN, Bridge, Place},
    calls::QUOTE,
    routes::{ROUTES, Way},
    search::Haystack,
};

/// Deliveries that are looked at one by one, of each endpoint.
const DELIVERIES: usize = 25;

/// What a recorded message of audio has.
const MEDIA: &[u8] = br#""event":"media""#;

/// An answer as it came.
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|why| panic!("{why}: {} {}", self.head, self.body))
    }

    fn haystacks(self, place: &str) -> [Haystack; 2] {
        // The metrics are no JSON; their numbers are counts and times.
        [Haystack::raw(format!("{place}, headers"), self.head), Haystack::texts(place, self.body)]
    }
}

/// Asks with the API's token. HTTP/1.0, so that no body comes in pieces.
pub(crate) async fn ask(address: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\nAuthorization: Bearer {API_TOKEN}\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{method} {path}: {answer}"));
    let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok()).unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

/// Every page of a list.
async fn pages(address: SocketAddr, path: &str, found: &mut Vec<Haystack>) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let answer = ask(address, "GET", &format!("{path}?limit=200{cursor}"), "", "").await;
        let page = answer.json();
        items.extend(page["items"].as_array().expect("a list has items").iter().cloned());
        found.extend(answer.haystacks(path));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}

fn texts<'a>(items: &'a [Value], name: &'a str) -> impl Iterator<Item = String> + 'a {
    items.iter().filter_map(move |item| item[name].as_str()).map(str::to_owned)
}

/// Every route's answers, good and bad, and those of the commands that ask.
pub(crate) async fn answers(place: &Place, bridge: &Bridge) -> Vec<Haystack> {
    let (address, mut found) = (bridge.address, Vec::new());
    let calls = pages(address, "/v1/calls", &mut found).await;
    let deliveries = pages(address, "/v1/deliveries", &mut found).await;
    let sids: BTreeSet<String> = texts(&calls, "call_sid").chain(texts(&calls, "session_id")).collect();
    let ids: Vec<String> = ["all", "ill"]
        .into_iter()
        .flat_map(|endpoint| {
            let of = deliveries.iter().filter(move |delivery| delivery["endpoint"] == endpoint);
            of.filter_map(|delivery| delivery["id"].as_str()).map(str::to_owned).take(DELIVERIES).collect::<Vec<_>>()
        })
        .collect();
    assert!(sids.len() >= 8 && ids.len() >= 2 * DELIVERIES, "{sids:?} {ids:?}");
    for (method, path, way) in ROUTES {
        let method = if method == "any" { "GET".to_owned() } else { method.to_uppercase() };
        for path in filled(path, way, &sids, &ids) {
            let body = if method == "GET" { String::new() } else { format!("{{\"language\":{QUOTE:?},\"state\":{QUOTE:?}}}") };
            let answer = ask(address, &method, &path, "", &body).await;
            // Where the asker's own words are in the path, an answer that says nothing of them is the rule too.
            found.extend(answer.haystacks(&format!("{method} {path}")));
        }
    }
    for arguments in [vec!["deliveries", "list", "--json", "--limit", "1000"], vec!["deliveries", "list"]] {
        said_by(place, bridge, &arguments, &mut found).await;
    }
    for id in ids.iter().rev().take(3) {
        said_by(place, bridge, &["deliveries", "show", id, "--json"], &mut found).await;
        said_by(place, bridge, &["deliveries", "show", id], &mut found).await;
    }
    found
}

/// A route's path with everything in the place of what is in braces; with nobody's name where it would change something.
fn filled(path: &str, way: Way, sids: &BTreeSet<String>, ids: &[String]) -> Vec<String> {
    let Some((_, name)) = path.split_once('{') else {
        return vec![path.to_owned(), format!("{path}?state={SPELT}&limit={SPELT}")];
    };
    let (name, _) = name.split_once('}').expect("a brace is closed");
    let mut names: Vec<String> = vec![SPELT.to_owned()];
    match name {
        _ if way == Way::Driven => {}
        "sid" => names.extend(sids.iter().cloned()),
        "id" => names.extend(ids.iter().cloned()),
        "file" => names.push("transcript.final.json".to_owned()),
        _ => {}
    }
    names.into_iter().map(|found| path.replace(&format!("{{{name}}}"), &found).replace("{verb}", SPELT)).collect()
}

/// Values where a path has a name.
const SPELT: &str = "Zyndrakell%20Vossumbrake-4716829355027185";

async fn said_by(place: &Place, bridge: &Bridge, arguments: &[&str], found: &mut Vec<Haystack>) {
    let (stdout, stderr) = place.asked(bridge, arguments).await;
    assert!(!stdout.is_empty(), "{arguments:?}: {}", String::from_utf8_lossy(&stderr));
    found.push(Haystack::texts(format!("{arguments:?}, stdout"), stdout));
    found.push(Haystack::raw(format!("{arguments:?}, stderr"), stderr));
}

/// Every file below a folder: its name, and its bytes.
pub(crate) fn files(folder: &Path) -> Vec<Haystack> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap_or_else(|why| panic!("{}: {why}", folder.display())) {
        let path = entry.unwrap().path();
        found.push(Haystack::raw("a file's name", path.file_name().unwrap().as_encoded_bytes()));
        if path.is_dir() {
            found.extend(files(&path));
            continue;
        }
        let (place, bytes) = (path.display().to_string(), std::fs::read(&path).unwrap_or_default());
        let is_json = path.extension().is_some_and(|ending| ending == "jsonl" || ending == "json");
        if is_json {
            // Numbers and times of audio are strings as well, and say nothing.
            let texts =
                bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| !line.windows(MEDIA.len()).any(|it| it == MEDIA));
            found.push(Haystack::texts(format!("{place}, texts"), texts.collect::<Vec<_>>().concat()));
        }
        found.push(Haystack::raw(place, bytes));
    }
    found
}
