//! The rule that a plugin leaves the process as it is: every function of it runs in the host's.

use std::collections::BTreeMap;
use std::{env, fs};

use pathspider_plugin_api::{Job, Record, State};

use super::life::{Life, Script, outcome};
use super::subject::Subject;
use super::{Answer, Troubles};

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
            state.insert((*name).to_owned(), value.trim().to_owned());
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

/// The process's state is the same before and after.
pub(super) fn unchanged(subject: &mut Subject<'_>) -> Answer {
    let mut before = std::mem::take(&mut subject.process);
    let mut troubles = Troubles::default();
    compare("loading and info", &mut before, &mut troubles);
    for sample in &subject.samples() {
        for variant in subject.variants(sample).unwrap_or_default() {
            let label = format!("{}{}", sample.info.name, variant.label);
            subject.reporter.step(&format!("{label} had the state of its process looked at"));
            let Ok(mut life) = Life::start(sample, variant) else { continue };
            compare(&format!("{label}: new, configurations or chains"), &mut before, &mut troubles);
            go(&mut life);
            compare(&format!("{label}: the functions of a job"), &mut before, &mut troubles);
            let _ = life.finish();
            drop(life);
            compare(&format!("{label}: finish or drop"), &mut before, &mut troubles);
        }
    }
    troubles.answer()
}

/// Notes what is otherwise than before, which then is the state to compare with.
fn compare(when: &str, before: &mut ProcessState, troubles: &mut Troubles) {
    let after = state();
    for (name, value) in &after {
        match before.get(name) {
            Some(old) if old == value => {}
            Some(old) => {
                troubles.note(format!("{when}: {name} was {old:?}, and now is {value:?}"));
            }
            None => troubles.note(format!("{when}: {name} was not there, and now is {value:?}")),
        }
    }
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        troubles.note(format!("{when}: {name} is gone"));
    }
    *before = after;
}

/// Takes a job through; what goes wrong is another rule's.
fn go(life: &mut Life<'_>) {
    let job = Job::new(0, [198, 51, 100, 7].into(), 80, Record::new());
    let _ = life.timed(Script { job: &job, ends: &mut |_| (outcome(&job, State::Ok), None) });
}
