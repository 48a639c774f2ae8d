//! What a measurement concludes and writes.

use std::collections::HashSet;
use std::process::Command;

use pathspider_e2e::{Program, Record, built, network, temp_dir};
use serde_json::{Map, Value};

fn verdicts(record: &Record) -> Vec<&str> {
    record.conditions.iter().map(String::as_str).filter(|c| !c.starts_with("ecn.ipmark")).collect()
}

#[test]
fn the_demo_finds_what_is_true() {
    if network(1, 1).is_none() {
        return;
    }
    // Every path of the lab, and the same once more from what each run saved.
    let arguments = ["demo", "--rejudge"];
    let demo = Command::new(built("pathspider-lab")).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&demo.stdout);
    assert!(demo.status.success(), "{said}{}", String::from_utf8_lossy(&demo.stderr));
    assert!(said.contains('✓') && !said.contains('✗'), "{said}");
}

#[test]
fn every_path_gets_its_verdict_over_http_too() {
    let Some(network) = network(5, 5) else { return };
    for (path, expected) in [
        ("clean", vec!["ecn.connectivity.works", "ecn.negotiation.succeeded"]),
        ("ecn-syn-dropped", vec!["ecn.connectivity.broken"]),
        ("ecn-syn-reset", vec!["ecn.connectivity.broken"]),
        ("dead", vec!["ecn.connectivity.offline"]),
    ] {
        let ended = network.measure(&["ecn", "--timeout", "2"], &network.jobs(path));
        ended.expect(0, &["10 targets"]);
        for record in ended.records() {
            assert_eq!(verdicts(&record), expected, "{path} {}", record.dip);
        }
    }
}

#[test]
fn records_have_the_documented_shape() {
    let Some(network) = network(3, 2) else { return };
    let input = network.jobs("clean").replace("\"lab_path\"", "\"info\":{\"ASN\":64500},\"rank\"");
    let ended = network.measure(&["--output-flows", "-w", "2", "ecn", "--connect", "http"], &input);
    ended.expect(0, &[]);
    let records = ended.records();
    assert_eq!(records.len(), 5);
    let ids: HashSet<&str> = records.iter().map(|record| record.job_id.as_str()).collect();
    assert_eq!(ids.len(), 5);
    for record in &records {
        assert_eq!(record.dp, 80);
        assert_eq!(record.rest["info"]["ASN"], 64500);
        assert_eq!(record.rest["rank"], "clean");
        let sip = record.sip.as_deref().unwrap();
        assert_eq!(record.path, [sip, "*", "AS64500", &record.dip]);
        let time = record.time.as_ref().unwrap();
        assert!(time.from < time.to && time.to.ends_with('Z'), "{time:?}");
        assert_eq!(record.missed_flows, Some(0));
        assert!(record.conditions.contains(&"ecn.ipmark.ect0.seen".to_owned()), "{record:?}");
        let flows = record.flow_results.as_ref().unwrap();
        assert_eq!(flows.len(), 2);
        for (config, flow) in flows.iter().enumerate() {
            assert_eq!((flow.config, flow.spdr_state), (config as u64, 0));
            assert!(flow.observed);
            assert_eq!(flow.job_id, record.job_id);
            assert_eq!(flow.rest["sip"], sip);
            assert_eq!(flow.rest["dip"], record.dip.as_str());
            assert_eq!(flow.rest["tcp_connected"], true);
            assert_eq!(flow.rest["http_response_code"], 200);
            assert!(flow.rest["pkt_first"].as_f64().unwrap() > 1.6e9);
            assert!(flow.spdr_start <= flow.spdr_stop);
        }
        assert_eq!(flows[0].rest["tcp_synflags_fwd"], 0x02);
        assert_eq!(flows[1].rest["tcp_synflags_fwd"], 0xc2);
        assert_eq!(flows[1].rest["tcp_synflags_rev"], 0x52);
    }
}

#[test]
fn the_keys_of_a_record_keep_their_order() {
    let Some(network) = network(1, 0) else { return };
    let dip = network.targets("clean")[0];
    let input = format!("{{\"z\":1,\"dip\":\"{dip}\",\"a\":[true,null,1.5]}}");
    let ended = network.measure(&["ecn", "--connect", "tcp"], &input);
    ended.expect(0, &[]);
    let start = format!("{{\"z\":1,\"dip\":\"{dip}\",\"a\":[true,null,1.5],\"dp\":80,\"sip\":");
    assert!(ended.stdout.starts_with(&start), "{}", ended.stdout);
}

