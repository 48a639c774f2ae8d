//! What records say beside their conclusions: their run and place, why connections
//! failed, how long answers took, and in which networks the ends are.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use pathspider_e2e::{Network, Program, Record, built, network, temp_dir, unlike_schema};
use serde_json::{Value, json};

use crate::keeping::{ECN, measure, metadata, text};

/// Some of the lab's scenarios of each measurement, with failures of several kinds.
const SCENARIOS: [&str; 10] = [
    "dscp-dnsudp",
    "ecn-icmp-*",
    "ecn-https",
    "evilbit-dns-*",
    "h2-alpn*",
    "mss-clean",
    "tcpopt-*",
    "tfo-*",
    "udpzero-*",
    "ecn-dead",
];

/// A record's key, null where it has none.
fn key<'r>(record: &'r Record, name: &str) -> &'r Value {
    record.rest.get(name).unwrap_or(&Value::Null)
}

/// Writes prefix2as for the lab's networks.
fn prefixes(folder: &std::path::Path, network: &Network) -> String {
    let file = folder.join("pfx2as").display().to_string();
    let wide = |address: IpAddr| if address.is_ipv4() { 12 } else { 32 };
    let line = |address: IpAddr| format!("{address}\t{}\t64500_64501\n", wide(address));
    let mut targets: Vec<String> = network.targets("clean").into_iter().map(line).collect();
    targets.dedup_by_key(|line| line.contains(':'));
    fs::write(&file, targets.concat() + "10.0.0.0\t24\t64502\n").unwrap();
    file
}

#[test]
fn a_record_says_of_which_run_it_is_and_from_where() {
    let Some(network) = network(1, 1) else { return };
    let folder = temp_dir("evidence-origin");
    let path = folder.join("out.ndjson").display().to_string();
    let prefixes = prefixes(&folder, &network);
    let said = ["--vantage", "zürich", "--tag", "season=spring", "--tag", "line=dsl=16"];
    let more = ["--output", &path, "--chain", "rtt", "--asn-db", &prefixes];
    let jobs = network.jobs("clean");
    measure(&network, &[&said[..], &more].concat(), &ECN, &jobs).expect(0, &["2 targets"]);
    let (meta, written) = (metadata(&path), pathspider_e2e::records(&text(&path)));
    let run = meta["runs"][0]["run"].as_str().unwrap();
    for record in &written {
        assert!(record.job_id.starts_with(&format!("{run}-")), "{record:?}");
        let expected = [
            ("schema", json!(1)),
            ("run", json!(run)),
            ("plugin", json!("ecn")),
            ("version", meta["plugin"]["version"].clone()),
            ("vantage", json!("zürich")),
            ("tags", json!({"season": "spring", "line": "dsl=16"})),
            ("dip_asn", json!(64500)),
            ("failures", Value::Null),
        ];
        for (name, value) in expected {
            assert_eq!(*key(record, name), value, "{name}");
        }
        let is_v4 = record.dip.parse::<IpAddr>().unwrap().is_ipv4();
        assert!(record.path.contains(&"AS64500".to_owned()), "{record:?}");
        assert_eq!(*key(record, "sip_asn"), if is_v4 { json!(64502) } else { Value::Null });
        assert!(key(record, "dip_prefix").as_str().unwrap().ends_with(if is_v4 {
            "/12"
        } else {
            "/32"
        }));
        let round_trips = key(record, "rtt").as_array().unwrap();
        assert_eq!(round_trips.len(), 2);
        for (config, one) in round_trips.iter().enumerate() {
            assert_eq!(one["config"], config);
            assert!(one["rtt_us"].as_u64().unwrap() < 10_000_000, "{one}");
            assert!(
                one["rtt_ttl"].as_u64().unwrap() <= 64 && one["rtt_hops"].as_u64().unwrap() < 10
            );
        }
    }
    assert_eq!((written.len(), &meta["vantage"]), (2, &json!("zürich")));
    assert_eq!(meta["runs"][0]["databases"][0]["format"], "prefix2as");
    // A run that goes on is of the same place.
    let resume = [&said[2..], &more, &["--resume", "--vantage", "bern"]].concat();
    let ended = measure(&network, &resume, &ECN, &jobs);
    ended.expect(2, &["settings.vantage was \"zürich\" and is \"bern\" now"]);
    let resume = [&said[..], &more, &["--resume"]].concat();
    measure(&network, &resume, &ECN, &jobs).expect(0, &[]);
    assert_eq!(metadata(&path)["runs"].as_array().unwrap().len(), 2);
}

