//! A process of this program's own in which a plugin's code may do what it likes.
//!
//! The program runs itself again (`/proc/self/exe`), so there is no helper to lose: as a guardian
//! without a terminal, and that as the worker, which loads the plugin. The task and the plugin's
//! file travel to the worker over a socket that only the three have, and the answer comes back
//! there, each message behind a number that the plugin was never told: what it prints, to whatever
//! descriptor, is no answer. Its standard output and error are kept to a limit.
//!
//! When the answer is there or the time over, the parent hangs up, and the guardian kills the worker
//! and whatever that has started, in whatever group or session: all of it becomes the guardian's
//! child when its own parent ends (PR_SET_CHILD_SUBREAPER). Only code that means to escape does: by
//! killing the guardian, or by forking faster than it is found.

mod guardian;
mod inside;
mod outside;
mod stream;

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::process::{Command, ExitCode};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use inside::Reporter;
pub(crate) use outside::{ChildEnd, How, run};

/// The first argument of a program that is a guardian.
const GUARDIAN: &str = "plugin-guardian-of-pathspider";
/// The first argument of a program that is a worker.
const WORKER: &str = "plugin-child-of-pathspider";

/// What a worker is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Load a file, and describe what it exports.
    Examine,
    /// Apply one rule of `pathspider check`.
    Check {
        /// Its name.
        rule: String,
        /// For what is chosen at random.
        seed: u64,
        /// Values of options.
        options: Vec<(String, String)>,
    },
}

/// Does a task with a plugin's file, of this name, and gives the answer for the parent.
pub(crate) type Work = fn(Task, File, &str, &mut Reporter) -> io::Result<serde_json::Value>;

/// A task with what belongs to it.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    task: Task,
    /// What messages call the file.
    name: String,
    /// What stands before each message.
    nonce: String,
}

/// A message to the parent.
#[derive(Debug, Serialize, Deserialize)]
enum Message {
    /// What it is about to do.
    Step(String),
    /// What came of it.
    Answer(serde_json::Value),
}

/// How long a plugin may take to be loaded and to describe itself.
pub(crate) const EXAMINATION_LIMIT: Duration = Duration::from_secs(10);
/// How long a guardian looks for what is left to kill.
const CLEARING: Duration = Duration::from_secs(2);

/// Has `work` do the parent's task and returns `Some`, where the arguments say that this is such a
/// process.
pub(crate) fn main(arguments: &[OsString], work: Work) -> Option<ExitCode> {
    let ended = match arguments.get(1)?.to_str()? {
        GUARDIAN => guardian::main(),
        WORKER => inside::main(work),
        _ => return None,
    };
    // Nobody reads what is said here but who starts it by hand.
    Some(ended.unwrap_or(ExitCode::from(2)))
}

/// This program again, in such a role.
fn again(role: &str) -> Command {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new("/proc/self/exe");
    command.arg0("pathspider").arg(role).env("RUST_BACKTRACE", "0");
    command
}
