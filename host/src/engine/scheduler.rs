//! Decides what the engine does next: bring the system into a configuration, start a connection,
//! or wait.
//!
//! It goes round the configurations that have something waiting. What waits when a configuration
//! is entered is its batch; when that is started, the next configuration with something waiting
//! has its turn, as soon as no connection needs the present one any more. A configuration that
//! must hold for `Initiation` needs only that the batch's first packets are out, so dead targets
//! delay nobody, and batches can be small: a job's first connection need not wait for those of all
//! others before its second, and what is known of it is soon written. With `Handshake` and
//! `Completion` the next turn waits until each connection of the batch has come so far, so each
//! batch has all that waits.

use std::collections::VecDeque;

use pathspider_plugin_api::Hold;

/// Connections of a batch at the most, where a configuration holds for the initiation only.
const BATCH: usize = 512;

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step<T> {
    /// Bring the system into this configuration.
    Configure(usize),
    /// Start this connection, in the present configuration.
    Start(T),
    /// Nothing can be done before something else happens.
    Wait,
}

pub(super) struct Scheduler<T> {
    waiting: Vec<VecDeque<T>>,
    holds: Vec<Hold>,
    current: Option<usize>,
    /// How many more connections the present configuration may start.
    batch: usize,
    /// How many connections still need the present configuration.
    holding: usize,
}

impl<T> Scheduler<T> {
    pub(super) fn new(holds: Vec<Hold>) -> Scheduler<T> {
        Scheduler {
            waiting: holds.iter().map(|_| VecDeque::new()).collect(),
            holds,
            current: None,
            batch: 0,
            holding: 0,
        }
    }

    /// A connection waits for a configuration.
    pub(super) fn push(&mut self, config: usize, connection: T) {
        self.waiting[config].push_back(connection);
    }

    /// Takes out what waits for a configuration.
    pub(super) fn drop_waiting(&mut self, config: usize) -> Vec<T> {
        self.waiting[config].drain(..).collect()
    }

    /// What to do next. After `Start`, call [`reached`](Scheduler::reached) for each point of the
    /// connection's life: its first packet is out, its handshake is over, it has ended. Where it
    /// does not come to one of them, call it at the latest when it ends, once for each.
    pub(super) fn step(&mut self) -> Step<T> {
        if let Some(current) = self.current {
            if self.batch == 0 && self.others_wait(current) {
                return self.turn(current);
            }
            if let Some(connection) = self.waiting[current].pop_front() {
                self.batch = self.batch.saturating_sub(1);
                self.holding += 1;
                return Step::Start(connection);
            }
            self.batch = 0;
            if !self.others_wait(current) {
                return Step::Wait;
            }
            return self.turn(current);
        }
        self.turn(self.waiting.len() - 1)
    }

    fn others_wait(&self, current: usize) -> bool {
        self.waiting
            .iter()
            .enumerate()
            .any(|(config, queue)| config != current && !queue.is_empty())
    }

    /// Enters the next configuration after `from` that has something waiting.
    fn turn(&mut self, from: usize) -> Step<T> {
        let count = self.waiting.len();
        let next = (1..=count).map(|i| (from + i) % count).find(|&c| !self.waiting[c].is_empty());
        match next {
            Some(next) if self.holding == 0 => {
                self.current = Some(next);
                let waiting = self.waiting[next].len();
                let is_short = self.holds[next] == Hold::Initiation;
                self.batch = if is_short { waiting.min(BATCH) } else { waiting };
                Step::Configure(next)
            }
            _ => Step::Wait,
        }
    }

