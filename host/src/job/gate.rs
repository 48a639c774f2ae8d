//! Lets targets through to the engine, or counts why not: courtesy, duplicates, limits, order. Where
//! targets are measured in rounds, it keeps them for those that follow (`again`).

mod again;

use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossbeam::channel::Sender;
use pathspider_observer::Round;
use pathspider_plugin_api::Job;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use tokio::sync::mpsc;

use super::courtesy::{Courtesy, Refusal};
use super::done::{Done, Identity};
use super::fed::Fed;
use super::kept::KeptTarget;
use super::place::Place;
use super::rules::Feeding;
use super::seen::Seen;
use super::shard::Shard;
use super::shuffle::Shuffle;
use super::tally::Tally;
use super::target::{Keys, Target};
use crate::rounds::{Place as Seat, Standing, Turn, Wanted};
use again::Again;
pub(super) use again::Rest;

/// The target of a job that has a name only.
const UNSPECIFIED: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// What the gate's targets are for.
pub(super) struct Onward {
    /// To the engine.
    pub(super) jobs: mpsc::Sender<Fed>,
    /// Taken for each job, freed when its record is written.
    pub(super) places: Sender<()>,
}

/// The gate.
pub(super) struct Gate {
    courtesy: Arc<Courtesy>,
    seen: Option<Seen>,
    most: Option<u64>,
    left: Option<u64>,
    shuffle: Option<Shuffle>,
    /// `None` once no more are wanted, so that the engine sees the input's end.
    onward: Option<Onward>,
    /// What a run before has measured.
    done: Option<Done>,
    /// The port of targets that name none.
    port: u16,
    /// Whether a target's name is part of its identity.
    names: bool,
    /// Which part of the targets is measured here.
    shard: Option<Shard>,
    /// What is kept for the next rounds, where there are some.
    again: Option<Again>,
    /// Why a target could not be kept.
    failure: Option<io::Error>,
    tally: Arc<Tally>,
}

impl Gate {
    pub(super) fn new(feeding: Feeding, onward: Onward, tally: Arc<Tally>) -> Gate {
        let Feeding { rules, names, port, done, standings, .. } = feeding;
        let before = done.as_ref().map_or(0, Done::count);
        let left = rules.max_targets.map(|most| most.saturating_sub(before));
        Gate {
            courtesy: rules.courtesy,
            seen: (!rules.duplicates).then(Seen::default),
            most: left,
            left,
            shuffle: rules.shuffle.map(Shuffle::new),
            onward: Some(onward),
            done,
            port,
            names,
            shard: rules.shard,
            again: standings.map(|standings| Again::new(standings, before)),
            failure: None,
            tally,
        }
    }

    /// Takes a target that is to be measured; one with a name is for a measurement that takes
    /// names. `false` when no more can be taken.
    pub(super) fn admit(&mut self, line: u64, target: Target) -> bool {
        let port = target.port.unwrap_or(self.port);
        let address = match target.place {
            Place::Address(address) => Some(address),
            Place::Name(_) => None,
        };
        if let Some(refusal) = address.and_then(|address| self.courtesy.refuses(address)) {
            let count = match refusal {
                Refusal::Blocklist => &self.tally.blocklisted,
                Refusal::Special => &self.tally.special,
            };
            count.fetch_add(1, Ordering::Relaxed);
            return true;
        }
        let name = target.record.str("domain").filter(|name| self.names && !name.is_empty());
        let mut standing = Standing::default();
        let is_done = self.done.as_ref().is_some_and(|done| {
            let domain = target.record.str("domain").map(str::to_owned);
            // As its record says.
            let port = address.map(|_| port).or(target.port);
            let identity = Identity { line, address, port, domain };
            let is_done = done.has(&identity, name);
            standing = done.standing(&identity);
            // By its line too, which of several that are one target was measured: which of them
            // came first may depend on when names were answered.
            if let Some(shuffle) = self.shuffle.as_mut().filter(|_| is_done)
                && done.has_line(line, port, identity.domain.as_deref())
            {
                shuffle.keep_place(line);
            }
            is_done
        });
        let is_new = self.seen.as_mut().is_none_or(|seen| match (name, address) {
            (Some(name), _) => seen.is_new_name(name),
            (None, Some(address)) => seen.is_new(address, port),
            (None, None) => true,
        });
        if !is_new {
            self.tally.duplicates.fetch_add(1, Ordering::Relaxed);
            return true;
        }
        let keys = Keys { record: target.record, came: target.came };
        if is_done {
            self.tally.done.fetch_add(1, Ordering::Relaxed);
            return self.again.is_none()
                || self.keep_done(&KeptTarget::new(line, address, port, keys), standing);
        }
        if self.left == Some(0) {
            // The run before had measured as many as there were to be.
            return self.may_close();
        }
        if self.most.is_none_or(|most| self.tally.admitted.load(Ordering::Relaxed) < most) {
            self.tally.admitted.fetch_add(1, Ordering::Relaxed);
        }
        match &mut self.shuffle {
            Some(shuffle) => {
                shuffle.keep_back(line, address, port, keys);
                true
            }
            None => self.send(line, address, port, keys),
        }
    }

