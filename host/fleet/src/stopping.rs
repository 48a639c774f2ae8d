//! Signals: they are passed on to the child that measures, and end the waiting between two runs.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use pathspider_runtime::stop::is_ignored;
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

/// What signals do.
pub(crate) struct Stopping {
    shared: Arc<Mutex<Shared>>,
    asked: Receiver<()>,
}

#[derive(Default)]
struct Shared {
    is_asked: bool,
    /// The child that measures, where there is one.
    child: Option<OwnedFd>,
}

impl Stopping {
    /// Catches signals from now on. Those that whoever started us had us ignore stay ignored.
    ///
    /// # Errors
    ///
    /// The handlers cannot be installed.
    pub(crate) fn listen() -> io::Result<Stopping> {
        let ours = [SIGINT, SIGTERM, SIGHUP, SIGQUIT];
        let mut signals = Signals::new(ours.iter().filter(|&&signal| !is_ignored(signal)))?;
        let shared = Arc::<Mutex<Shared>>::default();
        let (sender, asked) = channel();
        let of_thread = Arc::clone(&shared);
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for signal in signals.forever() {
                let mut shared = of_thread.lock().unwrap_or_else(PoisonError::into_inner);
                shared.is_asked = true;
                if let (Some(child), Some(signal)) = (&shared.child, Signal::from_named_raw(signal))
                {
                    // It may have ended just now.
                    let _ = pidfd_send_signal(child, signal);
                }
                if sender.send(()).is_err() {
                    break;
                }
            }
        })?;
        Ok(Stopping { shared, asked })
    }

    /// Whether a signal came.
    pub(crate) fn is_asked(&self) -> bool {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).is_asked
    }

    /// Passes signals on to this child until what is given back is dropped.
    ///
    /// # Errors
    ///
    /// The child is gone, or the system cannot do that.
    pub(crate) fn pass_to(&self, child: &std::process::Child) -> io::Result<Passing<'_>> {
        let pid = rustix::process::Pid::from_child(child);
        let descriptor = pidfd_open(pid, PidfdFlags::empty())?;
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if shared.is_asked {
            // It came before there was a child.
            pidfd_send_signal(&descriptor, Signal::TERM)?;
        }
        shared.child = Some(descriptor);
        Ok(Passing(self))
    }

    /// Waits this long, or until a signal comes.
    pub(crate) fn wait(&self, time: Duration) {
        if self.is_asked() {
            return;
        }
        match self.asked.recv_timeout(time) {
            Ok(()) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
    }
}

/// Signals are passed on to a child.
pub(crate) struct Passing<'a>(&'a Stopping);

impl Drop for Passing<'_> {
    fn drop(&mut self) {
        self.0.shared.lock().unwrap_or_else(PoisonError::into_inner).child = None;
    }
}
