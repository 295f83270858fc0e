//! A speech service for tests of whatever has to do with one.

use super::*;

impl Upstream {
    /// Whoever listens at this address, asked for nothing but the usual.
    pub(crate) fn at(url: &str) -> Self {
        Self {
            url: url.parse().unwrap(),
            api_key: None,
            parameters: Parameters::default(),
            settings: Arc::default(),
            dialler: Arc::new(Dialler::trusting(Reach::Anywhere, rustls::RootCertStore::empty())),
            metrics: Arc::default(),
            batch: None,
            leaving: Leaving::default(),
        }
    }
}
