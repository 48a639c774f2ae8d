//! Answers the claims of an earlier run again, from the packets that it saved.
//!
//! The state is that of a measurement ([`watch`](super::watch())), and so are its rules; only the
//! clock is the packets' alone. A connection is expected from its begin on, claimed at its end, and
//! answered after the last packet that counted then ([`Claim::last_ns`]). So a flow gets the same
//! packets again, however late the observer was in the run. Its target is expected for longer than
//! that: whatever was saved was expected then.

use std::cmp::Reverse;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, unbounded};
use pathspider_plugin_api::abi::ChainSet;

use super::claims::TOLERANCE_NS;
use super::counters::Counters;
use super::measuring::Measuring;
use super::notice::{Claim, Endpoint, Notice, Observation};
use super::source::{Frame, Progress, Source, SourceError};
use super::tracker::Tracker;
use super::{Settings, nanoseconds};

/// The claims of an earlier run, a capture of its packets, and how far it was read.
pub struct Replay {
    /// `None` at its end.
    source: Option<Source>,
    player: Player,
    answers: Receiver<Observation>,
    failure: Option<SourceError>,
}

/// Takes frames, and before each of them the notices whose time has come.
struct Player {
    measuring: Measuring,
    notices: Sender<Notice>,
    /// Connections that are to begin, the last one first.
    begins: Vec<(i64, Endpoint)>,
    /// Connections that are to end, the last one first.
    ends: Vec<Claim>,
    /// When claims are to be answered, the last one first.
    answers: Vec<i64>,
    /// When targets are not expected any more, the last one first.
    withdrawals: Vec<(i64, Endpoint)>,
}

impl Replay {
    /// Begins to answer these claims. The source has to be a recorded one.
    pub fn new(source: Source, chains: ChainSet, claims: Vec<Claim>) -> Replay {
        let settings = Settings::default();
        let (notices, noticed) = unbounded();
        let (answer, answers) = unbounded();
        let span = settings.idle.max(settings.linger);
        let tracker = Tracker::new(chains, nanoseconds(span));
        let measuring = Measuring::new(tracker, &settings, noticed, answer, None);
        let begin = |claim: &Claim| (claim.started_ns.saturating_sub(TOLERANCE_NS), target(claim));
        let mut begins: Vec<(i64, Endpoint)> = claims.iter().map(begin).collect();
        begins.sort_by_key(|begin| Reverse(begin.0));
        let linger_ns = nanoseconds(settings.linger);
        let over = |claim: &Claim| (claim.ended_ns.saturating_add(linger_ns), target(claim));
        let mut withdrawals: Vec<(i64, Endpoint)> = claims.iter().map(over).collect();
        withdrawals.sort_by_key(|over| Reverse(over.0));
        let mut ends = claims;
        ends.sort_by_key(|claim| Reverse(claim.ended_ns));
        let answer = |claim: &Claim| claim.last_ns.map(|last_ns| last_ns.max(claim.ended_ns));
        let mut times: Vec<i64> = ends.iter().filter_map(answer).collect();
        times.sort_by_key(|&time| Reverse(time));
        let player = Player { measuring, notices, begins, ends, answers: times, withdrawals };
        Replay { source: Some(source), player, answers, failure: None }
    }

    /// Why the source was not read to its end.
    pub fn failure(&self) -> Option<&SourceError> {
        self.failure.as_ref()
    }

    /// What was counted so far.
    pub fn counters(&mut self) -> Counters {
        *self.player.measuring.counters()
    }
}

impl Iterator for Replay {
    type Item = Observation;

    /// The next answer, as the capture comes to it; `None` when every claim is answered. Where the
    /// source fails, the others are answered with what was seen until then.
    fn next(&mut self) -> Option<Observation> {
        loop {
            if let Ok(answer) = self.answers.try_recv() {
                return Some(answer);
            }
            let source = self.source.as_mut()?;
            let player = &mut self.player;
            match source.read(&mut |frames| frames.iter().for_each(|frame| player.frame(frame))) {
                Ok(Progress::More | Progress::Idle) => continue,
                Ok(Progress::End) => {}
                Err(error) => self.failure = Some(error),
            }
            self.source = None;
            self.player.end();
        }
    }
}

impl Player {
    fn frame(&mut self, frame: &Frame<'_>) {
        // What was answered before this packet is so again, each at its time.
        let before_ns = frame.time_ns.saturating_sub(1);
        while let Some(time_ns) = self.answers.pop_if(|time_ns| *time_ns < before_ns) {
            self.turn(time_ns);
        }
        self.turn(before_ns);
        self.notify_until(frame.time_ns);
        self.measuring.frame(frame);
    }

    fn turn(&mut self, time_ns: i64) {
        self.notify_until(time_ns);
        self.measuring.turn(time_ns, Duration::ZERO, true);
    }

    fn end(&mut self) {
        self.notify_until(i64::MAX);
        self.measuring.settle_all();
    }

    /// Sends what came to be known up to then. The receiver is in the same value, and takes it when
    /// it next looks.
    fn notify_until(&mut self, time_ns: i64) {
        while let Some((_, end)) = self.begins.pop_if(|begin| begin.0 <= time_ns) {
            // Once for the claim, which takes one back, and once for what follows it.
            let _ = self.notices.send(Notice::Expect(end));
            let _ = self.notices.send(Notice::Expect(end));
        }
        while let Some(claim) = self.ends.pop_if(|claim| claim.ended_ns <= time_ns) {
            let _ = self.notices.send(Notice::Claim(claim));
        }
        while let Some((_, end)) = self.withdrawals.pop_if(|over| over.0 <= time_ns) {
            let _ = self.notices.send(Notice::Withdraw(end));
        }
    }
}

/// The target's end of a claimed flow.
fn target(claim: &Claim) -> Endpoint {
    let Claim { protocol, remote, .. } = *claim;
    Endpoint { protocol, address: remote.ip(), port: remote.port() }
}
