//! `rejudge`: what a run wrote gives its conclusions again. That it does so for every path of the
//! lab, `measure::the_demo_finds_what_is_true` sees.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pathspider_e2e::{Ended, Network, Program, built, network, temp_dir};
use serde_json::Value;

/// A run's records and packets.
struct Saved {
    folder: PathBuf,
    records: PathBuf,
    pcap: PathBuf,
}

impl Saved {
    /// Measures these jobs.
    fn new(network: &Network, test: &str, arguments: &[&str], jobs: &str, status: i32) -> Saved {
        let folder = temp_dir(test);
        let (records, pcap) = (folder.join("r.ndjson"), folder.join("r.pcap"));
        let mut all = vec!["--output-flows"];
        let (to, packets) = (records.display().to_string(), pcap.display().to_string());
        all.extend(["--output", &to, "--save-pcap", &packets]);
        all.extend(arguments);
        network.measure(&all, jobs).expect(status, &[]);
        Saved { folder, records, pcap }
    }

    fn rejudge(&self, pcap: &Path, more: &[&str]) -> Ended {
        rejudge(&self.records, pcap, more)
    }

    fn lines(&self) -> Vec<Value> {
        values(&fs::read_to_string(&self.records).unwrap())
    }
}

fn rejudge(records: &Path, pcap: &Path, more: &[&str]) -> Ended {
    let (records, pcap) = (records.display().to_string(), pcap.display().to_string());
    let mut all = vec!["rejudge", "--records", &records, "--pcap", &pcap];
    all.extend(more);
    Program::run(&all)
}

