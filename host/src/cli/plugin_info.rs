//! All that is known of a plugin, as one value: `--plugin-info`, `--json`, and the help of plugins
//! show the same.
//!
//! As JSON it is one object with the keys of [`PluginInfo`], in their order. What depends on the
//! plugin's options is that of the defaults.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use pathspider_plugin_api::{
    Carrier, ConditionInfo as Declared, Error, Hold, OptionKind, OptionSpec, Value,
};
use serde::Serialize;

use crate::{forward, locating};

use pathspider_observer::chains::{Catalogue, Entry};
use pathspider_plugins::{Found, Registry};
use pathspider_runtime::asking::{ASKING, Asking};
use pathspider_runtime::surroundings;
use pathspider_runtime::text::visible;
use pathspider_shell::manual::Section;

/// A plugin's measurement.
#[derive(Serialize)]
pub(super) struct PluginInfo {
    name: String,
    version: String,
    description: String,
    contact: String,
    file: String,
    /// The version of the plugin ABI that it speaks.
    abi: String,
    /// Whether it connects by itself, on worker threads.
    blocking: bool,
    /// Whether its connections depend on earlier ones of the same target.
    depends: bool,
    /// Whether a target may have a `domain` and no `dip`.
    takes_names: bool,
    options: Vec<OptionInfo>,
    /// The port of targets that name none; null with `unavailable`.
    default_port: Option<u16>,
    configurations: Vec<ConfigurationInfo>,
    chains: Vec<ChainInfo>,
    conditions: Vec<ConditionInfo>,
    privileges: Vec<Privilege>,
    /// Why port, configurations and chains are not known: it cannot be set up with its defaults.
    unavailable: Option<String>,
}

#[derive(Serialize)]
struct OptionInfo {
    name: String,
    /// `flag`, `integer`, `number`, `text` or `choice`.
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    min: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    choices: Option<Vec<String>>,
    /// Words that stand for numbers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    words: BTreeMap<String, i64>,
    /// Whether it takes several values.
    several: bool,
    default: Value,
    placeholder: String,
    help: String,
}

#[derive(Serialize)]
struct ConfigurationInfo {
    index: usize,
    label: String,
    /// `initiation`, `handshake` or `completion`.
    hold: &'static str,
    /// Which packet carries what it is about: `opening` or `data`.
    carrier: &'static str,
}

#[derive(Serialize)]
pub(super) struct ChainInfo {
    name: String,
    description: String,
    fields: Vec<FieldInfo>,
}

#[derive(Serialize)]
struct FieldInfo {
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    unit: String,
    meaning: String,
}

#[derive(Serialize)]
struct ConditionInfo {
    name: String,
    /// What it is about: the name without its last word.
    aspect: String,
    /// What it says of the path: `good`, `absent`, `impaired` or `unknown`.
    class: &'static str,
    meaning: String,
}

#[derive(Serialize)]
struct Privilege {
    capability: &'static str,
    reason: &'static str,
}

/// What is known only of a measurement that was set up.
#[derive(Default)]
struct SetUp {
    default_port: Option<u16>,
    configurations: Vec<ConfigurationInfo>,
    chains: Vec<ChainInfo>,
    unavailable: Option<String>,
}

impl PluginInfo {
    /// Sets the measurement up with its defaults, and asks it.
    pub(super) fn gather(found: &Found, registry: &Registry) -> PluginInfo {
        let info = &found.info.clone().of_run(&found.options.defaults());
        let set_up = SetUp::ask(found, &registry.chains()).unwrap_or_else(|error| SetUp {
            unavailable: Some(error.to_string()),
            ..SetUp::default()
        });
        // Which chains it needs is not known then, and few need none.
        let captures = !set_up.chains.is_empty() || set_up.unavailable.is_some();
        let privileges = [
            (captures, "CAP_NET_RAW", "to capture packets"),
            (info.forges, "CAP_NET_RAW", "to send packets of its own making"),
            (info.changes_system, "CAP_NET_ADMIN", "to change the system's settings"),
        ];
        // The host's own of each measurement, which --locate and --responder-key give.
        let hosts = [locating::declared(info), forward::declared(info)].concat();
        PluginInfo {
            name: info.name.clone(),
            version: info.version.clone(),
            description: info.description.clone(),
            contact: info.contact.clone(),
            file: found.path.to_string_lossy().into_owned(),
            abi: found.abi.to_string(),
            blocking: info.blocking,
            depends: info.depends,
            takes_names: info.names,
            options: found.options.iter().map(OptionInfo::of).collect(),
            default_port: set_up.default_port,
            configurations: set_up.configurations,
            chains: set_up.chains,
            conditions: info.conditions.iter().chain(&hosts).map(ConditionInfo::of).collect(),
            privileges: privileges
                .into_iter()
                .filter(|(needed, ..)| *needed)
                .map(|(_, capability, reason)| Privilege { capability, reason })
                .collect(),
            unavailable: set_up.unavailable,
        }
    }

