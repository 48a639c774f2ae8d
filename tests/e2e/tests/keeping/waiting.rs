//! A run that waits, or reads what is there, before it measures: it can be told to stop, by a signal
//! and by its limit of time, and leaves all as it was.

use std::fs::{self, File};
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::process::{Child, Command};

use pathspider_e2e::{Ended, network, temp_dir, wait_until};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};

use super::{ECN, command, measure};

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn a_run_waits_no_longer_than_it_may_run() {
    let Some(network) = network(1, 0) else { return };
    let folder = temp_dir("limited-waiting");
    let name = |name: &str| folder.join(name).display().to_string();
    let mut first = network.start(command(&network, &[], &ECN));
    let sockets = || network.script("cat /proc/net/unix", "").stdout;
    wait_until("the first has the lock", || sockets().contains("pathspider.configures"));
    let ends = |arguments: &[&str], words: &[&str]| {
        let arguments = [arguments, &["--max-runtime", "1"]].concat();
        let mut run = network.start(command(&network, &arguments, &ECN));
        wait_until("it has ended", || run.try_wait().unwrap().is_some());
        let end = Ended::from(run.wait_with_output().unwrap());
        end.expect(10, &[words, &["the time of --max-runtime is over"]].concat());
    };
    let waiting = format!("while waiting for process {}", first.id());
    let (out, capture, status) = (name("out.ndjson"), name("own.pcap"), name("status.csv"));
    let files = ["--output", &out, "--save-pcap", &capture, "--status-file", &status];
    ends(&files, &[&waiting]);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    // For a reader it waits no longer either.
    let fifo = name("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    ends(&["--output", &fifo], &["stopped while nobody read it"]);
    drop(first.stdin.take());
    assert!(first.wait().unwrap().success());
}

/// How far a process has read a file; `None` where it has not opened it.
fn read_of(child: &Child, path: &Path) -> Option<u64> {
    let folder = format!("/proc/{}", child.id());
    let opened = fs::read_dir(format!("{folder}/fd")).ok()?.flatten();
    opened.filter(|entry| fs::read_link(entry.path()).is_ok_and(|target| target == path)).find_map(
        |entry| {
            let number = entry.file_name().into_string().ok()?;
            // `pos` of proc_pid_fdinfo(5).
            let info = fs::read_to_string(format!("{folder}/fdinfo/{number}")).ok()?;
            info.lines().find_map(|line| line.strip_prefix("pos:")?.trim().parse().ok())
        },
    )
}

/// Stops a run (SIGSTOP) when it has read so much of a file; `false` where it had read more, or has
/// ended, before it could be met: the machine may stall.
fn halt(run: &mut Child, path: &Path, read: Range<u64>) -> bool {
    wait_until("it reads, or has ended", || {
        read_of(run, path) >= Some(read.start) || run.try_wait().unwrap().is_some()
    });
    if run.try_wait().unwrap().is_some() {
        return false;
    }
    signal(run, Signal::STOP);
    if read_of(run, path).is_some_and(|at| read.contains(&at)) {
        return true;
    }
    signal(run, Signal::CONT);
    run.wait().unwrap();
    false
}

#[test]
fn a_run_that_was_killed_just_now_keeps_no_other_from_its_file() {
    let Some(network) = network(2, 0) else { return };
    let path = temp_dir("killed-now").canonicalize().unwrap().join("out.ndjson");
    let arguments = ["--output", path.to_str().unwrap(), "--resume"];
    let jobs = network.jobs("clean");
    let first = jobs.split_inclusive('\n').next().unwrap();
    measure(&network, &arguments, &ECN, first).expect(0, &["1 target"]);
    let met = (0..10).find_map(|_| {
        // As its keeper has it, until that has closed it.
        let copy = File::open(&path).unwrap();
        flock(&copy, FlockOperation::LockExclusive).unwrap();
        let mut run = network.start(command(&network, &arguments, &ECN));
        run.stdin.take().unwrap().write_all(jobs.as_bytes()).unwrap();
        halt(&mut run, &path, 0..1).then_some((run, copy))
    });
    let (run, copy) = met.expect("none waits");
    drop(copy);
    signal(&run, Signal::CONT);
    let end = Ended::from(run.wait_with_output().unwrap());
    end.expect(0, &["1 target", "1 measured before"]);
}

#[test]
fn a_run_that_reads_what_is_there_can_be_stopped() {
    let Some(network) = network(2, 0) else { return };
    let folder = temp_dir("stopped-reading");
    let path = folder.canonicalize().unwrap().join("out.ndjson");
    let out = path.display().to_string();
    let arguments = ["--output", &out, "--resume"];
    let jobs = network.jobs("clean");
    measure(&network, &arguments, &ECN, &jobs).expect(0, &["2 targets"]);
    // So much that a run can be met while it reads it.
    let records = fs::read(&path).unwrap();
    fs::write(&path, records.repeat((128 << 20) / records.len())).unwrap();
    let length = fs::metadata(&path).unwrap().len();
    let metadata = fs::read_to_string(format!("{out}.meta.json")).unwrap();
    for stop in [Signal::INT, Signal::TERM] {
        let met = (0..10).find_map(|_| {
            let mut run = network.start(command(&network, &arguments, &ECN));
            drop(run.stdin.take());
            if halt(&mut run, &path, 1..length / 2) {
                return Some(run);
            }
            fs::write(format!("{out}.meta.json"), &metadata).unwrap();
            None
        });
        let run = met.expect("none is met while it reads");
        signal(&run, stop);
        signal(&run, Signal::CONT);
        let end = Ended::from(run.wait_with_output().unwrap());
        end.expect(10, &["cannot read", "stopped while it was read"]);
    }
    assert_eq!(fs::metadata(&path).unwrap().len(), length);
    assert_eq!(fs::read_to_string(format!("{out}.meta.json")).unwrap(), metadata);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
    fs::remove_dir_all(folder).unwrap();
}
