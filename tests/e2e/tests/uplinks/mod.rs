//! Machines with several uplinks: packets leave by the interface that was named, and from one of its
//! addresses, whoever makes them. Where no way leads to a target, nothing is sent.

mod courtesy;

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use pathspider_e2e::{Ended, FlowResult, Program, built, skipped, temp_dir};
use pathspider_lab::net::{Namespace, ip, nft};
use pathspider_lab::scenario::Server;
use pathspider_lab::targets::Services;

/// The targets, at the far end of both uplinks.
const TARGETS: [&str; 2] = ["203.0.113.1", "2001:db8:5::1"];

/// A vantage point with the interfaces `first`, which has the default routes, and `second`; both lead
/// to one machine with the targets. Gone when dropped.
struct Uplinks {
    here: Namespace,
    there: Namespace,
    plugins: String,
    _services: Services,
}

/// `None`, after saying so, where the privilege for it is missing; in CI that is a failure.
fn uplinks(test: &str) -> Option<Uplinks> {
    let made = pathspider_lab::net::prepare().and_then(|()| {
        let (here, there) = (Namespace::new(test)?, Namespace::new("far end")?);
        there.sysctls(&[
            ("net.ipv4.conf.all.rp_filter", "0"),
            ("net.ipv4.conf.default.rp_filter", "0"),
            // Who has no route asks the link for the target: nobody is to answer.
            ("net.ipv4.conf.all.arp_ignore", "1"),
        ])?;
        for (name, net) in [("first", 1), ("second", 2)] {
            let far = format!("far-{name}");
            ip(
                &here,
                &format!(
                    "link add {name} type veth peer name {far} netns {}\n\
                     addr add 10.9.{net}.1/24 dev {name}\n\
                     addr add fd09:{net}::1/64 dev {name} nodad\n\
                     link set {name} up\n",
                    there.path()
                ),
            )?;
            ip(
                &there,
                &format!(
                    "addr add 10.9.{net}.2/24 dev {far}\n\
                     addr add fd09:{net}::2/64 dev {far} nodad\n\
                     link set {far} up\n"
                ),
            )?;
        }
        ip(&there, "addr add 203.0.113.1/32 dev lo\naddr add 2001:db8:5::1/128 dev lo nodad\n")?;
        ip(&here, "route add default via 10.9.1.2\nroute add default via fd09:1::2\n")?;
        let services = Services::start(&there, &Server::default())?;
        Ok((here, there, services))
    });
    match made {
        Ok((here, there, services)) => {
            ready(&here, ["10.9.1.2", "fd09:1::2"]);
            ready(&here, ["10.9.2.2", "fd09:2::2"]);
            let plugins = temp_dir(test);
            for name in ["connector", "blocker", "pathspider_forger"] {
                let from = built(&format!("lib{name}.so"));
                std::fs::copy(from, plugins.join(format!("{name}.so"))).unwrap();
            }
            let plugins = plugins.display().to_string();
            Some(Uplinks { here, there, plugins, _services: services })
        }
        Err(error) => {
            skipped(error);
            None
        }
    }
}

