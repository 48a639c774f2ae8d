//! Conversations: packets of a plugin's own that depend on answers, with real servers, over paths that
//! harm them, and beside conversations that misbehave.

use pathspider_e2e::{Ended, FlowResult, Program, Record, built, network, path};

/// What the tests' plugin is run with, before and after its name.
fn arguments(timeout: &str) -> String {
    let plugins = built("").display().to_string();
    format!("--plugin-dir {plugins} --output-flows talker --timeout {timeout}")
}

/// The flow results of all records, which have this verdict.
fn flows(ended: &Ended, verdict: &str) -> Vec<FlowResult> {
    ended.expect(0, &[]);
    let records = ended.records();
    assert!(!records.is_empty());
    let each = |record: Record| {
        assert_eq!(record.conditions, [format!("talker.connectivity.{verdict}")], "{record:?}");
        record.flow_results.unwrap()
    };
    records.into_iter().flat_map(each).collect()
}

/// A page was asked for and came, and each packet was on the wire as it was meant to be.
fn is_whole(flow: &FlowResult) {
    let rest = &flow.rest;
    assert_eq!((flow.spdr_state, &rest["talk_whole"]), (0, &true.into()), "{flow:?}");
    let (marked, unmarked) = (rest["marks_marked"].as_u64(), rest["marks_unmarked"].as_u64());
    match flow.config {
        0 => assert!(unmarked >= Some(1) && marked == Some(0), "{flow:?}"),
        _ => assert!(marked >= Some(1) && unmarked == Some(0), "{flow:?}"),
    }
    assert_eq!(rest["marks_other"], 0, "{flow:?}");
    assert_eq!(rest["spdr_kind"], "conversation");
}

#[test]
fn two_thousand_at_once_and_none_is_missed() {
    let Some(network) = network(1000, 1000) else { return };
    let before = network.settings();
    let arguments = arguments("30");
    let all: Vec<&str> = ["-w", "2000"].into_iter().chain(arguments.split(' ')).collect();
    let ended = network.measure(&all, &network.jobs("clean"));
    ended.expect(0, &["2000 targets"]);
    let flows = flows(&ended, "works");
    assert_eq!(flows.len(), 4000);
    for flow in &flows {
        is_whole(flow);
        assert!(flow.observed);
        assert_eq!(
            (&flow.rest["tcp_connected"], &flow.rest["marks_syns"]),
            (&true.into(), &1.into())
        );
    }
    assert_eq!(network.settings(), before, "nothing of the machine was changed");
}

/// Whom to ask about the connections over a path.
const CONTACT: &str = "https://measure.example/about";

/// Measures over a path with these rules.
fn over(rules: &str, targets: u16, timeout: &str) -> Option<Ended> {
    let path = path(rules, targets)?;
    let script = format!(
        "exec $PATHSPIDER measure -i lab0 --allow-special --contact {CONTACT} {}",
        arguments(timeout)
    );
    Some(path.script(&script, &path.jobs()))
}

#[test]
fn every_page_comes_over_a_path_that_loses_reorders_repeats_and_delays() {
    let rules = "[[rule]]\nhop = 2\ndirection = 'both'\naction = { delay = { millis = 150 } }\n\
        [[rule]]\nhop = 2\ndirection = 'both'\nprobability = 0.2\naction = 'drop'\n\
        [[rule]]\nhop = 3\ndirection = 'both'\nprobability = 0.1\naction = { duplicate = 1 }\n\
        [[rule]]\nhop = 3\ndirection = 'both'\nprobability = 0.2\n\
        action = { reorder = { behind = 1 } }";
    let Some(ended) = over(rules, 20, "60") else { return };
    flows(&ended, "works").iter().for_each(is_whole);
}

#[test]
fn repeated_syn_acks_are_one_answer() {
    let rules = "[[rule]]\nhop = 2\ndirection = 'reverse'\nmatch = { flags = 'SYN ACK' }\n\
        action = { duplicate = 3 }";
    let Some(ended) = over(rules, 2, "20") else { return };
    for flow in &flows(&ended, "works") {
        is_whole(flow);
        assert_eq!(flow.rest["marks_resets"], 0);
        let asked = flow.rest["talk_request"].as_str().unwrap();
        let agent = format!("pathspider/{} ({CONTACT})", env!("CARGO_PKG_VERSION"));
        assert!(asked.contains(&format!("\r\nUser-Agent: {agent}\r\n")), "{asked}");
    }
}

