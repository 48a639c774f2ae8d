//! What a record has to be like to be picked.

use std::str::FromStr;

use pathspider_plugin_api::{Record, Value, ValueRef};
use wildmatch::WildMatch;

/// A condition, perhaps with wildcards; without a colon, of the condition's name alone.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    text: String,
    glob: WildMatch,
    has_value: bool,
}

/// What a key's value has to be.
#[derive(Debug, Clone)]
pub(super) struct KeyTest {
    key: String,
    /// `None`: any.
    value: Option<WildMatch>,
    negated: bool,
}

/// All tests together.
#[derive(Debug, Default)]
pub(super) struct Criteria {
    pub(super) with: Vec<Pattern>,
    pub(super) without: Vec<Pattern>,
    pub(super) keys: Vec<KeyTest>,
    pub(super) any: bool,
    pub(super) invert: bool,
}

/// A record's conditions.
pub(super) fn conditions(record: &Record) -> impl Iterator<Item = &str> {
    let list = record.get("conditions").and_then(Value::as_list).unwrap_or_default();
    list.iter().filter_map(Value::as_str)
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Pattern, String> {
        if text.is_empty() {
            return Err("it names no condition".to_owned());
        }
        let (glob, has_value) = (WildMatch::new(text), text.contains(':'));
        Ok(Pattern { text: text.to_owned(), glob, has_value })
    }
}

impl Pattern {
    fn matches(&self, condition: &str) -> bool {
        match condition.split_once(':') {
            Some((name, _)) if !self.has_value => self.glob.matches(name),
            _ => self.glob.matches(condition),
        }
    }

    /// As it was given.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether a record has such a condition.
    pub(super) fn is_in(&self, record: &Record) -> bool {
        conditions(record).any(|condition| self.matches(condition))
    }
}

impl FromStr for KeyTest {
    type Err = String;

    fn from_str(text: &str) -> Result<KeyTest, String> {
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key, Some(WildMatch::new(value))),
            None => (text, None),
        };
        let (key, negated) = match key.strip_suffix('!') {
            Some(key) => (key, true),
            None => (key, false),
        };
        if key.is_empty() {
            return Err("it names no key".to_owned());
        }
        if negated && value.is_none() {
            return Err("it ends in an exclamation mark; KEY!=PATTERN negates".to_owned());
        }
        Ok(KeyTest { key: key.to_owned(), value, negated })
    }
}

impl KeyTest {
    /// The key that it is about.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// Whether a record has that key, whatever its value is.
    pub(super) fn names_a_key_of(&self, record: &Record) -> bool {
        let any = KeyTest { key: String::new(), value: None, negated: false };
        any.in_record(record, &self.key)
    }

    fn passes(&self, record: &Record) -> bool {
        self.in_record(record, &self.key) != self.negated
    }

    fn in_record(&self, record: &Record, key: &str) -> bool {
        if let Some(value) = record.get(key) {
            return self.in_value(value, "");
        }
        // A key may have dots itself, so each could be where an object is entered.
        key.match_indices('.').any(|(at, _)| {
            record.get(&key[..at]).is_some_and(|value| self.in_value(value, &key[at + 1..]))
        })
    }

    fn in_value(&self, value: &Value, rest: &str) -> bool {
        match value.view() {
            ValueRef::List(list) => list.iter().any(|value| self.in_value(value, rest)),
            ValueRef::Map(record) if !rest.is_empty() => self.in_record(record, rest),
            ValueRef::Null => rest.is_empty() && self.is_text("null"),
            _ if !rest.is_empty() => false,
            ValueRef::Text(text) => self.is_text(text),
            // Objects, too: as they are written.
            _ => serde_json::to_string(value).is_ok_and(|text| self.is_text(&text)),
        }
    }

    fn is_text(&self, text: &str) -> bool {
        self.value.as_ref().is_none_or(|glob| glob.matches(text))
    }
}

