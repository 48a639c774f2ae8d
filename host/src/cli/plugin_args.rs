//! A plugin's declared options as real arguments: in help, and checked before any packet is sent.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, ValueParser};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use pathspider_plugin_api::{Info, OptionKind, OptionSpec, OptionValues, Options, Record, Value};

use super::options::option_arguments;
use pathspider_runtime::text::visible;

/// What stands after a plugin's name.
pub(super) struct Given {
    /// The values of its options.
    pub(super) values: OptionValues,
    /// Options of the measurement, as words.
    pub(super) general: Vec<OsString>,
    /// Targets.
    pub(super) targets: Vec<String>,
}

/// The name of the targets in the parser.
const TARGETS: &str = "host targets";

/// Parses the arguments that follow a plugin's name.
///
/// # Errors
///
/// The parser's message, which may be the help that was asked for.
pub(super) fn parse(
    info: &Info,
    options: &Options,
    words: impl IntoIterator<Item = OsString>,
) -> Result<Given, clap::Error> {
    let words = targets_last(options, words.into_iter().collect());
    let matches = command(info, options).no_binary_name(true).try_get_matches_from(words)?;
    let values = options.iter().map(|spec| (spec.name.clone(), value(spec, &matches)));
    Ok(Given {
        values: OptionValues::new(values.collect::<Record>()),
        general: as_words(option_arguments(), &matches),
        targets: matches.get_many::<String>(TARGETS).into_iter().flatten().cloned().collect(),
    })
}

/// Options that say where plugins are found. They have been taken by [`places`].
fn global() -> [Arg; 2] {
    let folder = Arg::new("plugin-dir").value_name("DIR").action(ArgAction::Append);
    [
        folder.long("plugin-dir").value_parser(clap::value_parser!(PathBuf)),
        Arg::new("insecure-plugins").long("insecure-plugins").action(ArgAction::SetTrue),
    ]
}

/// The folders of `--plugin-dir` among these words, and whether `--insecure-plugins` is: what has to be
/// known before the plugin is.
pub(super) fn places(words: &[OsString]) -> (Vec<PathBuf>, bool) {
    let mut folders = Vec::new();
    let mut words = words.iter();
    let mut is_insecure = false;
    while let Some(word) = words.next() {
        let folder = match word.as_encoded_bytes().strip_prefix(b"--plugin-dir=") {
            Some(folder) => Some(OsStr::from_bytes(folder)),
            None if word == "--plugin-dir" => words.next().map(OsString::as_os_str),
            None => None,
        };
        // An empty name is refused by the parser.
        folders.extend(folder.filter(|folder| !folder.is_empty()).map(PathBuf::from));
        is_insecure |= word == "--insecure-plugins";
    }
    (folders, is_insecure)
}

/// Puts targets that follow the values of an option that takes several numbers behind all else: the
/// option would take them for values.
fn targets_last(options: &Options, words: Vec<OsString>) -> Vec<OsString> {
    let numbers: Vec<(String, &OptionSpec)> = options
        .iter()
        .filter(|spec| spec.several && matches!(spec.kind, OptionKind::Integer { .. }))
        .map(|spec| (format!("--{}", spec.name), spec))
        .collect();
    let (mut kept, mut targets) = (Vec::new(), Vec::new());
    let mut words = words.into_iter();
    // The option whose values follow, and how many there were, where one is open.
    let mut values: Option<(&OptionSpec, usize)> = None;
    for word in words.by_ref() {
        if word == "--" {
            break;
        }
        let text = word.to_string_lossy();
        let is_word = values.is_some_and(|(spec, _)| spec.whole_number(&text).is_some());
        let is_number = is_word || text.parse::<i64>().is_ok();
        let is_option = text.starts_with('-') && !is_number;
        let opened = numbers.iter().find(|(option, _)| *option == text);
        values = match values {
            _ if opened.is_some() => opened.map(|(_, spec)| (*spec, 0)),
            Some((spec, count)) if is_number => Some((spec, count + 1)),
            Some((_, 1..)) if !is_option => {
                targets.push(word);
                continue;
            }
            _ => None,
        };
        kept.push(word);
    }
    targets.extend(words);
    if !targets.is_empty() {
        kept.push("--".into());
        kept.extend(targets);
    }
    kept
}

/// The parser of a plugin's own options, and, hidden, of those of the measurement. Where both have
/// an option of one name it is the plugin's, and the measurement's has to stand before the plugin.
pub(super) fn command(info: &Info, options: &Options) -> Command {
    let is_own = |long: &str| options.iter().any(|spec| spec.name == long);
    let free = global().into_iter().filter(|option| !option.get_long().is_some_and(is_own));
    known(info, options).args(free.map(|option| option.hide(true)))
}