    /// What help shows after the options.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        self.set_up().iter().for_each(|section| show(section, &mut text));
        for (index, chain) in self.chains.iter().enumerate() {
            if index == 0 {
                text += "\nObserver chains and their fields:\n";
            }
            chain.text(&mut text, "  ");
        }
        self.said().iter().for_each(|section| show(section, &mut text));
        text
    }

    /// The same for a manual page, which may be made where the plugin is not installed yet.
    pub(super) fn sections(&self) -> Vec<Section> {
        let name = &self.name;
        let examples = [
            ("Measure two targets", format!("pathspider {name} www.example.org 192.0.2.1")),
            (
                "Measure the targets of a file",
                format!("pathspider measure --input targets.csv --output {name}.ndjson {name}"),
            ),
        ];
        let fields = self.chains.iter().flat_map(|chain| {
            chain.fields.iter().map(|field| (field.name.clone(), field.meaning.clone()))
        });
        let mut sections = self.set_up();
        section(&mut sections, "Fields of its observer chains", fields);
        sections.extend(self.said());
        sections.iter_mut().for_each(|section| section.entries.retain(|(name, _)| name != "File"));
        section(
            &mut sections,
            "Examples",
            examples.into_iter().map(|(what, line)| (what.to_owned(), line)),
        );
        sections
    }

    /// How it was set up.
    fn set_up(&self) -> Vec<Section> {
        let mut sections = Vec::new();
        if let Some(reason) = &self.unavailable {
            let reason = visible(reason, 2000);
            section(&mut sections, "With its defaults it cannot be set up", [(reason, "")]);
        }
        let configurations = self.configurations.iter().map(|c| {
            (
                format!("{}  {}", c.index, visible(&c.label, 200)),
                format!("holds until the {}", held_until(c.hold)),
            )
        });
        section(&mut sections, "Configurations", configurations);
        sections
    }

    /// What it says of targets, and of itself.
    fn said(&self) -> Vec<Section> {
        let mut sections = Vec::new();
        let conditions = self
            .conditions
            .iter()
            .map(|c| (c.name.clone(), format!("{:8}  {}", c.class, c.meaning)));
        section(&mut sections, "Conditions", conditions);
        let privileges = self.privileges.iter().map(|p| (p.capability.to_owned(), p.reason));
        section(&mut sections, "Privileges", privileges);
        let yes = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
        let port = self.default_port.map(|port| port.to_string()).unwrap_or_default();
        let plugin = [
            ("Version", self.version.clone()),
            ("File", visible(&self.file, usize::MAX)),
            ("Plugin ABI", self.abi.clone()),
            ("Contact", self.contact.clone()),
            ("Default port", port),
            ("Takes names", yes(self.takes_names)),
        ];
        let plugin = plugin.into_iter().filter(|(_, value)| !value.is_empty());
        section(&mut sections, "Plugin", plugin.map(|(key, value)| (key.to_owned(), value)));
        sections
    }
}

impl SetUp {
    fn ask(found: &Found, catalogue: &Catalogue) -> Result<SetUp, Error> {
        let asking = Asking::within(ASKING);
        let set_up = SetUp::asked(found, catalogue);
        drop(asking);
        surroundings::restore(&found.info.name).map_err(Error::contract)?;
        set_up
    }

