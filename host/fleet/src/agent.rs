//! An agent: measures the shards of its place's campaigns, one after the other, and sends the results. It is
//! a thin shell: what comes next is decided by `duty`, how fast by `sharing`, and what is there is the
//! server's.

mod busy;
mod campaigns;
mod clock;
mod name;
mod sharing;
mod site;
mod taken;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use pathspider_runtime::say;

use crate::duty::Turn;
use crate::exit::{Exit, Failure};
use crate::measuring::Ended;
use crate::metrics::{Current, Shared};
use crate::server::{Put, Server, Trouble};
use crate::stopping::Stopping;
use crate::wire::{self, SHARDS, Work};
use busy::{Busy, Obeyed, Told};
use campaigns::Campaigns;
use clock::Clock;
use name::Name;
use sharing::Turns;
pub(crate) use site::{Limits, Site};

/// How often an agent looks at its child and at signals.
const LOOK: Duration = Duration::from_millis(20);

/// How often it asks what is wanted.
const ASK: Duration = Duration::from_secs(1);

/// An agent.
pub(crate) struct Agent<'a> {
    pub(crate) server: Server,
    pub(crate) site: Site<'a>,
    /// The place's name.
    pub(crate) place: String,
    pub(crate) stopping: &'a Stopping,
    pub(crate) counters: Shared,
    campaigns: Campaigns,
    /// Whether the server has campaigns for us.
    is_known: bool,
    /// What was said last of a server that does not answer.
    said: Option<String>,
}

/// Why a piece of work is not begun, or not over.
enum Refused {
    /// It waits.
    Shard(String),
    /// All shards of its measurement wait.
    Measure(String),
}

