//! What decides what a run's records mean: the same recipe gives records that belong together.
//!
//! `--resume` compares it, and a run that is judged again is set up from it. It stands in the
//! metadata, under the keys `plugin` and `settings` (`docs/output.md`).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use pathspider_plugin_api::Record;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::job::Shard;

/// What decides what a run's records mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// What was measured.
    pub plugin: RecipeOfPlugin,
    /// How it was written down.
    pub settings: RecipeOfRecords,
}

/// What was measured. The metadata say more of the plugin, such as its file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecipeOfPlugin {
    /// The measurement's name.
    pub name: String,
    /// The plugin's version.
    pub version: String,
    /// The values of its options, defaults included.
    pub options: Record,
    /// The labels of its configurations, the baseline first.
    pub configurations: Vec<String>,
}

/// What of the command's options decides what is in a record.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecipeOfRecords {
    /// Whether records carry their connections' results.
    pub output_flows: bool,
    /// Whether a target may come several times.
    pub duplicates: bool,
    /// Whether names are looked up.
    pub resolve: bool,
    /// The source's addresses that targets see.
    pub source_public: Vec<IpAddr>,
    /// The source's autonomous system.
    pub source_asn: Option<u32>,
    /// Octets of a response's body that are kept.
    pub body_limit: usize,
    /// How often each target is measured; `None` where there are no rounds.
    pub repeat: Option<u16>,
    /// How often an impaired verdict is confirmed at the most.
    pub confirm: u16,
    /// Which part of the targets is measured here; `None` for all.
    pub shard: Option<Shard>,
    /// The place that is measured from.
    pub vantage: Option<String>,
    /// What else is said of the run.
    pub tags: BTreeMap<String, String>,
    /// Whether records say in which networks source and target are.
    pub asn_db: bool,
    /// Of which targets the path is searched; absent where of none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locate: Option<String>,
    /// Whether targets are asked what came to them; absent where they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub responders: Option<bool>,
    /// The chains that look at the connections beside the measurement's.
    pub chains: Vec<String>,
}

impl Recipe {
    /// Its keys, as they stand in the metadata.
    ///
    /// # Errors
    ///
    /// A value that JSON cannot say.
    pub(crate) fn keys(&self) -> serde_json::Result<Map<String, Value>> {
        match serde_json::to_value(self)? {
            Value::Object(keys) => Ok(keys),
            _ => Ok(Map::new()),
        }
    }

    /// Reads it from the keys of metadata.
    ///
    /// # Errors
    ///
    /// Which key is missing, or has no such value.
    pub(crate) fn read(keys: &Map<String, Value>) -> serde_json::Result<Recipe> {
        Recipe::deserialize(&Value::Object(keys.clone()))
    }

    /// What is different in `other`, a sentence each; none where both are the same.
    ///
    /// # Errors
    ///
    /// A value that JSON cannot say.
    pub(crate) fn differences(&self, other: &Recipe) -> serde_json::Result<Vec<String>> {
        let mut found = Vec::new();
        differ("", &self.keys()?.into(), &other.keys()?.into(), &mut found);
        Ok(found)
    }
}

/// Descends into objects, so that what differs is named exactly.
fn differ(key: &str, mine: &Value, theirs: &Value, found: &mut Vec<String>) {
    match (mine, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            let before = if key.is_empty() { String::new() } else { format!("{key}.") };
            for inner in keys {
                let of = |map: &Map<String, Value>| map.get(inner).cloned().unwrap_or(Value::Null);
                differ(&format!("{before}{inner}"), &of(a), &of(b), found);
            }
        }
        _ if mine != theirs => found.push(format!("{key} was {mine} and is {theirs} now")),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe() -> Recipe {
        let options = Record::new().with("timeout", 5.0).with("codepoint", 7_u64);
        Recipe {
            plugin: RecipeOfPlugin {
                name: "x".to_owned(),
                version: "1".to_owned(),
                options,
                configurations: vec!["a".to_owned(), "b".to_owned()],
            },
            settings: RecipeOfRecords {
                output_flows: false,
                duplicates: false,
                resolve: false,
                source_public: vec!["192.0.2.1".parse().unwrap()],
                source_asn: None,
                body_limit: 65_536,
                repeat: None,
                confirm: 0,
                shard: None,
                vantage: None,
                tags: BTreeMap::from([("day".to_owned(), "1".to_owned())]),
                asn_db: false,
                locate: None,
                responders: None,
                chains: vec!["tcp".to_owned()],
            },
        }
    }

    /// The keys of metadata, which have more than the recipe.
    fn metadata() -> Map<String, Value> {
        let mut keys = recipe().keys().unwrap();
        keys.insert("runs".to_owned(), Value::Array(Vec::new()));
        keys["plugin"]["file"] = "/x.so".into();
        keys
    }

    #[test]
    fn what_is_read_from_metadata_is_what_was_written() {
        let read = Recipe::read(&metadata()).unwrap();
        assert_eq!(recipe().differences(&read).unwrap(), Vec::<String>::new());
        assert_eq!(read.plugin.options.u64("codepoint"), Some(7));
    }

    #[test]
    fn differences_are_named_exactly() {
        let mut other = recipe();
        other.plugin.version = "2".to_owned();
        other.plugin.options = Record::new().with("timeout", 2.5).with("codepoint", 7_u64);
        other.settings.source_asn = Some(64_496);
        other.settings.vantage = Some("zurich".to_owned());
        other.settings.tags.insert("day".to_owned(), "2".to_owned());
        assert_eq!(
            recipe().differences(&other).unwrap(),
            [
                "plugin.options.timeout was 5.0 and is 2.5 now",
                "plugin.version was \"1\" and is \"2\" now",
                "settings.source_asn was null and is 64496 now",
                "settings.tags.day was \"1\" and is \"2\" now",
                "settings.vantage was null and is \"zurich\" now",
            ]
        );
    }

    #[test]
    fn a_key_that_is_missing_or_unknown_is_refused() {
        for group in ["plugin", "settings"] {
            let keys = metadata();
            let names: Vec<String> =
                recipe().keys().unwrap()[group].as_object().unwrap().keys().cloned().collect();
            for name in names {
                let mut missing = keys.clone();
                missing[group].as_object_mut().unwrap().remove(&name);
                let optional = ["source_asn", "repeat", "shard", "vantage"].contains(&&*name);
                assert_eq!(Recipe::read(&missing).is_ok(), optional, "{group}.{name}");
            }
        }
        let mut newer = metadata();
        newer["settings"]["of_a_newer_program"] = true.into();
        let error = Recipe::read(&newer).unwrap_err().to_string();
        assert!(error.contains("of_a_newer_program"), "{error}");
    }

    #[test]
    fn each_key_is_documented() {
        let page = include_str!("../../../docs/output.md");
        let (_, section) = page.split_once("### Recipe").unwrap();
        let section = section.split("\n#").next().unwrap();
        for (group, value) in recipe().keys().unwrap() {
            for name in value.as_object().unwrap().keys() {
                let key = format!("`{group}.{name}`");
                assert!(section.contains(&key), "docs/output.md has no {key} under Recipe");
            }
        }
    }
}