#[test]
fn a_reset_is_broken_and_observed() {
    let Some(network) = network(2, 2) else { return };
    let ended = network
        .measure(&["--output-flows", "ecn", "--connect", "tcp"], &network.jobs("ecn-syn-reset"));
    for record in ended.records() {
        assert_eq!(verdicts(&record), ["ecn.connectivity.broken"]);
        let b = &record.flow_results.as_ref().unwrap()[1];
        assert!(b.observed && b.rest["sp"].as_u64().unwrap() > 0);
        assert_eq!(b.rest["spdr_error"], "refused");
        assert_eq!(b.rest["tcp_rst_rev"], true);
    }
}

#[test]
fn no_verdict_where_the_system_asks_for_ecn_by_itself() {
    let Some(network) = network(2, 0) else { return };
    let dip = network.targets("clean")[0];
    // A route's own feature makes the kernel ask for ECN whatever the parameter says.
    let script = format!(
        "set -e; via=$(ip route get {dip} | sed -n 's/.* via \\([^ ]*\\).*/\\1/p'); \
         ip route add {dip} via $via features ecn; \
         exec $PATHSPIDER measure -i {} --allow-special ecn --connect tcp",
        network.interface()
    );
    let ended = network.script(&script, &format!("{{\"dip\":\"{dip}\"}}"));
    ended.expect(0, &[]);
    assert_eq!(ended.records()[0].conditions, ["pathspider.not_applied:0"]);
}

#[test]
fn the_form_of_0_9_reads_csv() {
    let Some(network) = network(3, 0) else { return };
    let folder = temp_dir("form-0-9");
    let rows: String = network
        .targets("clean")
        .iter()
        .map(|address| format!("{address},80,\"www.example.org\"\n"))
        .collect();
    std::fs::write(folder.join("in.csv"), rows).unwrap();
    let script = format!(
        "cd {} && $PATHSPIDER -s -p ECN -i {} -w 2 --allow-special in.csv out.ndjson",
        folder.display(),
        network.interface()
    );
    network.script(&script, "").expect(0, &["3 targets"]);
    let written = std::fs::read_to_string(folder.join("out.ndjson")).unwrap();
    for record in pathspider_e2e::records(&written) {
        assert_eq!(record.rest["domain"], "www.example.org");
        assert_eq!(verdicts(&record)[0], "ecn.connectivity.works");
    }
}

#[test]
fn thousands_at_once_and_none_missed() {
    let Some(network) = network(2000, 500) else { return };
    let ended = network.measure(&["-w", "1000", "ecn", "--connect", "tcp"], &network.jobs("clean"));
    ended.expect(0, &["2500 targets"]);
    let records = ended.records();
    assert_eq!(records.len(), 2500);
    for record in &records {
        assert_eq!(verdicts(record), ["ecn.connectivity.works", "ecn.negotiation.succeeded"]);
    }
}

#[test]
fn what_was_saved_gives_the_same_flows() {
    let Some(network) = network(10, 5) else { return };
    let saved = temp_dir("save-pcap").join("own.pcap");
    let path = saved.to_str().unwrap();
    let arguments = ["--save-pcap", path, "--output-flows", "ecn", "--timeout", "1"];
    let jobs = network.jobs("clean") + &network.jobs("ecn-syn-reset") + &network.jobs("dead");
    let measured = network.measure(&arguments, &jobs);
    measured.expect(0, &[]);
    let replayed = Program::run(&["observe", "-i", path, "basic", "tcp", "ecn", "syn"]);
    replayed.expect(0, &[]);
    let flow = |record: &Map<String, Value>| (record["sp"].clone(), record["dip"].clone());
    let mut again: Vec<Map<String, Value>> =
        replayed.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut results: Vec<Map<String, Value>> = measured
        .records()
        .into_iter()
        .flat_map(|record| record.flow_results.unwrap())
        .map(|flow| flow.rest)
        .collect();
    assert_eq!((again.len(), results.len()), (90, 90));
    again.sort_by_key(|record| format!("{:?}", flow(record)));
    results.sort_by_key(|record| format!("{:?}", flow(record)));
    for (again, result) in again.iter().zip(&results) {
        for (key, value) in again {
            assert_eq!(result.get(key), Some(value), "{key} of {again:?}");
        }
    }
    let full = network.measure(&["--save-pcap", "/nonexistent/x.pcap", "ecn"], &jobs);
    full.expect(8, &["cannot write to /nonexistent/x.pcap"]);
}
