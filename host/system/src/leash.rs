//! Tells whether a command of a run still works when the run itself is gone: what it changes then
//! must not come after the undoing.
//!
//! A command's standard input is a file that is at its end, with a shared lock (flock(2)). The lock
//! belongs to the open file, so it lasts until the last process that has inherited it has ended,
//! whatever became of the run. The file is the run's journal, which the next start finds too; where
//! there is none it is one without a name, which the keeper has inherited.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, MemfdFlags, flock, memfd_create};
use rustix::io::Errno;

/// How long is waited for a command to end. One that stays longer does other things, or nothing.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is said of one that is waited for, and of one that has not ended.
pub(super) const WAITING: &str = "waiting for a command of a run that was killed";
pub(super) const STILL_WORKS: &str = "a command of that run, or what it has started, still goes on: what it changes from now on is \
     not undone";

/// How often is looked.
const LOOK: Duration = Duration::from_millis(10);

/// The file.
#[derive(Debug)]
pub(super) struct Leash(OwnedFd);

impl Leash {
    /// Of a run with this journal, or with none.
    ///
    /// # Errors
    ///
    /// There can be no more open files.
    pub(super) fn new(journal: Option<BorrowedFd<'_>>) -> io::Result<Leash> {
        match journal {
            Some(journal) => Ok(Leash(journal.try_clone_to_owned()?)),
            None => Ok(Leash(memfd_create(c"pathspider", MemfdFlags::CLOEXEC)?)),
        }
    }

    /// The standard input of a command that is about to be run.
    ///
    /// # Errors
    ///
    /// There is no `/proc`, or the file's system has no locks.
    pub(super) fn hold(&self) -> io::Result<File> {
        let mut file = self.reopened(OpenOptions::new().read(true))?;
        file.seek(SeekFrom::End(0))?;
        flock(&file, FlockOperation::NonBlockingLockShared)?;
        Ok(file)
    }

    /// The file as who waits for the run's commands needs it; see [`wait`].
    ///
    /// # Errors
    ///
    /// There is no `/proc`.
    pub(super) fn waiting(&self) -> io::Result<File> {
        // Some network file systems want a file that can be written.
        self.reopened(OpenOptions::new().read(true).write(true))
    }

    /// The file itself, opened anew: a copy of the descriptor would share its lock.
    fn reopened(&self, options: &OpenOptions) -> io::Result<File> {
        options.open(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }
}

impl AsFd for Leash {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Waits until no command works any more whose standard input this file is, or long enough. `say` is
/// called where one does.
pub(super) fn wait(file: &File, say: impl FnOnce(&str)) {
    if !is_held(file) {
        return;
    }
    say(WAITING);
    let begun = Instant::now();
    while is_held(file) && begun.elapsed() < PATIENCE {
        sleep(LOOK);
    }
}

/// Whether a command works whose standard input this file is. Without locks, nothing is known of it.
pub(super) fn is_held(file: &File) -> bool {
    flock(file, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use rustix::process::{Pid, Signal, kill_process};

    use super::*;

    #[test]
    fn a_command_is_waited_for_and_so_is_what_it_starts() {
        let named = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&named, "a journal\n").unwrap();
        for journal in [None, Some(named.as_file().as_fd())] {
            let leash = Leash::new(journal).unwrap();
            let file = leash.waiting().unwrap();
            wait(&file, |_| panic!("there is none"));
            // As if this one had gone.
            flock(&file, FlockOperation::Unlock).unwrap();
            let mut command = Command::new("sh");
            // Its input is at its end, as that of /dev/null.
            let script = "! read line || exit 1; exec 3<&0; sleep 1000 >/dev/null & echo $!";
            command.args(["-c", script]).stdin(leash.hold().unwrap()).stdout(Stdio::piped());
            let started = command.spawn().unwrap();
            drop(command);
            let ended = started.wait_with_output().unwrap();
            assert!(ended.status.success());
            assert!(is_held(&file));
            let pid = String::from_utf8(ended.stdout).unwrap().trim().parse().unwrap();
            kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
            wait(&file, |_| {});
            assert!(!is_held(&file));
        }
    }
}