fn values(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn shell(script: &str) {
    assert!(Command::new("sh").args(["-c", script]).status().unwrap().success(), "{script}");
}

/// Jobs behind every kind of path of the kernel's lab, and one that has no route.
fn jobs(network: &Network) -> String {
    let paths = ["clean", "ecn-syn-dropped", "ecn-syn-reset", "dead"];
    let jobs: String = paths.iter().map(|path| network.jobs(path)).collect();
    jobs + "{\"dip\":\"240.0.0.1\",\"dp\":80}\n"
}

#[test]
fn a_run_comes_out_the_same_down_to_the_last_field() {
    let Some(network) = network(6, 4) else { return };
    for (name, arguments, status) in [
        ("ecn", &["ecn", "--connect", "http", "--timeout", "2"][..], 0),
        ("dscp", &["dscp", "--codepoint", "8", "46", "--timeout", "1"], 0),
        // Of IPv6 all is skipped.
        ("evilbit", &["evilbit", "--timeout", "1"], 0),
    ] {
        let saved =
            Saved::new(&network, &format!("same-{name}"), arguments, &jobs(&network), status);
        let lines = saved.lines();
        let same = format!("{} records: {} the same, 0 differ\n", lines.len(), lines.len());
        let again = saved.rejudge(&saved.pcap, &[]);
        again.expect(0, &[&same]);
        assert_eq!(values(&again.stdout), lines, "{name}");
        // Compressed, both of them; and what was judged again, once more.
        shell(&format!(
            "cd {} && gzip -c r.pcap >r.pcap.gz && zstd -q r.ndjson -o z.ndjson.zst && \
             cp r.ndjson.meta.json z.ndjson.zst.meta.json",
            saved.folder.display()
        ));
        let (zst, twice) = (saved.folder.join("z.ndjson.zst"), saved.folder.join("twice.ndjson"));
        let packed = saved.folder.join("r.pcap.gz");
        let to = twice.display().to_string();
        rejudge(&zst, &packed, &["--output", &to]).expect(0, &[&same]);
        rejudge(&zst, &packed, &["--output", &to]).expect(8, &["there already"]);
        let again = rejudge(&twice, &saved.pcap, &["--changed"]);
        again.expect(0, &[&same]);
        assert_eq!(again.stdout, "");
        let metadata = fs::read_to_string(saved.folder.join("twice.ndjson.meta.json")).unwrap();
        let metadata: Value = serde_json::from_str(&metadata).unwrap();
        assert_eq!(metadata["rejudged"]["plugin"]["name"], name);
        fs::remove_dir_all(saved.folder).unwrap();
    }
}

#[test]
fn what_differs_is_counted_and_told() {
    let Some(network) = network(3, 0) else { return };
    let jobs = network.jobs("clean");
    let saved = Saved::new(&network, "differs", &["ecn", "--connect", "tcp"], &jobs, 0);
    // As if an older plugin had seen it otherwise.
    let text = fs::read_to_string(&saved.records).unwrap();
    let other = text.replacen("ecn.negotiation.succeeded", "ecn.negotiation.failed", 1);
    fs::write(&saved.records, other).unwrap();
    let again = saved.rejudge(&saved.pcap, &["--changed"]);
    again.expect(
        0,
        &[
            "3 records: 2 the same, 1 differs\n",
            "         -1  ecn.negotiation.failed\n",
            "         +1  ecn.negotiation.succeeded\n",
        ],
    );
    assert_eq!(values(&again.stdout), values(&text)[..1]);
    fs::remove_dir_all(saved.folder).unwrap();
}

#[test]
fn a_capture_that_is_cut_short_or_of_another_run_is_told() {
    let Some(network) = network(4, 0) else { return };
    let arguments = ["-w", "1", "ecn", "--connect", "tcp"];
    let saved = Saved::new(&network, "cut", &arguments, &network.jobs("clean"), 0);
    let packets = fs::read(&saved.pcap).unwrap();
    let cut = saved.folder.join("cut.pcap");
    // Within the last packet: of the last connection, others are there.
    fs::write(&cut, &packets[..packets.len() - 1]).unwrap();
    saved.rejudge(&cut, &["--changed"]).expect(0, &["what was read before it counts", "4 records"]);
    fs::write(&cut, &packets[..packets.len() / 2]).unwrap();
    let half = saved.rejudge(&cut, &["--changed"]);
    half.expect(9, &["lacks the packets of", "  pathspider.missed_flows:"]);
    let other = Saved::new(&network, "other", &arguments, &network.jobs("dead"), 0);
    saved.rejudge(&other.pcap, &[]).expect(7, &["is it of another run?"]);
    for folder in [saved.folder, other.folder] {
        fs::remove_dir_all(folder).unwrap();
    }
}

#[test]
fn records_that_lack_what_is_needed_are_refused() {
    let Some(network) = network(2, 0) else { return };
    let jobs = network.jobs("clean");
    let saved = Saved::new(&network, "lacking", &["ecn", "--connect", "tcp"], &jobs, 0);
    let refused = |reason: &str| {
        let ended = saved.rejudge(&saved.pcap, &[]);
        ended.expect(7, &[reason]);
        assert_eq!((ended.stdout.as_str(), ended.stderr.lines().count()), ("", 1), "{reason}");
    };
    let text = fs::read_to_string(&saved.records).unwrap();
    fs::write(&saved.records, text.replacen("\"spdr_claimed\"", "\"older\"", 1)).unwrap();
    refused("r.ndjson:1 cannot be judged again: a flow result is not of this version");
    fs::write(&saved.records, text.replacen("\"flow_results\"", "\"older\"", 1)).unwrap();
    refused("it has no flow_results");
    fs::write(&saved.records, "torn").unwrap();
    refused("r.ndjson:1 cannot be judged again: it is not a record");
    fs::write(&saved.records, &text).unwrap();
    let beside = saved.folder.join("r.ndjson.meta.json");
    let metadata = fs::read_to_string(&beside).unwrap();
    for (from, to, reason) in [
        ("\"no ecn\"", "\"another\"", "had the configurations"),
        ("\"connect\": \"tcp\"", "\"connect\": \"pigeon\"", "the run had --connect \"pigeon\""),
        ("\"output_flows\": true", "\"output_flows\": false", "without --output-flows"),
    ] {
        assert!(metadata.contains(from), "{metadata}");
        fs::write(&beside, metadata.replacen(from, to, 1)).unwrap();
        refused(reason);
    }
    fs::write(&beside, metadata.replacen("\"name\": \"ecn\"", "\"name\": \"gone\"", 1)).unwrap();
    saved.rejudge(&saved.pcap, &[]).expect(3, &["there is no plugin named \"gone\""]);
    fs::remove_file(&beside).unwrap();
    refused("r.ndjson.meta.json is missing");
    let output = saved.records.display().to_string();
    saved
        .rejudge(&saved.pcap, &["--force", "--output", &output])
        .expect(2, &["both input and output"]);
    fs::remove_dir_all(saved.folder).unwrap();
}

/// A plugin that connects by itself, makes several records for a job, or fails for some.
#[test]
fn what_a_plugin_did_by_itself_comes_out_the_same() {
    let Some(network) = network(6, 2) else { return };
    let folder = built("").display().to_string();
    let jobs = network.jobs("clean") + &network.jobs("dead");
    for (how, status) in [("three-rows", 0), ("panic-in-pre-connect", 9), ("discard-odd-jobs", 0)] {
        let arguments = ["--plugin-dir", &folder, "-w", "20", "misbehaving", "--how", how];
        let saved = Saved::new(&network, &format!("own-{how}"), &arguments, &jobs, status);
        let lines = saved.lines();
        assert!(!lines.is_empty(), "{how}");
        let again = saved.rejudge(&saved.pcap, &["--plugin-dir", &folder]);
        again.expect(0, &[" 0 differ"]);
        assert_eq!(values(&again.stdout), lines, "{how}");
        fs::remove_dir_all(saved.folder).unwrap();
    }
}
