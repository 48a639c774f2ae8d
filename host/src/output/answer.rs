//! What was found at one target, in sentences for people who asked for it on a terminal.

use std::fmt::Write;
use std::time::Duration;

use humantime::parse_rfc3339;
use pathspider_plugin_api::{Class, ConditionInfo, Record, State, Value, carriage};
use pathspider_records::names;
use pathspider_runtime::text::{of, visible};

use crate::rounds::unfolded;

/// Characters of a text of others that are shown.
const SHOWN: usize = 200;

/// What each reason of a failure means (`docs/records.md`).
const REASONS: [(&str, &str); 28] = [
    ("refused", "the target refused it"),
    ("reset", "the connection was reset"),
    ("closed", "the target closed the connection before it had answered"),
    ("timeout", "nothing conclusive came in time"),
    ("port_unreachable", "nothing listens on the port"),
    ("unreachable", "there is no way to the target"),
    ("net_unreachable", "no way leads to the target's network"),
    ("host_unreachable", "the target cannot be reached in its network"),
    ("admin_prohibited", "a firewall on the path forbids it"),
    ("ttl_exceeded", "the packet went through too many routers"),
    ("protocol_error", "the target does not speak the protocol, or found the packet wrong"),
    ("tls_alert", "the target ended TLS with an alert"),
    ("tls_error", "what came is no TLS, or breaks its rules"),
    ("bad_response", "what came is no response to the request"),
    ("no_version", "the target speaks none of the versions of QUIC that were offered"),
    ("quic_error", "what came breaks the rules of QUIC"),
    ("no_protocol", "the target chose another protocol than HTTP"),
    ("prohibited", "a firewall or a permission forbids it"),
    ("not_supported", "this kernel cannot do it"),
    ("overrun", "the measurement took its packets too slowly, and some were lost"),
    ("no_local_port", "this machine has no free port or no fitting address"),
    ("no_address_family", "this machine does not have the target's version of IP"),
    ("no_descriptor", "this process may open no more sockets"),
    ("no_memory", "this machine has no memory for it"),
    ("too_large", "the packet is larger than the path allows"),
    ("blocklisted", "the address is on the blocklist"),
    ("special_address", "the address is a special-purpose one"),
    ("failed", "it failed"),
];

/// What a connection was doing when it failed.
const PHASES: [(&str, &str); 3] = [
    ("connect", "in the TCP handshake"),
    ("tls", "in the TLS handshake"),
    ("request", "after the request"),
];

/// What says records in sentences.
pub(crate) struct Answers {
    labels: Vec<String>,
    conditions: Vec<ConditionInfo>,
}

impl Answers {
    /// For a measurement's configurations and conditions.
    pub(crate) fn new(labels: Vec<String>, conditions: Vec<ConditionInfo>) -> Answers {
        Answers { labels, conditions }
    }

    /// Writes what a record says: a block, with an empty line after it.
    pub(super) fn write(&self, record: &Record, lines: &mut Vec<u8>) {
        lines.extend_from_slice(self.block(record).as_bytes());
        lines.push(b'\n');
    }

