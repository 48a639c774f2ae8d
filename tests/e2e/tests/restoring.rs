//! The system's settings after crashes, kills and several runs at once.

mod commands;
pub(crate) mod left;
mod refused;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command};

use pathspider_e2e::{Network, Program, built, network, records, state_dir, temp_dir, wait_until};
use rustix::process::{Pid, Signal, kill_process};

/// An ECN run of some dead targets, which goes on for seconds with settings changed, and until its
/// input is closed.
fn long_run(network: &Network) -> Child {
    let mut command = Program::command(&["measure", "--allow-special", "-i", network.interface()]);
    command.args(["ecn", "--connect", "tcp", "--timeout", "10"]);
    let mut child = network.start(command);
    let jobs = network.jobs("clean") + &network.jobs("dead");
    child.stdin.as_mut().unwrap().write_all(jobs.as_bytes()).unwrap();
    child
}

fn changed(network: &Network) -> bool {
    network.script("cat /proc/sys/net/ipv4/tcp_ecn_fallback", "").stdout.trim() == "0"
}

fn journals() -> usize {
    fs::read_dir(state_dir()).unwrap().count()
}

fn kill(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid as i32).unwrap(), signal).unwrap();
}

/// Kills a run's keeper, and waits until it holds nothing any more, the lock of the network namespace
/// among it: on a busy machine, that is not when the signal is sent.
fn kill_keeper(run: &Child) {
    let keeper = keeper(run);
    kill(keeper, Signal::KILL);
    wait_until("the keeper is gone", || {
        let stat = fs::read_to_string(format!("/proc/{keeper}/stat")).unwrap_or_default();
        // Behind the name, which is in brackets: a process that waits to be buried has no files.
        stat.rsplit(") ").next().is_none_or(|rest| rest.is_empty() || rest.starts_with('Z'))
    });
}

/// The keeper of a run: its child that goes by this name.
pub(crate) fn keeper(run: &Child) -> u32 {
    let is_keeper = |pid: &u32| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm"));
        name.is_ok_and(|name| name.trim() == "pathspider-keep")
    };
    let mut found = None;
    wait_until("there is a keeper", || {
        let children = format!("/proc/{0}/task/{0}/children", run.id());
        let children = fs::read_to_string(children).unwrap();
        found = children.split_whitespace().map(|pid| pid.parse().unwrap()).find(is_keeper);
        found.is_some()
    });
    found.unwrap()
}

