//! The plugin under examination, and what its measurements are tried with.

use std::collections::BTreeSet;
use std::sync::Arc;

use pathspider_plugin_api::abi::{ChainSet, LoadedPlugin, MeasurementHandle};
use pathspider_plugin_api::{
    ChainInfo, ChainName, Error, ErrorKind, Info, OptionKind, OptionSpec, OptionValues, Options,
    Value,
};

use super::network::NetworkState;
use super::process::ProcessState;
use crate::child::Reporter;
use pathspider_observer::chains::{Catalogue, CatalogueError};

/// The plugin under examination.
pub(super) struct Subject<'a> {
    pub(super) plugin: LoadedPlugin,
    /// Its name: it tells its chains from others of the same name.
    pub(super) name: String,
    /// For what is chosen at random.
    pub(super) seed: u64,
    /// Values of options, in place of the defaults.
    pub(super) options: Vec<(String, String)>,
    /// Whether this process has a network of its own.
    pub(super) isolated: bool,
    /// The interface of the machine's default route.
    pub(super) interface: Option<String>,
    /// The names of the kernel parameters of the machine's network, where they matter.
    pub(super) parameters: BTreeSet<String>,
    /// The state of that network before the plugin was loaded, where it matters.
    pub(super) network: Option<NetworkState>,
    /// The state of the process before the plugin was loaded.
    pub(super) process: ProcessState,
    pub(super) reporter: &'a mut Reporter,
}

/// A measurement of the plugin.
pub(super) struct Sample {
    pub(super) handle: MeasurementHandle,
    pub(super) info: Info,
    pub(super) options: Options,
    pub(super) known: Arc<Known>,
}

#[cfg(test)]
impl Sample {
    /// A measurement that is linked in, which knows the library's chains.
    pub(super) fn linked(handle: MeasurementHandle) -> Sample {
        let (info, options) = handle.describe().unwrap();
        let known = Known { catalogue: Catalogue::library(), plugin: "linked".to_owned() };
        Sample { handle, info, options, known: Arc::new(known) }
    }
}

/// The chains that are known here: the library's, and the file's own.
pub(super) struct Known {
    catalogue: Catalogue,
    plugin: String,
}

impl Known {
    /// The chain that a measurement of the file means by this name.
    pub(super) fn find(&self, name: &ChainName) -> Option<&ChainInfo> {
        self.catalogue.find_for(Some(&self.plugin), name).ok().map(|entry| &entry.info)
    }

    /// The chains that it means by these names, as a run makes them.
    ///
    /// # Errors
    ///
    /// As in a run.
    pub(super) fn resolve(&self, names: &[ChainName]) -> Result<ChainSet, CatalogueError> {
        Ok(self.catalogue.resolve_for(Some(&self.plugin), names)?.chains)
    }
}

/// Values that a measurement is tried with.
pub(super) struct Variant {
    /// The options that are not the defaults, as on a command line.
    pub(super) label: String,
    pub(super) values: OptionValues,
}

impl Subject<'_> {
    /// The plugin's measurements. That they describe themselves was seen before.
    pub(super) fn samples(&self) -> Vec<Sample> {
        // What is wrong with the file's chains is another rule's.
        let known = self.known().unwrap_or_else(|_| self.knowing(Catalogue::library()));
        let known = Arc::new(known);
        let describe = |handle: MeasurementHandle| {
            let (info, options) = handle.describe().ok()?;
            Some(Sample { handle, info, options, known: Arc::clone(&known) })
        };
        self.plugin.measurements().into_iter().filter_map(describe).collect()
    }

    /// What is wrong with the options that were asked for: no measurement has them, or not with
    /// such a value.
    pub(super) fn misuse(&self) -> Option<String> {
        let samples = self.samples();
        let known = |name: &str| {
            let mut options = samples.iter().flat_map(|sample| sample.options.iter());
            options.any(|spec| spec.name == name)
        };
        let unknown = self.options.iter().find(|(name, _)| !known(name));
        let unknown = unknown.map(|(name, _)| {
            let options = samples.iter().flat_map(|sample| sample.options.iter());
            let names: Vec<String> = options.map(|spec| format!("--{}", spec.name)).collect();
            format!("it has no option --{name}; it has {}", names.join(", "))
        });
        unknown.or_else(|| samples.iter().find_map(|sample| self.variants(sample).err()))
    }

    /// The library's chains and the plugin's own.
    ///
    /// # Errors
    ///
    /// Two of the plugin's have the same name.
    pub(super) fn known(&self) -> Result<Known, CatalogueError> {
        let mut catalogue = Catalogue::library();
        catalogue.add(&self.name, self.plugin.chains())?;
        Ok(self.knowing(catalogue))
    }

    fn knowing(&self, catalogue: Catalogue) -> Known {
        Known { catalogue, plugin: self.name.clone() }
    }

    /// The values that were asked for, else the defaults and each word of each choice.
    ///
    /// # Errors
    ///
    /// The option that was asked for has no such value.
    pub(super) fn variants(&self, sample: &Sample) -> Result<Vec<Variant>, String> {
        let mut record = sample.options.defaults().into_record();
        let mut given = String::new();
        for (name, text) in &self.options {
            // It may be another measurement's of the same file.
            let Some(spec) = sample.options.iter().find(|spec| spec.name == *name) else {
                continue;
            };
            given += &format!(" --{name} {text}");
            let value = read(spec, text);
            let value = value.ok_or_else(|| format!("--{name} takes no {text:?}"))?;
            record.set(name.clone(), value);
        }
        let first = Variant { label: given, values: OptionValues::new(record.clone()) };
        if !self.options.is_empty() {
            return Ok(vec![first]);
        }
        let words = sample.options.iter().flat_map(|spec| match &spec.kind {
            OptionKind::Choice(words) => words.iter().map(|word| (spec, word)).collect(),
            _ => Vec::new(),
        });
        let others = words.filter(|(spec, word)| spec.default.as_str() != Some(word));
        let variant = |(spec, word): (&OptionSpec, &String)| Variant {
            label: format!(" --{} {word}", spec.name),
            values: OptionValues::new(record.clone().with(spec.name.clone(), word.as_str())),
        };
        Ok(std::iter::once(first).chain(others.map(variant)).collect())
    }
}

/// An option's value from its text.
fn read(spec: &OptionSpec, text: &str) -> Option<Value> {
    let one = |text: &str| match &spec.kind {
        OptionKind::Flag => text.parse().ok().map(|given: bool| given.into()),
        OptionKind::Integer { .. } => spec.whole_number(text).map(Value::from),
        OptionKind::Number { min, max } => {
            text.parse().ok().filter(|number| (min..=max).contains(&number)).map(Value::from)
        }
        OptionKind::Choice(words) => words.iter().any(|w| w == text).then(|| text.into()),
        _ => Some(text.into()),
    };
    if spec.several {
        text.split(',').map(one).collect::<Option<Vec<Value>>>().map(Value::from)
    } else {
        one(text)
    }
}

/// Whether the plugin ran as designed and said no, which it may.
pub(super) fn declined(error: &Error) -> bool {
    error.kind() == ErrorKind::Declined
}
