//! A measurement's jobs from `pre_connect` to `rows`, without a network: the rules set how connections
//! end and which flows the capture has.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pathspider_plugin_api::abi::{MeasurementObject, Slots};
use pathspider_plugin_api::driver::{Asked, Connection, Driver, Ended, Fault, Sighting};
use pathspider_plugin_api::{
    Change, Condition, ConfigId, Connect, ConnectKind, Error, Finding, FlowRecord, Info, Job,
    Location, Outcome, State,
};

use super::subject::{Sample, Variant, declined};
use crate::asked;
use crate::rules::{self, Broken, RunRule};

/// What is wrong, and which rule it is about.
pub(super) enum Trouble {
    /// A panic, a broken contract, a function that cannot go on.
    Run(String),
    /// A rule that a running measurement is held to.
    Rule(RunRule, String),
    /// What no job came to, which nobody may take for sound.
    Unreached(String),
}

impl From<Broken> for Trouble {
    fn from(broken: Broken) -> Trouble {
        match broken.rule {
            RunRule::Run => Trouble::Run(broken.what),
            rule => Trouble::Rule(rule, broken.what),
        }
    }
}

/// An object of a measurement, and what is known of it.
pub(super) struct Life<'s> {
    pub(super) sample: &'s Sample,
    /// What the measurement declares for a run with its options.
    pub(super) info: Info,
    pub(super) object: MeasurementObject,
    pub(super) configurations: usize,
    /// Where the fields of its chains stand. Those of other files' chains are null.
    pub(super) slots: Arc<Slots>,
    /// The options it was made with, for messages.
    pub(super) label: String,
    times: Times,
    said: Mutex<Said>,
}

/// What became of the jobs.
#[derive(Default)]
struct Said {
    /// Whether one came to its end.
    took: bool,
    /// Why the first one was declined.
    declined: Option<String>,
    /// The configurations that asked for a connection.
    made: BTreeSet<usize>,
    /// Whether one had a conclusion of the measurement's own.
    concluded: bool,
}

/// The shortest call of each function that is called on the thread which opens all connections.
#[derive(Default, Clone, Copy)]
pub(super) struct Times {
    pub(super) pre_connect: Option<Duration>,
    pub(super) connect: Option<Duration>,
}

/// Why there is no object.
pub(super) enum Stillborn {
    /// The plugin declines these options.
    Declined(Error),
    /// It failed.
    Trouble(Trouble),
}

/// How a job's connections end.
pub(super) struct Script<'a> {
    pub(super) job: &'a Job,
    /// The end and the flow of each connection.
    pub(super) ends: &'a mut dyn FnMut(&Connect) -> (Outcome, Option<FlowRecord>),
}

