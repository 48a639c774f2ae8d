//! Forged packets: what is sent, what is heard, and that the kernel does not interfere.

use pathspider_e2e::{FlowResult, Network, built, network, path};
use pathspider_lab::emulated::EmulatedLab;
use pathspider_lab::net;
use pathspider_lab::runner::{Suite, render};
use pathspider_lab::scenario::{self, Scenario};
use pathspider_lab::targets;

/// Runs the tests' forging plugin, and gives each target's only flow.
fn forge(network: &Network, how: &str, jobs: &str) -> Vec<FlowResult> {
    let plugins = built("").display().to_string();
    let arguments =
        ["--plugin-dir", &plugins, "--output-flows", "forger", "--how", how, "--timeout", "1"];
    let ended = network.measure(&arguments, jobs);
    ended.expect(0, &[]);
    ended.records().into_iter().flat_map(|record| record.flow_results.unwrap()).collect()
}

#[test]
fn the_reserved_flag_is_on_the_wire_in_b_alone() {
    let Some(network) = network(20, 0) else { return };
    let before = network.settings();
    let ended = network.measure(&["--output-flows", "evilbit"], &network.jobs("clean"));
    ended.expect(0, &["20 targets"]);
    for record in ended.records() {
        assert_eq!(record.conditions, ["evilbit.connectivity.works", "evilbit.mark.not_seen"]);
        let flows = record.flow_results.unwrap();
        for (flow, evil) in flows.iter().zip([false, true]) {
            assert_eq!(flow.rest["evilbit_syn_fwd"], evil);
            assert_eq!(flow.rest["sip"], record.sip.as_deref().unwrap());
        }
        assert_ne!(flows[0].rest["sp"], flows[1].rest["sp"]);
    }
    assert_eq!(network.settings(), before, "no firewall rule is left");
}

#[test]
fn targets_of_ipv6_are_skipped_with_a_reason() {
    let Some(network) = network(0, 2) else { return };
    let ended = network.measure(&["--output-flows", "evilbit"], &network.jobs("clean"));
    ended.expect(0, &[]);
    for record in ended.records() {
        assert!(record.conditions.is_empty(), "{:?}", record.conditions);
        for flow in record.flow_results.unwrap() {
            assert_eq!(flow.spdr_state, 3);
            assert_eq!(flow.rest["spdr_error"], "IPv6 has no reserved flag");
        }
    }
}

#[test]
fn the_kernel_does_not_reset_what_it_does_not_know() {
    let Some(network) = network(30, 30) else { return };
    for flow in forge(&network, "syn", &network.jobs("clean")) {
        assert_eq!(flow.spdr_state, 0, "{flow:?}");
        // The SYN, and one RST: the kernel's, or the host's when the connection has ended.
        assert_eq!((&flow.rest["pkt_fwd"], &flow.rest["pkt_rev"]), (&2.into(), &1.into()));
        assert_eq!(flow.rest["tcp_rst_fwd"], true);
    }
    // A port that the host did not choose is not kept silent, so the kernel's RST comes too.
    let job = network.jobs("clean").lines().next().unwrap().to_owned() + "\n";
    let [flow] = &forge(&network, "own-port", &job)[..] else { panic!("one flow") };
    assert_eq!((&flow.rest["sp"], &flow.rest["pkt_fwd"]), (&999.into(), &3.into()));
}

#[test]
fn answers_end_a_connection_in_the_words_of_sockets() {
    let Some(network) = network(3, 3) else { return };
    // At this port nobody listens; in UDP, at none.
    let closed = network.jobs("clean").replace("\"dp\":80", "\"dp\":81");
    for flow in forge(&network, "syn", &closed) {
        assert_eq!((flow.spdr_state, flow.rest["spdr_error"].as_str()), (1, Some("refused")));
        assert_eq!(flow.rest["tcp_rst_rev"], true);
    }
    for flow in forge(&network, "syn", &network.jobs("dead")) {
        assert_eq!((flow.spdr_state, flow.rest["spdr_error"].as_str()), (2, Some("timeout")));
        assert!(flow.observed);
    }
    let ended = network.measure(&["--output-flows", "udpzero", "--timeout", "1"], &closed);
    for record in ended.records() {
        assert_eq!(record.conditions, ["udpzero.connectivity.offline"]);
        // Without a checksum, a datagram of IPv6 is not even refused (RFC 8200, section 8.1).
        let a = &record.flow_results.unwrap()[0];
        assert_eq!((a.spdr_state, a.rest["spdr_error"].as_str()), (1, Some("port_unreachable")));
    }
}

#[test]
fn a_wrong_checksum_stays_wrong() {
    let Some(network) = network(2, 2) else { return };
    for flow in forge(&network, "wrong-checksum", &network.jobs("clean")) {
        assert_eq!((flow.spdr_state, &flow.rest["pkt_rev"]), (2, &0.into()), "{flow:?}");
    }
}

