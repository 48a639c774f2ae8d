//! Outputs: nothing torn, nothing lost, nothing twice; and the metadata beside them.

mod opening;
mod waiting;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command};
use std::thread::JoinHandle;
use std::time::Duration;

use pathspider_e2e::{Ended, Network, Program, built, network, records, temp_dir, wait_until};
use pathspider_plugin_api::abi::ABI_VERSION;
use serde_json::Value;

/// Runs a measurement of `jobs` with these arguments before the plugin.
pub(crate) fn measure(network: &Network, arguments: &[&str], plugin: &[&str], jobs: &str) -> Ended {
    network.run(command(network, arguments, plugin), jobs)
}

pub(crate) fn command(network: &Network, arguments: &[&str], plugin: &[&str]) -> Command {
    let mut command = Program::command(&["measure", "--allow-special", "-i", network.interface()]);
    command.args(["--plugin-dir", built("").to_str().unwrap()]).args(arguments).args(plugin);
    command
}

pub(crate) const ECN: [&str; 3] = ["ecn", "--connect", "tcp"];

/// The text of an output, decompressed by programs that are not ours.
pub(crate) fn text(path: &str) -> String {
    let program = match Path::new(path).extension().unwrap().to_str().unwrap() {
        "zst" => "zstd",
        "gz" => "gzip",
        _ => return fs::read_to_string(path).unwrap(),
    };
    let output = Command::new(program).args(["-dc", path]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn metadata(path: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(format!("{path}.meta.json")).unwrap()).unwrap()
}

/// How often each target has a record, rows of one job counted once.
pub(crate) fn targets(text: &str) -> BTreeMap<(String, u16), usize> {
    let mut targets = BTreeMap::<_, std::collections::BTreeSet<String>>::new();
    for record in records(text) {
        targets.entry((record.dip, record.dp)).or_default().insert(record.job_id);
    }
    targets.into_iter().map(|(target, ids)| (target, ids.len())).collect()
}

#[test]
fn an_output_that_is_there_is_kept() {
    let Some(network) = network(2, 0) else { return };
    let folder = temp_dir("existing");
    let path = folder.join("out.ndjson").display().to_string();
    let jobs = network.jobs("clean");
    measure(&network, &["--output", &path], &ECN, &jobs).expect(0, &["2 targets"]);
    let written = fs::read_to_string(&path).unwrap();
    let again = measure(&network, &["--output", &path], &ECN, &jobs);
    again.expect(8, &["is there already", "--force", "--resume"]);
    let input = folder.join("in.ndjson");
    fs::write(&input, &jobs).unwrap();
    let mut old = Program::command(&["--allow-special", "-i", network.interface()]);
    old.arg(&input).arg(&path);
    network.run(old, "").expect(8, &["is there already"]);
    let capture = folder.join("own.pcap").display().to_string();
    fs::write(&capture, "mine").unwrap();
    measure(&network, &["--save-pcap", &capture], &ECN, &jobs).expect(8, &["is there already"]);
    assert_eq!(fs::read_to_string(&capture).unwrap(), "mine");
    assert_eq!(fs::read_to_string(&path).unwrap(), written);
    measure(&network, &["--output", &path, "--force"], &ECN, &jobs).expect(0, &["2 targets"]);
    assert_eq!(targets(&text(&path)).len(), 2);
    assert_ne!(fs::read_to_string(&path).unwrap(), written);
}

fn sha256(path: &str) -> String {
    let sum = Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8(sum.stdout).unwrap()[..64].to_owned()
}

#[test]
fn metadata_has_every_library_and_each_kind_of_error() {
    let Some(network) = network(4, 0) else { return };
    let path = temp_dir("libraries").join("out.ndjson").display().to_string();
    let jobs = network.jobs("clean");
    let plugin = ["misbehaving", "--decline-odd-jobs", "--how", "panic-in-combine", "--chain"];
    let plugin = [&plugin[..], &["chains.ttl"]].concat();
    measure(&network, &["--output", &path], &plugin, &jobs).expect(9, &["4 errors of the plugin"]);
    let meta = metadata(&path);
    let errors = serde_json::json!({"declined": 2, "panicked": 2});
    assert_eq!(meta["runs"][0]["counts"]["plugin_errors"], errors);
    let mut libraries: Vec<String> = meta["libraries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|library| {
            let file = library["file"].as_str().unwrap();
            assert_eq!(library["sha256"], sha256(file));
            Path::new(file).file_name().unwrap().to_str().unwrap().to_owned()
        })
        .collect();
    libraries.sort();
    assert_eq!(libraries, ["libchains.so", "libmisbehaving.so"]);
}

