//! Which targets are measured: formats, names, duplicates, courtesy, order and limits.

use std::net::IpAddr;

use pathspider_e2e::{Ended, Names, Network, Program, names, network, temp_dir};
use serde_json::Value;

const ECN: [&str; 3] = ["ecn", "--connect", "tcp"];

fn measure(network: &Network, arguments: &[&str], input: &str) -> Ended {
    network.measure(&[arguments, &ECN].concat(), input)
}

/// The targets of an output, in the order in which they were begun.
fn targets(ended: &Ended) -> Vec<String> {
    let mut records = ended.records();
    records.sort_by_key(|record| record.time.as_ref().unwrap().from.clone());
    records.into_iter().map(|record| record.dip).collect()
}

#[test]
fn csv_with_and_without_a_header() {
    let Some(network) = network(3, 0) else { return };
    let all = network.targets("clean");
    let [a, b, c] = all[..] else { panic!("{all:?}") };
    let rows = format!(
        "Port,IP,note,rank,Host\n80,{a},\"x, \"\"y\"\"\nz\",1,a.example\n80,nonsense..,,,\n,{b},,,\n"
    );
    let end = measure(&network, &["-w", "1"], &rows);
    end.expect(9, &["standard input:4: not a job", "1 lines were not jobs", "2 targets"]);
    let start = format!("{{\"dp\":80,\"dip\":\"{a}\",\"note\":\"x, \\\"y\\\"\\nz\",\"rank\":1,");
    assert!(end.stdout.contains(&start), "{}", end.stdout);
    let rows = format!("{a},80,a.example\n{{\"dip\":\"{b}\"}}\n{c},80,c.example,17\n");
    let end = measure(&network, &["-w", "1"], &rows);
    end.expect(0, &["3 targets"]);
    assert!(end.records().iter().any(|record| record.rest.get("rank") == Some(&17.into())));
    measure(&network, &["--csv-input"], &rows).expect(9, &["standard input:2: not a job"]);
}

#[test]
fn compressed_input() {
    let Some(network) = network(4, 0) else { return };
    let folder = temp_dir("compressed");
    let script = format!(
        "cd {} && cat >jobs && gzip -k jobs && xz -k jobs && \
         $PATHSPIDER measure -i {1} --allow-special --input jobs.gz ecn --connect tcp && \
         $PATHSPIDER measure -i {1} --allow-special ecn --connect tcp <jobs.xz",
        folder.display(),
        network.interface()
    );
    let end = network.script(&script, &network.jobs("clean"));
    end.expect(0, &["4 targets"]);
    assert_eq!(end.records().len(), 8);
    let script = format!(
        "head -c 60 {}/jobs.gz | $PATHSPIDER measure -i {} --allow-special ecn",
        folder.display(),
        network.interface()
    );
    network.script(&script, "").expect(7, &["cannot read standard input"]);
}

#[test]
fn duplicates_are_skipped_and_told() {
    let Some(network) = network(2, 1) else { return };
    let jobs = network.jobs("clean");
    let other_port = jobs.lines().next().unwrap().replace("\"dp\":80", "\"dp\":81") + "\n";
    let input = format!("{jobs}{other_port}{jobs}");
    let end = measure(&network, &["-w", "1"], &input);
    end.expect(0, &["4 targets", "3 duplicates skipped"]);
    assert_eq!(end.records().iter().filter(|record| record.dp == 81).count(), 1);
    let end = measure(&network, &["--duplicates"], &input);
    end.expect(0, &["7 targets"]);
    assert!(!end.stderr.contains("skipped"), "{}", end.stderr);
}

#[test]
fn special_addresses_are_not_measured_unless_allowed() {
    let Some(network) = network(3, 2) else { return };
    let command = Program::command(&["measure", "-i", network.interface(), "ecn"]);
    let end = network.run(command, &network.jobs("clean"));
    end.expect(0, &["0 targets", "5 skipped for their special-purpose address"]);
    assert!(end.records().is_empty());
}

