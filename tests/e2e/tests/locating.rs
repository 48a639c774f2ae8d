//! Where on the path: the lab's paths with known faults, each with the location that is true for it
//! (`docs/location.md`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use pathspider_e2e::{Ended, built, wait_until};
use pathspider_lab::emulated::{EmulatedLab, INTERFACE, LabPath};
use pathspider_lab::net::{self, Namespace};
use pathspider_lab::runner::{Measurement, Target, plugin_waiver};
use pathspider_lab::scenario::{self, Scenario};
use pathspider_lab::targets::FastHttp;

use crate::responding::{are_alike, key_file, responder};

/// The paths, in the order of their names.
fn scenarios() -> Vec<Scenario> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lab/location");
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files.iter().flat_map(|file| scenario::find(&file.to_string_lossy()).unwrap()).collect()
}

/// How a plugin is run where a path says nothing of it.
fn usual(plugin: &str) -> Vec<String> {
    let arguments: &[&str] = match plugin {
        "ecn" => &["--connect", "http", "--timeout", "2"],
        "mss" | "tcpopt" => &["--connect", "tcp", "--timeout", "2"],
        _ => &["--timeout", "2"],
    };
    arguments.iter().map(ToString::to_string).collect()
}

#[test]
fn each_fault_is_located_where_it_is() {
    if let Err(error) = net::prepare() {
        return pathspider_e2e::skipped(error);
    }
    let mut runs: BTreeMap<(String, Vec<String>), Vec<Scenario>> = BTreeMap::new();
    for scenario in scenarios() {
        for (plugin, expected) in &scenario.location {
            let arguments = expected.arguments.clone().unwrap_or_else(|| usual(plugin));
            runs.entry((plugin.clone(), arguments)).or_default().push(scenario.clone());
        }
    }
    // Searches wait for routers most of the time, so all runs go on at a time, each in a lab of its own.
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let run = |((plugin, arguments), scenarios): ((String, Vec<String>), Vec<Scenario>)| {
            scope.spawn(move || wrong(&plugin, &arguments, scenarios))
        };
        let measured: Vec<_> = runs.into_iter().map(run).collect();
        measured.into_iter().flat_map(|run| run.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What a run locates otherwise than is true.
fn wrong(plugin: &str, arguments: &[String], scenarios: Vec<Scenario>) -> Vec<String> {
    let lab = EmulatedLab::new(scenarios, 1).unwrap();
    let paths: Vec<&LabPath> = lab.paths().iter().collect();
    let options = ["--locate", "always", "--locate-rate", "2000"];
    let measurement = Measurement {
        pathspider: built("pathspider"),
        interface: INTERFACE.into(),
        workers: 200,
        options: options.map(ToOwned::to_owned).into(),
        plugin: plugin.into(),
        arguments: arguments.to_vec(),
        rejudge: false,
    };
    let is_dns = arguments.iter().any(|word| word.contains("dns"));
    let port = match plugin {
        "quicecn" => 443,
        _ if is_dns => 53,
        _ => 80,
    };
    let targets = paths.iter().flat_map(|path| {
        path.targets.iter().map(move |&address| Target {
            truth: &path.truth,
            address,
            port: Some(port),
        })
    });
    let records = measurement.run(lab.vantage(), targets).unwrap().records;
    let mut wrong = Vec::new();
    for path in &paths {
        let expected: BTreeSet<&str> =
            path.scenario.location[plugin].conditions.iter().map(String::as_str).collect();
        let of_path: Vec<_> =
            records.iter().filter(|record| record.lab_path == path.truth.name).collect();
        if of_path.len() != path.targets.len() {
            wrong.push(format!("{}: {} records", path.truth.name, of_path.len()));
        }
        for record in of_path {
            let is_location = |condition: &&str| condition.contains(".location.");
            let found: BTreeSet<&str> =
                record.conditions.iter().map(String::as_str).filter(is_location).collect();
            if found != expected {
                let (path, target) = (&path.truth.name, record.dip);
                wrong.push(format!("{plugin} at {path} ({target}): {found:?}, not {expected:?}"));
            }
        }
    }
    wrong
}

/// Routers of the kernel between the vantage point and the targets, joined by veth with all offloads on.
const ROUTERS: usize = 4;

/// What the router of a number does to packets to the target of a number, as nftables writes it. What
/// goes to the first target is translated at the first router beside.
const FAULTS: [(usize, usize, &str); 7] = [
    (3, 1, "ip ecn set not-ect"),
    (3, 2, "tcp flags & (syn | ack | ecn | cwr) == syn | ecn | cwr drop"),
    (2, 3, "tcp flags & (syn | ack | ecn | cwr) == syn | ecn | cwr reject with tcp reset"),
    (2, 4, "tcp flags syn tcp option maxseg size set 1200"),
    (ROUTERS, 5, "tcp flags syn tcp option maxseg size set 1200"),
    (3, 6, "tcp flags syn reset tcp option timestamp"),
    (ROUTERS, 7, "tcp flags syn reset tcp option timestamp"),
];

/// A target's number, what is located there, and what the target itself says; `*` stands for any value.
type Located = (usize, &'static [&'static str], &'static [&'static str]);

