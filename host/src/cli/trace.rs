//! `pathspider trace`: where on the path to a few targets packets are changed, dropped or refused.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::Args;
use pathspider_asn::Databases;

use super::exit::{self, Exit, Failure};
use super::targets::time;
use super::{shell, source};
use crate::job::{Blocklist, Courtesy, Place, Refusal, place_of_word};
use crate::trace::{self, Colours, Ended, Feature, Surroundings, TraceError, Traced, Tracer};
use pathspider_plugin_api::ConnectKind;
use pathspider_runtime::stop::{Caught, Stop};
use pathspider_runtime::text::visible;
use pathspider_runtime::{privileges, say, streams, text};

/// Characters of a word that are shown.
const SHOWN: usize = 200;

/// `pathspider trace`.
#[derive(Debug, Args)]
#[command(
    after_help = "The command sends SYNs with few hops to live, with and without the features. Routers quote them \
                  in their errors, and the command compares these quotes with what it sent. Without --ecn, --dscp, \
                  --tcp-option and --with, it looks for ECN, DSCP 46 and TCP's usual options.\n\nExit status: 0 if \
                  nothing is harmed, 14 if something is, 9 if a target answered nothing or could not be traced, 10 \
                  after a signal."
)]
pub(super) struct TraceArgs {
    /// Addresses or names, perhaps with a port: HOST, HOST:PORT, [IPV6]:PORT; the port is 80 by default
    #[arg(value_name = "HOST", required = true)]
    pub(super) hosts: Vec<String>,

    /// Look for Explicit Congestion Notification
    #[arg(long)]
    ecn: bool,

    /// Look for this differentiated services code point
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=63))]
    dscp: Option<u8>,

    /// Look for a TCP option of this kind; may be given several times
    #[arg(long, value_name = "KIND", value_parser = clap::value_parser!(u8).range(3..=254))]
    tcp_option: Vec<u8>,

    /// Measure with this plugin, and look for each feature in which its configurations differ from its
    /// baseline. With a number, look only at this configuration. May be given several times
    #[arg(long, value_name = "PLUGIN[:CONFIG]",
          conflicts_with_all = ["ecn", "dscp", "tcp_option", "watch", "max_hops"])]
    pub(super) with: Vec<String>,

    /// Write a JSON object for each target, one a line, in place of tables
    #[arg(long)]
    pub(super) json: bool,

    /// Trace again and again, until a signal ends it
    #[arg(long)]
    watch: bool,

    /// Time between two traces of --watch: seconds, or a time such as 1m
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "10", requires = "watch")]
    interval: Duration,

    /// Look up the names of routers
    #[arg(long)]
    pub(super) names: bool,

    /// Show the autonomous systems of routers, from this file: a MaxMind DB (.mmdb) or CAIDA's
    /// prefix2as. May be given several times; the first file that knows an address counts
    #[arg(long, value_name = "FILE")]
    pub(super) asn_db: Vec<PathBuf>,

    /// Go no further than N hops
    #[arg(long, value_name = "N", default_value_t = 30,
          value_parser = clap::value_parser!(u8).range(1..=60))]
    max_hops: u8,

    /// The interface to send from and to capture on [default: the default route's]
    #[arg(short, long, value_name = "IF")]
    pub(super) interface: Option<String>,

    /// Trace special-purpose addresses too: private, documentation, multicast and the like
    #[arg(long)]
    pub(super) allow_special: bool,

    /// Never send to the addresses and prefixes in this file: one a line, # begins a comment. May be
    /// given several times
    #[arg(long, value_name = "FILE")]
    pub(super) blocklist: Vec<PathBuf>,
}

impl TraceArgs {
    fn features(&self) -> Vec<Feature> {
        let ecn = self.ecn.then_some(Feature::Ecn);
        let dscp = self.dscp.map(Feature::Dscp);
        let options = self.tcp_option.iter().map(|kind| Feature::Option(*kind));
        let asked: Vec<Feature> = ecn.into_iter().chain(dscp).chain(options).collect();
        if asked.is_empty() { Feature::USUAL.to_vec() } else { asked }
    }
}

/// A target.
struct Target {
    /// As it was asked for, made safe.
    shown: String,
    address: SocketAddr,
}

