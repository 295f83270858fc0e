//! The one dialler: resolve, filter every address, connect, TLS.
//!
//! Promises: the address that is filtered is the address that is dialled, be it resolved or written in the URL; no secret
//! and no whole URL gets into an error; everything ends at the deadline. TLS is rustls with the system's certificates, or
//! the bundled ones where the system has none.

mod connector;
mod reach;
mod tls;

use std::{io, net::SocketAddr, sync::Arc, time::Instant};

use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout_at,
};
use tokio_rustls::TlsConnector;
use url::{Host, Url};

pub use connector::{Connector, HttpStream};
pub use reach::Reach;
pub use tls::TlsTrouble;

/// A connected stream, plain or TLS.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Why there is no connection. `Display` is short, names the host at most, and holds nothing secret.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Neither `http`, `https`, `ws` nor `wss`, or no host.
    #[error("the URL needs http, https, ws or wss and a host")]
    BadUrl,
    /// The name did not resolve.
    #[error("the name {host} does not resolve")]
    Resolve {
        /// As in the URL.
        host: String,
    },
    /// Every address is private, and this URL may only lead to public ones.
    #[error("{host} leads to a private or reserved address, which is not allowed here")]
    NotPublic {
        /// As in the URL.
        host: String,
    },
    /// No address took the connection.
    #[error("no connection to {host}: {kind}")]
    Connect {
        /// As in the URL.
        host: String,
        /// Of the last address tried.
        kind: io::ErrorKind,
    },
    /// TCP came about, TLS did not.
    #[error("no TLS session with {host}: {reason}")]
    Tls {
        /// As in the URL.
        host: String,
        /// What rustls says, e.g. an unknown issuer.
        reason: String,
        /// The same in a word of ours.
        trouble: TlsTrouble,
    },
    /// The deadline came first.
    #[error("no connection to {host} in time")]
    Timeout {
        /// As in the URL.
        host: String,
    },
}

/// Dials for the speech service and for webhooks. Cheap to clone; clones share the TLS settings.
#[derive(Clone)]
pub struct Dialler {
    reach: Reach,
    tls: Arc<ClientConfig>,
}

impl Dialler {
    /// A dialler that trusts the system's certificate authorities, or the bundled ones if there are none. Reads files: once a process.
    #[must_use]
    pub fn new(reach: Reach) -> Self {
        let mut roots = RootCertStore::empty();
        let (found, unreadable) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        tracing::debug!(found, unreadable, "system certificates");
        if roots.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        Self::trusting(reach, roots)
    }

    /// A dialler that trusts exactly these authorities.
    ///
    /// # Panics
    /// Never: the provider supports the protocol versions of rustls.
    #[must_use]
    pub fn trusting(reach: Reach, roots: RootCertStore) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let tls = builder.expect("the provider supports TLS 1.2 and 1.3").with_root_certificates(roots).with_no_client_auth();
        Self { reach, tls: Arc::new(tls) }
    }

    /// The same with another reach. The speech service's and the webhooks' URLs are the operator's own and may lead anywhere; one that
    /// somebody else gives, with a call or over the API, is dialled with [`Reach::PublicOnly`].
    #[must_use]
    pub fn with_reach(&self, reach: Reach) -> Self {
        Self { reach, tls: Arc::clone(&self.tls) }
    }

    /// A stream to the URL's host, TLS for `https` and `wss`. The path and the rest of the URL are not looked at.
    ///
    /// # Errors
    /// Says which step failed.
    pub async fn connect(&self, url: &Url, deadline: Instant) -> Result<Box<dyn Stream>, DialError> {
        let (Some(host), Some(secure)) = (url.host(), is_secure(url)) else { return Err(DialError::BadUrl) };
        let port = url.port().unwrap_or(if secure { 443 } else { 80 });
        let dialling = async {
            let addresses = self.filtered(&host, resolve(&host, port).await?)?;
            let tcp = connect_in_turn(&host, &addresses, deadline).await?;
            if secure { self.secure(&host, tcp).await } else { Ok(Box::new(tcp) as Box<dyn Stream>) }
        };
        timeout_at(deadline.into(), dialling).await.unwrap_or_else(|_| Err(DialError::Timeout { host: host.to_string() }))
    }

    fn filtered(&self, host: &Host<&str>, mut addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, DialError> {
        addresses.retain(|address| self.reach.allows(address.ip()));
        if addresses.is_empty() { Err(DialError::NotPublic { host: host.to_string() }) } else { Ok(addresses) }
    }

    async fn secure(&self, host: &Host<&str>, tcp: TcpStream) -> Result<Box<dyn Stream>, DialError> {
        let name = match host {
            Host::Domain(name) => ServerName::try_from((*name).to_owned()).map_err(|_| DialError::BadUrl)?,
            Host::Ipv4(address) => ServerName::from(std::net::IpAddr::from(*address)),
            Host::Ipv6(address) => ServerName::from(std::net::IpAddr::from(*address)),
        };
        let session = TlsConnector::from(Arc::clone(&self.tls)).connect(name, tcp).await;
        session.map(|session| Box::new(session) as Box<dyn Stream>).map_err(|error| DialError::Tls {
            host: host.to_string(),
            reason: error.to_string(),
            trouble: TlsTrouble::of_io(&error),
        })
    }
}

fn is_secure(url: &Url) -> Option<bool> {
    match url.scheme() {
        "https" | "wss" => Some(true),
        "http" | "ws" => Some(false),
        _ => None,
    }
}

async fn resolve(host: &Host<&str>, port: u16) -> Result<Vec<SocketAddr>, DialError> {
    match host {
        Host::Ipv4(address) => Ok(vec![SocketAddr::from((*address, port))]),
        Host::Ipv6(address) => Ok(vec![SocketAddr::from((*address, port))]),
        Host::Domain(name) => {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((*name, port)).await.map(Iterator::collect).unwrap_or_default();
            if found.is_empty() { Err(DialError::Resolve { host: (*name).to_owned() }) } else { Ok(found) }
        }
    }
}

/// One address after the other, each with its share of the time left, so that a black hole does not use up the others' turn.
async fn connect_in_turn(host: &Host<&str>, addresses: &[SocketAddr], deadline: Instant) -> Result<TcpStream, DialError> {
    let mut kind = io::ErrorKind::AddrNotAvailable;
    for (index, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(crate::clock::now());
        let others = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        match tokio::time::timeout(left / others, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Without it a small frame waits for the acknowledgement of the one before.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => kind = error.kind(),
            Err(_) => kind = io::ErrorKind::TimedOut,
        }
    }
    Err(DialError::Connect { host: host.to_string(), kind })
}

#[cfg(test)]
mod tests;
