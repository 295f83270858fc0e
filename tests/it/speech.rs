//! A speech service that can be killed like a process and started again at the same address.

use std::{
    net::SocketAddr,
    sync::{LazyLock, Mutex},
    time::{Duration, Instant},
};

use pulse_bridge::{
    clock,
    emulate::{Auth, Emulator, Faults, HeardLog, Script},
};
use tokio::{net::TcpListener, runtime, sync::oneshot, task::spawn_blocking};
use tokio_util::sync::CancellationToken;

use crate::stage::all_fixtures;

/// Its tasks end at their next await, which is at once.
const DEATH: Duration = Duration::from_secs(10);

/// Every fixture. Made once: the index over all recordings takes its time.
pub(crate) async fn script() -> Script {
    static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::of_fixtures(&all_fixtures()));
    spawn_blocking(|| SCRIPT.clone()).await.expect("the fixtures are whole")
}

/// The emulator on a runtime of its own, which dies with every socket that it has.
pub(crate) struct Speech {
    pub address: SocketAddr,
    /// What was heard in all of its lives.
    pub heard: HeardLog,
    /// When that log began.
    began: Instant,
    script: Script,
    life: Mutex<Option<runtime::Runtime>>,
    stopped: CancellationToken,
}

impl Speech {
    /// Any free port.
    pub(crate) async fn start(faults: Faults) -> Self {
        let script = script().await;
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let (life, stopped) = (Mutex::default(), CancellationToken::new());
        let mut speech = Self { address, heard: HeardLog::default(), began: clock::now(), script, life, stopped };
        speech.address = speech.live(faults).await;
        speech
    }

    /// Begins another life at the same address, with faults of its own.
    pub(crate) async fn live(&self, faults: Faults) -> SocketAddr {
        let life = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let emulator = Emulator { speech: self.script.clone().into(), faults, auth: Auth::AnyKey, log: self.heard.clone() };
        let (bound, address) = oneshot::channel();
        let (at, stopped) = (self.address, self.stopped.clone());
        life.spawn(async move {
            let listener = TcpListener::bind(at).await.expect("its port is free");
            bound.send(listener.local_addr().unwrap()).expect("somebody waits for it");
            pulse_bridge::emulate::serve(listener, emulator, stopped).await
        });
        let before = self.life.lock().unwrap().replace(life);
        assert!(before.is_none(), "it has one life at a time");
        address.await.expect("it listens")
    }

    /// Kills it: the listener and all sockets are gone when this returns, without a word to anybody.
    pub(crate) async fn kill(&self) {
        let life = self.life.lock().unwrap().take();
        if let Some(life) = life {
            spawn_blocking(move || life.shutdown_timeout(DEATH)).await.expect("it dies");
        }
    }

    /// So long after it was killed its port takes every connection and drops it; when each came, in milliseconds since the log began.
    pub(crate) async fn stay_dead(&self, time: Duration) -> Vec<u64> {
        let listener = TcpListener::bind(self.address).await.expect("its port is free");
        let mut came = Vec::new();
        let turning_away = async {
            while let Ok(dial) = listener.accept().await {
                came.push(u64::try_from((clock::now() - self.began).as_millis()).unwrap());
                drop(dial);
            }
        };
        let _ = tokio::time::timeout(time, turning_away).await;
        came
    }

    /// Tells it to stop politely.
    pub(crate) fn stop(&self) {
        self.stopped.cancel();
    }
}

impl Drop for Speech {
    fn drop(&mut self) {
        if let Some(life) = self.life.get_mut().ok().and_then(Option::take) {
            life.shutdown_background();
        }
    }
}