#[test]
fn metadata_says_how_the_records_came_about() {
    let Some(network) = network(2, 0) else { return };
    let path = temp_dir("metadata").join("out.ndjson").display().to_string();
    let jobs = network.jobs("clean") + &network.jobs("ecn-syn-reset") + "nonsense\n";
    let arguments = ["--output", &path, "--owner", "lab@example.org"];
    measure(&network, &arguments, &ECN, &jobs).expect(9, &["4 targets"]);
    let meta = metadata(&path);
    assert_eq!(meta["_owner"], "lab@example.org");
    assert_eq!(meta["_file_type"], "pathspider-v2-ndjson");
    let written = records(&text(&path));
    let times = || written.iter().map(|record| record.time.as_ref().unwrap());
    let (first, last) = (
        times().map(|time| &time.from).min().unwrap(),
        times().map(|time| &time.to).max().unwrap(),
    );
    // All texts of the same form, in UTC; those of the metadata to the second.
    let (start, end) = (meta["_time_start"].as_str().unwrap(), meta["_time_end"].as_str().unwrap());
    for time in [start, end] {
        assert!(time.ends_with('Z') && time.len() == 20, "{time}");
    }
    assert!(start[..19] <= first[..19] && end[..19] > last[..19], "{start} {first} {last} {end}");
    // Started and ended no longer before and after them than such a run takes.
    let seconds = |time: &str| {
        let output = Command::new("date").args(["-d", time, "+%s"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse::<i64>().unwrap()
    };
    assert!(seconds(first) - seconds(start) < 20 && seconds(end) - seconds(last) < 20);
    let used = meta["plugin"]["file"].as_str().unwrap();
    let same_file = |path: &Path| fs::canonicalize(path).unwrap().display().to_string();
    assert_eq!(used, same_file(&built("libpathspider_ecn.so")));
    assert_eq!(meta["plugin"]["sha256"], sha256(used));
    assert_eq!(meta["libraries"], serde_json::json!([{"file": used, "sha256": sha256(used)}]));
    assert_eq!(meta["plugin"]["name"], "ecn");
    assert_eq!(meta["plugin"]["abi"], ABI_VERSION.to_string());
    assert_eq!(meta["plugin"]["options"]["connect"], "tcp");
    assert_eq!(meta["plugin"]["configurations"], serde_json::json!(["no ecn", "ecn"]));
    let run = &meta["runs"][0];
    assert_eq!(run["end"], "finished, with errors in some jobs");
    assert_eq!(run["interface"], network.interface());
    assert!(run["command"].as_array().unwrap().contains(&path.as_str().into()));
    assert!(!run["addresses"].as_array().unwrap().is_empty());
    assert!(run["kernel"].as_str().unwrap().starts_with("Linux "));
    assert_eq!(run["sysctls"]["net.ipv4.tcp_ecn"], "2");
    assert_eq!(run["sysctls_changed"]["net.ipv4.tcp_ecn"]["before"], "2");
    assert_eq!(run["counts"]["targets"], 4);
    assert_eq!(run["counts"]["failures"]["refused"], 2);
    assert_eq!(run["counts"]["conditions"]["ecn.connectivity.broken"], 2);
    assert_eq!(run["counts"]["input"]["bad_lines"], 1);
    assert_eq!(run["counts"]["capture"]["dropped_by_kernel"], 0);
    // The command, on the same file without its metadata, and then with it.
    fs::remove_file(format!("{path}.meta.json")).unwrap();
    Program::run(&["metadata", "_owner=a=b", "campaign=1.10", &path]).expect(0, &[]);
    let made = metadata(&path);
    assert_eq!((&made["_owner"], &made["campaign"]), (&"a=b".into(), &"1.10".into()));
    let first: String =
        records(&text(&path)).into_iter().map(|r| r.time.unwrap().from).min().unwrap();
    assert_eq!(made["_time_start"], format!("{}Z", &first[..19]));
    Program::run(&["metadata", "_owner=", &path]).expect(0, &[]);
    assert_eq!(metadata(&path).get("_owner"), None);
    assert_eq!(metadata(&path)["campaign"], "1.10");
    Program::run(&["metadata", "_owner=x"]).expect(2, &["no file is named"]);
    Program::run(&["metadata", "/nonexistent/x"]).expect(7, &["cannot read /nonexistent/x"]);
}

#[test]
fn a_run_goes_on_only_with_what_it_fits() {
    let Some(network) = network(4, 0) else { return };
    let folder = temp_dir("fits");
    let path = folder.join("out.ndjson").display().to_string();
    let jobs = network.jobs("clean");
    let half: String = jobs.split_inclusive('\n').take(2).collect();
    let resume = ["--output", &path, "--resume"];
    // Nothing to go on with is a beginning.
    measure(&network, &resume, &ECN, &half).expect(0, &["2 targets"]);
    measure(&network, &resume, &ECN, &jobs).expect(0, &["2 targets", "2 measured before"]);
    assert_eq!(targets(&text(&path)).values().copied().collect::<Vec<_>>(), [1; 4]);
    let meta = metadata(&path);
    assert_eq!(meta["runs"].as_array().unwrap().len(), 2);
    assert_eq!(meta["runs"][1]["counts"]["input"]["measured_before"], 2);
    let other = ["ecn", "--connect", "tcp", "--timeout", "2"];
    measure(&network, &resume, &other, &jobs)
        .expect(2, &["cannot be resumed: plugin.options.timeout was 5.0 and is 2.0 now"]);
    let flows = ["--output", &path, "--resume", "--output-flows"];
    measure(&network, &flows, &ECN, &jobs).expect(2, &["settings.output_flows was false"]);
    let public = ["--output", &path, "--resume", "--source-public", "198.51.100.1"];
    measure(&network, &public, &ECN, &jobs).expect(2, &["settings.source_public was []"]);
    let asn = ["--output", &path, "--resume", "--source-asn", "64496"];
    measure(&network, &asn, &ECN, &jobs).expect(2, &["settings.source_asn was null"]);
    measure(&network, &resume, &["mptcp"], &jobs).expect(2, &["plugin.name was \"ecn\""]);
    measure(&network, &["--resume"], &ECN, &jobs).expect(2, &["--output"]);
    fs::rename(format!("{path}.meta.json"), folder.join("elsewhere")).unwrap();
    measure(&network, &resume, &ECN, &jobs).expect(2, &["out.ndjson.meta.json is missing"]);
    let foreign = folder.join("foreign.ndjson").display().to_string();
    fs::write(&foreign, "{\"a\":1}\n{\"dip\":\"192.0.2.1\",\"jobId\":\"1-1\"}\n").unwrap();
    measure(&network, &["--output", &foreign, "--resume"], &ECN, &jobs)
        .expect(8, &["line 1 is no record"]);
    // Whatever it is, it is not ours to cut.
    fs::write(&foreign, "dear diary").unwrap();
    measure(&network, &["--output", &foreign, "--resume"], &ECN, &jobs)
        .expect(2, &["foreign.ndjson.meta.json is missing"]);
    assert_eq!(fs::read_to_string(&foreign).unwrap(), "dear diary");
    // Two runs never write one file.
    let mut first = network.start(command(&network, &["--output", &path, "--force"], &ECN));
    let mut stdin = first.stdin.take().unwrap();
    stdin.write_all(jobs.as_bytes()).unwrap();
    let meta = format!("{path}.meta.json");
    wait_until("all is written", || Path::new(&meta).exists() && targets(&text(&path)).len() == 4);
    measure(&network, &resume, &["mptcp"], "").expect(8, &["another run is writing it"]);
    let dscp = ["--output", &path, "--force"];
    measure(&network, &dscp, &["mptcp"], "").expect(8, &["another run is writing it"]);
    drop(stdin);
    assert!(first.wait().unwrap().success());
    assert_eq!(targets(&text(&path)).len(), 4);
}

#[test]
fn what_the_metadata_said_stays_when_a_run_goes_on() {
    let Some(network) = network(4, 0) else { return };
    let folder = temp_dir("history");
    let path = folder.join("out.ndjson").display().to_string();
    let plugin = folder.join("libpathspider_ecn.so").display().to_string();
    fs::copy(built("libpathspider_ecn.so"), &plugin).unwrap();
    let jobs = network.jobs("clean");
    let some = |count: usize| jobs.split_inclusive('\n').take(count).collect::<String>();
    let resume = || {
        let mut command = Program::command(&["measure", "--allow-special", "--resume"]);
        command.args(["-i", network.interface(), "--output", &path, "--plugin-dir"]);
        command.arg(&folder).args(ECN);
        command
    };
    network.run(resume(), &some(1)).expect(0, &["1 target"]);
    Program::run(&["metadata", "campaign=spring", &path]).expect(0, &[]);
    let first = sha256(&plugin);
    // Another file, which does the same.
    fs::OpenOptions::new().append(true).open(&plugin).unwrap().write_all(&[0]).unwrap();
    let mut run = network.start(resume());
    let mut stdin = run.stdin.take().unwrap();
    stdin.write_all(some(2).as_bytes()).unwrap();
    wait_until("the second is written", || targets(&text(&path)).len() == 2);
    // Before its end there is none, but what was said of the output.
    let meta = metadata(&path);
    assert_eq!((&meta["_time_end"], &meta["campaign"]), (&Value::Null, &"spring".into()));
    Program::run(&["metadata", "season=2", &path]).expect(0, &[]);
    drop(stdin);
    assert!(run.wait().unwrap().success());
    let meta = metadata(&path);
    assert_eq!((&meta["campaign"], &meta["season"]), (&"spring".into(), &"2".into()));
    assert_eq!(meta["runs"].as_array().unwrap().len(), 2);
    assert_eq!(meta["runs"][1]["end"], "finished");
    for (number, digest) in [first, sha256(&plugin)].into_iter().enumerate() {
        let run = &meta["runs"][number];
        assert_eq!(run["plugin_file"]["sha256"], digest);
        assert_eq!(run["libraries"][0]["sha256"], digest);
        assert_eq!(run["program"], meta["program"]);
    }
    assert_eq!(meta["plugin"]["sha256"], meta["runs"][1]["plugin_file"]["sha256"]);
}

/// Gives a run its jobs slowly, so that kills meet it at every stage. Its input stays open, so that it does
/// not end, until what the thread gives is dropped.
fn feed(run: &mut Child, jobs: &str) -> JoinHandle<ChildStdin> {
    let (mut stdin, jobs) = (run.stdin.take().unwrap(), jobs.to_owned());
    std::thread::spawn(move || {
        for line in jobs.split_inclusive('\n') {
            if stdin.write_all(line.as_bytes()).is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(3));
        }
        stdin
    })
}

#[test]
fn killed_at_any_moment_each_target_is_measured_once() {
    let Some(network) = network(250, 20) else { return };
    let before = network.settings();
    let jobs = network.jobs("clean") + &network.jobs("ecn-syn-reset");
    for (round, name) in ["out.ndjson", "out.ndjson.zst", "out.ndjson.gz"].into_iter().enumerate() {
        let folder = temp_dir("kill");
        let path = folder.join(name).display().to_string();
        let capture = folder.join("own.pcap").display().to_string();
        let arguments =
            ["--output", &path, "--resume", "--save-pcap", &capture, "--quiet", "-w", "10"];
        let mut state = 7 + round as u64;
        for kills in 0..12 {
            let mut run = network.start(command(&network, &arguments, &ECN));
            let feeder = feed(&mut run, &jobs);
            if kills == 0 {
                let length = || fs::metadata(&path).map_or(0, |file| file.len());
                wait_until("the first records are on the disk", || length() > 0);
            }
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            std::thread::sleep(Duration::from_millis(20 + (state >> 33) % 900));
            run.kill().unwrap();
            // Until its keeper, too, is gone.
            let mut said = String::new();
            run.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            assert!(!run.wait().unwrap().success(), "{said}");
            drop(feeder.join().unwrap());
        }
        let mut run = network.start(command(&network, &arguments, &ECN));
        drop(feed(&mut run, &jobs).join().unwrap());
        let end = Ended::from(run.wait_with_output().unwrap());
        end.expect(0, &["measured before"]);
        let found = targets(&text(&path));
        assert_eq!(found.len(), 540, "{name}");
        assert!(found.values().all(|&times| times == 1), "{name}: {found:?}");
        assert_eq!(network.settings(), before);
        // The capture is whole too, and has the flows of all records: two each.
        let replayed = Program::run(&["observe", "-i", &capture, "basic"]);
        replayed.expect(0, &["0 malformed"]);
        assert!(replayed.stdout.lines().count() >= 1080, "{}", replayed.stderr);
        let meta = metadata(&path);
        let runs = meta["runs"].as_array().unwrap();
        assert!(runs.len() > 1 && runs[0]["end"].is_null(), "{meta}");
        assert_eq!(runs.last().unwrap()["end"], "finished");
    }
}

#[test]
fn jobs_without_a_record_are_not_measured_again() {
    let Some(network) = network(6, 0) else { return };
    let path = temp_dir("discarded").join("out.ndjson").display().to_string();
    let arguments = ["--output", &path, "--resume"];
    let plugin = ["misbehaving", "--how", "discard-odd-jobs"];
    let jobs = network.jobs("clean");
    let half: String = jobs.split_inclusive('\n').take(3).collect();
    measure(&network, &arguments, &plugin, &half).expect(0, &["2 targets", "1 discarded"]);
    measure(&network, &arguments, &plugin, &jobs)
        .expect(0, &["1 target", "2 discarded", "3 measured before"]);
    measure(&network, &arguments, &plugin, &jobs).expect(0, &["0 targets", "6 measured before"]);
    assert_eq!(targets(&text(&path)).len(), 3);
}

#[test]
fn targets_with_an_empty_name_or_none_at_all_are_measured_once() {
    let Some(network) = network(1, 0) else { return };
    let path = temp_dir("empty-name").join("out.ndjson").display().to_string();
    let arguments = ["--output", &path, "--resume"];
    let plugin = ["dnsresolv", "--keep-failed", "--timeout", "0.1"];
    let dip = network.targets("clean")[0];
    let jobs = format!("{{\"dip\":\"{dip}\",\"domain\":\"\"}}\n{{\"dip\":\"::\"}}\n");
    let bad = "standard input:2: not a job: :: is the unspecified address";
    measure(&network, &arguments, &plugin, &jobs).expect(9, &["1 target", bad]);
    measure(&network, &arguments, &plugin, &jobs).expect(9, &["1 measured before", bad]);
    assert_eq!(text(&path).lines().count(), 1);
}

#[test]
fn all_rows_of_a_job_or_none() {
    let Some(network) = network(3, 0) else { return };
    let path = temp_dir("rows").join("out.ndjson").display().to_string();
    let arguments = ["--output", &path, "--resume"];
    let plugin = ["misbehaving", "--how", "three-rows"];
    let jobs = network.jobs("clean");
    measure(&network, &arguments, &plugin, &jobs).expect(0, &["3 targets"]);
    let all = fs::read_to_string(&path).unwrap();
    assert_eq!(all.lines().count(), 9);
    for cut in [1, all.len() / 2, all.len() * 5 / 6, all.len() - 1] {
        fs::write(&path, &all[..cut]).unwrap();
        measure(&network, &arguments, &plugin, &jobs).expect(0, &["torn end"]);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 9, "cut at {cut}");
        let mut ids: Vec<String> = records(&text).into_iter().map(|record| record.job_id).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 9);
        assert!(targets(&text).values().all(|&rows| rows == 3));
    }
}

