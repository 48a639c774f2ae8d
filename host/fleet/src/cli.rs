//! The command line: `campaign` and `agent`, which `pathspider` starts under its own name. What they do with a
//! campaign is not here.

mod agent;
mod campaign;
mod check;
mod config;
mod place;
mod read;
mod remote;
mod status;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use pathspider_program::{Aside, Exit, Failure, write, write_json};
use pathspider_shell::{About, Named, Status, with_examples};

use crate::program::Program;

/// Campaigns: what `pathspider campaign` starts.
#[derive(Debug, Parser)]
#[command(name = "pathspider", bin_name = "pathspider", version, disable_help_subcommand = true)]
struct Arguments {
    /// Look for plugins in this folder first; may be given several times
    #[arg(long, value_name = "DIR", global = true)]
    plugin_dir: Vec<PathBuf>,

    /// As root, take plugins also from files and folders that others own or can write to. These
    /// others then get root's privileges
    #[arg(long, global = true)]
    insecure_plugins: bool,

    #[command(subcommand)]
    command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
enum Command {
    /// Carry out a campaign: several measurements of the same targets, perhaps repeated
    Campaign(campaign::CampaignArgs),
    /// Measure, from this place, the campaigns that are submitted to a server
    Agent(agent::AgentArgs),
    #[command(flatten)]
    Aside(Aside),
}

/// What help and the manual pages say of each command beside its options.
const ABOUTS: &[About] = &[
    About {
        command: "campaign",
        examples: &[
            ("See what a campaign would do", "pathspider campaign check spring.toml"),
            (
                "Carry it out, or go on with it",
                "pathspider campaign run spring.toml --output spring",
            ),
            ("See how far it is", "pathspider campaign status spring"),
            (
                "Have the agents of a server carry it out",
                "pathspider campaign submit spring.toml --server nats://192.0.2.1",
            ),
            (
                "Collect what they measured",
                "pathspider campaign collect spring --server nats://192.0.2.1 --output spring --wait",
            ),
        ],
        exits: FLEET,
        files: FILES,
        environment: ENVIRONMENT,
        see_also: &["pathspider", "pathspider-measure", "pathspider-report", "pathspider-agent"],
    },
    About {
        command: "agent",
        examples: &[
            (
                "Measure from this place",
                "pathspider agent --server nats://192.0.2.1 --vantage zurich --state zurich -i eth0",
            ),
            (
                "With a key, within limits of its own",
                "pathspider agent --server tls://nats.example --nkey zurich.nk --vantage zurich \
                 --state zurich --max-rate 50 --allow-plugin ecn",
            ),
        ],
        exits: FLEET,
        files: &[("DIR/campaigns/", "what was measured and is not collected yet")],
        environment: ENVIRONMENT,
        see_also: &["pathspider-campaign", "pathspider-measure"],
    },
    About {
        command: "submit",
        examples: &[(
            "Have the agents of a server carry a campaign out",
            "pathspider campaign submit spring.toml --server nats://192.0.2.1",
        )],
        exits: FLEET,
        files: &[],
        environment: ENVIRONMENT,
        see_also: &["pathspider-agent", "pathspider-campaign-collect"],
    },
    About {
        command: "collect",
        examples: &[(
            "Collect all results, as soon as they are there",
            "pathspider campaign collect spring --server nats://192.0.2.1 --output spring --wait",
        )],
        exits: FLEET,
        files: FILES,
        environment: ENVIRONMENT,
        see_also: &["pathspider-agent", "pathspider-campaign-submit", "pathspider-report"],
    },
    About {
        command: "server-config",
        examples: &[
            (
                "A server whose places have keys and accounts of their own",
                "pathspider campaign server-config --output nats --vantage zurich --vantage tokyo",
            ),
            (
                "For Debian 12's nats-server",
                "pathspider campaign server-config --output nats --nats 2.9",
            ),
        ],
        exits: &[Exit::Finished.status(), Exit::Usage.status(), Exit::NoOutput.status()],
        files: &[
            ("DIR/nats-server.conf", "the configuration: nats-server -c DIR/nats-server.conf"),
            ("DIR/NAME.nk", "the key of each place, and the submitter's (coordinator.nk)"),
        ],
        environment: ENVIRONMENT,
        see_also: &["pathspider-agent", "pathspider-campaign-submit"],
    },
    About {
        command: "check",
        examples: &[("See what a campaign would do", "pathspider campaign check spring.toml")],
        exits: RUN,
        files: &[],
        environment: ENVIRONMENT,
        see_also: &["pathspider-campaign", "pathspider-campaign-run"],
    },
    About {
        command: "run",
        examples: &[
            (
                "Carry a campaign out, or go on with it",
                "pathspider campaign run spring.toml --output spring -i eth0",
            ),
            (
                "Answer Prometheus on this machine",
                "pathspider campaign run spring.toml --output spring --metrics 9464",
            ),
        ],
        exits: RUN,
        files: FILES,
        environment: ENVIRONMENT,
        see_also: &["pathspider-campaign", "pathspider-measure", "pathspider-report"],
    },
    About {
        command: "status",
        examples: &[
            ("See how far the campaign in a folder is", "pathspider campaign status spring"),
            (
                "See how far the agents of a server are",
                "pathspider campaign status spring --server nats://192.0.2.1",
            ),
        ],
        exits: &[
            Exit::Finished.status(),
            Exit::Usage.status(),
            Exit::NoInput.status(),
            Exit::NoOutput.status(),
            Exit::NoServer.status(),
        ],
        files: &[],
        environment: ENVIRONMENT,
        see_also: &["pathspider-campaign", "pathspider-report"],
    },
];

/// How a command with a server ends that measures, or asks what would be measured.
const FLEET: &[Status] = &[
    Exit::Finished.status(),
    Exit::Failed.status(),
    Exit::Usage.status(),
    Exit::NoPlugin.status(),
    Exit::PluginRefused.status(),
    Exit::NoPrivilege.status(),
    Exit::NoInterface.status(),
    Exit::NoInput.status(),
    Exit::NoOutput.status(),
    Exit::FinishedWithErrors.status(),
    Exit::Stopped.status(),
    Exit::NoServer.status(),
    Exit::NameTaken.status(),
];

/// The same without a server, which the last two are about.
const RUN: &[Status] = FLEET.split_at(FLEET.len() - 2).0;

const FILES: &[Named] = &[
    ("DIR/campaign.json, campaign.toml, targets.ndjson.zst", "what a campaign's folder is of"),
    ("DIR/PLACE/TIME/N-PLUGIN/", "a run: records, metadata, and manifest.json when it is over"),
];

const ENVIRONMENT: &[Named] = &[
    ("PATHSPIDER_PLUGIN_PATH", "folders of plugins, separated by colons"),
    ("PATHSPIDER_STATE_DIR", "where changes of the system's settings are written down"),
    ("NO_COLOR", "if it is set, help has no colours"),
];

/// Runs the program with these arguments, the first being its name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    pathspider_program::main(arguments, help, run)
}

