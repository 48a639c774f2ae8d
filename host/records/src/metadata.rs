//! What the metadata beside a file of records say of them, as far as they are there.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::condition::{Class, Parts, name};

/// What is known of a file's records beside themselves.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// The measurement.
    pub measurement: Option<String>,
    /// The labels of its configurations, the baseline first.
    pub configurations: Vec<String>,
    /// The campaign, where somebody named one.
    pub campaign: Option<String>,
    /// The place that was measured from, where somebody named it.
    pub vantage: Option<String>,
    /// The version of the measurement.
    pub version: Option<String>,
    /// The classes of conditions, where the measurement declared them.
    pub classes: Vec<(String, Class)>,
    /// The fields of flows, where the chains declared them.
    pub fields: Vec<DeclaredField>,
    /// The runs.
    pub runs: Vec<Run>,
    /// The runs with all that the metadata have of them.
    pub all_of_runs: Vec<Value>,
}

/// A field that a chain writes into flow results.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct DeclaredField {
    /// Its key.
    pub name: String,
    /// `bool`, `uint`, `float`, `text` or `list`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its unit; empty where it has none.
    pub unit: String,
    /// What it says.
    pub meaning: String,
}

/// A run, as the metadata have it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Run {
    /// When it began.
    pub started: Option<String>,
    /// When it ended; `None` where it goes on, or was killed.
    pub ended: Option<String>,
    /// Why it ended.
    pub end: Option<String>,
    /// The command that it was.
    pub command: Value,
    /// What it counted; `None` where it was killed.
    pub counts: Option<Counts>,
}

/// What a run counted.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Targets with a record.
    pub targets: u64,
    /// Targets whose record could not be written.
    pub lost: u64,
    /// Targets that the plugin discarded.
    pub discarded: u64,
    /// Targets that were begun and left.
    pub unfinished: u64,
    /// Targets that were read and not begun.
    pub unstarted: u64,
    /// Connections whose packets were not seen.
    pub missed_flows: u64,
    /// How many connections failed, by reason.
    pub failures: BTreeMap<String, u64>,
    /// Of the input.
    pub input: InputCounts,
    /// Of the capture.
    pub capture: CaptureCounts,
}

/// Lines of the input that came to no target.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct InputCounts {
    /// No targets.
    pub bad_lines: u64,
    /// Targets that came before.
    pub duplicates: u64,
    /// Targets that the blocklist has.
    pub blocklisted: u64,
    /// Targets with a special-purpose address.
    pub special: u64,
    /// Targets that other hosts measure.
    pub elsewhere: u64,
}

/// Packets of the capture.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct CaptureCounts {
    /// That it gave.
    pub packets: u64,
    /// That the kernel dropped.
    pub dropped_by_kernel: u64,
    /// That the interface dropped.
    pub dropped_by_interface: u64,
    /// Flows that left the table early.
    pub evicted: u64,
    /// Jumps of a clock.
    pub clock_jumps: u64,
}

/// Where the metadata of a file of records are.
pub fn path_beside(records: &Path) -> PathBuf {
    let mut path = records.as_os_str().to_owned();
    path.push(".meta.json");
    path.into()
}

