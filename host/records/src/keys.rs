//! Keys of records by which they are grouped: `dp`, `info.ASN`.

use std::borrow::Cow;

use serde_json::Value;

/// The most elements of a list that count as values of a key.
const MOST_ELEMENTS: usize = 64;

/// A key; a dot goes into objects. A key may have dots itself, so each could be such a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPath {
    text: String,
}

/// The keys whose values are wanted of each record.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    paths: Vec<KeyPath>,
    /// A bit for each octet that a name begins with, of 128.
    begins: u128,
}

impl KeyPath {
    /// The key of this name.
    pub fn new(text: impl Into<String>) -> KeyPath {
        KeyPath { text: text.into() }
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What remains of it inside of the value of a record's key; `None` where that leads nowhere.
    fn below<'p>(&'p self, key: &str) -> Option<&'p str> {
        let rest = self.text.strip_prefix(key)?;
        if rest.is_empty() { Some(rest) } else { rest.strip_prefix('.') }
    }
}

impl Wanted {
    /// These keys, whose numbers are their places.
    pub fn new(paths: Vec<KeyPath>) -> Wanted {
        let begins = paths.iter().fold(0, |bits, path| bits | begin(&path.text));
        Wanted { paths, begins }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.paths.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// The keys.
    pub fn paths(&self) -> &[KeyPath] {
        &self.paths
    }

    /// Whether a record's key leads to one of them.
    pub(crate) fn has(&self, key: &str) -> bool {
        // Asked of each key of each record, and seldom so.
        self.begins & begin(key) != 0 && self.paths.iter().any(|path| path.below(key).is_some())
    }

    /// Takes from a record's key what is wanted of it.
    pub(crate) fn take(&self, key: &str, value: &Value, found: &mut Found<'_>) {
        for (number, path) in self.paths.iter().enumerate() {
            if let Some(rest) = path.below(key) {
                within(value, rest, number, found);
            }
        }
    }

    /// Takes a record's key whose value is a single one, as it is shown.
    pub(crate) fn take_one<'a>(&self, key: &str, shown: Cow<'a, str>, found: &mut Found<'a>) {
        for (number, path) in self.paths.iter().enumerate() {
            if path.text == key {
                found.add(number, shown.clone());
            }
        }
    }
}

/// The values of the keys that were wanted of a record, with the keys' numbers. Most records have few of
/// them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found<'a>(Vec<(usize, Cow<'a, str>)>);

impl<'a> Found<'a> {
    /// A record counts once for each of its values.
    fn add(&mut self, number: usize, value: Cow<'a, str>) {
        if !self.0.iter().any(|(other, there)| *other == number && *there == value) {
            self.0.push((number, value));
        }
    }

    /// The values of the key of this number.
    pub fn of(&self, number: usize) -> impl Iterator<Item = &str> {
        let of_key = self.0.iter().filter(move |(other, _)| *other == number);
        of_key.map(|(_, value)| &**value)
    }
}

/// The bit of a name's first octet; of none, all bits.
fn begin(name: &str) -> u128 {
    name.as_bytes().first().map_or(u128::MAX, |octet| 1 << (octet & 127))
}

/// Collects the values that a key leads to; of a list, any element's.
fn within(value: &Value, rest: &str, number: usize, found: &mut Found<'_>) {
    match value {
        Value::Array(list) => {
            let elements = list.iter().take(MOST_ELEMENTS);
            elements.for_each(|element| within(element, rest, number, found));
        }
        Value::Object(object) if !rest.is_empty() => {
            if let Some(value) = object.get(rest) {
                return within(value, "", number, found);
            }
            for (at, _) in rest.match_indices('.') {
                if let Some(value) = object.get(&rest[..at]) {
                    within(value, &rest[at + 1..], number, found);
                }
            }
        }
        _ if !rest.is_empty() => {}
        Value::String(text) => found.add(number, text.clone().into()),
        Value::Number(of) => found.add(number, of.to_string().into()),
        Value::Bool(value) => found.add(number, value.to_string().into()),
        Value::Null | Value::Object(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn values(path: &str, key: &str, value: &Value) -> Vec<String> {
        let mut found = Found::default();
        Wanted::new(vec![KeyPath::new(path)]).take(key, value, &mut found);
        found.of(0).map(str::to_owned).collect()
    }

    #[test]
    fn keys_lead_into_objects_and_lists() {
        let info =
            json!({"ASN": 64500, "geo": {"country": "CH"}, "a.b": true, "tags": ["x", "y", "x"]});
        assert_eq!(values("info.ASN", "info", &info), ["64500"]);
        assert_eq!(values("info.geo.country", "info", &info), ["CH"]);
        assert_eq!(values("info.a.b", "info", &info), ["true"]);
        assert_eq!(values("info.tags", "info", &info), ["x", "y"]);
        assert_eq!(values("i.j", "i.j", &json!("x")), ["x"]);
        for (path, key) in
            [("info", "info"), ("info.none", "info"), ("inf", "info"), ("information", "info")]
        {
            assert!(values(path, key, &info).is_empty(), "{path}");
        }
        assert!(values("x", "x", &Value::Null).is_empty());
    }
}
