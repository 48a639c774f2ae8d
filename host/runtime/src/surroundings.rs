//! What of the process belongs to all code in it, and a plugin may change: working directory, umask,
//! environment, blocked signals. They are given back after its functions that come before the run.
#![allow(unsafe_code)]

use std::env;
use std::ffi::OsString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::{say, streams};

/// As they were before the first plugin was loaded.
static KEPT: OnceLock<Surroundings> = OnceLock::new();

struct Surroundings {
    /// `None` where it may not even be opened.
    folder: Option<OwnedFd>,
    umask: Mode,
    environment: Vec<(OsString, OsString)>,
    blocked: libc::sigset_t,
}

/// Notes them, and gives plugins streams of their own ([`streams`]). Once is enough.
///
/// # Errors
///
/// There are no more descriptors.
pub fn keep() -> io::Result<()> {
    if KEPT.get().is_some() {
        return Ok(());
    }
    streams::set_apart()?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = openat(CWD, ".", flags, Mode::empty()).ok();
    let umask = umask();
    let environment = env::vars_os().collect();
    let _ = KEPT.set(Surroundings { folder, umask, environment, blocked: blocked() });
    Ok(())
}

/// The environment as it was, for programs that are started. `None` where no plugin was loaded.
pub fn environment() -> Option<&'static [(OsString, OsString)]> {
    KEPT.get().map(|kept| kept.environment.as_slice())
}

/// Gives back what a plugin has changed, and tells of it.
///
/// # Errors
///
/// What cannot be given back: it has closed descriptors of this program's.
pub fn restore(plugin: &str) -> io::Result<()> {
    let Some(kept) = KEPT.get() else { return Ok(()) };
    streams::mend()?;
    let mut changed = Vec::new();
    if let Some(folder) = &kept.folder
        && !is_folder(folder)
        && rustix::process::fchdir(folder).is_ok()
    {
        changed.push("the working directory");
    }
    if umask() != kept.umask {
        rustix::process::umask(kept.umask);
        changed.push("the umask");
    }
    if env::vars_os().ne(kept.environment.iter().cloned()) {
        let names: Vec<OsString> = env::vars_os().map(|(name, _)| name).collect();
        // SAFETY: the host has no other thread before the run, in which alone this is called, and
        // the code of a plugin's own threads reads it as it wrote it: at its own risk.
        unsafe {
            names.iter().for_each(|name| env::remove_var(name));
            kept.environment.iter().for_each(|(name, value)| env::set_var(name, value));
        }
        changed.push("the environment");
    }
    let now = blocked();
    if !is_same(&now, &kept.blocked) {
        // SAFETY: both point to such sets; the second is not wanted.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const kept.blocked, std::ptr::null_mut());
        }
        changed.push("the blocked signals");
    }
    // SAFETY: ignoring a signal runs no code of ours. So the standard library has set it, before any
    // plugin was there.
    let pipe = unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    if pipe != libc::SIG_IGN {
        changed.push("what SIGPIPE does");
    }
    if !changed.is_empty() {
        let changed = changed.join(", ");
        say!(
            "the plugin {plugin} has changed {changed}; pathspider has restored it (rule process)"
        );
    }
    Ok(())
}

fn is_folder(folder: &OwnedFd) -> bool {
    let identity = |status: rustix::fs::Stat| (status.st_dev, status.st_ino);
    let here = rustix::fs::stat(".").map(identity);
    here.is_ok() && here == rustix::fs::fstat(folder).map(identity)
}

/// The umask, which can only be read by setting it.
fn umask() -> Mode {
    let umask = rustix::process::umask(Mode::from_raw_mode(0o077));
    rustix::process::umask(umask);
    umask
}

fn blocked() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the first call makes a valid set, of no signals; the second fills it with those that
    // this thread blocks.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), set.as_mut_ptr());
        set.assume_init()
    }
}

fn is_same(a: &libc::sigset_t, b: &libc::sigset_t) -> bool {
    // SAFETY: it only asks whether the set has a signal.
    let has = |set: &libc::sigset_t, signal| unsafe { libc::sigismember(set, signal) };
    (1..=libc::SIGRTMAX()).all(|signal| has(a, signal) == has(b, signal))
}
