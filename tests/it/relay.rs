//! The line between a bridge and its speech service, with somebody who cuts it.
//!
//! Passes bytes on as they come. A cut resets both sides at once; what was on the way is gone. While the line is away, nobody answers at
//! its port.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use pulse_bridge::emulate::{Auth, Emulator, Faults, HeardLog};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
};
use tokio_util::sync::CancellationToken;

use crate::speech::script;

/// How often a line that comes back tries to get its port again.
const REBIND: Duration = Duration::from_millis(20);

/// See the module.
pub(crate) struct Relay {
    address: SocketAddr,
    open: Arc<Mutex<Vec<CancellationToken>>>,
    away: watch::Sender<bool>,
    others: CancellationToken,
}

impl Relay {
    /// Stands before a speech service of its own, which knows every fixture and misbehaves like this.
    pub(crate) async fn before(faults: Faults) -> Self {
        let others = CancellationToken::new();
        let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = service.local_addr().unwrap();
        let emulator = Emulator { speech: script().await.into(), faults, auth: Auth::AnyKey, log: HeardLog::default() };
        tokio::spawn(pulse_bridge::emulate::serve(service, emulator, others.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (away, is_away) = watch::channel(false);
        let open = Arc::default();
        tokio::spawn(listen(listener, target, Arc::clone(&open), is_away));
        Self { address, open, away, others }
    }

    /// Where the bridge is to dial.
    pub(crate) fn url(&self) -> String {
        format!("ws://{}/waves/v1/stt/live", self.address)
    }

    /// Cuts one of the connections that are open, whichever this number says; says whether there was one.
    pub(crate) fn cut(&self, which: u64) -> bool {
        let mut open = self.open.lock().unwrap();
        open.retain(|pipe| !pipe.is_cancelled());
        let Some(which) = usize::try_from(which).unwrap().checked_rem(open.len()) else { return false };
        open.swap_remove(which).cancel();
        true
    }

    /// Cuts everything; nobody answers from here on.
    pub(crate) fn go_away(&self) {
        self.away.send_replace(true);
        self.open.lock().unwrap().drain(..).for_each(|pipe| pipe.cancel());
    }

    /// Somebody answers again.
    pub(crate) fn come_back(&self) {
        self.away.send_replace(false);
    }

    /// The service goes for good.
    pub(crate) fn end(self) {
        self.others.cancel();
    }
}

async fn listen(
    mut listener: TcpListener,
    target: SocketAddr,
    open: Arc<Mutex<Vec<CancellationToken>>>,
    mut is_away: watch::Receiver<bool>,
) {
    let address = listener.local_addr().unwrap();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((bridge, _)) = accepted else { return };
                let cut = CancellationToken::new();
                open.lock().unwrap().push(cut.clone());
                tokio::spawn(pass(bridge, target, cut));
            }
            gone = async { is_away.wait_for(|away| *away).await.is_ok() } => {
                if !gone {
                    return;
                }
                drop(listener);
                if is_away.wait_for(|away| !*away).await.is_err() {
                    return;
                }
                listener = bound_again(address).await;
            }
        }
    }
}

async fn bound_again(address: SocketAddr) -> TcpListener {
    loop {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        match socket.bind(address).and_then(|()| socket.listen(1024)) {
            Ok(listener) => return listener,
            Err(_) => tokio::time::sleep(REBIND).await,
        }
    }
}

async fn pass(mut bridge: TcpStream, target: SocketAddr, cut: CancellationToken) {
    let Ok(mut service) = TcpStream::connect(target).await else { return };
    let (_, _) = (bridge.set_nodelay(true), service.set_nodelay(true));
    tokio::select! {
        _ = copy_bidirectional(&mut bridge, &mut service) => {}
        () = cut.cancelled() => {
            // No time to linger: a reset, and what was on the way is gone.
            let (_, _) = (bridge.set_zero_linger(), service.set_zero_linger());
        }
    }
    cut.cancel();
}