/// The first line that a run says; no more of it is read.
fn first_message(run: &mut Child) -> String {
    let mut line = String::new();
    // Not its end: what it says later must have a reader.
    BufReader::new(run.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
    line
}

fn standard_error(child: &mut Child) -> String {
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    said
}

#[test]
fn killed_and_restored_at_once() {
    let Some(network) = network(3, 0) else { return };
    let before = network.settings();
    let mut run = long_run(&network);
    wait_until("settings are changed", || changed(&network));
    assert_eq!(journals(), 1);
    run.kill().unwrap();
    // Its standard error ends with the keeper.
    let said = standard_error(&mut run);
    assert!(said.contains("ended without a word; restored: "), "{said}");
    assert_eq!(run.wait().unwrap().signal(), Some(9));
    assert_eq!(network.settings(), before);
    assert_eq!(journals(), 0);
}

#[test]
fn killed_with_its_keeper_and_restored_by_the_next_start() {
    let Some(network) = network(3, 0) else { return };
    let before = network.settings();
    for next in ["restore", "--list-plugins", "measure"] {
        let mut run = long_run(&network);
        wait_until("settings are changed", || changed(&network));
        kill_keeper(&run);
        run.kill().unwrap();
        run.wait().unwrap();
        assert_ne!(network.settings(), before);
        // A process of another network namespace leaves it alone.
        let elsewhere = Program::run(&["restore"]);
        elsewhere.expect(0, &["another network namespace"]);
        assert_ne!(network.settings(), before);
        let mut arguments = vec![next];
        if next == "measure" {
            arguments.extend(["-i", network.interface(), "ecn"]);
        }
        let end = network.run(Program::command(&arguments), "");
        end.expect(0, &["restored after the ecn run of", "net.ipv4.tcp_ecn_fallback is 1 again"]);
        assert_eq!(network.settings(), before, "{next}");
        assert_eq!(journals(), 0);
    }
    network.run(Program::command(&["restore"]), "").expect(0, &["nothing was left behind"]);
}

#[test]
fn of_what_was_left_behind_only_our_own_is_restored() {
    let Some(network) = network(3, 0) else { return };
    let mut run = long_run(&network);
    let ecn = || network.script("cat /proc/sys/net/ipv4/tcp_ecn", "").stdout.trim().to_owned();
    wait_until("both parameters were changed", || changed(&network) && ecn() == "1");
    kill_keeper(&run);
    run.kill().unwrap();
    run.wait().unwrap();
    let journal = fs::read_dir(state_dir()).unwrap().next().unwrap().unwrap().path();
    let text = fs::read_to_string(&journal).unwrap();
    network.script("echo 0 >/proc/sys/net/ipv4/tcp_ecn", "").expect(0, &[]);
    let end = network.run(Program::command(&["restore"]), "");
    end.expect(0, &["tcp_ecn is 0, which is not what this run had set", "fallback is 1 again"]);
    assert_eq!(ecn(), "0");
    assert_eq!(journals(), 0);
    // The same journal after the machine was started anew.
    network.script("echo 0 >/proc/sys/net/ipv4/tcp_ecn_fallback", "").expect(0, &[]);
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    fs::write(&journal, text.replace(boot.trim(), "another-boot")).unwrap();
    let end = network.run(Program::command(&["restore"]), "");
    end.expect(0, &["started anew since", "tcp_ecn_fallback was 1, and set to 0"]);
    assert!(changed(&network), "left as it was");
    assert_eq!(journals(), 0);
}

#[test]
fn a_crash_of_a_plugin_is_told_and_everything_restored() {
    let Some(network) = network(3, 0) else { return };
    let before = network.settings();
    let plugins = built("").display().to_string();
    for (how, signal, words) in [
        ("crash-in-connect", 11, "libmisbehaving.so crashed in `connect`, by SIGSEGV, at 0x"),
        ("abort-in-combine", 6, "libmisbehaving.so crashed in `combine`, by SIGABRT"),
        ("overflow-in-connect", 6, "libmisbehaving.so crashed in `connect`, by SIGSEGV, at 0x"),
    ] {
        let mut command =
            Program::command(&["measure", "--allow-special", "--plugin-dir", &plugins]);
        command.args(["-i", network.interface(), "misbehaving", "--how", how]);
        let mut run = network.start(command);
        // The input stays open, so that the run does not come to its end before.
        let mut stdin = run.stdin.take().unwrap();
        stdin.write_all(network.jobs("clean").as_bytes()).unwrap();
        let said = standard_error(&mut run);
        assert_eq!(run.wait().unwrap().signal(), Some(signal), "{said}");
        for word in [words, "ended without a word; restored: ", "`ip route del 203"] {
            assert!(said.contains(word), "{how}: {said}");
        }
        assert_eq!(said.contains("overflowed its stack"), how.starts_with("overflow"), "{said}");
        // Who says it is the keeper, when it is so; a process that crashes cannot know.
        let crash = said.lines().find(|line| line.contains(" crashed in ")).unwrap();
        assert!(!crash.contains("restored") && !crash.contains("kept"), "{crash}");
        assert_eq!(network.settings(), before, "{how}: {said}");
    }
    assert_eq!(journals(), 0);
}

#[test]
fn of_two_crashes_at_once_the_first_alone_is_reported_and_ends_the_process() {
    let Some(network) = network(3, 0) else { return };
    let before = network.settings();
    let plugins = built("").display().to_string();
    for _ in 0..8 {
        let mut command =
            Program::command(&["measure", "--allow-special", "--plugin-dir", &plugins]);
        command.args(["-i", network.interface(), "misbehaving", "--how", "crash-in-two-connects"]);
        let mut run = network.start(command);
        // The input stays open, so that the run does not come to its end before.
        let mut stdin = run.stdin.take().unwrap();
        stdin.write_all(network.jobs("clean").as_bytes()).unwrap();
        let said = standard_error(&mut run);
        let ended = run.wait().unwrap().signal();
        let crashes: Vec<&str> = said.lines().filter(|line| line.contains(" crashed ")).collect();
        let [crash] = crashes[..] else { panic!("not one crash: {said}") };
        let words = match ended {
            Some(6) => "crashed in `connect`, by SIGABRT",
            Some(11) => "crashed in `connect`, by SIGSEGV, at 0x",
            other => panic!("{other:?}: {said}"),
        };
        assert!(crash.contains(words), "{ended:?}: {said}");
        assert_eq!((network.settings(), journals()), (before.clone(), 0), "{said}");
    }
}

#[test]
fn what_was_finished_before_a_crash_is_kept() {
    const AT: usize = 10;
    let Some(network) = network(20, 0) else { return };
    let before = network.settings();
    let plugins = built("").display().to_string();
    let path = temp_dir("crash").join("out.ndjson");
    let finished = || records(&fs::read_to_string(&path).unwrap_or_default()).len();
    let jobs = network.jobs("clean");
    let (first, rest) = jobs.split_at(jobs.match_indices('\n').nth(AT - 1).unwrap().0 + 1);
    let arguments = ["--plugin-dir", &plugins, "--output", &path.display().to_string()];
    let mut command = Program::command(&["measure", "--allow-special", "-w", "1"]);
    command.args(arguments).args(["-i", network.interface(), "misbehaving"]);
    command.args(["--how", "crash-in-connect", "--from-job", &AT.to_string()]);
    let mut run = network.start(command);
    let mut stdin = run.stdin.take().unwrap();
    stdin.write_all(first.as_bytes()).unwrap();
    wait_until("those before are on the disk", || finished() == AT);
    stdin.write_all(rest.as_bytes()).unwrap();
    let said = standard_error(&mut run);
    assert_eq!(run.wait().unwrap().signal(), Some(11), "{said}");
    assert!(said.contains("crashed in `connect`, by SIGSEGV"), "{said}");
    assert_eq!(finished(), AT, "no record is torn or gone");
    assert_eq!((network.settings(), journals()), (before, 0));
}

#[test]
fn a_keeper_that_is_stopped_holds_nobody() {
    let Some(network) = network(3, 0) else { return };
    let before = network.settings();
    let mut run = long_run(&network);
    wait_until("settings are changed", || changed(&network));
    let keeper = keeper(&run);
    kill(keeper, Signal::STOP);
    kill(run.id(), Signal::QUIT);
    wait_until("the run has ended", || run.try_wait().unwrap().is_some());
    assert!(run.wait().unwrap().code().is_some(), "it ends by itself");
    assert!(!fs::exists(format!("/proc/{keeper}")).unwrap(), "the keeper went with the run");
    assert_eq!((network.settings(), journals()), (before, 0));
    let next = network.measure(&["ecn", "--connect", "tcp"], &network.jobs("clean"));
    next.expect(0, &["3 targets"]);
    assert!(!next.stderr.contains("waiting for"), "{}", next.stderr);
}

#[test]
fn one_run_at_a_time_configures_a_namespace() {
    let Some(network) = network(3, 0) else { return };
    let before = network.settings();
    let mut first = long_run(&network);
    wait_until("settings are changed", || changed(&network));
    let mut second = long_run(&network);
    let waits = first_message(&mut second);
    assert!(waits.contains(&format!("waiting for process {}", first.id())), "{waits}");
    // It has yet to fork its keeper.
    let threads = fs::read_dir(format!("/proc/{}/task", second.id())).unwrap();
    assert_eq!(threads.count(), 1);
    // One that waits can be told to stop; one that changes nothing need not wait.
    let mut third = long_run(&network);
    first_message(&mut third);
    kill(third.id(), Signal::INT);
    assert_eq!(third.wait().unwrap().code(), Some(10));
    let mptcp = ["--plugin-dir", &built("").display().to_string(), "mptcp"];
    network.measure(&mptcp, &network.jobs("clean")).expect(0, &["3 targets"]);
    assert!(first.try_wait().unwrap().is_none(), "the first run was over too soon");
    assert!(first.wait().unwrap().success() && second.wait().unwrap().success());
    assert_eq!(network.settings(), before);
}

#[test]
fn who_waits_can_be_told_to_stop_however_many_wait() {
    let Some(network) = network(3, 0) else { return };
    // The queue of the socket that is the lock: full after a few who asked who has it.
    network.script("echo 4 >/proc/sys/net/core/somaxconn", "").expect(0, &[]);
    let before = network.settings();
    let mut first = long_run(&network);
    wait_until("settings are changed", || changed(&network));
    let mut lines = Vec::new();
    for _ in 0..8 {
        let mut waiting = long_run(&network);
        let line = first_message(&mut waiting);
        // More looks than the queue has places.
        std::thread::sleep(std::time::Duration::from_millis(700));
        kill(waiting.id(), Signal::INT);
        wait_until("it has stopped", || waiting.try_wait().unwrap().is_some());
        assert_eq!(waiting.wait().unwrap().code(), Some(10));
        lines.push(line);
    }
    assert!(lines[0].contains(&format!("waiting for process {}", first.id())), "{lines:?}");
    assert!(lines[7].contains("waiting for another process"), "the queue is full: {lines:?}");
    // Nor does any other command wait for a place.
    for other in ["--list-plugins", "restore"] {
        let script = format!("timeout 60 $PATHSPIDER {other}");
        network.script(&script, "").expect(0, &[]);
    }
    assert!(first.wait().unwrap().success());
    assert_eq!(network.settings(), before);
}

#[test]
fn the_firewall_table_is_gone_after_a_kill() {
    let Some(network) = network(3, 0) else { return };
    let before = network.settings();
    let plugins = built("").display().to_string();
    let mut command = Command::new(built("pathspider"));
    command.env("PATHSPIDER_STATE_DIR", state_dir());
    command.args([
        "measure",
        "--allow-special",
        "--plugin-dir",
        &plugins,
        "-i",
        network.interface(),
        "misbehaving",
    ]);
    let mut run = network.start(command);
    let mut stdin = run.stdin.take().unwrap();
    stdin.write_all(network.jobs("dead").as_bytes()).unwrap();
    let tables = || network.script("nft list tables; ip route show type blackhole", "").stdout;
    wait_until("there is a table", || tables().contains("table inet pathspider"));
    run.kill().unwrap();
    let said = standard_error(&mut run);
    assert!(said.contains("the firewall table pathspider is gone"), "{said}");
    assert!(said.contains("`ip route del 203.0.113.0/24` was run"), "{said}");
    assert_eq!(network.settings(), before);
    drop(stdin);
    run.wait().unwrap();
}
