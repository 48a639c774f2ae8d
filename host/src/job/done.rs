//! The targets that an earlier run has measured, when a run goes on after it.
//!
//! A target is the same by what makes it one of its own: address and port, or the name where the
//! measurement takes names. So the input may have grown or been put in another order since. Only
//! where every line counts (`--duplicates`), and for names whose address may be another one by
//! now, it is the same by its line.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

use super::seen::Seen;

/// What tells a target, as its record says.
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
}

impl Done {
    /// None yet. `names`: the measurement takes names; `duplicates`: every line counts.
    pub(crate) fn new(names: bool, duplicates: bool) -> Done {
        Done { names, duplicates, ..Done::default() }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Adds one.
    pub(crate) fn add(&mut self, target: &Identity) {
        self.count += 1;
        self.lines.insert(line_hash(target.line, target.domain.as_deref()));
        match target {
            Identity { domain: Some(domain), .. } if self.names => {
                self.seen.is_new_name(domain);
            }
            Identity { address: Some(address), port: Some(port), .. } => {
                self.seen.is_new(*address, *port);
            }
            _ => {}
        }
    }

    /// Whether a target is one of them. `name`: the one that a measurement takes.
    pub(super) fn has(
        &self,
        line: u64,
        domain: Option<&str>,
        place: (Option<IpAddr>, u16),
        name: Option<&str>,
    ) -> bool {
        if self.duplicates {
            return self.has_line(line, domain);
        }
        match (name, place) {
            (Some(name), _) => self.seen.has_name(name),
            (None, (Some(address), port)) => self.seen.has(address, port),
            (None, (None, _)) => false,
        }
    }

    /// Whether the target of a line is one of them, that has this domain.
    pub(super) fn has_line(&self, line: u64, domain: Option<&str>) -> bool {
        self.lines.contains(&line_hash(line, domain))
    }
}

fn line_hash(line: u64, domain: Option<&str>) -> u64 {
    let mut hasher = DefaultHasher::new();
    (line, domain.unwrap_or_default().trim_end_matches('.').to_ascii_lowercase()).hash(&mut hasher);
    hasher.finish()
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
        let v4: IpAddr = "192.0.2.1".parse().unwrap();
        let mut done = Done::new(false, false);
        done.add(&identity(3, "192.0.2.1", 80, Some("A.example.")));
        assert!(done.has(9, None, (Some(v4), 80), None), "wherever it stands now");
        assert!(!done.has(3, None, (Some(v4), 443), None));
        assert!(done.has_line(3, Some("a.example")) && !done.has_line(3, Some("b.example")));
        let mut done = Done::new(true, false);
        done.add(&identity(3, "192.0.2.1", 53, Some("a.example")));
        assert!(done.has(1, Some("A.example"), (None, 53), Some("A.example")));
        let mut done = Done::new(false, true);
        done.add(&identity(3, "192.0.2.1", 80, None));
        assert!(done.has(3, None, (Some(v4), 80), None));
        assert!(!done.has(4, None, (Some(v4), 80), None), "another line");
    }
}
