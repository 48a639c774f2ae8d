//! Which targets are measured: formats, names, duplicates, courtesy, order and limits.

mod formats;
mod names;
mod pace;
mod words;

use std::net::IpAddr;

use pathspider_e2e::{Ended, Network, Program, network, temp_dir};

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
    end.expect(9, &["standard input:4: not a job", "1 line was not a job", "2 targets"]);
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
fn records_are_an_input_without_what_their_run_said() {
    let Some(network) = network(1, 0) else { return };
    let first = measure(&network, &["--output-flows"], &network.jobs("clean"));
    first.expect(0, &["1 target"]);
    let failed = first.stdout.replacen('{', "{\"spdr_error\":\"plugin: x\",", 1);
    let end = measure(&network, &[], &failed);
    end.expect(0, &["1 target"]);
    let (was, mut is) = (&first.records()[0], end.records().remove(0));
    let run = is.rest.insert("run".to_owned(), was.rest["run"].clone());
    assert_ne!(run.as_ref(), was.rest.get("run"));
    assert_eq!((&is.spdr_error, is.missed_flows, &is.rest), (&None, None, &was.rest));
    assert!(was.flow_results.is_some() && is.flow_results.is_none());
    assert_ne!(is.job_id, was.job_id);
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
    // Hosts with one seed share the targets, in whatever order they come, and each twice.
    let backwards: String = jobs.lines().rev().map(|line| format!("{line}\n{line}\n")).collect();
    let mut shared = Vec::new();
    for (part, input) in [("1/3", &jobs), ("2/3", &backwards), ("3/3", &jobs)] {
        let end = measure(&network, &["--shard", part, "--seed", "7"], input);
        end.expect(0, &["in other shards"]);
        shared.push(targets(&end));
    }
    assert!(shared.iter().all(|part| !part.is_empty()), "{shared:?}");
    let mut shared = shared.concat();
    shared.sort();
    assert_eq!(shared, sorted[0]);
    Program::run(&["measure", "-i", "lo", "--shard", "0/3", "ecn"]).expect(2, &["from 1 to 3"]);
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
         --max-runtime 3s ecn --connect tcp",
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
        if dip.contains(':') {
            assert_eq!(record.path, [sip, "AS64496", "*", "AS64500", dip])
        } else {
            assert_eq!(record.path, [sip, "198.51.100.7", "AS64496", "*", "AS64500", dip]);
        }
    }
}
