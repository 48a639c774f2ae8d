//! Commands that are programs of their own: they stand beside this one, and need none of its
//! privileges.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process;
use std::{env, io};

use clap::Args;
use pathspider_shell::complete::{self, Shell};

use super::exit::{Exit, Failure};

/// The program that each of these commands starts.
const PROGRAMS: [(&str, &str); 6] = [
    ("report", REPORT),
    ("diff", REPORT),
    ("export", REPORT),
    ("campaign", FLEET),
    ("agent", FLEET),
    ("respond", RESPOND),
];

/// The program that reads records.
const REPORT: &str = "pathspider-report";

/// The program that starts this one again, to measure.
const FLEET: &str = "pathspider-fleet";

/// The program that says which packets came to it.
const RESPOND: &str = "pathspider-respond";

/// What follows such a command: the program itself reads it.
#[derive(Debug, Args)]
pub(super) struct BesideArgs {
    #[arg(value_name = "…", trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

/// Whether a command is a program of its own.
pub(super) fn is_beside(command: &str) -> bool {
    PROGRAMS.iter().any(|(name, _)| *name == command)
}

/// Has the program of a command take this one's place.
pub(super) fn run(command: &str, arguments: BesideArgs) -> Result<Exit, Failure> {
    start(command, arguments.words)
}

/// The same, where it has to know where plugins are.
pub(super) fn run_with_plugins(
    command: &str,
    arguments: BesideArgs,
    folders: &[PathBuf],
    is_insecure: bool,
) -> Result<Exit, Failure> {
    let folders = folders.iter().flat_map(|folder| ["--plugin-dir".as_ref(), folder.as_os_str()]);
    let insecure = is_insecure.then(|| OsStr::new("--insecure-plugins"));
    let words = arguments.words.iter().map(OsString::as_os_str);
    start(command, folders.chain(insecure).chain(words))
}

/// The same, for the program's own help.
pub(super) fn help(command: &str) -> Result<Exit, Failure> {
    start(command, ["--help"])
}

/// Has the program say what could stand in place of a word of such a command.
pub(super) fn complete(
    command: &str,
    shell: Shell,
    index: usize,
    words: Vec<OsString>,
) -> Result<Exit, Failure> {
    let shell = clap::ValueEnum::to_possible_value(&shell);
    let shell = shell.map(|value| value.get_name().to_owned()).unwrap_or_default();
    let asked = [complete::COMMAND.to_owned(), shell, index.to_string(), "--".to_owned()];
    exec(command, asked.map(OsString::from).into_iter().chain(words))
}

/// Each of these programs with the commands that it is, and its file where that is not there.
pub(super) fn programs() -> Vec<(Vec<&'static str>, Option<PathBuf>)> {
    let of_program = |program: &str| {
        let names = PROGRAMS.iter().filter(|(_, other)| *other == program).map(|(name, _)| *name);
        let names: Vec<&'static str> = names.collect();
        (names, beside(program).ok().filter(|file| !file.is_file()))
    };
    [REPORT, FLEET, RESPOND].map(of_program).into()
}

fn start(
    command: &str,
    words: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Result<Exit, Failure> {
    let words = words.into_iter().map(|word| word.as_ref().to_owned());
    exec(command, std::iter::once(OsString::from(command)).chain(words))
}

/// Starts the program of a command with these words.
fn exec(command: &str, words: impl IntoIterator<Item = OsString>) -> Result<Exit, Failure> {
    let program = PROGRAMS.iter().find(|(name, _)| *name == command);
    let Some((_, program)) = program else {
        return Err(Failure::new(Exit::Usage, format!("{command} is not a separate program")));
    };
    let path = beside(program).map_err(|error| {
        Failure::new(Exit::Failed, format!("cannot find the place of this program: {error}"))
    })?;
    // It returns only where it fails.
    let error = process::Command::new(&path).args(words).exec();
    let path = pathspider_runtime::text::path(&path);
    let message = match error.kind() {
        io::ErrorKind::NotFound => {
            format!(
                "{path} is missing, and {command} is that program: `make build` makes it, and \
                 `make install` installs it"
            )
        }
        _ => format!("cannot start {path}: {error}"),
    };
    Err(Failure::new(Exit::Failed, message))
}

/// The program of this name that stands beside this one, wherever a link to this one is.
fn beside(program: &str) -> io::Result<PathBuf> {
    let own = env::current_exe()?;
    Ok(own.parent().unwrap_or(Path::new("/")).join(program))
}
