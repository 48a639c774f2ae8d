//! What each measurement leaves of the machine, and that none concludes from packets that were not
//! sent as meant. What they find on paths with faults, the lab checks: see `pathspider-lab check`.

use std::process::Command;

use pathspider_e2e::{Ended, Network, Program, built, network};

/// Measures the clean targets after a script has changed the vantage point.
fn after(network: &Network, script: &str, arguments: &str) -> Ended {
    let run = format!(
        "{script} && exec $PATHSPIDER measure -i {} --allow-special {arguments}",
        network.interface()
    );
    let ended = network.script(&run, &network.jobs("clean"));
    ended.expect(0, &[]);
    ended
}

/// PATHspider flushes the whole mangle table for a code point, and leaves the kernel's parameters
/// as the last configuration had them.
#[test]
fn the_machine_is_left_as_it_was_found() {
    let Some(network) = network(3, 2) else { return };
    let script = "sysctl -qw net.ipv4.tcp_sack=0 net.ipv4.tcp_timestamps=2 net.ipv4.tcp_ecn=0 \
                  net.ipv4.tcp_fastopen=6 net.ipv4.tcp_fastopen_blackhole_timeout_sec=77 && \
                  nft add table ip mangle && \
                  nft 'add chain ip mangle OUTPUT { type route hook output priority mangle; }' && \
                  nft add rule ip mangle OUTPUT tcp dport 9 ip dscp set 12";
    network.script(script, "").expect(0, &[]);
    let before = network.settings();
    assert!(before.contains("dport 9") && before.contains("tcp_sack:0"), "{before}");
    for plugin in ["ecn", "dscp", "mss", "tcpopt", "tfo --connect http", "h2"] {
        let ended = after(&network, "true", plugin);
        assert_eq!(ended.records().len(), 5, "{plugin}");
        assert_eq!(network.settings(), before, "{plugin}");
    }
}

#[test]
fn marks_are_seen_on_the_wire_and_rewritten_ones_prove_nothing() {
    let Some(network) = network(2, 0) else { return };
    let arguments = "--output-flows dscp --codepoint 10 63 0";
    for record in after(&network, "true", arguments).records() {
        let flows = record.flow_results.unwrap();
        let sent: Vec<_> =
            flows.iter().map(|flow| flow.rest["dscp_mark_data_fwd"].clone()).collect();
        assert_eq!(sent, [0, 10, 63, 0]);
        for mark in [10, 63, 0] {
            assert!(record.conditions.contains(&format!("dscp.{mark}.connectivity.works")));
        }
    }
    // Data alone lose their mark, on this machine.
    let rewrite = "nft add table ip t && \
                   nft 'add chain ip t c { type route hook output priority mangle; }' && \
                   nft add rule ip t c tcp flags psh ip dscp 10 ip dscp set 0";
    for record in after(&network, rewrite, "dscp --codepoint 10").records() {
        assert_eq!(record.conditions, ["dscp.0.replymark:0", "pathspider.not_applied:1"]);
    }
}

#[test]
fn a_size_that_the_route_does_not_allow_was_not_announced() {
    let Some(network) = network(2, 1) else { return };
    for record in after(&network, "true", "mss --mss 9000").records() {
        assert_eq!(record.conditions, ["pathspider.not_applied:0"]);
    }
    for record in after(&network, "true", "mss --mss 1000").records() {
        assert!(record.conditions.contains(&"mss.option.local.value:1000".to_owned()));
        assert!(record.conditions.contains(&"mss.option.received.inflated".to_owned()));
    }
}

/// What a SYN has that asks for ECN: ECE, CWR and AE.
const ASK_FOR_ECN: u64 = 0x1c0;

#[test]
fn a_machine_whose_syns_ask_for_ecn_moves_no_baseline() {
    let Some(network) = network(2, 1) else { return };
    network.script("sysctl -qw net.ipv4.tcp_ecn=1", "").expect(0, &[]);
    let before = network.settings();
    for plugin in ["tcpopt", "tfo --connect http"] {
        for record in after(&network, "true", &format!("--output-flows {plugin}")).records() {
            let is_plugins = |condition: &String| !condition.starts_with("pathspider.");
            assert!(record.conditions.iter().all(is_plugins), "{plugin}: {record:?}");
            for flow in record.flow_results.unwrap() {
                let flags = flow.rest["syn_flags_any_fwd"].as_u64().unwrap();
                assert_eq!(flags & ASK_FOR_ECN, 0, "{plugin}: {flow:?}");
            }
        }
        assert_eq!(network.settings(), before, "{plugin}");
    }
    // Those that change nothing say what was not as it should be, and why.
    for (plugin, configurations) in [("dscp", 2), ("mss", 1), ("h2", 2)] {
        let ended = after(&network, "true", plugin);
        assert_eq!(ended.stderr.matches("net.ipv4.tcp_ecn is 1").count(), 1, "{}", ended.stderr);
        let expected: Vec<_> =
            (0..configurations).map(|k| format!("pathspider.not_applied:{k}")).collect();
        for record in ended.records() {
            assert_eq!(record.conditions, expected, "{plugin}");
        }
    }
    // No SYN of the kernel's is sent.
    for plugin in ["evilbit", "udpzero --timeout 1", "dscp --connect dnsudp --timeout 1"] {
        let ended = after(&network, "true", plugin);
        assert!(!ended.stderr.contains("tcp_ecn"), "{}", ended.stderr);
        assert!(!ended.stdout.contains("not_applied"), "{}", ended.stdout);
    }
}

#[test]
fn a_route_that_has_syns_ask_for_ecn_is_seen_on_the_wire() {
    let Some(network) = network(2, 0) else { return };
    let routes = "ip route | grep via | while read route; do ip route replace $route features ecn; \
                  done";
    for record in after(&network, routes, "tcpopt").records() {
        let expected: Vec<_> = (0..4).map(|k| format!("pathspider.not_applied:{k}")).collect();
        assert_eq!(record.conditions, expected);
    }
}

#[test]
fn a_code_point_out_of_range_is_refused() {
    Program::run(&["measure", "-i", "lo", "dscp", "--codepoint", "64"]).expect(2, &["64"]);
    Program::run(&["measure", "-i", "lo", "mss", "--mss", "87"]).expect(4, &["--mss 87"]);
}

#[test]
fn a_cookie_of_an_earlier_run_sends_data_at_once() {
    if network(1, 0).is_none() {
        return;
    }
    let measure = format!(
        "{} measure -i $LAB_INTERFACE --allow-special --input $LAB_JOBS tfo",
        built("pathspider").display()
    );
    let output = Command::new(built("pathspider-lab"))
        .args(["run", "tfo-clean", "--", "sh", "-c", &format!("{measure} && {measure}")])
        .output()
        .unwrap();
    let ended = Ended::from(output);
    ended.expect(0, &[]);
    let records = ended.records();
    let (first, second) = records.split_at(records.len() / 2);
    assert!(!first.is_empty());
    for record in first {
        let expected = ["tfo.connectivity.works", "tfo.cookie.received", "tfo.syndata.acked"];
        assert_eq!(record.conditions, expected);
    }
    for record in second {
        assert_eq!(record.conditions, ["tfo.connectivity.works", "tfo.syndata.acked"]);
    }
}

#[test]
fn a_plugins_chain_is_there_for_everybody() {
    let chains = Program::run(&["observe", "--list-chains"]);
    chains.expect(0, &[]);
    assert!(chains.stdout.contains("h2_offered"), "{}", chains.stdout);
}