impl About {
    /// Reads what stands beside a file of records; `None` where nothing does.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is no metadata.
    pub fn beside(records: &Path) -> io::Result<Option<About>> {
        match fs::read(path_beside(records)) {
            Ok(text) => Ok(Some(About::parse(&text)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn parse(text: &[u8]) -> serde_json::Result<About> {
        // Read as a struct, a list would do too.
        let keys: serde_json::Map<String, Value> = serde_json::from_slice(text)?;
        let keys = Keys::deserialize(Value::Object(keys))?;
        let plugin = keys.plugin.unwrap_or_default();
        let label = |label: &Value| match label {
            Value::String(label) => label.clone(),
            // A newer program may say more of each.
            other => other.get("label").and_then(Value::as_str).unwrap_or_default().to_owned(),
        };
        let class = |declared: &Declared| {
            let class = Class::from_name(declared.class.as_deref()?)?;
            Some((declared.name.clone()?, class))
        };
        let runs = keys.runs.iter().map(Run::deserialize).collect::<Result<_, _>>()?;
        Ok(About {
            measurement: plugin.name,
            configurations: plugin.configurations.iter().map(label).collect(),
            campaign: keys.campaign,
            vantage: keys.vantage,
            version: plugin.version,
            classes: plugin.conditions.iter().filter_map(class).collect(),
            fields: plugin.fields,
            runs,
            all_of_runs: keys.runs,
        })
    }

    /// The class of a condition, where the measurement declared it.
    pub fn class(&self, condition: &str) -> Option<Class> {
        let name = name(condition);
        let declared = |(pattern, _): &&(String, Class)| is_like(pattern, name);
        self.classes.iter().find(declared).map(|(_, class)| *class)
    }

    /// Whether the measurement declared conditions of this one's aspect, and this one is none of them.
    pub fn lacks(&self, condition: &str) -> bool {
        let aspect = |condition| Parts::of(name(condition)).aspect;
        let mut patterns = self.classes.iter().map(|(pattern, _)| pattern);
        patterns.any(|pattern| is_like(aspect(pattern), aspect(condition)))
            && self.class(condition).is_none()
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Keys {
    plugin: Option<Plugin>,
    campaign: Option<String>,
    vantage: Option<String>,
    runs: Vec<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Plugin {
    name: Option<String>,
    version: Option<String>,
    configurations: Vec<Value>,
    conditions: Vec<Declared>,
    fields: Vec<DeclaredField>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Declared {
    name: Option<String>,
    class: Option<String>,
}

/// Whether a condition's name is the one that was declared, in which a word in angle brackets stands
/// for any, and a value after a colon says nothing.
fn is_like(declared: &str, name: &str) -> bool {
    let declared = declared.split(':').next().unwrap_or(declared);
    let mut words = name.split('.');
    let fits = |word: &str| {
        words.next().is_some_and(|other| {
            word == other || (word.starts_with('<') && word.ends_with('>') && !other.is_empty())
        })
    };
    declared.split('.').all(fits) && words.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"_owner":"x","campaign":"spring",
        "plugin":{"name":"dscp","version":"1","configurations":["unmarked",{"label":"46"}],
            "fields":[{"name":"sp","chain":"basic","type":"uint","unit":"","meaning":"m"}],
            "conditions":[{"name":"dscp.<codepoint>.connectivity.works","class":"good","meaning":"m"},
                {"name":"dscp.<codepoint>.replymark:<mark>","class":"absent"},
                {"name":"dscp.<codepoint>.odd","class":"of a newer version"}]},
        "runs":[{"started":"2026-11-22T02:00:17Z","end":null,"command":["a"],"counts":null},
            {"counts":{"targets":9,"failures":{"timeout":2},"input":{"duplicates":1},
                "capture":{"packets":5,"malformed":{"x":1}},"of_a_newer_version":1}}]}"#;

    #[test]
    fn what_is_there_is_taken() {
        let about = About::parse(TEXT.as_bytes()).unwrap();
        assert_eq!(about.measurement.as_deref(), Some("dscp"));
        assert_eq!(about.configurations, ["unmarked", "46"]);
        assert_eq!(about.campaign.as_deref(), Some("spring"));
        assert_eq!((&*about.fields[0].name, &*about.fields[0].kind), ("sp", "uint"));
        assert_eq!(about.class("dscp.46.connectivity.works"), Some(Class::Good));
        assert_eq!(about.class("dscp.46.replymark:0"), Some(Class::Absent));
        assert_eq!(about.class("dscp.46.replymark.more"), None);
        assert_eq!(about.class("dscp.46.odd"), None);
        assert!(about.lacks("dscp.46.connectivity.wroks") && about.lacks("dscp.46.replymrk:0"));
        for condition in
            ["dscp.46.connectivity.works", "dscp.46.replymark:7", "dscp.46.location.dropped:4"]
        {
            assert!(!about.lacks(condition), "{condition}");
        }
        let counts = about.runs[1].counts.as_ref().unwrap();
        assert_eq!((counts.targets, counts.input.duplicates, counts.capture.packets), (9, 1, 5));
        assert!(about.runs[0].counts.is_none());
    }

    #[test]
    fn other_objects_are_metadata_that_say_nothing() {
        let about = About::parse(b"{\"_owner\":\"x\"}").unwrap();
        assert!(about.measurement.is_none() && about.runs.is_empty());
        for text in ["", "[]", "{\"runs\":1}"] {
            assert!(About::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