#[test]
fn blocklists_are_kept() {
    let Some(network) = network(4, 1) else { return };
    let all = network.targets("clean");
    let folder = temp_dir("blocklist");
    let (a, b) = (folder.join("a"), folder.join("b"));
    std::fs::write(&a, format!("# asked by mail\n{}/31\n\n", all[0])).unwrap();
    std::fs::write(&b, format!("{} # one host\n", all[4])).unwrap();
    let lists = ["--blocklist", a.to_str().unwrap(), "--blocklist", b.to_str().unwrap()];
    let end = measure(&network, &lists, &network.jobs("clean"));
    let IpAddr::V4(first) = all[0] else { panic!("{all:?}") };
    let blocked = all.iter().filter(|ip| match ip {
        IpAddr::V4(ip) => ip.to_bits() >> 1 == first.to_bits() >> 1,
        IpAddr::V6(_) => true,
    });
    let count = blocked.count();
    end.expect(0, &[&format!("{count} skipped for the blocklist")]);
    assert_eq!(end.records().len(), 5 - count);
    std::fs::write(&a, "10.0.0.0/8\n10.0.0.0/99\n").unwrap();
    measure(&network, &lists, "").expect(7, &["/a:2: \"10.0.0.0/99\" is neither"]);
    measure(&network, &["--blocklist", "/nonexistent"], "").expect(7, &["the blocklist /nonexist"]);
}

#[test]
fn a_seed_decides_the_order() {
    let Some(network) = network(40, 0) else { return };
    let jobs = network.jobs("clean");
    let run = |arguments: &[&str]| {
        let end = measure(&network, &[&["-w", "1"], arguments].concat(), &jobs);
        end.expect(if arguments.contains(&"--max-targets") { 10 } else { 0 }, &[]);
        targets(&end)
    };
    let (plain, first) = (run(&[]), run(&["--shuffle", "--seed", "7"]));
    assert_eq!(run(&["--shuffle", "--seed", "7"]), first);
    assert_ne!(first, plain);
    let ten = run(&["--shuffle", "--seed", "7", "--max-targets", "10"]);
    assert_eq!(ten, first[..10]);
    let mut sorted = [first, plain];
    sorted.iter_mut().for_each(|targets| targets.sort());
    assert_eq!(sorted[0], sorted[1]);
    let end = measure(&network, &["--shuffle"], &jobs);
    end.expect(0, &["shuffling with --seed ", "40 targets"]);
    Program::run(&["measure", "-i", "lo", "--seed", "7", "ecn"]).expect(2, &["--shuffle"]);
}

#[test]
fn limits_end_a_run_in_order() {
    let Some(network) = network(10, 0) else { return };
    let end = measure(&network, &["--max-targets", "3"], &network.jobs("clean"));
    end.expect(10, &["3 targets", "--max-targets was reached"]);
    assert_eq!(end.records().len(), 3);
    // `yes` never ends by itself.
    let dip = network.targets("clean")[0];
    let script = format!(
        "yes '{{\"dip\":\"{dip}\"}}' | $PATHSPIDER measure -i {} --allow-special --duplicates \
         --max-runtime 1s ecn --connect tcp",
        network.interface()
    );
    let end = network.script(&script, "");
    end.expect(10, &["--max-runtime is over", "targets in"]);
    assert!(!end.stderr.contains("left unfinished"), "{}", end.stderr);
    assert!(!end.records().is_empty());
}

#[test]
fn the_path_has_what_is_known() {
    let Some(network) = network(2, 1) else { return };
    let jobs = network.jobs("clean").replace("\"lab_path\":\"clean\"", "\"info\":{\"ASN\":64500}");
    let known = ["--source-public", "198.51.100.7", "--source-asn", "64496"];
    let end = measure(&network, &known, &jobs);
    end.expect(0, &[]);
    for record in end.records() {
        let (sip, dip) = (record.sip.as_deref().unwrap(), &*record.dip);
        match dip.contains(':') {
            true => assert_eq!(record.path, [sip, "AS64496", "*", "AS64500", dip]),
            false => {
                assert_eq!(record.path, [sip, "198.51.100.7", "AS64496", "*", "AS64500", dip]);
            }
        }
    }
}

