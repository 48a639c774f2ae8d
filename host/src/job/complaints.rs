//! What is said of lines that are no targets: the first that is wrong in some way at once, and how many
//! more there are when the input has ended.

use std::collections::HashMap;

use super::wrong::{Sort, Wrong};

/// So many lines that are wrong in the same way are each named.
const NAMED: usize = 3;

/// Ways to be wrong that are kept apart. The resolver's reasons are a system's texts, and so bounded too.
const SORTS: usize = 1000;

/// Lines that are no targets.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    /// In the order of their first line.
    sorts: Vec<Complaint>,
    places: HashMap<Sort, usize>,
}

/// Lines that are wrong in the same way.
#[derive(Debug)]
struct Complaint {
    /// The line that was named at once.
    named: u64,
    last: u64,
    count: u64,
    /// The lines after the first, while each may still be named.
    held: Vec<String>,
}

impl Complaints {
    /// Takes a line; gives what is to be said at once.
    pub(super) fn hear(&mut self, input: &str, line: u64, wrong: &Wrong) -> Option<String> {
        let message = || format!("{input}:{line}: not a job: {wrong}");
        let sort = wrong.sort();
        match self.places.get(&sort) {
            Some(&place) => {
                let complaint = &mut self.sorts[place];
                complaint.count += 1;
                // Names are answered in any order.
                complaint.last = complaint.last.max(line);
                if complaint.held.len() < NAMED {
                    complaint.held.push(message());
                }
                None
            }
            None => {
                if self.sorts.len() < SORTS {
                    self.places.insert(sort, self.sorts.len());
                    let held = Vec::new();
                    self.sorts.push(Complaint { named: line, last: line, count: 1, held });
                }
                Some(message())
            }
        }
    }

    /// What is still to be said; nothing is said twice.
    pub(super) fn rest(&mut self, input: &str) -> Vec<String> {
        let mut said = Vec::new();
        for complaint in self.sorts.drain(..) {
            let Complaint { named, last, count, held } = complaint;
            match count {
                0..=1 => {}
                _ if count as usize <= NAMED => said.extend(held),
                _ => said.push(format!(
                    "{input}: {} more lines, the last of them line {last}, are not jobs for the \
                     reason of line {named}",
                    count - 1
                )),
            }
        }
        self.places.clear();
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_named_and_many_are_summed_up() {
        let mut complaints = Complaints::default();
        let name = |text: &str| Wrong::no_name(text, "why");
        assert_eq!(
            complaints.hear("f", 1, &name("a")).as_deref(),
            Some("f:1: not a job: \"a\" is neither an IP address nor a name: why")
        );
        assert_eq!(complaints.hear("f", 2, &name("b")), None);
        assert!(complaints.hear("f", 3, &Wrong::Nothing).is_some(), "another way to be wrong");
        assert_eq!(complaints.hear("f", 4, &Wrong::Nothing), None);
        assert_eq!(complaints.hear("f", 5, &Wrong::Nothing), None);
        for line in 6..=14 {
            assert_eq!(complaints.hear("f", line, &name("c")), None);
        }
        let rest = complaints.rest("f");
        assert_eq!(
            rest[0],
            "f: 10 more lines, the last of them line 14, are not jobs for the reason of line 1"
        );
        assert!(rest[1].starts_with("f:4: ") && rest[2].starts_with("f:5: "), "{rest:?}");
        assert_eq!(rest.len(), 3);
        assert_eq!(complaints.rest("f"), Vec::<String>::new());
    }
}
