//! The parser's errors in the style of all others: one line that says what is wrong, where, and what to
//! do.

use clap::error::ErrorKind;

/// Prints help and versions where they belong; gives an error as one line. `help` is the command that
/// shows what is possible.
pub fn told(error: &clap::Error, help: &str) -> Option<String> {
    if error.use_stderr() {
        return Some(line(error, help));
    }
    // Nobody is there to hear of a pipe that is closed.
    let _ = error.print();
    None
}

/// An error of the parser as one line.
pub fn line(error: &clap::Error, help: &str) -> String {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return format!("a command is missing; see {help}");
    }
    let text = error.render().to_string();
    let mut paragraphs = text.split("\n\n").map(joined);
    let what = paragraphs.next().unwrap_or_default();
    let what = what.strip_prefix("error: ").unwrap_or(&what);
    // Of several, the first is the likeliest. No argument of ours begins with a hyphen.
    let tip = paragraphs.find_map(|paragraph| {
        let tip = paragraph.strip_prefix("tip: ")?;
        let tip = tip.split(" tip: ").next().unwrap_or(tip);
        (!tip.starts_with("to pass '")).then(|| tip.to_owned())
    });
    let tip = tip.map(|tip| format!(" ({tip})")).unwrap_or_default();
    let line = format!("{}{tip}; see {help}", in_words(what));
    line.chars().flat_map(shown).collect()
}

/// What the standard library says of a text that is no number, and the same in words for people.
const NUMBERS: [(&str, &str); 4] = [
    ("cannot parse integer from empty string", "it is empty"),
    ("invalid digit found in string", "it is no whole number"),
    ("number too large to fit in target type", "it is too large"),
    ("number too small to fit in target type", "it is too small"),
];

/// What the parser and Rust say of numbers, in words: "0 is not in 1..=10" becomes "0 is not between 1 and
/// 10".
fn in_words(what: &str) -> String {
    const BEFORE: &str = " is not in ";
    let range = what.rsplit_once(BEFORE).and_then(|(value, range)| {
        let (least, most) = range.split_once("..")?;
        Some(match most.strip_prefix('=') {
            Some(most) => format!("{value} is not between {least} and {most}"),
            None => format!("{value} is less than {least}"),
        })
    });
    let number = || {
        NUMBERS
            .iter()
            .find_map(|(said, words)| Some(format!("{}{words}", what.strip_suffix(said)?)))
    };
    range.or_else(number).unwrap_or_else(|| what.to_owned())
}

/// A character as a terminal may be given it: what is typed can be anything.
fn shown(c: char) -> impl Iterator<Item = char> {
    let escaped = c.is_control().then(|| c.escape_default());
    let plain = (!c.is_control()).then_some(c);
    escaped.into_iter().flatten().chain(plain)
}

/// The lines of a paragraph as one.
fn joined(paragraph: &str) -> String {
    let lines: Vec<&str> = paragraph.lines().map(str::trim).collect();
    lines.join(" ").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use clap::{Arg, Command};

    use super::*;

    fn said(words: &[&str]) -> String {
        let kind = Arg::new("connect").long("connect").value_parser(["tcp", "http"]);
        let needed = Arg::new("chain").value_name("CHAIN").required(true);
        let number = clap::value_parser!(u16).range(1..=9);
        let number = Arg::new("number").long("number").value_name("N").value_parser(number);
        let open = clap::value_parser!(u64).range(1..);
        let open = Arg::new("open").long("open").value_name("N").value_parser(open);
        let command = Command::new("x").no_binary_name(true).args([kind, needed, number, open]);
        line(&command.try_get_matches_from(words).unwrap_err(), "x --help")
    }

    #[test]
    fn each_error_is_one_line_that_says_what_to_do() {
        for (words, expected) in [
            (
                &["--conect", "tcp"][..],
                "unexpected argument '--conect' found (a similar argument exists: '--connect'); see x \
                 --help",
            ),
            (
                &["--connect", "pigeon"],
                "invalid value 'pigeon' for '--connect <connect>' [possible values: tcp, http]; see x \
                 --help",
            ),
            (&["--other", "x"], "unexpected argument '--other' found; see x --help"),
            (&[], "the following required arguments were not provided: <CHAIN>; see x --help"),
            (
                &["--number", "0"],
                "invalid value '0' for '--number <N>': 0 is not between 1 and 9; see x --help",
            ),
            (
                &["--open", "0"],
                "invalid value '0' for '--open <N>': 0 is less than 1; see x --help",
            ),
            (&["--number="], "invalid value '' for '--number <N>': it is empty; see x --help"),
            (
                &["--number", "two"],
                "invalid value 'two' for '--number <N>': it is no whole number; see x --help",
            ),
            (
                &["--open", "99999999999999999999"],
                "invalid value '99999999999999999999' for '--open <N>': it is too large; see x --help",
            ),
        ] {
            assert_eq!(said(words), expected);
        }
        assert_eq!(said(&["--connect", "a\u{1b}[2Jb"]).lines().count(), 1);
        assert!(!said(&["--connect", "a\u{1b}[2Jb"]).contains('\u{1b}'));
    }
}
