//! Signals, and what a run leaves behind.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command};
use std::time::Duration;

use pathspider_e2e::{
    Ended, Network, Program, built, network, state_dir, unread_messages, wait_for_handlers,
    wait_until,
};
use rustix::io::ioctl_fionread;
use rustix::process::{Pid, Signal, kill_process};

/// Between two signals, which are one if they come before the first is taken.
const BETWEEN: Duration = Duration::from_millis(500);

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Starts an ECN run that reads targets for ever, and waits for dead ones nearly as long.
fn endless(network: &Network, path: &str) -> (Child, std::thread::JoinHandle<()>) {
    endless_for(network, path, "60")
}

/// The same; it waits for dead targets for so many seconds.
fn endless_for(
    network: &Network,
    path: &str,
    timeout: &str,
) -> (Child, std::thread::JoinHandle<()>) {
    let mut child = network.start(Program::command(&[
        "measure",
        "-i",
        network.interface(),
        "-w",
        "50",
        "--allow-special",
        "--duplicates",
        "ecn",
        "--connect",
        "tcp",
        "--timeout",
        timeout,
    ]));
    let mut stdin = child.stdin.take().unwrap();
    let jobs = network.jobs(path);
    // It ends when the program has stopped reading.
    let feeder = std::thread::spawn(move || while stdin.write_all(jobs.as_bytes()).is_ok() {});
    (child, feeder)
}

fn ended(child: Child, feeder: std::thread::JoinHandle<()>) -> Ended {
    let ended = child.wait_with_output().unwrap().into();
    feeder.join().unwrap();
    ended
}

