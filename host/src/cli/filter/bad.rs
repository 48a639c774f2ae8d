//! What is said of lines that are no records: the first ten that are wrong in one way, and how many more
//! there are.

use std::collections::HashMap;

/// The first lines that are wrong in the same way are named one by one: this many.
const NAMED: u64 = 10;

/// How many kinds of wrong lines are counted separately; later kinds are only counted together.
const WAYS: usize = 1000;

/// Lines that are no records.
#[derive(Debug, Default)]
pub(super) struct Bad {
    /// The place of each way in `counts`.
    ways: HashMap<String, usize>,
    /// In the order in which they came first.
    counts: Vec<Way>,
    total: u64,
}

/// Lines of one input that are wrong in one way.
#[derive(Debug)]
struct Way {
    input: String,
    reason: String,
    count: u64,
    last: u64,
}

impl Bad {
    /// Takes a line; gives what is to be said of it at once.
    pub(super) fn take(&mut self, input: &str, line: u64, reason: &str) -> Option<String> {
        self.total += 1;
        let at = self.way(input, reason)?;
        let way = &mut self.counts[at];
        way.count += 1;
        way.last = line;
        (way.count <= NAMED).then(|| format!("{input}:{line}: not a record: {reason}"))
    }

    /// What was not said: how many more lines are wrong in each way.
    pub(super) fn rest(&self) -> impl Iterator<Item = String> {
        self.counts.iter().filter(|way| way.count > NAMED).map(|way| {
            let Way { input, reason, count, last } = way;
            let more = count - NAMED;
            format!("{input}: {more} more like these, up to line {last}: not records: {reason}")
        })
    }

    /// How many there were.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    fn way(&mut self, input: &str, reason: &str) -> Option<usize> {
        // Places in the line do not make it another way.
        let letters = reason.chars().filter(|c| !c.is_ascii_digit());
        let key: String = input.chars().chain(['\n']).chain(letters).collect();
        let next = self.counts.len();
        match self.ways.get(&key) {
            Some(&at) => Some(at),
            None if next >= WAYS => None,
            None => {
                let (input, reason) = (input.to_owned(), reason.to_owned());
                self.counts.push(Way { input, reason, count: 0, last: 0 });
                self.ways.insert(key, next);
                Some(next)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_alike_are_named_and_the_rest_is_summed_up() {
        let mut bad = Bad::default();
        let said: Vec<String> = (1..=25)
            .filter_map(|line| bad.take("f", line, &format!("bad at column {line}")))
            .collect();
        assert_eq!((said.len(), bad.total()), (10, 25));
        assert_eq!(said[9], "f:10: not a record: bad at column 10");
        assert!(bad.take("f", 26, "another way").is_some());
        let rest: Vec<String> = bad.rest().collect();
        assert_eq!(rest, ["f: 15 more like these, up to line 25: not records: bad at column 1"]);
    }
}
