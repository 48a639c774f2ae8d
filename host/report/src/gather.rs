//! Reads records and counts what they have in common. Of a record remains its *outcome*, which it
//! shares with many others, and 24 octets for its target; all figures are made of these.

mod answers;
mod context;
mod flows;
mod groups;
mod intern;

use std::time::SystemTime;

use hashbrown::{HashMap, HashSet};
use pathspider_records::condition::{is_of_rounds, measurement, name};
use pathspider_records::{Record, Remark};

pub(crate) use answers::AnswerTally;
pub(crate) use context::{Context, Side};
pub(crate) use flows::FlowTally;
use groups::{Computed, values_of};
pub(crate) use groups::{Groups, ip_version};
pub(crate) use intern::Outcome;
use intern::{Interner, Outcomes};

/// Seconds of the smallest step of time that is counted.
pub(crate) const STEP: u64 = 3600;

/// The hasher of all tables: fast, and another one in each process, so that nobody can make names
/// that collide.
pub(crate) type State = foldhash::fast::RandomState;

/// What remains of a record beside its outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The hash of its target.
    pub(crate) target: u64,
    /// The number of its outcome.
    pub(crate) outcome: u32,
    /// The number of its vantage point.
    pub(crate) vantage: u32,
    /// The number of its value of the first key.
    pub(crate) group: u32,
    /// Which side of a comparison it is on.
    pub(crate) side: Side,
}

/// What all records have in common.
#[derive(Debug)]
pub(crate) struct Gathered {
    /// All conditions, by number.
    pub(crate) conditions: Interner,
    /// All measurements, by number.
    pub(crate) measurements: Interner,
    /// All vantage points, by number.
    pub(crate) vantages: Interner,
    /// All outcomes, by number, with how many records have each.
    pub(crate) outcomes: Outcomes,
    /// For each key, how many records have each of its values.
    pub(crate) groups: Vec<Groups>,
    /// How many records have each outcome in each step of time since the epoch.
    pub(crate) steps: HashMap<(u64, u32), u64, State>,
    /// A line for each record, in the order of targets once all are read.
    pub(crate) entries: Vec<Entry>,
    /// Which measurements each source has, by their numbers.
    of_sources: HashSet<(usize, u32), State>,
    /// The connections, by measurement and configuration.
    pub(crate) flows: HashMap<(u32, u64), FlowTally, State>,
    /// What each measurement's records hint at of who answered.
    pub(crate) answers: HashMap<u32, AnswerTally, State>,
    /// When each measurement's records begin and end.
    pub(crate) times: HashMap<u32, (SystemTime, SystemTime), State>,
}

impl Gathered {
    pub(crate) fn new(context: &Context) -> Gathered {
        let state = &context.state;
        Gathered {
            conditions: Interner::new(state),
            measurements: Interner::new(state),
            vantages: Interner::new(state),
            outcomes: Outcomes::new(state),
            groups: context.keys.iter().map(|_| Groups::new(state)).collect(),
            steps: HashMap::with_hasher(state.clone()),
            entries: Vec::new(),
            of_sources: HashSet::with_hasher(state.clone()),
            flows: HashMap::with_hasher(state.clone()),
            answers: HashMap::with_hasher(state.clone()),
            times: HashMap::with_hasher(state.clone()),
        }
    }

    /// Adds what another thread gathered.
    pub(crate) fn merge(&mut self, other: Gathered) {
        let measurements = self.measurements.merge(other.measurements.names());
        self.merge_as(other, &measurements);
    }

    /// What was gathered, where records that do not say which measurement they are of have that of
    /// the others in their file, if it is one.
    pub(crate) fn attributed(self, context: &Context) -> Gathered {
        let mut all = Gathered::new(context);
        let measurement_of = |source: usize| {
            let of_source = self.of_sources.iter().filter(|(other, _)| *other == source);
            let mut names = of_source.map(|&(_, number)| self.measurements.name(number));
            names.next().filter(|_| names.next().is_none())
        };
        let named = |name| match unnamed_of(name) {
            Some(source) => measurement_of(source).unwrap_or("(no measurement)"),
            None => name,
        };
        let measurements = all.measurements.merge(self.measurements.names().map(named));
        all.merge_as(self, &measurements);
        all
    }