/// The command that shows what is possible in place of these words.
fn help(words: &[OsString]) -> String {
    let is_named = |word: &&str| word.starts_with(|first: char| first.is_ascii_lowercase());
    let words = words.iter().skip(1).map_while(|word| word.to_str());
    let mut named = words.take_while(is_named);
    let parser = Arguments::command();
    let campaign = parser.find_subcommand("campaign");
    let is_command = |word: &str| campaign.is_some_and(|all| all.find_subcommand(word).is_some());
    match (named.next(), named.next()) {
        (Some("campaign"), Some(command)) if is_command(command) => {
            format!("pathspider campaign {command} --help")
        }
        (Some("agent"), _) => "pathspider help agent".to_owned(),
        _ => "pathspider help campaign".to_owned(),
    }
}

fn run(words: &[OsString]) -> Result<Exit, Failure> {
    let matches = with_examples(Arguments::command(), ABOUTS).try_get_matches_from(words)?;
    let Arguments { plugin_dir, insecure_plugins, command } =
        Arguments::from_arg_matches(&matches)?;
    let mut general = Vec::new();
    for folder in plugin_dir {
        general.extend(["--plugin-dir".into(), folder.into_os_string()]);
    }
    general.extend(insecure_plugins.then(|| "--insecure-plugins".into()));
    match command {
        Command::Campaign(arguments) => campaign::run(arguments, &program(general)?),
        Command::Agent(arguments) => agent::run(arguments, &program(general)?),
        Command::Aside(aside) => {
            let parser = Arguments::command().name("pathspider");
            // Those of `campaign` have pages of their own.
            let campaign = parser.find_subcommand("campaign").cloned();
            let campaign = campaign.map(|campaign| campaign.name("pathspider-campaign"));
            let groups: Vec<clap::Command> = [parser].into_iter().chain(campaign).collect();
            aside.run(Arguments::command(), &groups, ABOUTS)
        }
    }
}

/// The measuring program, with where plugins are.
fn program(general: Vec<OsString>) -> Result<Program, Failure> {
    Program::beside(general).map_err(|error| {
        let message = format!("cannot find the place of this program: {error}");
        Failure::new(Exit::Failed, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where people look for what an option does.
    const PAGES: [&str; 2] =
        [include_str!("../../../docs/campaigns.md"), include_str!("../../../docs/commands.md")];

    fn look(command: &clap::Command, missing: &mut Vec<String>) {
        for option in command.get_arguments().filter_map(|argument| argument.get_long()) {
            let option = format!("--{option}");
            if option != "--help" && !PAGES.iter().any(|page| page.contains(&option)) {
                missing.push(format!("{} {option}", command.get_name()));
            }
        }
        for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
            look(command, missing);
        }
    }

    #[test]
    fn each_option_is_documented() {
        let mut parser = Arguments::command();
        parser.build();
        let mut missing = Vec::new();
        for command in parser.get_subcommands().filter(|command| !command.is_hide_set()) {
            look(command, &mut missing);
        }
        assert!(missing.is_empty(), "in none of the pages: {missing:#?}");
    }
}