impl<'a> Agent<'a> {
    /// An agent that has no work yet.
    pub(crate) fn new(
        server: Server,
        site: Site<'a>,
        place: String,
        stopping: &'a Stopping,
        counters: Shared,
    ) -> Agent<'a> {
        counters.change(|counters| place.clone_into(&mut counters.vantage));
        let campaigns = Campaigns::new(place.clone());
        let (is_known, said) = (false, None);
        Agent { server, site, place, stopping, counters, campaigns, is_known, said }
    }

    /// Works until a signal comes.
    ///
    /// # Errors
    ///
    /// Another agent has the name.
    pub(crate) async fn work(mut self) -> Result<Exit, Failure> {
        let word = self.site.state.word.clone();
        let mut name = Name::hold(&self.server, &self.place, word, self.stopping).await?;
        say!("{}: the agent is ready", self.place);
        let (mut busy, mut asked) = (None::<Busy<'a>>, None::<Instant>);
        loop {
            if let Some(child) = &mut busy {
                // Of a signal it hears itself.
                if !self.stopping.is_asked() {
                    child.tell(self.campaigns.get(&child.name), &self.place, &name.clock);
                }
                if let Some(ended) = child.running.look().map_err(failed)? {
                    if let Some(child) = busy.take() {
                        self.counters.change(|counters| counters.current = None);
                        self.ended(child, ended, &name.clock).await;
                    }
                    continue;
                }
            } else if self.stopping.is_asked() {
                say!("{}: the agent has ended; the same command goes on", self.place);
                return Ok(Exit::Stopped);
            }
            if self.is_known
                && let Err(lost) = name.renew(&self.server).await
            {
                // What it measured stays, and the other one measures it again.
                if let Some(child) = &mut busy {
                    child.running.finish();
                    let _ = child.running.wait();
                }
                return Err(lost);
            }
            let is_due = asked.is_none_or(|asked| asked.elapsed() >= ASK);
            if is_due {
                asked = Some(Instant::now());
                let heard = self.campaigns.ask(&self.server, &self.site.state).await;
                self.say_of_server(heard);
                if !self.is_known {
                    // It may have streams for us by now, or JetStream.
                    self.server = self.server.for_place().await;
                }
            }
            if busy.is_none() && !self.stopping.is_asked() {
                busy = self.begin(&name.clock).await;
            }
            // Between two shards it does not say that it measures nothing.
            if is_due {
                self.report(busy.as_ref()).await;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn say_of_server(&mut self, heard: Result<(), Trouble>) {
        self.is_known = !matches!(heard, Err(Trouble { is_unknown: true, .. }));
        let reason = heard.err().map(|trouble| trouble.reason);
        match &reason {
            Some(reason) if self.said.as_ref() != Some(reason) => {
                say!("{}: the server: {reason}", self.place);
            }
            None if self.said.is_some() => say!("{}: the server answers", self.place),
            _ => {}
        }
        self.said = reason;
    }

    /// Begins the next piece of work, where there is one.
    async fn begin(&mut self, clock: &Clock) -> Option<Busy<'a>> {
        let now = Instant::now();
        let time = clock.now(now);
        let mut next = None;
        for (name, taken) in self.campaigns.iter_mut() {
            match taken.duty.next(taken.control.wanted, time) {
                Turn::Measure(work) if taken.may_measure() => {
                    if let Some(reason) = taken.is_untimely(&self.place, clock, now) {
                        taken.duty.fail_all(work.step.measure, reason, time);
                        continue;
                    }
                    next = Some((name.clone(), work));
                    break;
                }
                Turn::Over => taken.say_ready(&self.server, &self.place).await,
                Turn::Measure(_) | Turn::Rest => {}
            }
        }
        let (name, work) = next?;
        match self.try_begin(&name, work, clock).await {
            Ok(busy) => busy,
            Err(refused) => {
                self.fail(&name, work, refused, clock);
                None
            }
        }
    }

    fn fail(&mut self, name: &str, work: Work, refused: Refused, clock: &Clock) {
        let (Refused::Shard(reason) | Refused::Measure(reason)) = &refused;
        say!("{}: campaign {name}, {}, shard {}: {reason}", self.place, work.step, work.shard + 1);
        let Some(taken) = self.campaigns.get_mut(name) else { return };
        match refused {
            Refused::Shard(reason) => taken.duty.fail(work, reason, clock.now(Instant::now())),
            Refused::Measure(reason) => {
                taken.duty.fail_all(work.step.measure, reason, clock.now(Instant::now()));
            }
        }
    }

    /// Starts a child; `None` where there is nothing to be measured any more.
    async fn try_begin(
        &mut self,
        name: &str,
        work: Work,
        clock: &Clock,
    ) -> Result<Option<Busy<'a>>, Refused> {
        let gone = || Refused::Shard("the campaign is gone".to_owned());
        let taken = self.campaigns.get_mut(name).ok_or_else(gone)?;
        let folder = self.site.state.folder(name, &taken.id, work);
        let done = folder.has_ended().map_err(|error| Refused::Shard(error.to_string()))?;
        if let Some(has_errors) = done {
            return self.send(name, work, has_errors, clock).await.map(|()| None);
        }
        if folder.is_busy() {
            return Err(Refused::Shard("the run of a killed agent is not over yet".to_owned()));
        }
        let measure = taken.campaign.measures.get(work.step.measure).cloned().ok_or_else(gone)?;
        let share = taken.share(&self.place);
        let mut ours = self.site.limits.apply(&taken.campaign, share.places);
        if !taken.inspected.contains(&work.step.measure) {
            // Somebody may install the plugin meanwhile: only what was good is not asked again.
            self.site.examine(&ours, &measure).map_err(Refused::Measure)?;
            taken.inspected.insert(work.step.measure);
        }
        if !folder.has_targets() {
            let shard = self.server.get(SHARDS, wire::shard(name, work.shard)).await;
            let shard = shard.map_err(|trouble| Refused::Shard(trouble.reason))?;
            let none = || Refused::Shard("the server does not have this shard".to_owned());
            let shard = shard.ok_or_else(none)?;
            let sum = taken.definition.shards.get(work.shard as usize);
            if sum != Some(&wire::digest(&shard.payload)) {
                let reason = "the shard cannot be read: its sum is not the campaign's";
                return Err(Refused::Shard(reason.to_owned()));
            }
            folder.keep_targets(&shard.payload).map_err(Refused::Shard)?;
        }
        let blocklist = taken.control.blocklist.clone();
        let list = self.site.state.keep_blocklist(name, &blocklist).map_err(Refused::Shard)?;
        ours.courtesy.blocklists.push(list);
        let cannot = |error: std::io::Error| Refused::Shard(format!("cannot start: {error}"));
        let turns = share
            .seat
            .zip(taken.rhythm)
            .map(|(seat, rhythm)| Turns::new(seat, rhythm, clock, Instant::now()));
        let word = turns.map(|turns| turns.word()).transpose().map_err(cannot)?;
        let running =
            self.site.start(&ours, &measure, word, &folder).map_err(|failure| match failure {
                Failure::Told { message, .. } => Refused::Shard(message),
                Failure::Parser(error) => Refused::Shard(error.to_string()),
            })?;
        let passing = self.stopping.pass_to(running.child()).map_err(cannot)?;
        self.counters.change(|counters| {
            name.clone_into(&mut counters.campaign);
            let (plugin, folder) = (measure.plugin.clone(), folder.run());
            counters.current = Some(Current { step: work.step, plugin, folder });
        });
        let (name, told, _passing) = (name.to_owned(), Told::Nothing, passing);
        let obeys = Obeyed { blocklist, share, turns };
        Ok(Some(Busy { name, work, running, _passing, obeys, told }))
    }

    /// A child has ended: its result is sent.
    async fn ended(&mut self, busy: Busy<'a>, ended: Ended, clock: &Clock) {
        let was_told = busy.was_told();
        let Busy { name, work, running, .. } = busy;
        let has_errors = match ended {
            Ended::With(Exit::Finished) => false,
            Ended::With(Exit::FinishedWithErrors) => true,
            _ if was_told || self.stopping.is_asked() => return,
            Ended::With(
                Exit::NoPlugin
                | Exit::PluginRefused
                | Exit::NoPrivilege
                | Exit::NoInterface
                | Exit::Usage,
            ) => return self.fail(&name, work, Refused::Measure(running.why(&ended)), clock),
            Ended::With(_) | Ended::Otherwise(_) => {
                return self.fail(&name, work, Refused::Shard(running.why(&ended)), clock);
            }
        };
        let Some(taken) = self.campaigns.get(&name) else { return };
        let folder = self.site.state.folder(&name, &taken.id, work);
        let sent = match folder.end(has_errors) {
            Ok(()) => self.send(&name, work, has_errors, clock).await,
            Err(reason) => Err(Refused::Shard(reason)),
        };
        if let Err(refused) = sent {
            self.fail(&name, work, refused, clock);
        }
    }

    /// Sends a result. Where it cannot be sent, it stays, and is sent later.
    async fn send(
        &mut self,
        name: &str,
        work: Work,
        has_errors: bool,
        clock: &Clock,
    ) -> Result<(), Refused> {
        let Some(taken) = self.campaigns.get_mut(name) else { return Ok(()) };
        let folder = self.site.state.folder(name, &taken.id, work);
        let shard = taken.definition.shards.get(work.shard as usize).cloned().unwrap_or_default();
        let outcome = folder.outcome((taken.id.clone(), shard), has_errors);
        let text = outcome.and_then(|outcome| outcome.write().map_err(|error| error.to_string()));
        let text =
            text.map_err(|error| Refused::Shard(format!("the result cannot be read: {error}")))?;
        // The subject and the headers count.
        let most = self.server.longest().saturating_sub(1024);
        if text.len() > most {
            return Err(Refused::Shard(format!(
                "the result has {} octets, and the server takes {most}: raise its max_payload, or submit \
                 with a smaller --shard",
                text.len()
            )));
        }
        match self.server.put(wire::result(name, &self.place, work), text, 0).await {
            // What is there was sent before; perhaps by us, and its answer was lost.
            Ok(Put::Kept(_) | Put::Taken) => {
                taken.sent(work, clock.now(Instant::now()));
                folder.is_sent();
                self.counters.change(|counters| counters.finished += 1);
                Ok(())
            }
            Err(Trouble { reason, .. }) => {
                Err(Refused::Shard(format!("the result cannot be sent: {reason}")))
            }
        }
    }

    /// Says how it goes, when that is another thing than before, and now and then.
    async fn report(&mut self, busy: Option<&Busy<'a>>) {
        for (name, taken) in self.campaigns.iter_mut() {
            let busy = busy.filter(|busy| busy.name == *name);
            let busy = busy.map(|busy| (busy.work, &busy.obeys.share));
            taken.report(&self.server, &self.place, busy).await;
        }
    }
}

fn failed(error: std::io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("cannot wait: {error}"))
}

/// The folder of an agent's files.
pub(crate) fn state(path: PathBuf) -> Result<site::State, crate::folder::Unfit> {
    site::State::lock(path)
}
