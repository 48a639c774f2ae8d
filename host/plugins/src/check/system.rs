//! The rule that a plugin changes the machine through `System` alone.
//!
//! The rule looks at the state of the network, in a namespace of the child's own. It does not see what
//! else a plugin may do to a machine.

use pathspider_plugin_api::State;

use super::configure::configure_noting;
use super::life::{Life, Script, outcome};
use super::network::{self, NetworkState};
use super::subject::Subject;
use super::{Answer, NO_NETWORK, Troubles};

/// The network's state is the same before and after.
pub(super) fn unchanged(subject: &mut Subject<'_>) -> Answer {
    let Some(mut before) = subject.network.take() else {
        return Answer::Unable(NO_NETWORK.to_owned());
    };
    let mut troubles = Troubles::default();
    if let Err(why) = compare("loading and info", &mut before, &mut troubles) {
        return Answer::Unable(why);
    }
    for sample in &subject.samples() {
        for variant in subject.variants(sample).unwrap_or_default() {
            let label = format!("{}{}", sample.info.name, variant.label);
            subject.reporter.step(&format!("{label} was configured"));
            if let Ok(mut life) = Life::start(sample, variant) {
                go(&mut life);
            }
            if let Err(why) = compare(&label, &mut before, &mut troubles) {
                return Answer::Unable(why);
            }
        }
    }
    troubles.answer()
}

/// Notes what is otherwise than before, which then is the state to compare with.
fn compare(label: &str, before: &mut NetworkState, troubles: &mut Troubles) -> Result<(), String> {
    let after = network::state()?;
    for (name, value) in &after {
        let old = before.get(name);
        if old != Some(value) {
            let old = old.map_or("nothing", String::as_str).trim();
            let value = value.trim();
            troubles.note(format!("{label}: {name} was {old:?}, and now is {value:?}"));
        }
    }
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        troubles.note(format!("{label}: {name} is gone"));
    }
    *before = after;
    Ok(())
}

/// Configures and connects; what goes wrong is another rule's.
fn go(life: &mut Life<'_>) {
    let job = pathspider_plugin_api::Job::new(
        0,
        [198, 51, 100, 7].into(),
        80,
        pathspider_plugin_api::Record::new(),
    );
    for config in 0..life.configurations {
        let _ = configure_noting(life, config);
        let _ = life.timed(Script { job: &job, ends: &mut |_| (outcome(&job, State::Ok), None) });
    }
}
