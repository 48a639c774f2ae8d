//! Rounds: what is measured again and when, what is written, what a round leaves in the kernel, and how
//! a run goes on in the middle of one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use pathspider_e2e::{
    Ended, Program, Record, network, path, records, temp_dir, wait_for_handlers, wait_until,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// The key `round` of a record.
fn round(record: &Record) -> u64 {
    record.rest["round"].as_u64().unwrap_or_else(|| panic!("no round: {record:?}"))
}

/// How often each target has a record of each round.
fn times(records: &[Record]) -> BTreeMap<(String, u64), usize> {
    let mut times = BTreeMap::new();
    for record in records {
        *times.entry((record.dip.clone(), round(record))).or_default() += 1;
    }
    times
}

fn order(records: &[Record], of: u64) -> Vec<&str> {
    let of_round = records.iter().filter(|record| round(record) == of);
    of_round.map(|record| &*record.dip).collect()
}

fn metadata(output: &Path) -> Value {
    let path = format!("{}.meta.json", output.display());
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn read(output: &Path) -> Vec<Record> {
    records(&fs::read_to_string(output).unwrap())
}

#[test]
fn each_round_of_each_target_is_a_record_and_the_last_one_says_what_is_stable() {
    let Some(network) = network(3, 1) else { return };
    let jobs = network.jobs("clean") + &network.jobs("ecn-syn-dropped") + &network.jobs("dead");
    let targets = jobs.lines().count();
    let output = temp_dir("rounds").join("out.ndjson");
    let to = output.display().to_string();
    let arguments = ["--repeat", "3", "--output", &to, "-w", "4", "ecn", "--timeout", "0.5"];
    let ended = network.measure(&arguments, &jobs);
    ended.expect(0, &[&format!("{} records (3 rounds) in", 3 * targets)]);
    let records = read(&output);
    assert_eq!(times(&records).len(), 3 * targets);
    assert!(times(&records).values().all(|&times| times == 1));
    // The rounds do not overlap, and each has another order.
    assert!(records.is_sorted_by_key(round));
    let orders: BTreeSet<Vec<&str>> = (0..3).map(|of| order(&records, of)).collect();
    assert_eq!(orders.len(), 3);
    let ids: BTreeSet<&str> = records.iter().map(|record| &*record.job_id).collect();
    assert_eq!(ids.len(), records.len());
    for record in &records {
        let kind = match record.rest["lab_path"].as_str().unwrap() {
            "clean" => "works",
            "dead" => "offline",
            _ => "broken",
        };
        assert!(record.has(&format!("ecn.connectivity.{kind}")), "{record:?}");
        let stable = format!("ecn.stable.connectivity.{kind}");
        assert_eq!(record.has(&stable), round(record) == 2, "{record:?}");
        assert!(!record.conditions.iter().any(|one| one.contains("unstable")), "{record:?}");
    }
    let metadata = metadata(&output);
    let counts = &metadata["runs"][0]["counts"];
    assert_eq!(counts["targets"], 3 * targets);
    assert_eq!((&counts["unfinished"], &counts["unstarted"]), (&0.into(), &0.into()));
    assert_eq!(
        (&counts["input"]["rounds"], &counts["input"]["lines"]),
        (&3.into(), &targets.into())
    );
    assert_eq!(counts["conditions"]["ecn.stable.connectivity.works"], targets / 3);
    assert_eq!(
        (&metadata["settings"]["repeat"], &metadata["settings"]["confirm"]),
        (&3.into(), &0.into())
    );
    assert_eq!(metadata["runs"][0]["end"], "finished");
    // The report counts rounds itself, and takes the sum for no further aspect.
    let report = Program::run(&["report", "--json", &to]);
    report.expect(0, &[]);
    let report: Value = serde_json::from_str(&report.stdout).unwrap();
    let text = report.to_string();
    assert!(text.contains(&format!("\"ecn.stable.connectivity.works\":{}", targets / 3)), "{text}");
    assert!(!text.contains("\"ecn.stable.connectivity\""), "{text}");
    fs::remove_dir_all(output.parent().unwrap()).unwrap();
}

#[test]
fn only_impaired_targets_are_measured_again() {
    let Some(network) = network(4, 0) else { return };
    let jobs = network.jobs("clean") + &network.jobs("ecn-syn-dropped") + &network.jobs("dead");
    let ended = network.measure(&["--confirm", "2", "ecn", "--timeout", "0.5"], &jobs);
    ended.expect(0, &["20 records (3 rounds) in"]);
    for record in ended.records() {
        let is_broken = record.rest["lab_path"] == "ecn-syn-dropped";
        assert!(is_broken || round(&record) == 0, "{record:?}");
        let is_last = is_broken && round(&record) == 2;
        assert_eq!(record.has("ecn.stable.connectivity.broken"), is_last, "{record:?}");
        assert!(!record.has("ecn.stable.connectivity.works"), "one round is not stable");
    }
}

/// One SYN is lost for each target, and there is no time for another one.
#[test]
fn a_lost_packet_makes_nothing_stable() {
    let loss = "[[rule]]\nhop = 2\nmatch = { protocol = 'tcp', flags = 'SYN !ACK ECE CWR' }\n\
                first = 1\naction = 'drop'";
    let Some(path) = path(loss, 4) else { return };
    for rounds in ["--repeat 4", "--confirm 3", "--repeat 2 --confirm 1"] {
        let script = format!("exec $PATHSPIDER measure --allow-special {rounds} ecn --timeout 0.7");
        let ended = path.script(&script, &path.jobs());
        ended.expect(0, &[]);
        let records = ended.records();
        let first = records.iter().filter(|record| round(record) == 0);
        // The rule counts for all runs.
        let is_lossy = rounds == "--repeat 4";
        first.for_each(|record| assert_eq!(record.has("ecn.connectivity.broken"), is_lossy));
        let of = |condition| records.iter().filter(|record| record.has(condition)).count();
        assert_eq!(of("ecn.stable.connectivity.broken"), 0);
        assert_eq!(of("ecn.unstable.connectivity"), if is_lossy { 8 } else { 0 });
    }
}

/// What is sent in each configuration of each round, as the capture has it: all that makes the kind of
/// a packet, and nothing that is another one each time.
fn sent(capture: &Path, records: &[Record]) -> BTreeMap<(String, u64), BTreeMap<u64, Value>> {
    let chains = ["basic", "tcp", "syn", "tcpopt", "mss", "tfo", "ecn", "dscp", "evil", "udp"];
    let capture = capture.display().to_string();
    let flows = Program::run(&[&["observe", "-i", &capture][..], &chains].concat());
    flows.expect(0, &[]);
    let mut by_port = BTreeMap::new();
    for flow in flows.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        let key = (flow["dip"].clone().to_string(), flow["sp"].clone().to_string());
        by_port.entry(key).or_insert_with(Vec::new).push(flow);
    }
    let mut sent: BTreeMap<_, BTreeMap<u64, Value>> = BTreeMap::new();
    for record in records {
        for flow in record.flow_results.iter().flatten().filter(|flow| flow.observed) {
            let key = (flow.rest["dip"].to_string(), flow.rest["sp"].to_string());
            let flows = by_port.get_mut(&key).unwrap_or_else(|| panic!("{flow:?}"));
            // Ports are used again, in the order of time.
            let Value::Object(mut fields) = flows.remove(0) else { panic!("no flow") };
            fields.retain(|key, _| is_of_what_is_sent(key));
            let of = (record.dip.clone(), flow.config);
            sent.entry(of).or_default().insert(round(record), fields.into());
        }
    }
    sent
}