#[test]
fn names_are_looked_up_when_asked() {
    let Some(network) = names("names", 4) else { return };
    let all = network.targets();
    let name = |at: usize| Names::name(all[at]);
    let input = format!(
        "{{\"dip\":\"{}\"}}\n{{\"rank\":2,\"domain\":\"{}\"}}\n{},80,a.example\n{{\"dip\":\"nobody.invalid\"}}\n\
         {{\"domain\":\"filed.example\"}}\n{{\"dip\":\"{}\"}}\n",
        name(0),
        name(1),
        name(2),
        all[3]
    );
    let script = |more: &str| {
        format!(
            "exec $PATHSPIDER measure -i lab0 --allow-special {more} ecn --connect tcp --timeout 1"
        )
    };
    let end = network.script(&[all[0]], &script("--resolve"), &input);
    end.expect(
        9,
        &["standard input:4: not a job: \"nobody.invalid\" cannot be resolved: ", "5 targets"],
    );
    let mut records = end.records();
    records.sort_by_key(|record| record.dip.parse::<IpAddr>().unwrap());
    let domain = |at: usize| records[at].rest.get("domain").and_then(Value::as_str);
    for at in 0..4 {
        assert_eq!(records[at].dip, all[at].to_string());
        assert_eq!(records[at].conditions[0], "ecn.connectivity.works");
    }
    assert_eq!((domain(0), domain(1)), (Some(&*name(0)), Some(&*name(1))));
    assert_eq!((domain(2), domain(3)), (Some("a.example"), None));
    // From the hosts file; nobody is there.
    assert_eq!((&*records[4].dip, domain(4)), ("10.255.0.1", Some("filed.example")));
    let end = network.script(&[all[0]], &script(""), &input);
    end.expect(9, &["standard input:1: not a job", "with --resolve", "5 lines were not jobs"]);
}

#[test]
fn what_a_name_has_is_judged_after_it_is_looked_up() {
    let Some(network) = names("names-judged", 2) else { return };
    let all = network.targets();
    let input = format!("{{\"dip\":\"{}\"}}\n{{\"domain\":\"{0}\"}}\n", Names::name(all[1]));
    let script = "exec $PATHSPIDER measure -i lab0 --resolve ecn";
    network
        .script(&[all[0]], script, &input)
        .expect(0, &["0 targets", "2 skipped for their special-purpose address"]);
    let script = "exec $PATHSPIDER measure -i lab0 --allow-special --resolve ecn --connect tcp";
    network.script(&[all[0]], script, &input).expect(0, &["1 target ", "1 duplicates skipped"]);
}

#[test]
fn a_slow_resolver_delays_nobody_else() {
    let Some(network) = names("names-slow", 5) else { return };
    let all = network.targets();
    let dead: IpAddr = "10.255.0.53".parse().unwrap();
    let mut input = format!("{{\"dip\":\"{}\"}}\n", Names::name(all[4]));
    input.extend(all[..4].iter().map(|ip| format!("{{\"dip\":\"{ip}\"}}\n")));
    // The first server never answers, so that the name waits a second for the other.
    let script = "exec $PATHSPIDER measure -i lab0 --allow-special --resolve ecn --connect tcp";
    let end = network.script(&[dead, all[0]], script, &input);
    end.expect(0, &["5 targets"]);
    assert_eq!(targets(&end)[4], all[4].to_string(), "the first line's comes last");
}

