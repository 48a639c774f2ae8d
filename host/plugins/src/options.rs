//! What is wrong with an option that a plugin declares: a run refuses the plugin for it, and
//! `pathspider check` tells of it.

use pathspider_plugin_api::{OptionKind, OptionSpec, Options, Value};

/// Names that the host's parser has.
const TAKEN: [&str; 2] = ["help", "version"];

/// What is wrong with the first option that cannot be offered on a command line.
pub fn unusable(options: &Options) -> Option<String> {
    let specs: Vec<&OptionSpec> = options.iter().collect();
    let wrong = |(at, spec): (usize, &&OptionSpec)| {
        let is_twice = specs[..at].iter().any(|other| other.name == spec.name);
        let trouble = is_twice.then(|| "it is declared twice".to_owned());
        trouble.or_else(|| unusable_one(spec)).map(|trouble| format!("--{}: {trouble}", spec.name))
    };
    specs.iter().enumerate().find_map(wrong)
}

/// What is wrong with an option.
pub(super) fn wrong(spec: &OptionSpec) -> Option<String> {
    let without_help = || spec.help.is_empty().then(|| "it has no help".to_owned());
    unusable_one(spec).or_else(without_help)
}

fn unusable_one(spec: &OptionSpec) -> Option<String> {
    let usable = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !spec.name.starts_with(|c: char| c.is_ascii_lowercase()) || !spec.name.chars().all(usable) {
        return Some("its name is not of lower-case letters, digits and dashes".to_owned());
    }
    if TAKEN.contains(&spec.name.as_str()) {
        return Some("the host has an option of that name".to_owned());
    }
    match &spec.kind {
        OptionKind::Integer { min, max } if min > max => {
            Some(format!("no number is in its range, {min} to {max}: the least comes first"))
        }
        OptionKind::Number { min, max } if !(min <= max && min.is_finite() && max.is_finite()) => {
            Some(format!("no number is in its range, {min} to {max}: the least comes first"))
        }
        OptionKind::Choice(words) if words.is_empty() => Some("there is no choice".to_owned()),
        OptionKind::Choice(words)
            if words.iter().enumerate().any(|(n, w)| words[..n].contains(w)) =>
        {
            Some("a word of the choice is there twice".to_owned())
        }
        _ => wrong_word(spec).or_else(|| wrong_default(spec)),
    }
}

/// What is wrong with a word that stands for a number.
fn wrong_word(spec: &OptionSpec) -> Option<String> {
    let is_word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_alphabetic())
            && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    let wrong = spec
        .words
        .iter()
        .find(|(word, number)| !is_word(word) || spec.whole_number(word) != Some(*number));
    wrong.map(|(word, number)| format!("{word:?} cannot stand for {number}"))
}

fn wrong_default(spec: &OptionSpec) -> Option<String> {
    let default = &spec.default;
    let fits = match (spec.several, default.as_list()) {
        (true, Some(list)) => list.iter().all(|value| allows(&spec.kind, value)),
        (false, None) => default.is_null() || allows(&spec.kind, default),
        (true, None) => default.is_null(),
        (false, Some(_)) => false,
    };
    (!fits).then(|| format!("its default {default:?} is none of its values"))
}

/// Whether nothing is in the range that was declared.
pub(super) fn is_empty(kind: &OptionKind) -> bool {
    match kind {
        OptionKind::Integer { min, max } => min > max,
        OptionKind::Number { min, max } => !(min <= max && min.is_finite() && max.is_finite()),
        _ => false,
    }
}

fn allows(kind: &OptionKind, value: &Value) -> bool {
    match kind {
        OptionKind::Flag => value.as_bool().is_some(),
        OptionKind::Integer { min, max } => {
            value.as_i64().is_some_and(|number| (min..=max).contains(&&number))
        }
        OptionKind::Number { min, max } => {
            value.as_f64().is_some_and(|number| (min..=max).contains(&&number))
        }
        OptionKind::Choice(words) => value.as_str().is_some_and(|w| words.iter().any(|x| x == w)),
        _ => value.as_str().is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::reversed_empty_ranges)]
    fn options_that_no_command_line_can_have_are_named() {
        let none = Options::none;
        for (options, words) in [
            (none().integer("count", 5..=1, 3, "x"), "--count: no number is in its range, 5 to 1"),
            (none().number("share", 0.5..=0.1, 0.2, "X", "x"), "--share: no number is in"),
            (none().number("share", 0.0..=f64::INFINITY, 0.2, "X", "x"), "--share: no number"),
            (none().integer("count", 1..=5, 7, "x"), "--count: its default 7 is none"),
            (none().choice("how", &[], "x"), "--how: there is no choice"),
            (none().choice("how", &["a", "b", "a"], "x"), "--how: a word of the choice"),
            (none().flag("a", "x").flag("a", "x"), "--a: it is declared twice"),
            (none().integer("n", 0..=5, 1, "x").words([("six", 6)]), "--n: \"six\" cannot stand"),
            (none().integer("n", 0..=5, 1, "x").words([("a", 1), ("A", 2)]), "--n: \"A\" cannot"),
            (none().integer("n", 0..=5, 1, "x").words([("-x", 1)]), "--n: \"-x\" cannot stand"),
            (none().flag("fast", "x").words([("yes", 1)]), "--fast: \"yes\" cannot stand for 1"),
            (none().flag("help", "x"), "--help: the host has an option of that name"),
            (none().flag("Fast", "x"), "--Fast: its name is not of lower-case"),
        ] {
            let said = unusable(&options).unwrap();
            assert!(said.starts_with(words), "{said}");
        }
        assert_eq!(unusable(&none().timeout().text("name", "", "")), None);
    }
}
