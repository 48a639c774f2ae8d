//! Runs what was built, as `make build` leaves it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use pathspider_lab::runner::plugin_waiver;

use crate::{Record, records};

/// A file that was built with this test: in the folder above that of the test's own program.
///
/// # Panics
///
/// It is not there.
pub fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap_or_default();
    let folder = test.parent().and_then(Path::parent).unwrap_or(Path::new(""));
    let path = folder.join(name);
    assert!(path.exists(), "{} is missing: run `make build` first", path.display());
    path
}

/// Says why a test cannot be done on this machine. In CI that is a failure.
///
/// # Panics
///
/// In CI.
pub fn skipped(why: impl std::fmt::Display) {
    assert!(std::env::var_os("CI").is_none(), "{why}");
    eprintln!("SKIPPED: {why}");
}

/// A new, empty folder for a test's files.
///
/// # Panics
///
/// It cannot be made.
pub fn temp_dir(test: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("pathspider-e2e-{}-{test}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    assert!(std::fs::create_dir_all(&path).is_ok(), "cannot make {}", path.display());
    path
}

/// The folder of this test's journals, empty at first, so that no test finds another's: neither one that
/// runs now nor one that ran as the same process number before.
///
/// # Panics
///
/// It cannot be made.
pub fn state_dir() -> PathBuf {
    static STATE: OnceLock<PathBuf> = OnceLock::new();
    STATE.get_or_init(|| temp_dir("state")).clone()
}

/// A shell script, where `$PATHSPIDER` is the program, whose standard error is a full pipe that nobody
/// reads.
///
/// # Panics
///
/// The pipe cannot be made.
pub fn unread_messages(script: &str) -> Command {
    let fifo = temp_dir("fifo").join("full").display().to_string();
    // The complaints of dd would be the first to wait.
    let fill = format!(
        "mkfifo {fifo}; exec 4<>{fifo}; for size in 4k 1; do \
         dd if=/dev/zero of={fifo} oflag=nonblock bs=$size 2>/dev/null; done; exec 2>&4 4>&-"
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{fill}; {script}")]).env("PATHSPIDER", built("pathspider"));
    shell.env("PATHSPIDER_STATE_DIR", state_dir());
    shell
}

/// How the program ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status; -1 for a signal.
    pub status: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Ended {
    /// Checks the status, and that standard error contains each of `words`.
    ///
    /// # Panics
    ///
    /// It is not so.
    pub fn expect(&self, status: i32, words: &[&str]) {
        assert_eq!(self.status, status, "{}", self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?} in: {}", self.stderr);
        }
    }

    /// The records on standard output.
    pub fn records(&self) -> Vec<Record> {
        records(&self.stdout)
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Ended {
        Ended {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// The program, outside any network.
pub struct Program;

impl Program {
    /// A command that runs it.
    pub fn command(arguments: &[&str]) -> Command {
        let program = built("pathspider");
        let mut command = Command::new(&program);
        command.args(plugin_waiver(&program)).args(arguments).env_remove("PATHSPIDER_PLUGIN_PATH");
        command.env("PATHSPIDER_STATE_DIR", state_dir());
        command
    }

    /// Runs it to its end, with nothing to read.
    ///
    /// # Panics
    ///
    /// It cannot be started.
    pub fn run(arguments: &[&str]) -> Ended {
        match Program::command(arguments).stdin(std::process::Stdio::null()).output() {
            Ok(output) => output.into(),
            Err(error) => panic!("cannot run pathspider: {error}"),
        }
    }
}
