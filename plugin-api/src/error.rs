//! The error a plugin returns, and who is to blame for it.

use std::fmt;

/// A result whose error is a plugin's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

crate::variants! {
    /// Who failed, and how far the failure reaches.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    #[non_exhaustive]
    pub enum ErrorKind {
        /// The plugin declined: it ran as designed and says that it cannot do this (an option that
        /// makes no sense, a target it cannot handle, a system call that failed).
        Declined,
        /// The plugin panicked. Its guard turned the panic into this error.
        Panicked,
        /// One side broke the contract, such as a plugin that asks for a kind of connection which
        /// does not exist.
        Contract,
    }
}

/// What went wrong, in words for the person who runs the measurement.
///
/// Any `std::error::Error` converts into it, so `?` works in every function of a plugin. To allow
/// that, it does not itself implement `std::error::Error`.
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

impl Error {
    /// The plugin declines, for the reason given.
    pub fn new(message: impl fmt::Display) -> Error {
        Error::of(ErrorKind::Declined, message)
    }

    /// An error of a given kind.
    pub fn of(kind: ErrorKind, message: impl fmt::Display) -> Error {
        Error { kind, message: message.to_string() }
    }

    /// A broken contract: what was demanded and what was found.
    pub fn contract(message: impl fmt::Display) -> Error {
        Error::of(ErrorKind::Contract, message)
    }

    /// Who failed.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The reason, without the kind.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ErrorKind::Declined => f.write_str(&self.message),
            ErrorKind::Panicked => write!(f, "panicked: {}", self.message),
            ErrorKind::Contract => write!(f, "broke the contract: {}", self.message),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Error {
        Error::new(error)
    }
}
