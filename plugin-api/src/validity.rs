//! What makes a record invalid: what JSON cannot say, and what readers would take two ways.

use std::collections::HashSet;

use crate::abi::data::Entry;
use crate::record::KeyFilter;
use crate::{Record, Value, ValueRef};

/// Records in records, to this depth.
const DEPTH: usize = 32;
/// Keys up to which comparing all is cheaper than a set.
const FEW: usize = 48;

impl Record {
    /// What makes the record invalid, if anything: a key that stands in it twice (only
    /// [`push`](Record::push) can do that) or is empty, a number that JSON does not have, or records
    /// nested without end.
    pub fn defect(&self) -> Option<String> {
        of_record(self, DEPTH)
    }
}

fn of_record(record: &Record, depth: usize) -> Option<String> {
    if depth == 0 {
        return Some(format!("it is nested deeper than {DEPTH} levels"));
    }
    let entries = record.entries.as_slice();
    if let Some(key) = repeated(entries) {
        return Some(format!("the key {key:?} stands in it twice"));
    }
    entries.iter().find_map(|entry| {
        if entry.key.is_empty() {
            return Some("it has an empty key".to_owned());
        }
        of_value(&entry.value, depth).map(|defect| format!("{}: {defect}", entry.key.as_str()))
    })
}

fn repeated(entries: &[Entry]) -> Option<&str> {
    if entries.len() <= FEW {
        let mut seen = KeyFilter::default();
        let is_again = |at: &usize| {
            let key = &entries[*at].key;
            seen.add(key) && entries[..*at].iter().any(|entry| entry.key == *key)
        };
        return (0..entries.len()).find(is_again).map(|at| entries[at].key.as_str());
    }
    let mut seen = HashSet::with_capacity(entries.len());
    entries.iter().map(|entry| entry.key.as_str()).find(|key| !seen.insert(*key))
}

fn of_value(value: &Value, depth: usize) -> Option<String> {
    match value.view() {
        ValueRef::Float(number) if !number.is_finite() => {
            Some(format!("{number} is no number in JSON"))
        }
        ValueRef::List(list) if depth == 0 => Some(format!("{} values too deep", list.len())),
        ValueRef::List(list) => list.iter().find_map(|value| of_value(value, depth - 1)),
        ValueRef::Map(record) => of_record(record, depth.saturating_sub(1)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_records_have_no_defect() {
        let inner = Record::new().with("a", 1.5).with("b", Value::NULL);
        let list: Value = [1u8, 2].into_iter().collect();
        let record = Record::new().with("a", inner).with("l", list);
        assert_eq!(record.defect(), None);
        let many: Record = (0..100).map(|n| (format!("k{n}"), 0u8)).collect();
        assert_eq!(many.defect(), None);
    }

    #[test]
    fn each_defect_is_named() {
        let mut twice = Record::new().with("a", 1u8);
        twice.push("a", 2u8);
        assert_eq!(twice.defect().unwrap(), "the key \"a\" stands in it twice");
        let mut many: Record = (0..100).map(|n| (format!("k{n}"), 0u8)).collect();
        many.push("k7", 0u8);
        assert!(many.defect().unwrap().contains("\"k7\""));
        let nan = Record::new().with("o", Record::new().with("x", f64::NAN));
        assert_eq!(nan.defect().unwrap(), "o: x: NaN is no number in JSON");
        let list: Value = [f64::INFINITY].into_iter().collect();
        assert!(Record::new().with("l", list).defect().is_some());
        let mut deep = Record::new();
        for _ in 0..100 {
            deep = Record::new().with("d", deep);
        }
        assert!(deep.defect().unwrap().contains("deeper"));
    }
}
