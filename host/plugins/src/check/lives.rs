//! Rules about what a measurement does with jobs. What it says of itself, and its chains, have rules elsewhere.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::IpAddr;
use std::thread;

use pathspider_plugin_api::carriage::{self, Proof};
use pathspider_plugin_api::{
    ChainName, Connect, ConnectKind, Error, FlowRecord, Job, Outcome, Record, State,
};

use super::life::{Life, Script, Stillborn, Times, Trouble, outcome};
use super::meant::Fate;
use super::subject::{Sample, Subject};
use super::traffic::{self, Exchange};
use super::{Answer, NO_NETWORK, Troubles};
use crate::rules::RunRule;

pub(super) const STATES: [State; 4] = [State::Ok, State::Failed, State::Timeout, State::Skipped];
/// Jobs with flows, for each set of options.
const JOBS: usize = 200;
/// The same whose connections are as the measurement asks for them.
const MEANT: usize = 120;
/// Threads, and the jobs of each.
const THREADS: usize = 8;
const JOBS_OF_A_THREAD: usize = 100;

/// A job of either family, or of a name where the measurement takes them.
pub(super) fn jobs(sample: &Sample) -> Vec<Job> {
    let record = |dip: &str| Record::new().with("dip", dip.to_owned()).with("dp", 80u16);
    let job = |number, dip: &str| {
        let address: IpAddr = dip.parse().unwrap_or(IpAddr::from([0; 16]));
        Job::new(number, address, 80, record(dip).with("domain", "www.example.com"))
    };
    let mut jobs = vec![job(0, "198.51.100.7"), job(1, "2001:db8::7")];
    let plain = |number, dip: [u8; 4]| Job::new(number, dip.into(), 443, Record::new());
    jobs.push(plain(2, [198, 51, 100, 8]));
    if sample.info.names {
        let unspecified = IpAddr::from([0; 16]);
        let record = Record::new().with("domain", "www.example.com").with("rank", 7u8);
        jobs.push(Job::new(3, unspecified, 80, record));
    }
    jobs
}

/// What the chains that a measurement names make of connections of all kinds.
pub(super) fn flows(life: &Life<'_>) -> Vec<FlowRecord> {
    seen(life, traffic::exchanges())
}

/// What the chains that a measurement names make of these packets; chains of other plugins are not here,
/// and left out.
fn seen(life: &Life<'_>, exchanges: Vec<Exchange>) -> Vec<FlowRecord> {
    let known = &life.sample.known;
    let mut names: Vec<ChainName> = life.object.chains().unwrap_or_default();
    names.retain(|name| known.find(name).is_some());
    let chains = || known.resolve(&names).ok();
    let seen = exchanges
        .into_iter()
        .filter_map(|exchange| traffic::flows(chains()?, &exchange).ok())
        .flatten();
    seen.map(|(record, _)| record).collect()
}

/// Goes through every measurement with every variant of its options.
pub(super) fn each_life(
    subject: &mut Subject<'_>,
    doing: &str,
    troubles: &mut Vec<Trouble>,
    mut judge: impl FnMut(&Subject<'_>, &mut Life<'_>, &mut Vec<Trouble>),
) -> Option<Answer> {
    let samples = subject.samples();
    if samples.is_empty() {
        return Some(Answer::Skipped("it exports no measurement".to_owned()));
    }
    if !subject.isolated && samples.iter().any(|sample| sample.info.blocking) {
        return Some(Answer::Unable(format!("it connects by itself, and {NO_NETWORK}")));
    }
    let mut declining = None;
    for sample in &samples {
        let (mut is_alive, mut reason) = (false, None);
        let variants = match subject.variants(sample) {
            Ok(variants) => variants,
            Err(error) => return Some(Answer::Fail(vec![error])),
        };
        for variant in variants {
            subject.reporter.step(&format!("{}{} {doing}", sample.info.name, variant.label));
            match Life::start(sample, variant) {
                Ok(mut life) => {
                    is_alive = true;
                    judge(subject, &mut life, troubles);
                }
                Err(Stillborn::Declined(error)) => reason = reason.or(Some(error)),
                Err(Stillborn::Trouble(trouble)) => {
                    is_alive = true;
                    troubles.push(trouble);
                }
            }
        }
        if !is_alive {
            declining = reason.map(|reason| declines(&sample.info.name, &reason));
        }
    }
    declining.filter(|_| troubles.is_empty()).map(Answer::Unable)
}

