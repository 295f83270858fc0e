//! Why a TLS session did not come about, in a few words of our own.
//!
//! Promises: every rustls error has exactly one kind; a kind's word holds nothing that the peer sent.

use std::{error::Error, fmt, io};

use rustls::{AlertDescription, CertificateError};

/// What was wrong, as an operator would look for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TlsTrouble {
    /// The certificate's time is over.
    Expired,
    /// The certificate's time has not begun, or this machine's clock is wrong.
    NotYetValid,
    /// No authority that is trusted here signed it.
    UnknownIssuer,
    /// It is another host's.
    WrongName,
    /// It was taken back.
    Revoked,
    /// It is wrong in another way.
    BadCertificate,
    /// The peer broke off: no common version or cipher, a client certificate wanted, or something else it did not like.
    Refused,
    /// What came back is no TLS that we understand.
    Handshake,
}

impl TlsTrouble {
    /// The word for a reason and for a label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "tls_expired",
            Self::NotYetValid => "tls_not_yet_valid",
            Self::UnknownIssuer => "tls_unknown_issuer",
            Self::WrongName => "tls_wrong_name",
            Self::Revoked => "tls_revoked",
            Self::BadCertificate => "tls_bad_certificate",
            Self::Refused => "tls_refused",
            Self::Handshake => "tls_handshake",
        }
    }

    /// The kind of what rustls says.
    #[must_use]
    pub fn of(error: &rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidCertificate(why) => Self::of_certificate(why),
            rustls::Error::NoCertificatesPresented | rustls::Error::InvalidCertRevocationList(_) => Self::BadCertificate,
            rustls::Error::AlertReceived(alert) if *alert != AlertDescription::CloseNotify => Self::Refused,
            rustls::Error::PeerIncompatible(_) | rustls::Error::NoApplicationProtocol => Self::Refused,
            _ => Self::Handshake,
        }
    }

    fn of_certificate(why: &CertificateError) -> Self {
        match why {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYetValid,
            CertificateError::UnknownIssuer => Self::UnknownIssuer,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Self::WrongName,
            CertificateError::Revoked => Self::Revoked,
            _ => Self::BadCertificate,
        }
    }

    /// The kind of a handshake's I/O error; one that is no TLS error is a connection that broke off in mid-handshake.
    #[must_use]
    pub fn of_io(error: &io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| (inner as &(dyn Error + 'static)).downcast_ref::<rustls::Error>());
        inner.map_or(Self::Handshake, Self::of)
    }
}

impl fmt::Display for TlsTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use rustls::{InvalidMessage, PeerIncompatible, PeerMisbehaved};

    use super::*;

    #[test]
    fn every_kind_of_failure_has_its_word() {
        let bad = rustls::Error::InvalidCertificate;
        let rows = [
            (bad(CertificateError::Expired), "tls_expired"),
            (bad(CertificateError::NotValidYet), "tls_not_yet_valid"),
            (bad(CertificateError::UnknownIssuer), "tls_unknown_issuer"),
            (bad(CertificateError::NotValidForName), "tls_wrong_name"),
            (bad(CertificateError::Revoked), "tls_revoked"),
            (bad(CertificateError::BadSignature), "tls_bad_certificate"),
            (bad(CertificateError::BadEncoding), "tls_bad_certificate"),
            (rustls::Error::NoCertificatesPresented, "tls_bad_certificate"),
            (rustls::Error::AlertReceived(AlertDescription::HandshakeFailure), "tls_refused"),
            (rustls::Error::AlertReceived(AlertDescription::ProtocolVersion), "tls_refused"),
            (PeerIncompatible::ServerDoesNotSupportTls12Or13.into(), "tls_refused"),
            (rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType), "tls_handshake"),
            (PeerMisbehaved::IllegalMiddleboxChangeCipherSpec.into(), "tls_handshake"),
            (rustls::Error::General("what the peer said".to_owned()), "tls_handshake"),
        ];
        for (error, word) in rows {
            assert_eq!(TlsTrouble::of(&error).as_str(), word, "{error:?}");
            let wrapped = io::Error::new(io::ErrorKind::InvalidData, error);
            assert_eq!(TlsTrouble::of_io(&wrapped).as_str(), word);
        }
        assert_eq!(TlsTrouble::of_io(&io::ErrorKind::UnexpectedEof.into()), TlsTrouble::Handshake);
    }
}
