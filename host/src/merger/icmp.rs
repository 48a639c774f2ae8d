//! What an ICMP error says of a connection that failed. A socket learns less of it than the wire
//! shows: not who sent it, and not why.

use pathspider_observer::IcmpError;
use pathspider_plugin_api::{Outcome, Record, State, Value};
use pathspider_records::names;

/// The outcome with the error that came back, where the connection failed.
pub(super) fn with_error(outcome: Outcome, error: &IcmpError) -> Outcome {
    if matches!(outcome.state(), State::Ok | State::Skipped) {
        return outcome;
    }
    let outcome = match (outcome.failure(), error.word) {
        (Some(socket), Some(wire)) if is_meant(socket, wire) => {
            outcome.with(names::ERROR, Value::text(wire))
        }
        _ => outcome,
    };
    let IcmpError { kind, code, from, .. } = *error;
    let said = Record::new().with("type", kind).with("code", code).with("from", from);
    outcome.with(names::ICMP, said)
}

/// Whether the reason that a socket gives can be the error that came: then the error's word is the
/// better one.
fn is_meant(socket: &str, wire: &str) -> bool {
    match socket {
        // Without an error, a reset came.
        "refused" => wire == "port_unreachable",
        "unreachable" | "prohibited" => {
            ["net_unreachable", "host_unreachable", "admin_prohibited", "ttl_exceeded"]
                .contains(&wire)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use pathspider_plugin_api::packet::Icmp;

    use super::*;

    fn error(code: u8, word: Option<&'static str>) -> IcmpError {
        IcmpError { kind: 3, code, from: "192.0.2.9".parse().unwrap(), word }
    }

    #[test]
    fn the_wire_says_more_than_the_socket() {
        let failed = |word| Outcome::new(State::Failed).with(names::ERROR, word);
        for (socket, code, wire, word) in [
            ("unreachable", 13, Some("admin_prohibited"), "admin_prohibited"),
            ("unreachable", 0, Some("net_unreachable"), "net_unreachable"),
            ("prohibited", 1, Some("host_unreachable"), "host_unreachable"),
            ("refused", 3, Some("port_unreachable"), "port_unreachable"),
            // Something else ended these.
            ("refused", 1, Some("host_unreachable"), "refused"),
            ("reset", 3, Some("port_unreachable"), "reset"),
            ("unreachable", 99, None, "unreachable"),
        ] {
            let outcome = with_error(failed(socket), &error(code, wire));
            assert_eq!(outcome.failure(), Some(word), "{socket} {code}");
            let said = outcome.record().get(names::ICMP).and_then(Value::as_record).unwrap();
            assert_eq!(
                (said.u64("code"), said.str("from")),
                (Some(code.into()), Some("192.0.2.9"))
            );
        }
    }

    #[test]
    fn each_word_is_explained() {
        let page = include_str!("../../../docs/records.md");
        for (is_v6, kind) in [(false, 3), (false, 11), (false, 12), (true, 1), (true, 2), (true, 3)]
        {
            for code in 0..16 {
                let header = [kind, code, 0, 0, 0, 0, 0, 0];
                let word = Icmp::new(is_v6, &header, &[]).and_then(|icmp| icmp.failure());
                let row = word.map(|word| format!("| `{word}` | "));
                assert!(row.is_none_or(|row| page.contains(&row)), "{word:?}");
            }
        }
    }

    #[test]
    fn a_connection_that_was_made_has_no_error() {
        let outcome = with_error(Outcome::new(State::Ok), &error(1, Some("host_unreachable")));
        assert_eq!(outcome, Outcome::new(State::Ok));
    }
}
