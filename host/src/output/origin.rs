//! What is the same in every record of a run: which format it has, which run and measurement it is of,
//! and what whoever measures says of the run. It is serialised once, and appended to each line.

use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

use pathspider_plugin_api::{Info, Record};
use pathspider_records::names;
use pathspider_runtime::text;

/// What tells a run from all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunNumber(u64);

impl RunNumber {
    /// A number that no other run has.
    pub fn new() -> RunNumber {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        // Nanoseconds of 2026 take 61 bits; the process distinguishes runs that start together.
        let nanoseconds = u64::try_from(since.as_nanos()).unwrap_or(0);
        RunNumber(nanoseconds ^ u64::from(std::process::id()) << 40)
    }
}

impl Default for RunNumber {
    fn default() -> RunNumber {
        RunNumber::new()
    }
}

impl fmt::Display for RunNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// What whoever measures says of the run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels {
    /// The place that is measured from.
    pub vantage: Option<String>,
    /// Anything else, under names.
    pub tags: BTreeMap<String, String>,
}

/// What is the same in every record of a run.
#[derive(Debug)]
pub struct Origin {
    /// Members of an object, without its braces.
    members: String,
}

impl Origin {
    /// Of a run of this measurement.
    pub fn new(run: RunNumber, info: &Info, labels: &Labels) -> Origin {
        let mut keys = Record::new()
            .with(names::SCHEMA, names::SCHEMA_VERSION)
            .with(names::RUN, run.to_string())
            .with(names::PLUGIN, info.name.clone())
            .with(names::VERSION, info.version.clone());
        if let Some(vantage) = &labels.vantage {
            keys.push(names::VANTAGE, vantage.clone());
        }
        if !labels.tags.is_empty() {
            keys.push(names::TAGS, labels.tags.clone().into_iter().collect::<Record>());
        }
        // Texts and numbers under texts: JSON can say them.
        let object = serde_json::to_string(&keys).unwrap_or_default();
        let object = text::json(&object);
        let members = object.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        Origin { members: members.unwrap_or_default().to_owned() }
    }

    /// Appends it to the object that ends the lines.
    pub(super) fn sign(&self, lines: &mut Vec<u8>) {
        if lines.pop_if(|octet| *octet == b'}').is_some() {
            if lines.last() != Some(&b'{') {
                lines.push(b',');
            }
            lines.extend_from_slice(self.members.as_bytes());
            lines.push(b'}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(line: &str, labels: &Labels) -> String {
        let info = Info::new("x", "1.0", "");
        let mut lines = line.as_bytes().to_vec();
        Origin::new(RunNumber(0xab), &info, labels).sign(&mut lines);
        String::from_utf8(lines).unwrap()
    }

    #[test]
    fn what_is_the_same_stands_at_the_end_of_each_line() {
        let ours = r#""schema":1,"run":"ab","plugin":"x","version":"1.0""#;
        assert_eq!(signed("{}", &Labels::default()), format!("{{{ours}}}"));
        let labels = Labels {
            vantage: Some("zürich\u{202e}".to_owned()),
            tags: BTreeMap::from([("a".to_owned(), "\"{}".to_owned())]),
        };
        let expected = r#"{"k":{"l":1},"schema":1,"run":"ab","plugin":"x","version":"1.0","vantage":"zürich\u202e","tags":{"a":"\"{}"}}"#;
        assert_eq!(signed(r#"{"k":{"l":1}}"#, &labels), expected);
    }

    #[test]
    fn no_two_runs_have_a_number() {
        let one = RunNumber::new();
        std::thread::yield_now();
        assert_ne!(one, RunNumber::new());
    }
}
