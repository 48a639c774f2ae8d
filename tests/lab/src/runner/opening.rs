//! Owns measuring by SYNs that nobody goes on with (`--connect syn`): the arguments of such a run, and
//! what of a path's truth it can find.

use crate::scenario::Expectation;

/// Beginnings of conditions that data show, or a connection that has begun.
const OF_DATA: [&str; 9] = [
    "accecn.ace.",
    "accecn.ce.counted",
    "accecn.ce.not_counted",
    "accecn.data.",
    "accecn.option.",
    "ecn.ce.",
    "ecn.ipmark.",
    "tcpext.data.",
    "tfo.syndata.",
];

/// The arguments of a run, with SYNs in place of connections.
pub(super) fn arguments(usual: &[String]) -> Vec<String> {
    let mut arguments = usual.to_vec();
    match arguments.iter().position(|argument| argument == "--connect") {
        Some(at) if at + 1 < arguments.len() => arguments[at + 1] = "syn".into(),
        _ => arguments.extend(["--connect", "syn"].map(str::to_owned)),
    }
    arguments
}

/// Whether a condition is of the handshake.
pub(super) fn is_seen(condition: &str) -> bool {
    !OF_DATA.iter().any(|beginning| condition.starts_with(beginning))
}

/// What is to be found; `None` where the path is of data alone.
pub(super) fn expected(expectation: &Expectation) -> Option<Vec<String>> {
    let all = expectation.syn.as_ref().unwrap_or(&expectation.conditions);
    let seen: Vec<String> = all.iter().filter(|one| is_seen(one)).cloned().collect();
    (!seen.is_empty()).then_some(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syns_take_the_place_of_what_was_asked_for() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(arguments(&words("--connect http --ce")), words("--connect syn --ce"));
        assert_eq!(arguments(&words("--timeout 3")), words("--timeout 3 --connect syn"));
    }

    #[test]
    fn a_path_of_data_alone_is_left_out() {
        let of = |conditions: &[&str]| {
            let conditions = conditions.iter().map(ToString::to_string).collect();
            expected(&Expectation { conditions, arguments: None, syn: None })
        };
        assert_eq!(of(&["tcpext.data.long.connectivity.works"]), None);
        let found = of(&["tfo.connectivity.works", "tfo.syndata.acked"]).unwrap();
        assert_eq!(found, ["tfo.connectivity.works"]);
    }
}
