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
    pub(crate) fn take(&self, key: &str, value: &Value, found: &mut [Vec<Cow<'_, str>>]) {
        for (path, found) in self.paths.iter().zip(found) {
            if let Some(rest) = path.below(key) {
                within(value, rest, found);
            }
        }
    }

    /// Takes a record's key whose value is a single one, as it is shown.
    pub(crate) fn take_one<'a>(
        &self,
        key: &str,
        shown: Cow<'a, str>,
        found: &mut [Vec<Cow<'a, str>>],
    ) {
        for (path, found) in self.paths.iter().zip(found) {
            if path.text == key {
                add(shown.clone(), found);
            }
        }
    }
}

/// The bit of a name's first octet; of none, all bits.
fn begin(name: &str) -> u128 {
    name.as_bytes().first().map_or(u128::MAX, |octet| 1 << (octet & 127))
}

/// Collects the values that a key leads to; of a list, any element's.
fn within(value: &Value, rest: &str, found: &mut Vec<Cow<'_, str>>) {
    match value {
        Value::Array(list) => {
            list.iter().take(MOST_ELEMENTS).for_each(|element| within(element, rest, found));
        }
        Value::Object(object) if !rest.is_empty() => {
            if let Some(value) = object.get(rest) {
                return within(value, "", found);
            }
            for (at, _) in rest.match_indices('.') {
                if let Some(value) = object.get(&rest[..at]) {
                    within(value, &rest[at + 1..], found);
                }
            }
        }
        _ if !rest.is_empty() => {}
        Value::String(text) => add(text.clone().into(), found),
        Value::Number(number) => add(number.to_string().into(), found),
        Value::Bool(value) => add(value.to_string().into(), found),
        Value::Null | Value::Object(_) => {}
    }
}

/// A record counts once for each of its values.
fn add<'a>(value: Cow<'a, str>, found: &mut Vec<Cow<'a, str>>) {
    if !found.contains(&value) {
        found.push(value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn values(path: &str, key: &str, value: &Value) -> Vec<Cow<'static, str>> {
        let mut found = vec![Vec::new()];
        Wanted::new(vec![KeyPath::new(path)]).take(key, value, &mut found);
        found.remove(0)
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
