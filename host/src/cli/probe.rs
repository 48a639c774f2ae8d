//! `pathspider probe`: makes every measurement that applies, one after the other, each in a process of
//! its own, and writes one page.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use clap::Args;
use pathspider_plugin_api::{Info, Record};

use super::apart::{self, Ended, Said};
use super::exit::{Exit, Failure};
use super::{names, shell};
use crate::probe::{self, Host, Page, Task, plan};
use pathspider_plugins::Registry;
use pathspider_runtime::apart::Apart;
use pathspider_runtime::privileges;
use pathspider_runtime::process::Held;
use pathspider_runtime::say::Status;
use pathspider_runtime::threads::SingleThread;

/// So many seconds at the most, one search for where takes.
const LOCATING: u8 = 40;

/// `pathspider probe`.
#[derive(Debug, Args)]
#[command(
    after_help = "Each measurement is made in rounds of its own, with its default options. The port decides how it \
                  connects: to 443 by TLS, to a port without a known protocol by a TCP handshake alone.\n\nExit \
                  status: 0 if nothing is impaired, 14 if something is, 9 if a target has no verdict or a \
                  measurement failed, 10 after a signal."
)]
pub(super) struct ProbeArgs {
    /// Addresses or names, perhaps with a port: HOST, HOST:PORT, [IPV6]:PORT
    #[arg(value_name = "HOST", required = true)]
    hosts: Vec<String>,

    /// Write one JSON object in place of the page
    #[arg(long)]
    json: bool,

    /// Measure each target N times
    #[arg(long, value_name = "N", default_value_t = 3,
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,

    /// Do not look for where on the path packets are harmed
    #[arg(long)]
    no_locate: bool,

    /// How long one connection may take, in seconds [default: each measurement's own, mostly 5]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<f64>,

    /// The interface to connect from and to capture on [default: the default route's]
    #[arg(short, long, value_name = "IF")]
    interface: Option<OsString>,

    /// Measure special-purpose addresses too: private, documentation, multicast and the like
    #[arg(long)]
    allow_special: bool,

    /// Never measure the addresses and prefixes in this file: one a line, # begins a comment. May be
    /// given several times
    #[arg(long, value_name = "FILE")]
    blocklist: Vec<PathBuf>,

    /// Say in the User-Agent of HTTP requests whom to ask about them: an address or a URL [default:
    /// pathspider's own page]
    #[arg(long, value_name = "TEXT")]
    contact: Option<OsString>,
}

impl ProbeArgs {
    /// The options of each run, beside its rounds.
    fn words(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = vec!["--output-flows".into()];
        let mut add = |option: &str, value: &OsString| {
            words.extend([option.into(), value.clone()]);
        };
        self.interface.iter().for_each(|name| add("--interface", name));
        self.blocklist.iter().for_each(|file| add("--blocklist", &file.clone().into_os_string()));
        self.contact.iter().for_each(|text| add("--contact", text));
        if self.allow_special {
            words.push("--allow-special".into());
        }
        words
    }

    /// Those of a run that looks for where.
    fn words_to_locate(&self) -> Vec<OsString> {
        let mut words = self.words();
        words.extend(["--locate=changed".into(), format!("--locate-time={LOCATING}").into()]);
        words
    }
}

/// What plugins take as a time-out ([`Options::timeout`](pathspider_plugin_api::Options::timeout)).
fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.01..=3600.0).contains(&seconds) {
        Ok(seconds)
    } else {
        Err("not between 0.01 and 3600".to_owned())
    }
}

/// Runs `pathspider probe`.
pub(super) fn run(
    arguments: &ProbeArgs,
    single: SingleThread,
    registry: &Registry,
) -> Result<Exit, Failure> {
    let mut hosts = Vec::new();
    for word in &arguments.hosts {
        match Host::new(word) {
            Ok(host) => hosts.push(host),
            Err(why) => return Err(Failure::new(Exit::Usage, why)),
        }
    }
    if registry.found.is_empty() {
        return Err(Failure::new(Exit::NoPlugin, names::there_are(registry)));
    }
    let tasks = plan(&registry.found, &hosts, arguments.timeout);
    if tasks.is_empty() {
        let why = "no measurement that is installed applies to these targets";
        return Err(Failure::new(Exit::NoPlugin, why));
    }
    let mut page = Page::new(hosts, arguments.rounds);
    let cannot = |error| Failure::new(Exit::Failed, format!("cannot start a process: {error}"));
    let held = Held::begin().map_err(cannot)?;
    let start = |task: &Task<'_>| {
        let child = |words| apart::start(task, words, &single, &held, registry);
        let locates = !arguments.no_locate && !task.found.info.names;
        let locating = locates.then(|| child(arguments.words_to_locate())).transpose()?;
        Ok(Children { measuring: child(arguments.words())?, locating })
    };
    let children =
        tasks.iter().map(start).collect::<io::Result<Vec<Children>>>().map_err(cannot)?;
    // What comes from the network is read without privileges.
    privileges::give_up();
    let mut probe = Probe { page: &mut page, held, told: HashSet::new(), stopped: false };
    let status = Status::default();
    let count = tasks.len();
    for (number, (task, children)) in tasks.iter().zip(children).enumerate() {
        if probe.is_stopped() {
            break;
        }
        let name = &task.found.info.name;
        probe.carry_out(task, children, &status, &format!("{} of {count}: {name}", number + 1));
    }
    drop(status);
    let stopped = probe.stopped;
    if let Some(trouble) = page.only_trouble() {
        return Err(Failure::new(trouble.exit, &trouble.why));
    }
    if arguments.json {
        shell::write_json(&probe::json(&page, stopped))?
    } else {
        shell::write(probe::text(&page, stopped).as_bytes())?
    };
    Ok(page.exit(stopped))
}

