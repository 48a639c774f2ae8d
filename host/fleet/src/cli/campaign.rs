//! `pathspider campaign`, and `campaign run`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use pathspider_runtime::files;

use super::check::{self, CheckArgs};
use super::config::{self, ConfigArgs};
use super::read::Read;
use super::remote::{self, BlocklistArgs, CollectArgs, NamedArgs, SubmitArgs, WatchArgs};
use super::status::{self, StatusArgs};
use crate::exit::{Exit, Failure};
use crate::measuring::{Here, Responders};
use crate::metrics;
use crate::program::Program;
use crate::running;
use crate::wire::Wanted;

/// `pathspider campaign`.
#[derive(Debug, Args)]
#[command(after_help = "\
FILE is TOML. The smallest one has a name, the targets' file, and a measurement:

    name = \"spring\"
    targets = \"targets.csv\"
    rate = 100

    [[measure]]
    plugin = \"ecn\"
    connect = \"tcp\"")]
pub(super) struct CampaignArgs {
    #[command(subcommand)]
    command: Command,
}

/// What is done with a campaign.
#[derive(Debug, Subcommand)]
enum Command {
    /// Say what a campaign would do: connections, packets and time. Nothing is sent
    Check(CheckArgs),
    /// Carry a campaign out here, or go on with it
    Run(RunArgs),
    /// Show the progress of a campaign in a folder or on a server
    Status(StatusArgs),
    /// Submit a campaign to a server, for its agents to carry out
    Submit(SubmitArgs),
    /// Show the progress of a campaign on a server until it is over
    Watch(WatchArgs),
    /// Pause a campaign: agents begin nothing more of it
    Pause(NamedArgs),
    /// Resume a paused campaign
    Resume(NamedArgs),
    /// End a campaign for good. Its results so far can still be collected
    Cancel(NamedArgs),
    /// Replace the blocklist of a running campaign
    Blocklist(BlocklistArgs),
    /// Collect the results of all agents into a folder
    Collect(CollectArgs),
    /// Write the configuration of a NATS server for agents, with their keys
    ServerConfig(ConfigArgs),
}

/// `pathspider campaign run`.
#[derive(Debug, Args)]
struct RunArgs {
    /// The campaign
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Keep all results in this folder. If it has a part of this campaign already, the campaign goes on
    /// there
    #[arg(long, value_name = "DIR")]
    output: PathBuf,

    /// The interface to connect from and to capture on [default: the default route's]
    #[arg(short, long, value_name = "IF")]
    interface: Option<String>,

    /// Name the place that is measured from: `vantage` in each record, and a folder of its own
    #[arg(long, value_name = "NAME", value_parser = super::place::place)]
    vantage: Option<String>,

    #[command(flatten)]
    responders: Responders,

    /// Serve counters for monitoring (OpenMetrics) by HTTP at this address, under /metrics. A port alone
    /// listens for this machine only [default: off]
    #[arg(long, value_name = "ADDR", value_parser = metrics::address)]
    metrics: Option<SocketAddr>,
}

/// Runs `pathspider campaign`.
pub(super) fn run(arguments: CampaignArgs, program: &Program) -> Result<Exit, Failure> {
    match arguments.command {
        Command::Check(arguments) => check::run(&arguments, program),
        Command::Status(arguments) => status::run(arguments),
        Command::Submit(arguments) => remote::submit(&arguments, program),
        Command::Watch(arguments) => remote::watch(&arguments),
        Command::Pause(arguments) => remote::want(&arguments, Wanted::Paused),
        Command::Resume(arguments) => remote::want(&arguments, Wanted::Running),
        Command::Cancel(arguments) => remote::want(&arguments, Wanted::Cancelled),
        Command::Blocklist(arguments) => remote::blocklist(&arguments),
        Command::Collect(arguments) => remote::collect(&arguments),
        Command::ServerConfig(arguments) => config::run(&arguments),
        Command::Run(RunArgs { file, output, interface, vantage, responders, metrics }) => {
            let stopping = remote::listen()?;
            let read = Read::file(&file)?;
            let here = Here { interface, vantage, responders };
            read.plans(program, &here)?;
            let campaign = (&read.campaign, &*read.text);
            let counters = metrics::counters(metrics)?;
            let output = files::absolute(&output);
            running::run(program, campaign, &here, &output, &stopping, &counters)
        }
    }
}
