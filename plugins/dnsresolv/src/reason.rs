//! Why a name has no address, in fixed words (`docs/measurements/dnsresolv.md`).

use std::io;

/// A reason, those first that explain least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// No server answered in time.
    Timeout,
    /// This machine could not ask; with the system's number of the error.
    System(i32),
    /// This machine has no route to a server.
    NoRoute,
    /// No server could be reached.
    Unreachable,
    /// The server ended the TCP connection without an answer.
    Closed,
    /// An answer over UDP was cut off, and TCP did not give the whole of it.
    Truncated,
    /// An answer could not be read.
    BadAnswer,
    /// The server answered with an error that is none of the next two, or does not resolve names.
    ServerError,
    /// The server answered REFUSED.
    ServerRefused,
    /// The server answered SERVFAIL.
    ServerFailure,
    /// The server answered NXDOMAIN.
    NoName,
    /// The name exists and has no address of this family.
    NoAddress,
    /// No host has any of its addresses.
    NoUsableAddress,
    /// DNS cannot be asked for this.
    BadName,
}

impl Reason {
    /// The fixed words.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Reason::Timeout => "time-out",
            Reason::System(_) => "system error",
            Reason::NoRoute | Reason::Unreachable => "unreachable",
            Reason::Closed => "connection closed",
            Reason::Truncated => "truncated",
            Reason::BadAnswer => "bad answer",
            Reason::ServerError => "server error",
            Reason::ServerRefused => "server refused",
            Reason::ServerFailure => "server failure",
            Reason::NoName => "no such name",
            Reason::NoAddress => "no address",
            Reason::NoUsableAddress => "no usable address",
            Reason::BadName => "not a name",
        }
    }

    /// Whether it is known of the name, so that asking again is no use.
    pub(crate) fn is_of_the_name(self) -> bool {
        self >= Reason::NoName
    }

    /// Whether the same server will hardly say otherwise soon.
    pub(crate) fn is_of_the_server(self) -> bool {
        self >= Reason::BadAnswer
    }

    /// What the system said, for people.
    pub(crate) fn detail(self) -> Option<String> {
        match self {
            Reason::System(number) => Some(io::Error::from_raw_os_error(number).to_string()),
            _ => None,
        }
    }
}

impl From<io::Error> for Reason {
    fn from(error: io::Error) -> Reason {
        use io::ErrorKind as Kind;
        match error.kind() {
            Kind::NetworkUnreachable | Kind::NetworkDown => Reason::NoRoute,
            Kind::ConnectionRefused | Kind::HostUnreachable => Reason::Unreachable,
            Kind::ConnectionReset
            | Kind::ConnectionAborted
            | Kind::BrokenPipe
            | Kind::NotConnected
            | Kind::UnexpectedEof => Reason::Closed,
            Kind::TimedOut => Reason::Timeout,
            _ => Reason::System(error.raw_os_error().unwrap_or_default()),
        }
    }
}
