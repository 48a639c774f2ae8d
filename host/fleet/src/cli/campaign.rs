//! `pathspider campaign`, and `campaign run`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use pathspider_runtime::files;

use super::check::{self, CheckArgs};
use super::read::Read;
use super::status::{self, StatusArgs};
use crate::exit::{Exit, Failure};
use crate::measuring::Here;
use crate::metrics::{self, Shared};
use crate::program::Program;
use crate::running;
use crate::stopping::Stopping;

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
    /// Show how far the campaign in a folder is
    Status(StatusArgs),
}

/// `pathspider campaign run`.
#[derive(Debug, Args)]
struct RunArgs {
    /// The campaign
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Keep all that is measured in this folder. Where it has a part of this campaign already, the
    /// campaign goes on there
    #[arg(long, value_name = "DIR")]
    output: PathBuf,

    /// The interface to connect from and to capture on [default: the default route's]
    #[arg(short, long, value_name = "IF")]
    interface: Option<String>,

    /// Name the place that is measured from: `vantage` in each record, and a folder of its own
    #[arg(long, value_name = "NAME", value_parser = place)]
    vantage: Option<String>,

    /// Answer HTTP at this address with counters (OpenMetrics), under /metrics, for monitoring; a port alone
    /// is answered to this machine only [default: off]
    #[arg(long, value_name = "ADDR", value_parser = metrics::address)]
    metrics: Option<SocketAddr>,
}

/// A name that can be a folder's.
fn place(text: &str) -> Result<String, String> {
    match crate::campaign::is_name(text) {
        true => Ok(text.to_owned()),
        false => Err("letters, digits, _ and - (ASCII), and no more than 64 of them".to_owned()),
    }
}

/// Runs `pathspider campaign`.
pub(super) fn run(arguments: CampaignArgs, program: &Program) -> Result<Exit, Failure> {
    match arguments.command {
        Command::Check(arguments) => check::run(&arguments, program),
        Command::Status(arguments) => status::run(&arguments),
        Command::Run(RunArgs { file, output, interface, vantage, metrics }) => {
            let stopping = Stopping::listen().map_err(|error| {
                Failure::new(Exit::Failed, format!("cannot handle signals: {error}"))
            })?;
            let read = Read::file(&file)?;
            let here = Here { interface, vantage };
            read.plans(program, &here)?;
            let campaign = (&read.campaign, &*read.text);
            let counters = Shared::default();
            if let Some(address) = metrics {
                metrics::answer(address, counters.clone()).map_err(|error| {
                    let message = format!("cannot answer at {address}: {error}");
                    Failure::new(Exit::NoOutput, message)
                })?;
            }
            let output = files::absolute(&output);
            running::run(program, campaign, &here, &output, &stopping, &counters)
        }
    }
}