#[test]
fn a_failure_says_who_caused_it() {
    let Some(network) = network(6, 2) else { return };
    let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) =
        network.targets("clean").into_iter().partition(IpAddr::is_ipv4);
    let rules = [
        (v4[0], "icmp type net-unreachable", "net_unreachable", 3, 0),
        (v4[1], "icmp type host-unreachable", "host_unreachable", 3, 1),
        (v4[2], "icmp type admin-prohibited", "admin_prohibited", 3, 13),
        (v4[3], "icmp type port-unreachable", "port_unreachable", 3, 3),
        (v6[0], "icmpv6 type admin-prohibited", "admin_prohibited", 1, 1),
        (v6[1], "icmpv6 type no-route", "net_unreachable", 1, 0),
    ];
    let family = |to: IpAddr| if to.is_ipv4() { "ip" } else { "ip6" };
    let rule = |(to, with, ..): &(IpAddr, &str, &str, i32, i32)| {
        format!("; nft add rule inet r f {} daddr {to} reject with {with}", family(*to))
    };
    let script = "nft add table inet r; nft add chain inet r f \
                  '{ type filter hook forward priority -10; }'"
        .to_owned()
        + &rules.iter().map(rule).collect::<String>()
        + &format!("; nft add rule inet r f ip daddr {} reject with tcp reset", v4[4]);
    network.script_on_path(&script).expect(0, &[]);
    let ended = network.measure(&["ecn", "--connect", "tcp"], &network.jobs("clean"));
    let records = ended.records();
    let of = |to: IpAddr| records.iter().find(|record| record.dip == to.to_string()).unwrap();
    for (to, _, word, kind, code) in rules {
        let failures = key(of(to), "failures").as_array().unwrap().clone();
        assert_eq!(failures.len(), 2, "{failures:?}");
        for (config, failure) in failures.iter().enumerate() {
            let icmp = &failure["spdr_icmp"];
            let from: IpAddr = icmp["from"].as_str().unwrap().parse().unwrap();
            assert!(from.is_ipv4() == to.is_ipv4() && from != to, "the router's: {failure}");
            assert_eq!((&icmp["type"], &icmp["code"]), (&json!(kind), &json!(code)), "{word}");
            let (said, phase) = (&failure["spdr_error"], &failure["spdr_phase"]);
            assert_eq!((said, phase), (&json!(word), &json!("connect")));
            assert_eq!(failure["config"], config);
        }
    }
    let reset = json!({"config": 0, "spdr_error": "refused", "spdr_phase": "connect"});
    assert_eq!(key(of(v4[4]), "failures")[0], reset, "no ICMP error came");
    assert_eq!(*key(of(v4[5]), "failures"), Value::Null);
}

#[test]
fn keys_of_the_input_that_are_named_like_ours_are_kept_aside() {
    let Some(network) = network(1, 0) else { return };
    let dip = network.targets("clean")[0];
    let theirs = r#""run":1e2,"plugin":"theirs","version":123456789012345678901234567890,"time":"noon","schema":"x""#;
    let input = format!("{{\"dip\":\"{dip}\",{theirs},\"vantage\":\"theirs\",\"k\":1}}\n");
    let ended = network.measure(&ECN, &input);
    ended.expect(0, &[]);
    let record = &ended.records()[0];
    assert_eq!((key(record, "plugin"), key(record, "vantage")), (&json!("ecn"), &Value::Null));
    let aside = format!("\"input\":{{{theirs},\"vantage\":\"theirs\"}}");
    assert!(ended.stdout.contains(&aside), "{}", ended.stdout);
    assert!(ended.stdout.starts_with(&format!("{{\"dip\":\"{dip}\",\"k\":1,")), "{}", ended.stdout);
    // As an input again, it keeps what its own line had, and loses what its run said of itself.
    let again = network.measure(&["--vantage", "v", "ecn", "--connect", "tcp"], &ended.stdout);
    again.expect(0, &[]);
    assert!(again.stdout.contains(&aside), "{}", again.stdout);
    let second = &again.records()[0];
    assert_ne!(key(second, "run"), key(record, "run"));
    assert_eq!(key(second, "vantage"), "v");
    assert_eq!(
        again.stdout.matches("\"run\":").count(),
        2,
        "ours and the line's: {}",
        again.stdout
    );
}

