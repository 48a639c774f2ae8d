//! How records are made and read.

use std::borrow::Cow;
use std::fmt;

use crate::abi::data::Entry;
use crate::{Record, Value};

impl Record {
    /// An empty record.
    pub fn new() -> Record {
        Record::default()
    }

    /// An empty record with room for `capacity` keys.
    pub fn with_capacity(capacity: usize) -> Record {
        Record { entries: Vec::with_capacity(capacity).into() }
    }

    /// Removes all keys, and keeps the memory for others.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// The number of keys.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries.iter().find(|e| e.key.as_str() == key).map(|e| &e.value)
    }

    /// Sets a key: replaces its value where it stands, or appends it.
    pub fn set(&mut self, key: impl Into<Cow<'static, str>>, value: impl Into<Value>) {
        let key = key.into();
        match self.entries.iter_mut().find(|e| e.key.as_str() == key) {
            Some(entry) => entry.value = value.into(),
            None => self.push(key, value),
        }
    }

    /// Appends a key that the caller knows to be new: faster than [`set`](Record::set), which
    /// looks for it first.
    #[inline]
    pub fn push(&mut self, key: impl Into<Cow<'static, str>>, value: impl Into<Value>) {
        self.entries.push(Entry { key: key.into().into(), value: value.into() });
    }

    /// Sets a key and returns the record, for building one in an expression.
    pub fn with(mut self, key: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Record {
        self.set(key, value);
        self
    }

    /// Removes a key, and returns its value.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let at = self.entries.iter().position(|e| e.key.as_str() == key)?;
        Some(self.entries.remove(at).value)
    }

    /// Takes over all keys of another record; where both have one, the other's value wins.
    pub fn extend(&mut self, other: Record) {
        self.join(other, |_| true);
    }

    /// The same, but a null of the other's, for what was not seen, takes no value away.
    #[cfg(feature = "driver")]
    pub(crate) fn extend_with_seen(&mut self, other: Record) {
        self.join(other, |value| !value.is_null());
    }

    /// Takes over all keys of another record. Where both have one, the other's value wins if it may.
    fn join(&mut self, other: Record, may_win: impl Fn(&Value) -> bool) {
        self.entries.reserve(other.len());
        let mut own_keys = KeyFilter::default();
        for entry in &self.entries {
            own_keys.add(&entry.key);
        }
        for entry in other.entries {
            let own = if own_keys.add(&entry.key) {
                self.entries.iter_mut().find(|own| own.key == entry.key)
            } else {
                None
            };
            match own {
                Some(own) if may_win(&entry.value) => own.value = entry.value,
                Some(_) => {}
                None => self.entries.push(entry),
            }
        }
    }

    /// Keys and values, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.entries.iter().map(|e| (e.key.as_str(), &e.value))
    }

    /// The truth value of a key; `None` when absent or of another type.
    pub fn bool(&self, key: &str) -> Option<bool> {
        self.get(key)?.as_bool()
    }

    /// The whole number of a key; `None` when absent, null or of another type.
    pub fn u64(&self, key: &str) -> Option<u64> {
        self.get(key)?.as_u64()
    }

    /// The text of a key; `None` when absent, null or of another type.
    pub fn str(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }
}

/// Keys that were seen, by a bit for each: tells of most others that they were not.
#[derive(Default)]
pub(crate) struct KeyFilter([u64; 4]);

impl KeyFilter {
    /// Adds a key; whether it may have been there.
    pub(crate) fn add(&mut self, key: &str) -> bool {
        let octets = key.as_bytes();
        let at = |place: usize| octets.get(place).map_or(0, |&octet| usize::from(octet));
        // Names of one family begin alike; what they end with differs.
        let (last, middle) = (at(octets.len().wrapping_sub(1)), at(octets.len() / 2));
        let before = at(octets.len().wrapping_sub(5));
        let sum = octets.len() * 7 + last * 31 + before * 13 + middle * 3 + at(0);
        let (word, bit) = (sum / 64 % 4, 1 << (sum % 64));
        let was_there = self.0[word] & bit != 0;
        self.0[word] |= bit;
        was_there
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: Into<Cow<'static, str>>, V: Into<Value>> FromIterator<(K, V)> for Record {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Record {
        let mut record = Record::new();
        for (key, value) in pairs {
            record.set(key, value);
        }
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_replaces_in_place_and_keeps_order() {
        let mut r = Record::new().with("a", 1u8).with("b", 2u8);
        r.set("a", "x");
        let seen: Vec<_> = r.iter().map(|(k, _)| k.to_owned()).collect();
        assert_eq!(seen, ["a", "b"]);
        assert_eq!(r.str("a"), Some("x"));
    }

    #[test]
    fn extend_lets_the_other_win() {
        let mut r = Record::new().with("a", 1u8).with("b", 2u8);
        r.extend(Record::new().with("c", 3u8).with("a", 9u8));
        assert_eq!(r.u64("a"), Some(9));
        assert_eq!(r.len(), 3);
        assert_eq!(r.remove("b"), Some(Value::from(2u8)));
        assert_eq!(r.get("b"), None);
    }
}
