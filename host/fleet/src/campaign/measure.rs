//! One measurement of a campaign: the plugin, its options, and what the run is to do beside.

use std::collections::BTreeMap;

use serde::Serialize;
use toml::{Spanned, Value};

use super::lines::Lines;
use super::{Time, Wrong};

/// One measurement of a campaign.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Measure {
    /// The plugin's name.
    pub(crate) plugin: String,
    /// The version that it has to have.
    pub(crate) version: Option<String>,
    /// The SHA-256 that its file has to have, in hexadecimal digits.
    pub(crate) sha256: Option<String>,
    /// How often each target is measured in a row.
    pub(crate) rounds: Option<u16>,
    /// The time between two rounds.
    pub(crate) round_interval: Option<Time>,
    /// How often an impaired verdict is measured again at the most.
    pub(crate) confirm: Option<u16>,
    /// Whether records carry their connections' results.
    pub(crate) flows: bool,
    /// Whether the packets of our own connections are kept.
    pub(crate) capture: bool,
    /// Chains that look at the connections beside the measurement's.
    pub(crate) chains: Vec<String>,
    /// The plugin's own options; one with several values comes several times.
    pub(crate) options: Vec<PluginOption>,
    /// Where the file has it.
    #[serde(skip)]
    pub(crate) line: usize,
    /// Where the file has each of the plugin's own options.
    #[serde(skip)]
    pub(crate) option_lines: BTreeMap<String, usize>,
}

/// An option of a plugin.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct PluginOption {
    pub(crate) name: String,
    pub(crate) value: OptionValue,
}

/// What an option is given.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum OptionValue {
    /// Of a flag.
    Flag(bool),
    Text(String),
}

impl PluginOption {
    /// The word of a command line that gives it; none of a flag that is false.
    pub(crate) fn word(&self) -> Option<String> {
        match &self.value {
            OptionValue::Text(value) => Some(format!("--{}={value}", self.name)),
            OptionValue::Flag(true) => Some(format!("--{}", self.name)),
            OptionValue::Flag(false) => None,
        }
    }
}

/// A measurement, as the file has it.
pub(super) type Table = BTreeMap<Spanned<String>, Spanned<Value>>;

impl Measure {
    /// Takes what is ours of a table; the rest is the plugin's.
    pub(super) fn take(table: Spanned<Table>, lines: &Lines<'_>) -> Result<Measure, Wrong> {
        let mut measure = Measure { line: lines.of(table.span().start), ..Measure::default() };
        for (key, value) in table.into_inner() {
            let line = lines.of(key.span().start);
            let wrong = |reason: String| Wrong { line: Some(line), reason };
            let key = key.into_inner();
            let read = measure.take_key(&key, value.into_inner());
            let read = read.map_err(|reason| wrong(format!("{key}: {reason}")))?;
            if read == Whose::Plugin {
                measure.option_lines.insert(key, line);
            }
        }
        if measure.plugin.is_empty() {
            let reason = "[[measure]] lacks the key plugin".to_owned();
            return Err(Wrong { line: Some(measure.line), reason });
        }
        Ok(measure)
    }

    fn take_key(&mut self, key: &str, value: Value) -> Result<Whose, String> {
        match key {
            "plugin" => self.plugin = word(value)?,
            "version" => self.version = Some(word(value)?),
            "sha256" => self.sha256 = Some(digest(value)?),
            "rounds" => self.rounds = Some(read(value)?),
            "round_interval" => self.round_interval = Some(read(value)?),
            "confirm" => self.confirm = Some(read(value)?),
            "flows" => self.flows = read(value)?,
            "capture" => self.capture = read(value)?,
            "chains" => self.chains = read(value)?,
            _ => {
                self.options.extend(options(key, value)?);
                return Ok(Whose::Plugin);
            }
        }
        Ok(Whose::Ours)
    }
}

/// Whose a key is.
#[derive(PartialEq)]
enum Whose {
    Ours,
    Plugin,
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, String> {
    value.try_into().map_err(|error: toml::de::Error| error.message().to_owned())
}

/// A name that is no option.
fn word(value: Value) -> Result<String, String> {
    let word: String = read(value)?;
    if word.is_empty() || word.starts_with('-') {
        Err(format!("{word:?} is no name"))
    } else {
        Ok(word)
    }
}

fn digest(value: Value) -> Result<String, String> {
    let text: String = read(value)?;
    if text.len() == 64 && text.bytes().all(|octet| octet.is_ascii_hexdigit()) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("a SHA-256 has 64 hexadecimal digits".to_owned())
    }
}

/// A plugin's option, once for each value.
fn options(name: &str, value: Value) -> Result<Vec<PluginOption>, String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.starts_with('-') || !name.chars().all(is_name) {
        return Err("it is neither a key of campaigns nor the name of an option".to_owned());
    }
    let with = |value| PluginOption { name: name.to_owned(), value };
    let text = |text| Ok(with(OptionValue::Text(text)));
    let one = |value: Value| match value {
        Value::String(value) => text(value),
        Value::Integer(number) => text(number.to_string()),
        Value::Float(number) => text(number.to_string()),
        _ => Err("an option has a text, a number, true, false, or a list of these".to_owned()),
    };
    match value {
        Value::Boolean(given) => Ok(vec![with(OptionValue::Flag(given))]),
        Value::Array(values) => values.into_iter().map(one).collect(),
        value => one(value).map(|option| vec![option]),
    }
}
