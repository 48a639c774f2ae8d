//! The rule that a plugin leaves the process as it is: every function of it runs in the host's.

use pathspider_plugin_api::{Job, Record, State};

use super::life::{Life, Script, outcome};
use super::process::{ProcessState, state};
use super::subject::Subject;
use super::{Answer, Troubles};

/// The process's state is the same before and after.
pub(super) fn unchanged(subject: &mut Subject<'_>) -> Answer {
    let mut before = std::mem::take(&mut subject.process);
    let mut troubles = Troubles::default();
    compare("loading and info", &mut before, &mut troubles);
    for sample in &subject.samples() {
        for variant in subject.variants(sample).unwrap_or_default() {
            let label = format!("{}{}", sample.info.name, variant.label);
            subject.reporter.step(&format!("{label} had the state of its process looked at"));
            let Ok(mut life) = Life::start(sample, variant) else { continue };
            compare(&format!("{label}: new, configurations or chains"), &mut before, &mut troubles);
            go(&mut life);
            compare(&format!("{label}: the functions of a job"), &mut before, &mut troubles);
            let _ = life.finish();
            drop(life);
            compare(&format!("{label}: finish or drop"), &mut before, &mut troubles);
        }
    }
    troubles.answer()
}

/// Notes what is otherwise than before, which then is the state to compare with.
fn compare(when: &str, before: &mut ProcessState, troubles: &mut Troubles) {
    let after = state();
    for (name, value) in &after {
        match before.get(name) {
            Some(old) if old == value => {}
            Some(old) => {
                troubles.note(format!("{when}: {name} was {old:?}, and now is {value:?}"));
            }
            None => troubles.note(format!("{when}: {name} was not there, and now is {value:?}")),
        }
    }
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        troubles.note(format!("{when}: {name} is gone"));
    }
    *before = after;
}

/// Takes a job through; what goes wrong is another rule's.
fn go(life: &mut Life<'_>) {
    let job = Job::new(0, [198, 51, 100, 7].into(), 80, Record::new());
    let _ = life.timed(Script { job: &job, ends: &mut |_| (outcome(&job, State::Ok), None) });
}