/// The processes of a measurement, both forked before anything is known.
struct Children {
    measuring: Apart,
    /// Measures again what is impaired, and looks for where on the path.
    locating: Option<Apart>,
}

/// A probe under way.
struct Probe<'a> {
    page: &'a mut Page,
    held: Held,
    /// Messages that were said: several measurements have the same to say.
    told: HashSet<String>,
    stopped: bool,
}

impl Probe<'_> {
    /// Whether it was told to stop.
    fn is_stopped(&mut self) -> bool {
        self.stopped |= self.held.take().is_some();
        self.stopped
    }

    /// Has a measurement made, and reads what it says. Where it finds something impaired, the other
    /// process measures once more, and looks for where.
    fn carry_out(&mut self, task: &Task<'_>, children: Children, status: &Status, what: &str) {
        let info = &task.found.info;
        let of_page = |page: &Page| -> Vec<usize> {
            task.hosts.iter().copied().filter(|&at| !page.hosts()[at].is_lost).collect()
        };
        let hosts = of_page(self.page);
        if hosts.is_empty() {
            return;
        }
        let rounds = self.page.rounds_of(&hosts);
        status.show(what.to_owned());
        let mut is_measured = false;
        let lines = self.lines(&hosts, info);
        let ended = self.hear(children.measuring, (rounds, lines), status, |page, record| {
            is_measured |= page.add(info, rounds, record);
        });
        if !self.end(info, ended, is_measured, status) {
            return;
        }
        self.page.finish(&hosts);
        let impaired: Vec<String> = self.page.impaired(info, &hosts);
        let Some(locating) = children.locating.filter(|_| !impaired.is_empty()) else { return };
        status.show(format!("{what}, and where"));
        let ended = self.hear(locating, (1, impaired), status, |page, record| {
            page.add_location(info, record);
        });
        // What it cannot find out is no fault of the measurement.
        ended.last.into_iter().for_each(|text| tell(&mut self.told, status, text));
    }

    /// The lines of these targets.
    fn lines(&self, hosts: &[usize], info: &Info) -> Vec<String> {
        let hosts = hosts.iter().map(|&at| &self.page.hosts()[at]);
        hosts.flat_map(|host| host.lines(info.names)).collect()
    }

    /// Gives a process its work, and takes what it says.
    fn hear(
        &mut self,
        mut child: Apart,
        (rounds, lines): (u16, Vec<String>),
        status: &Status,
        mut add: impl FnMut(&mut Page, Record),
    ) -> Ended {
        apart::give(&mut child, rounds, &lines);
        let Probe { page, held, told, stopped } = self;
        apart::hear(&mut child, held, |said| match said {
            Said::Record(record) => add(page, record),
            Said::Message(text) => tell(told, status, text),
            Said::Stopped => *stopped = true,
        })
    }

    /// Notes how a measurement ended; whether all its targets were measured.
    fn end(&mut self, info: &Info, ended: Ended, is_measured: bool, status: &Status) -> bool {
        if ended.is_done() || self.stopped {
            ended.last.into_iter().for_each(|text| tell(&mut self.told, status, text));
            return !self.stopped;
        }
        let (exit, mut why) = ended.failure();
        if is_measured {
            why.push_str("; what it had found by then is above");
        }
        self.page.fail(info, exit, why);
        false
    }
}

/// Says a message of a measurement, once.
fn tell(told: &mut HashSet<String>, status: &Status, text: String) {
    if !text.is_empty() && !told.contains(&text) {
        status.above(&text);
        told.insert(text);
    }
}
