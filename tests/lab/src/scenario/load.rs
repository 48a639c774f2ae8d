//! Owns reading scenarios: from a file, or by name from those that ship with the lab.

use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Scenario, builtin};
use crate::error::{Error, Result};
use crate::vantage;

/// Finds scenarios by what a person writes: a file, a name of one that ships with the lab, or the
/// beginning of several names followed by `*`.
///
/// # Errors
/// When nothing has this name, or the file is not a scenario.
pub fn find(wanted: &str) -> Result<Vec<Scenario>> {
    let path = Path::new(wanted);
    if path.extension().is_some_and(|extension| extension == "toml") {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Error::usage(wanted, format!("the file cannot be read: {error}")))?;
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        return read_all(&name.unwrap_or_default(), wanted, &text);
    }
    let all = builtin()?;
    let found: Vec<Scenario> = match wanted.strip_suffix('*') {
        Some(start) => all.into_iter().filter(|s| s.name.starts_with(start)).collect(),
        None => all.into_iter().filter(|s| s.name == wanted).collect(),
    };
    if found.is_empty() {
        let message = "no scenario has this name; `pathspider-lab list` shows all, and a file of \
                       your own ends in .toml";
        return Err(Error::usage(format!("{wanted:?}"), message));
    }
    Ok(found)
}

/// Finds all that are wanted, as [`find`] does, each once.
///
/// # Errors
/// At the first that is not there, or that is another one of the same name.
pub fn find_all(wanted: &[String]) -> Result<Vec<Scenario>> {
    let mut all: Vec<Scenario> = Vec::new();
    for one in wanted {
        for scenario in find(one)? {
            match all.iter().find(|known| known.name == scenario.name) {
                None => all.push(scenario),
                Some(known) if *known == scenario => {}
                Some(_) => {
                    let message =
                        format!("another path is named {} too; give it a `name`", scenario.name);
                    return Err(Error::usage(one.as_str(), message));
                }
            }
        }
    }
    Ok(all)
}

/// Several paths in one file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Several {
    path: Vec<Scenario>,
}

/// Reads a file of one scenario, or of several, each under `[[path]]`. One that has no name of its own has
/// the file's, and a number where there are several.
///
/// # Errors
/// As for [`read`]; or two of one file have the same name.
fn read_all(name: &str, subject: &str, text: &str) -> Result<Vec<Scenario>> {
    let is_several = text.parse::<toml::Table>().is_ok_and(|table| table.contains_key("path"));
    if !is_several {
        return Ok(vec![read(name, subject, text)?]);
    }
    let invalid = |message: String| Error::usage(subject, message);
    let several: Several = parsed(subject, text)?;
    let mut all: Vec<Scenario> = Vec::new();
    for (index, mut scenario) in several.path.into_iter().enumerate() {
        if scenario.name.is_empty() {
            scenario.name = format!("{name}-{}", index + 1);
        }
        let own = &scenario.name;
        check(&scenario).map_err(|message| invalid(format!("{own}: {message}")))?;
        if all.iter().any(|other| other.name == *own) {
            return Err(invalid(format!("two paths are named {own}")));
        }
        all.push(scenario);
    }
    Ok(all)
}

/// Reads one scenario; `subject` names it in errors.
///
/// # Errors
/// When it is not TOML, has unknown keys, or says what cannot be.
pub fn read(name: &str, subject: &str, text: &str) -> Result<Scenario> {
    let mut scenario: Scenario = parsed(subject, text)?;
    if scenario.name.is_empty() {
        scenario.name = name.into();
    }
    check(&scenario).map_err(|message| Error::usage(subject, message))?;
    Ok(scenario)
}

/// Reads TOML; says what is wrong in one line, with the number of the line where it is.
fn parsed<T: DeserializeOwned>(subject: &str, text: &str) -> Result<T> {
    toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map(|before| format!(":{}", before.matches('\n').count() + 1));
        let message: Vec<&str> = error.message().lines().map(str::trim).collect();
        Error::usage(format!("{subject}{}", line.unwrap_or_default()), message.join(", "))
    })
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
    let matches = scenario.rules.iter().map(|rule| &rule.matching);
    for number in matches.filter_map(|matching| matching.vantage) {
        if number == 0 || number > vantage::MOST {
            return Err(format!(
                "there is no vantage point {number}; they are 1 to {}",
                vantage::MOST
            ));
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
        assert!(message.starts_with("a.toml:5: ") && message.contains("probabilty"), "{message}");
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
    fn a_file_may_have_several_paths() {
        let text = "[[path]]\nname = 'well'\nsummary = 'x'\n[[path]]\nsummary = 'y'\n\
                    [[path.rule]]\nhop = 1\nmatch = { address = '10.64.0.1', vantage = 2 }\naction = 'drop'\n";
        let all = read_all("a", "a.toml", text).unwrap();
        let names: Vec<&str> = all.iter().map(|scenario| scenario.name.as_str()).collect();
        assert_eq!(names, ["well", "a-2"]);
        let said = |text: &str| read_all("a", "a.toml", text).unwrap_err().to_string();
        assert!(said(&text.replace("hop = 1", "hop = 9")).contains("a-2: there is no hop 9"));
        assert!(said(&text.replace("vantage = 2", "vantage = 0")).contains("no vantage point 0"));
        assert!(
            said(&text.replace("'y'", "'y'\nname = 'well'")).contains("two paths are named well")
        );
        assert!(said(&text.replace("summary = 'y'", "summary = 'y'\nhopps = 3")).contains("hopps"));
        assert!(said("summary = 'x'\n[[path]]\nsummary = 'y'\n").contains("summary"));
    }

    #[test]
    fn two_paths_of_one_name_are_refused_and_one_is_taken_once() {
        let folder =
            std::env::temp_dir().join(format!("pathspider-lab-names-{}", std::process::id()));
        let file = |part: &str, summary: &str| {
            std::fs::create_dir_all(folder.join(part)).unwrap();
            let file = folder.join(part).join("near.toml");
            std::fs::write(&file, format!("summary = '{summary}'")).unwrap();
            file.display().to_string()
        };
        let [one, other] = [file("a", "x"), file("b", "y")];
        assert_eq!(find_all(&[one.clone(), one.clone()]).unwrap().len(), 1);
        let message = find_all(&[one, other]).unwrap_err().to_string();
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(message.contains("another path is named near too"), "{message}");
    }

    #[test]
    fn a_name_comes_from_the_file() {
        assert_eq!(read("clean", "clean.toml", "summary = 'x'").unwrap().name, "clean");
    }
}
