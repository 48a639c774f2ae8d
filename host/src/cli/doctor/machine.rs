//! What is found of the machine: kernel, clock, local ports, open files, journals.

use super::finding::Finding;
use crate::engine::Ephemeral;
use crate::run::{descriptors, raise_descriptors};
use pathspider_runtime::process::Clock;

/// The parameter that says whether connections ask for ECN.
const ECN: &str = "net.ipv4.tcp_ecn";

/// Its values with which every connection asks for it (ip-sysctl: 1 and 4 for ECN, 3 for Accurate ECN).
const ASKS: [&str; 3] = ["1", "3", "4"];

/// The kernel, and whether each connection asks for ECN.
pub(super) fn kernel() -> Finding {
    const SUBJECT: &str = "kernel";
    let system = rustix::system::uname();
    let kernel =
        format!("{} {}", system.sysname().to_string_lossy(), system.release().to_string_lossy());
    match pathspider_system::present(ECN) {
        Ok(Some(value)) if ASKS.contains(&value.trim()) => Finding::bad(
            SUBJECT,
            format!(
                "{kernel}; {ECN} is {value}, so all connections ask for ECN: paths that harm ECN \
                 look dead to measurements of other things"
            ),
            format!("sysctl -w {ECN}=2"),
        ),
        Ok(Some(value)) => Finding::good(SUBJECT, format!("{kernel}; {ECN} is {value}")),
        Ok(None) => Finding::bad(
            SUBJECT,
            format!("{kernel} has no {ECN}, so it is unknown whether connections ask for ECN"),
            "measure on Linux with /proc mounted: mount -t proc proc /proc",
        ),
        Err(error) => Finding::bad(
            SUBJECT,
            format!("{kernel}; {}", error.message()),
            "mount -t proc proc /proc",
        ),
    }
}

/// Whether somebody keeps the clock: the times in records are the clock's.
pub(super) fn clock() -> Finding {
    const SUBJECT: &str = "clock";
    match Clock::now() {
        Some(clock) if clock.is_synchronised => Finding::good(
            SUBJECT,
            format!("it is synchronised, and wrong by {} µs at the most", clock.max_error_us),
        ),
        Some(_) => Finding::bad(
            SUBJECT,
            "it is not synchronised: times in the records may be wrong",
            "timedatectl set-ntp true (or apt-get install chrony)",
        ),
        None => Finding::good(SUBJECT, "the kernel does not say whether it is synchronised"),
    }
}

/// Whether there are local ports for this many targets at a time that are at one address.
pub(super) fn ports(workers: usize) -> Finding {
    const SUBJECT: &str = "ports";
    let ports = Ephemeral::read();
    let count = ports.count();
    if count < workers {
        Finding::bad(
            SUBJECT,
            format!("{count} local ports for {workers} targets at a time: {ports}"),
            "sysctl -w net.ipv4.ip_local_port_range=\"32768 60999\"",
        )
    } else {
        Finding::good(SUBJECT, format!("{count} local ports: {ports}"))
    }
}

/// Whether this many connections may be open. The limit is raised as a run raises it, for this process.
pub(super) fn files(workers: usize) -> Finding {
    const SUBJECT: &str = "files";
    let needed = descriptors(workers);
    match raise_descriptors(workers, 2, false) {
        Ok(_) => Finding::good(
            SUBJECT,
            format!("{needed} files can be open, which {workers} targets at a time need"),
        ),
        Err(error) => Finding::bad(SUBJECT, error, format!("ulimit -n {needed}")),
    }
}

/// Whether a run that changes settings can note how to undo that.
pub(super) fn journal() -> Finding {
    const SUBJECT: &str = "journal";
    match pathspider_system::journal_folder() {
        Ok(Some(folder)) => Finding::good(SUBJECT, format!("kept in {}", folder.display())),
        Ok(None) => Finding::good(
            SUBJECT,
            "a program with privileges of its file keeps none; a process of its own restores the \
             settings where a run is killed",
        ),
        Err(error) => Finding::bad(
            SUBJECT,
            error.message(),
            "export PATHSPIDER_STATE_DIR=DIR, a folder of yours that nobody else can write to",
        ),
    }
}

/// What killed runs left behind.
pub(super) fn left() -> Vec<Finding> {
    const SUBJECT: &str = "left over";
    let left = pathspider_system::left();
    let pending = left.pending.iter().map(|what| Finding::bad(SUBJECT, what, "pathspider restore"));
    let unreadable = left.unreadable.iter().map(|what| {
        Finding::bad(SUBJECT, what, "delete that file when no run of pathspider is under way")
    });
    let mut findings: Vec<Finding> = pending.chain(unreadable).collect();
    if findings.is_empty() {
        findings.push(Finding::good(SUBJECT, "killed runs left nothing behind"));
    }
    findings
}
