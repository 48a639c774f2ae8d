//! The command line: `respond`, which `pathspider` starts under its own name.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use pathspider_arrivals::{CREDENTIALS, Key, PORT};
use pathspider_observer::SourceError;
use pathspider_program::{Aside, Exit, Failure};
use pathspider_runtime::say;
use pathspider_runtime::text::{self, of};
use pathspider_shell::{About, Named, with_examples};

use crate::Time;
use crate::serve::{ServeError, Settings, serve};

/// The far end of a path, where one owns it: what `pathspider respond` starts.
#[derive(Debug, Parser)]
#[command(name = "pathspider", bin_name = "pathspider", version, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
enum Command {
    /// Tell whoever has the key which packets of a measurement came to this machine
    Respond(RespondArgs),
    #[command(flatten)]
    Aside(Aside),
}

/// `pathspider respond`.
#[derive(Debug, Args)]
struct RespondArgs {
    /// Answer questions that come with the key in this file. Only the owner may read the file. The key is
    /// its first line, and has at least 32 characters; --new-key makes one
    #[arg(long, value_name = "FILE", required_unless_present = "new_key")]
    key: Option<PathBuf>,

    /// Write a new key into this file, which is not there yet, and end
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    new_key: Option<PathBuf>,

    /// Note the packets that come in by this interface; `any` is all of them
    #[arg(short, long, value_name = "INTERFACE", default_value = "any")]
    interface: String,

    /// Take questions at this UDP port
    #[arg(long, value_name = "PORT", default_value_t = PORT,
          value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,

    /// Give this many answers a second at the most
    #[arg(long, value_name = "N", default_value_t = 1000.0, value_parser = rate)]
    rate: f64,

    /// Give this many answers a second at the most to one address, or to 64 bits of IPv6
    #[arg(long, value_name = "N", default_value_t = 200.0, value_parser = rate)]
    rate_per_source: f64,

    /// Keep the first packets of this many flows at the most
    #[arg(long, value_name = "N", default_value_t = 32_768,
          value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=10_000_000))]
    flows: usize,

    /// Keep packets for this long
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = time)]
    keep: Time,
}

/// What help and the manual page say beside the options.
const ABOUTS: &[About] = &[About {
    command: "respond",
    examples: &[
        ("Make a key, and copy it to where you measure", "pathspider respond --new-key far.key"),
        ("Answer questions with this key", "pathspider respond --key far.key"),
        (
            "Do this for packets that come in by one interface",
            "pathspider respond --key far.key -i eth0 --port 7117",
        ),
    ],
    exits: &[
        Exit::Finished.status(),
        Exit::Failed.status(),
        Exit::Usage.status(),
        Exit::NoPrivilege.status(),
        Exit::NoInterface.status(),
        Exit::NoInput.status(),
        Exit::NoOutput.status(),
        Exit::Stopped.status(),
    ],
    files: &[("FILE of --key", "the key, which whoever measures has too (--responder-key)")],
    environment: ENVIRONMENT,
    see_also: &["pathspider", "pathspider-measure"],
}];

const ENVIRONMENT: &[Named] = &[
    (
        CREDENTIALS,
        "the folder of a service's secrets: a key in it may be open to the service's group",
    ),
    ("NO_COLOR", "where it is set, help has no colours"),
];

/// Runs the program with these arguments, the first being its name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    pathspider_program::main(arguments, |_| "pathspider help respond".to_owned(), run)
}

fn run(words: &[OsString]) -> Result<Exit, Failure> {
    let matches = with_examples(Arguments::command(), ABOUTS).try_get_matches_from(words)?;
    match Arguments::from_arg_matches(&matches)?.command {
        Command::Respond(RespondArgs { new_key: Some(path), .. }) => make_key(&path),
        Command::Respond(arguments) => respond(arguments),
        Command::Aside(aside) => {
            let groups = [Arguments::command().name("pathspider")];
            aside.run(Arguments::command(), &groups, ABOUTS)
        }
    }
}

fn respond(arguments: RespondArgs) -> Result<Exit, Failure> {
    let RespondArgs { key, interface, port, rate, rate_per_source, flows, keep, .. } = arguments;
    // The parser has seen to it that there is one.
    let path = key.unwrap_or_default();
    let credentials = std::env::var_os(CREDENTIALS).map(PathBuf::from);
    let key = Key::read(&path, credentials.as_deref())
        .map_err(|error| Failure::new(Exit::NoInput, format!("{} {error}", text::path(&path))))?;
    let rates = (rate, rate_per_source);
    let settings = Settings { key, interface, port, rates, flows, keep };
    let answers = serve(settings).map_err(|error| failure(&error))?;
    say!("stopped by a signal, after {answers} {}", of(answers, "answer", "answers"));
    Ok(Exit::Stopped)
}

fn failure(error: &ServeError) -> Failure {
    match error {
        ServeError::Capture(SourceError::NoPrivilege { name }) => Failure::new(
            Exit::NoPrivilege,
            format!(
                "no permission to capture on {name:?}: it takes CAP_NET_RAW; run it as root, or as \
                 the service pathspider-respond"
            ),
        ),
        ServeError::Capture(error) => {
            let exit = match error {
                SourceError::NoInterface { .. } | SourceError::InterfaceDown { .. } => {
                    Exit::NoInterface
                }
                _ => Exit::Failed,
            };
            Failure::new(exit, error)
        }
        ServeError::Port(port, error) => {
            let hint = match error.kind() {
                std::io::ErrorKind::AddrInUse => {
                    ": another `pathspider respond` may run already; --port names another port"
                }
                _ => "",
            };
            let message = format!("cannot take questions at UDP port {port}: {error}{hint}");
            Failure::new(Exit::Failed, message)
        }
        ServeError::System(error) => Failure::new(Exit::Failed, format!("cannot go on: {error}")),
    }
}

/// Writes a key that nobody but this user can read.
fn make_key(path: &Path) -> Result<Exit, Failure> {
    let written = Key::new_line().and_then(|line| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(line.as_bytes())
    });
    written.map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::AlreadyExists => ": no key is written over; name another file",
            _ => "",
        };
        let message = format!("cannot write {}: {error}{hint}", text::path(path));
        Failure::new(Exit::NoOutput, message)
    })?;
    Ok(Exit::Finished)
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (1.0..=1e6).contains(&rate) { Ok(rate) } else { Err("not between 1 and 1e6".to_owned()) }
}

fn time(text: &str) -> Result<Time, String> {
    const DAY: Time = Time::from_secs(86_400);
    let time = match text.parse() {
        Ok(seconds) => Time::try_from_secs_f64(seconds).map_err(|error| error.to_string())?,
        Err(_) => humantime::parse_duration(text)
            .map_err(|error| format!("{error}; write a time such as 5m"))?,
    };
    match time {
        Time::ZERO => Err("nothing would be kept".to_owned()),
        time if time > DAY => Err("more than a day".to_owned()),
        time => Ok(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where people look for what an option does.
    const PAGE: &str = include_str!("../../../docs/respond.md");

    #[test]
    fn each_option_is_documented() {
        let mut parser = Arguments::command();
        parser.build();
        let respond = parser.find_subcommand("respond").unwrap();
        let options = respond.get_arguments().filter_map(|argument| argument.get_long());
        let missing: Vec<&str> =
            options.filter(|option| !PAGE.contains(&format!("--{option}"))).collect();
        assert_eq!(missing, ["help"]);
    }
}