/// The same without the options that a program's command has for all its subcommands.
pub(super) fn known(info: &Info, options: &Options) -> Command {
    let is_own = |long: &str| options.iter().any(|spec| spec.name == long);
    let general = option_arguments().map(|argument| {
        let taken =
            argument.get_long().filter(|long| is_own(long)).map(|long| format!("host-{long}"));
        match taken {
            Some(long) => argument.long(long),
            None => argument,
        }
        .hide(true)
    });
    Command::new(info.name.clone())
        .bin_name(format!("pathspider measure [OPTIONS] {}", info.name))
        .version(info.version.clone())
        .about(format!("{} {}: {}", info.name, info.version, info.description))
        .args(options.iter().map(argument))
        .args(general)
        .arg(
            Arg::new(TARGETS).value_name("TARGET").num_args(0..).help(
                "What to measure in place of an input: addresses or names, perhaps with a port",
            ),
        )
}

/// Those of these arguments that a command line has, as words.
pub(super) fn as_words(
    arguments: impl Iterator<Item = Arg>,
    matches: &ArgMatches,
) -> Vec<OsString> {
    let mut words = Vec::new();
    for argument in arguments {
        let id = argument.get_id().as_str();
        let Some(long) = argument.get_long() else { continue };
        if matches.value_source(id) != Some(ValueSource::CommandLine) {
            continue;
        }
        if !argument.get_action().takes_values() {
            words.push(format!("--{long}").into());
            continue;
        }
        for value in matches.get_raw(id).into_iter().flatten() {
            let mut word = OsString::from(format!("--{long}="));
            word.push(value);
            words.push(word);
        }
    }
    words
}

/// An option's name in the parser, which no argument of ours has.
fn id(spec: &OptionSpec) -> String {
    format!("plugin {}", spec.name)
}