    fn block(&self, record: &Record) -> String {
        let mut text = target(record);
        if let Some(error) = record.str("spdr_error") {
            let _ = write!(text, "\n  the measurement failed: {}", visible(error, SHOWN));
        }
        let given = record.get("conditions").and_then(Value::as_list).unwrap_or_default();
        for condition in given.iter().filter_map(Value::as_str) {
            let (folded, differs) = unfolded(condition).unzip();
            let about = folded.as_deref().unwrap_or(condition);
            let info = self.conditions.iter().find(|info| info.covers(about));
            let condition = visible(condition, SHOWN);
            let _ = match info {
                _ if differs == Some(true) => {
                    write!(text, "\n  ? {condition}: it was not the same in all rounds")
                }
                Some(info) if differs == Some(false) => {
                    let (sign, meaning) = (sign(info.class), visible(&info.meaning, SHOWN));
                    write!(text, "\n  {sign} {condition}: in all rounds, {meaning}")
                }
                Some(info) => {
                    let (sign, meaning) = (sign(info.class), visible(&info.meaning, SHOWN));
                    write!(text, "\n  {sign} {condition}: {meaning}")
                }
                None => write!(text, "\n  ? {condition}"),
            };
        }
        if given.is_empty() && record.str("spdr_error").is_none() {
            text.push_str("\n  nothing can be concluded");
        }
        for line in [translated(record), way(record)].into_iter().flatten() {
            let _ = write!(text, "\n  {line}");
        }
        let flows = record.get("flow_results").and_then(Value::as_list).unwrap_or_default();
        for flow in flows.iter().filter_map(Value::as_record) {
            let number = flow.u64("config").and_then(|n| usize::try_from(n).ok());
            let label = number.and_then(|number| self.labels.get(number));
            let label = label.map_or("connection", String::as_str);
            let _ = write!(text, "\n  {}: {}", visible(label, SHOWN), connection(flow));
        }
        text.push('\n');
        text
    }
}

/// What a class looks like.
pub(crate) fn sign(class: Class) -> char {
    match class {
        Class::Good => '✓',
        Class::Impaired => '✗',
        Class::Absent => '–',
        _ => '?',
    }
}

/// `www.example.org at 198.51.100.7, port 443`.
fn target(record: &Record) -> String {
    let shown = |key| record.str(key).map(|text| visible(text, SHOWN));
    let mut text = match (shown("domain"), shown("dip")) {
        (Some(domain), Some(address)) => format!("{domain} at {address}"),
        (one, other) => one.or(other).unwrap_or_default(),
    };
    if let Some(port) = record.u64("dp") {
        let _ = write!(text, ", port {port}");
    }
    if let Some(round) = record.u64(names::ROUND) {
        let _ = write!(text, ", round {}", round + 1);
    }
    text
}

/// Whether a translator stands between.
fn translated(record: &Record) -> Option<String> {
    let prefix = visible(record.str(names::TRANSLATED)?, SHOWN);
    Some(format!(
        "the address stands for one of IPv4, behind {prefix}: a translator answers for it"
    ))
}

/// From how far the answers came, and what that hints at.
fn way(record: &Record) -> Option<String> {
    let hint = record.get(names::ANSWERED_FROM).and_then(Value::as_record)?;
    let numbers = |key| {
        let list = hint.get(key).and_then(Value::as_list).unwrap_or_default();
        list.iter().filter_map(Value::as_u64).collect::<Vec<u64>>()
    };
    let (ttl, others) = (numbers("ttl"), numbers("other_ttl"));
    let (nearest, farthest) = (*numbers("hops").first()?, *numbers("hops").last()?);
    let hops = routers(nearest, farthest);
    let mut text = format!("the answers came over {hops} (TTL {})", listed(&ttl));
    if others.iter().any(|other| !ttl.contains(other)) {
        let others = listed(&others);
        let _ = write!(text, ", other packets had TTL {others}: another box may have answered");
    }
    if let [fewest, ..] = numbers("prefix_hops")[..] {
        let most = numbers("prefix_hops").last().copied().unwrap_or(fewest);
        let neighbours = routers(fewest, most);
        let _ = write!(
            text,
            ", other targets of its prefix over {neighbours}: one of them may not have answered itself"
        );
    }
    Some(text)
}

fn routers(fewest: u64, most: u64) -> String {
    if fewest == most {
        format!("{fewest} {}", of(fewest, "router", "routers"))
    } else {
        format!("{fewest} to {most} routers")
    }
}

fn listed(numbers: &[u64]) -> String {
    let texts: Vec<String> = numbers.iter().map(u64::to_string).collect();
    texts.join(", ")
}

/// Whether a connection came to a good end.
fn is_ok(flow: &Record) -> bool {
    flow.u64("spdr_state") == Some(State::Ok.number().into())
}

/// Whether the path carried a connection; by its end, where its results do not say.
pub(crate) fn is_carried(flow: &Record) -> bool {
    flow.bool(carriage::CARRIED).unwrap_or_else(|| is_ok(flow))
}

