//! Signals, and what a run leaves behind.

use std::io::{Read, Write};
use std::process::Child;
use std::time::{Duration, Instant};

use pathspider_e2e::{Ended, Network, Program, built, network};
use rustix::process::{Pid, Signal, kill_process};

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Starts an ECN run that reads targets for ever, and waits until it is well under way.
fn endless(network: &Network, path: &str) -> (Child, std::thread::JoinHandle<()>) {
    let arguments = ["measure", "-i", network.interface(), "-w", "50", "ecn", "--connect", "tcp"];
    let mut child = network.start(Program::command(&arguments));
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
    let before = network.sysctls();
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
        assert_eq!(network.sysctls(), before, "after {sent:?}");
    }
}

#[test]
fn the_second_signal_stops_at_once() {
    let Some(network) = network(20, 0) else { return };
    let before = network.sysctls();
    let (child, feeder) = endless(&network, "dead");
    std::thread::sleep(Duration::from_millis(500));
    signal(&child, Signal::INT);
    std::thread::sleep(Duration::from_millis(200));
    let asked = Instant::now();
    signal(&child, Signal::INT);
    let end = ended(child, feeder);
    end.expect(10, &["stopping at once"]);
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    end.records();
    assert_eq!(network.sysctls(), before);
}

#[test]
fn settings_are_restored_at_a_normal_end_and_on_errors() {
    let Some(network) = network(3, 0) else { return };
    let before = network.sysctls();
    let jobs = network.jobs("clean");
    network.measure(&["ecn", "--connect", "tcp"], &jobs).expect(0, &[]);
    assert_eq!(network.sysctls(), before);
    let plugins = built("").display().to_string();
    for (how, status, word) in
        [("configure-error", 1, "no such luck"), ("configure-panic", 1, "configured to panic")]
    {
        let arguments = ["--plugin-dir", &plugins, "misbehaving", "--how", how];
        network.measure(&arguments, &jobs).expect(status, &["configuration 1 (b)", word]);
        assert_eq!(network.sysctls(), before, "{how}");
    }
}

#[test]
fn a_setting_that_somebody_else_changed_is_left_and_reported() {
    let Some(network) = network(3, 0) else { return };
    let script = format!(
        "( while sleep 0.05; do echo 0 >/proc/sys/net/ipv4/tcp_ecn; done ) & \
         $PATHSPIDER measure -i {} ecn --connect tcp --timeout 1; kill $!",
        network.interface()
    );
    let end = network.script(&script, &network.jobs("dead"));
    assert!(end.stderr.contains("left as it is"), "{}", end.stderr);
}

#[test]
fn a_closed_pipe_ends_the_run() {
    let Some(network) = network(20, 0) else { return };
    let before = network.sysctls();
    let (mut child, feeder) = endless(&network, "clean");
    some_output(&mut child);
    drop(child.stdout.take());
    let end = ended(child, feeder);
    end.expect(8, &["cannot write to standard output"]);
    assert_eq!(network.sysctls(), before);
}
