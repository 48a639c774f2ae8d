//! TCP and UDP options, extension headers and packet sizes over real links, with the kernel's own stack at
//! the far end, and on machines that cannot make them.

use pathspider_e2e::{Ended, Network, network};

/// The targets behind the path without faults, on each plugin's own port.
fn jobs(network: &Network) -> String {
    let line = |address| format!("{{\"dip\":\"{address}\"}}\n");
    network.targets("clean").into_iter().map(line).collect()
}

fn measure(network: &Network, arguments: &str) -> Ended {
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    let ended = network.measure(&arguments, &jobs(network));
    ended.expect(0, &[]);
    ended
}

/// The conditions of each target of IPv4, or of IPv6.
fn of_version(ended: &Ended, is_v6: bool) -> Vec<Vec<String>> {
    let records = ended.records().into_iter();
    let own = records.filter(|record| record.dip.contains(':') == is_v6);
    own.map(|record| record.conditions).collect()
}

fn expect_all(ended: &Ended, expected: [&[&str]; 2]) {
    for (is_v6, expected) in [(false, expected[0]), (true, expected[1])] {
        let found = of_version(ended, is_v6);
        assert!(!found.is_empty());
        for conditions in found {
            assert_eq!(conditions, expected, "{}", ended.stderr);
        }
    }
}

#[test]
fn linux_takes_options_and_extension_headers_that_it_does_not_know() {
    let Some(mut network) = network(2, 2) else { return };
    network.serve_all();
    for (arguments, count) in [
        ("tcpext", [9, 9]),
        ("udpopt", [3, 3]),
        ("ip6eh --size 8 16 32 64", [0, 14]),
        ("ip6eh --size 8 16 32 64 --connect dnsudp", [0, 14]),
        ("pmtud", [1, 1]),
        ("pmtud --connect dnsudp --search", [1, 1]),
    ] {
        let ended = measure(&network, arguments);
        for (is_v6, count) in [(false, count[0]), (true, count[1])] {
            for conditions in of_version(&ended, is_v6) {
                let is_good = |c: &String| c.ends_with(".works") || c.ends_with(".read");
                let all = conditions.iter().all(is_good);
                assert!(all && conditions.len() == count, "{arguments}: {conditions:?}");
            }
        }
    }
}

#[test]
fn a_router_with_a_smaller_link_is_heard_or_is_a_black_hole() {
    let Some(network) = network(1, 1) else { return };
    network.script_on_path("ip link set router1 mtu 1400").expect(0, &[]);
    let told = |from: &str| {
        [
            "pmtud.ptb.received:1400".to_owned(),
            format!("pmtud.ptb.from:{from}"),
            "pmtud.mtu:1400".to_owned(),
        ]
    };
    let [v4, v6] = ["10.0.0.1", "fd00::1"].map(told);
    let [v4, v6] = [&v4, &v6].map(|all| all.each_ref().map(String::as_str));
    expect_all(&measure(&network, "pmtud --search"), [&v4, &v6]);
    network
        .script_on_path(
            "nft add table inet quiet && \
             nft add chain inet quiet out '{ type filter hook output priority 0; }' && \
             nft add rule inet quiet out icmp type destination-unreachable drop && \
             nft add rule inet quiet out icmpv6 type packet-too-big drop",
        )
        .expect(0, &[]);
    let hole: &[&str] = &["pmtud.connectivity.broken", "pmtud.blackhole"];
    expect_all(&measure(&network, "pmtud --timeout 4"), [hole, hole]);
}

#[test]
fn jumbo_frames_are_as_large_as_the_interface_takes_them() {
    let Some(network) = network(1, 1) else { return };
    network.script_everywhere(
        "for name in $(ls /sys/class/net); do [ $name = lo ] || ip link set $name mtu 9000; done",
    );
    let works: &[&str] = &["pmtud.connectivity.works"];
    let ended = measure(&network, "--output-flows pmtud");
    expect_all(&ended, [works, works]);
    for record in ended.records() {
        assert_eq!(record.flow_results.unwrap()[1].rest["pmtud_size"], 9000);
    }
}

#[test]
fn what_the_interface_does_not_take_is_not_supported_and_said_once() {
    let Some(network) = network(2, 2) else { return };
    let shrink = |mtu: u16| {
        let command = format!("ip link set {} mtu {mtu}", network.interface());
        network.script(&command, "").expect(0, &[]);
    };
    shrink(1280);
    let ended = measure(&network, "--output-flows pmtud");
    let unsupported: &[&str] = &["pathspider.not_supported:1"];
    expect_all(&ended, [unsupported, unsupported]);
    assert_eq!(ended.stderr.matches("is not supported here").count(), 1, "{}", ended.stderr);
    for record in ended.records() {
        let flow = &record.flow_results.unwrap()[1];
        assert_eq!((flow.spdr_state, &flow.rest["spdr_not_supported"]), (3, &true.into()));
        assert!(flow.rest["spdr_error"].as_str().unwrap().contains("1280 octets at most"));
    }
    // Linux has no IPv6 on such a link.
    shrink(1000);
    let both = ["pathspider.not_supported:0", "pathspider.not_supported:1"];
    for conditions in of_version(&measure(&network, "pmtud"), false) {
        assert_eq!(conditions, both);
    }
}
