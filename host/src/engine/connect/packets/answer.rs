//! What an answer to forged packets comes to: the words that a socket would give.

use std::io;

use pathspider_plugin_api::Outcome;
use pathspider_plugin_api::packet::protocol;

use super::{Failure, answered};
use pathspider_observer::Answer;

/// How a connection ended that got this answer.
pub(super) fn outcome(answer: Answer, number: u8) -> Outcome {
    let error = match answer {
        Answer::Packet => return answered(),
        Answer::Reset if number == protocol::TCP => libc::ECONNREFUSED,
        Answer::Reset => libc::ECONNRESET,
        Answer::Icmp { is_v6: false, kind, code } => of_icmp4(kind, code),
        Answer::Icmp { is_v6: true, kind, code } => of_icmp6(kind, code),
    };
    Failure::from(io::Error::from_raw_os_error(error)).outcome()
}

/// What Linux tells a socket of an ICMP error (RFC 792; RFC 1122, section 3.2.2.1).
fn of_icmp4(kind: u8, code: u8) -> i32 {
    match (kind, code) {
        (3, 2) => libc::ENOPROTOOPT,
        (3, 3) => libc::ECONNREFUSED,
        (3, 4) => libc::EMSGSIZE,
        (3, 5) => libc::EOPNOTSUPP,
        (12, _) => libc::EPROTO,
        // Unreachable for any other reason, and time exceeded.
        _ => libc::EHOSTUNREACH,
    }
}

/// The same of ICMPv6 (RFC 4443, section 3).
fn of_icmp6(kind: u8, code: u8) -> i32 {
    match (kind, code) {
        (1, 1 | 5 | 6) => libc::EACCES,
        (1, 4) => libc::ECONNREFUSED,
        (2, _) => libc::EMSGSIZE,
        (1, 0..7) | (3, _) => libc::EHOSTUNREACH,
        // Parameter problems, and what nobody has defined.
        _ => libc::EPROTO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_sockets() {
        let word = |answer| outcome(answer, protocol::TCP).failure().map(str::to_owned);
        let icmp = |is_v6, kind, code| word(Answer::Icmp { is_v6, kind, code });
        assert_eq!(word(Answer::Packet), None);
        assert_eq!(word(Answer::Reset).as_deref(), Some("refused"));
        for (is_v6, kind, code, expected) in [
            (false, 3, 3, "refused"),
            (false, 3, 13, "unreachable"),
            (false, 3, 5, "not_supported"),
            (false, 3, 8, "unreachable"),
            (false, 11, 0, "unreachable"),
            (false, 12, 0, "protocol_error"),
            (true, 1, 4, "refused"),
            (true, 1, 1, "prohibited"),
            (true, 1, 0, "unreachable"),
            (true, 1, 7, "protocol_error"),
            (true, 2, 0, "too_large"),
            (true, 3, 0, "unreachable"),
            (true, 3, 1, "unreachable"),
            (true, 5, 0, "protocol_error"),
        ] {
            assert_eq!(icmp(is_v6, kind, code).as_deref(), Some(expected), "{kind} {code}");
        }
    }
}