impl<'s> Life<'s> {
    /// Makes the object.
    pub(super) fn start(sample: &'s Sample, variant: Variant) -> Result<Life<'s>, Stillborn> {
        let label = format!("{}{}", sample.info.name, variant.label);
        let info = sample.info.clone().of_run(&variant.values);
        let made = sample.handle.instantiate(variant.values);
        let object = made.map_err(|error| {
            if declined(&error) {
                Stillborn::Declined(error)
            } else {
                Stillborn::Trouble(Trouble::Run(format!("{label}: {error}")))
            }
        })?;
        let counted = object.configurations().map(|list| list.len());
        let configurations = counted
            .map_err(|error| Stillborn::Trouble(Trouble::Run(format!("{label}: {error}"))))?;
        let names = object.chains().unwrap_or_default();
        let found = names.iter().map(|name| (name, sample.known.find(name)));
        let slots = Arc::new(Slots::found(found));
        let (times, said) = (Times::default(), Mutex::default());
        Ok(Life { sample, info, object, configurations, slots, label, times, said })
    }

    /// How long the calls took.
    pub(super) fn times(&self) -> Times {
        self.times
    }

    /// Takes a job through, and returns the conclusions; `None` where the plugin declined it.
    pub(super) fn timed(&mut self, script: Script<'_>) -> Result<Option<Vec<Condition>>, Trouble> {
        let mut times = self.times;
        let end = self.go(script, &mut times);
        self.times = times;
        end
    }

    /// The same, from several threads.
    pub(super) fn go(
        &self,
        script: Script<'_>,
        times: &mut Times,
    ) -> Result<Option<Vec<Condition>>, Trouble> {
        let Script { job, ends } = script;
        let info = &self.info;
        let driver = Driver::new(&self.object, info, self.configurations, &self.slots);
        let Some(prepared) = self.said(call(&mut times.pre_connect, || driver.prepare(job)))?
        else {
            return Ok(None);
        };
        let mut connections = Vec::with_capacity(self.configurations);
        let mut answered = Vec::new();
        for index in 0..self.configurations {
            let config = ConfigId::new(index);
            let earlier: &Vec<&Ended> = &answered.iter().collect();
            let asked = Asked { job, prepared: &prepared, config, earlier };
            let asked = call(&mut times.connect, || driver.connect(asked));
            let Some(connect) = self.said(asked)? else { return Ok(None) };
            // In place of connecting.
            let Some(()) = self.said(asked::check(job, &connect))? else { return Ok(None) };
            let (outcome, flow) = ends(&connect);
            if connect.kind() != ConnectKind::Skip {
                self.note(|said| said.made.insert(index));
            }
            let seen = match connect.kind() {
                ConnectKind::Skip => Sighting::NotAsked,
                _ => flow.map_or(Sighting::Nothing, |flow| {
                    Sighting::Flow(flow.fitted(Arc::clone(&self.slots)))
                }),
            };
            let outcome = connect.into_outcome().unwrap_or(outcome);
            let connection = Connection { outcome, seen };
            if info.depends {
                let known = Ended::answered(config, connection.clone());
                let Some(known) = self.said(known)? else { return Ok(None) };
                answered.push(known);
            }
            connections.push(connection);
        }
        let Some(concluded) = self.said(driver.conclude(job, &prepared, connections))? else {
            return Ok(None);
        };
        // What a host that locates would ask.
        for index in 0..self.configurations {
            let changes = ["ecn", "dscp", "tcpopt-8"]
                .map(|field| Finding::Changed(Change::new(field, (index as u64 + 1, 0_u8), 3..=4)));
            let location = Location::new(ConfigId::new(index)).found(changes);
            self.said(driver.located(job, &concluded.flows, &location))?;
        }
        let is_own = |condition: &Condition| !condition.as_str().starts_with("pathspider.");
        let has_verdict = concluded.conditions.iter().any(is_own);
        self.note(|said| {
            said.took = true;
            said.concluded |= has_verdict;
        });
        Ok(Some(concluded.conditions))
    }

    /// Which connection it asks for; `None` where it declines the job.
    pub(super) fn connect(&self, job: &Job, config: ConfigId) -> Result<Option<Connect>, Trouble> {
        let info = &self.info;
        let driver = Driver::new(&self.object, info, self.configurations, &self.slots);
        let Some(prepared) = self.said(driver.prepare(job))? else { return Ok(None) };
        self.said(driver.connect(Asked { job, prepared: &prepared, config, earlier: &[] }))
    }

    /// Ends the run.
    pub(super) fn finish(&self) -> Result<(), Trouble> {
        match self.said(self.object.finish())? {
            Some(finished) => Ok(rules::check_finished(&finished)?),
            None => Ok(()),
        }
    }

    /// Why it declines jobs, where it took none.
    pub(super) fn declines_all(&self) -> Option<String> {
        self.note(|said| said.declined.take().filter(|_| !said.took))
    }

    /// What no job came to, where jobs were taken.
    pub(super) fn unreached(&self) -> Vec<String> {
        let (took, made, concluded) =
            self.note(|said| (said.took, said.made.clone(), said.concluded));
        let mut unreached = Vec::new();
        if took && !concluded && !self.sample.info.conditions.is_empty() {
            unreached.push(format!(
                "{}: no verdict was reached in any job, so what it concludes was not tried; try it with \
                 testing::conclude, and in the lab",
                self.label
            ));
        }
        let left = (0..self.configurations).filter(|config| took && !made.contains(config));
        unreached.extend(left.map(|config| {
            format!("{}: configuration {config} was left out in every job", self.label)
        }));
        unreached
    }

    fn note<T>(&self, note: impl FnOnce(&mut Said) -> T) -> T {
        note(&mut self.said.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A plugin may decline; everything else is trouble.
    fn said<T>(&self, answer: Result<T, impl Into<Fault>>) -> Result<Option<T>, Trouble> {
        match answer.map_err(Into::into) {
            Ok(value) => Ok(Some(value)),
            Err(Fault::Failed(error)) if declined(&error) => {
                self.note(|said| {
                    said.declined.get_or_insert_with(|| error.to_string());
                });
                Ok(None)
            }
            Err(Fault::Failed(error)) => Err(Trouble::Run(format!("{}: {error}", self.label))),
            Err(Fault::Broken(broken)) => Err(broken.into()),
        }
    }
}

fn call<T>(shortest: &mut Option<Duration>, call: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let value = call();
    let took = began.elapsed();
    *shortest = Some(shortest.map_or(took, |shortest| shortest.min(took)));
    value
}

/// A connection's end as the host tells it.
pub(super) fn outcome(job: &Job, state: State) -> Outcome {
    let source = if job.target().is_ipv6() { "2001:db8::1" } else { "192.0.2.1" };
    let outcome = Outcome::new(state)
        .with("sip", source)
        .with("sp", 40_000u16)
        .with("dip", job.target())
        .with("dp", job.port())
        .with("spdr_start", "2024-01-01T00:00:00.000000Z")
        .with("spdr_stop", "2024-01-01T00:00:01.000000Z");
    match state {
        State::Ok => outcome.with("http_response_code", 200u16),
        State::Timeout => outcome.with("spdr_error", "timeout"),
        _ => outcome.with("spdr_error", "refused"),
    }
}
