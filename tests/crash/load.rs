//! Calls that come and go, several at once, whatever becomes of the bridge.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{sync::watch, task::JoinSet};

use crate::{
    chance::Chance,
    phone::{self, Farewell, Spoken},
};

/// Lines that are used at once.
const LINES: u64 = 5;

/// A load that runs until it is stopped.
pub(crate) struct Load {
    lines: JoinSet<()>,
    bridge: watch::Sender<Option<SocketAddr>>,
    spoken: Arc<Mutex<Vec<Spoken>>>,
}

impl Load {
    /// Lines whose calls are named by the prefix, the line and a count.
    pub(crate) fn start(prefix: &str, seed: u64) -> Self {
        let (bridge, address) = watch::channel(None);
        let spoken: Arc<Mutex<Vec<Spoken>>> = Arc::default();
        let mut lines = JoinSet::new();
        for line in 0..LINES {
            let (prefix, address, spoken) = (format!("{prefix}{line}n"), address.clone(), Arc::clone(&spoken));
            lines.spawn(use_line(prefix, Chance::new(seed ^ (line + 1) << 32), address, spoken));
        }
        Self { lines, bridge, spoken }
    }

    /// Where the bridge is now; `None` while there is none.
    pub(crate) fn tell(&self, address: Option<SocketAddr>) {
        self.bridge.send_replace(address);
    }

    /// Lets the calls on the line end; what was said in all calls.
    pub(crate) async fn stop(self) -> Vec<Spoken> {
        let Self { mut lines, bridge, spoken } = self;
        drop(bridge);
        while let Some(line) = lines.join_next().await {
            line.unwrap();
        }
        Arc::into_inner(spoken).expect("no line is left").into_inner().unwrap()
    }
}

async fn use_line(
    prefix: String,
    mut chance: Chance,
    mut bridge: watch::Receiver<Option<SocketAddr>>,
    spoken: Arc<Mutex<Vec<Spoken>>>,
) {
    for number in 0_u64.. {
        tokio::time::sleep(Duration::from_millis(chance.below(400))).await;
        let Ok(address) = bridge.wait_for(Option::is_some).await.map(|address| *address) else { return };
        let farewell = if chance.percent(10) { Farewell::Vanish } else { Farewell::Stop };
        let (address, call) = (address.expect("it was waited for"), format!("{prefix}{number}"));
        let said = phone::play(address, &call, chance.of(500..6000), farewell).await;
        spoken.lock().unwrap().push(said);
        if bridge.has_changed().is_err() {
            return;
        }
    }
}