    /// Adds what another one has, whose measurements have these numbers here.
    fn merge_as(&mut self, other: Gathered, measurements: &[u32]) {
        let conditions = self.conditions.merge(other.conditions.names());
        let vantages = self.vantages.merge(other.vantages.names());
        let outcomes = self.outcomes.merge(other.outcomes, measurements, &conditions);
        let at = |map: &[u32], id: u32| map.get(id as usize).copied().unwrap_or(id);
        let mut first = Vec::new();
        for (number, (groups, theirs)) in self.groups.iter_mut().zip(other.groups).enumerate() {
            let values = groups.merge(theirs, &outcomes);
            if number == 0 {
                first = values;
            }
        }
        for ((step, outcome), count) in other.steps {
            *self.steps.entry((step, at(&outcomes, outcome))).or_default() += count;
        }
        self.entries.extend(other.entries.into_iter().map(|entry| Entry {
            outcome: at(&outcomes, entry.outcome),
            vantage: at(&vantages, entry.vantage),
            group: at(&first, entry.group),
            ..entry
        }));
        for ((measurement, config), tally) in other.flows {
            let key = (at(measurements, measurement), config);
            self.flows.entry(key).or_insert_with(FlowTally::new).merge(tally);
        }
        for (measurement, tally) in other.answers {
            self.answers.entry(at(measurements, measurement)).or_default().merge(tally);
        }
        for (measurement, (from, to)) in other.times {
            self.widen(at(measurements, measurement), from, to);
        }
        let of_sources = other.of_sources.into_iter();
        self.of_sources
            .extend(of_sources.map(|(source, number)| (source, at(measurements, number))));
    }

    /// Puts the entries in the order of targets, and within of measurements, sides and vantage points.
    pub(crate) fn sort(&mut self) {
        let measurements: Vec<u32> =
            self.outcomes.iter().map(|(outcome, _)| outcome.measurement).collect();
        let of = |entry: &Entry| {
            let measurement = measurements.get(entry.outcome as usize).copied();
            (measurement, entry.side, entry.vantage, entry.outcome)
        };
        // Most targets differ, so the rest is seldom looked at.
        self.entries
            .sort_unstable_by(|a, b| a.target.cmp(&b.target).then_with(|| of(a).cmp(&of(b))));
    }

    fn widen(&mut self, measurement: u32, from: SystemTime, to: SystemTime) {
        let times = self.times.entry(measurement).or_insert((from, to));
        *times = (times.0.min(from), times.1.max(to));
    }
}

/// What begins the name of a measurement that is not known yet. No measurement's name has a blank.
const UNNAMED: &str = "of source ";

/// The name, until all are read, of the measurement of a source's records that do not say it.
fn unnamed(source: usize) -> String {
    format!("{UNNAMED}{source}")
}

/// The source that such a name is of.
fn unnamed_of(name: &str) -> Option<usize> {
    name.strip_prefix(UNNAMED)?.parse().ok()
}

/// Gathers with what one thread reads.
pub(crate) struct Gathering<'c> {
    context: &'c Context,
    gathered: Gathered,
    /// Of each condition, by its number, whether it is the measurement's, and no remark of the host's.
    are_own: Vec<bool>,
    /// The source of the last record, and its measurement's number: the next one's, most of the time.
    last: Option<(usize, u32)>,
    conditions: Vec<u32>,
    values: Vec<u32>,
}

