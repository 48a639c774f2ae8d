//! `pathspider agent`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use pathspider_runtime::files;

use super::remote::{listen, with_server};
use crate::agent::{self, Agent, Limits, Site};
use crate::exit::{Exit, Failure};
use crate::inspection::inspect_interface;
use crate::measuring::{Here, Responders};
use crate::metrics;
use crate::program::Program;
use crate::running::of_unfit;
use crate::server::Access;

/// `pathspider agent`.
#[derive(Debug, Args)]
#[command(after_help = "\
The agent measures the campaigns that are submitted to the server, for as long as it runs. What it has \
measured stays in --state until somebody has collected it. No campaign lifts the limits of an agent.")]
pub(super) struct AgentArgs {
    #[command(flatten)]
    access: Access,

    /// The name of this place; a name has one agent
    #[arg(long, value_name = "NAME", value_parser = super::place::place)]
    vantage: String,

    /// Keep results in this folder until they are collected
    #[arg(long, value_name = "DIR")]
    state: PathBuf,

    /// The interface to connect from and to capture on [default: the default route's]
    #[arg(short, long, value_name = "IF")]
    interface: Option<String>,

    #[command(flatten)]
    responders: Responders,

    /// Start at most N connections a second, even if a campaign asks for more
    #[arg(long, value_name = "N", value_parser = rate)]
    max_rate: Option<f64>,

    /// Allow campaigns only this plugin; may be given several times [default: any plugin]
    #[arg(long, value_name = "PLUGIN", value_parser = NonEmptyStringValueParser::new())]
    allow_plugin: Vec<String>,

    /// Never measure the addresses and prefixes in this file; may be given several times
    #[arg(long, value_name = "FILE")]
    blocklist: Vec<PathBuf>,

    /// Never measure special-purpose addresses, even if a campaign allows them
    #[arg(long)]
    deny_special: bool,

    /// Serve counters for monitoring (OpenMetrics) by HTTP at this address, under /metrics. A port alone
    /// listens for this machine only [default: off]
    #[arg(long, value_name = "ADDR", value_parser = metrics::address)]
    metrics: Option<SocketAddr>,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (1e-6..=1e6).contains(&rate) => Ok(rate),
        Ok(_) => Err("not between 1e-6 and 1e6".to_owned()),
        Err(_) => Err("not a number".to_owned()),
    }
}

/// Runs `pathspider agent`.
pub(super) fn run(arguments: AgentArgs, program: &Program) -> Result<Exit, Failure> {
    for file in &arguments.blocklist {
        // Found now, and not at the first campaign.
        std::fs::read(file).map_err(|error| {
            let file = pathspider_runtime::text::path(file);
            Failure::new(Exit::NoInput, format!("cannot read the blocklist {file}: {error}"))
        })?;
    }
    let stopping = listen()?;
    let state = agent::state(files::absolute(&arguments.state)).map_err(of_unfit)?;
    let limits = Limits {
        max_rate: arguments.max_rate,
        plugins: arguments.allow_plugin,
        blocklists: arguments.blocklist.iter().map(|file| files::absolute(file)).collect(),
        deny_special: arguments.deny_special,
    };
    let place = arguments.vantage;
    let here = Here {
        interface: arguments.interface,
        vantage: Some(place.clone()),
        responders: arguments.responders,
    };
    inspect_interface(program, &here)?;
    let counters = metrics::counters(arguments.metrics)?;
    let stopping = &stopping;
    with_server(&arguments.access, |server| async move {
        let server = server.for_place().await;
        let site = Site { program, here, limits, state };
        Agent::new(server, site, place, stopping, counters).work().await
    })
}