impl Criteria {
    /// Whether a record is picked. Without any test, all are.
    pub(super) fn pick(&self, record: &Record) -> bool {
        let with = self.with.iter().map(|pattern| pattern.is_in(record));
        let without = self.without.iter().map(|pattern| !pattern.is_in(record));
        let keys = self.keys.iter().map(|test| test.passes(record));
        let mut tests = with.chain(without).chain(keys).peekable();
        let passes = if self.any && tests.peek().is_some() {
            tests.any(|passes| passes)
        } else {
            tests.all(|passes| passes)
        };
        passes != self.invert
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = r#"{"dip":"192.0.2.1","dp":80,"rank":7,"a.b":{"c":1},"none":null,
        "info":{"ASN":64500,"tags":["x","y"]},"path":["192.0.2.9","AS64500","*"],
        "conditions":["ecn.connectivity.works","dscp.46.replymark:0","mss.option.remote.value:1460"],
        "flow_results":[{"config":0,"observed":true},{"config":1,"observed":false}]}"#;

    fn record() -> Record {
        serde_json::from_str(RECORD).unwrap()
    }

    fn with(pattern: &str) -> bool {
        pattern.parse::<Pattern>().unwrap().is_in(&record())
    }

    fn key(test: &str) -> bool {
        test.parse::<KeyTest>().unwrap().passes(&record())
    }

    #[test]
    fn conditions_by_name_by_glob_and_with_value() {
        for pattern in [
            "ecn.connectivity.works",
            "ecn.connectivity.*",
            "*.works",
            "dscp.*.replymark",
            "dscp.46.replymark:0",
            "dscp.*.replymark:?",
            "mss.option.remote.value:14*",
            "*",
        ] {
            assert!(with(pattern), "{pattern}");
        }
        for pattern in [
            "ecn",
            "ecn.connectivity",
            "ecn.connectivity.work",
            "dscp.46.replymark:1",
            "dscp.46.replymark:",
            "ecn.connectivity.works:1",
            "*.1460",
        ] {
            assert!(!with(pattern), "{pattern}");
        }
        assert!("".parse::<Pattern>().is_err());
    }

    #[test]
    fn keys_in_objects_and_lists() {
        for test in [
            "dip=192.0.2.*",
            "dp=80",
            "rank",
            "rank!=8",
            "a.b.c=1",
            "info.ASN=64500",
            "info.tags=y",
            "path=AS64500",
            "flow_results.observed=false",
            "flow_results.config=1",
            "none=null",
            "conditions=ecn.*",
            "missing!=1",
        ] {
            assert!(key(test), "{test}");
        }
        for test in ["dp=8", "rank=70", "missing", "info.ASN.x", "info.tags=z", "dp!=80", "dip.x=1"]
        {
            assert!(!key(test), "{test}");
        }
        for test in ["", "=1", "!=1", "key!"] {
            assert!(test.parse::<KeyTest>().is_err(), "{test}");
        }
    }

    #[test]
    fn all_any_and_the_others() {
        let criteria = |with: &str, without: &str, key: &str, any, invert| {
            let criteria = Criteria {
                with: vec![with.parse().unwrap()],
                without: vec![without.parse().unwrap()],
                keys: vec![key.parse().unwrap()],
                any,
                invert,
            };
            criteria.pick(&record())
        };
        assert!(criteria("ecn.*", "tfo.*", "dp=80", false, false));
        assert!(!criteria("ecn.*", "tfo.*", "dp=81", false, false));
        assert!(!criteria("ecn.*", "dscp.*", "dp=80", false, false));
        assert!(criteria("ecn.*", "dscp.*", "dp=81", true, false));
        assert!(!criteria("tfo.*", "dscp.*", "dp=81", true, false));
        assert!(!criteria("ecn.*", "tfo.*", "dp=80", false, true));
        for any in [false, true] {
            assert!(Criteria { any, ..Criteria::default() }.pick(&record()));
        }
    }
}