/// Runs `pathspider trace`.
pub(super) fn run(arguments: &TraceArgs) -> Result<Exit, Failure> {
    let blocklist = Blocklist::read(&arguments.blocklist)
        .map_err(|error| Failure::new(Exit::NoInput, error))?;
    let courtesy = Courtesy::new(blocklist, arguments.allow_special);
    let networks =
        Databases::open(&arguments.asn_db).map_err(|error| Failure::new(Exit::NoInput, error))?;
    let mut targets = Vec::new();
    let mut is_whole = true;
    for word in &arguments.hosts {
        match target(word, &courtesy) {
            Ok(target) => targets.push(target),
            Err(failure) if arguments.hosts.len() == 1 => return Err(failure),
            Err(Failure::Told { message, .. }) => {
                say!("{message}");
                is_whole = false;
            }
            Err(failure) => return Err(failure),
        }
    }
    let source = source::needed(arguments.interface.clone())?;
    let interface = source::device(&source);
    let stop = Stop::new();
    let mut caught = Caught::new(stop.clone(), |_| ())
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot handle signals: {error}")))?;
    let mut tracer = Tracer::open(&source, interface.as_deref(), arguments.max_hops)
        .map_err(|error| failure(&error))?;
    // What comes from the network is read without privileges.
    privileges::reduce(false);
    let mut around = Surroundings { networks, names: HashMap::new() };
    let features = arguments.features();
    let mut is_impaired = false;
    loop {
        for target in &targets {
            let traced = tracer.trace(target.address, &features, &stop, &mut || caught.look());
            match traced {
                Ok(Ended::Whole(traced) | Ended::Stopped(traced)) => {
                    is_impaired |= traced.is_impaired();
                    is_whole &= traced.has_arrived() || traced.is_impaired();
                    if arguments.names {
                        look_up(&mut around, &traced.routers());
                    }
                    write(&traced, &target.shown, &around, arguments.json)?;
                }
                Err(error) if targets.len() == 1 => return Err(failure(&error)),
                Err(error) => {
                    say!("{error}");
                    is_whole = false;
                }
            }
            if stop.is_asked() {
                return Ok(Exit::Stopped);
            }
        }
        if !arguments.watch {
            break;
        }
        tracer.rest(arguments.interval, &stop, &mut || caught.look());
        if stop.is_asked() {
            return Ok(Exit::Stopped);
        }
    }
    Ok(match (is_impaired, is_whole) {
        (true, _) => Exit::Impaired,
        (false, true) => Exit::Finished,
        (false, false) => Exit::FinishedWithErrors,
    })
}

/// The target that a word names: of a name, the first address that the resolver gives and that may be
/// sent to.
fn target(word: &str, courtesy: &Courtesy) -> Result<Target, Failure> {
    let shown = visible(word.trim(), SHOWN);
    let fail =
        |exit, why: &dyn std::fmt::Display| Err(Failure::new(exit, format!("\"{shown}\": {why}")));
    let (place, port) = match place_of_word(word) {
        Ok(said) => said,
        Err(wrong) => return fail(Exit::Usage, &wrong),
    };
    let port = port.unwrap_or(ConnectKind::Tcp.default_port());
    let addresses: Vec<IpAddr> = match place {
        Place::Address(address) => vec![address],
        Place::Name(name) => match (name.as_str(), port).to_socket_addrs() {
            Ok(found) => found.map(|address| address.ip().to_canonical()).collect(),
            Err(error) => return fail(Exit::NoInput, &format!("it has no address: {error}")),
        },
    };
    let may = |address: &&IpAddr| courtesy.refuses(**address).is_none();
    match (addresses.iter().find(may), addresses.first()) {
        (Some(address), _) => Ok(Target { shown, address: SocketAddr::new(*address, port) }),
        (None, Some(address)) => {
            let why = match courtesy.refuses(*address) {
                Some(Refusal::Special) => {
                    "it is a special-purpose address, which --allow-special traces"
                }
                _ => "it is on the blocklist",
            };
            fail(Exit::NoInput, &format!("{address} is not traced: {why}"))
        }
        (None, None) => fail(Exit::NoInput, &"it has no address"),
    }
}

fn failure(error: &TraceError) -> Failure {
    let exit = match error {
        TraceError::Source(error) => exit::of_source(error),
        TraceError::Open(_) => Exit::Failed,
        TraceError::Unreachable(..) | TraceError::Sending(..) | TraceError::Making(..) => {
            Exit::FinishedWithErrors
        }
    };
    Failure::new(exit, error)
}

pub(super) fn write(
    traced: &Traced,
    target: &str,
    around: &Surroundings,
    json: bool,
) -> Result<Exit, Failure> {
    if json {
        let line = serde_json::to_string(&trace::json(traced, target, around))
            .map_err(|error| Failure::new(Exit::Failed, error))?;
        return shell::write(format!("{}\n", text::json(&line)).as_bytes());
    }
    let is_terminal = streams::output().as_fd().is_terminal();
    let colours = if is_terminal && std::env::var_os("NO_COLOR").is_none() {
        Colours::Terminal
    } else {
        Colours::Plain
    };
    shell::write(format!("{}\n", trace::text(traced, target, around, colours)).as_bytes())
}

/// Looks up the names of addresses that are not known yet, by the system's own program.
pub(super) fn look_up(around: &mut Surroundings, addresses: &[IpAddr]) {
    for &address in addresses {
        if around.names.contains_key(&address) {
            continue;
        }
        let mut getent = Command::new("getent");
        getent.arg("hosts").arg(address.to_string()).stderr(Stdio::null());
        let Ok(found) = getent.output() else { return };
        let line = String::from_utf8_lossy(&found.stdout);
        if let Some(name) = line.split_whitespace().nth(1) {
            around.names.insert(address, name.to_owned());
        }
    }
}