/// Reads standard output until there are some records, so that the run is under way.
fn some_output(child: &mut Child) -> String {
    let mut text = vec![0; 4096];
    child.stdout.as_mut().unwrap().read_exact(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn the_first_signal_finishes_what_is_in_flight() {
    let Some(network) = network(20, 0) else { return };
    let before = network.settings();
    for sent in [Signal::INT, Signal::TERM, Signal::HUP] {
        let (mut child, feeder) = endless(&network, "clean");
        let mut text = some_output(&mut child);
        signal(&child, sent);
        let end = ended(child, feeder);
        end.expect(10, &["no new targets", "targets in"]);
        assert!(!end.stderr.contains("unfinished"), "{}", end.stderr);
        text += &end.stdout;
        for record in pathspider_e2e::records(&text) {
            assert_eq!(record.conditions[0], "ecn.connectivity.works", "{record:?}");
        }
        assert_eq!(network.settings(), before, "after {sent:?}");
    }
}

#[test]
fn the_second_signal_stops_at_once() {
    let Some(network) = network(20, 0) else { return };
    let before = network.settings();
    let (mut child, feeder) = endless(&network, "dead");
    wait_until("settings are changed", || network.settings() != before);
    signal(&child, Signal::INT);
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(said.any(|line| line.contains("no new targets")));
    signal(&child, Signal::INT);
    let said: Vec<String> = said.collect();
    let end = ended(child, feeder);
    assert_eq!(end.status, 10);
    assert!(said[0].contains("stopping at once"), "{said:?}");
    assert!(said.iter().any(|line| line.contains("left unfinished")), "{said:?}");
    assert!(end.records().is_empty(), "no dead target was waited for");
    assert_eq!(network.settings(), before);
}

/// Of a run that was stopped or not: each line of its input is counted once, and it says that it has
/// finished only where nothing is left.
fn accounts(path: &str, end: &Ended, lines: u64) -> u64 {
    let text = std::fs::read_to_string(format!("{path}.meta.json")).unwrap();
    let metadata: serde_json::Value = serde_json::from_str(&text).unwrap();
    let run = metadata["runs"].as_array().unwrap().last().unwrap();
    let counts = &run["counts"];
    let sum = |counts: &serde_json::Value, keys: &[&str]| -> u64 {
        keys.iter().map(|&key| counts[key].as_u64().unwrap()).sum()
    };
    let ours = sum(counts, &["targets", "discarded", "lost", "unfinished", "unstarted"]);
    let input = &counts["input"];
    let skipped =
        sum(input, &["bad_lines", "duplicates", "blocklisted", "special", "measured_before"]);
    assert_eq!(ours + skipped, input["lines"].as_u64().unwrap(), "{run}");
    let unread = input["unread"].as_u64();
    let left = sum(counts, &["unfinished", "unstarted"]) + unread.unwrap_or(0);
    match end.status {
        0 => assert!(left == 0 && input["whole"] == true && run["end"] == "finished", "{run}"),
        10 => {
            assert!(left > 0 || input["whole"] == false, "{run}");
            assert_eq!(run["end"], "stopped by a signal");
        }
        status => panic!("{status}: {}", end.stderr),
    }
    if end.status == 0 || unread.is_some() {
        assert_eq!(input["lines"].as_u64().unwrap() + unread.unwrap_or(0), lines, "{run}");
    }
    left
}

#[test]
fn a_run_that_leaves_lines_out_is_finished_only_at_the_end() {
    const SKIPPED: usize = 600_000;
    let Some(network) = network(2, 0) else { return };
    let folder = pathspider_e2e::temp_dir("skips");
    let name = |name: &str| folder.join(name).display().to_string();
    let (input, output, blocklist) = (name("in.ndjson"), name("out.ndjson"), name("blocklist"));
    std::fs::write(&blocklist, "198.51.100.0/24\n").unwrap();
    let jobs = network.jobs("clean");
    let (first, last) = jobs.split_once('\n').unwrap();
    // What was measured before comes again, too.
    let skipped = format!("{first}\n{{\"dip\":\"198.51.100.1\"}}\n").repeat(SKIPPED / 2);
    std::fs::write(&input, format!("{first}\n{skipped}{last}")).unwrap();
    let lines = SKIPPED as u64 + 2;
    let mut stopped = 0;
    for n in 0..24u64 {
        let mut run = network.start(Program::command(&[
            "measure",
            "-i",
            network.interface(),
            "--allow-special",
            "--input",
            &input,
            "--output",
            &output,
            "--resume",
            "--blocklist",
            &blocklist,
            "mss",
            "--connect",
            "tcp",
        ]));
        drop(run.stdin.take());
        wait_for_handlers(&run);
        // At some moment of it, whatever it does then.
        std::thread::sleep(Duration::from_millis(n * 20));
        signal(&run, if n % 3 == 2 { Signal::QUIT } else { Signal::INT });
        let end = Ended::from(run.wait_with_output().unwrap());
        if !std::path::Path::new(&format!("{output}.meta.json")).exists() {
            assert_eq!(end.status, 10, "before it began: {}", end.stderr);
            continue;
        }
        if end.stderr.contains("stopped while it was read") {
            assert_eq!(end.status, 10);
            continue;
        }
        stopped += u64::from(accounts(&output, &end, lines) > 0);
        if end.status == 0 {
            assert_eq!(
                pathspider_e2e::records(&std::fs::read_to_string(&output).unwrap()).len(),
                2
            );
            break;
        }
    }
    assert!(stopped > 0);
}

#[test]
fn a_run_of_which_a_second_signal_leaves_targets_is_stopped() {
    let Some(network) = network(4, 0) else { return };
    let folder = pathspider_e2e::temp_dir("leaves");
    let (input, output) = (folder.join("in"), folder.join("out.ndjson").display().to_string());
    std::fs::write(&input, network.jobs("dead")).unwrap();
    let mut run = network.start(Program::command(&[
        "measure",
        "-i",
        network.interface(),
        "--allow-special",
        "--input",
        input.to_str().unwrap(),
        "--output",
        &output,
        "mss",
        "--connect",
        "tcp",
        "--timeout",
        "60",
    ]));
    drop(run.stdin.take());
    let under_way = || network.script("ss -Htn state syn-sent | wc -l", "").stdout.trim() == "4";
    wait_until("all are under way", under_way);
    signal(&run, Signal::QUIT);
    let end = Ended::from(run.wait_with_output().unwrap());
    end.expect(10, &["4 left unfinished"]);
    assert_eq!(accounts(&output, &end, 4), 4);
}

#[test]
fn a_standard_input_that_is_closed_is_no_input_without_targets() {
    let Some(network) = network(1, 0) else { return };
    let measure = format!("measure -i {} --allow-special mss --connect tcp", network.interface());
    for (arguments, input, status) in [
        (&*measure, "<&-", 7),
        (&*measure, "0>/dev/null", 7),
        (&*measure, "</dev/null", 0),
        (&*measure, "</", 7),
        ("filter", "<&-", 7),
        ("filter", "</dev/null", 0),
        ("observe -i - basic", "<&-", 7),
    ] {
        let end = network.script(&format!("exec $PATHSPIDER {arguments} {input}"), "");
        assert_eq!(end.status, status, "{arguments} {input}: {}", end.stderr);
        assert_eq!(end.stderr.contains("it is closed"), input == "<&-" || input.starts_with('0'));
    }
}

#[test]
fn a_plugin_that_stays_before_the_run_begins_is_ended_by_a_signal() {
    let Some(network) = network(1, 0) else { return };
    let plugins = built("").display().to_string();
    let mut command = Program::command(&["measure", "-i", network.interface()]);
    command.args(["--plugin-dir", &plugins, "misbehaving"]).env("MISBEHAVING_STAYS", "1");
    let mut child = network.start(command);
    std::thread::sleep(Duration::from_secs(1));
    assert!(child.try_wait().unwrap().is_none(), "it does not stay");
    signal(&child, Signal::TERM);
    wait_until("it ends", || child.try_wait().unwrap().is_some());
    let ended = child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended), Some(15));
}

