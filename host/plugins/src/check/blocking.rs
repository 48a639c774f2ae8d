//! The rule that what is called on the engine's thread returns at once.
//!
//! It is applied in a network whose route to everywhere swallows what is sent: there a connection that
//! waits for an answer waits as it would for a target that is silent.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use pathspider_plugin_api::abi::{Function, Running, Shown, show};
use pathspider_plugin_api::{Connect, State};

use super::life::{Life, Script, Times, outcome};
use super::lives::jobs;
use super::network::{self, DEFAULT};
use super::subject::{Sample, Subject, Variant};
use super::{Answer, Troubles};

/// The longest that a function may take on the thread that opens all connections.
const AT_ONCE: Duration = Duration::from_secs(1);
/// What the quickest of several calls takes of one that waits for nothing, also on a busy machine.
const QUICKLY: Duration = Duration::from_millis(20);
/// Between two looks at a thread.
const LOOK: Duration = Duration::from_millis(10);

/// What is called on the engine's thread does not keep it.
pub(super) fn blocking(subject: &mut Subject<'_>) -> Answer {
    let samples = subject.samples();
    if samples.is_empty() {
        return Answer::Skipped("it exports no measurement".to_owned());
    }
    let quick: Vec<Sample> = samples.into_iter().filter(|one| !one.info.blocking).collect();
    if quick.is_empty() {
        return Answer::Skipped("it declares that it blocks".to_owned());
    }
    // Where there is no network apart, the machine's is not to be changed.
    if subject.isolated
        && let Err(why) = network::swallow(DEFAULT)
    {
        return Answer::Unable(why);
    }
    let mut troubles = Troubles::default();
    for sample in quick {
        let variants = match subject.variants(&sample) {
            Ok(variants) => variants,
            Err(error) => return Answer::Fail(vec![error]),
        };
        // A thread that does not come back keeps it, until this process ends.
        let sample: &'static Sample = Box::leak(Box::new(sample));
        for variant in variants {
            let label = format!("{}{}", sample.info.name, variant.label);
            subject.reporter.step(&format!("{label} was timed"));
            match timed(sample, variant) {
                Ok(times) => troubles_of(&label, &times, &mut troubles),
                Err(Stays(running)) => {
                    troubles.note(stays(&label, running));
                    return troubles.answer();
                }
            }
        }
    }
    troubles.answer()
}

/// What an author has to do.
const REMEDY: &str = "every connection of a run waits for it: give a Connect for the host to make, or \
                      declare Info::blocking";

fn stays(label: &str, running: Running) -> String {
    let function = running.function.name();
    let limit = AT_ONCE.as_secs();
    format!("{label}: `{function}` has not come back after {limit} s, and {REMEDY}")
}

fn troubles_of(label: &str, times: &Times, troubles: &mut Troubles) {
    for (function, shortest) in [("pre_connect", times.pre_connect), ("connect", times.connect)] {
        if let Some(shortest) = shortest.filter(|shortest| *shortest > QUICKLY) {
            let took = shortest.as_millis();
            troubles.note(format!(
                "{label}: each call of `{function}` took {took} ms or more, and {REMEDY}"
            ));
        }
    }
}

/// The call from which the thread does not come back.
struct Stays(Running);

/// Takes some jobs through on a thread, and looks at it meanwhile.
fn timed(sample: &'static Sample, variant: Variant) -> Result<Times, Stays> {
    let (shows, shown) = channel();
    let (done, ends) = channel();
    let work = move || {
        let _ = shows.send(show());
        let _ = done.send(times(sample, variant));
    };
    match thread::Builder::new().spawn(work) {
        Ok(_) => watch(&shown, &ends),
        // Without a thread nothing can be timed; the other rules cannot be applied then either.
        Err(_) => Ok(Times::default()),
    }
}

fn times(sample: &Sample, variant: Variant) -> Times {
    let Ok(mut life) = Life::start(sample, variant) else { return Times::default() };
    for job in jobs(sample) {
        let mut ends = |_: &Connect| (outcome(&job, State::Ok), None);
        // What else goes wrong is another rule's.
        let _ = life.timed(Script { job: &job, ends: &mut ends });
    }
    life.times()
}

fn watch(shown: &Receiver<&'static Shown>, ends: &Receiver<Times>) -> Result<Times, Stays> {
    let Ok(shown) = shown.recv() else { return Ok(Times::default()) };
    let mut since = (0, Instant::now());
    loop {
        match ends.recv_timeout(LOOK) {
            Ok(times) => return Ok(times),
            Err(RecvTimeoutError::Disconnected) => return Ok(Times::default()),
            Err(RecvTimeoutError::Timeout) => {}
        }
        let Some((number, running)) = shown.call() else { continue };
        if since.0 != number {
            since = (number, Instant::now());
        }
        let is_of_engine = matches!(running.function, Function::PreConnect | Function::Connect);
        if is_of_engine && since.1.elapsed() > AT_ONCE {
            return Err(Stays(running));
        }
    }
}