#[test]
fn icmp_errors_are_shown_with_their_quotes() {
    let rules = "[[rule]]\nhop = 2\nmatch = { data = true }\n\
        action = { icmp = { error = 'admin-prohibited', pass = true } }";
    let Some(ended) = over(rules, 2, "20") else { return };
    for flow in &flows(&ended, "works") {
        is_whole(flow);
        assert!(flow.rest["talk_errors"].as_u64() >= Some(1), "{flow:?}");
        assert!(flow.rest["talk_quoted"].as_u64() >= Some(28), "{flow:?}");
    }
    let rules = "[[rule]]\nhop = 2\nmatch = { flags = 'SYN' }\n\
        action = { icmp = { error = 'host-unreachable' } }";
    let Some(ended) = over(rules, 2, "20") else { return };
    for flow in &flows(&ended, "offline") {
        assert_eq!(flow.rest["spdr_error"], "host_unreachable");
        assert_eq!(
            (&flow.rest["spdr_phase"], &flow.rest["talk_errors"]),
            (&"connect".into(), &1.into())
        );
    }
}

#[test]
fn a_reset_is_told_at_each_point() {
    for (matching, error, phase) in [
        ("flags = 'SYN'", "refused", "connect"),
        ("flags = 'ACK !SYN', data = false", "reset", "request"),
        ("data = true", "reset", "request"),
    ] {
        let rules = format!("[[rule]]\nhop = 2\nmatch = {{ {matching} }}\naction = 'reset'");
        let Some(ended) = over(&rules, 2, "20") else { return };
        for flow in &flows(&ended, "offline") {
            assert_eq!(
                (flow.spdr_state, &flow.rest["spdr_error"]),
                (1, &error.into()),
                "{matching}"
            );
            assert_eq!(flow.rest["spdr_phase"], phase, "{matching}");
            assert_eq!(flow.rest["marks_resets"], 0, "a reset is not reset");
        }
    }
}

#[test]
fn a_target_that_is_silent_takes_the_time_out_and_is_freed_where_it_answered() {
    let Some(ended) = over("[[rule]]\nhop = 2\nmatch = { data = true }\naction = 'drop'", 2, "3")
    else {
        return;
    };
    for flow in &flows(&ended, "offline") {
        assert_eq!((flow.spdr_state, &flow.rest["spdr_error"]), (2, &"timeout".into()));
        assert_eq!(flow.rest["spdr_phase"], "request");
        assert!(flow.rest["marks_resets"].as_u64() >= Some(1), "{flow:?}");
    }
    let Some(ended) = over("[[rule]]\nhop = 2\nmatch = { flags = 'SYN' }\naction = 'drop'", 2, "3")
    else {
        return;
    };
    for flow in &flows(&ended, "offline") {
        assert_eq!(
            (&flow.rest["spdr_phase"], &flow.rest["marks_resets"]),
            (&"connect".into(), &0.into())
        );
        assert_eq!(flow.rest["marks_syns"], 2, "it is repeated after a second");
    }
}

