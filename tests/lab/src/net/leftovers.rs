//! Owns what a killed lab leaves running: children of its commands, which the kernel does not end
//! with it and which keep its namespaces alive. Every command carries a mark in its environment that
//! its children inherit; the next lab ends those whose lab is gone.

use std::fs;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const MARK: &str = "PATHSPIDER_LAB";

/// Marks a command as this lab's.
pub(super) fn mark(command: &mut Command) {
    let pid = std::process::id();
    if let Some(started) = start_time(pid) {
        command.env(MARK, format!("{}{pid}:{started}", numbering()));
    }
}

/// What the numbers of processes belong to: in another container the same number is another's.
fn numbering() -> String {
    let link = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("{}:", link.display())
}

/// Ends every process that belongs to a lab which is gone.
pub(super) fn end() {
    let prefix = format!("{MARK}={}", numbering());
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // Those of other users cannot be read, and are none of ours.
        let Ok(environment) = fs::read(entry.path().join("environ")) else { continue };
        let mark = environment
            .split(|byte| *byte == 0)
            .find_map(|variable| variable.strip_prefix(prefix.as_bytes()));
        if mark.and_then(|mark| std::str::from_utf8(mark).ok()).is_some_and(is_gone) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// Whether the lab that set a mark is gone; a mark that makes no sense says nothing.
fn is_gone(mark: &str) -> bool {
    let parts = mark.split_once(':');
    let Some((Ok(pid), Ok(started))) = parts.map(|(pid, time)| (pid.parse(), time.parse::<u64>()))
    else {
        return false;
    };
    // The number may be another process's by now, but not with the same start.
    start_time(pid) != Some(started)
}

/// When a process started, in the kernel's ticks since its own start.
fn start_time(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name, in brackets, may hold anything; the numbers follow the last one.
    let (_, numbers) = text.rsplit_once(')')?;
    numbers.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_of_a_living_lab_or_not() {
        let pid = std::process::id();
        let started = start_time(pid).unwrap();
        assert!(!is_gone(&format!("{pid}:{started}")));
        assert!(is_gone(&format!("{pid}:{}", started + 1)));
        assert!(!is_gone("nonsense"));
    }
}
