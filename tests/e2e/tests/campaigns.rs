//! Campaigns: what they would do, what they leave in a folder, and that they go on after any end.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::Duration;

use pathspider_e2e::{
    Ended, Network, Program, network, skipped, temp_dir, wait_for_handlers, wait_until,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Writes a campaign and its targets into a folder.
fn campaign(folder: &Path, targets: &str, text: &str) -> String {
    fs::write(folder.join("targets.ndjson"), targets).unwrap();
    let file = folder.join("campaign.toml");
    fs::write(&file, text).unwrap();
    file.display().to_string()
}

fn start_with(network: &Network, file: &str, output: &Path, more: &[&str]) -> Child {
    let output = output.display().to_string();
    let words = ["campaign", "run", file, "--output", &output, "-i", network.interface()];
    network.start(Program::command(&[&words, more].concat()))
}

fn start(network: &Network, file: &str, output: &Path) -> Child {
    start_with(network, file, output, &[])
}

fn run(network: &Network, file: &str, output: &Path) -> Ended {
    start(network, file, output).wait_with_output().unwrap().into()
}

fn status(output: &Path) -> Value {
    let end = Program::run(&["campaign", "status", &output.display().to_string(), "--json"]);
    end.expect(0, &[]);
    serde_json::from_str(&end.stdout).unwrap()
}

/// The records of a run's folder.
fn records(run: &Path) -> Vec<Value> {
    let file = run.join("records.ndjson.zst").display().to_string();
    let end = Program::run(&["filter", &file]);
    end.expect(0, &[]);
    end.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// How often each target has a record in each round.
fn counted(records: &[Value]) -> BTreeMap<(String, u64), u32> {
    let mut counted = BTreeMap::new();
    for record in records {
        let target = record["dip"].as_str().unwrap().to_owned();
        *counted.entry((target, record["round"].as_u64().unwrap_or(0))).or_default() += 1;
    }
    counted
}

/// Checks the sums of a run's manifest by another program.
fn check_manifest(run: &Path) -> Value {
    let manifest: Value =
        serde_json::from_slice(&fs::read(run.join("manifest.json")).unwrap()).unwrap();
    let sums: String =
        manifest["files"].as_array().unwrap().iter().fold(String::new(), |all, f| {
            all + &format!("{}  {}\n", f["sha256"].as_str().unwrap(), f["name"].as_str().unwrap())
        });
    let list = run.join(".sums");
    fs::write(&list, sums).unwrap();
    let checked =
        Command::new("sha256sum").args(["-c", ".sums"]).current_dir(run).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    fs::remove_file(list).unwrap();
    manifest
}

const TWO: &str = "name = 'two'\ntargets = 'targets.ndjson'\nrate = 150\nallow_special = true\n\
    workers = 20\ntags = {season = 'spring'}\n\
    [[measure]]\nplugin = 'ecn'\nconnect = 'tcp'\ntimeout = 2\ncapture = true\nflows = true\n\
    [[measure]]\nplugin = 'dscp'\nconnect = 'tcp'\ntimeout = 2\nrounds = 2\n";

#[test]
fn a_campaign_that_is_killed_at_any_moment_goes_on_with_each_target_once() {
    let Some(network) = network(30, 10) else { return };
    let folder = temp_dir("campaign-kill");
    let file = campaign(&folder, &network.jobs("clean"), TWO);
    let output = folder.join("out");
    let before = network.settings();
    for after in [0, 90, 200, 350, 500, 700, 900, 1100] {
        let child = start(&network, &file, &output);
        sleep(Duration::from_millis(after));
        let pid = Pid::from_child(&child);
        // It may have ended, on a fast machine.
        let _ = kill_process(pid, Signal::KILL);
        child.wait_with_output().unwrap();
    }
    let end = run(&network, &file, &output);
    end.expect(0, &["two: all runs are over"]);
    for (name, rounds, plugin) in [("1-ecn", 1, "ecn"), ("2-dscp", 2, "dscp")] {
        let run = output.join("here/0001").join(name);
        let manifest = check_manifest(&run);
        let records = records(&run);
        let counted = counted(&records);
        assert_eq!(counted.len(), 40 * rounds, "{name}");
        assert!(counted.values().all(|&count| count == 1), "{counted:?}");
        assert_eq!(manifest["records"], records.len() as u64);
        assert_eq!(records[0]["plugin"], plugin);
        assert_eq!(records[0]["tags"]["season"], "spring");
        let names: Vec<&str> = manifest["files"]
            .as_array()
            .unwrap()
            .iter()
            .map(|f| f["name"].as_str().unwrap())
            .collect();
        let capture: &[&str] = if name == "1-ecn" { &["capture.pcap"] } else { &[] };
        assert_eq!(
            names,
            [capture, &["records.ndjson.zst", "records.ndjson.zst.meta.json"]].concat()
        );
        // Each run found the settings as they were before the one before.
        let metadata = fs::read(run.join("records.ndjson.zst.meta.json")).unwrap();
        let metadata: Value = serde_json::from_slice(&metadata).unwrap();
        assert_eq!(metadata["campaign"], "two");
        let ecn = before.lines().find(|line| line.contains("/tcp_ecn:")).unwrap();
        let ecn = ecn.rsplit(':').next().unwrap();
        for of in metadata["runs"].as_array().unwrap() {
            assert_eq!(of["sysctls"]["net.ipv4.tcp_ecn"], ecn);
        }
    }
    assert_eq!(network.settings(), before);
    // Once more, there is nothing to do.
    run(&network, &file, &output).expect(0, &["all runs are over"]);
    let status = status(&output);
    assert_eq!((&status["state"], &status["finished"]), (&"finished".into(), &2.into()));
    // What reads records reads the folder.
    let report = Program::run(&["report", "--json", &output.display().to_string()]);
    report.expect(0, &[]);
    let report: Value = serde_json::from_str(&report.stdout).unwrap();
    assert_eq!(report["inputs"]["records"], 120, "{}", report["inputs"]);
}

#[test]
fn a_signal_ends_a_campaign_in_order_and_what_is_left_goes_on() {
    let Some(network) = network(20, 0) else { return };
    let folder = temp_dir("campaign-signal");
    // Slow: it would take a minute, and what is in flight a second or two.
    let text = TWO.replace("rate = 150", "rate = 2").replace("workers = 20", "workers = 2");
    let file = campaign(&folder, &network.jobs("clean"), &text);
    let output = folder.join("out");
    let before = network.settings();
    let child = start_with(&network, &file, &output, &["--metrics", "9464"]);
    wait_for_handlers(&child);
    let running = || output.join("campaign.json").exists() && status(&output)["state"] == "running";
    wait_until("it measures", || {
        running() && status(&output)["runs"][0]["done"].as_u64().is_some_and(|done| done > 0)
    });
    // Monitoring sees the same, and nobody from elsewhere does.
    let asked = network.enter(|| {
        let mut stream = TcpStream::connect(("127.0.0.1", 9464)).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).map(|_| text).unwrap()
    });
    assert!(asked.starts_with("HTTP/1.1 200 OK\r\n"), "{asked}");
    let of_run = "campaign=\"two\",vantage=\"here\",time=\"1\",measure=\"1\",plugin=\"ecn\"";
    let metric = format!("pathspider_targets_total{{{of_run}}} ");
    let measured = asked.lines().find_map(|line| line.strip_prefix(&metric));
    assert!(measured.is_some_and(|count| count.parse::<u64>().unwrap() > 0), "{}", asked);
    assert!(asked.ends_with("# EOF\n"), "{}", asked);
    // Nobody else goes on with it meanwhile.
    run(&network, &file, &output).expect(8, &["goes on in another process"]);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let end: Ended = child.wait_with_output().unwrap().into();
    end.expect(10, &["no new targets", "the same command goes on"]);
    assert_eq!(network.settings(), before);
    let stopped = status(&output);
    assert_eq!((&stopped["state"], &stopped["finished"]), (&"stopped".into(), &0.into()));
    // The pace may be another one: it decides nothing of the records.
    fs::write(&file, TWO).unwrap();
    run(&network, &file, &output).expect(0, &[]);
    assert_eq!(counted(&records(&output.join("here/0001/1-ecn"))).len(), 20);
    // Another campaign does not go into the folder, nor this one where it was changed.
    for (from, to, word) in [
        ("'two'", "'three'", "is the folder of the campaign \"two\""),
        ("'dscp'", "'ecn'", "another measure"),
        ("spring", "autumn", "another tags"),
    ] {
        fs::write(&file, TWO.replace(from, to)).unwrap();
        run(&network, &file, &output).expect(2, &[word]);
    }
    assert_eq!(counted(&records(&output.join("here/0001/1-ecn"))).len(), 20);
}

#[test]
fn a_campaign_is_repeated_at_its_times() {
    let Some(network) = network(2, 0) else { return };
    let folder = temp_dir("campaign-times");
    let text = "name = 'again'\ntargets = ['targets.ndjson', 'more.csv']\nallow_special = true\n\
        [schedule]\nevery = 1\ntimes = 2\n[[measure]]\nplugin = 'ecn'\nconnect = 'tcp'\n";
    let file = campaign(&folder, &network.jobs("clean"), text);
    let more = network.targets("ecn-syn-dropped");
    fs::write(folder.join("more.csv"), format!("{},80,a.example\nno target\n", more[0])).unwrap();
    let output = folder.join("out");
    // A line that is no target is reported, and the rest is measured.
    run(&network, &file, &output).expect(9, &["more.csv", "run 1 of 2", "run 2 of 2"]);
    for time in ["0001", "0002"] {
        let records = records(&output.join("here").join(time).join("1-ecn"));
        assert_eq!(counted(&records).len(), 3);
        assert!(records.iter().any(|record| record["domain"] == "a.example"));
    }
    let end = Program::run(&["campaign", "status", &output.display().to_string()]);
    end.expect(0, &[]);
    assert!(end.stdout.starts_with("again: finished, 2 of 2 runs finished"), "{}", end.stdout);
    assert!(end.stdout.contains("1-ecn") && end.stdout.contains("finished"), "{}", end.stdout);
}

#[test]
fn what_a_campaign_would_do_is_said_where_nothing_can_be_sent() {
    let folder = temp_dir("campaign-check");
    let targets = "{\"dip\":\"192.0.2.1\"}\n{\"dip\":\"192.0.2.2\"}\n";
    let file = campaign(&folder, targets, &format!("{TWO}[schedule]\nevery = '6h'\ntimes = 4\n"));
    // A network without an interface.
    let check = |words: &[&str]| -> Option<Ended> {
        let program = Program::command(&[&["campaign", "check", &file], words].concat());
        let mut command = Command::new("unshare");
        command.arg("-n").arg(program.get_program()).args(program.get_args());
        let end: Ended = command.output().unwrap().into();
        if end.stderr.contains("Operation not permitted") {
            skipped(&end.stderr);
            return None;
        }
        Some(end)
    };
    let Some(end) = check(&["--json"]) else { return };
    end.expect(0, &[]);
    let checked: Value = serde_json::from_str(&end.stdout).unwrap();
    assert_eq!((&checked["targets"], &checked["times"]), (&2.into(), &4.into()));
    let [ecn, dscp] = &checked["measures"].as_array().unwrap()[..] else { panic!("{checked}") };
    assert_eq!((&ecn["connections_a_target"], &ecn["connections"]), (&2.into(), &4.into()));
    assert_eq!((&dscp["rounds"], &dscp["connections_a_target"]), (&2.into(), &4.into()));
    assert_eq!(ecn["packets_a_target"], 8);
    let text = check(&[]).unwrap();
    text.expect(0, &[]);
    for words in ["two: 2 targets, 4 times, every 6h", "1. ecn", "2 connections", "where no target"]
    {
        assert!(text.stdout.contains(words), "no {words} in {}", text.stdout);
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2, "nothing is left");
}

#[test]
fn what_is_wrong_with_a_campaign_is_one_line_with_its_place() {
    let folder = temp_dir("campaign-wrong");
    let minimal = "name = 'x'\ntargets = 'targets.ndjson'\n[[measure]]\nplugin = 'ecn'\n";
    let output = folder.join("out");
    for (text, exit, word) in [
        (format!("colour = 1\n{minimal}"), 2, "campaign.toml:1: unknown field `colour`"),
        (format!("version = 7\n{minimal}"), 2, "campaign.toml:1: the campaign is of version 7"),
        (format!("{minimal}speed = 1\n"), 2, "campaign.toml:5: ecn: speed is neither"),
        // No option of the program itself: it names files.
        (
            format!("{minimal}output = '/etc/passwd'\n"),
            2,
            "campaign.toml:5: ecn: output is neither",
        ),
        (
            format!("{minimal}connect = 'pigeon'\n"),
            2,
            "campaign.toml:5: ecn: invalid value 'pigeon'",
        ),
        (minimal.replace("'ecn'", "'enc'"), 3, "campaign.toml:3: enc: there is no plugin"),
        (
            format!("{minimal}version = '99'\n"),
            4,
            "campaign.toml:3: ecn: the campaign demands version",
        ),
        (format!("{minimal}chains = ['none']\n"), 2, "campaign.toml:3: ecn: --chain"),
        (minimal.replace("targets.ndjson", "none.csv"), 7, "none.csv"),
        (format!("blocklists = 'none'\n{minimal}"), 7, "none"),
        ("name".to_owned(), 2, "campaign.toml:1: "),
    ] {
        let file = campaign(&folder, "{\"dip\":\"192.0.2.1\"}\n", &text);
        for words in [&["check"][..], &["run", "--output", &output.display().to_string()]] {
            let end = Program::run(&[&["campaign"], words, &[&file]].concat());
            end.expect(exit, &[word]);
            let said = end.stderr.lines().filter(|line| !line.contains("WARNING")).count();
            assert_eq!(said, 1, "{}", end.stderr);
            assert_eq!(end.stdout, "");
        }
    }
    let none: PathBuf = folder.join("none.toml");
    Program::run(&["campaign", "check", &none.display().to_string()]).expect(7, &["cannot read"]);
    Program::run(&["campaign", "status", &folder.display().to_string()])
        .expect(7, &["there is no campaign in"]);
    // A folder with other files is left alone.
    let file = campaign(&folder, "{\"dip\":\"192.0.2.1\"}\n", minimal);
    let own = folder.display().to_string();
    Program::run(&["campaign", "run", &file, "--output", &own])
        .expect(2, &["no campaign's folder"]);
    // No target at all is no campaign.
    let file = campaign(&folder, "", minimal);
    Program::run(&["campaign", "check", &file]).expect(7, &["there is no target in"]);
}

#[test]
fn a_run_ends_with_the_process_that_started_it() {
    let Some(network) = network(20, 0) else { return };
    let folder = temp_dir("parent");
    let output = folder.join("a.ndjson").display().to_string();
    fs::write(folder.join("in"), network.jobs("clean")).unwrap();
    // The shell that starts it is killed; the run would take half a minute.
    let script = format!(
        "$PATHSPIDER measure -i {} --allow-special --rate 2 -w 2 --parent $$ --input {} --output {output} \
         ecn --connect tcp & echo $!; wait",
        network.interface(),
        folder.join("in").display(),
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).env("PATHSPIDER", pathspider_e2e::built("pathspider"));
    shell.env("PATHSPIDER_STATE_DIR", pathspider_e2e::state_dir());
    let mut child = network.start(shell);
    let metadata = format!("{output}.meta.json");
    wait_until("it measures", || fs::metadata(&output).is_ok_and(|file| file.len() > 0));
    child.kill().unwrap();
    child.wait_with_output().unwrap();
    wait_until("the run has ended", || {
        let text = fs::read(&metadata).unwrap_or_default();
        serde_json::from_slice::<Value>(&text).is_ok_and(|of| of["runs"][0]["end"].is_string())
    });
    // Whose parent is another process does not even begin.
    let script = format!(
        "$PATHSPIDER measure -i {} --allow-special --parent 1 ecn --connect tcp",
        network.interface()
    );
    network.script(&script, &network.jobs("clean")).expect(10, &["is gone"]);
}
