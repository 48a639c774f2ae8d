//! The targets that an earlier run has measured, when a run goes on after it.
//!
//! A target is the same by what makes it one of its own: address and port, or the name where the
//! measurement takes names. So the input may have grown or been put in another order since. Only
//! where every line counts (`--duplicates`), and for names whose address may be another one by
//! now, it is the same by its line.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

use foldhash::fast::RandomState;
use pathspider_plugin_api::{Class, ConditionInfo};

use super::seen::{Seen, plain_name};
use crate::rounds::{Folds, Standing};

/// What tells a target, as its record says. A name that the input gave without a port has none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Identity {
    /// The line that it came from.
    pub(crate) line: u64,
    pub(crate) address: Option<IpAddr>,
    pub(crate) port: Option<u16>,
    pub(crate) domain: Option<String>,
}

/// The targets.
#[derive(Default)]
pub struct Done {
    seen: Seen,
    lines: HashSet<u64>,
    count: u64,
    names: bool,
    duplicates: bool,
    rounds: Option<Rounds>,
}

/// What the rounds of each target came to, where it was measured in rounds.
struct Rounds {
    /// Declared by the measurement.
    conditions: Vec<ConditionInfo>,
    standings: HashMap<TargetKey, Standing, RandomState>,
    folds: Folds,
}

/// What a target is known by.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) enum TargetKey {
    Line(u64),
    Name(Box<str>),
    Address(IpAddr, u16),
}

impl Identity {
    /// What it is known by: `names` and `duplicates` as in [`Done::new`]. `None` of one that lacks it.
    pub(crate) fn key(&self, names: bool, duplicates: bool) -> Option<TargetKey> {
        if duplicates {
            return Some(TargetKey::Line(self.line_hash(names)));
        }
        let name = self.domain.as_deref().filter(|domain| names && !domain.is_empty());
        match name {
            Some(name) => Some(TargetKey::Name(plain_name(name).into())),
            None => Some(TargetKey::Address(self.address?, self.port?)),
        }
    }

    fn line_hash(&self, names: bool) -> u64 {
        line_hash(names, self.line, self.port, self.domain.as_deref())
    }
}

/// Of names, the port may be a result of the measurement.
fn line_hash(names: bool, line: u64, port: Option<u16>, domain: Option<&str>) -> u64 {
    let mut hasher = DefaultHasher::new();
    let port = port.filter(|_| !names);
    (line, port, plain_name(domain.unwrap_or_default())).hash(&mut hasher);
    hasher.finish()
}

impl Done {
    /// None yet. `names`: the measurement takes names; `duplicates`: every line counts.
    pub(crate) fn new(names: bool, duplicates: bool) -> Done {
        Done { names, duplicates, ..Done::default() }
    }

    /// The same for targets that are measured in rounds, by a measurement with these conditions.
    pub(crate) fn in_rounds(self, conditions: Vec<ConditionInfo>) -> Done {
        let (standings, folds) = (HashMap::default(), Folds::default());
        Done { rounds: Some(Rounds { conditions, standings, folds }), ..self }
    }

    /// Whether targets are measured in rounds.
    pub(crate) fn is_in_rounds(&self) -> bool {
        self.rounds.is_some()
    }

    /// What the rounds of the targets came to, given up; their standings refer to it.
    pub(crate) fn take_folds(&mut self) -> Folds {
        self.rounds.as_mut().map(|rounds| std::mem::take(&mut rounds.folds)).unwrap_or_default()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Adds one.
    pub(crate) fn add(&mut self, target: &Identity) {
        self.count += 1;
        self.lines.insert(target.line_hash(self.names));
        match target {
            // As in the gate: an empty name is none.
            Identity { domain: Some(domain), .. } if self.names && !domain.is_empty() => {
                self.seen.is_new_name(domain);
            }
            Identity { address: Some(address), port: Some(port), .. } => {
                self.seen.is_new(*address, *port);
            }
            _ => {}
        }
    }

    /// Adds a target's next round, which came to these conditions.
    pub(crate) fn add_round(&mut self, target: &Identity, round: u16, conditions: &[String]) {
        if round == 0 || self.rounds.is_none() {
            self.add(target);
        }
        let key = target.key(self.names, self.duplicates);
        if let (Some(key), Some(rounds)) = (key, &mut self.rounds) {
            let Rounds { conditions: declared, standings, folds } = rounds;
            let declared = &*declared;
            let classed = |condition: &String| -> Option<Class> {
                let info = declared.iter().find(|info| info.covers(condition));
                info.map(|info| info.class)
            };
            // What several rounds came to is not declared.
            let conditions = conditions.iter();
            let found = conditions.filter_map(|text| Some((text.as_str(), classed(text)?)));
            standings.entry(key).or_default().add(folds, found);
        }
    }

    /// Where a target stands.
    pub(super) fn standing(&self, target: &Identity) -> Standing {
        let found = self.rounds.as_ref().and_then(|rounds| {
            rounds.standings.get(&target.key(self.names, self.duplicates)?).copied()
        });
        found.unwrap_or_default()
    }

    /// Whether a target is one of them. `name`: the one that a measurement takes.
    pub(super) fn has(&self, target: &Identity, name: Option<&str>) -> bool {
        if self.duplicates {
            return self.has_line(target.line, target.port, target.domain.as_deref());
        }
        match (name, target.address, target.port) {
            (Some(name), ..) => self.seen.has_name(name),
            (None, Some(address), Some(port)) => self.seen.has(address, port),
            (None, ..) => false,
        }
    }

    /// Whether the target of a line is one of them, that has this port and domain.
    pub(crate) fn has_line(&self, line: u64, port: Option<u16>, domain: Option<&str>) -> bool {
        self.lines.contains(&line_hash(self.names, line, port, domain))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(line: u64, address: &str, port: u16, domain: Option<&str>) -> Identity {
        Identity {
            line,
            address: address.parse().ok(),
            port: Some(port),
            domain: domain.map(str::to_owned),
        }
    }

    #[test]
    fn targets_are_known_again() {
        let mut done = Done::new(false, false);
        done.add(&identity(3, "192.0.2.1", 80, Some("A.example.")));
        assert!(done.has(&identity(9, "192.0.2.1", 80, None), None), "wherever it stands now");
        assert!(!done.has(&identity(3, "192.0.2.1", 443, None), None));
        assert!(done.has_line(3, Some(80), Some("a.example")));
        assert!(!done.has_line(3, Some(80), Some("b.example")));
        assert!(!done.has_line(3, Some(443), Some("a.example")), "another port");
        let mut done = Done::new(true, false);
        done.add(&identity(3, "192.0.2.1", 53, Some("a.example")));
        assert!(done.has(&identity(1, "", 53, Some("A.example")), Some("A.example")));
        done.add(&identity(4, "192.0.2.1", 53, Some("")));
        assert!(done.has(&identity(4, "192.0.2.1", 53, Some("")), None), "an empty name is none");
        let mut done = Done::new(false, true);
        done.add(&identity(3, "192.0.2.1", 80, None));
        assert!(done.has(&identity(3, "192.0.2.1", 80, None), None));
        assert!(!done.has(&identity(4, "192.0.2.1", 80, None), None), "another line");
    }
}