/// How a connection went, why, and what was seen of it.
pub(crate) fn connection(flow: &Record) -> String {
    let mut text = match (is_ok(flow), is_carried(flow)) {
        (true, true) => "it worked".to_owned(),
        (true, false) => "it connected, and the path did not carry what was asked".to_owned(),
        (false, true) => "the path carried it, but it ended badly".to_owned(),
        (false, false) => "it failed".to_owned(),
    };
    if let Some(lasted) = lasted(flow) {
        let _ = write!(text, " after {lasted}");
    }
    if let Some(code) = flow.u64("http_response_code") {
        let _ = write!(text, ", with the status {code}");
    }
    if let Some(reason) = flow.str("spdr_error") {
        let word = reason.split(':').next().unwrap_or(reason);
        let known = REASONS.iter().find(|(known, _)| *known == word);
        let _ = match known {
            Some((_, meaning)) => write!(text, ": {meaning} ({word})"),
            None => write!(text, ": {}", visible(reason, SHOWN)),
        };
        if let Some(icmp) = flow.get(names::ICMP).and_then(Value::as_record)
            && let (Some(from), Some(kind), Some(code)) =
                (icmp.str("from"), icmp.u64("type"), icmp.u64("code"))
        {
            let _ = write!(text, ", says {from} (ICMP type {kind}, code {code})");
        }
        let phase = flow.str("spdr_phase");
        if let Some((_, phase)) = PHASES.iter().find(|(known, _)| Some(*known) == phase) {
            let _ = write!(text, ", {phase}");
        }
    }
    let packets = |key| flow.u64(key);
    match (flow.bool("observed"), packets("pkt_fwd"), packets("pkt_rev")) {
        (Some(false), ..) => text.push_str("; none of its packets was seen"),
        (_, Some(sent), Some(came)) => {
            let noun = of(sent, "packet", "packets");
            let back = match came {
                0 => "none came back".to_owned(),
                came => format!("{came} came back"),
            };
            let _ = write!(text, "; {sent} {noun} sent, {back}");
        }
        _ => {}
    }
    text
}