/// What measurements locate at the targets of these numbers. A router's kernel looks at the hops to live
/// before it does what nftables says, so the next router shows it, and of the last one nobody: then the target's
/// word says that something is harmed beyond.
const LOCATED: [(&str, &[Located]); 3] = [
    (
        "ecn --connect http --timeout 2",
        &[
            (1, &["ecn.location.changed:ecn:4"], &["ecn.forward.changed:ecn:2:0"]),
            // What did not come did not come otherwise, and a repeat without ECN is another packet.
            (2, &["ecn.location.dropped:4"], &[]),
            (3, &["ecn.location.rejected:3"], &[]),
            (LIED_ABOUT, &["ecn.location.changed:ecn:2"], &["ecn.forward.intact"]),
        ],
    ),
    (
        "mss --connect tcp --timeout 2",
        &[
            (4, &["mss.location.changed:mss:3"], &["mss.forward.changed:mss:1460:1200"]),
            (5, &["mss.location.beyond:4"], &["mss.forward.changed:mss:1460:1200"]),
        ],
    ),
    (
        "tcpopt --connect tcp --timeout 2",
        &[
            (6, &["tsopt.location.changed:tcpopt-8:4"], STAMPS_GONE),
            (7, &["tsopt.location.beyond:4"], STAMPS_GONE),
        ],
    ),
];

const STAMPS_GONE: &[&str] =
    &["sack.forward.intact", "tsopt.forward.changed:tcpopt-8:*:absent", "wsopt.forward.intact"];

/// The target to which packets come unharmed, although routers quote them as if their mark were gone: what has
/// no more hops to live is changed before it is quoted.
const LIED_ABOUT: usize = 8;

/// A chain of namespaces: the vantage point, the routers, the targets. Each link is a veth pair.
fn chain() -> Vec<Namespace> {
    let last = ROUTERS + 1;
    let hops: Vec<_> = (0..=last).map(|at| Namespace::new(&format!("hop {at}")).unwrap()).collect();
    for (at, pair) in hops.windows(2).enumerate() {
        let far = pair[1].path();
        net::ip(
            &pair[0],
            &format!(
                "link add out0 type veth peer name in0 netns {far}\n\
                 addr add 10.50.{at}.1/30 dev out0\nlink set out0 up\n"
            ),
        )
        .unwrap();
        net::ip(&pair[1], &format!("addr add 10.50.{at}.2/30 dev in0\nlink set in0 up\n")).unwrap();
    }
    // A router limits its errors for each address that they go to, so each measurement gets one of its own.
    let sources = LOCATED.iter().enumerate().map(|(number, (_, targets))| {
        let source = format!("10.51.0.{}", number + 1);
        let routes = targets
            .iter()
            .map(|(host, ..)| format!("route add 10.60.0.{host} via 10.50.0.2 src {source}\n"));
        format!("addr add {source}/32 dev out0\n") + &routes.collect::<String>()
    });
    net::ip(&hops[0], &sources.collect::<String>()).unwrap();
    for (at, hop) in hops.iter().enumerate() {
        let mut routes = String::new();
        if at < last {
            routes += &format!("route add 10.60.0.0/24 via 10.50.{at}.2\n");
        }
        if at == 0 {
            routes += "route add default via 10.50.0.2\n";
        } else if at > 1 {
            routes += &format!("route add 10.50.0.0/16 via 10.50.{}.1\n", at - 1);
        }
        if at > 0 {
            routes += &format!("route add 10.51.0.0/16 via 10.50.{}.1\n", at - 1);
        }
        if at == last {
            routes += "route add local 10.60.0.0/24 dev lo\n";
        }
        net::ip(hop, &routes).unwrap();
        hop.sysctls(&[("net.ipv4.ip_forward", "1"), ("net.ipv4.conf.all.rp_filter", "0")]).unwrap();
        let rules = FAULTS.iter().filter(|(router, ..)| *router == at);
        let rules = rules.map(|(_, target, what)| format!("ip daddr 10.60.0.{target} {what}\n"));
        let rules: String = rules.collect();
        let chain = "type filter hook forward priority 0;";
        let faults = format!("table ip faults {{\nchain forward {{\n{chain}\n{rules}}}\n}}\n");
        net::nft(hop, &faults).unwrap();
        if (2..last).contains(&at) {
            let lie = format!("ip daddr 10.60.0.{LIED_ABOUT} ip ttl 1 ip ecn set not-ect");
            let chain = "type filter hook prerouting priority mangle;";
            let lies = format!("table ip lies {{\nchain in {{\n{chain}\n{lie}\n}}\n}}\n");
            net::nft(hop, &lies).unwrap();
        }
    }
    let translated = "table ip nat {\nchain out {\ntype nat hook postrouting priority 100;\n\
                      ip daddr 10.60.0.1 masquerade fully-random\n}\n}\n";
    net::nft(&hops[1], translated).unwrap();
    // Counts the openings that come to a target, and what resets them.
    let counted = "table ip seen {\nchain in {\ntype filter hook input priority 0;\n\
                   ip daddr 10.60.0.2 tcp flags & (syn | ack) == syn counter\n\
                   ip daddr 10.60.0.2 tcp flags & rst == rst counter\n}\n}\n";
    net::nft(&hops[last], counted).unwrap();
    hops[last].sysctl("net.ipv4.tcp_ecn", "1").unwrap();
    hops
}