#[test]
fn dnsresolv_makes_targets_of_names() {
    let Some(network) = names("dnsresolv", 3) else { return };
    let all = network.targets();
    let (first, other) = (Names::name(all[1]), Names::name(all[2]));
    let input = format!("1,{first}\n2,www.example.org\n3,nobody.invalid\n4,{other}\n5,{first}\n");
    // Without any privilege, and without an interface: nothing is captured.
    let resolve = "setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all \
                   $PATHSPIDER measure dnsresolv";
    let folder = temp_dir("dnsresolv-program");
    let copy = format!(
        "cp $PATHSPIDER {0}/pathspider; mkdir {0}/plugins; \
         cp $(dirname $PATHSPIDER)/plugins/*.so {0}/plugins; chmod -R a+rX {0}; \
         PATHSPIDER={0}/pathspider; \
         ip route add 0.0.0.0/1 dev lab0; ip route add 128.0.0.0/1 dev lab0; ip route del default;",
        folder.display()
    );
    let end = network.script(&[all[0]], &format!("{copy} {resolve}"), &input);
    end.expect(0, &["3 targets", "1 discarded", "1 duplicates skipped"]);
    let mut lines: Vec<Value> =
        end.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines.sort_by_key(|line| (line["rank"].as_u64(), line["dip"].to_string()));
    let found: Vec<_> =
        lines.iter().map(|l| (l["rank"].as_u64().unwrap(), l["dip"].as_str().unwrap())).collect();
    let (one, four) = (all[1].to_string(), all[2].to_string());
    assert_eq!(found, [(1, &*one), (2, "192.0.2.1"), (2, "2001:db8::1"), (4, &*four)]);
    for line in &lines {
        assert_eq!(line["conditions"], serde_json::json!(["dnsresolv.resolution.succeeded"]));
        let keys: Vec<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
        assert!(!keys.contains(&"dp") && !keys.contains(&"path"), "{keys:?}");
    }

    let end = network.script(
        &[all[0]],
        "$PATHSPIDER measure dnsresolv --family ipv4 | \
         $PATHSPIDER measure -i lab0 --allow-special ecn --connect tcp --timeout 1",
        &input,
    );
    end.expect(0, &["ecn.connectivity.works", "dnsresolv.resolution.succeeded"]);
    let mut records = end.records();
    records.sort_by_key(|record| record.rest["rank"].as_u64());
    let verdict = |at: usize| (&*records[at].dip, &*records[at].conditions[0]);
    assert_eq!(records.len(), 3);
    assert_eq!(verdict(0), (&*one, "ecn.connectivity.works"));
    assert_eq!(verdict(1), ("192.0.2.1", "ecn.connectivity.offline"));
    assert_eq!(verdict(2), (&*four, "ecn.connectivity.works"));
    assert_eq!(records[0].rest["domain"], *first);

    let script = "exec $PATHSPIDER measure dnsresolv --keep-failed --timeout 0.5";
    let end = network.script(
        &[all[0]],
        script,
        "{\"domain\":\"nobody.invalid\",\"hellfire_lookup_type\":\"host\"}",
    );
    end.expect(0, &["dnsresolv.resolution.failed"]);
    let start = "{\"domain\":\"nobody.invalid\",\"hellfire_lookup_type\":\"host\",\
                 \"dns_error\":\"no such name\",\"conditions\":[\"dnsresolv.resolution.failed\"]";
    assert!(end.stdout.starts_with(start), "{}", end.stdout);
    let ipv6 = format!("{script} --family ipv6");
    let end = network.script(&[all[0]], &ipv6, &format!("1,{first}\n"));
    assert!(end.stdout.contains("\"dns_error\":\"no address\""), "{}", end.stdout);
    let dead: IpAddr = "10.255.0.53".parse().unwrap();
    let end = network.script(&[dead], script, "1,www.example.org\n");
    end.expect(0, &["www.example.org: time-out"]);
    assert!(end.stdout.contains("\"dns_error\":\"time-out\""), "{}", end.stdout);
}

/// When the first packet of each connection was captured, in order, with its target.
fn starts(ended: &Ended) -> Vec<(f64, String)> {
    let flows = |record: pathspider_e2e::Record| record.flow_results.unwrap();
    let start = |flow: pathspider_e2e::FlowResult| {
        assert!(flow.observed, "{flow:?}");
        (flow.rest["pkt_first"].as_f64().unwrap(), flow.rest["dip"].as_str().unwrap().to_owned())
    };
    let mut starts: Vec<_> = ended.records().into_iter().flat_map(flows).map(start).collect();
    starts.sort_by(|a, b| a.0.total_cmp(&b.0));
    starts
}