#[test]
fn settings_are_restored_at_a_normal_end_and_on_errors() {
    let Some(network) = network(3, 0) else { return };
    let before = network.settings();
    let jobs = network.jobs("clean");
    network.measure(&["ecn", "--connect", "tcp"], &jobs).expect(0, &[]);
    assert_eq!(network.settings(), before);
    let plugins = built("").display().to_string();
    let arguments = ["--plugin-dir", &plugins, "misbehaving"];
    network.measure(&arguments, &jobs).expect(0, &[]);
    assert_eq!(network.settings(), before, "lists, firewall and commands");
    for (how, status, word) in
        [("configure-error", 1, "no such luck"), ("configure-panic", 1, "configured to panic")]
    {
        let arguments = ["--plugin-dir", &plugins, "misbehaving", "--how", how];
        network.measure(&arguments, &jobs).expect(status, &["configuration 1 (b)", word]);
        assert_eq!(network.settings(), before, "{how}");
    }
}

#[test]
fn a_setting_that_somebody_else_changes_is_reported_and_is_theirs_at_the_end() {
    let Some(network) = network(3, 0) else { return };
    // Not before the run has seen what the parameter was: it sets the other one first.
    let script = format!(
        "( until grep -q 0 /proc/sys/net/ipv4/tcp_ecn_fallback; do sleep 0.02; done; \
         while sleep 0.05; do echo 0 >/proc/sys/net/ipv4/tcp_ecn; done ) & \
         $PATHSPIDER measure -i {} --allow-special ecn --connect tcp --timeout 3; kill $!; \
         cat /proc/sys/net/ipv4/tcp_ecn >&2",
        network.interface()
    );
    let end = network.script(&script, &network.jobs("dead"));
    let told = "somebody else has set net.ipv4.tcp_ecn to 0 meanwhile";
    assert_eq!(end.stderr.matches(told).count(), 1, "{}", end.stderr);
    assert!(end.stderr.ends_with("\n0\n"), "{}", end.stderr);
}

#[test]
fn a_closed_pipe_ends_the_run() {
    let Some(network) = network(20, 0) else { return };
    let before = network.settings();
    let (mut child, feeder) = endless(&network, "clean");
    some_output(&mut child);
    drop(child.stdout.take());
    let end = ended(child, feeder);
    end.expect(8, &["cannot write to standard output"]);
    assert_eq!(network.settings(), before);
}

