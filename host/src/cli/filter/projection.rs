//! `--keys`: of each record only some keys, also such as stand in objects and lists.

use pathspider_plugin_api::{Record, Value, ValueRef};

/// The keys that are wanted, and which of them a record had.
#[derive(Debug, Default)]
pub(super) struct Projection {
    keys: Vec<String>,
    found: Vec<bool>,
}

/// A wanted key, or what of it is left within an object, with its place.
type Wanted<'k> = (usize, &'k str);

impl Projection {
    pub(super) fn new(keys: Vec<String>) -> Projection {
        Projection { found: vec![false; keys.len()], keys }
    }

    /// Whether all keys are wanted.
    pub(super) fn is_all(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether a record's key is wanted whole.
    pub(super) fn is_whole(&self, key: &str) -> bool {
        self.keys.iter().any(|wanted| wanted == key)
    }

    /// The record with the wanted keys alone, in its order.
    pub(super) fn of(&mut self, record: &Record) -> Record {
        let wanted: Vec<Wanted<'_>> =
            self.keys.iter().enumerate().map(|(at, key)| (at, key.as_str())).collect();
        in_record(record, &wanted, &mut self.found)
    }

    /// Those that no record had.
    pub(super) fn missing(&self) -> impl Iterator<Item = &str> {
        let pairs = self.keys.iter().zip(&self.found);
        pairs.filter(|(_, found)| !**found).map(|(key, _)| key.as_str())
    }
}

fn in_record(record: &Record, wanted: &[Wanted<'_>], found: &mut [bool]) -> Record {
    let mut kept = Record::new();
    for (key, value) in record.iter() {
        if let Some((at, _)) = wanted.iter().find(|(_, wanted)| *wanted == key) {
            found[*at] = true;
            kept.push(key.to_owned(), value.clone());
            continue;
        }
        let within: Vec<Wanted<'_>> =
            wanted.iter().filter_map(|wanted| within(key, *wanted)).collect();
        if let Some(value) = in_value(value, &within, found).filter(|_| !within.is_empty()) {
            kept.push(key.to_owned(), value);
        }
    }
    kept
}

/// What is wanted within the object of this key. A key may have dots itself, so each could be where an
/// object is entered.
fn within<'k>(key: &str, (at, wanted): Wanted<'k>) -> Option<Wanted<'k>> {
    Some((at, wanted.strip_prefix(key)?.strip_prefix('.')?))
}

/// What of a value is wanted, if anything.
fn in_value(value: &Value, wanted: &[Wanted<'_>], found: &mut [bool]) -> Option<Value> {
    match value.view() {
        ValueRef::Map(record) => {
            let kept = in_record(record, wanted, found);
            (!kept.is_empty()).then(|| kept.into())
        }
        ValueRef::List(list) => {
            let kept = list.iter().filter_map(|value| in_value(value, wanted, found));
            let kept: Vec<Value> = kept.collect();
            (!kept.is_empty()).then(|| kept.into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = r#"{"dip":"192.0.2.1","a.b":{"c":1,"d":2},"info":{"ASN":64500,"x":[1]},
        "flow_results":[{"config":0,"sp":1},{"sp":2},{"config":1}],"conditions":["ecn.works"]}"#;

    fn of(keys: &[&str]) -> (String, Vec<String>) {
        let mut projection = Projection::new(keys.iter().map(|&key| key.to_owned()).collect());
        let kept = projection.of(&serde_json::from_str(RECORD).unwrap());
        let missing = projection.missing().map(str::to_owned).collect();
        (serde_json::to_string(&kept).unwrap(), missing)
    }

    #[test]
    fn keys_of_objects_stay_in_their_objects() {
        for (keys, kept) in [
            (&["dip"][..], r#"{"dip":"192.0.2.1"}"#),
            (&["info.ASN", "dip"], r#"{"dip":"192.0.2.1","info":{"ASN":64500}}"#),
            (&["info", "info.ASN"], r#"{"info":{"ASN":64500,"x":[1]}}"#),
            (&["a.b.d"], r#"{"a.b":{"d":2}}"#),
            (&["a.b"], r#"{"a.b":{"c":1,"d":2}}"#),
            (&["flow_results.config"], r#"{"flow_results":[{"config":0},{"config":1}]}"#),
        ] {
            let (text, missing) = of(keys);
            assert_eq!(text, kept, "{keys:?}");
            // Of a key that is wanted whole, a part was found with it.
            assert!(missing.is_empty() || keys.len() == 2, "{keys:?}: {missing:?}");
        }
    }

    #[test]
    fn what_no_record_has_is_told() {
        for key in ["none", "info.none", "dip.x", "conditions.x", "a", "a.c", "flow_results.none"] {
            assert_eq!(of(&[key]), ("{}".to_owned(), vec![key.to_owned()]));
        }
    }
}
