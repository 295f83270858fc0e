//! `deliveries`: what waits, what was delivered, what is parked; and sending again.
//!
//! Promises: stdout is data alone, a table or with `--json` one document; several ids are each tried, and one that fails is told by its
//! id and ends the command with 1.

use anyhow::anyhow;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{
    Deliveries, DeliveriesAction, DeliveriesList, Failure,
    asking::Asking,
    table::{safe, table},
};
use crate::{store::DeliveryState, tools::print, webhook::DeliveryId};

/// The most that one question asks for: the API's own bound.
const PAGE: u32 = 500;

/// Runs the command.
///
/// # Errors
/// No bridge there, one that refuses, an id that is none.
pub async fn run(arguments: Deliveries) -> Result<(), Failure> {
    let action = arguments.action.unwrap_or_else(|| DeliveriesAction::List(DeliveriesList::default()));
    check(&action).map_err(Failure::usage)?;
    let bridge = Asking::new(&arguments.settings, &arguments.bridge)?;
    let is_json = arguments.bridge.json;
    match action {
        DeliveriesAction::List(wanted) => {
            let page = list(&bridge, &wanted).await?;
            say(is_json, &page, listed)?;
            let is_cut = !page["next_cursor"].is_null();
            match page["items"].as_array() {
                _ if is_json => {}
                Some(items) if items.is_empty() => eprintln!("no delivery fits"),
                _ if is_cut => eprintln!("there are older ones; --limit shows more"),
                _ => {}
            }
            Ok(())
        }
        DeliveriesAction::Show { id } => {
            let delivery = bridge.get(&format!("/v1/deliveries/{id}")).await?;
            Ok(say(is_json, &delivery, shown)?)
        }
        DeliveriesAction::Retry { parked: true, endpoint, .. } => {
            let filter = json!({ "state": "parked", "endpoint": endpoint });
            let sent = bridge.work("/v1/deliveries/retry", &filter).await?;
            Ok(say(is_json, &sent, |sent| format!("{} sent again\n", sent["sent"]))?)
        }
        DeliveriesAction::Retry { ids, .. } => retry(&bridge, &ids, is_json).await,
    }
}

/// An id goes into an address, so it is looked at before anything is asked.
fn check(action: &DeliveriesAction) -> anyhow::Result<()> {
    let ids = match action {
        DeliveriesAction::Show { id } => std::slice::from_ref(id),
        DeliveriesAction::Retry { ids, .. } => ids,
        DeliveriesAction::List(_) => &[],
    };
    match ids.iter().find(|id| DeliveryId::parse(id).is_none()) {
        Some(id) => Err(anyhow!("{:?} is no delivery's id (dlv_…); pulse-bridge deliveries list shows them", safe(id))),
        None => Ok(()),
    }
}

fn say(is_json: bool, answer: &Value, as_text: impl Fn(&Value) -> String) -> anyhow::Result<()> {
    let text = if is_json { answer.to_string() } else { as_text(answer) };
    if text.is_empty() { Ok(()) } else { print(text.as_bytes()) }
}

