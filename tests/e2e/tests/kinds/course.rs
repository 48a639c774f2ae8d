//! The course of a job's connections: silent targets, a want of local ports, and a plugin that does
//! not come back.

use std::io::Write;
use std::thread;
use std::time::Duration;

use pathspider_e2e::FlowResult;
use pathspider_lab::scenario::Server;

use super::place::{place, request};
use crate::keeping::metadata;

fn times(results: &[FlowResult]) -> Vec<(String, String)> {
    results.iter().map(|r| (r.spdr_start.clone(), r.spdr_stop.clone())).collect()
}

#[test]
fn one_silent_connection_does_not_hold_up_the_next() {
    let Some(place) = place("silent", &Server::default()) else { return };
    place.script(
        "nft 'add table inet silent; add chain inet silent in { type filter hook input priority 0; };
              add rule inet silent in tcp dport 9 drop;
              add rule inet silent in udp dport 9 drop'",
    );
    let input = "{\"dip\":\"127.0.0.1\",\"dp\":9}";
    let starts_before_end = |pair: &[(String, String)]| pair[1].0 < pair[0].1;
    for kind in ["tcp", "dnsudp"] {
        let results = |options: &[&str], hold: &str| {
            let plugin = ["--connect", kind, "--times", "3", "--timeout", "3", "--hold", hold];
            let ended = place.connect(options, &plugin, input);
            ended.expect(0, &[]);
            times(&ended.records().remove(0).flow_results.unwrap())
        };
        let overlapping = results(&[], "initiation");
        assert!(starts_before_end(&overlapping[..2]), "{kind}: {overlapping:?}");
        let apart = [overlapping[0].clone(), overlapping[2].clone()];
        assert!(!starts_before_end(&apart), "{kind}: two at most");
        let spaced = results(&["--per-target-rate", "100"], "initiation");
        assert!(!spaced.windows(2).any(starts_before_end), "{kind}: {spaced:?}");
        // A SYN and a query may be repeated until the end: so long the configuration holds.
        let held = results(&[], "handshake");
        assert!(!held.windows(2).any(starts_before_end), "{kind}: {held:?}");
    }
}

#[test]
fn the_pace_is_that_of_the_address_that_is_sent_to() {
    let Some(place) = place("redirected", &Server::default()) else { return };
    let port = place.any_tcp(drop);
    let input: String =
        (1..=5).map(|n| format!("{{\"dip\":\"127.0.0.{n}\",\"dp\":{port}}}\n")).collect();
    let plugin = ["--connect", "tcp", "--times", "1", "--to", "127.0.0.9"];
    let ended = place.connect(&["--per-target-rate", "5"], &plugin, &input);
    ended.expect(0, &["5 targets"]);
    let mut first_packets: Vec<f64> = Vec::new();
    for record in ended.records() {
        let flow = record.flow_results.unwrap().remove(0);
        assert_eq!(flow.rest["dip"], "127.0.0.9", "it is sent elsewhere");
        first_packets.push(flow.rest["pkt_first"].as_f64().unwrap());
    }
    first_packets.sort_by(f64::total_cmp);
    let lasted = first_packets[4] - first_packets[0];
    // A late first one makes it shorter; no distance is made up for.
    assert!(lasted >= 0.2 * 3.0, "{first_packets:?}");
}

#[test]
fn connections_wait_for_a_local_port() {
    let Some(place) = place("ports", &Server::default()) else { return };
    // Ports of closed connections are free at once, so that nobody need wait for a minute.
    place.script(
        "echo 40000 40019 >/proc/sys/net/ipv4/ip_local_port_range
         echo 0 >/proc/sys/net/ipv4/tcp_max_tw_buckets",
    );
    let port = place.tcp(|mut stream| {
        request(&mut stream);
        thread::sleep(Duration::from_millis(200));
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    let input = format!("{{\"dip\":\"127.0.0.1\",\"dp\":{port}}}\n").repeat(60);
    let ended = place.connect(&["--duplicates"], &["--connect", "http", "--timeout", "60"], &input);
    ended.expect(0, &["60 targets", &format!("all local ports toward 127.0.0.1:{port} are taken")]);
    for result in ended.records().into_iter().flat_map(|record| record.flow_results.unwrap()) {
        assert_eq!((result.spdr_state, result.observed), (0, true), "{result:?}");
    }
}

#[test]
fn a_want_of_addresses_is_none_of_ports() {
    let Some(place) = place("addresses", &Server::default()) else { return };
    // IPv6 has the same error for both.
    place.script("ip -6 address del ::1/128 dev lo; ip -6 route add 2001:db8::/32 dev lo");
    let input = "{\"dip\":\"2001:db8::1\",\"dp\":80}";
    let ended = place.connect(&[], &["--connect", "tcp"], input);
    assert!(!ended.stderr.contains("ports"), "{}", ended.stderr);
    let result = ended.records().remove(0).flow_results.unwrap().remove(0);
    assert_eq!(result.rest["spdr_error"], "no_local_port");
}

#[test]
fn a_plugin_that_does_not_come_back_is_named_and_given_up() {
    let Some(place) = place("stall", &Server::default()) else { return };
    for function in ["connect", "combine"] {
        let output = pathspider_e2e::temp_dir(&format!("stall-{function}")).join("out.ndjson");
        let path = output.to_str().unwrap();
        let measure = ["--plugin-timeout", "1s", "--output", path, "--rate", "3"];
        let input = "{\"dip\":\"127.0.0.1\",\"dp\":80}\n".repeat(3);
        let measure = [&measure[..], &["--duplicates"]].concat();
        let ended = place.connect(&measure, &["--connect", "tcp", "--stall", function], &input);
        let named = format!("{function} in ");
        ended.expect(1, &[&named, "connector.so", "(rule blocking)", "the run ends here"]);
        let written = std::fs::read_to_string(&output).unwrap();
        assert_eq!(pathspider_e2e::records(&written).len(), 1, "what was finished: {written}");
        let metadata = metadata(path);
        let run = &metadata["runs"][0];
        let why = run["end"].as_str().unwrap_or_default();
        assert!(why.starts_with(&named) && why.ends_with("does not come back"), "{metadata}");
        assert!(run["ended"].is_string() && metadata["_time_end"].is_string(), "{metadata}");
        let count = |name: &str| run["counts"][name].as_u64().unwrap();
        assert_eq!((count("targets"), count("lost")), (1, 0), "{metadata}");
        assert_eq!(count("unfinished") + count("unstarted"), 2, "{metadata}");
    }
}
