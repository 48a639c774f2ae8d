//! What surrounds a command line: errors on one line, examples in help, manual pages, completions.
//!
//! All of it is made from the parser and from one table of [`About`] for each program, so no two of
//! them can disagree. What a command does is not here.

pub mod complete;
pub mod error;
pub mod manual;

/// A command line that is worth showing, and what it does.
pub type Example = (&'static str, &'static str);

/// A name (of a file, a variable), and what it is for.
pub type Named = (&'static str, &'static str);

/// An exit status, and what it means.
pub type Status = (u8, &'static str);

/// What help and the manual page say of a command beside its options.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// The command's name; empty for the program itself.
    pub command: &'static str,
    /// What it does, and the command line.
    pub examples: &'static [Example],
    /// How it may end: numbers, and what each means.
    pub exits: &'static [Status],
    /// Files and folders that it reads or writes by itself.
    pub files: &'static [Named],
    /// Variables of the environment that it goes by.
    pub environment: &'static [Named],
    /// Other manual pages.
    pub see_also: &'static [&'static str],
}

impl About {
    /// Finds a command's.
    pub fn of(command: &str, all: &'static [About]) -> Option<&'static About> {
        all.iter().find(|about| about.command == command)
    }

    /// The examples as `--help` shows them.
    pub fn help(&self) -> String {
        let lines = self.examples.iter().map(|(what, line)| format!("\n  {what}:\n    {line}"));
        let lines: String = lines.collect();
        if lines.is_empty() { lines } else { format!("Examples:{lines}") }
    }
}

/// Adds its examples to the help of a command, and to those of its subcommands.
pub fn with_examples(command: clap::Command, all: &'static [About]) -> clap::Command {
    let name = command.get_name().to_owned();
    let command = command.mut_subcommands(|subcommand| exemplified(subcommand, None, all));
    exemplified(command, Some(&name), all)
}

/// `program`: the program's name, where the command is the program itself.
fn exemplified(
    command: clap::Command,
    program: Option<&str>,
    all: &'static [About],
) -> clap::Command {
    let name = if program.is_some() { "" } else { command.get_name() };
    let examples = About::of(name, all).map(About::help).unwrap_or_default();
    if examples.is_empty() {
        return command;
    }
    let before = command.get_after_help().map(|text| format!("{text}\n\n")).unwrap_or_default();
    command.after_help(format!("{before}{examples}"))
}