    fn asked(found: &Found, catalogue: &Catalogue) -> Result<SetUp, Error> {
        let loaded = found.load().map_err(Error::new)?;
        let measurement = loaded.handle.instantiate(loaded.options.defaults())?;
        let configurations = measurement.configurations()?.into_iter().enumerate();
        let names = measurement.chains()?;
        let resolved =
            catalogue.resolve_for(Some(&found.file.name()), &names).map_err(Error::new)?;
        let is_needed = |entry: &&Entry| resolved.names.contains(&entry.full_name());
        Ok(SetUp {
            default_port: Some(loaded.options.defaults().default_port(&loaded.info)),
            configurations: configurations
                .map(|(index, c)| ConfigurationInfo {
                    index,
                    label: c.label().to_owned(),
                    hold: hold(c.held()),
                    carrier: carrier(c.carried_by()),
                })
                .collect(),
            chains: catalogue.list().iter().filter(is_needed).map(ChainInfo::of).collect(),
            unavailable: None,
        })
    }
}

fn hold(hold: Hold) -> &'static str {
    match hold {
        Hold::Initiation => "initiation",
        Hold::Handshake => "handshake",
        // One that this host does not know is met by the strictest.
        _ => "completion",
    }
}

fn carrier(carrier: Carrier) -> &'static str {
    match carrier {
        Carrier::Data => "data",
        _ => "opening",
    }
}

fn held_until(hold: &str) -> &'static str {
    match hold {
        "initiation" => "connection's first packet is sent",
        "handshake" => "handshake has ended",
        _ => "connection has ended",
    }
}

impl ConditionInfo {
    fn of(condition: &Declared) -> ConditionInfo {
        ConditionInfo {
            name: condition.name.clone(),
            aspect: condition.aspect().to_owned(),
            class: condition.class.name(),
            meaning: condition.meaning.clone(),
        }
    }
}

impl OptionInfo {
    fn of(spec: &OptionSpec) -> OptionInfo {
        let (kind, min, max, choices) = match &spec.kind {
            OptionKind::Flag => ("flag", None, None, None),
            OptionKind::Integer { min, max } => {
                ("integer", Some((*min).into()), Some((*max).into()), None)
            }
            OptionKind::Number { min, max } => {
                ("number", Some((*min).into()), Some((*max).into()), None)
            }
            OptionKind::Choice(words) => ("choice", None, None, Some(words.clone())),
            _ => ("text", None, None, None),
        };
        OptionInfo {
            name: spec.name.clone(),
            kind,
            min,
            max,
            choices,
            words: spec.words.iter().cloned().collect(),
            several: spec.several,
            default: spec.default.clone(),
            placeholder: spec.placeholder.clone(),
            help: spec.help.clone(),
        }
    }
}

impl ChainInfo {
    pub(super) fn of(entry: &Entry) -> ChainInfo {
        let fields = entry.info.fields.iter().map(|field| FieldInfo {
            name: field.name.clone(),
            kind: field.kind.name(),
            unit: field.unit.clone(),
            meaning: field.meaning.clone(),
        });
        ChainInfo {
            name: entry.full_name(),
            description: entry.info.description.clone(),
            fields: fields.collect(),
        }
    }

    /// The chain on a line, and each of its fields on one, after `indent`.
    pub(super) fn text(&self, text: &mut String, indent: &str) {
        // Writing to a `String` does not fail.
        let _ = writeln!(text, "{indent}{}: {}", self.name, self.description);
        for field in &self.fields {
            let kind = match field.unit.as_str() {
                "" => field.kind.to_owned(),
                unit => format!("{}, {unit}", field.kind),
            };
            let _ = writeln!(text, "{indent}    {:22} {kind:15} {}", field.name, field.meaning);
        }
    }
}

/// Adds a heading and what stands under it; nothing for none.
fn section<T: std::fmt::Display>(
    sections: &mut Vec<Section>,
    heading: &str,
    entries: impl IntoIterator<Item = (String, T)>,
) {
    let entries: Vec<(String, String)> =
        entries.into_iter().map(|(first, second)| (first, second.to_string())).collect();
    if !entries.is_empty() {
        sections.push(Section { heading: heading.to_owned(), entries });
    }
}

/// A section for a terminal: a heading, and a line for each entry, in two columns.
fn show(section: &Section, text: &mut String) {
    let Section { heading, entries } = section;
    let width = entries.iter().map(|(first, _)| first.chars().count()).max().unwrap_or(0);
    // Writing to a `String` does not fail.
    let _ = writeln!(text, "\n{heading}:");
    for (first, second) in entries {
        let line = format!("  {first:width$}  {second}");
        let _ = writeln!(text, "{}", line.trim_end());
    }
}
