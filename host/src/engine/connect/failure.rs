//! The reasons of a failure: the fixed words of `spdr_error`, which `docs/records.md` explains.

use std::error::Error;
use std::io;

use pathspider_plugin_api::{Outcome, State, Value};

use crate::job::Refusal;

/// Why a connection failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    Refused,
    Reset,
    Closed,
    Timeout,
    Unreachable,
    ProtocolError,
    /// With the alert's number (RFC 8446, section 6).
    TlsAlert(u8),
    TlsError,
    BadResponse,
    NoProtocol,
    NoVersion,
    QuicError,
    Prohibited,
    NotSupported,
    NoLocalPort,
    NoAddressFamily,
    NoDescriptor,
    NoMemory,
    TooLarge,
    /// Courtesy forbids the address.
    NotAllowed(Refusal),
    Other,
}

impl Failure {
    /// The word in records.
    pub(super) fn word(self) -> &'static str {
        match self {
            Failure::Refused => "refused",
            Failure::Reset => "reset",
            Failure::Closed => "closed",
            Failure::Timeout => "timeout",
            Failure::Unreachable => "unreachable",
            Failure::ProtocolError => "protocol_error",
            Failure::TlsAlert(_) => "tls_alert",
            Failure::TlsError => "tls_error",
            Failure::BadResponse => "bad_response",
            Failure::NoProtocol => "no_protocol",
            Failure::NoVersion => "no_version",
            Failure::QuicError => "quic_error",
            Failure::Prohibited => "prohibited",
            Failure::NotSupported => "not_supported",
            Failure::NoLocalPort => "no_local_port",
            Failure::NoAddressFamily => "no_address_family",
            Failure::NoDescriptor => "no_descriptor",
            Failure::NoMemory => "no_memory",
            Failure::TooLarge => "too_large",
            Failure::NotAllowed(refusal) => refusal.word(),
            Failure::Other => "failed",
        }
    }

    /// The connection's state for this reason.
    pub(super) fn state(self) -> State {
        if self == Failure::Timeout { State::Timeout } else { State::Failed }
    }

    /// The outcome of a connection that has nothing but this failure.
    pub(super) fn outcome(self) -> Outcome {
        Outcome::new(self.state()).with("spdr_error", Value::text(self.word()))
    }

    fn from_code(code: i32) -> Failure {
        match code {
            libc::ECONNREFUSED => Failure::Refused,
            libc::ECONNRESET | libc::EPIPE => Failure::Reset,
            libc::ETIMEDOUT => Failure::Timeout,
            // The last one is the kernel's word for a host that is isolated (RFC 1122, 3.2.2.1).
            libc::EHOSTUNREACH
            | libc::ENETUNREACH
            | libc::EHOSTDOWN
            | libc::ENETDOWN
            | libc::ENONET => Failure::Unreachable,
            libc::EPROTO | libc::ENOPROTOOPT => Failure::ProtocolError,
            libc::EACCES | libc::EPERM => Failure::Prohibited,
            libc::EOPNOTSUPP | libc::EPROTONOSUPPORT => Failure::NotSupported,
            // A datagram socket gets the last one.
            libc::EADDRNOTAVAIL | libc::EADDRINUSE | libc::EAGAIN => Failure::NoLocalPort,
            libc::EAFNOSUPPORT => Failure::NoAddressFamily,
            libc::EMFILE | libc::ENFILE => Failure::NoDescriptor,
            libc::ENOBUFS | libc::ENOMEM => Failure::NoMemory,
            libc::EMSGSIZE => Failure::TooLarge,
            _ => Failure::Other,
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        Failure::NotAllowed(refusal)
    }
}

impl From<&rustls::Error> for Failure {
    fn from(error: &rustls::Error) -> Failure {
        match error {
            rustls::Error::AlertReceived(alert) => Failure::TlsAlert((*alert).into()),
            _ => Failure::TlsError,
        }
    }
}

impl From<&io::Error> for Failure {
    fn from(error: &io::Error) -> Failure {
        if let Some(code) = error.raw_os_error() {
            return Failure::from_code(code);
        }
        if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return tls.into();
        }
        match error.kind() {
            io::ErrorKind::TimedOut => Failure::Timeout,
            io::ErrorKind::UnexpectedEof => Failure::Closed,
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Failure::Reset,
            io::ErrorKind::InvalidData => Failure::BadResponse,
            io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse => Failure::NoLocalPort,
            _ => Failure::Other,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::from(&error)
    }
}

impl From<hyper::Error> for Failure {
    /// The system's or TLS's reason behind hyper's error, where there is one.
    fn from(error: hyper::Error) -> Failure {
        let mut source = error.source();
        while let Some(inner) = source {
            let http2 = inner.downcast_ref::<h2::Error>().and_then(h2::Error::get_io);
            if let Some(io) = inner.downcast_ref::<io::Error>().or(http2) {
                return io.into();
            }
            source = inner.source();
        }
        if error.is_incomplete_message() || error.is_closed() {
            Failure::Closed
        } else {
            Failure::BadResponse
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_follow_the_reason() {
        let of = |code| Failure::from(io::Error::from_raw_os_error(code));
        assert_eq!(of(libc::ETIMEDOUT).state(), State::Timeout);
        assert_eq!(of(libc::ECONNREFUSED).state(), State::Failed);
        assert_eq!(of(libc::ECONNREFUSED), Failure::Refused);
        assert_eq!(of(libc::ENETUNREACH), Failure::Unreachable);
        let without_code = io::Error::from(io::ErrorKind::AddrNotAvailable);
        assert_eq!(Failure::from(without_code), of(libc::EADDRNOTAVAIL));
    }

    #[test]
    fn alerts_are_told_from_other_errors_of_tls() {
        let of = |error| Failure::from(io::Error::new(io::ErrorKind::InvalidData, error));
        let alert = rustls::AlertDescription::HandshakeFailure;
        assert_eq!(of(rustls::Error::AlertReceived(alert)), Failure::TlsAlert(40));
        assert_eq!(of(rustls::Error::DecryptError), Failure::TlsError);
    }

    #[test]
    fn every_word_is_explained() {
        use Failure::*;
        let page = include_str!("../../../../docs/records.md");
        let mut words = Vec::new();
        for failure in [
            Refused,
            Reset,
            Closed,
            Timeout,
            Unreachable,
            ProtocolError,
            TlsAlert(0),
            TlsError,
            BadResponse,
            NoProtocol,
            NoVersion,
            QuicError,
            Prohibited,
            NotSupported,
            NoLocalPort,
            NoAddressFamily,
            NoDescriptor,
            NoMemory,
            TooLarge,
            NotAllowed(Refusal::Blocklist),
            NotAllowed(Refusal::Special),
            Other,
        ] {
            let word = failure.word();
            assert!(page.contains(&format!("| `{word}` | ")), "docs/records.md lacks {word}");
            assert!(!words.contains(&word), "{word} twice");
            words.push(word);
        }
    }
}