#[test]
fn routers_of_the_kernel_show_it_too_and_the_target_is_spared() {
    if let Err(error) = net::prepare() {
        return pathspider_e2e::skipped(error);
    }
    let hops = chain();
    let (vantage, target) = (&hops[0], &hops[ROUTERS + 1]);
    let _server = FastHttp::start(target, 80, 1, false).unwrap();
    // The kernel brings new links up a moment after it is asked to.
    let address = ([10, 60, 0, 1], 80).into();
    let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(100));
    wait_until("links carry packets", || vantage.enter(connect).unwrap().is_ok());
    let key = key_file(&pathspider_e2e::temp_dir("located-key"), 0o600);
    let _responder = responder(target, &key, &["--rate-per-source", "1000"]);
    let [of_ecn, others @ ..] = LOCATED;
    let records = located(vantage, &key, of_ecn.0, of_ecn.1);
    // Those change no setting that the other one relies on.
    std::thread::scope(|scope| {
        let key = &key;
        let run = |(plugin, targets)| scope.spawn(move || located(vantage, key, plugin, targets));
        let runs = others.map(run);
        runs.into_iter().for_each(|run| drop(run.join().unwrap()));
    });
    // What each router said stands in the record, and the routers in its path.
    let searches = records[0]["location"].as_array().unwrap();
    let search = searches.iter().find(|search| search["carrier"] == "data").unwrap();
    let mut of_hops = search["hops"].as_array().unwrap().iter();
    let fourth = of_hops.find(|hop| hop["hop"] == 4).unwrap();
    assert!(
        fourth["marked"]["differs"].as_array().unwrap().contains(&"ecn:2>0".into()),
        "{search}"
    );
    assert_eq!(fourth["from"], "10.50.3.2");
    // The target knows the flow by its sequence number, whatever the translator made of its port.
    let mut said = records[0]["forward"].as_array().unwrap().iter();
    let data = said.find(|one| one["config"] == 1 && one["carrier"] == "data").unwrap();
    assert_eq!((&data["found_by"], &data["from"]), (&"mark".into(), &"10.50.1.1".into()), "{data}");
    assert_eq!(data["hops"], ROUTERS, "{data}");
    assert!(records[0]["path"].as_array().unwrap().contains(&"10.50.3.2".into()));
    assert!(records.iter().all(|record| {
        let searches = record["location"].as_array().unwrap().iter();
        searches.map(|search| search["at_target"].as_u64().unwrap()).all(|number| number <= 6)
    }));
    // The measurement's own opening, and three of the search at the most; each of these is reset.
    let counters = script(target, "nft list table ip seen");
    let numbers: Vec<u64> = counters
        .split("packets ")
        .skip(1)
        .map(|rest| rest.split(' ').next().unwrap().parse().unwrap())
        .collect();
    let [openings, resets] = numbers[..] else { panic!("{counters}") };
    assert!((2..=4).contains(&openings), "{counters}");
    assert!(resets >= openings - 1, "{counters}");
    let half_open = script(target, "cat /proc/net/tcp /proc/net/tcp6");
    let is_half_open = |line: &&str| line.split_whitespace().nth(3) == Some("03");
    assert_eq!(half_open.lines().filter(is_half_open).count(), 0, "{half_open}");
}