/// Waits until the far end accepts connections at these addresses: the kernel brings a new link up a
/// moment after it is asked to.
fn ready(here: &Namespace, addresses: [&str; 2]) {
    for address in addresses {
        let address = SocketAddr::new(address.parse().unwrap(), 80);
        let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(50));
        let deadline = Instant::now() + Duration::from_secs(30);
        while let Err(error) = here.enter(connect).unwrap() {
            assert!(Instant::now() < deadline, "{address}: {error}");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// What each kind of sending is tried with.
const KINDS: [&[&str]; 4] = [
    &["connector", "--connect", "tcp"],
    &["connector", "--connect", "http"],
    &["connector", "--connect", "dnsudp"],
    &["forger"],
];

impl Uplinks {
    /// Runs `ip` with these lines.
    fn ip(&self, lines: &str) {
        ip(&self.here, lines).unwrap_or_else(|error| panic!("{lines}: {error}"));
    }

    /// Changes the rules of both versions.
    fn rules(&self, v4: &str, v6: &str) {
        for (version, change) in [("-4", v4), ("-6", v6)] {
            let mut rule = Command::new("ip");
            rule.args([version, "rule"]).args(change.split(' '));
            self.run(rule, "").expect(0, &[]);
        }
    }

    /// Measures these targets by an interface, special ones too.
    fn measure(&self, interface: &str, plugin: &[&str], targets: &[&str]) -> Ended {
        self.measure_with(&["-i", interface, "--allow-special"], plugin, targets)
    }

    /// Measures these targets with these arguments of `measure`.
    fn measure_with(&self, arguments: &[&str], plugin: &[&str], targets: &[&str]) -> Ended {
        let ports = |target: &&str| {
            let port = if plugin.contains(&"dnsudp") { 53 } else { 80 };
            format!("{{\"dip\":\"{target}\",\"dp\":{port}}}\n")
        };
        let input: String = targets.iter().map(ports).collect();
        let mut all = vec!["measure", "--output-flows", "--plugin-dir", &self.plugins];
        all.extend(arguments);
        all.extend(plugin);
        self.run(Program::command(&all), &input)
    }

    /// Drops what comes in there and matches.
    fn drop_at_the_far_end(&self, matches: &str) {
        Uplinks::drop_in(&self.there, matches);
    }

    /// Drops what comes in at one of the ends and matches.
    fn drop_in(end: &Namespace, matches: &str) {
        let rules = format!(
            "add table inet silent\n\
             add chain inet silent in {{ type filter hook input priority 0; }}\n\
             add rule inet silent in {matches} drop\n"
        );
        nft(end, &rules).unwrap_or_else(|error| panic!("{rules}: {error}"));
    }

    fn run(&self, command: Command, input: &str) -> Ended {
        pathspider_e2e::run(&self.here, command, input)
    }

    /// Each kind reaches both targets by this interface, from these addresses of it.
    fn reaches(&self, case: &str, interface: &str, sources: [&str; 2]) {
        self.reaches_by(&KINDS, case, interface, sources);
    }

    /// As [`reaches`](Uplinks::reaches), with these kinds.
    fn reaches_by(&self, kinds: &[&[&str]], case: &str, interface: &str, sources: [&str; 2]) {
        for plugin in kinds {
            let what = format!("{case}: {plugin:?} by {interface}");
            let found = flows(&self.measure(interface, plugin, &TARGETS), &what);
            assert_eq!(found.len(), 2, "{what}");
            for (target, flow) in found {
                let source = if target.is_ipv4() { sources[0] } else { sources[1] };
                assert_eq!(flow.rest["sip"], source, "{what}: {flow:?}");
                assert!(flow.spdr_state == 0 && flow.observed, "{what}: {flow:?}");
            }
        }
    }

    /// No kind sends anything by this interface, to these targets.
    fn leads_nowhere(&self, case: &str, interface: &str, targets: &[&str]) {
        for plugin in KINDS {
            let what = format!("{case}: {plugin:?} by {interface}");
            let ended = self.measure(interface, plugin, targets);
            for record in ended.records() {
                assert_eq!(record.conditions, ["pathspider.not_sent:0"], "{what}");
            }
            for (_, flow) in flows(&ended, &what) {
                assert_eq!(flow.rest["spdr_error"], "unreachable", "{what}: {flow:?}");
                assert!(!flow.observed, "{what}: {flow:?}");
            }
        }
        // Nobody was asked on the link for a target either.
        let mut neighbours = Command::new("ip");
        neighbours.args(["neighbour", "show", "dev", interface]);
        let asked = self.run(neighbours, "").stdout;
        assert!(!TARGETS.iter().any(|target| asked.contains(target)), "{case}: {asked}");
    }
}

/// The targets and flows of a run's records.
fn flows(ended: &Ended, what: &str) -> Vec<(IpAddr, FlowResult)> {
    assert_eq!(ended.status, 0, "{what}: {}", ended.stderr);
    let of = |record: pathspider_e2e::Record| record.flow_results.unwrap();
    let target = |flow: FlowResult| (flow.rest["dip"].as_str().unwrap().parse().unwrap(), flow);
    ended.records().into_iter().flat_map(of).map(target).collect()
}

const FIRST: [&str; 2] = ["10.9.1.1", "fd09:1::1"];
const SECOND: [&str; 2] = ["10.9.2.1", "fd09:2::1"];

#[test]
fn the_interface_that_is_named_is_the_one() {
    let Some(uplinks) = uplinks("uplinks") else { return };
    uplinks.ip("route add default via 10.9.2.2 dev second metric 5000\n\
         route add default via fd09:2::2 dev second metric 5000\n");
    uplinks.reaches("two default routes", "first", FIRST);
    uplinks.reaches("two default routes", "second", SECOND);
    uplinks.ip("route del default via 10.9.2.2 dev second metric 5000\n\
         route del default via fd09:2::2 dev second metric 5000\n\
         route add default via 10.9.2.2 dev second table 100\n\
         route add default via fd09:2::2 dev second table 100\n");
    uplinks.rules("add oif second lookup 100", "add oif second lookup 100");
    uplinks.reaches("a rule for the interface", "second", SECOND);
    uplinks.rules("del oif second lookup 100", "del oif second lookup 100");
    uplinks.ip("addr add 10.9.2.9/24 dev second\n");
    uplinks.rules("add from 10.9.2.1 lookup 100", "add from fd09:2::1 lookup 100");
    uplinks.reaches("rules for the source", "second", SECOND);
    uplinks.reaches("rules for the source of another", "first", FIRST);
    uplinks.rules("del from 10.9.2.1 lookup 100", "del from fd09:2::1 lookup 100");
    let services = ["tcp dport 80", "udp dport 53"];
    let rule =
        |change: &str, service: &str| format!("{change} oif second ipproto {service} lookup 100");
    for service in services {
        uplinks.rules(&rule("add", service), &rule("add", service));
    }
    // The kernel sees no ports where packets are forged.
    uplinks.reaches_by(&KINDS[..3], "rules for the service", "second", SECOND);
    for service in services {
        uplinks.rules(&rule("del", service), &rule("del", service));
    }
    uplinks.rules("add from 10.9.2.1 lookup 100", "add from fd09:2::1 lookup 100");
    let more: &[&str] = &["connector", "--connect", "tcp", "--times", "3"];
    let ended = uplinks.measure("second", more, &TARGETS);
    let ports: Vec<u64> =
        flows(&ended, "several").iter().map(|(_, f)| f.rest["sp"].as_u64().unwrap()).collect();
    assert!(ports.len() == 6 && ports.iter().all(|port| *port > 0), "{ports:?}");
}

#[test]
fn interfaces_on_interfaces_are_as_good() {
    let Some(uplinks) = uplinks("stacked") else { return };
    let routes = |name: &str| {
        format!(
            "link set {name} up\naddr add 10.9.2.7/24 dev {name}\n\
             addr add fd09:2::7/64 dev {name} nodad\n\
             route add default via 10.9.2.2 dev {name} metric 5000\n\
             route add default via fd09:2::2 dev {name} metric 5000\n"
        )
    };
    uplinks.ip("addr flush dev second\n");
    uplinks.ip("link add bridge0 type bridge\nlink set second master bridge0\n");
    uplinks.ip(&routes("bridge0"));
    ready(&uplinks.here, ["10.9.2.2", "fd09:2::2"]);
    uplinks.reaches("a bridge", "bridge0", ["10.9.2.7", "fd09:2::7"]);
    uplinks.ip("link del bridge0\nlink add link second name mac0 type macvlan mode bridge\n");
    uplinks.ip(&routes("mac0"));
    ready(&uplinks.here, ["10.9.2.2", "fd09:2::2"]);
    uplinks.reaches("a macvlan", "mac0", ["10.9.2.7", "fd09:2::7"]);
    // A tunnel over the first uplink.
    uplinks.ip("link del mac0\n\
         link add tunnel0 type vxlan id 7 local 10.9.1.1 remote 10.9.1.2 dstport 4789\n\
         link set tunnel0 up\naddr add 10.9.3.1/24 dev tunnel0\n\
         addr add fd09:3::1/64 dev tunnel0 nodad\n\
         route add default via 10.9.3.2 dev tunnel0 metric 5000\n\
         route add default via fd09:3::2 dev tunnel0 metric 5000\n");
    let far = "link add far0 type vxlan id 7 local 10.9.1.2 remote 10.9.1.1 dstport 4789\n\
               link set far0 up\naddr add 10.9.3.2/24 dev far0\n\
               addr add fd09:3::2/64 dev far0 nodad\n";
    ip(&uplinks.there, far).unwrap();
    ready(&uplinks.here, ["10.9.3.2", "fd09:3::2"]);
    uplinks.reaches("a tunnel", "tunnel0", ["10.9.3.1", "fd09:3::1"]);
}

#[test]
fn without_a_route_nothing_is_sent() {
    let Some(uplinks) = uplinks("no-route") else { return };
    uplinks.leads_nowhere("no default route", "second", &TARGETS);
    uplinks.ip("route add default via 10.9.2.2 dev second metric 5000\n\
         route add unreachable 203.0.113.0/24\nroute add blackhole 203.0.113.0/25\n");
    uplinks.leads_nowhere("a route that refuses", "second", &TARGETS[..1]);
    uplinks.ip("addr flush dev second\nlink set second up\n");
    uplinks.leads_nowhere("no address", "second", &TARGETS[..1]);
}

#[test]
fn answers_that_come_in_by_another_interface_are_told() {
    let Some(uplinks) = uplinks("elsewhere") else { return };
    ip(
        &uplinks.there,
        "route add 10.9.1.1/32 via 10.9.2.1 dev far-second\n\
         route add fd09:1::1/128 via fd09:2::1 dev far-second\n",
    )
    .unwrap();
    // The kernel drops them, or has no connection for them.
    for (filter, plugin) in [("1", KINDS[0]), ("0", KINDS[0]), ("0", KINDS[2]), ("1", KINDS[3])] {
        let path = temp_dir("elsewhere-out").join("out.ndjson").display().to_string();
        uplinks.here.sysctls(&[("net.ipv4.conf.all.rp_filter", filter)]).unwrap();
        let arguments = ["-i", "first", "--allow-special", "--output", &path];
        let ended = uplinks.measure_with(&arguments, plugin, &TARGETS[..1]);
        ended.expect(0, &["came in by second, the first from 203.0.113.1"]);
        let text = std::fs::read_to_string(format!("{path}.meta.json")).unwrap();
        let metadata: serde_json::Value = serde_json::from_str(&text).unwrap();
        let told = &metadata["runs"][0]["elsewhere"];
        assert!(told["packets"].as_u64().unwrap() > 0, "{plugin:?}: {metadata}");
        assert_eq!((&told["interface"], &told["from"]), (&"second".into(), &TARGETS[0].into()));
    }
    // By the other interface all is well.
    uplinks.ip("route add default via 10.9.2.2 dev second metric 5000\n");
    let ended = uplinks.measure("second", KINDS[0], &TARGETS[..1]);
    ended.expect(0, &[]);
    assert!(!ended.stderr.contains("came in by"), "{}", ended.stderr);
}

#[test]
fn answers_that_a_firewall_of_this_machine_drops_are_told_from_silence() {
    let Some(uplinks) = uplinks("own-firewall") else { return };
    Uplinks::drop_in(&uplinks.here, "tcp sport 80");
    let targets = [TARGETS[0], TARGETS[1], "10.9.1.2"];
    let kind = ["connector", "--connect", "tcp", "--timeout", "1"];
    let ended = uplinks.measure("first", &kind, &targets);
    ended.expect(0, &["answers came in by first, and no connection got one; does a firewall"]);
}

#[test]
fn a_call_that_could_send_nothing_is_not_looked_for() {
    let Some(uplinks) = uplinks("own-call") else { return };
    uplinks.ip("route del default via 10.9.1.2\nroute del default via fd09:1::2\n");
    let ended = uplinks.measure("first", &["blocker", "--timeout", "1"], &TARGETS);
    for record in ended.records() {
        let not_sent = ["pathspider.not_sent:0", "pathspider.not_sent:1"];
        assert_eq!(record.conditions, not_sent, "{record:?}");
    }
}

#[test]
fn a_call_that_failed_has_the_flow_of_its_time() {
    let Some(uplinks) = uplinks("failed-call") else { return };
    // Of the far end's networks, but nobody is there; and at port 80 of the others nobody listens.
    let dead = ["10.9.1.2", "fd09:1::2"];
    uplinks.drop_at_the_far_end("tcp dport 80");
    let ended = uplinks.measure("first", &["blocker", "--timeout", "1"], &dead);
    for record in ended.records() {
        assert_eq!(record.conditions, ["blocker.connectivity.offline"], "{record:?}");
        for flow in record.flow_results.unwrap() {
            let source = if record.dip.contains(':') { FIRST[1] } else { FIRST[0] };
            assert_eq!(
                (&flow.rest["sip"], &flow.rest["dip"]),
                (&source.into(), &record.dip.clone().into())
            );
            assert!(flow.observed && flow.rest["sp"].is_u64(), "{flow:?}");
        }
    }
}

/// A range of local ports that is this small, and what is kept back of it.
fn local_ports(uplinks: &Uplinks, range: &str, reserved: &str) {
    let settings =
        [("net.ipv4.ip_local_reserved_ports", reserved), ("net.ipv4.ip_local_port_range", range)];
    uplinks.here.sysctls(&settings).unwrap();
}

#[test]
fn few_local_ports_are_enough() {
    let Some(uplinks) = uplinks("few-ports") else { return };
    // Ports of closed connections are free at once, so that nobody need wait for a minute.
    uplinks.here.sysctl("net.ipv4.tcp_max_tw_buckets", "0").unwrap();
    let twice: &[&str] = &["forger", "--times", "2"];
    for (range, reserved) in [
        ("50000 50099", ""),
        ("50000 50004", ""),
        ("50001 50400", "50003-50400"),
        ("1024 1029", ""),
    ] {
        local_ports(&uplinks, range, reserved);
        let what = format!("{range}, without {reserved:?}");
        for plugin in KINDS.into_iter().chain([twice]) {
            let what = format!("{what}: {plugin:?}");
            for (_, flow) in flows(&uplinks.measure("first", plugin, &TARGETS), &what) {
                assert!(flow.spdr_state == 0 && flow.observed, "{what}: {flow:?}");
            }
        }
    }
    // More targets than ports, all of them at once.
    local_ports(&uplinks, "50000 50019", "");
    ip(&uplinks.there, "route add local 198.18.0.0/24 dev lo\n").unwrap();
    let many: Vec<String> = (1..=100).map(|host| format!("198.18.0.{host}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for plugin in KINDS {
        for (target, flow) in flows(&uplinks.measure("first", plugin, &many), "many") {
            assert!(flow.spdr_state == 0 && flow.observed, "{plugin:?}: {target} {flow:?}");
        }
    }
}

#[test]
fn too_few_local_ports_are_said_with_the_setting() {
    let Some(uplinks) = uplinks("no-ports") else { return };
    local_ports(&uplinks, "50000 50000", "");
    let range = "net.ipv4.ip_local_port_range is 50000 50000";
    let twice: &[&str] = &["forger", "--times", "2"];
    uplinks.measure("first", twice, &TARGETS).expect(1, &["it needs 2 local ports", range]);
    local_ports(&uplinks, "50000 50099", "49000-51000");
    let reserved = "net.ipv4.ip_local_reserved_ports keeps 100 of them back";
    uplinks.measure("first", twice, &TARGETS).expect(1, &["it needs 2 local ports", reserved]);
    for plugin in &KINDS[..3] {
        let ended = uplinks.measure("first", plugin, &TARGETS);
        ended.expect(0, &["there is no local port to connect from", reserved]);
        for record in ended.records() {
            assert_eq!(record.conditions, ["pathspider.not_sent:0"], "{plugin:?}");
            assert_eq!(record.flow_results.unwrap()[0].rest["spdr_error"], "no_local_port");
        }
    }
}
