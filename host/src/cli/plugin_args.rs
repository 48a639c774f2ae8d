//! A plugin's declared options as real arguments: in help, and checked before any packet is sent.

use std::ffi::OsString;

use clap::builder::{PossibleValuesParser, ValueParser};
use clap::{Arg, ArgAction, ArgMatches, Command};
use pathspider_plugin_api::{Info, OptionKind, OptionSpec, OptionValues, Options, Record, Value};

/// Parses the arguments that follow a plugin's name.
///
/// # Errors
///
/// The parser's message, which may be the help that was asked for.
pub(super) fn parse(
    info: &Info,
    options: &Options,
    words: impl IntoIterator<Item = OsString>,
) -> Result<OptionValues, clap::Error> {
    let name = format!("pathspider measure [OPTIONS] {}", info.name);
    let command = Command::new(info.name.clone())
        .bin_name(name)
        .version(info.version.clone())
        .about(info.description.clone())
        .no_binary_name(true)
        .args(options.iter().map(argument));
    let matches = command.try_get_matches_from(words)?;
    Ok(OptionValues::new(
        options.iter().map(|spec| (spec.name.clone(), value(spec, &matches))).collect::<Record>(),
    ))
}

fn argument(spec: &OptionSpec) -> Arg {
    let argument = Arg::new(spec.name.clone()).long(spec.name.clone());
    let argument = match &spec.kind {
        OptionKind::Flag => return argument.action(ArgAction::SetTrue).help(spec.help.clone()),
        OptionKind::Integer { min, max } => {
            argument.value_parser(clap::value_parser!(i64).range(*min..=*max))
        }
        OptionKind::Number { min, max } => argument.value_parser(number_between(*min, *max)),
        OptionKind::Choice(words) => argument
            .value_parser(PossibleValuesParser::new(words.clone()))
            .hide_possible_values(false),
        _ => argument.value_parser(clap::value_parser!(String)),
    };
    let argument =
        argument.value_name(spec.placeholder.clone()).allow_negative_numbers(true).help(help(spec));
    if spec.several { argument.num_args(1..).action(ArgAction::Append) } else { argument }
}

fn number_between(min: f64, max: f64) -> ValueParser {
    ValueParser::new(move |text: &str| match text.parse::<f64>() {
        Ok(number) if (min..=max).contains(&number) => Ok(number),
        Ok(_) => Err(format!("not between {min} and {max}")),
        Err(_) => Err("not a number".to_owned()),
    })
}

fn help(spec: &OptionSpec) -> String {
    match shown(&spec.default) {
        Some(default) => format!("{} [default: {default}]", spec.help),
        None => spec.help.clone(),
    }
}

fn shown(value: &Value) -> Option<String> {
    if let Some(list) = value.as_list() {
        let items: Vec<String> = list.iter().filter_map(shown).collect();
        return (!items.is_empty()).then(|| items.join(" "));
    }
    let text = value.as_str().map(str::to_owned);
    text.or_else(|| value.as_i64().map(|n| n.to_string()))
        .or_else(|| value.as_f64().map(|x| x.to_string()))
}

/// The option's value: the command line's, else the default.
fn value(spec: &OptionSpec, matches: &ArgMatches) -> Value {
    let name = spec.name.as_str();
    let several = spec.several;
    let given = match spec.kind {
        OptionKind::Flag => return matches.get_flag(name).into(),
        OptionKind::Integer { .. } => gather::<i64>(matches, name, several),
        OptionKind::Number { .. } => gather::<f64>(matches, name, several),
        _ => gather::<String>(matches, name, several),
    };
    given.unwrap_or_else(|| spec.default.clone())
}

fn gather<T>(matches: &ArgMatches, name: &str, several: bool) -> Option<Value>
where
    T: Clone + Send + Sync + Into<Value> + 'static,
{
    let mut values = matches.get_many::<T>(name)?.cloned();
    if several { Some(values.collect()) } else { values.next().map(Into::into) }
}

#[cfg(test)]
mod tests {
    use pathspider_plugin_api::ConnectKind;

    use super::*;

    fn parse_words(words: &[&str]) -> Result<OptionValues, clap::Error> {
        let options = Options::none()
            .connect(&[ConnectKind::Http, ConnectKind::Tcp])
            .timeout()
            .integers("codepoint", 0..=63, &[48], "Code points")
            .flag("fast", "Fast");
        let info = Info::new("x", "1", "about");
        parse(&info, &options, words.iter().map(OsString::from))
    }

    #[test]
    fn given_values_and_defaults() {
        let words = ["--connect", "tcp", "--codepoint", "8", "46", "--timeout", "2.5"];
        let values = parse_words(&words).unwrap();
        assert_eq!(values.connect().unwrap(), ConnectKind::Tcp);
        assert_eq!(values.integers("codepoint").unwrap(), [8, 46]);
        assert_eq!(values.timeout().unwrap().as_millis(), 2500);
        assert!(!values.flag("fast").unwrap());
        assert_eq!(parse_words(&[]).unwrap().integers("codepoint").unwrap(), [48]);
    }

    #[test]
    fn values_are_checked() {
        for words in [
            ["--connect", "pigeon"],
            ["--timeout", "0"],
            ["--timeout", "soon"],
            ["--codepoint", "64"],
            ["--unknown", "1"],
        ] {
            assert!(parse_words(&words).unwrap_err().use_stderr(), "{words:?}");
        }
        let help = parse_words(&["--help"]).unwrap_err().to_string();
        assert!(help.contains("--codepoint <N>") && help.contains("[default: 48]"), "{help}");
    }
}
