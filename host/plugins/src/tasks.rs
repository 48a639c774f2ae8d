//! What a child process does for its parent: the one place that knows the child and its tasks.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::process::ExitCode;

use rustix::thread::CapabilitySet;

use super::child::{self, Reporter, Task};
use super::{check, examine};
use pathspider_runtime::privileges::shed_all_but;

/// Does the parent's task and returns `Some`, where the arguments say that this is such a process.
pub fn main(arguments: &[OsString]) -> Option<ExitCode> {
    child::main(arguments, work)
}

fn work(
    task: Task,
    file: File,
    name: &str,
    reporter: &mut Reporter,
) -> io::Result<serde_json::Value> {
    Ok(match task {
        Task::Examine => {
            // What a plugin does when it is loaded and described needs no privilege.
            shed_all_but(CapabilitySet::empty())?;
            serde_json::to_value(examine::inside(file, name, reporter))?
        }
        Task::Check { rule, seed, options } => {
            let order = (rule.as_str(), seed, options);
            serde_json::to_value(check::inside(file, name, order, reporter)?)?
        }
    })
}