#[test]
fn what_cannot_be_said_of_a_run_is_refused() {
    let folder = temp_dir("evidence-refused");
    let list = folder.join("list.csv").display().to_string();
    fs::write(&list, "rank,domain\n1,www.example.org\n").unwrap();
    let cases: [(&[&str], i32, &str); 8] = [
        (&["--tag", "season"], 2, "write KEY=VALUE"),
        (&["--tag", "__proto__=x"], 2, "has to begin with a letter"),
        (&["--tag", "a=x\u{1b}[2J"], 2, "characters that cannot be shown"),
        (&["--tag", "a=1", "--tag", "a=2"], 2, "the tag a is given twice: \"1\" and \"2\""),
        (&["--vantage", " "], 2, "it is empty"),
        (&["--chain", "nope"], 2, "--chain: no chain \"nope\""),
        (&["--asn-db", &list], 7, "is no database of networks that pathspider can read"),
        (&["--asn-db", "/nowhere"], 7, "cannot read the database /nowhere"),
    ];
    for (arguments, status, words) in cases {
        let ended = Program::run(&[&["measure"], arguments, &ECN].concat());
        ended.expect(status, &[words]);
        assert!(!ended.stderr.contains('\u{1b}'), "{}", ended.stderr);
    }
}

/// The lab reads of a record what it needs, so a copy of what it is given is held to the schema.
#[test]
fn records_of_every_measurement_are_as_the_schema_has_them() {
    let folder = temp_dir("evidence-schema");
    let (program, copy) = (folder.join("pathspider"), folder.join("records"));
    let script = format!(
        "#!/bin/sh\n'{real}' \"$@\"; status=$?\nfor word; do\n\
         [ \"$before\" = --output ] && cat \"$word\" >>'{copy}'\nbefore=$word\ndone\nexit $status\n",
        real = built("pathspider").display(),
        copy = copy.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut lab = Command::new(built("pathspider-lab"));
    lab.args(["check", "--targets", "2", "--pathspider"]).arg(&program);
    lab.env("PATHSPIDER_PLUGIN_PATH", built("plugins")).args(SCENARIOS);
    let output = lab.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let records = pathspider_e2e::records(&fs::read_to_string(copy).unwrap());
    let measurements: BTreeSet<&str> =
        records.iter().map(|record| key(record, "plugin").as_str().unwrap()).collect();
    assert!(measurements.len() >= 8, "{measurements:?}");
}

#[test]
fn the_schema_knows_what_a_record_is() {
    let record = json!({"dip": "192.0.2.1", "dp": 80, "conditions": ["x"], "jobId": "a-0",
        "schema": 1, "run": "a", "plugin": "x", "version": "1", "their": {"own": 1}});
    assert_eq!(unlike_schema(&record), None);
    for (name, value) in [
        ("conditions", json!("x")),
        ("schema", json!(2)),
        ("run", json!(7)),
        ("failures", json!([{"config": 0}])),
        ("tags", json!({"a": 1})),
        ("flow_results", json!([{"config": 0, "spdr_state": 0, "observed": 1, "jobId": "a"}])),
        ("time", json!({"from": "noon", "to": null})),
    ] {
        let mut other = record.clone();
        other[name] = value;
        assert!(unlike_schema(&other).is_some(), "{name}");
    }
}