/// The records of a measurement of these targets. Each target has the locations that are true for it.
fn located(
    vantage: &Namespace,
    key: &Path,
    plugin: &str,
    targets: &[Located],
) -> Vec<serde_json::Value> {
    let mut words = plugin.split(' ');
    let folder = pathspider_e2e::temp_dir(&format!("located-{}", words.clone().next().unwrap()));
    let (output, input) = (folder.join("records.ndjson"), folder.join("jobs.ndjson"));
    let jobs = targets
        .iter()
        .map(|(host, ..)| format!("{{\"dip\":\"10.60.0.{host}\",\"responder\":true}}\n"));
    fs::write(&input, jobs.collect::<String>()).unwrap();
    let mut command = Command::new(built("pathspider"));
    command.args(plugin_waiver(&built("pathspider")));
    command.args(["measure", "-i", "out0", "--allow-special", "--locate", "always"]);
    command.arg("--responder-key").arg(key);
    command.arg("--input").arg(&input).arg("--output").arg(&output);
    command.args(&mut words);
    vantage.place(&mut command);
    let ended = Ended::from(command.output().unwrap());
    ended.expect(0, &["paths searched with"]);
    let text = fs::read_to_string(&output).unwrap();
    let mut records: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    records.sort_by_key(|record| record["dip"].to_string());
    assert_eq!(records.len(), targets.len(), "{text}");
    for (record, (_, expected, said)) in records.iter().zip(targets) {
        let conditions = record["conditions"].as_array().unwrap().iter();
        let conditions: Vec<&str> = conditions.map(|one| one.as_str().unwrap()).collect();
        let of = |word: &str| {
            let mut found: Vec<&str> =
                conditions.iter().copied().filter(|one| one.contains(word)).collect();
            found.sort_unstable();
            found
        };
        assert_eq!(of(".location."), *expected, "{plugin}: {record}");
        let found = of(".forward.");
        assert!(are_alike(&found, said), "{plugin}: {found:?}, not {said:?}: {record}");
    }
    records
}

/// Searches a path that resets SYNs, with these signals once a copy has left with few hops to live; gives how
/// it ended, the record and what the metadata count.
fn signalled(
    path: &pathspider_e2e::Path,
    signals: &str,
) -> (Ended, serde_json::Value, serde_json::Value) {
    let folder = pathspider_e2e::temp_dir(&format!("signalled-{}", signals.len()));
    let output = folder.join("records.ndjson");
    let script = format!(
        "nft 'table ip seen {{ chain out {{ type filter hook output priority 0; ip ttl < 32 counter; }}; }}'
         head -n 1 >$TMPDIR/job
         $PATHSPIDER measure -i lab0 --allow-special --input $TMPDIR/job \
             --output {output} --locate always ecn --connect tcp --timeout 0.5 &
         while nft list table ip seen | grep -q 'packets 0 '; do kill -0 $! || exit 99; done
         {signals}
         wait $!; status=$?; nft delete table ip seen; exit $status",
        output = output.display()
    );
    let ended =
        path.script(&script.replace("$TMPDIR", &folder.display().to_string()), &path.jobs());
    let text = fs::read_to_string(&output).unwrap();
    let meta = fs::read_to_string(folder.join("records.ndjson.meta.json")).unwrap();
    let meta: serde_json::Value = serde_json::from_str(&meta).unwrap();
    (ended, serde_json::from_str(&text).unwrap(), meta["runs"][0]["counts"]["located"].clone())
}

