//! The rule that a plugin changes the machine through `System` alone.
//!
//! Looked at are the settings of the network, in a namespace of the child's own: kernel parameters,
//! firewall, addresses and routes. What else a plugin may do to a machine is not seen.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use pathspider_plugin_api::State;

use super::configure::configure;
use super::life::{Life, Script, outcome};
use super::subject::Subject;
use super::{Answer, Troubles};

/// The settings of a network, by name.
pub(super) type Settings = BTreeMap<String, String>;

/// The network's settings are the same before and after.
pub(super) fn unchanged(subject: &mut Subject<'_>) -> Answer {
    let Some(mut before) = subject.settings.take() else {
        return Answer::Unable("no network apart can be made here: run it as root".to_owned());
    };
    let mut troubles = Troubles::default();
    if let Err(why) = compare("loading and info", &mut before, &mut troubles) {
        return Answer::Unable(why);
    }
    for sample in &subject.samples() {
        for variant in subject.variants(sample).unwrap_or_default() {
            let label = format!("{}{}", sample.info.name, variant.label);
            subject.reporter.step(&format!("{label} was configured"));
            if let Ok(Some(mut life)) = Life::start(sample, variant) {
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
fn compare(label: &str, before: &mut Settings, troubles: &mut Troubles) -> Result<(), String> {
    let after = settings()?;
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
        let _ = configure(life, config);
        let _ = life.timed(Script { job: &job, ends: &mut |_| (outcome(&job, State::Ok), None) });
    }
}

/// The settings of this process's network.
///
/// # Errors
///
/// A command that shows some of them cannot be run, or fails.
pub(super) fn settings() -> Result<Settings, String> {
    let mut settings = BTreeMap::new();
    parameters(Path::new("/proc/sys/net"), &mut settings);
    for command in [
        &["nft", "list", "ruleset"][..],
        &["ip", "link"],
        &["ip", "address"],
        &["ip", "rule"],
        &["ip", "-6", "rule"],
        &["ip", "route", "show", "table", "all"],
        &["ip", "-6", "route", "show", "table", "all"],
    ] {
        let shown = format!("`{}`", command.join(" "));
        let output = Command::new(command[0]).args(&command[1..]).output();
        let output = output.map_err(|error| {
            format!("{shown} cannot be run ({error}): install nftables and iproute2")
        })?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{shown} failed: {}", said.trim()));
        }
        settings.insert(shown, String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Ok(settings)
}

/// Kernel parameters below a folder; those that count by themselves are none.
fn parameters(folder: &Path, settings: &mut Settings) {
    let Ok(entries) = folder.read_dir() else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.is_dir() {
            parameters(&path, settings);
        } else if !path.to_string_lossy().ends_with("_count")
            && let Ok(value) = fs::read_to_string(&path)
        {
            settings.insert(path.display().to_string(), value);
        }
    }
}
