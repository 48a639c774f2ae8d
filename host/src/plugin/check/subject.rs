//! The plugin under examination, and what its measurements are tried with.

use pathspider_plugin_api::abi::{LoadedPlugin, MeasurementHandle};
use pathspider_plugin_api::{
    Error, ErrorKind, Info, OptionKind, OptionSpec, OptionValues, Options, Record, Value,
};

use crate::chains::Catalogue;
use crate::plugin::child::Reporter;

/// The plugin under examination.
pub(super) struct Subject<'a> {
    pub(super) plugin: LoadedPlugin,
    /// For what is chosen at random.
    pub(super) seed: u64,
    /// Values of options, in place of the defaults.
    pub(super) options: Vec<(String, String)>,
    /// Whether this process has a network of its own.
    pub(super) isolated: bool,
    pub(super) reporter: &'a mut Reporter,
}

/// A measurement of the plugin.
pub(super) struct Sample {
    pub(super) handle: MeasurementHandle,
    pub(super) info: Info,
    pub(super) options: Options,
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
        let describe = |handle: MeasurementHandle| {
            let (info, options) = handle.describe().ok()?;
            Some(Sample { handle, info, options })
        };
        self.plugin.measurements().into_iter().filter_map(describe).collect()
    }

    /// An option that was asked for and that no measurement has.
    pub(super) fn unknown_option(&self) -> Option<&str> {
        let samples = self.samples();
        let known = |name: &str| {
            let mut options = samples.iter().flat_map(|sample| sample.options.iter());
            options.any(|spec| spec.name == name)
        };
        self.options.iter().map(|(name, _)| name.as_str()).find(|name| !known(name))
    }

    /// The library's chains and the plugin's own.
    ///
    /// # Errors
    ///
    /// Two of the plugin's have the same name.
    pub(super) fn catalogue(&self) -> Result<Catalogue, String> {
        let mut catalogue = Catalogue::library();
        catalogue.add("this", self.plugin.chains()).map_err(|error| error.to_string())?;
        Ok(catalogue)
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
        OptionKind::Integer { min, max } => {
            text.parse().ok().filter(|number| (min..=max).contains(&number)).map(Value::from)
        }
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

/// A record's values by key, all replaced or left out at random, now and then with nonsense.
pub(super) fn scramble(record: &Record, random: &mut fastrand::Rng) -> Record {
    let mut scrambled = Record::new();
    for (key, value) in record.iter() {
        match random.u8(0..10) {
            0 => {}
            1 => scrambled.set(key.to_owned(), any_value(random)),
            2 => scrambled.set(key.to_owned(), Value::NULL),
            _ => scrambled.set(key.to_owned(), value.clone()),
        }
    }
    scrambled
}

/// Any value.
pub(super) fn any_value(random: &mut fastrand::Rng) -> Value {
    match random.u8(0..10) {
        0 => Value::NULL,
        1 => random.bool().into(),
        2 => random.i64(..).into(),
        3 => random.u64(..).into(),
        4 => random.f64().into(),
        5 => u64::from(random.u8(..)).into(),
        6 => "".into(),
        7 => any_text(random).into(),
        8 => (0..random.usize(0..5)).map(|n| n as u64).collect(),
        _ => Record::new().with("key", any_text(random)).into(),
    }
}

/// Any text.
pub(super) fn any_text(random: &mut fastrand::Rng) -> String {
    (0..random.usize(0..40)).map(|_| random.char(..)).collect()
}