fn is_of_what_is_sent(key: &str) -> bool {
    let of_the_syn = ["tfo_synkind", "tfo_syncooklen", "tfo_datalen", "syn_", "mss_", "tcpopt_"];
    let is_sent = key.ends_with("_fwd") || of_the_syn.iter().any(|begin| key.starts_with(begin));
    // How many packets there are, and how a connection is closed, is chance.
    let chance = ["pkt_fwd", "oct_fwd", "syn_count_fwd", "tcp_fin_fwd", "tcp_rst_fwd"];
    is_sent && !key.ends_with("_rev") && !chance.contains(&key)
}

#[test]
fn a_round_sends_what_the_one_before_it_sent() {
    let Some(path) = path("server = { h2c = true }", 2) else { return };
    let folder = temp_dir("rounds-wire");
    let capture = folder.join("packets.pcap");
    for plugin in ["tfo", "ecn", "dscp", "mss", "tcpopt", "h2", "evilbit", "udpzero", "mptcp"] {
        let script = format!(
            "exec $PATHSPIDER measure --allow-special --repeat 3 --output-flows --force \
             --save-pcap {} {plugin}",
            capture.display()
        );
        let ended = path.script(&script, &path.jobs());
        ended.expect(0, &["12 records (3 rounds) in"]);
        let records = ended.records();
        let sent = sent(&capture, &records);
        assert!(!sent.is_empty());
        for ((target, config), rounds) in sent {
            let what = format!("{plugin}, {target}, configuration {config}: {rounds:#?}");
            assert_eq!(rounds.len(), 3, "{what}");
            assert!(rounds[&0].as_object().unwrap().len() > 3, "{what}");
            assert!(rounds.values().all(|sent| *sent == rounds[&0]), "{what}");
        }
        // So each round comes to the same, and all of them to something stable.
        for record in &records {
            let same = |other: &&Record| other.dip == record.dip && round(other) == 0;
            let first = records.iter().find(same).unwrap();
            assert_eq!(record.conditions[..first.conditions.len()], first.conditions, "{plugin}");
            let unstable = record.conditions.iter().any(|one| one.contains(".unstable."));
            assert!(!unstable, "{record:?}");
        }
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_path_mtu_that_a_round_has_learned_changes_no_verdict() {
    let too_big = "[[rule]]\nhop = 2\nmatch = { protocol = 'tcp', flags = 'SYN !ACK ECE CWR' }\n\
                   action = { icmp = { error = 'too-big' } }";
    let Some(path) = path(too_big, 2) else { return };
    let script = "exec $PATHSPIDER measure --allow-special --repeat 3 ecn --timeout 0.5";
    let ended = path.script(script, &path.jobs());
    ended.expect(0, &["12 records"]);
    let records = ended.records();
    assert!(records.iter().all(|record| record.has("ecn.connectivity.broken")));
    let stable = records.iter().filter(|one| one.has("ecn.stable.connectivity.broken")).count();
    assert_eq!(stable, 4);
}

/// Where a run is stopped in the middle of a round, what is left is counted, and another run does it.
#[test]
fn a_run_goes_on_in_the_middle_of_a_round() {
    let Some(network) = network(20, 0) else { return };
    let jobs = network.jobs("clean") + &network.jobs("ecn-syn-dropped");
    for (test, at, more) in
        [("first", 10, ""), ("second", 55, ""), ("last", 90, "--shuffle --seed 3")]
    {
        let folder = temp_dir(&format!("rounds-resume-{test}"));
        let (input, output) = (folder.join("in.ndjson"), folder.join("out.ndjson"));
        fs::write(&input, &jobs).unwrap();
        let command = |more: &str| {
            let mut all = vec!["measure", "-i", network.interface(), "--allow-special"];
            let (from, to) = (input.display().to_string(), output.display().to_string());
            all.extend(more.split_whitespace());
            all.extend(["--repeat", "3", "--output-flows", "-w", "4", "--input", &from]);
            all.extend(["--output", &to, "ecn", "--timeout", "0.4"]);
            Program::command(&all)
        };
        let child = network.start(command(&format!("--rate 400 {more}")));
        wait_for_handlers(&child);
        wait_until("there are records", || {
            fs::read_to_string(&output).is_ok_and(|text| text.lines().count() >= at)
        });
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        let ended = Ended::from(child.wait_with_output().unwrap());
        ended.expect(10, &["no new targets"]);
        let before = read(&output).len();
        assert!((at..120).contains(&before), "{before}");
        let counts = metadata(&output)["runs"][0]["counts"].clone();
        let count = |key: &str| counts[key].as_u64().unwrap();
        assert_eq!(count("targets") as usize, before);
        let round_of_end = counts["input"]["rounds"].as_u64().unwrap();
        assert_eq!(round_of_end, read(&output).iter().map(round).max().unwrap() + 1);
        if counts["input"]["whole"] == true {
            assert_eq!(count("targets") + count("unstarted") + count("unfinished"), 120);
        }
        network.run(command(&format!("--resume {more}")), "").expect(0, &[]);
        let records = read(&output);
        assert_eq!((records.len(), times(&records).len()), (120, 120));
        for record in records {
            let kind = if record.rest["lab_path"] == "clean" { "works" } else { "broken" };
            let stable = format!("ecn.stable.connectivity.{kind}");
            assert_eq!(record.has(&stable), round(&record) == 2, "{record:?}");
        }
        let counts = metadata(&output)["runs"][1]["counts"].clone();
        assert_eq!(counts["input"]["measured_before"].as_u64().unwrap() as usize, before);
        // Another number of rounds is another recipe.
        let other = Program::command(&[
            "measure",
            "-i",
            network.interface(),
            "--allow-special",
            "--resume",
            "--repeat",
            "4",
            "--output-flows",
            "--input",
            "/dev/null",
            "--output",
            output.to_str().unwrap(),
            "ecn",
            "--timeout",
            "0.4",
        ]);
        network.run(other, "").expect(2, &["settings.repeat was 3 and is 4 now"]);
        fs::remove_dir_all(folder).unwrap();
    }
}

#[test]
fn rounds_are_judged_again() {
    let Some(network) = network(3, 0) else { return };
    let folder = temp_dir("rounds-judged");
    let (output, pcap) = (folder.join("r.ndjson"), folder.join("r.pcap"));
    let (to, packets) = (output.display().to_string(), pcap.display().to_string());
    let jobs = network.jobs("clean") + &network.jobs("ecn-syn-dropped");
    let run = ["--output-flows", "--output", &to, "--save-pcap", &packets];
    let arguments = [&run[..], &["--repeat", "2", "--confirm", "1", "ecn", "--timeout", "0.5"]];
    network.measure(&arguments.concat(), &jobs).expect(0, &["15 records"]);
    let again = Program::run(&["rejudge", "--records", &to, "--pcap", &packets]);
    again.expect(0, &["15 records: 15 the same, 0 differ"]);
    let values = |text: &str| -> Vec<Value> {
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let text = fs::read_to_string(&output).unwrap();
    assert_eq!(values(&again.stdout), values(&text));
    // As if one round had been seen otherwise: what all come to is found out again.
    let line = text.lines().find(|line| line.contains("\"lab_path\":\"clean\"")).unwrap();
    let other = text.replacen(line, &line.replace("connectivity.works", "connectivity.broken"), 1);
    let other = other.replace("ecn.stable.connectivity.works", "ecn.unstable.connectivity");
    fs::write(&output, other).unwrap();
    let again = Program::run(&["rejudge", "--records", &to, "--pcap", &packets]);
    again.expect(0, &["15 records: 11 the same, 4 differ"]);
    assert_eq!(values(&again.stdout), values(&text));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_cannot_be_rounds_is_refused() {
    let refused = |arguments: &[&str], words: &[&str]| {
        let all = [&["measure", "--input", "/dev/null"][..], arguments, &["ecn"]].concat();
        Program::run(&all).expect(2, words);
    };
    refused(&["--repeat", "0"], &["0 is not between 1 and 10000"]);
    refused(&["--repeat", "-1"], &["--repeat"]);
    refused(&["--repeat", "10001"], &["not between 1 and 10000"]);
    refused(&["--repeat", "x"], &["invalid"]);
    refused(&["--confirm", "0"], &["0 is not between 1 and 10000"]);
    refused(&["--repeat-interval", "10"], &["--repeat <N>"]);
    refused(&["--repeat", "2", "--repeat-interval", "-1"], &["--repeat-interval"]);
    refused(&["--repeat", "2", "--repeat-interval", "soon"], &["invalid"]);
}

#[test]
fn a_folder_that_takes_no_targets_is_named() {
    let Some(network) = network(1, 0) else { return };
    let script = format!(
        "TMPDIR=/nonexistent exec $PATHSPIDER measure -i {} --allow-special --repeat 2 ecn",
        network.interface()
    );
    let ended = network.script(&script, &network.jobs("clean"));
    ended.expect(7, &["cannot be kept for the next round in /nonexistent", "TMPDIR"]);
}