#[test]
fn the_rate_on_the_wire_is_the_one_asked_for() {
    let Some(network) = network(250, 0) else { return };
    for rate in [100usize, 2000] {
        let mut jobs = network.jobs("clean");
        if rate > 100 {
            let more = [81, 82, 83].map(|port| jobs.replace(":80", &format!(":{port}")));
            jobs = [jobs, network.jobs("ecn-syn-reset"), more.concat()].concat();
        }
        let arguments = ["--rate", &rate.to_string(), "-w", "2000", "--output-flows"];
        let end = measure(&network, &arguments, &jobs);
        end.expect(0, &[]);
        let times: Vec<f64> = starts(&end).into_iter().map(|(at, _)| at).collect();
        for (at, first) in times.iter().enumerate() {
            let within = times[at..].partition_point(|time| time - first < 1.0);
            assert!(within as f64 <= rate as f64 * 1.02, "{within} in a second at {rate}/s");
        }
        // The second connections of the last targets come late: without them. A busy machine may
        // stall, and what is lost then is not made up for in a burst.
        let times = &times[..times.len() * 3 / 4];
        let mean = (times.len() - 1) as f64 / (times[times.len() - 1] - times[0]);
        eprintln!("{mean:.1} connections/s for --rate {rate}");
        assert!((0.9..=1.02).contains(&(mean / rate as f64)), "{mean}/s for {rate}/s");
    }
}

#[test]
fn a_prefix_keeps_its_distance_on_the_wire() {
    let Some(network) = network(6, 3) else { return };
    let jobs = network.jobs("clean") + &network.jobs("ecn-syn-reset");
    let prefix = |ip: &str| match ip.contains(':') {
        true => ip.split(':').take(3).collect::<Vec<_>>().join(":"),
        false => ip.rsplit_once('.').unwrap().0.to_owned(),
    };
    // Two jobs at once would do for one prefix only: those that wait are not counted.
    let arguments = ["--prefix-spacing", "200ms", "-w", "2", "--output-flows"];
    let end = measure(&network, &arguments, &jobs);
    end.expect(0, &["18 targets"]);
    let starts = starts(&end);
    assert_eq!(starts.len(), 36);
    let mut last = std::collections::HashMap::new();
    for (at, ip) in &starts {
        if let Some(before) = last.insert(prefix(ip), *at) {
            // The capture's stamps are taken a little after the start.
            assert!(at - before >= 0.199, "{ip}: {}", at - before);
        }
    }
    assert!(last.len() >= 2, "{last:?}");
    // Each prefix on its own would take as long as all together, were one in the other's way.
    let mut most = std::collections::HashMap::new();
    starts.iter().for_each(|(_, ip)| *most.entry(prefix(ip)).or_insert(0u32) += 1);
    let alone = 0.2 * f64::from(*most.values().max().unwrap() - 1);
    let lasted = starts[35].0 - starts[0].0;
    assert!(lasted < 1.5 * alone, "{lasted} for {alone}");
}

#[test]
fn an_address_keeps_its_rate_on_the_wire() {
    let Some(network) = network(3, 0) else { return };
    let arguments = ["--per-target-rate", "4", "--output-flows"];
    let end = measure(&network, &arguments, &network.jobs("clean"));
    end.expect(0, &["3 targets"]);
    let starts = starts(&end);
    for ip in network.targets("clean") {
        let times: Vec<f64> =
            starts.iter().filter(|(_, dip)| *dip == ip.to_string()).map(|(at, _)| *at).collect();
        assert!(times.len() == 2 && times[1] - times[0] >= 0.249, "{times:?}");
    }
}

#[test]
fn a_run_that_stops_leaves_what_only_waits() {
    let Some(network) = network(20, 0) else { return };
    let script = format!(
        "$PATHSPIDER measure -i {} --allow-special --rate 2 --max-runtime 1.2 ecn",
        network.interface()
    );
    let end = network.script(&script, &network.jobs("clean"));
    end.expect(10, &["read and not begun"]);
    assert!((1..=3).contains(&end.records().len()), "{}", end.stdout);
    let script = format!(
        "$PATHSPIDER measure -i {} --allow-special --prefix-spacing 2 --max-runtime 1 ecn",
        network.interface()
    );
    let end = network.script(&script, &network.jobs("clean"));
    end.expect(10, &["1 target in", "19 read and not begun"]);
    assert_eq!(end.records()[0].conditions[0], "ecn.connectivity.works");
}