/// That the options were declined, and what to do.
pub(super) fn declines(name: &str, reason: &Error) -> String {
    format!("{name}: new declines: {reason}; give other options with --option NAME=VALUE")
}

/// Takes many jobs through, and keeps what goes wrong.
fn live(seed: u64, life: &mut Life<'_>, troubles: &mut Vec<Trouble>) {
    let mut random = fastrand::Rng::with_seed(seed);
    let flows = flows(life);
    let jobs = jobs(life.sample);
    for job in &jobs {
        for state in STATES {
            let mut ends = |_: &Connect| (outcome(job, state), None);
            troubles.extend(life.timed(Script { job, ends: &mut ends }).err());
        }
    }
    let mut meant = Meant { life, seen: HashMap::new() };
    // Over IPv4 and IPv6.
    let both = &jobs[..2];
    for job in both {
        for fate in Fate::ordinary() {
            troubles.extend(meant.go(job, || fate).err());
        }
    }
    for round in 0..MEANT {
        let job = &both[round % both.len()];
        troubles.extend(meant.go(job, || Fate::any(&mut random)).err());
    }
    for round in 0..JOBS {
        let job = &jobs[round % jobs.len()];
        let mut ends = |_: &Connect| {
            let flow = random.choice(&flows).filter(|_| random.u8(0..4) > 0);
            (outcome(job, STATES[random.usize(..STATES.len())]), flow.cloned())
        };
        if let Err(trouble) = life.timed(Script { job, ends: &mut ends }) {
            troubles.push(trouble);
        }
    }
    troubles.extend(life.finish().err());
    if let Some(reason) = life.declines_all() {
        let what = format!("{}: it declines each job: {reason}", life.label);
        troubles.push(Trouble::Run(what));
    }
    troubles.extend(life.unreached().into_iter().map(Trouble::Unreached));
}

/// Jobs whose connections are as the measurement asks for them.
struct Meant<'a, 's> {
    life: &'a Life<'s>,
    /// What its chains make of such a connection.
    seen: HashMap<(String, Fate), Option<FlowRecord>>,
}

impl Meant<'_, '_> {
    /// Takes a job through whose connections have such fates.
    fn go(&mut self, job: &Job, mut fate: impl FnMut() -> Fate) -> Result<(), Trouble> {
        let Meant { life, seen } = self;
        let mut ends = |connect: &Connect| {
            let fate = fate();
            let asked = format!("{} {} {connect:?}", job.target(), job.port());
            let flow = seen.entry((asked, fate)).or_insert_with(|| {
                let exchange = fate.packets(job, connect);
                self::seen(life, vec![exchange]).into_iter().next()
            });
            (proven(outcome(job, fate.state()), connect.kind()), flow.clone())
        };
        life.go(Script { job, ends: &mut ends }, &mut Times::default()).map(drop)
    }
}

/// The outcome as the host has it of this kind.
fn proven(outcome: Outcome, kind: ConnectKind) -> Outcome {
    let is_ok = outcome.state() == State::Ok;
    match kind.proof() {
        Proof::State => outcome,
        _ => outcome.with(carriage::KIND, kind.name()).with(carriage::CARRIED, is_ok),
    }
}

/// What is wrong with many jobs.
///
/// # Errors
///
/// The answer of all rules that would look at it.
pub(super) fn troubles(subject: &mut Subject<'_>) -> Result<Vec<Trouble>, Answer> {
    let mut troubles = Vec::new();
    let seed = subject.seed;
    let answer = each_life(subject, "measured", &mut troubles, |_, life, troubles| {
        live(seed, life, troubles);
    });
    answer.map_or(Ok(troubles), Err)
}

fn of_rule(troubles: &[Trouble], rule: RunRule) -> Answer {
    let mut told = Troubles::default();
    for trouble in troubles {
        match trouble {
            Trouble::Rule(broken, what) if *broken == rule => told.note(what),
            _ => {}
        }
    }
    told.answer()
}