#[test]
fn a_limit_of_targets_holds_for_all_runs_together() {
    let Some(network) = network(10, 0) else { return };
    let path = temp_dir("limit").join("out.ndjson").display().to_string();
    let jobs = network.jobs("clean");
    for (limit, count) in [("4", 4), ("4", 4), ("7", 7), ("100", 10)] {
        let arguments = ["--output", &path, "--resume", "--shuffle", "--max-targets", limit];
        let status = if count == 10 { 0 } else { 10 };
        measure(&network, &arguments, &ECN, &jobs).expect(status, &[]);
        assert_eq!(targets(&text(&path)).len(), count);
    }
}

#[test]
fn runs_that_go_on_measure_the_sample_of_one_in_one_go() {
    let Some(network) = network(20, 0) else { return };
    let folder = temp_dir("sample");
    let jobs = network.jobs("clean");
    let sample = |name: &str, limits: &[&str]| {
        let path = folder.join(name).display().to_string();
        for limit in limits {
            let arguments = ["--output", &path, "--resume", "--shuffle", "--seed", "7"];
            let arguments = [&arguments[..], &["--max-targets", limit]].concat();
            measure(&network, &arguments, &ECN, &jobs).expect(10, &[]);
        }
        targets(&text(&path)).into_keys().collect::<Vec<_>>()
    };
    assert_eq!(sample("steps.ndjson", &["3", "7", "10"]), sample("once.ndjson", &["10"]));
}
