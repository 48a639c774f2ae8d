//! How records came about, from the metadata beside them: the measurement, its options, its
//! configurations.

use std::path::Path;

use pathspider_plugin_api::{OptionKind, OptionSpec, OptionValues, Options, Value};
use serde_json::json;

use super::RejudgeError;
use crate::output::{Metadata, RecipeOfPlugin, RecipeOfRecords};

/// How records came about.
pub(crate) struct Provenance {
    metadata: Metadata,
    file: String,
    /// What was measured.
    pub(crate) plugin: RecipeOfPlugin,
    /// How it was written down.
    pub(crate) settings: RecipeOfRecords,
}

impl Provenance {
    /// Reads the metadata beside records.
    ///
    /// # Errors
    ///
    /// There are none, or they do not say it.
    pub(crate) fn read(records: &Path) -> Result<Provenance, RejudgeError> {
        let file = records.display().to_string();
        let unfit = |reason| RejudgeError::Unfit { file: file.clone(), line: None, reason };
        let path = Metadata::new(records).path().display().to_string();
        let metadata = match Metadata::read(records) {
            Ok(Some(metadata)) => metadata,
            Ok(None) => {
                return Err(unfit(format!("{path} is missing, which says how they were made")));
            }
            Err(error) => return Err(unfit(format!("{path} cannot be read: {error}"))),
        };
        let recipe = metadata.recipe();
        let recipe = recipe
            .map_err(|error| unfit(format!("{path} does not say how they were made: {error}")))?;
        if !recipe.settings.output_flows {
            let reason = "they are of a run without --output-flows, so nothing is known of their \
                          connections";
            return Err(unfit(reason.to_owned()));
        }
        let (plugin, settings) = (recipe.plugin, recipe.settings);
        Ok(Provenance { file: file.clone(), plugin, settings, metadata })
    }

    /// The options of the run, for a plugin that declares these: it may be a newer one.
    ///
    /// # Errors
    ///
    /// It does not have one, or not with this value.
    pub(crate) fn options(&self, declared: &Options) -> Result<OptionValues, RejudgeError> {
        let mut values = declared.defaults().into_record();
        for (name, value) in self.plugin.options.iter() {
            let spec = declared.iter().find(|spec| spec.name == name);
            let fits = spec.is_some_and(|spec| *value == spec.default || takes(spec, value));
            if !fits {
                let value = serde_json::to_string(value).unwrap_or_default();
                return Err(self.unfit(format!(
                    "the run had --{name} {value}, which the plugin {} does not take",
                    self.plugin.name
                )));
            }
            values.set(name.to_owned(), value.clone());
        }
        Ok(OptionValues::new(values))
    }

    /// Checks that the plugin has the configurations of the run.
    ///
    /// # Errors
    ///
    /// It has others.
    pub(crate) fn check_configurations(&self, labels: &[String]) -> Result<(), RejudgeError> {
        if labels == self.plugin.configurations {
            return Ok(());
        }
        Err(self.unfit(format!(
            "the run had the configurations {:?}, and the plugin {} has {labels:?}",
            self.plugin.configurations, self.plugin.name
        )))
    }

    /// The metadata of what comes of it. `plugin` is what is known of the plugin that judged.
    pub(crate) fn metadata(
        &self,
        output: &Path,
        capture: &str,
        plugin: serde_json::Value,
        at: String,
    ) -> Metadata {
        let mut metadata = self.metadata.clone().at(output);
        metadata.set(
            "rejudged",
            json!({
                "at": at,
                "records": self.file,
                "capture": capture,
                "plugin": plugin,
                "program": env!("CARGO_PKG_VERSION"),
            }),
        );
        metadata
    }

    fn unfit(&self, reason: String) -> RejudgeError {
        RejudgeError::Unfit { file: self.file.clone(), line: None, reason }
    }
}

/// Whether an option takes a value.
fn takes(spec: &OptionSpec, value: &Value) -> bool {
    let takes_one = |value: &Value| match &spec.kind {
        OptionKind::Flag => value.as_bool().is_some(),
        OptionKind::Integer { min, max } => {
            value.as_i64().is_some_and(|number| (min..=max).contains(&&number))
        }
        OptionKind::Number { min, max } => {
            value.as_f64().is_some_and(|number| (min..=max).contains(&&number))
        }
        OptionKind::Choice(words) => {
            value.as_str().is_some_and(|text| words.iter().any(|word| word == text))
        }
        _ => value.as_str().is_some(),
    };
    if spec.several {
        value.as_list().is_some_and(|list| list.iter().all(takes_one))
    } else {
        takes_one(value)
    }
}

#[cfg(test)]
mod tests {
    use pathspider_plugin_api::Record;

    use super::*;

    fn recipe(options: Record) -> Provenance {
        Provenance {
            metadata: Metadata::new(Path::new("r")),
            file: "r".into(),
            plugin: RecipeOfPlugin {
                name: "x".into(),
                version: "1".into(),
                options,
                configurations: vec!["a".into(), "b".into()],
            },
            settings: RecipeOfRecords::default(),
        }
    }

    #[test]
    fn a_newer_plugin_has_its_defaults_for_what_the_run_did_not_know() {
        let declared = Options::none()
            .integers("codepoint", 0..=63, &[48], "")
            .choice("connect", &["tcp", "http"], "")
            .number("timeout", 0.01..=10.0, 5.0, "S", "")
            .text("name", "", "")
            .flag("new", "");
        let given = Record::new()
            .with("codepoint", [8u8, 46].into_iter().collect::<Value>())
            .with("connect", "http")
            .with("name", Value::NULL)
            .with("timeout", 3.0);
        let values = recipe(given.clone()).options(&declared).unwrap();
        assert_eq!(values.integers::<i64>("codepoint").unwrap(), [8, 46]);
        assert_eq!((values.flag("new").unwrap(), values.text("name").unwrap()), (false, None));
        for (name, value) in [
            ("codepoint", [64u8].into_iter().collect::<Value>()),
            ("connect", "dnsudp".into()),
            ("timeout", 99.0.into()),
            ("gone", true.into()),
        ] {
            let error = recipe(given.clone().with(name, value)).options(&declared).unwrap_err();
            assert!(error.to_string().contains(&format!("--{name}")), "{error}");
        }
        assert!(recipe(given).check_configurations(&["a".into(), "b".into()]).is_ok());
        assert!(recipe(Record::new()).check_configurations(&["a".into()]).is_err());
    }
}
