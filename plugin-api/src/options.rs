//! The options that a plugin declares, which the host turns into arguments of its command line.

use crate::Record;
use crate::connect::{Connect, ConnectKind};
use crate::error::{Error, Result};
use crate::info::Info;
use crate::{Value, ValueRef};

/// The options of a plugin, in the order in which help shows them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options {
    specs: Vec<OptionSpec>,
}

/// What values an option takes.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum OptionKind {
    /// No value: given or not.
    Flag,
    /// A whole number in a range, ends included.
    Integer {
        /// The least value allowed.
        min: i64,
        /// The greatest value allowed.
        max: i64,
    },
    /// A number in a range, ends included.
    Number {
        /// The least value allowed.
        min: f64,
        /// The greatest value allowed.
        max: f64,
    },
    /// Any text.
    Text,
    /// One of these words.
    Choice(Vec<String>),
}

/// One option.
#[derive(Debug, Clone, PartialEq)]
pub struct OptionSpec {
    /// Its name, without the dashes.
    pub name: String,
    /// What values it takes.
    pub kind: OptionKind,
    /// Whether it takes several values, and gives a list.
    pub several: bool,
    /// Its value where the command line has none; null for none.
    pub default: Value,
    /// What stands for the value in help, such as `SECONDS`.
    pub placeholder: String,
    /// One line for help.
    pub help: String,
    /// Words that stand for whole numbers of its range; none of another kind has any.
    pub words: Vec<(String, i64)>,
}

impl OptionSpec {
    /// The whole number that a text is, in digits or as one of the words, in either case; `None` where it
    /// is none of the option's.
    pub fn whole_number(&self, text: &str) -> Option<i64> {
        let OptionKind::Integer { min, max } = &self.kind else { return None };
        let word = self.words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
        let number = word.map(|(_, number)| *number).or_else(|| text.parse().ok())?;
        (min..=max).contains(&&number).then_some(number)
    }
}

impl Options {
    /// No option.
    pub fn none() -> Options {
        Options::default()
    }

    /// Adds an option that is given or not.
    pub fn flag(self, name: &str, help: &str) -> Options {
        self.add(name, OptionKind::Flag, false.into(), "", help)
    }

    /// Adds an option that takes a whole number within `range`.
    pub fn integer(
        self,
        name: &str,
        range: std::ops::RangeInclusive<i64>,
        default: i64,
        help: &str,
    ) -> Options {
        let kind = OptionKind::Integer { min: *range.start(), max: *range.end() };
        self.add(name, kind, default.into(), "N", help)
    }

    /// Adds an option that takes several whole numbers within `range`.
    pub fn integers(
        self,
        name: &str,
        range: std::ops::RangeInclusive<i64>,
        default: &[i64],
        help: &str,
    ) -> Options {
        let kind = OptionKind::Integer { min: *range.start(), max: *range.end() };
        let mut options = self.add(name, kind, default.iter().copied().collect(), "N", help);
        if let Some(spec) = options.specs.last_mut() {
            spec.several = true;
        }
        options
    }

    /// Lets words stand for numbers of the last option, which takes whole ones: `EF` for 46, say.
    pub fn words<'w>(mut self, words: impl IntoIterator<Item = (&'w str, i64)>) -> Options {
        if let Some(spec) = self.specs.last_mut() {
            let words = words.into_iter().map(|(word, number)| (word.to_owned(), number));
            spec.words.extend(words);
        }
        self
    }

    /// Adds an option that takes a number within `range`.
    pub fn number(
        self,
        name: &str,
        range: std::ops::RangeInclusive<f64>,
        default: f64,
        placeholder: &str,
        help: &str,
    ) -> Options {
        let kind = OptionKind::Number { min: *range.start(), max: *range.end() };
        self.add(name, kind, default.into(), placeholder, help)
    }

    /// Adds an option that takes a text; `default` may be empty for none.
    pub fn text(self, name: &str, default: &str, help: &str) -> Options {
        let default = if default.is_empty() { Value::NULL } else { default.into() };
        self.add(name, OptionKind::Text, default, "TEXT", help)
    }

    /// Adds an option that takes one of `choices`; the first is the default.
    pub fn choice(self, name: &str, choices: &[&str], help: &str) -> Options {
        let kind = OptionKind::Choice(choices.iter().map(|&c| c.to_owned()).collect());
        let default = choices.first().map_or(Value::NULL, |&c| c.into());
        self.add(name, kind, default, "WORD", help)
    }

    /// Adds `--connect`: which kinds of connection the measurement can use, the default first.
    pub fn connect(self, kinds: &[ConnectKind]) -> Options {
        let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
        let options = self.choice("connect", &names, "How to connect to each target");
        options.placeholder("MODE")
    }

    /// Adds `--timeout`: the seconds that one connection may take, 5 by default.
    pub fn timeout(self) -> Options {
        self.number("timeout", 0.01..=3600.0, 5.0, "SECONDS", "How long one connection may take")
    }

    fn placeholder(mut self, placeholder: &str) -> Options {
        if let Some(spec) = self.specs.last_mut() {
            spec.placeholder = placeholder.into();
        }
        self
    }

    fn add(
        mut self,
        name: &str,
        kind: OptionKind,
        default: Value,
        placeholder: &str,
        help: &str,
    ) -> Options {
        self.specs.push(OptionSpec {
            name: name.into(),
            kind,
            several: false,
            default,
            placeholder: placeholder.into(),
            help: help.into(),
            words: Vec::new(),
        });
        self
    }

    /// The options, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, OptionSpec> {
        self.specs.iter()
    }

    /// The values that hold when the command line names no option.
    pub fn defaults(&self) -> OptionValues {
        OptionValues(self.iter().map(|s| (s.name.clone(), s.default.clone())).collect())
    }
}

