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

use pathspider_plugin_api::{ConfigId, Hold};

use super::lending::Token;

/// Connections of a batch at the most, where a configuration holds for the initiation only.
const BATCH: usize = 512;

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step<T> {
    /// Bring the system into this configuration.
    Configure(ConfigId),
    /// Start this connection, in the present configuration, which it holds.
    Start(T, Lease),
    /// Nothing can be done before something else happens.
    Wait,
}

/// A connection's hold on the present configuration: no other one has its turn before it is given
/// back.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "no other configuration has its turn before it is given back"]
pub(super) struct Lease(Token);

pub(super) struct Scheduler<T> {
    waiting: Vec<VecDeque<T>>,
    holds: Vec<Hold>,
    current: Option<ConfigId>,
    /// How many more connections the present configuration may start.
    batch: usize,
    /// How many leases are out.
    leases: usize,
}

impl<T> Scheduler<T> {
    pub(super) fn new(holds: Vec<Hold>) -> Scheduler<T> {
        Scheduler {
            waiting: holds.iter().map(|_| VecDeque::new()).collect(),
            holds,
            current: None,
            batch: 0,
            leases: 0,
        }
    }

    /// A connection waits for a configuration.
    pub(super) fn push(&mut self, config: ConfigId, connection: T) {
        self.waiting[config.index()].push_back(connection);
    }

    /// Takes out what waits for a configuration.
    pub(super) fn drop_waiting(&mut self, config: ConfigId) -> Vec<T> {
        self.waiting[config.index()].drain(..).collect()
    }

    /// For how long a connection needs a configuration.
    pub(super) fn hold(&self, config: ConfigId) -> Hold {
        self.holds[config.index()]
    }

    /// What to do next. The lease of a `Start` is given back when the connection has come to the
    /// point of its life until which it needs the configuration, or never will.
    pub(super) fn step(&mut self) -> Step<T> {
        if let Some(current) = self.current {
            if self.batch == 0 && self.others_wait(current) {
                return self.turn(current);
            }
            if let Some(connection) = self.waiting[current.index()].pop_front() {
                self.batch = self.batch.saturating_sub(1);
                self.leases += 1;
                return Step::Start(connection, Lease(Token::lend()));
            }
            self.batch = 0;
            if !self.others_wait(current) {
                return Step::Wait;
            }
            return self.turn(current);
        }
        self.turn(ConfigId::new(self.waiting.len() - 1))
    }

    fn others_wait(&self, current: ConfigId) -> bool {
        self.waiting
            .iter()
            .enumerate()
            .any(|(config, queue)| config != current.index() && !queue.is_empty())
    }

    /// Enters the next configuration after `from` that has something waiting.
    fn turn(&mut self, from: ConfigId) -> Step<T> {
        let (count, from) = (self.waiting.len(), from.index());
        let next = (1..=count).map(|i| (from + i) % count).find(|&c| !self.waiting[c].is_empty());
        match next {
            Some(next) if self.leases == 0 => {
                let config = ConfigId::new(next);
                self.current = Some(config);
                let waiting = self.waiting[next].len();
                let is_short = self.holds[next] == Hold::Initiation;
                self.batch = if is_short { waiting.min(BATCH) } else { waiting };
                Step::Configure(config)
            }
            _ => Step::Wait,
        }
    }

    /// A connection needs the configuration no more.
    pub(super) fn give_back(&mut self, lease: Lease) {
        lease.0.settle();
        self.leases -= 1;
    }