#[test]
fn what_cannot_be_sent_as_it_is_is_refused() {
    let Some(network) = network(1, 0) else { return };
    let plugins = built("").display().to_string();
    for (plugin, how, reason) in [
        ("forger", "malformed", "cannot be sent as it is: it is malformed"),
        ("forger", "none", "there are no packets"),
        ("forger", "setting", "have no setting \"dscp\""),
        ("forger", "two-connections", "packet 1 cannot be sent as it is: it opens another"),
        ("forger", "two-targets", "packet 1 cannot be sent as it is: it goes to 192.0.2.9"),
        ("misbehaving", "forge", "does not declare Info::forges"),
    ] {
        let arguments = ["--plugin-dir", &plugins, plugin, "--how", how];
        let ended = network.measure(&arguments, &network.jobs("clean"));
        ended.expect(9, &[reason]);
        assert!(ended.records()[0].spdr_error.as_ref().unwrap().contains(reason), "{how}");
    }
}

#[test]
fn a_packet_that_is_lost_once_is_sent_again() {
    let lost = |matching: &str| format!("[[rule]]\nhop = 2\n{matching}first = 1\naction = 'drop'");
    for (rules, plugin, works) in [
        (lost(""), "evilbit", "evilbit.connectivity.works"),
        (lost("direction = 'reverse'\n"), "evilbit", "evilbit.connectivity.works"),
        (lost(""), "evilbit --connect dnsudp", "evilbit.connectivity.works"),
        (lost("match = { zero-checksum = true }\n"), "udpzero", "udpzero.connectivity.works"),
    ] {
        let rules = format!("targets = {{ versions = ['ipv4'] }}\n{rules}");
        let Some(path) = path(&rules, 3) else { return };
        let script = format!("exec $PATHSPIDER measure -i lab0 --allow-special {plugin}");
        let ended = path.script(&script, &path.jobs());
        ended.expect(0, &["3 targets"]);
        for record in ended.records() {
            assert!(record.has(works), "{plugin}: {record:?}");
        }
    }
}

/// All runs go on at a time in one network namespace, which none of them changes.
#[test]
fn a_handshake_shows_by_syns_alone_what_it_shows_over_sockets() {
    let prepared = net::prepare().and_then(|()| scenario::builtin());
    let scenarios = match prepared {
        Ok(scenarios) => scenarios,
        Err(error) => return pathspider_e2e::skipped(error),
    };
    let suite = Suite { pathspider: built("pathspider"), workers: 500, rejudge: false };
    let plugins = ["accecn", "ecn", "mptcp", "mss", "tcpext", "tcpopt", "tfo"];
    assert!(plugins.iter().all(|plugin| suite.has_syn(plugin)));
    let is_possible = |scenario: &Scenario| targets::lacks(&scenario.server).is_none();
    let is_of_these =
        |scenario: &Scenario| plugins.iter().any(|plugin| scenario.expect.contains_key(*plugin));
    let wanted = scenarios.into_iter().filter(is_possible).filter(is_of_these).collect();
    let lab = EmulatedLab::new(wanted, 1).unwrap();
    let settings = || {
        let read =
            |name| std::fs::read_to_string(format!("/proc/sys/net/ipv4/tcp_{name}")).unwrap();
        lab.vantage().enter(|| ["ecn", "sack", "timestamps", "fastopen"].map(read)).unwrap()
    };
    let before = settings();
    let measured: Vec<_> = std::thread::scope(|scope| {
        let run = |plugin: &&'static str| {
            let plugin = *plugin;
            let (suite, lab) = (&suite, &lab);
            scope.spawn(move || suite.measure_by_syn(lab, plugin).unwrap())
        };
        let runs: Vec<_> = plugins.iter().map(run).collect();
        assert_eq!(settings(), before);
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    for measured in measured {
        let comparison = &measured.comparison;
        assert!(comparison.is_right(), "{}\n{}", comparison.plugin, render(comparison, false));
    }
}

#[test]
fn thousands_at_once_and_every_answer_is_matched() {
    let Some(network) = network(5000, 0) else { return };
    let ended = network.measure(&["-w", "1000", "evilbit"], &network.jobs("clean"));
    ended.expect(0, &["5000 targets"]);
    for record in ended.records() {
        assert_eq!(record.conditions, ["evilbit.connectivity.works", "evilbit.mark.not_seen"]);
    }
}

#[test]
fn a_target_measured_again_and_again_has_flows_of_its_own() {
    let Some(network) = network(1, 0) else { return };
    let arguments = ["--duplicates", "--output-flows", "-w", "50", "evilbit"];
    let jobs = network.jobs("clean").repeat(300);
    let ended = network.measure(&arguments, &jobs);
    let records = ended.records();
    assert!(!records.is_empty());
    for record in records {
        assert_eq!(record.conditions, ["evilbit.connectivity.works", "evilbit.mark.not_seen"]);
    }
}
