//! A call that goes, because somebody asked or because its time was over: beside one that stays and one that is on the line, a kill makes of
//! it neither a half call nor one that comes back.

use std::{collections::BTreeSet, net::SocketAddr, path::Path, time::Duration};

use serde_json::Value;

use crate::{aged, child::PATIENCE, http, receiver::Receiver};

/// How often the bridge is asked for what it does by itself.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// How far the going of a call was when the bridge ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Going {
    /// It was asked for and not begun: all of the call is there.
    Asked,
    /// It was committed: nothing of the call is there.
    Done,
    /// The next start does it by itself.
    Due,
}

/// Two calls that are over and fully delivered, as they were before the end of the bridge.
pub(crate) struct Leaving {
    /// The one that goes.
    call: String,
    session: String,
    events: String,
    posts: u64,
    /// The one that stays, and its events.
    stays: String,
    stay_events: String,
}

impl Leaving {
    /// Waits until both are over and everything of them is delivered.
    pub(crate) async fn begin(address: SocketAddr, receiver: &Receiver, calls: [String; 2]) -> Result<Self, String> {
        let [call, stays] = calls;
        until_over(address, receiver, &call).await?;
        until_over(address, receiver, &stays).await?;
        let known: Value = serde_json::from_str(&get(address, &format!("/v1/calls/{call}")).await).unwrap();
        let session = known["session_id"].as_str().expect("a call has a session").to_owned();
        let (events, stay_events) = (events_of(address, &call).await, events_of(address, &stays).await);
        let posts = receiver.posts_of(&call);
        Ok(Self { call, session, events, posts, stays, stay_events })
    }

    /// Asks for the call's end, which is to take its audio too; the status, if there is an answer.
    pub(crate) async fn erase(&self, address: SocketAddr, data: &Path) -> Option<u16> {
        leave_audio(data, &self.session);
        http::ask("DELETE", &address.to_string(), &self.path()).await.map(|(status, _)| status)
    }

    /// Makes the call of a closed database older than calls are kept, and leaves it audio.
    pub(crate) fn make_old(&mut self, data: &Path) {
        self.session = aged::make_old(&data.join("bridge.sqlite"), &self.session);
        leave_audio(data, &self.session);
    }

    /// Asks the bridge that was started again; behind this the call is gone, if it was not before.
    pub(crate) async fn check(&self, address: SocketAddr, data: &Path, going: Going) -> Result<(), String> {
        match going {
            Going::Asked if events_of(address, &self.call).await != self.events => {
                return Err("the call is there in part".to_owned());
            }
            Going::Asked => match self.erase(address, data).await {
                Some(204) => {}
                other => return Err(format!("the call that is still there cannot be erased: {other:?}")),
            },
            Going::Done => {}
            Going::Due => self.until_gone(address).await?,
        }
        for of in ["", "/events", "/transcript"] {
            let path = self.path() + of;
            match http::ask("GET", &address.to_string(), &path).await {
                Some((404, _)) => {}
                other => return Err(format!("{path} of a call that is gone: {other:?}")),
            }
        }
        if get(address, &format!("/v1/deliveries?call_sid={}", self.call)).await.contains("dlv_") {
            return Err("deliveries of a call that is gone".to_owned());
        }
        let stay_events = events_of(address, &self.stays).await;
        if stay_events == self.stay_events { Ok(()) } else { Err("the call that stays has other events".to_owned()) }
    }

    /// Looks at what a bridge that ended has left, behind [`Leaving::check`].
    pub(crate) fn check_traces(&self, data: &Path, receiver: &Receiver) -> Result<(), String> {
        if receiver.posts_of(&self.call) != self.posts {
            return Err("events of the call came again".to_owned());
        }
        let ulid = self.session.trim_start_matches("ses_");
        if let Some(name) = files(&data.join("spool")).into_iter().find(|name| name.contains(ulid)) {
            return Err(format!("audio of the call is left: {name}"));
        }
        for name in files(data).iter().filter(|name| name.starts_with("bridge.sqlite")) {
            let bytes = std::fs::read(data.join(name)).unwrap();
            for trace in [&self.session, &self.call] {
                if bytes.windows(trace.len()).any(|part| part == trace.as_bytes()) {
                    return Err(format!("{trace} stands in {name} still"));
                }
            }
        }
        Ok(())
    }

    async fn until_gone(&self, address: SocketAddr) -> Result<(), String> {
        let gone = async {
            while http::ask("GET", &address.to_string(), &self.path()).await.is_none_or(|(status, _)| status != 404) {
                tokio::time::sleep(ASK_EVERY).await;
            }
        };
        tokio::time::timeout(PATIENCE, gone).await.map_err(|_| "a call that is old enough does not go".to_owned())
    }

    fn path(&self) -> String {
        format!("/v1/calls/{}", self.call)
    }
}

/// Waits until a call is over and no delivery of it is left to be made.
pub(crate) async fn until_over(address: SocketAddr, receiver: &Receiver, call: &str) -> Result<(), String> {
    if !receiver.until_completed(&BTreeSet::from([call.to_owned()]), PATIENCE).await.is_empty() {
        return Err(format!("no call.completed came for {call}"));
    }
    let path = format!("/v1/deliveries?limit=100&call_sid={call}");
    let delivered = async {
        loop {
            let page: Value = serde_json::from_str(&get(address, &path).await).unwrap();
            if page["items"].as_array().expect("a page has items").iter().all(|delivery| delivery["state"] == "delivered") {
                return;
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    };
    tokio::time::timeout(PATIENCE, delivered).await.map_err(|_| format!("not all of {call} is delivered"))
}

/// Gives a session audio, as a kill between a call's end and the removing of its audio leaves it.
fn leave_audio(data: &Path, session: &str) {
    let name = format!("{}-0-inbound-{:016x}.spool", session.trim_start_matches("ses_"), 0);
    std::fs::write(data.join("spool").join(name), [0x55; 4096]).unwrap();
}

/// The names in a folder.
fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.filter_map(|entry| entry.unwrap().file_name().into_string().ok()).collect()
}

async fn events_of(address: SocketAddr, call: &str) -> String {
    get(address, &format!("/v1/calls/{call}/events")).await
}

async fn get(address: SocketAddr, path: &str) -> String {
    http::get(&address.to_string(), path).await.expect("the bridge answers")
}
