//! Command lines without a command: PATHspider 1.0's, which begins with a plugin, and 0.9's, which
//! has two files.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Parser;

use super::exit::{Exit, Failure};
use super::measure::{self, Wanted};
use super::options::General;
use super::{locating, names};
use pathspider_plugins::Registry;
use pathspider_runtime::threads::SingleThread;

/// PATHspider 0.9's whole command line. Its options may stand between and after the files, so it
/// is read anew once it is clear that there is no command.
#[derive(Debug, Parser)]
#[command(name = "pathspider", disable_help_flag = true)]
struct Files {
    #[arg(long, value_name = "DIR", hide = true)]
    plugin_dir: Vec<PathBuf>,

    #[arg(long, hide = true)]
    insecure_plugins: bool,

    #[arg(short, long, hide = true)]
    verbose: bool,

    #[command(flatten)]
    general: General,

    /// Read targets from this file, as ndjson or CSV
    #[arg(value_name = "INPUTFILE", requires = "output_file", conflicts_with = "input")]
    input_file: PathBuf,

    /// Write records to this file
    #[arg(value_name = "OUTPUTFILE", conflicts_with = "output")]
    output_file: Option<PathBuf>,
}

/// The plugin of 0.9's form where none is named.
const DEFAULT_PLUGIN: &str = "ecn";

/// The words of a command line that has no command.
pub(super) struct Words<'a> {
    /// All of them, the program's name first.
    pub(super) all: &'a [OsString],
    /// Those from the first on that is no option and no option's value.
    pub(super) rest: Vec<OsString>,
    /// What the options before it say.
    pub(super) general: General,
    /// These options, as words.
    pub(super) before: Vec<OsString>,
}

/// Finds out what was meant, and does it.
pub(super) fn run(
    words: Words<'_>,
    commands: &[&str],
    single: SingleThread,
    registry: &Registry,
) -> Result<Exit, Failure> {
    let Some(first) = words.rest.first().map(|word| word.to_string_lossy().into_owned()) else {
        return Err(Failure::new(
            Exit::Usage,
            "no command is named. Give a command, a plugin, or INPUTFILE and OUTPUTFILE; see pathspider --help",
        ));
    };
    if words.general.plugin.is_none() && names::is_plugin(registry, &first) {
        let wanted = Wanted {
            before: words.before,
            plugin: first,
            after: words.rest.into_iter().skip(1).collect(),
        };
        return measure::carry_out(wanted, single, registry);
    }
    // Names of commands and plugins have neither dot nor slash.
    let is_file = first.contains(['.', '/']) || Path::new(&first).exists();
    let files = match Files::try_parse_from(words.all) {
        // A mistyped plugin's options are none that there could be beside files.
        Err(_) if !is_file && words.general.plugin.is_none() => {
            return Err(names::unknown(registry, commands, &first));
        }
        Err(error) => return Err(error.into()),
        Ok(files) => files,
    };
    let guessable = !is_file && files.general.plugin.is_none();
    // A plugin's name is hardly that of an output.
    let is_plugin = |file: &PathBuf| names::lookup(registry, &file.to_string_lossy()).is_some();
    if guessable && files.output_file.as_ref().is_some_and(is_plugin) {
        return Err(if locating::is_alone(&words.before) {
            Failure::new(Exit::Usage, locating::no_when(&first))
        } else {
            names::unknown(registry, commands, &first)
        });
    }
    if guessable && names::resembles(registry, commands, &first) {
        return Err(names::unknown(registry, commands, &first));
    }
    let mut options = files.general.options;
    options.input = files.input_file;
    options.output = files.output_file.unwrap_or(options.output);
    let plugin = files.general.plugin.as_deref().unwrap_or(DEFAULT_PLUGIN);
    measure::with_defaults(options, plugin, single, registry)
}