#[test]
fn conversations_that_misbehave_harm_themselves_alone() {
    let Some(network) = network(60, 0) else { return };
    let odd = [
        ("slow", None),
        ("leaves", None),
        ("silent", None),
        ("stuck", Some("did not return within 4 s (--plugin-timeout) (rule blocking)")),
        ("panics", Some("panicked: on purpose")),
        ("elsewhere", Some("and the flow's")),
        ("twice", Some("it opens another connection")),
        ("floods", Some("1001 packets in one turn")),
    ];
    let jobs: String = network
        .jobs("clean")
        .lines()
        .enumerate()
        .map(|(at, line)| match odd.get(at) {
            Some((talk, _)) => line.replace('}', &format!(",\"talk\":\"{talk}\"}}\n")),
            None => line.to_owned() + "\n",
        })
        .collect();
    let arguments = arguments("4");
    let all = ["--plugin-timeout", "4s"].into_iter().chain(arguments.split(' '));
    let ended = network.measure(&all.collect::<Vec<_>>(), &jobs);
    ended.expect(9, &["60 targets"]);
    let records = ended.records();
    assert_eq!(records.len(), 60);
    for record in records {
        let talk = record.rest.get("talk").and_then(|talk| talk.as_str()).map(str::to_owned);
        let Some(talk) = talk else {
            assert_eq!(record.conditions, ["talker.connectivity.works"], "{record:?}");
            record.flow_results.unwrap().iter().for_each(is_whole);
            continue;
        };
        let (_, reason) = odd.iter().find(|(name, _)| *name == talk).unwrap();
        match (reason, &record.spdr_error) {
            (Some(reason), Some(error)) => assert!(error.contains(reason), "{talk}: {error}"),
            (None, None) => {}
            _ => panic!("{talk}: {record:?}"),
        }
        let states: Vec<u64> =
            record.flow_results.iter().flatten().map(|flow| flow.spdr_state).collect();
        let expected: &[u64] = match talk.as_str() {
            "slow" | "leaves" => &[0, 0],
            "silent" => &[2, 2],
            _ => &[],
        };
        assert_eq!(states, expected, "{talk}");
        if talk == "leaves" {
            for flow in record.flow_results.unwrap() {
                assert_eq!(flow.rest["marks_resets"], 1, "the target is freed: {flow:?}");
            }
        }
    }
}

#[test]
fn a_conversation_that_does_not_take_its_packets_is_overrun() {
    let rules = "[[rule]]\nhop = 2\ndirection = 'reverse'\nmatch = { flags = 'SYN ACK' }\n\
        action = { duplicate = 200 }";
    let Some(path) = path(rules, 1) else { return };
    let jobs = path.jobs().replace('}', ",\"talk\":\"drowns\"}");
    let script = format!("exec $PATHSPIDER measure -i lab0 --allow-special {}", arguments("20"));
    for flow in &flows(&path.script(&script, &jobs), "offline") {
        assert_eq!((flow.spdr_state, &flow.rest["spdr_error"]), (1, &"overrun".into()), "{flow:?}");
        assert!(flow.rest["pkt_rev"].as_u64() > Some(200), "the chains saw all: {flow:?}");
    }
}

#[test]
fn the_handshake_of_accurate_ecn_is_answered_by_the_mark_of_the_syn_ack() {
    // A target that agrees: its SYN/ACK has CWR alone, and this mark on the way back.
    for (mark, third) in [("not-ect", 0b010), ("ect1", 0b011), ("ect0", 0b100), ("ce", 0b110)] {
        let rules = format!(
            "[[rule]]\nhop = 2\ndirection = 'reverse'\nmatch = {{ flags = 'SYN ACK ECE' }}\n\
             action = {{ tcp-flags = 'CWR !ECE' }}\n\
             [[rule]]\nhop = 3\ndirection = 'reverse'\nmatch = {{ flags = 'SYN ACK' }}\n\
             action = {{ ecn = '{mark}' }}"
        );
        let Some(path) = path(&rules, 1) else { return };
        let arguments = arguments("10").replace("talker", "accecn");
        let script = format!("exec $PATHSPIDER measure -i lab0 --allow-special {arguments}");
        let ended = path.script(&script, &path.jobs());
        ended.expect(0, &["2 targets"]);
        for record in ended.records() {
            for expected in ["accecn.connectivity.works", "accecn.negotiation.accurate"] {
                assert!(record.has(expected), "{mark}: {record:?}");
            }
            let flows = record.flow_results.unwrap();
            // SYN, and with it ECE, CWR and AE.
            assert_eq!(flows[0].rest["syn_flags_any_fwd"], 0xc2);
            assert_eq!(flows[1].rest["syn_flags_all_fwd"], 0x1c2);
            assert_eq!(
                (&flows[0].rest["accecn_third"], &flows[1].rest["accecn_third"]),
                (&0.into(), &third.into())
            );
        }
    }
}

#[test]
fn a_plugin_with_conversations_keeps_the_rules() {
    let file = built("libpathspider_talker.so").display().to_string();
    Program::run(&["check", &file]).expect(0, &[]);
}