    /// Whether another host measures a target, which is counted then. It is asked before names are looked
    /// up, for hosts may get other answers.
    pub(super) fn is_elsewhere(&mut self, target: &Target) -> bool {
        let is_elsewhere = self.shard.is_some_and(|shard| !shard.has(target, self.names));
        if is_elsewhere {
            self.tally.elsewhere.fetch_add(1, Ordering::Relaxed);
        }
        is_elsewhere
    }

    /// A line was read.
    pub(super) fn read(&mut self, line: u64) {
        self.tally.lines.store(line, Ordering::Relaxed);
    }

    /// It is no target, or its name has no address.
    pub(super) fn bad_line(&mut self) {
        self.tally.bad_lines.fetch_add(1, Ordering::Relaxed);
    }

    /// Its name is looked up.
    pub(super) fn asked(&mut self) {
        self.tally.looked_up.fetch_add(1, Ordering::Relaxed);
    }

    /// The name has an answer, with which it goes on.
    pub(super) fn answered(&mut self) {
        self.tally.looked_up.fetch_sub(1, Ordering::Relaxed);
    }

    /// The input was read to its end, and each line was dealt with.
    pub(super) fn all_was_read(&mut self) {
        self.tally.whole.store(true, Ordering::Relaxed);
    }

    /// The input has come to its end: gives what was kept back.
    pub(super) fn finish(&mut self) {
        self.tally.ended();
        let kept_back = self.shuffle.as_mut().map(Shuffle::take);
        for (line, address, port, keys) in kept_back.into_iter().flatten() {
            if !self.send(line, address, port, keys) {
                break;
            }
        }
        // Targets that were measured before, and that did not come, keep no limit open.
        if self.again.is_some() && self.left == Some(0) && self.most != Some(0) {
            self.close();
        }
    }

    /// Whether the target of a line, a name that is to be looked up, was measured before; then it is
    /// counted, and has its place in the order.
    pub(super) fn is_done(&mut self, line: u64, port: Option<u16>, domain: &str) -> bool {
        // The next rounds want its address.
        if self.again.is_some() {
            return false;
        }
        let port = Some(port.unwrap_or(self.port));
        let done = self.done.as_ref().is_some_and(|done| done.has_line(line, port, Some(domain)));
        if done {
            self.tally.done.fetch_add(1, Ordering::Relaxed);
            self.shuffle.iter_mut().for_each(|shuffle| shuffle.keep_place(line));
        }
        done
    }

    fn send(&mut self, line: u64, address: Option<IpAddr>, port: u16, keys: Keys) -> bool {
        if self.onward.is_none() || self.left == Some(0) {
            return false;
        }
        let target = KeptTarget::new(line, address, port, keys);
        let turn = match self.again {
            None => None,
            Some(_) => match self.keep(&target, Standing::default()) {
                Some(place) => Some(Turn { round: Round::FIRST, place, forgets: false }),
                None => return false,
            },
        };
        self.left = self.left.map(|left| left - 1);
        let sent = self.hand_on(target, turn);
        sent & (self.left != Some(0) || self.may_close())
    }