impl FromIterator<OptionSpec> for Options {
    fn from_iter<I: IntoIterator<Item = OptionSpec>>(specs: I) -> Options {
        Options { specs: specs.into_iter().collect() }
    }
}

/// The values of a plugin's options, checked by the host against their declaration.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OptionValues(Record);

impl OptionValues {
    /// Values by name; for hosts and for tests of plugins.
    pub fn new(values: Record) -> OptionValues {
        OptionValues(values)
    }

    /// All values by name.
    pub fn record(&self) -> &Record {
        &self.0
    }

    /// The values, given up.
    pub fn into_record(self) -> Record {
        self.0
    }

    /// Whether a flag was given.
    ///
    /// # Errors
    ///
    /// Here and below: the plugin declared no such option, or one of another kind.
    pub fn flag(&self, name: &str) -> Result<bool> {
        self.value(name, "a flag", Value::as_bool)
    }

    /// An option's whole number, as a type that its range fits.
    pub fn integer<T: TryFrom<i64>>(&self, name: &str) -> Result<T> {
        self.value(name, "a whole number of this type", whole)
    }

    /// An option's whole numbers.
    pub fn integers<T: TryFrom<i64>>(&self, name: &str) -> Result<Vec<T>> {
        let all = |value: &Value| value.as_list()?.iter().map(whole).collect();
        self.value(name, "whole numbers of this type", all)
    }

    /// An option's number.
    pub fn number(&self, name: &str) -> Result<f64> {
        self.value(name, "a number", Value::as_f64)
    }

    /// An option's text or word; `None` where it was not given and has no default.
    pub fn text(&self, name: &str) -> Result<Option<&str>> {
        self.value(name, "a text", |value| match value.view() {
            ValueRef::Null => Some(None),
            ValueRef::Text(text) => Some(Some(text)),
            _ => None,
        })
    }

    /// The kind of connection that `--connect` names.
    pub fn connect(&self) -> Result<ConnectKind> {
        self.value("connect", "a kind of connection", |v| ConnectKind::from_name(v.as_str()?))
    }

    /// The time-out that `--timeout` names.
    pub fn timeout(&self) -> Result<std::time::Duration> {
        self.value("timeout", "a number of seconds", |v| {
            std::time::Duration::try_from_secs_f64(v.as_f64()?).ok()
        })
    }

    /// The port of targets that name none: that of the kind of connection that the option `connect`
    /// names, else the one that the measurement declares.
    pub fn default_port(&self, info: &Info) -> u16 {
        let kind = self.0.str("connect").and_then(ConnectKind::from_name);
        kind.map_or(info.port, ConnectKind::default_port)
    }

    /// The connection that `--connect` and `--timeout` describe.
    pub fn connection(&self) -> Result<Connect> {
        Ok(Connect::new(self.connect()?).timeout(self.timeout()?))
    }

    fn value<'a, T>(
        &'a self,
        name: &str,
        kind: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<T> {
        let Some(value) = self.0.get(name) else {
            let there: Vec<String> = self.0.iter().map(|(name, _)| format!("--{name}")).collect();
            let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
            return Err(Error::contract(format_args!(
                "it reads the option --{name}, which `options` does not declare; declared: {there}"
            )));
        };
        read(value).ok_or_else(|| {
            Error::contract(format_args!(
                "it reads the option --{name} as {kind}, and its value is {value:?}"
            ))
        })
    }
}

fn whole<T: TryFrom<i64>>(value: &Value) -> Option<T> {
    value.as_i64()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_may_be_a_word_of_the_options() {
        let options = Options::none().integers("code", 0..=63, &[48], "").words([("EF", 46)]);
        let spec = options.iter().next().unwrap();
        let read = |text: &str| spec.whole_number(text);
        assert_eq!(["EF", "ef", "46", "0"].map(read), [Some(46), Some(46), Some(46), Some(0)]);
        assert_eq!(["64", "-1", "E", ""].map(read), [None; 4]);
    }

    #[test]
    fn defaults_are_the_declared_ones() {
        let options = Options::none()
            .connect(&[ConnectKind::Http, ConnectKind::Tcp])
            .timeout()
            .integers("codepoint", 0..=63, &[48], "");
        let values = options.defaults();
        assert_eq!(values.connect().unwrap(), ConnectKind::Http);
        assert_eq!(values.timeout().unwrap().as_secs(), 5);
        assert_eq!(values.integers::<u8>("codepoint").unwrap(), [48]);
        let wide = OptionValues::new(Record::new().with("n", 300u16));
        assert!(wide.integer::<u8>("n").is_err() && wide.integer::<i64>("n") == Ok(300));
        assert_eq!(values.default_port(&Info::new("x", "1", "").port(7)), 80, "that of http");
        assert_eq!(OptionValues::default().default_port(&Info::new("x", "1", "").port(7)), 7);
        assert!(values.flag("codepoint").is_err());
        assert!(values.flag("absent").is_err());
    }
}
