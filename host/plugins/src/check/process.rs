//! The state of the process that a plugin is in: what belongs to all code of it.

use std::collections::BTreeMap;
use std::{env, fs};

/// The state of a process: what it is called, and its value.
pub(super) type ProcessState = BTreeMap<String, String>;

/// What `/proc/self/status` says of it (proc_pid_status(5)), and what that is called.
const STATUS: [(&str, &str); 8] = [
    ("Umask", "the umask"),
    ("Uid", "the user"),
    ("Gid", "the group"),
    ("Groups", "the list of groups"),
    ("SigBlk", "the set of blocked signals"),
    ("SigIgn", "the set of ignored signals"),
    ("SigCgt", "the set of handled signals"),
    ("CapEff", "the set of capabilities"),
];

/// Paths that the kernel keeps of it.
const LINKS: [(&str, &str); 5] = [
    ("cwd", "the working directory"),
    ("root", "the root directory"),
    ("fd/0", "standard input"),
    ("fd/1", "standard output"),
    ("fd/2", "standard error"),
];

/// The state of this process.
pub(super) fn state() -> ProcessState {
    let mut state = BTreeMap::new();
    for (link, name) in LINKS {
        let target = fs::read_link(format!("/proc/self/{link}"));
        let target = target.map_or("closed".to_owned(), |target| target.display().to_string());
        state.insert(name.to_owned(), target);
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for (key, value) in status.lines().filter_map(|line| line.split_once(':')) {
        if let Some((_, name)) = STATUS.iter().find(|(known, _)| *known == key) {
            let value = value.trim();
            let value = match key {
                "SigIgn" | "SigCgt" => without_own_signals(value),
                _ => value.to_owned(),
            };
            state.insert((*name).to_owned(), value);
        }
    }
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    for (name, value) in limits.lines().skip(1).filter_map(|line| line.split_once("  ")) {
        state.insert(format!("the limit {:?}", name.trim()), value.trim().to_owned());
    }
    for (name, value) in env::vars_os() {
        let name = format!("the environment's {}", name.display());
        state.insert(name, value.display().to_string());
    }
    state
}

/// Signals 32 and 33 are the C library's own (signal(7)): it takes them when the first thread begins.
const OWN_SIGNALS: u64 = 0b11 << 31;

/// A set of signals without those.
fn without_own_signals(set: &str) -> String {
    match u64::from_str_radix(set, 16) {
        Ok(set) => format!("{:016x}", set & !OWN_SIGNALS),
        Err(_) => set.to_owned(),
    }
}
