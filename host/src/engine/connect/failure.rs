//! The reasons of a failure, in fixed words.

use std::io;

use pathspider_plugin_api::{Outcome, State};

/// The outcome of a connection that failed: its state, and `spdr_error` in fixed words.
pub(super) fn outcome(error: &io::Error) -> Outcome {
    let word = word(error);
    let state = if word == "timeout" { State::Timeout } else { State::Failed };
    Outcome::new(state).with("spdr_error", pathspider_plugin_api::Value::text(word))
}

/// The word for a reason.
fn word(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::ECONNREFUSED) => "refused",
        Some(libc::ECONNRESET | libc::EPIPE) => "reset",
        Some(libc::ETIMEDOUT) => "timeout",
        Some(libc::EHOSTUNREACH | libc::ENETUNREACH | libc::EHOSTDOWN | libc::ENETDOWN) => {
            "unreachable"
        }
        Some(libc::EPROTO | libc::ENOPROTOOPT) => "protocol_error",
        Some(libc::EACCES | libc::EPERM) => "prohibited",
        Some(libc::EADDRNOTAVAIL | libc::EADDRINUSE) => "no_local_port",
        Some(libc::EAFNOSUPPORT) => "no_address_family",
        Some(libc::EMFILE | libc::ENFILE) => "no_descriptor",
        Some(libc::ENOBUFS | libc::ENOMEM) => "no_memory",
        Some(libc::EMSGSIZE) => "too_large",
        _ => match error.kind() {
            io::ErrorKind::TimedOut => "timeout",
            io::ErrorKind::UnexpectedEof => "closed",
            io::ErrorKind::InvalidData => "bad_response",
            _ => "failed",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_follow_the_reason() {
        let of = |code| outcome(&io::Error::from_raw_os_error(code));
        assert_eq!(of(libc::ETIMEDOUT).state(), State::Timeout);
        assert_eq!(of(libc::ECONNREFUSED).state(), State::Failed);
        assert_eq!(of(libc::ECONNREFUSED).failure(), Some("refused"));
        assert_eq!(of(libc::ENETUNREACH).failure(), Some("unreachable"));
    }
}
