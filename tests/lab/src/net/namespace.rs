//! Owns the anonymous network namespace: made by a thread, held by a file descriptor, entered by
//! threads and children. It has no name anywhere, so it ends with the last process that is in it
//! or holds it, however that process ends.

use std::ffi::{CString, OsStr};
use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use nix::sched::{CloneFlags, setns, unshare};

use super::exec::Shown;
use super::{exec, leftovers, link};
use crate::error::{Context, Error, Result};

/// A network namespace held by this process. Clones hold the same namespace.
#[derive(Clone, Debug)]
pub struct Namespace {
    fd: Arc<OwnedFd>,
    label: Arc<str>,
    /// Files that commands find in the place of others.
    shown: Vec<Shown>,
}

impl Namespace {
    /// Makes a namespace and brings its loopback up. `label` is for messages only.
    ///
    /// # Errors
    /// When the process may not make one: see [`crate::net::prepare`].
    pub fn new(label: &str) -> Result<Self> {
        // Only the calling thread moves into the new namespace, so a throw-away thread makes it
        // and the rest of the process stays where it was.
        let fd = on_thread(|| -> Result<OwnedFd> {
            unshare(CloneFlags::CLONE_NEWNET)
                .map_err(|errno| Error::Privilege(super::privilege::explain(errno)))?;
            let file = File::open("/proc/thread-self/ns/net")
                .context(|| "hold the new network namespace")?;
            link::up("lo").context(|| "bring the loopback interface up")?;
            Ok(file.into())
        })??;
        Ok(Self { fd: Arc::new(fd), label: label.into(), shown: Vec::new() })
    }

    /// Has the commands that are placed here find `file` in the place of another one.
    #[must_use]
    pub fn showing(mut self, file: &Path, place: &str) -> Self {
        let text = |path: &OsStr| CString::new(path.as_bytes());
        if let (Ok(file), Ok(place)) = (text(file.as_os_str()), text(place.as_ref())) {
            self.shown.push(Shown { file, place });
        }
        self
    }

    /// The word this namespace is called in messages.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// A path other programs of this user can open while this process lives, as `ip` takes it
    /// after `netns`.
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.fd.as_raw_fd())
    }

    /// Runs `work` inside the namespace, on a thread of its own, and waits for it.
    ///
    /// # Errors
    /// When the namespace cannot be entered or `work` panics.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        on_thread(|| {
            self.join_current_thread()?;
            Ok(work())
        })?
    }

    /// Starts a thread that lives inside the namespace.
    ///
    /// # Errors
    /// When the thread cannot be made; a namespace that cannot be entered is reported at its join.
    pub fn spawn<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<Result<T>>> {
        let namespace = self.clone();
        thread::Builder::new()
            .name(name.into())
            .spawn(move || {
                namespace.join_current_thread()?;
                Ok(work())
            })
            .context(|| format!("start the thread {name}"))
    }

    /// Makes `command` run inside the namespace and die with this thread.
    ///
    /// The child sees the namespace's interfaces under `/sys/class/net` too.
    pub fn place(&self, command: &mut Command) {
        leftovers::mark(command);
        exec::place(command, Arc::clone(&self.fd), Some(self.shown.clone()));
    }

    /// The same for a command that looks at no files of the namespace's own.
    pub(super) fn place_tool(&self, command: &mut Command) {
        leftovers::mark(command);
        exec::place(command, Arc::clone(&self.fd), None);
    }

    /// Sets a sysctl, named with dots or slashes as under `/proc/sys`.
    ///
    /// # Errors
    /// When the key is unknown here or the value is refused.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        self.sysctls(&[(key, value)])
    }

    /// Sets several sysctls in order.
    ///
    /// # Errors
    /// At the first that is unknown or refused.
    pub fn sysctls(&self, settings: &[(&str, &str)]) -> Result<()> {
        self.enter(|| {
            for (key, value) in settings {
                let path = format!("/proc/sys/{}", key.replace('.', "/"));
                fs::write(&path, value)
                    .context(|| format!("set {key} to {value} in {}", self.label))?;
            }
            Ok(())
        })?
    }

    fn join_current_thread(&self) -> Result<()> {
        setns(&*self.fd, CloneFlags::CLONE_NEWNET)
            .context(|| format!("enter the network namespace {}", self.label))
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn on_thread<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T> {
    thread::scope(|scope| {
        scope.spawn(work).join().map_err(|_| Error::Io {
            action: "finish work in a network namespace".into(),
            source: std::io::Error::other("the thread panicked"),
        })
    })
}
