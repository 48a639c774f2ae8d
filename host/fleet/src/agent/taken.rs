//! A campaign that the agent works for: what is wanted of it, who else measures it, and what is done.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime};

use super::clock::Clock;
use super::sharing::{Circle, MOST_ERROR, Rhythm, Share};
use crate::campaign::Campaign;
use crate::duty::Duty;
use crate::server::{Server, Trouble};
use crate::wire::{self, AGENTS, Control, Definition, Members, RESULTS, Report, VERSION, Work};

/// An agent that has not heard of the server for this long gives up its share of a rate.
const DEAF: Duration = Duration::from_secs(8);

/// A place whose agent was silent for this long has given its share up, and has nothing in flight.
const GONE: Duration = Duration::from_secs(40);

/// How often an agent says what it does, where nothing has changed.
const REPORT: Duration = Duration::from_secs(15);

/// The same, where it has sent all that it had.
const SENT: Duration = Duration::from_secs(1);

/// A campaign that the agent works for.
pub(super) struct Taken {
    pub(super) id: String,
    pub(super) definition: Definition,
    pub(super) campaign: Campaign,
    pub(super) control: Control,
    pub(super) duty: Duty,
    /// The measurements that this machine takes.
    pub(super) inspected: BTreeSet<usize>,
    circle: Circle,
    /// How long turns are, where places take turns with addresses.
    pub(super) rhythm: Option<Rhythm>,
    /// Whether the other places know that this one is there: before, its share of the rate is theirs.
    is_known: bool,
    /// When the server was heard last.
    heard: Instant,
    last_result: Option<SystemTime>,
    said: Option<(Instant, Report)>,
    is_ready_said: bool,
}

impl Taken {
    /// Takes a campaign that was submitted at this time, with what is done of it.
    pub(super) async fn join(
        server: &Server,
        place: &str,
        (definition, campaign, submitted): (Definition, Campaign, SystemTime),
        control: Control,
    ) -> Result<Taken, Trouble> {
        let mut circle = Circle::new(&campaign.vantages);
        enter(server, &campaign.name, place, &mut circle).await?;
        let shards = definition.shards.len() as u32;
        let duty = Duty::new(
            campaign.schedule.clone(),
            submitted,
            (campaign.measures.len(), shards),
            circle.first_shard(place, shards),
        );
        let mut taken = Taken {
            id: definition.id(),
            rhythm: Rhythm::of(&campaign.courtesy),
            definition,
            campaign,
            control,
            duty,
            inspected: BTreeSet::new(),
            circle,
            is_known: false,
            heard: Instant::now(),
            last_result: None,
            said: None,
            is_ready_said: false,
        };
        taken.find_results(server, place).await?;
        taken.update(server, place).await?;
        Ok(taken)
    }

    /// The server may have lost what it had: results are looked for, and this place joins once more.
    pub(super) async fn join_again(&mut self, server: &Server, place: &str) -> Result<(), Trouble> {
        self.find_results(server, place).await?;
        self.circle.forget();
        (self.is_known, self.is_ready_said) = (false, false);
        enter(server, &self.campaign.name, place, &mut self.circle).await
    }

    /// Finds which results of the place the server has.
    pub(super) async fn find_results(
        &mut self,
        server: &Server,
        place: &str,
    ) -> Result<(), Trouble> {
        let results = wire::results(&self.campaign.name, place);
        let there = server.subjects(RESULTS, results).await?;
        self.duty.found(there.iter().filter_map(|subject| wire::work_of(subject)));
        Ok(())
    }

    /// Whether something is shared out among the places that are there.
    fn shares(&self) -> bool {
        self.campaign.courtesy.rate.is_some() || self.rhythm.is_some()
    }

    /// What this place has of the pace.
    pub(super) fn share(&self, place: &str) -> Share {
        self.circle.share(place, self.rhythm.is_some())
    }

    /// Whether a run with this share may go on.
    pub(super) fn holds(&self, share: &Share, place: &str) -> bool {
        !self.shares() || *share == self.share(place)
    }

    /// Whether this place's share is its own: the others know of it, and it would hear of another one.
    pub(super) fn may_measure(&self) -> bool {
        // With a list of places, their number only falls.
        let is_fixed = !self.shares() || self.circle.is_fixed();
        is_fixed || (self.is_known && self.heard.elapsed() < DEAF)
    }

