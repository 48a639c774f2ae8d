//! A run that waits before it measures.

use std::fs::{self, File};
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::process::Child;

use pathspider_e2e::{Ended, network, temp_dir, wait_until};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};

use super::{ECN, command, measure};

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
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
