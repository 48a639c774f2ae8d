//! The rule about what comes in at random: everything that the host hands to a measurement's
//! functions, made from a seed.

use std::net::IpAddr;
use std::sync::Arc;

use pathspider_plugin_api::{
    Connect, Error, FlowRecord, Job, OUTCOME_KEYS, OptionKind, OptionSpec, OptionValues, Outcome,
    Record, Value,
};

use super::Answer;
use super::configure::configure_noting;
use super::life::{Life, Script, Stillborn, Trouble, outcome};
use super::lives::{STATES, each_life, flows, jobs, tell};
use super::subject::{Sample, Subject, Variant, declined};
use crate::options::is_empty;

/// Jobs with random contents, for each set of options.
const FUZZED: usize = 1500;
/// Nothing that comes in at random makes it panic.
pub(super) fn fuzz(subject: &mut Subject<'_>) -> Answer {
    let mut troubles = Vec::new();
    let seed = subject.seed;
    let answer = each_life(subject, "had random jobs", &mut troubles, |_, life, troubles| {
        let mut random = fastrand::Rng::with_seed(seed);
        let flows = flows(life);
        let jobs = jobs(life.sample);
        let slots = Arc::clone(&life.slots);
        troubles.extend(ask(life).err());
        for _ in 0..FUZZED {
            let job = any_job(&jobs, &mut random);
            let mut ends = |_: &Connect| {
                let flow = random.choice(&flows).cloned();
                let mut flow = flow.unwrap_or_else(|| FlowRecord::new(Arc::clone(&slots)));
                flow.values_mut().iter_mut().for_each(|value| shake(value, &mut random));
                let flow = Some(flow);
                (any_outcome(&job, &mut random), flow)
            };
            if let Err(trouble @ Trouble::Run(_)) =
                life.timed(Script { job: &job, ends: &mut ends })
            {
                troubles.push(trouble);
            }
        }
    });
    if let Some(answer) = answer {
        return answer;
    }
    let mut random = fastrand::Rng::with_seed(seed);
    for sample in subject.samples() {
        subject.reporter.step(&format!("{} was made with random options", sample.info.name));
        for _ in 0..FUZZED {
            let values = any_options(subject, &sample, &mut random);
            let label = format!(" {values:?}");
            match Life::start(&sample, Variant { label, values }) {
                Ok(life) => troubles.extend(ask(&life).err()),
                Err(Stillborn::Declined(_)) => {}
                Err(Stillborn::Trouble(trouble)) => troubles.push(trouble),
            }
        }
    }
    match tell(troubles) {
        Answer::Fail(mut details) => {
            details.push(format!("the same again: --seed {seed} --rule fuzz"));
            Answer::Fail(details)
        }
        answer => answer,
    }
}

/// Asks an object all that is asked before its first job, and configures.
fn ask(life: &Life<'_>) -> Result<(), Trouble> {
    let answer = |result: Result<(), Error>| match result {
        Err(error) if !declined(&error) => Err(Trouble::Run(format!("{}: {error}", life.label))),
        _ => Ok(()),
    };
    answer(life.object.configurations().map(|_| ()))?;
    answer(life.object.chains().map(|_| ()))?;
    (0..life.configurations).try_for_each(|config| answer(configure_noting(life, config)))
}

/// A connection's end with the keys that the host writes and others, with any values.
fn any_outcome(job: &Job, random: &mut fastrand::Rng) -> Outcome {
    let state = STATES[random.usize(..STATES.len())];
    let mut record = scramble(outcome(job, state).record(), random);
    for _ in 0..random.usize(0..4) {
        let key = match random.choice(OUTCOME_KEYS) {
            Some(key) if random.u8(0..4) > 0 => (*key).to_owned(),
            _ => any_text(random),
        };
        record.set(key, any_value(random));
    }
    Outcome::with_record(state, record)
}

/// A job whose keys and values are anything.
fn any_job(jobs: &[Job], random: &mut fastrand::Rng) -> Job {
    let like = &jobs[random.usize(..jobs.len())];
    let mut record = scramble(like.record(), random);
    for _ in 0..random.usize(0..4) {
        record.set(any_text(random), any_value(random));
    }
    let target = match random.u8(0..4) {
        0 => IpAddr::from(random.u32(..).to_be_bytes()),
        1 => IpAddr::from(random.u128(..).to_be_bytes()),
        _ => like.target(),
    };
    Job::new(random.u64(..), target, random.u16(..), record)
}

/// Values within what is declared, which is what the host lets through.
fn any_options(subject: &Subject<'_>, sample: &Sample, random: &mut fastrand::Rng) -> OptionValues {
    let one = |spec: &OptionSpec, random: &mut fastrand::Rng| -> Value {
        match &spec.kind {
            // The rule `options` tells of a range in which there is no number.
            kind if is_empty(kind) => spec.default.clone(),
            OptionKind::Flag => random.bool().into(),
            OptionKind::Integer { min, max } => random.i64(*min..=*max).into(),
            OptionKind::Number { min, max } => {
                (min + (max - min) * random.f64()).clamp(*min, *max).into()
            }
            OptionKind::Choice(words) => match random.choice(words) {
                Some(word) => word.as_str().into(),
                None => Value::NULL,
            },
            _ => any_text(random).into(),
        }
    };
    let given = subject.variants(sample).ok().and_then(|variants| variants.into_iter().next());
    let mut record = given.map(|first| first.values.into_record()).unwrap_or_default();
    for spec in sample.options.iter() {
        let is_given = subject.options.iter().any(|(name, _)| *name == spec.name);
        if !is_given && random.bool() {
            let value = if spec.several {
                (0..random.usize(1..5)).map(|_| one(spec, random)).collect()
            } else {
                one(spec, random)
            };
            record.set(spec.name.clone(), value);
        }
    }
    OptionValues::new(record)
}

/// A record's values by key, all replaced or left out at random, now and then with nonsense.
fn scramble(record: &Record, random: &mut fastrand::Rng) -> Record {
    let mut scrambled = Record::new();
    for (key, value) in record.iter() {
        match random.u8(0..10) {
            0 => {}
            1 => scrambled.set(key.to_owned(), any_value(random)),
            2 => scrambled.set(key.to_owned(), Value::NULL),
            _ => scrambled.set(key.to_owned(), value.clone()),
        }
    }
    scrambled
}

/// Leaves a value, or makes another one of it.
fn shake(value: &mut Value, random: &mut fastrand::Rng) {
    match random.u8(0..10) {
        0 | 2 => *value = Value::NULL,
        1 => *value = any_value(random),
        _ => {}
    }
}

/// Any value.
fn any_value(random: &mut fastrand::Rng) -> Value {
    match random.u8(0..10) {
        0 => Value::NULL,
        1 => random.bool().into(),
        2 => random.i64(..).into(),
        3 => random.u64(..).into(),
        4 => random.f64().into(),
        5 => u64::from(random.u8(..)).into(),
        6 => "".into(),
        7 => any_text(random).into(),
        8 => (0..random.usize(0..5)).map(|n| n as u64).collect(),
        _ => Record::new().with("key", any_text(random)).into(),
    }
}

/// Any text.
fn any_text(random: &mut fastrand::Rng) -> String {
    (0..random.usize(0..40)).map(|_| random.char(..)).collect()
}
