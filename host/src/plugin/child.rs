//! A process of this program's own in which a plugin's code may do what it likes.
//!
//! The program runs itself again (`/proc/self/exe`), so there is no helper to lose. The task and
//! the plugin's file travel over a socket that only the two have, and the answer comes back there,
//! each message behind a number that the plugin was never told: what it prints, to whatever
//! descriptor, is no answer. Its standard output and error are kept to a limit. When the time is
//! over, or the answer there, the child is killed with whatever it has started.

mod inside;
mod outside;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use inside::{Reporter, main};
pub(crate) use outside::{Ended, How, run};

/// The first argument of a program that is such a child.
const MARK: &str = "plugin-child-of-pathspider";

/// What a child is to do.
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
