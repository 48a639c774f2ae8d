//! The feeder's thread: reads jobs and hands them to the engine, as fast as it takes them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use crossbeam::channel::Sender;
use pathspider_plugin_api::Job;
use tokio::sync::mpsc;

use super::reader::{JobReader, ReadError};
use crate::say::say;
use crate::stop::Stop;

/// What the feeder has done so far; shared, because it may still wait for input when a run ends.
#[derive(Debug, Default)]
pub struct Feed {
    bad_lines: AtomicU64,
    jobs: AtomicU64,
    ended: AtomicBool,
}

impl Feed {
    /// Lines that were not jobs.
    pub fn bad_lines(&self) -> u64 {
        self.bad_lines.load(Ordering::Relaxed)
    }

    /// Jobs in the whole input, once it has come to its end.
    pub fn total(&self) -> Option<u64> {
        self.ended.load(Ordering::Acquire).then(|| self.jobs.load(Ordering::Relaxed))
    }
}

/// The feeder's thread; it gives the reason why the input cannot be read further.
pub type Feeder = JoinHandle<Result<(), ReadError>>;

/// Starts the feeder. It ends at the input's end, when the run stops, or when the engine is gone.
///
/// Each job takes a place in `places` before it goes to the engine; the merger frees the place
/// when the job's record is written. So the number of unfinished jobs, and with it the memory, is
/// bounded however far the observer lags behind the engine.
pub fn feed(
    mut reader: JobReader,
    jobs: mpsc::Sender<Job>,
    places: Sender<()>,
    stop: Arc<Stop>,
) -> io::Result<(Arc<Feed>, Feeder)> {
    let feed = Arc::new(Feed::default());
    let shared = Arc::clone(&feed);
    let thread = thread::Builder::new().name("feeder".into()).spawn(move || {
        while !stop.is_asked() {
            match reader.next_job()? {
                None => {
                    shared.ended.store(true, Ordering::Release);
                    break;
                }
                Some(Err(bad)) => {
                    shared.bad_lines.fetch_add(1, Ordering::Relaxed);
                    say!("{bad}");
                }
                Some(Ok(job)) => {
                    shared.jobs.fetch_add(1, Ordering::Relaxed);
                    if places.send(()).is_err() || jobs.blocking_send(job).is_err() {
                        break;
                    }
                }
            }
        }
        Ok(())
    })?;
    Ok((feed, thread))
}
