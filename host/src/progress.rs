//! Shows how a run goes, while it goes: a line on the terminal, or one every ten seconds where
//! there is none, and a file for other programs.
//!
//! It looks at counters that the stages keep anyway, from a thread of its own, so that it costs the
//! run nothing.

mod snapshot;
mod status_file;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{io, mem};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::output::OutputError;
use pathspider_runtime::files::Existing;
use pathspider_runtime::say;
use pathspider_runtime::stop::Asked;
use pathspider_runtime::threads::Threads;
pub use snapshot::Snapshot;
use status_file::StatusFile;

/// Between two looks at the counters.
const TICK: Duration = Duration::from_millis(250);

/// Between two lines where there is no terminal.
const LINE: Duration = Duration::from_secs(10);

/// Between two rows of the status file.
const ROW: Duration = Duration::from_secs(1);

/// What is shown of a run while it goes.
#[derive(Debug, Clone, Default)]
pub struct Showing {
    /// Nothing on standard error.
    pub quiet: bool,
    /// A file that gets a row of CSV each second.
    pub status_file: Option<PathBuf>,
}

/// A run that is being shown, until this is dropped.
pub struct Shown {
    thread: Option<JoinHandle<()>>,
    end: Option<Sender<()>>,
}

impl Showing {
    /// Makes what is needed to show a run. A status file that is there is locked, and not
    /// changed yet; one that is not goes again with what is given, unless that is started.
    ///
    /// # Errors
    ///
    /// The status file cannot be made, or is there already and none; or it was told to stop while
    /// it waited for a reader of the pipe.
    pub fn prepare(
        &self,
        existing: Existing,
        is_asked: Asked<'_>,
    ) -> Result<Prepared, OutputError> {
        let lock = |path| StatusFile::lock(path, existing, is_asked);
        let status = self.status_file.as_deref().map(lock).transpose()?;
        Ok(Prepared { quiet: self.quiet, status })
    }
}

/// What a run is shown with.
pub struct Prepared {
    quiet: bool,
    status: Option<StatusFile>,
}

impl Prepared {
    /// Starts to show what `look` sees.
    ///
    /// # Errors
    ///
    /// The thread cannot be started.
    pub fn start(
        self,
        threads: Threads,
        look: impl Fn() -> Snapshot + Send + 'static,
    ) -> io::Result<Shown> {
        let Prepared { quiet, status } = self;
        let voice = if quiet {
            Voice::Silent
        } else if io::stderr().is_terminal() {
            Voice::Terminal
        } else {
            Voice::Lines
        };
        if matches!(voice, Voice::Silent) && status.is_none() {
            return Ok(Shown { thread: None, end: None });
        }
        let (end, ended) = bounded(0);
        let show = Show { voice, status, begun: Instant::now() };
        let thread = threads.start("progress", move || show.until(&ended, look))?;
        Ok(Shown { thread: Some(thread), end: Some(end) })
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // A panic of its own was reported on standard error already, and concerns nobody else.
            let _ = thread.join();
        }
    }
}

/// How many characters a line of the terminal has.
fn width() -> usize {
    const USUAL: usize = 80;
    let size = terminal_size::terminal_size_of(io::stderr());
    size.map_or(USUAL, |(width, _)| usize::from(width.0))
}

enum Voice {
    Silent,
    Terminal,
    Lines,
}

struct Show {
    voice: Voice,
    status: Option<StatusFile>,
    begun: Instant,
}

impl Show {
    fn until(mut self, ended: &Receiver<()>, look: impl Fn() -> Snapshot) {
        self.with_status(StatusFile::begin);
        let mut next_line = self.begun + LINE;
        let mut next_row = self.begun + ROW;
        let mut before = (self.begun, 0);
        let mut rate = 0.0;
        loop {
            let over = !matches!(ended.recv_timeout(TICK), Err(RecvTimeoutError::Timeout));
            let now = Instant::now();
            let snapshot = look();
            if now >= next_row || over {
                let seconds = (now - before.0).as_secs_f64();
                rate = (snapshot.done() - before.1) as f64 / seconds.max(1e-3);
                before = (now, snapshot.done());
                next_row = now + ROW;
                self.write_row(&snapshot, rate);
            }
            match &self.voice {
                Voice::Terminal if over => say::no_progress(),
                Voice::Terminal => {
                    say::progress(snapshot.line(rate, self.begun.elapsed(), width()));
                }
                Voice::Lines if now >= next_line && !over => {
                    next_line = now + LINE;
                    let line = snapshot.line(rate, self.begun.elapsed(), usize::MAX);
                    say::line(format_args!("{line}"));
                }
                Voice::Lines | Voice::Silent => {}
            }
            if over {
                return;
            }
        }
    }

    fn write_row(&mut self, snapshot: &Snapshot, rate: f64) {
        let elapsed = self.begun.elapsed();
        self.with_status(|status| status.write(snapshot, rate, elapsed));
    }

    /// A status file that cannot be written is reported once and left: the run matters more.
    fn with_status(&mut self, write: impl FnOnce(&mut StatusFile) -> io::Result<()>) {
        if let Some(mut status) = mem::take(&mut self.status) {
            match write(&mut status) {
                Ok(()) => self.status = Some(status),
                Err(error) => say::line(format_args!("no more status: {error}")),
            }
        }
    }
}
