//! Targets that are names, and their addresses as a measurement of its own.

use std::net::IpAddr;

use pathspider_e2e::{Names, names, temp_dir};
use serde_json::Value;

use super::targets;

#[test]
fn names_are_looked_up_when_asked() {
    let Some(network) = names("names", 4) else { return };
    let all = network.targets();
    let name = |at: usize| Names::name(all[at]);
    let input = format!(
        "{{\"dip\":\"{}\"}}\n{{\"rank\":2,\"domain\":\"{}\"}}\n{},80,a.example\n{{\"dip\":\"nobody.invalid\"}}\n\
         {{\"domain\":\"filed.example\"}}\n{{\"dip\":\"{}\"}}\n{{\"domain\":\"blocked.example\"}}\n",
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
        &[
            "standard input:4: not a job: \"nobody.invalid\" cannot be resolved: ",
            "standard input:7: not a job: \"blocked.example\" has no address but 0.0.0.0",
            "5 targets",
        ],
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
    end.expect(9, &["standard input:1: not a job", "with --resolve", "6 lines were not jobs"]);
}

#[test]
fn a_run_that_stops_counts_the_names_it_was_looking_up() {
    const NAMES: usize = 300;
    let Some(network) = names("names-stopped", 1) else { return };
    let jobs = |domains: usize| -> String {
        (0..domains).map(|n| format!("{{\"domain\":\"n{n}.lab.example\"}}\n")).collect()
    };
    // Nobody answers: each takes a second, and 64 are looked up at a time.
    let script = "exec $PATHSPIDER measure -i lab0 --resolve --max-runtime 2s ecn";
    let end = network.script(&["10.255.0.53".parse().unwrap()], script, &jobs(NAMES));
    assert_eq!(end.status, 10, "{}", end.stderr);
    let bad = end.stderr.split(" lines were not jobs").next().unwrap();
    let unanswered: usize = bad.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(unanswered < NAMES, "the run came to its end before");
    let left = format!("{} read and not begun", NAMES - unanswered);
    assert!(end.stderr.contains(&left), "{unanswered} of {NAMES}: {}", end.stderr);
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
    network.script(&[all[0]], script, &input).expect(0, &["1 target ", "1 duplicate skipped"]);
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
    let failed = "1 name without an address: 1 no such name";
    end.expect(0, &["3 targets", "1 discarded", "1 duplicate skipped", failed]);
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
    let end = network.script(&[all[0]], script, "1,blocked.example\n");
    assert!(end.stdout.contains("\"dns_error\":\"no usable address\""), "{}", end.stdout);
    let dead: IpAddr = "10.255.0.53".parse().unwrap();
    let end = network.script(&[dead, all[0]], script, &format!("1,{first}\n"));
    assert!(end.stdout.contains(&format!("\"dip\":\"{one}\"")), "{}", end.stdout);
    let end = network.script(&[dead], script, "1,www.example.org\n");
    end.expect(0, &["www.example.org: time-out"]);
    assert!(end.stdout.contains("\"dns_error\":\"time-out\""), "{}", end.stdout);
}
