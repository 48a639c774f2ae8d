//! The rule that a plugin changes the machine through `System` alone.
//!
//! Looked at are the settings of the network, in a namespace of the child's own: kernel parameters,
//! firewall, addresses and routes. What else a plugin may do to a machine is not seen.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use pathspider_plugin_api::State;

use super::life::{Life, Script};
use super::lives::configure;
use super::subject::Subject;
use super::{Answer, Troubles};

/// The network's settings are the same before and after.
pub(super) fn unchanged(subject: &mut Subject<'_>) -> Answer {
    let samples = subject.samples();
    if samples.is_empty() {
        return Answer::Skipped("it exports no measurement".to_owned());
    }
    if !subject.isolated {
        let why = "this user can make no network apart: run it as root";
        return Answer::Skipped(why.to_owned());
    }
    let mut troubles = Troubles::default();
    for sample in &samples {
        for variant in subject.variants(sample).unwrap_or_default() {
            subject.reporter.step(&format!("{}{} was configured", sample.info.name, variant.label));
            let before = settings();
            let label = format!("{}{}", sample.info.name, variant.label);
            if let Ok(Some(mut life)) = Life::start(sample, variant) {
                go(&mut life);
            }
            let after = settings();
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
        }
    }
    troubles.answer()
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
        let _ = life.timed(Script { job: &job, ends: &mut |_| (State::Ok, None) });
    }
}

/// The settings of this process's network, by name.
fn settings() -> BTreeMap<String, String> {
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
        if let Ok(output) = Command::new(command[0]).args(&command[1..]).output() {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            settings.insert(format!("`{}`", command.join(" ")), text);
        }
    }
    settings
}

/// Kernel parameters below a folder; those that count by themselves are none.
fn parameters(folder: &Path, settings: &mut BTreeMap<String, String>) {
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