fn argument(spec: &OptionSpec) -> Arg {
    let argument = Arg::new(id(spec)).long(spec.name.clone());
    let argument = match &spec.kind {
        OptionKind::Flag => return argument.action(ArgAction::SetTrue).help(spec.help.clone()),
        OptionKind::Integer { min, max } => argument.value_parser(whole_number(spec, *min, *max)),
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

/// A whole number, perhaps by one of the option's words.
fn whole_number(spec: &OptionSpec, min: i64, max: i64) -> ValueParser {
    if spec.words.is_empty() {
        return clap::value_parser!(i64).range(min..=max).into();
    }
    let spec = spec.clone();
    ValueParser::new(move |text: &str| {
        spec.whole_number(text).ok_or_else(|| {
            let words: Vec<&str> = spec.words.iter().map(|(word, _)| word.as_str()).collect();
            format!("not a number from {min} to {max}, nor one of {}", words.join(", "))
        })
    })
}

fn number_between(min: f64, max: f64) -> ValueParser {
    ValueParser::new(move |text: &str| match text.parse::<f64>() {
        Ok(number) if (min..=max).contains(&number) => Ok(number),
        Ok(_) => Err(format!("not between {min} and {max}")),
        Err(_) => Err("not a number".to_owned()),
    })
}

fn help(spec: &OptionSpec) -> String {
    let range = match &spec.kind {
        OptionKind::Integer { min, max } => Some(match spec.words.first() {
            Some((word, _)) => format!("{min} to {max}, or a name such as {word}"),
            None => format!("{min} to {max}"),
        }),
        OptionKind::Number { min, max } => Some(format!("{min} to {max}")),
        _ => None,
    };
    let range = range.map(|range| format!(" [{range}]")).unwrap_or_default();
    let default = shown(&spec.default).map(|value| format!(" [default: {value}]"));
    format!("{}{range}{}", spec.help, default.unwrap_or_default())
}

fn shown(value: &Value) -> Option<String> {
    if let Some(list) = value.as_list() {
        let items: Vec<String> = list.iter().filter_map(shown).collect();
        return (!items.is_empty()).then(|| items.join(" "));
    }
    let text = value.as_str().map(|text| visible(text, 200));
    text.or_else(|| value.as_i64().map(|n| n.to_string()))
        .or_else(|| value.as_f64().map(|x| x.to_string()))
}

/// The option's value: the command line's, else the default.
fn value(spec: &OptionSpec, matches: &ArgMatches) -> Value {
    let name = id(spec);
    let several = spec.several;
    let given = match spec.kind {
        OptionKind::Flag => return matches.get_flag(&name).into(),
        OptionKind::Integer { .. } => gather::<i64>(matches, &name, several),
        OptionKind::Number { .. } => gather::<f64>(matches, &name, several),
        _ => gather::<String>(matches, &name, several),
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

    fn parse_all(words: &[&str]) -> Result<Given, clap::Error> {
        let options = Options::none()
            .connect(&[ConnectKind::Http, ConnectKind::Tcp])
            .timeout()
            .integers("codepoint", 0..=63, &[48], "Code points")
            .words([("EF", 46), ("CS6", 48)])
            .text("input", "", "Named like one of the measurement's")
            .flag("fast", "Fast");
        let info = Info::new("x", "1", "about");
        parse(&info, &options, words.iter().map(OsString::from))
    }

    fn parse_words(words: &[&str]) -> Result<OptionValues, clap::Error> {
        parse_all(words).map(|given| given.values)
    }

    #[test]
    fn where_plugins_are_may_stand_after_the_name() {
        let words = ["--fast", "--plugin-dir", "a", "--plugin-dir=b", "--insecure-plugins"];
        let found = places(&words.map(OsString::from));
        assert_eq!(found, (vec!["a".into(), "b".into()], true));
        assert!(parse_words(&words).unwrap().flag("fast").unwrap());
        assert_eq!(places(&[]), (Vec::new(), false));
    }

    #[test]
    fn given_values_and_defaults() {
        let words = ["--connect", "tcp", "--codepoint", "8", "46", "--timeout", "2.5"];
        let values = parse_words(&words).unwrap();
        assert_eq!(values.connect().unwrap(), ConnectKind::Tcp);
        assert_eq!(values.integers::<i64>("codepoint").unwrap(), [8, 46]);
        assert_eq!(values.timeout().unwrap().as_millis(), 2500);
        assert!(!values.flag("fast").unwrap());
        assert_eq!(parse_words(&[]).unwrap().integers::<i64>("codepoint").unwrap(), [48]);
        let named = parse_words(&["--codepoint", "ef", "8", "CS6"]).unwrap();
        assert_eq!(named.integers::<i64>("codepoint").unwrap(), [46, 8, 48]);
        let twice = parse_words(&["--codepoint", "8", "--codepoint", "9"]).unwrap();
        assert_eq!(twice.integers::<i64>("codepoint").unwrap(), [8, 9]);
    }

    #[test]
    fn options_of_the_measurement_may_stand_among_the_plugins() {
        let given =
            parse_all(&["-i", "eth0", "--connect", "tcp", "--output-flows", "-w5"]).unwrap();
        assert_eq!(given.values.connect().unwrap(), ConnectKind::Tcp);
        assert_eq!(given.general, ["--interface=eth0", "--workers=5", "--output-flows"]);
        let given = parse_all(&["--input", "mine"]).unwrap();
        assert_eq!(given.values.text("input").unwrap(), Some("mine"));
        assert!(given.general.is_empty(), "the plugin's option comes first: {:?}", given.general);
        assert!(parse_all(&["-w", "0"]).is_err());
    }

    #[test]
    fn words_beside_options_are_targets() {
        let words = ["a.example", "--codepoint", "8", "46", "[::1]:80", "-w5", "192.0.2.1"];
        let given = parse_all(&words).unwrap();
        assert_eq!(given.values.integers::<u8>("codepoint").unwrap(), [8, 46]);
        assert_eq!(given.targets, ["a.example", "192.0.2.1", "[::1]:80"]);
        assert_eq!(given.general, ["--workers=5"]);
        for words in [
            &["--codepoint", "8", "--", "a.example"][..],
            &["--codepoint", "8", "a.example"],
            &["a.example", "--codepoint", "8"],
        ] {
            assert_eq!(parse_all(words).unwrap().targets, ["a.example"]);
        }
        assert!(parse_all(&["--codepoint", "a.example"]).is_err());
    }

    #[test]
    fn the_later_option_counts() {
        let words = ["--workers=5", "--output-flows", "--output-flows", "--workers=7"];
        let options =
            super::super::options::measure_options(words.iter().map(OsString::from).collect())
                .unwrap();
        assert_eq!(options.running.workers(), 7);
        assert!(options.output_flows && !options.csv_input);
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
        assert!(
            help.contains("--codepoint <N>")
                && help.contains("[0 to 63, or a name such as EF] [default: 48]"),
            "{help}"
        );
        assert!(!help.contains("--workers"), "{help}");
    }
}