#[test]
fn a_standard_output_that_was_closed_cannot_be_written() {
    let Some(network) = network(2, 0) else { return };
    let measure = format!("measure -i {} --allow-special mss --connect tcp", network.interface());
    for arguments in [&*measure, "--list-plugins"] {
        for (output, status) in
            [(">&-", 8), ("1</dev/null", 8), (">/dev/null", 0), ("1<>/dev/null", 0)]
        {
            let script = format!("exec $PATHSPIDER {arguments} {output}");
            let end = network.script(&script, &network.jobs("clean"));
            assert_eq!(end.status, status, "{script}: {}", end.stderr);
            assert_eq!(end.stderr.contains("cannot write to standard output"), status == 8);
        }
    }
}

#[test]
fn a_reader_that_stalls_cannot_keep_the_run() {
    let Some(network) = network(250, 0) else { return };
    let before = network.settings();
    for workers in ["200", "3000"] {
        let mut child = network.start(Program::command(&[
            "measure",
            "-i",
            network.interface(),
            "-w",
            workers,
            "--allow-special",
            "--duplicates",
            "ecn",
            "--connect",
            "tcp",
        ]));
        let mut stdin = child.stdin.take().unwrap();
        let jobs = network.jobs("clean");
        let feeder = std::thread::spawn(move || while stdin.write_all(jobs.as_bytes()).is_ok() {});
        // Nobody reads: the pipe fills, and all places are taken.
        let held = || ioctl_fionread(child.stdout.as_ref().unwrap()).unwrap();
        wait_until("the pipe is full", || {
            let before = held();
            std::thread::sleep(Duration::from_secs(2));
            before > 0 && held() == before
        });
        for _ in 0..2 {
            signal(&child, Signal::INT);
            std::thread::sleep(BETWEEN);
        }
        wait_until("it ends", || child.try_wait().unwrap().is_some());
        assert_eq!(child.wait().unwrap().code(), Some(8));
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(said.contains("standard output took no more records"), "{said}");
        feeder.join().unwrap();
        assert_eq!(network.settings(), before);
    }
}

#[test]
fn sigquit_restores_too() {
    let Some(network) = network(20, 0) else { return };
    let before = network.settings();
    let (child, feeder) = endless(&network, "dead");
    wait_for_handlers(&child);
    signal(&child, Signal::QUIT);
    ended(child, feeder).expect(10, &["stopping at once"]);
    assert_eq!(network.settings(), before);
}

#[test]
fn a_capture_that_dies_ends_the_run() {
    let Some(network) = network(20, 0) else { return };
    // What is under way when the interface goes may wait for as long.
    let (mut child, feeder) = endless_for(&network, "clean", "3");
    some_output(&mut child);
    network.script(&format!("ip link del {}", network.interface()), "").expect(0, &[]);
    ended(child, feeder).expect(1, &["the capture failed", "capturing on"]);
}

#[test]
fn a_run_whose_standard_error_is_gone_goes_on() {
    let Some(network) = network(20, 0) else { return };
    let input = format!("nonsense\n{}", network.jobs("clean"));
    let mut child = network.start(Program::command(&[
        "measure",
        "-i",
        network.interface(),
        "--allow-special",
        "ecn",
        "--connect",
        "tcp",
    ]));
    drop(child.stderr.take());
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let end: Ended = child.wait_with_output().unwrap().into();
    assert_eq!((end.status, end.records().len()), (9, 20));
}

/// Whether a run still measures, or writes records.
fn measures(run: &Child) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", run.id())).unwrap();
    let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm"));
    tasks.into_iter().any(|task| name(task.unwrap()).is_ok_and(|name| name.trim() == "merger"))
}

#[test]
fn a_run_whose_messages_nobody_reads_stops_as_asked() {
    let Some(network) = network(20, 0) else { return };
    let before = network.settings();
    for (asked, status) in [(&[Signal::TERM, Signal::TERM][..], 10), (&[Signal::QUIT], 10)] {
        let mut run = network.start(unread_messages(&format!(
            "exec $PATHSPIDER measure -i {} --allow-special ecn --connect tcp --timeout 60",
            network.interface()
        )));
        let mut stdin = run.stdin.take().unwrap();
        stdin.write_all(format!("nonsense\n{}", network.jobs("dead")).as_bytes()).unwrap();
        wait_until("settings are changed", || network.settings() != before);
        for &asked in asked {
            signal(&run, asked);
            std::thread::sleep(BETWEEN);
        }
        wait_until("settings are restored", || network.settings() == before);
        wait_until("it ends", || run.try_wait().unwrap().is_some());
        assert_eq!(run.wait().unwrap().code(), Some(status));
    }
}