    /// A connection has come to a point of its life, or never will.
    pub(super) fn reached(&mut self, config: usize, point: Hold) {
        if self.holds[config] == point {
            self.holding -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps until the scheduler waits; each connection is its configuration and a name.
    fn drain(scheduler: &mut Scheduler<(usize, char)>) -> String {
        let mut log = String::new();
        loop {
            match scheduler.step() {
                Step::Configure(config) => log += &format!("[{config}]"),
                Step::Start((config, name)) => {
                    log.push(name);
                    scheduler.reached(config, Hold::Initiation);
                }
                Step::Wait => return log,
            }
        }
    }

    #[test]
    fn initiation_never_waits_for_an_end() {
        let mut s = Scheduler::new(vec![Hold::Initiation; 2]);
        s.push(0, (0, 'a'));
        s.push(0, (0, 'b'));
        assert_eq!(drain(&mut s), "[0]ab");
        s.push(1, (1, 'A'));
        s.push(0, (0, 'c'));
        assert_eq!(drain(&mut s), "[1]A[0]c");
        for config in [0, 0, 0, 1] {
            s.reached(config, Hold::Completion);
        }
        assert_eq!(drain(&mut s), "");
    }

    #[test]
    fn completion_waits_for_each_end_of_the_batch() {
        let mut s = Scheduler::new(vec![Hold::Completion; 2]);
        s.push(0, (0, 'a'));
        s.push(0, (0, 'b'));
        assert_eq!(drain(&mut s), "[0]ab");
        s.reached(0, Hold::Completion);
        s.push(1, (1, 'A'));
        s.push(0, (0, 'c'));
        assert_eq!(drain(&mut s), "", "b still holds, and c would starve A");
        s.reached(0, Hold::Completion);
        assert_eq!(drain(&mut s), "[1]A");
        s.reached(1, Hold::Completion);
        assert_eq!(drain(&mut s), "[0]c");
    }

    #[test]
    fn a_handshake_holds_and_an_exchange_does_not() {
        let mut s = Scheduler::new(vec![Hold::Handshake; 2]);
        s.push(0, (0, 'a'));
        s.push(1, (1, 'B'));
        assert_eq!(drain(&mut s), "[0]a", "a may send its SYN again");
        s.reached(0, Hold::Handshake);
        assert_eq!(drain(&mut s), "[1]B");
        s.reached(0, Hold::Completion);
        s.push(0, (0, 'c'));
        assert_eq!(drain(&mut s), "", "B holds");
    }

    #[test]
    fn a_batch_ends_when_others_wait() {
        let mut s = Scheduler::new(vec![Hold::Initiation; 3]);
        s.push(1, (1, 'x'));
        s.push(2, (2, 'y'));
        s.push(0, (0, 'a'));
        assert_eq!(drain(&mut s), "[0]a[1]x[2]y");
        s.push(2, (2, 'z'));
        assert_eq!(drain(&mut s), "z", "still in configuration 2");
    }

    #[test]
    fn batches_are_small_where_changing_is_cheap() {
        for (hold, expected) in [(Hold::Initiation, 512), (Hold::Completion, 600)] {
            let mut s = Scheduler::new(vec![hold; 2]);
            s.push(0, (0, 'a'));
            (0..600).for_each(|_| s.push(0, (0, 'a')));
            s.push(1, (1, 'B'));
            let log = drain(&mut s);
            let first = log.strip_prefix("[0]").unwrap().split('[').next().unwrap();
            let started = if hold == Hold::Completion { first.len() - 1 } else { first.len() };
            assert_eq!(started, expected, "{hold:?}");
        }
    }

    #[test]
    fn what_was_dropped_is_not_waited_for() {
        let mut s = Scheduler::new(vec![Hold::Completion; 2]);
        s.push(0, (0, 'a'));
        s.push(1, (1, 'A'));
        assert_eq!(s.step(), Step::Configure(0));
        s.push(0, (0, 'b'));
        assert_eq!(s.drop_waiting(0).len(), 2);
        assert_eq!(drain(&mut s), "[1]A");
    }

    #[test]
    fn no_connection_is_lost() {
        let mut s = Scheduler::new(vec![Hold::Initiation, Hold::Completion, Hold::Initiation]);
        let mut log = String::new();
        for i in 0..30 {
            s.push(i % 3, (i % 3, char::from(b'a' + (i % 26) as u8)));
            log += &drain(&mut s);
            if i % 3 == 2 {
                s.reached(1, Hold::Completion);
            }
        }
        log += &drain(&mut s);
        assert_eq!(log.chars().filter(char::is_ascii_lowercase).count(), 30);
    }
}
