//! Descriptions of measurements, options, configurations and chains as records, both ways.
//!
//! Reading is strict where the host relies on a key and lenient where it can do without, so that a
//! later minor version can add keys.

use crate::chain::{ChainInfo, FieldInfo};
use crate::condition::{Class, ConditionInfo};
use crate::configuration::{Carrier, ConfigId, Configuration, Hold};
use crate::error::{Error, Result};
use crate::field::FieldType;
use crate::info::Info;
use crate::options::{OptionKind, OptionSpec, Options};
use crate::{Record, Value};

/// A measurement's description, as it crosses the boundary.
pub fn measurement_to_record(info: Info, options: &Options) -> Record {
    let conditions: Value = info
        .conditions
        .into_iter()
        .map(|condition| {
            let aspect = condition.aspect().to_owned();
            Record::new()
                .with("name", condition.name)
                .with("aspect", aspect)
                .with("class", Value::text(condition.class.name()))
                .with("meaning", condition.meaning)
        })
        .collect();
    Record::new()
        .with("name", info.name)
        .with("description", info.description)
        .with("version", info.version)
        .with("contact", info.contact)
        .with("port", info.port)
        .with("blocking", info.blocking)
        .with("names", info.names)
        .with("changes_system", info.changes_system)
        .with("forges", info.forges)
        .with("depends", info.depends)
        .with("converses", info.converses)
        .with("converses_with", info.converses_with)
        .with("conditions", conditions)
        .with("options", options.iter().map(option_to_record).collect::<Value>())
}

/// Reads a measurement's description.
///
/// # Errors
///
/// What is missing in it, or unknown to this host.
pub fn measurement_from_record(record: &Record) -> Result<(Info, Options)> {
    let conditions = records(record, "conditions")
        .map(|condition| {
            // A class that this host does not know says nothing to it.
            let class = condition.str("class").and_then(Class::from_name);
            Ok(ConditionInfo {
                name: text(condition, "name")?,
                class: class.unwrap_or(Class::Unknown),
                meaning: text(condition, "meaning")?,
            })
        })
        .collect::<Result<_>>()?;
    let info = Info {
        name: text(record, "name")?,
        description: text(record, "description")?,
        version: text(record, "version")?,
        contact: text(record, "contact").unwrap_or_default(),
        port: record.u64("port").and_then(|port| port.try_into().ok()).unwrap_or(80),
        blocking: record.bool("blocking").unwrap_or(false),
        names: record.bool("names").unwrap_or(false),
        changes_system: record.bool("changes_system").unwrap_or(false),
        forges: record.bool("forges").unwrap_or(false),
        depends: record.bool("depends").unwrap_or(false),
        converses: record.bool("converses").unwrap_or(false),
        converses_with: record.str("converses_with").map(str::to_owned),
        conditions,
    };
    let options = records(record, "options").map(option_from_record).collect::<Result<_>>()?;
    Ok((info, options))
}

fn option_to_record(spec: &OptionSpec) -> Record {
    let record = Record::new()
        .with("name", spec.name.as_str())
        .with("several", spec.several)
        .with("default", spec.default.clone())
        .with("placeholder", spec.placeholder.as_str())
        .with("help", spec.help.as_str());
    let words = || spec.words.iter().map(|(word, number)| (word.clone(), *number));
    let record = if spec.words.is_empty() {
        record
    } else {
        record.with("words", words().collect::<Record>())
    };
    match &spec.kind {
        OptionKind::Flag => record.with("kind", "flag"),
        OptionKind::Integer { min, max } => {
            record.with("kind", "integer").with("min", *min).with("max", *max)
        }
        OptionKind::Number { min, max } => {
            record.with("kind", "number").with("min", *min).with("max", *max)
        }
        OptionKind::Text => record.with("kind", "text"),
        OptionKind::Choice(words) => record
            .with("kind", "choice")
            .with("choices", words.iter().map(String::as_str).collect::<Value>()),
    }
}

fn option_from_record(record: &Record) -> Result<OptionSpec> {
    let name = text(record, "name")?;
    let limit = |key: &str| {
        record
            .get(key)
            .ok_or_else(|| Error::contract(format!("describe: option {name} has no {key}imum")))
    };
    let kind = match record.str("kind") {
        Some("flag") => OptionKind::Flag,
        Some("integer") => OptionKind::Integer {
            min: limit("min")?.as_i64().unwrap_or(i64::MIN),
            max: limit("max")?.as_i64().unwrap_or(i64::MAX),
        },
        Some("number") => OptionKind::Number {
            min: limit("min")?.as_f64().unwrap_or(f64::NEG_INFINITY),
            max: limit("max")?.as_f64().unwrap_or(f64::INFINITY),
        },
        Some("text") => OptionKind::Text,
        Some("choice") => OptionKind::Choice(
            record
                .get("choices")
                .and_then(Value::as_list)
                .unwrap_or_default()
                .iter()
                .filter_map(|word| word.as_str().map(str::to_owned))
                .collect(),
        ),
        other => {
            return Err(Error::contract(format!(
                "describe: option {name} has the kind {}, which this host does not know",
                other.unwrap_or("nothing")
            )));
        }
    };
    Ok(OptionSpec {
        kind,
        several: record.bool("several").unwrap_or(false),
        default: record.get("default").cloned().unwrap_or(Value::NULL),
        placeholder: text(record, "placeholder").unwrap_or_default(),
        help: text(record, "help").unwrap_or_default(),
        words: record.get("words").and_then(Value::as_record).map_or_else(Vec::new, |words| {
            let number = |(word, value): (&str, &Value)| Some((word.to_owned(), value.as_i64()?));
            words.iter().filter_map(number).collect()
        }),
        name,
    })
}