    /// How many connections hold the present configuration.
    #[cfg(test)]
    pub(super) fn leases(&self) -> usize {
        self.leases
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ConfigId = ConfigId::BASELINE;

    fn config(place: usize) -> ConfigId {
        ConfigId::new(place)
    }

    /// A scheduler, and the leases that are out.
    struct Bench {
        scheduler: Scheduler<char>,
        leases: Vec<(usize, Lease)>,
        current: usize,
    }

    impl Bench {
        fn new(holds: &[Hold]) -> Bench {
            Bench { scheduler: Scheduler::new(holds.to_vec()), leases: Vec::new(), current: 0 }
        }

        fn push(&mut self, place: usize, name: char) {
            self.scheduler.push(config(place), name);
        }

        /// Steps until the scheduler waits; a connection's first packet is out at once.
        fn drain(&mut self) -> String {
            let mut log = String::new();
            loop {
                match self.scheduler.step() {
                    Step::Configure(config) => {
                        self.current = config.index();
                        log += &format!("[{}]", self.current);
                    }
                    Step::Start(name, lease) => {
                        log.push(name);
                        match self.scheduler.hold(config(self.current)) {
                            Hold::Initiation => self.scheduler.give_back(lease),
                            _ => self.leases.push((self.current, lease)),
                        }
                    }
                    Step::Wait => return log,
                }
            }
        }

        /// The first connection of a configuration needs it no more.
        fn give_back(&mut self, place: usize) {
            let at = self.leases.iter().position(|(of, _)| *of == place).unwrap();
            self.scheduler.give_back(self.leases.remove(at).1);
        }
    }

    impl Drop for Bench {
        fn drop(&mut self) {
            for (_, lease) in self.leases.drain(..) {
                self.scheduler.give_back(lease);
            }
        }
    }

    #[test]
    fn initiation_never_waits_for_an_end() {
        let mut s = Bench::new(&[Hold::Initiation; 2]);
        s.push(0, 'a');
        s.push(0, 'b');
        assert_eq!(s.drain(), "[0]ab");
        s.push(1, 'A');
        s.push(0, 'c');
        assert_eq!(s.drain(), "[1]A[0]c");
        assert_eq!(s.drain(), "");
        assert_eq!(s.scheduler.leases(), 0);
    }

    #[test]
    fn completion_waits_for_each_end_of_the_batch() {
        let mut s = Bench::new(&[Hold::Completion; 2]);
        s.push(0, 'a');
        s.push(0, 'b');
        assert_eq!(s.drain(), "[0]ab");
        s.give_back(0);
        s.push(1, 'A');
        s.push(0, 'c');
        assert_eq!(s.drain(), "", "b still holds, and c would starve A");
        s.give_back(0);
        assert_eq!(s.drain(), "[1]A");
        s.give_back(1);
        assert_eq!(s.drain(), "[0]c");
    }

    #[test]
    fn a_handshake_holds_until_it_is_over() {
        let mut s = Bench::new(&[Hold::Handshake; 2]);
        s.push(0, 'a');
        s.push(1, 'B');
        assert_eq!(s.drain(), "[0]a", "a may send its SYN again");
        s.give_back(0);
        assert_eq!(s.drain(), "[1]B");
        s.push(0, 'c');
        assert_eq!(s.drain(), "", "B holds");
    }

    #[test]
    fn a_batch_ends_when_others_wait() {
        let mut s = Bench::new(&[Hold::Initiation; 3]);
        s.push(1, 'x');
        s.push(2, 'y');
        s.push(0, 'a');
        assert_eq!(s.drain(), "[0]a[1]x[2]y");
        s.push(2, 'z');
        assert_eq!(s.drain(), "z", "still in configuration 2");
    }

    #[test]
    fn batches_are_small_where_changing_is_cheap() {
        for (hold, expected) in [(Hold::Initiation, 512), (Hold::Completion, 600)] {
            let mut s = Bench::new(&[hold; 2]);
            s.push(0, 'a');
            (0..600).for_each(|_| s.push(0, 'a'));
            s.push(1, 'B');
            let log = s.drain();
            let first = log.strip_prefix("[0]").unwrap().split('[').next().unwrap();
            let started = if hold == Hold::Completion { first.len() - 1 } else { first.len() };
            assert_eq!(started, expected, "{hold:?}");
        }
    }

    #[test]
    fn what_was_dropped_is_not_waited_for() {
        let mut s = Bench::new(&[Hold::Completion; 2]);
        s.push(0, 'a');
        s.push(1, 'A');
        assert_eq!(s.scheduler.step(), Step::Configure(A));
        s.push(0, 'b');
        assert_eq!(s.scheduler.drop_waiting(A).len(), 2);
        assert_eq!(s.drain(), "[1]A");
    }

    #[test]
    fn no_connection_is_lost() {
        let mut s = Bench::new(&[Hold::Initiation, Hold::Completion, Hold::Initiation]);
        let mut log = String::new();
        for i in 0..30 {
            s.push(i % 3, char::from(b'a' + (i % 26) as u8));
            log += &s.drain();
            if i % 3 == 2 {
                s.give_back(1);
            }
        }
        log += &s.drain();
        assert_eq!(log.chars().filter(char::is_ascii_lowercase).count(), 30);
    }
}