fn all(trouble: Trouble) -> Option<String> {
    Some(match trouble {
        Trouble::Run(what) => what,
        Trouble::Rule(rule, what) => format!("{what} (rule {})", rule.name()),
        Trouble::Unreached(_) => return None,
    })
}

pub(super) fn run(troubles: &[Trouble]) -> Answer {
    let (mut told, mut unreached) = (Troubles::default(), Troubles::default());
    for trouble in troubles {
        match trouble {
            Trouble::Run(what) => told.note(what),
            Trouble::Rule(..) => {}
            Trouble::Unreached(what) => unreached.note(what),
        }
    }
    match told.answer() {
        Answer::Pass => unreached.remark(),
        answer => answer,
    }
}

pub(super) fn declared_conditions(troubles: &[Trouble]) -> Answer {
    of_rule(troubles, RunRule::DeclaredConditions)
}

pub(super) fn configuration_index(troubles: &[Trouble]) -> Answer {
    of_rule(troubles, RunRule::ConfigurationIndex)
}

pub(super) fn valid_records(troubles: &[Trouble]) -> Answer {
    of_rule(troubles, RunRule::ValidRecords)
}

pub(super) fn reserved_keys(troubles: &[Trouble]) -> Answer {
    of_rule(troubles, RunRule::ReservedKeys)
}

/// The parent looks at what was printed.
pub(super) fn quiet(_: &[Trouble]) -> Answer {
    Answer::Pass
}

/// No connection was seen: there is no evidence, so there is no verdict.
pub(super) fn no_flow(subject: &mut Subject<'_>) -> Answer {
    let mut troubles = Vec::new();
    let mut observes = false;
    let answer = each_life(subject, "had no flow", &mut troubles, |_, life, troubles| {
        observes |= life.slots.observes();
        for job in jobs(life.sample) {
            for state in STATES {
                let mut ends = |_: &Connect| (outcome(&job, state), None);
                match life.timed(Script { job: &job, ends: &mut ends }) {
                    // Without chains it never has a flow, and has its evidence elsewhere.
                    Ok(Some(conditions)) if life.slots.observes() => {
                        let verdicts = conditions.iter().map(|condition| condition.as_str());
                        let verdict = verdicts.into_iter().find(|c| !c.starts_with("pathspider."));
                        troubles.extend(verdict.map(|verdict| {
                            Trouble::Run(format!(
                                "{}: without a flow it gave {verdict}; conclude only from flows that \
                                 were seen (Flows::weigh, Flow::seen)",
                                life.label
                            ))
                        }));
                    }
                    // The rules `run` and its like tell of what else goes wrong here.
                    _ => {}
                }
            }
        }
    });
    match answer.unwrap_or_else(|| tell(troubles)) {
        Answer::Pass if !observes => {
            Answer::Skipped("it names no chain, so its evidence is elsewhere".to_owned())
        }
        answer => answer,
    }
}

pub(super) fn tell(troubles: Vec<Trouble>) -> Answer {
    let mut told = Troubles::default();
    troubles.into_iter().filter_map(all).for_each(|trouble| told.note(trouble));
    told.answer()
}

/// Several threads call it at once.
pub(super) fn threads(subject: &mut Subject<'_>) -> Answer {
    let mut troubles = Vec::new();
    let seed = subject.seed;
    let doing = "was called by several threads";
    let answer = each_life(subject, doing, &mut troubles, |_, life, troubles| {
        let flows = flows(life);
        let jobs = jobs(life.sample);
        let (life, flows, jobs) = (&*life, &flows, &jobs);
        let work = |number: usize| {
            let mut random = fastrand::Rng::with_seed(seed ^ number as u64);
            let mut found = Vec::new();
            for round in 0..JOBS_OF_A_THREAD {
                let job = &jobs[round % jobs.len()];
                let mut ends = |_: &Connect| {
                    let flow = random.choice(flows).cloned();
                    (outcome(job, STATES[random.usize(..STATES.len())]), flow)
                };
                let script = Script { job, ends: &mut ends };
                found.extend(life.go(script, &mut Times::default()).err());
            }
            found
        };
        thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS).map(|n| scope.spawn(move || work(n))).collect();
            for thread in threads {
                troubles.extend(thread.join().unwrap_or_default());
            }
        });
    });
    answer.unwrap_or_else(|| tell(troubles))
}