#[test]
fn a_run_that_is_over_waits_for_the_reader_of_its_messages_until_a_signal() {
    let Some(network) = network(20, 0) else { return };
    for (input_ends, status) in [(true, 0), (false, 10)] {
        let mut run = network.start(unread_messages(&format!(
            "exec $PATHSPIDER measure -i {} --allow-special --max-runtime 2s mss --connect tcp",
            network.interface()
        )));
        let mut stdin = run.stdin.take().unwrap();
        stdin.write_all(network.jobs("clean").as_bytes()).unwrap();
        let open = (!input_ends).then_some(stdin);
        // The last of the records, then the end of what writes them.
        let mut records = BufReader::new(run.stdout.take().unwrap()).lines();
        assert_eq!(records.by_ref().take(20).count(), 20);
        wait_until("the run is over", || !measures(&run));
        assert!(run.try_wait().unwrap().is_none(), "the summary is not read");
        signal(&run, Signal::TERM);
        wait_until("it ends", || run.try_wait().unwrap().is_some());
        assert_eq!(run.wait().unwrap().code(), Some(status));
        drop(open);
    }
}

#[test]
fn a_slow_reader_gets_every_message_in_order() {
    let Some(network) = network(1, 0) else { return };
    let plugins = built("").display().to_string();
    let mut command = Program::command(&["measure", "--quiet", "-i", network.interface()]);
    // More than the pipe and the run hold: the plugin waits for the reader.
    const LINES: usize = 5000;
    command.args(["--allow-special", "--plugin-dir", &plugins, "misbehaving"]);
    command.env("MISBEHAVING_TALKS", LINES.to_string());
    let mut run = network.start(command);
    let mut stdin = run.stdin.take().unwrap();
    let jobs = network.jobs("clean");
    let feeder = std::thread::spawn(move || stdin.write_all(jobs.as_bytes()).unwrap());
    std::thread::sleep(Duration::from_secs(1));
    let mut said = BufReader::new(run.stderr.take().unwrap()).lines().map(Result::unwrap);
    for number in 1..=LINES {
        let line = said.next().unwrap();
        assert!(line.contains(&format!("message {number}.")), "{number}: {line}");
    }
    assert!(said.next().unwrap().contains("1 target in"));
    let is_summary = |line: String| line.starts_with("    ") || line.contains("not synchronised");
    assert!(said.all(is_summary), "the rest of the summary");
    feeder.join().unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(0));
}

#[test]
fn signals_that_were_ignored_stay_so() {
    let Some(network) = network(40, 0) else { return };
    // As nohup does; and as a shell without job control does for what runs in the background.
    let script = format!(
        "trap '' HUP INT; exec $PATHSPIDER measure -i {} --allow-special ecn --connect tcp",
        network.interface()
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).env("PATHSPIDER", built("pathspider"));
    shell.env("PATHSPIDER_STATE_DIR", state_dir());
    let mut child = network.start(shell);
    let mut stdin = child.stdin.take().unwrap();
    let jobs = network.jobs("clean");
    let (first, rest) = jobs.split_at(jobs.len() / 2);
    stdin.write_all(first.as_bytes()).unwrap();
    // The first record: the run is under way.
    child.stdout.as_mut().unwrap().read_exact(&mut [0; 1]).unwrap();
    for ignored in [Signal::HUP, Signal::INT] {
        signal(&child, ignored);
        std::thread::sleep(BETWEEN);
    }
    stdin.write_all(rest.as_bytes()).unwrap();
    drop(stdin);
    let end: Ended = child.wait_with_output().unwrap().into();
    end.expect(0, &["40 targets"]);
    assert!(!end.stderr.contains("no new targets"), "{}", end.stderr);
}