/// As many pages as it takes.
async fn list(bridge: &Asking, wanted: &DeliveriesList) -> Result<Value, Failure> {
    let (mut items, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let left = wanted.limit.saturating_sub(u32::try_from(items.len()).unwrap_or(u32::MAX));
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", &left.min(PAGE).to_string());
        let filters = [
            ("state", wanted.state.map(DeliveryState::as_str)),
            ("endpoint", wanted.endpoint.as_deref()),
            ("call_sid", wanted.call_sid.as_deref()),
            ("cursor", cursor.as_deref()),
        ];
        query.extend_pairs(filters.iter().filter_map(|(name, value)| Some((*name, (*value)?))));
        let mut page = bridge.get(&format!("/v1/deliveries?{}", query.finish())).await?;
        let found = page["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
        cursor = page["next_cursor"].as_str().filter(|_| !found.is_empty()).map(str::to_owned);
        items.extend(found);
        if cursor.is_none() || items.len() >= wanted.limit as usize {
            return Ok(json!({ "items": items, "next_cursor": cursor }));
        }
    }
}

async fn retry(bridge: &Asking, ids: &[String], is_json: bool) -> Result<(), Failure> {
    let (mut sent, mut failed) = (Vec::new(), Vec::new());
    for id in ids {
        match bridge.post(&format!("/v1/deliveries/{id}/retry")).await {
            Ok(_) => sent.push(id),
            // One that is not there says nothing about the next; anything else would go on failing.
            Err(refused) if refused.status == Some(404) => failed.push((id, format!("{:#}", refused.why))),
            Err(refused) => return Err(refused.into()),
        }
    }
    let failures: Vec<Value> = failed.iter().map(|(id, error)| json!({ "id": id, "error": error })).collect();
    let answer = json!({ "sent": sent.len(), "failed": failures });
    say(is_json, &answer, |_| sent.iter().map(|id| format!("{id} sent again")).collect::<Vec<_>>().join("\n"))?;
    if !is_json {
        failed.iter().for_each(|(id, error)| eprintln!("error: {id}: {error}"));
    }
    if failed.is_empty() { Ok(()) } else { Err(Failure::told(1)) }
}

/// A field as a cell: text as it is, nothing as nothing.
fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn listed(page: &Value) -> String {
    let fields = ["id", "state", "type", "seq", "call_sid", "endpoint", "attempts", "event_at", "next_at", "reason"];
    let headings = ["id", "state", "event", "seq", "call", "endpoint", "tries", "made", "next", "why"];
    let items = page["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let rows: Vec<Vec<String>> = items.iter().map(|item| fields.iter().map(|field| cell(&item[field])).collect()).collect();
    if rows.is_empty() { String::new() } else { table(&headings, &rows) }
}

fn shown(delivery: &Value) -> String {
    let text = |field: &str| safe(&cell(&delivery[field]));
    let facts = [
        ("delivery", format!("{}  {}", text("id"), text("state"))),
        ("why", text("reason")),
        ("event", format!("{}  {}  seq {}  made {}", text("event_id"), text("type"), text("seq"), text("event_at"))),
        ("call", format!("{}  {}", text("call_sid"), text("session_id"))),
        ("endpoint", text("endpoint")),
        ("next", text("next_at")),
    ];
    let facts: Vec<String> = facts.iter().map(|(name, fact)| format!("{name:8}  {fact}")).collect();
    let history = delivery["history"].as_array().map(Vec::as_slice).unwrap_or_default();
    let row = |attempt: &Value| {
        let status = if attempt["status"].is_null() { cell(&attempt["failure"]) } else { cell(&attempt["status"]) };
        vec![cell(&attempt["n"]), cell(&attempt["at"]), status, format!("{} ms", attempt["took_ms"]), cell(&attempt["answer"])]
    };
    let rows: Vec<Vec<String>> = history.iter().map(row).collect();
    facts.join("\n") + "\n\n" + &table(&["try", "at", "status", "took", "answer"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_a_table_and_a_delivery_its_facts_and_its_attempts() {
        let item = json!({
            "id": "dlv_1", "call_sid": "CA1", "session_id": "ses_1", "event_id": "evt_1", "seq": 9, "type": "transcript.final",
            "endpoint": "crm", "state": "pending", "attempts": 2, "next_at": "2026-01-01T00:05:00.000Z", "reason": "status 503",
            "event_at": "2026-01-01T00:00:00.000Z",
            "history": [
                {"n": 1, "at": "2026-01-01T00:00:01.000Z", "took_ms": 7, "status": 503, "failure": null, "answer": "down\u{1b}[2J"},
                {"n": 2, "at": "2026-01-01T00:00:02.000Z", "took_ms": 9, "status": null, "failure": "reset", "answer": null},
            ],
        });
        insta::assert_snapshot!(listed(&json!({ "items": [item] })), @r"
        id     state    event             seq  call  endpoint  tries  made                      next                      why
        dlv_1  pending  transcript.final  9    CA1   crm       2      2026-01-01T00:00:00.000Z  2026-01-01T00:05:00.000Z  status 503
        ");
        insta::assert_snapshot!(shown(&item), @r"
        delivery  dlv_1  pending
        why       status 503
        event     evt_1  transcript.final  seq 9  made 2026-01-01T00:00:00.000Z
        call      CA1  ses_1
        endpoint  crm
        next      2026-01-01T00:05:00.000Z

        try  at                        status  took  answer
        1    2026-01-01T00:00:01.000Z  503     7 ms  down [2J
        2    2026-01-01T00:00:02.000Z  reset   9 ms  -
        ");
        assert_eq!(listed(&json!({ "items": [] })), "");
    }
}