#[test]
fn a_first_signal_lets_searches_end_and_a_second_one_ends_them() {
    let scenario = "hops = 4\n[[rule]]\nhop = 2\n\
        match = { protocol = 'tcp', flags = 'SYN !ACK ECE CWR' }\naction = 'reset'";
    let Some(path) = pathspider_e2e::path(scenario, 1) else { return };
    let (ended, record, counts) = signalled(&path, "kill -TERM $!");
    ended.expect(0, &["1 path searched"]);
    assert!(record["conditions"].to_string().contains("ecn.location.rejected:3"), "{record}");
    assert_eq!(counts["cut_off"], 0, "{counts}");
    let (ended, record, counts) = signalled(&path, "kill -TERM $!; kill -HUP $!");
    ended.expect(0, &["not located to the end"]);
    let found = record["conditions"].to_string();
    assert!(found.contains("ecn.connectivity.broken") && !found.contains(".location."), "{record}");
    assert_eq!(counts["cut_off"], 1, "{counts}");
    assert!(counts["packets"].as_u64() > Some(0), "what was sent is counted: {counts}");
}

/// What a script says within a namespace.
fn script(namespace: &Namespace, text: &str) -> String {
    let mut command = Command::new("sh");
    command.args(["-c", text]);
    namespace.place(&mut command);
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

/// Two ways from the first router to the target: packets whose flow label is in the upper half go by the
/// other one.
fn forked() -> [Namespace; 5] {
    let hops =
        ["vantage", "fork", "left", "right", "target"].map(|name| Namespace::new(name).unwrap());
    let links = [(0, 1), (1, 2), (1, 3), (2, 4), (3, 4)];
    for (number, (near, far)) in links.into_iter().enumerate() {
        let there = hops[far].path();
        let add = format!("link add to{far} type veth peer name from{near} netns {there}\n");
        net::ip(&hops[near], &add).unwrap();
        for (hop, name, last) in [(near, format!("to{far}"), 1), (far, format!("from{near}"), 2)] {
            let address = format!("addr add fd50:{number}::{last}/64 dev {name} nodad\n");
            net::ip(&hops[hop], &format!("{address}link set {name} up\n")).unwrap();
        }
    }
    let routes = [
        "route add default via fd50:0::2\n",
        "route add fd60::/64 via fd50:1::2\nroute add fd60::/64 via fd50:2::2 table 100\n\
         rule add fwmark 1 table 100\n",
        "route add fd60::/64 via fd50:3::2\nroute add fd50:0::/64 via fd50:1::1\n",
        "route add fd60::/64 via fd50:4::2\nroute add fd50:0::/64 via fd50:2::1\n",
        "route add local fd60::/64 dev lo\nroute add fd50:0::/64 via fd50:3::1\n",
    ];
    for (hop, routes) in hops.iter().zip(routes) {
        hop.sysctl("net.ipv6.conf.all.forwarding", "1").unwrap();
        for line in routes.lines() {
            assert_eq!(script(hop, &format!("ip -6 {line} && echo ok")), "ok\n", "{line}");
        }
    }
    let by_label = "table ip6 ways {\nchain in {\ntype filter hook prerouting priority mangle;\n\
                    ip6 flowlabel >= 0x80000 meta mark set 1\n}\n}\n";
    net::nft(&hops[1], by_label).unwrap();
    hops.iter().try_for_each(net::ready).unwrap();
    hops
}

#[test]
fn a_flow_label_that_leads_another_way_shows_at_the_hop_that_differs() {
    if let Err(error) = net::prepare() {
        return pathspider_e2e::skipped(error);
    }
    let [vantage, _fork, _left, _right, target] = &forked();
    let _server = FastHttp::start(target, 80, 1, false).unwrap();
    let address = ("fd60::1".parse::<std::net::IpAddr>().unwrap(), 80).into();
    let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(100));
    wait_until("links carry packets", || vantage.enter(connect).unwrap().is_ok());
    let folder = pathspider_e2e::temp_dir("forked");
    let mut command = Command::new(built("pathspider"));
    command.args(plugin_waiver(&built("pathspider")));
    command.args(["measure", "-i", "to1", "--allow-special", "--locate", "always", "--output"]);
    command.arg(folder.join("records.ndjson"));
    command.args(["flowlabel", "--timeout", "2", "fd60::1"]);
    vantage.place(&mut command);
    Ended::from(command.output().unwrap()).expect(0, &[]);
    let text = fs::read_to_string(folder.join("records.ndjson")).unwrap();
    let record: serde_json::Value = serde_json::from_str(&text).unwrap();
    let conditions = record["conditions"].as_array().unwrap();
    assert!(conditions.contains(&"flowlabel.other.location.elsewhere:2".into()), "{record}");
    assert!(!record["conditions"].to_string().contains("none.location.elsewhere"), "{record}");
}
