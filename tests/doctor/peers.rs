//! The peers that a doctor asks, well or not, on real sockets of this machine.

use std::{
    io::{Read, Write},
    net::TcpListener as StdListener,
    sync::Arc,
    time::Duration,
};

use pulse_bridge::{
    emulate::{Auth, Emulator, Faults},
    receive,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{net::TcpListener, runtime::Runtime, sync::mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// The signing secret of every endpoint.
pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A runtime on which they are served until it is dropped.
pub(crate) struct Peers {
    runtime: Runtime,
}

impl Peers {
    pub(crate) fn new() -> Self {
        Self { runtime: Runtime::new().unwrap() }
    }

    /// A speech service; its address.
    pub(crate) fn speech(&self, auth: Auth, faults: Faults) -> String {
        let listener = self.listener();
        let address = format!("ws://{}/waves/v1/stt/live", listener.local_addr().unwrap());
        let emulator = Emulator { auth, faults, ..Emulator::default() };
        self.runtime.spawn(pulse_bridge::emulate::serve(listener, emulator, CancellationToken::new()));
        address
    }

    /// A receiver that knows this secret and fails so; its address, and what it takes.
    pub(crate) fn receiver(&self, secret: &str, fail: &str) -> (String, mpsc::Receiver<receive::Received>) {
        let listener = self.listener();
        let address = format!("http://{}/hooks", listener.local_addr().unwrap());
        let (sender, received) = mpsc::channel(16);
        let fail = if fail.is_empty() { receive::Fail::default() } else { fail.parse().unwrap() };
        let settings = receive::Settings { secrets: vec![secret.into()], fail };
        self.runtime.spawn(receive::serve(listener, settings, sender, CancellationToken::new()));
        (address, received)
    }

    /// A speech service behind a certificate that no authority has signed; its address.
    pub(crate) fn untrusted(&self) -> String {
        let listener = self.listener();
        let port = listener.local_addr().unwrap().port();
        let pem = include_bytes!("../../src/net/tests/localhost.pem");
        let (certificate, key) = (CertificateDer::from_pem_slice(pem).unwrap(), PrivateKeyDer::from_pem_slice(pem).unwrap());
        let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let acceptor = TlsAcceptor::from(Arc::new(builder.with_single_cert(vec![certificate], key).unwrap()));
        self.runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // The client ends it when it has seen the certificate.
                let _ = acceptor.accept(stream).await;
            }
        });
        format!("wss://localhost:{port}/live")
    }

    fn listener(&self) -> TcpListener {
        self.runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap()
    }
}

/// Answers everybody with these lines of a header and this body; host and port.
pub(crate) fn answering(head: &str, body: &str) -> String {
    let (head, length) = (head.replace('\n', "\r\n"), body.len());
    let answer = format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            // What did not come in time comes to nobody.
            let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
            let _ = stream.read(&mut request);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

/// Takes connections and never says anything; host and port, for as long as the listener is kept.
pub(crate) fn silent() -> (String, StdListener) {
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    (listener.local_addr().unwrap().to_string(), listener)
}

/// Host and port at which nobody listens.
pub(crate) fn nobody() -> String {
    silent().0
}
