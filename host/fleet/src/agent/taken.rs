//! A campaign that the agent works for: what is wanted of it, who else measures it, and what is done.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime};

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
    members: Members,
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
        server.replace(wire::member(&campaign.name, place), Vec::new()).await?;
        let members = members(server, &campaign.name).await?;
        let places = match campaign.vantages.is_empty() {
            true => &members.places,
            false => &campaign.vantages,
        };
        let index = places.iter().position(|name| name == place).unwrap_or_default();
        let duty = Duty::new(
            campaign.schedule.clone(),
            submitted,
            (campaign.measures.len(), definition.shards.len() as u32),
            (index, places.len()),
        );
        let (inspected, last_result, said) = (BTreeSet::new(), None, None);
        let (id, heard) = (definition.id(), Instant::now());
        let (is_known, is_ready_said) = (false, false);
        let mut taken = Taken {
            id,
            definition,
            campaign,
            control,
            duty,
            inspected,
            members,
            is_known,
            heard,
            last_result,
            said,
            is_ready_said,
        };
        taken.find_results(server, place).await?;
        taken.update(server, place).await?;
        Ok(taken)
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
    pub(super) fn shares(&self) -> bool {
        let courtesy = &self.campaign.courtesy;
        courtesy.rate.is_some()
            || courtesy.per_target_rate.is_some()
            || courtesy.prefix_spacing.is_some()
    }

    /// Among how many places the rate is shared out.
    pub(super) fn sharing(&self) -> usize {
        self.members.sharing(&self.campaign.vantages)
    }

    /// Whether this place's share is its own: the others know of it, and it would hear of another one.
    pub(super) fn may_measure(&self) -> bool {
        // With a list of places, their number only falls.
        let is_fixed = !self.shares() || !self.campaign.vantages.is_empty();
        is_fixed || (self.is_known && self.heard.elapsed() < DEAF)
    }

    /// The server was heard: who else is there?
    pub(super) async fn update(&mut self, server: &Server, place: &str) -> Result<(), Trouble> {
        if self.shares() {
            self.members = members(server, &self.campaign.name).await?;
            if !self.is_known && self.campaign.vantages.is_empty() {
                self.is_known = self.is_known_to_all(server, place).await?;
            }
        }
        self.heard = Instant::now();
        Ok(())
    }

    /// Whether each other place that measures shares the rate with this one, too.
    async fn is_known_to_all(&self, server: &Server, place: &str) -> Result<bool, Trouble> {
        let (name, sharing) = (&self.campaign.name, self.sharing());
        let others = self
            .members
            .places
            .iter()
            .filter(|other| *other != place && !self.members.ready.contains(other));
        for other in others {
            let report = server.get(AGENTS, wire::report(name, other)).await?;
            let report = report.and_then(|kept| wire::parse::<Report>(&kept.payload).ok());
            if report.is_some_and(|report| report.places >= sharing) {
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
    /// measured, and among how many places its rate is shared out.
    pub(super) async fn report(
        &mut self,
        server: &Server,
        place: &str,
        busy: Option<(Work, usize)>,
    ) {
        let report = Report {
            version: VERSION,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            measuring: busy.map(|(work, _)| format!("{}, shard {}", work.step, work.shard + 1)),
            last_result: self
                .last_result
                .map(|time| humantime::format_rfc3339_seconds(time).to_string()),
            places: busy.map_or_else(|| self.sharing(), |(_, places)| places),
            troubles: self.duty.troubles(),
        };
        let is_due = self.said.as_ref().is_none_or(|(when, said)| {
            let has_changed = said.troubles != report.troubles
                || said.places != report.places
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

async fn members(server: &Server, name: &str) -> Result<Members, Trouble> {
    let subjects = server.subjects(AGENTS, wire::members(name)).await?;
    Ok(Members::of(subjects.iter().map(String::as_str)))
}