    /// Gives a target to the engine; `false` when no more can be taken.
    fn hand_on(&mut self, target: KeptTarget, turn: Option<Turn>) -> bool {
        let Some(onward) = &self.onward else { return false };
        // The first line's is 0.
        let number = target.line.saturating_sub(1);
        let (address, port, keys) = (target.address, target.port, target.into_keys());
        let job = Job::new(number, address.unwrap_or(UNSPECIFIED), port, keys.record);
        let fed = Fed { job, came: keys.came.map(Arc::from), turn };
        if let Some(again) = self.again.as_ref().filter(|_| turn.is_some()) {
            again.begin();
        }
        let sent = onward.places.send(()).is_ok() && onward.jobs.blocking_send(fed).is_ok();
        if sent {
            self.tally.handed.fetch_add(1, Ordering::Relaxed);
        }
        sent
    }

    /// Keeps a target that was measured before; `false` when no more can be taken.
    fn keep_done(&mut self, target: &KeptTarget, standing: Standing) -> bool {
        if self.keep(target, standing).is_none() {
            return false;
        }
        self.again.iter_mut().for_each(Again::found);
        self.left != Some(0) || self.may_close()
    }

    /// The limit is reached: no more targets are read, unless some are to come that were measured
    /// before and have more rounds. Whether it goes on.
    fn may_close(&mut self) -> bool {
        let goes_on = self.again.as_ref().is_some_and(Again::lacks);
        if !goes_on {
            self.close();
        }
        goes_on
    }

    fn close(&mut self) {
        self.tally.limited.store(true, Ordering::Relaxed);
        self.tally.ended();
        if self.again.is_none() {
            self.onward = None;
        }
    }

    /// Keeps a target for the next rounds; `None` where that fails.
    fn keep(&mut self, target: &KeptTarget, standing: Standing) -> Option<Seat> {
        let again = self.again.as_mut().filter(|_| self.failure.is_none())?;
        match again.keep(target, standing) {
            Ok(place) => Some(place),
            Err(error) => {
                self.failure = Some(error);
                None
            }
        }
    }

    /// Why a target could not be kept, if so.
    pub(super) fn take_failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }

    /// What is to be done after the first round; `None` where that is nothing.
    ///
    /// # Errors
    ///
    /// As for [`Again::keep`].
    pub(super) fn rest(&mut self) -> io::Result<Option<Rest>> {
        let Some(again) = &mut self.again else { return Ok(None) };
        let standings = Arc::clone(&again.standings);
        let kept = again.kept.take().map(|mut kept| kept.write().map(|()| kept)).transpose()?;
        self.tally.admitted.fetch_add(standings.to_come(), Ordering::Relaxed);
        self.tally.all_rounds_are_counted();
        Ok(kept.map(|kept| Rest { standings, kept }))
    }

    /// A round begins: whose turn it is, in another order than before. `None` where no more are
    /// needed.
    pub(super) fn begin_round(&mut self, rest: &Rest, round: Round) -> Option<Vec<Seat>> {
        let Wanted { mut places, done } = rest.standings.wanted(round);
        let is_repeat = rest.is_repeat(round);
        if places.is_empty() && done == 0 && !is_repeat {
            return None;
        }
        self.tally.done.fetch_add(done, Ordering::Relaxed);
        if !is_repeat {
            self.tally.admitted.fetch_add(places.len() as u64, Ordering::Relaxed);
        }
        let seed = rest.standings.schedule().seed.wrapping_add(round.number().into());
        places.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        Some(places)
    }

    /// Whether nobody takes targets any more.
    pub(super) fn is_closed(&self) -> bool {
        self.onward.as_ref().is_none_or(|onward| onward.jobs.is_closed())
    }

    /// Hands a target on once more; `false` when no more can be taken.
    pub(super) fn send_again(&mut self, target: KeptTarget, turn: Turn) -> bool {
        self.hand_on(target, Some(turn))
    }
}

#[cfg(test)]
mod tests;
