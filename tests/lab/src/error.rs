//! Owns the one error type of the lab: what was being done, to what, and why it failed.

use std::io;

/// Why the lab could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system refused an operation.
    #[error("cannot {action}: {source}")]
    Io {
        /// The operation and its subject, as the rest of a sentence that begins with "cannot".
        action: String,
        /// What the system said.
        source: io::Error,
    },
    /// A program the lab runs is not installed.
    #[error(
        "`{tool}` is not installed; on Debian it is in the package {package}: apt-get install {package}"
    )]
    MissingTool {
        /// The program's name.
        tool: String,
        /// The Debian package that holds it.
        package: &'static str,
    },
    /// A program the lab ran reported failure.
    #[error("`{command}` failed ({status}): {message}")]
    Tool {
        /// The command line.
        command: String,
        /// Its exit status, in words.
        status: String,
        /// What it wrote to standard error.
        message: String,
    },
    /// Neither root nor a user namespace is available.
    #[error("the lab may not make network namespaces here: {0}")]
    Privilege(String),
    /// The command line names what is not there, or a file of paths that is wrong.
    #[error("{subject}: {message}")]
    Usage {
        /// What it names, perhaps with a line.
        subject: String,
        /// What is wrong with it.
        message: String,
    },
    /// Something says what cannot be.
    #[error("{subject}: {message}")]
    Invalid {
        /// The file or option.
        subject: String,
        /// What is wrong with it.
        message: String,
    },
}

/// The lab's result type.
pub type Result<T> = std::result::Result<T, Error>;

/// Gives a system error the operation it belongs to.
pub(crate) trait Context<T> {
    /// Turns the error into [`Error::Io`]; `action` continues "cannot …".
    fn context<S: Into<String>>(self, action: impl FnOnce() -> S) -> Result<T>;
}

impl<T, E: Into<io::Error>> Context<T> for std::result::Result<T, E> {
    fn context<S: Into<String>>(self, action: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|source| Error::Io { action: action().into(), source: source.into() })
    }
}

impl Error {
    /// Says what is wrong with what the command line names.
    pub(crate) fn usage(subject: impl Into<String>, message: impl Into<String>) -> Self {
        Error::Usage { subject: subject.into(), message: message.into() }
    }

    /// Says what is wrong with a file or an option.
    pub(crate) fn invalid(subject: impl Into<String>, message: impl Into<String>) -> Self {
        Error::Invalid { subject: subject.into(), message: message.into() }
    }
}