/// How long a connection lasted.
fn lasted(flow: &Record) -> Option<String> {
    let time = |key| parse_rfc3339(flow.str(key)?).ok();
    let lasted = time("spdr_stop")?.duration_since(time("spdr_start")?).ok()?;
    Some(if lasted < Duration::from_secs(1) {
        format!("{} ms", lasted.as_millis())
    } else {
        format!("{:.1} s", lasted.as_secs_f64())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(config: u64, state: State) -> Record {
        Record::new()
            .with("config", config)
            .with("spdr_state", state.number())
            .with("spdr_start", "2026-11-29T10:00:00.000000Z")
            .with("spdr_stop", "2026-11-29T10:00:00.023000Z")
            .with("observed", true)
    }

    #[test]
    fn a_block_has_target_conclusions_and_evidence() {
        let worked = flow(0, State::Ok).with("pkt_fwd", 6u8).with("pkt_rev", 5u8);
        let failed = flow(1, State::Timeout)
            .with("spdr_stop", "2026-11-29T10:00:05.000000Z")
            .with("spdr_error", "admin_prohibited")
            .with("spdr_phase", "connect")
            .with(
                "spdr_icmp",
                Record::new().with("type", 3u8).with("code", 13u8).with("from", "192.0.2.9"),
            )
            .with("pkt_fwd", 1u8)
            .with("pkt_rev", 0u8);
        let conditions = ["x.connectivity.broken", "x.other:\u{1b}[1m"].into_iter();
        let record = Record::new()
            .with("domain", "www.example.org")
            .with("dip", "192.0.2.1")
            .with("dp", 443u16)
            .with("conditions", conditions.map(Value::from).collect::<Value>())
            .with("flow_results", vec![Value::from(worked), failed.into()]);
        let info = ConditionInfo {
            name: "x.connectivity.broken".into(),
            class: Class::Impaired,
            meaning: "only A came about".into(),
        };
        let answers = Answers::new(vec!["no x".into(), "x".into()], vec![info]);
        assert_eq!(
            answers.block(&record),
            "www.example.org at 192.0.2.1, port 443\n  \
             ✗ x.connectivity.broken: only A came about\n  \
             ? x.other:\\u{1b}[1m\n  \
             no x: it worked after 23 ms; 6 packets sent, 5 came back\n  \
             x: it failed after 5.0 s: a firewall on the path forbids it (admin_prohibited), says \
             192.0.2.9 (ICMP type 3, code 13), in the TCP handshake; 1 packet sent, none came \
             back\n"
        );
    }

    #[test]
    fn where_nobody_says_whether_it_was_carried_the_end_does() {
        for (state, carried, expected) in [
            (State::Ok, None, true),
            (State::Failed, None, false),
            (State::Failed, Some(true), true),
            (State::Ok, Some(false), false),
        ] {
            let flow = Record::new().with("spdr_state", state.number());
            let flow = match carried {
                Some(carried) => flow.with(carriage::CARRIED, carried),
                None => flow,
            };
            assert_eq!(is_carried(&flow), expected, "{state:?} {carried:?}");
        }
    }

    #[test]
    fn a_hint_says_who_may_have_answered() {
        let record = |ttl: &[u8], hops: &[u8], others: &[u8]| {
            let list = |numbers: &[u8]| numbers.iter().copied().collect::<Value>();
            let hint = Record::new()
                .with("ttl", list(ttl))
                .with("hops", list(hops))
                .with("other_ttl", list(others));
            Record::new().with("answered_from", hint)
        };
        assert_eq!(
            way(&record(&[57], &[7], &[57])).unwrap(),
            "the answers came over 7 routers (TTL 57)"
        );
        assert_eq!(
            way(&record(&[63, 64], &[0, 1], &[117, 118])).unwrap(),
            "the answers came over 0 to 1 routers (TTL 63, 64), other packets had TTL 117, 118: \
             another box may have answered"
        );
        let list = [7u8, 9].into_iter().collect::<Value>();
        let mut near = record(&[64], &[0], &[64]);
        if let Some(hint) = near.get("answered_from").and_then(Value::as_record) {
            near = Record::new().with("answered_from", hint.clone().with("prefix_hops", list));
        }
        assert_eq!(
            way(&near).unwrap(),
            "the answers came over 0 routers (TTL 64), other targets of its prefix over 7 to 9 routers: one \
             of them may not have answered itself"
        );
        assert_eq!(way(&Record::new()), None);
        let behind = Record::new().with("translated", "64:ff9b::/96");
        assert!(translated(&behind).unwrap().contains("behind 64:ff9b::/96: a translator"));
    }

    #[test]
    fn failures_are_told() {
        let answers = Answers::new(Vec::new(), Vec::new());
        let record = Record::new().with("dip", "192.0.2.1").with("spdr_error", "plugin: oh");
        assert!(answers.block(&record).ends_with("\n  the measurement failed: plugin: oh\n"));
        let record = Record::new().with("dip", "192.0.2.1");
        assert!(answers.block(&record).ends_with("\n  nothing can be concluded\n"));
        let unseen = flow(0, State::Failed).with("spdr_error", "own: x").with("observed", false);
        assert_eq!(
            connection(&unseen),
            "it failed after 23 ms: own: x; none of its packets was seen"
        );
    }

    #[test]
    fn each_reason_has_a_sentence() {
        let page = include_str!("../../../docs/records.md");
        let (_, section) = page.split_once("### Words of `spdr_error`").unwrap();
        let rows = section.lines().skip_while(|line| !line.starts_with("|--")).skip(1);
        let words: Vec<&str> = rows
            .take_while(|line| line.starts_with("| `"))
            .map(|row| row.split('`').nth(1).unwrap())
            .collect();
        assert!(words.len() > 10);
        for word in words {
            assert!(REASONS.iter().any(|(known, _)| *known == word), "{word}");
        }
    }
}
