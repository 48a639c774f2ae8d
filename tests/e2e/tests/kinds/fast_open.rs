//! TCP Fast Open (RFC 7413), as the wire has it.

use std::collections::BTreeMap;

use pathspider_e2e::FlowResult;
use pathspider_lab::scenario::Server;
use serde_json::Value;

use super::failure;
use super::place::{Place, flow, forever, place};

/// The kind of Fast Open's option.
const OPTION: u64 = 34;

fn number(result: &FlowResult, key: &str) -> u64 {
    result.rest.get(key).and_then(Value::as_u64).unwrap_or_else(|| panic!("{key}: {result:?}"))
}

/// Three connections to each target of one network, by one kind, in three runs: a connection may
/// overlap with the next one of its job, and would give it no cookie then.
fn three(place: &Place, kind: &str, network: u8, hold: &str) -> Vec<Vec<FlowResult>> {
    let input: String =
        (1..=20).map(|host| format!("{{\"dip\":\"127.0.{network}.{host}\"}}\n")).collect();
    let arguments = ["--connect", kind, "--fast-open", "--hold", hold, "--timeout", "60"];
    let mut targets: BTreeMap<String, Vec<FlowResult>> = BTreeMap::new();
    for _ in 0..3 {
        let ended = place.connect(&[], &arguments, &input);
        ended.expect(0, &["20 targets"]);
        for record in ended.records() {
            targets.entry(record.dip).or_default().extend(record.flow_results.unwrap());
        }
    }
    targets.into_values().collect()
}

#[test]
fn the_first_asks_for_a_cookie_and_the_others_send_data_on_the_syn() {
    let Some(place) = place("fast-open", &Server::default()) else { return };
    let cases = [
        ("http", 2, "initiation"),
        ("https", 3, "initiation"),
        ("dnstcp", 4, "initiation"),
        ("http", 5, "handshake"),
        ("https", 6, "completion"),
    ];
    for (kind, network, hold) in cases {
        let targets = three(&place, kind, network, hold);
        assert_eq!(targets.len(), 20);
        for results in targets {
            let [first, others @ ..] = results.as_slice() else { panic!("{results:?}") };
            for result in &results {
                assert_eq!(failure(result), (0, "none", "none"), "{kind} {result:?}");
                assert!(result.observed && number(result, "sp") > 0, "{kind}");
                assert_eq!(number(result, "tfo_synkind"), OPTION, "{kind}");
            }
            assert_eq!(number(first, "tfo_synclen"), 0, "{kind} {first:?}");
            assert_eq!(number(first, "tfo_ackclen"), 8, "{kind} {first:?}");
            assert_eq!(number(first, "tfo_dlen"), 0, "{kind}");
            for result in others {
                assert_eq!(number(result, "tfo_synclen"), 8, "{kind} {result:?}");
                let sent = number(result, "tfo_dlen");
                assert!(sent > 20, "{kind} {result:?}");
                let acknowledged = (number(result, "tfo_seq") + 1 + sent) % (1 << 32);
                assert_eq!(number(result, "tfo_ack"), acknowledged, "{kind} {result:?}");
            }
        }
    }
}

#[test]
fn data_on_a_syn_that_nobody_answers_is_a_failure_in_the_handshake() {
    let Some(place) = place("fast-dead", &Server::default()) else { return };
    three(&place, "http", 2, "initiation");
    place.script(
        "nft add table inet t; nft add chain inet t i '{ type filter hook input priority 0; }'; \
         nft add rule inet t i ip daddr 127.0.2.1 tcp dport 80 drop; \
         nft add rule inet t i ip daddr 127.0.2.2 tcp dport 80 reject with tcp reset",
    );
    for (host, hold, expected) in [
        (1, "initiation", (2, "timeout", "connect")),
        (1, "handshake", (2, "timeout", "connect")),
        (2, "handshake", (1, "refused", "connect")),
    ] {
        let input = format!("{{\"dip\":\"127.0.2.{host}\"}}");
        let limit = if expected.0 == 2 { "0.5" } else { "60" };
        let timing = ["--hold", hold, "--times", "2", "--timeout", limit];
        let arguments = [&["--connect", "http", "--fast-open"][..], &timing].concat();
        let ended = place.connect(&[], &arguments, &input);
        let record = ended.records().remove(0);
        for result in record.flow_results.unwrap() {
            assert_eq!(failure(&result), expected, "{result:?}");
            assert!(result.observed && number(&result, "sp") > 0, "{result:?}");
            assert!(number(&result, "tfo_synclen") == 8 || result.config > 0, "{result:?}");
        }
    }
}

#[test]
fn data_on_a_syn_that_is_answered_and_no_more_is_a_failure_after_the_handshake() {
    let Some(place) = place("fast-silent", &Server::default()) else { return };
    let port = place.tcp(|_stream| forever());
    let input = format!("{{\"dip\":\"127.0.0.1\",\"dp\":{port}}}");
    let arguments = ["--connect", "http", "--fast-open", "--timeout", "1"];
    for cookie in [0, 8] {
        let result = flow(&place.connect(&[], &arguments, &input));
        assert_eq!(failure(&result), (2, "timeout", "request"), "{result:?}");
        assert_eq!(number(&result, "tfo_synclen"), cookie, "{result:?}");
    }
}

#[test]
fn without_the_kernels_consent_it_is_not_supported() {
    let Some(place) = place("fast-off", &Server::default()) else { return };
    place.namespace.sysctl("net.ipv4.tcp_fastopen", "0").unwrap();
    let result = place.result("http", 80, &["--fast-open"]);
    assert_eq!(failure(&result), (1, "not_supported", "connect"));
}