    /// Why turns cannot be taken, if so: the server's clock is not known well enough.
    pub(super) fn is_untimely(&self, place: &str, clock: &Clock, now: Instant) -> Option<String> {
        self.share(place).seat?;
        match clock.error(now) {
            None => {
                Some("the server's clock is not known yet, and places take turns by it".to_owned())
            }
            Some(error) if error > MOST_ERROR => Some(format!(
                "the server's clock is known to {} ms only, and places take turns by it: its answers take \
                 too long",
                error.as_millis()
            )),
            Some(_) => None,
        }
    }

    /// The server was heard: who else is there?
    pub(super) async fn update(&mut self, server: &Server, place: &str) -> Result<(), Trouble> {
        if self.shares() {
            look_round(server, &self.campaign.name, &mut self.circle).await?;
            if !self.is_known && !self.circle.is_fixed() {
                self.is_known = self.is_known_to_all(server, place).await?;
            }
        }
        self.heard = Instant::now();
        Ok(())
    }

    /// Whether each other place that measures shares the rate with this one, too.
    async fn is_known_to_all(&self, server: &Server, place: &str) -> Result<bool, Trouble> {
        let (name, share) = (&self.campaign.name, self.share(place));
        for other in self.circle.others(place) {
            let report = server.get(AGENTS, wire::report(name, other)).await?;
            let report = report.and_then(|kept| wire::parse::<Report>(&kept.payload).ok());
            let knows =
                |report: Report| report.places >= share.places && report.order == share.order;
            if report.is_some_and(knows) {
                continue;
            }
            // By the server's clock: ours was heard just now.
            let ours = server.get(AGENTS, wire::holder(place)).await?;
            let theirs = server.get(AGENTS, wire::holder(other)).await?;
            let silent = ours
                .zip(theirs)
                .map(|(ours, theirs)| ours.time.duration_since(theirs.time).unwrap_or_default());
            if silent.is_none_or(|silent| silent < GONE) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// All results of this place are there: its share is the others'.
    pub(super) async fn say_ready(&mut self, server: &Server, place: &str) {
        if !self.is_ready_said {
            let ready = wire::ready(&self.campaign.name, place);
            self.is_ready_said = server.replace(ready, Vec::new()).await.is_ok();
        }
    }

    /// A result is on the server.
    pub(super) fn sent(&mut self, work: Work, now: SystemTime) {
        self.duty.finish(work);
        self.last_result = Some(now);
    }

    /// Says how it goes, when that is another thing than before, and now and then. `busy`: what is
    /// measured, and with which share.
    pub(super) async fn report(
        &mut self,
        server: &Server,
        place: &str,
        busy: Option<(Work, &Share)>,
    ) {
        let Share { places, order, .. } =
            busy.map_or_else(|| self.share(place), |(_, share)| share.clone());
        let report = Report {
            version: VERSION,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            measuring: busy.map(|(work, _)| format!("{}, shard {}", work.step, work.shard + 1)),
            last_result: self
                .last_result
                .map(|time| humantime::format_rfc3339_seconds(time).to_string()),
            places,
            order,
            troubles: self.duty.troubles(),
        };
        let is_due = self.said.as_ref().is_none_or(|(when, said)| {
            let has_changed = said.troubles != report.troubles
                || (said.places, &said.order) != (report.places, &report.order)
                || said.measuring.is_some() != report.measuring.is_some()
                || (said.last_result.is_none() && report.last_result.is_some());
            let has_sent = said.last_result != report.last_result;
            let limit = if has_sent && busy.is_none() { SENT } else { REPORT };
            has_changed || when.elapsed() >= limit
        });
        if !is_due {
            return;
        }
        let Ok(text) = serde_json::to_vec(&report) else { return };
        if server.replace(wire::report(&self.campaign.name, place), text).await.is_ok() {
            self.said = Some((Instant::now(), report));
        }
    }
}

/// Says that a place measures a campaign, and finds the others that do. What the place has said before stays,
/// for it decides the order of places.
async fn enter(
    server: &Server,
    name: &str,
    place: &str,
    circle: &mut Circle,
) -> Result<(), Trouble> {
    server.put(wire::member(name, place), Vec::new(), 0).await?;
    look_round(server, name, circle).await
}

/// Finds the places that measure a campaign.
async fn look_round(server: &Server, name: &str, circle: &mut Circle) -> Result<(), Trouble> {
    let subjects = server.subjects(AGENTS, wire::members(name)).await?;
    let Members { places, ready } = Members::of(subjects.iter().map(String::as_str));
    let unknown: Vec<String> = circle.unknown(&places).cloned().collect();
    for place in unknown {
        if let Some(kept) = server.get(AGENTS, wire::member(name, &place)).await? {
            circle.join(place, kept.sequence);
        }
    }
    circle.set_ready(ready);
    Ok(())
}