/// Configurations, as they cross the boundary: their places are those of the list.
pub(super) fn configurations_to_value(configurations: Vec<Configuration>) -> Result<Value> {
    let one = |(place, one): (usize, Configuration)| {
        if one.id() != ConfigId::new(place) {
            return Err(Error::contract(format_args!(
                "configurations: {:?} is made by Configuration::new({}, …), and stands at place {place} \
                 of the list",
                one.label(),
                one.id().index()
            )));
        }
        let hold = match one.held() {
            Hold::Initiation => "initiation",
            Hold::Handshake => "handshake",
            Hold::Completion => "completion",
        };
        let carrier = match one.carried_by() {
            Carrier::Opening => "opening",
            Carrier::Data => "data",
        };
        Ok(Record::new()
            .with("label", one.label())
            .with("hold", Value::text(hold))
            .with("carrier", Value::text(carrier)))
    };
    configurations
        .into_iter()
        .enumerate()
        .map(one)
        .collect::<Result<Vec<_>>>()
        .map(|all| all.into_iter().collect())
}

pub(super) fn configurations_from_value(value: &Value) -> Result<Vec<Configuration>> {
    let list = value.as_list().unwrap_or_default();
    list.iter()
        .filter_map(Value::as_record)
        .enumerate()
        .map(|(place, record)| {
            let hold = match record.str("hold") {
                Some("initiation") => Hold::Initiation,
                Some("handshake") => Hold::Handshake,
                // A way to hold that this host does not know is met by the strictest.
                _ => Hold::Completion,
            };
            let carrier = match record.str("carrier") {
                Some("data") => Carrier::Data,
                _ => Carrier::Opening,
            };
            let label = text(record, "label")?;
            Ok(Configuration::new(place, "").labelled(label).hold(hold).carrier(carrier))
        })
        .collect()
}

/// A chain's description, as it crosses the boundary.
pub fn chain_to_record(info: ChainInfo) -> Record {
    let fields: Value = info
        .fields
        .into_iter()
        .map(|field| {
            Record::new()
                .with("name", field.name)
                .with("type", Value::text(field.kind.name()))
                .with("unit", field.unit)
                .with("meaning", field.meaning)
        })
        .collect();
    Record::new()
        .with("name", info.name)
        .with("description", info.description)
        .with("fields", fields)
}

/// Reads a chain's description.
///
/// # Errors
///
/// What is missing in it, or unknown to this host.
pub fn chain_from_record(record: &Record) -> Result<ChainInfo> {
    let fields = records(record, "fields")
        .map(|field| {
            let kind = text(field, "type")?;
            Ok(FieldInfo {
                name: text(field, "name")?,
                kind: FieldType::from_name(&kind)
                    .ok_or_else(|| Error::contract(format!("describe: no field type {kind:?}")))?,
                unit: text(field, "unit").unwrap_or_default(),
                meaning: text(field, "meaning").unwrap_or_default(),
            })
        })
        .collect::<Result<_>>()?;
    Ok(ChainInfo { name: text(record, "name")?, description: text(record, "description")?, fields })
}

fn records<'a>(record: &'a Record, key: &str) -> impl Iterator<Item = &'a Record> {
    record.get(key).and_then(Value::as_list).unwrap_or_default().iter().filter_map(Value::as_record)
}

fn text(record: &Record, key: &str) -> Result<String> {
    record
        .str(key)
        .map(str::to_owned)
        .ok_or_else(|| Error::contract(format!("describe: the key {key:?} is missing")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::ConnectKind;

    #[test]
    fn a_measurement_survives_the_boundary() {
        crate::conditions! {
            WORDS: connectivity("x");
            SEEN: impaired("x.mark.seen:<mark>", "m");
        }
        assert_eq!((WORDS.conditions().len(), SEEN.aspect()), (4, "x.mark"));
        let info = Info::new("x", "1.2.3", "d").contact("c").blocking().takes_names();
        let info = info.changes_system().converses_with("f").port(53).conditions(CONDITIONS);
        assert_eq!(info.conditions.len(), 5);
        let options = Options::none()
            .connect(&[ConnectKind::Tcp])
            .timeout()
            .integers("n", 0..=63, &[1, 2], "h")
            .words([("two", 2)])
            .flag("f", "h")
            .text("t", "", "h");
        let record = measurement_to_record(info.clone(), &options);
        assert_eq!(measurement_from_record(&record).unwrap(), (info, options));
    }

    #[test]
    fn configurations_and_chains_survive_the_boundary() {
        let configurations = vec![
            Configuration::new(0, "a").hold(Hold::Initiation),
            Configuration::new(1, "b").carrier(Carrier::Data),
        ];
        let value = configurations_to_value(configurations.clone()).unwrap();
        assert_eq!(configurations_from_value(&value).unwrap(), configurations);

        let chain = ChainInfo::from(crate::chains::tcp::CHAIN);
        assert_eq!(chain_from_record(&chain_to_record(chain.clone())).unwrap(), chain);
    }

    #[test]
    fn a_configuration_stands_in_its_place() {
        let swapped = vec![Configuration::new(1, "b"), Configuration::new(0, "a")];
        let error = configurations_to_value(swapped).unwrap_err();
        let words = "\"b\" is made by Configuration::new(1, …), and stands at place 0 of";
        assert!(error.message().contains(words), "{error}");
    }
}