impl<'c> Gathering<'c> {
    pub(crate) fn new(context: &'c Context) -> Gathering<'c> {
        Gathering {
            context,
            gathered: Gathered::new(context),
            are_own: Vec::new(),
            last: None,
            conditions: Vec::new(),
            values: Vec::new(),
        }
    }

    pub(crate) fn gathered(self) -> Gathered {
        self.gathered
    }

    /// Takes the numbers of a record's conditions; returns the measurement that they name.
    fn conditions<'r>(&mut self, record: &'r Record<'_>) -> Option<&'r str> {
        self.conditions.clear();
        let mut own = None;
        for condition in record.conditions.iter().flatten() {
            let Some((number, is_own)) = self.condition(condition) else { continue };
            self.conditions.push(number);
            if is_own {
                own.get_or_insert(condition);
            }
        }
        self.conditions.sort_unstable();
        self.conditions.dedup();
        own.map(|condition| measurement(condition))
    }

    /// The number of a condition, and whether it is the measurement's own.
    fn condition(&mut self, condition: &str) -> Option<(u32, bool)> {
        let conditions = &mut self.gathered.conditions;
        if let Some(number) = conditions.find(condition) {
            return Some((number, self.are_own.get(number as usize).copied().unwrap_or_default()));
        }
        // What several rounds come to is found out from the rounds themselves.
        if is_of_rounds(condition) {
            return None;
        }
        let remark = Remark::of(condition);
        let number = conditions.number(match remark {
            // Their values are one for each record.
            Some(Remark::Refused | Remark::MissedFlows) => name(condition),
            _ => condition,
        });
        if number as usize >= self.are_own.len() {
            self.are_own.push(remark.is_none());
        }
        Some((number, remark.is_none()))
    }

    /// The number of the measurement of a source's record.
    fn measurement(&mut self, source: usize, name: Option<&str>) -> u32 {
        let gathered = &mut self.gathered;
        let Some(name) = name else { return gathered.measurements.number(&unnamed(source)) };
        match self.last {
            Some((of, number)) if of == source && gathered.measurements.name(number) == name => {
                number
            }
            _ => {
                let number = gathered.measurements.number(name);
                gathered.of_sources.insert((source, number));
                self.last = Some((source, number));
                number
            }
        }
    }

    /// Takes a record of the source of this number.
    pub(crate) fn record(&mut self, source: usize, record: &Record<'_>) {
        let named = self.conditions(record);
        let about = self.context.about(source);
        let name = record.plugin.as_str().or(about.measurement.as_deref()).or(named);
        let measurement = self.measurement(source, name);
        let gathered = &mut self.gathered;
        gathered.answers.entry(measurement).or_default().count(record);
        let baseline = record.flow_results.iter().find(|flow| flow.config.as_u64() == Some(0));
        let outcome = gathered.outcomes.count(Outcome {
            measurement,
            conditions: &self.conditions,
            is_error: record.spdr_error.as_str().is_some(),
            has_address: record.dip.as_str().is_some(),
            is_answered: baseline.and_then(|flow| flow.is_carried()),
        });

        let computed = Computed::new(record, about, &self.context.databases);
        let mut group = 0;
        for (number, key) in self.context.keys.iter().enumerate() {
            let Some(groups) = gathered.groups.get_mut(number) else { continue };
            values_of(key, record, &computed, |value| self.values.push(groups.number(value)));
            if number == 0 {
                group = self.values.first().copied().unwrap_or(Groups::NONE);
            }
            groups.count(&self.values, outcome);
            self.values.clear();
        }

        if let Some((from, to)) = computed.times() {
            gathered.widen(measurement, from, to);
            let since = from.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            *gathered.steps.entry((since.as_secs() / STEP, outcome)).or_default() += 1;
        }
        let vantage = gathered.vantages.number(computed.vantage().unwrap_or_default());
        gathered.entries.push(Entry {
            target: self.context.target(record),
            outcome,
            vantage,
            group,
            side: self.context.side(source),
        });
        for flow in &record.flow_results {
            let Some(config) = flow.config.as_u64() else { continue };
            let tally = gathered.flows.entry((measurement, config));
            tally.or_insert_with(FlowTally::new).count(flow);
        }
    }
}
