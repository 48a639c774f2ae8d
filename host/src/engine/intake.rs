//! Jobs on their way from the feeder to the engine.
//!
//! The feeder waits while the channel is full. Each job that is taken out would wake it for one more. So
//! several are taken at a time, and the engine begins them one by one.

use std::collections::VecDeque;

use tokio::sync::mpsc::Receiver;
use tokio::sync::mpsc::error::TryRecvError;

use crate::job::Fed;

/// Jobs that are taken at a time at the most.
const AT_A_TIME: usize = 64;

/// The feeder's jobs.
pub(super) struct Intake {
    channel: Receiver<Fed>,
    taken: VecDeque<Fed>,
}

impl Intake {
    pub(super) fn new(channel: Receiver<Fed>) -> Intake {
        Intake { channel, taken: VecDeque::with_capacity(AT_A_TIME) }
    }

    /// The next job, where there is one.
    ///
    /// # Errors
    ///
    /// There is none now, or there will be none any more.
    pub(super) fn next(&mut self) -> Result<Fed, TryRecvError> {
        if let Some(fed) = self.taken.pop_front() {
            return Ok(fed);
        }
        let first = self.channel.try_recv()?;
        let more = std::iter::from_fn(|| self.channel.try_recv().ok());
        self.taken.extend(more.take(AT_A_TIME - 1));
        Ok(first)
    }

    /// Waits for the next job; `None` where there will be none any more.
    pub(super) async fn wait(&mut self) -> Option<Fed> {
        match self.taken.pop_front() {
            Some(fed) => Some(fed),
            None => self.channel.recv().await,
        }
    }

    /// Leaves what was not begun, and takes no more.
    pub(super) fn close(&mut self) {
        self.taken.clear();
        self.channel.close();
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use pathspider_plugin_api::{Job, Record};
    use tokio::sync::mpsc::channel;

    use super::*;

    fn number(taken: Result<Fed, TryRecvError>) -> Option<u64> {
        taken.ok().map(|fed| fed.job.number())
    }

    #[test]
    fn jobs_come_in_their_order_and_none_after_the_end() {
        let (jobs, channel) = channel(4);
        let mut intake = Intake::new(channel);
        let give = |number: u64| {
            let job = Job::new(number, Ipv4Addr::LOCALHOST.into(), 80, Record::new());
            jobs.try_send(job.into()).is_ok()
        };
        assert!((0..4).all(give) && !give(4));
        assert_eq!(number(intake.next()), Some(0));
        assert!((4..8).all(give), "all were taken out at once");
        let taken: Vec<_> = std::iter::from_fn(|| number(intake.next())).take(4).collect();
        assert_eq!(taken, [1, 2, 3, 4]);
        intake.close();
        assert!(intake.next().is_err() && !give(8));
    }
}
