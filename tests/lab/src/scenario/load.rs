//! Owns reading scenarios: from a file, or by name from those that ship with the lab.

use std::path::Path;

use super::{Scenario, builtin};
use crate::error::{Context, Error, Result};

/// Finds scenarios by what a person writes: a file, a name of one that ships with the lab, or the
/// beginning of several names followed by `*`.
///
/// # Errors
/// When nothing is called so, or the file is not a scenario.
pub fn find(wanted: &str) -> Result<Vec<Scenario>> {
    let path = Path::new(wanted);
    if path.extension().is_some_and(|extension| extension == "toml") {
        let text = std::fs::read_to_string(path).context(|| format!("read {wanted}"))?;
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        return Ok(vec![read(&name.unwrap_or_default(), wanted, &text)?]);
    }
    let all = builtin()?;
    let found: Vec<Scenario> = match wanted.strip_suffix('*') {
        Some(start) => all.into_iter().filter(|s| s.name.starts_with(start)).collect(),
        None => all.into_iter().filter(|s| s.name == wanted).collect(),
    };
    if found.is_empty() {
        let message = "no scenario is called so; `pathspider-lab list` shows all, and a file of \
                       your own ends in .toml";
        return Err(Error::invalid(wanted, message));
    }
    Ok(found)
}

/// Finds all that are wanted, as [`find`] does, each once.
///
/// # Errors
/// At the first that is not there.
pub fn find_all(wanted: &[String]) -> Result<Vec<Scenario>> {
    let mut all: Vec<Scenario> = Vec::new();
    for one in wanted {
        for scenario in find(one)? {
            if !all.iter().any(|known| known.name == scenario.name) {
                all.push(scenario);
            }
        }
    }
    Ok(all)
}

/// Reads one scenario; `subject` names it in errors.
///
/// # Errors
/// When it is not TOML, has unknown keys, or says what cannot be.
pub fn read(name: &str, subject: &str, text: &str) -> Result<Scenario> {
    let mut scenario: Scenario =
        toml::from_str(text).map_err(|error| Error::invalid(subject, error.to_string()))?;
    if scenario.name.is_empty() {
        scenario.name = name.into();
    }
    check(&scenario).map_err(|message| Error::invalid(subject, message))?;
    Ok(scenario)
}

fn check(scenario: &Scenario) -> std::result::Result<(), String> {
    if scenario.hops == 0 || scenario.hops > 60 {
        return Err(format!("hops is {}; there must be 1 to 60", scenario.hops));
    }
    if scenario.targets.versions.is_empty() {
        return Err("targets.versions is empty, so there is nothing to measure".into());
    }
    let hops = scenario.rules.iter().map(|rule| rule.hop);
    for hop in hops.chain(scenario.special_hops.iter().map(|hop| hop.number)) {
        if hop == 0 || hop > scenario.hops {
            return Err(format!("there is no hop {hop}; the path has 1 to {}", scenario.hops));
        }
    }
    for rule in &scenario.rules {
        if rule.probability.is_some_and(|p| !(0.0..=1.0).contains(&p)) {
            return Err("a probability is a number from 0 to 1".into());
        }
        if let super::Action::Reflect(action) = &rule.action
            && matches!(
                **action,
                super::Action::Reflect(_) | super::Action::Drop | super::Action::Reset
            )
        {
            return Err("what is reflected can be changed, and no more".into());
        }
        if let super::Action::Dscp(dscp @ 64..) = rule.action {
            return Err(format!("{dscp} is not a DSCP; they go from 0 to 63"));
        }
    }
    super::idle::reason(scenario).map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        read("a", "a.toml", text).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let text = "summary = 'x'\n[[rule]]\nhop = 1\naction = 'drop'\nprobabilty = 0.5\n";
        let message = error(text);
        assert!(message.contains("line 5") && message.contains("probabilty"), "{message}");
    }

    #[test]
    fn an_unknown_key_inside_an_action_is_refused() {
        let text = "summary = 'x'\n[[rule]]\nhop = 1\naction = { delay = { milis = 5 } }\n";
        assert!(error(text).contains("milis"));
    }

    #[test]
    fn a_hop_beyond_the_path_is_refused() {
        let text = "summary = 'x'\nhops = 2\n[[rule]]\nhop = 3\naction = 'drop'\n";
        assert_eq!(error(text), "a.toml: there is no hop 3; the path has 1 to 2");
    }

    #[test]
    fn the_examples_of_the_docs_can_be_read() {
        for name in ["half-stripped", "mptcp-reset"] {
            let path = format!("{}/examples/{name}.toml", env!("CARGO_MANIFEST_DIR"));
            assert_eq!(find(&path).unwrap()[0].name, name);
        }
    }

    #[test]
    fn a_name_comes_from_the_file() {
        assert_eq!(read("clean", "clean.toml", "summary = 'x'").unwrap().name, "clean");
    }
}
