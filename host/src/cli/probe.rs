//! `pathspider probe`: makes every measurement that applies, one after the other, each in a process of
//! its own, and writes one page.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use clap::Args;
use pathspider_plugin_api::{Info, Record};

use super::exit::{Exit, Failure};
use super::{conclude, measure, names, shell};
use crate::probe::{self, Host, Page, Task, plan};
use pathspider_plugins::Registry;
use pathspider_runtime::apart::{Apart, Event, How};
use pathspider_runtime::process::Held;
use pathspider_runtime::say::Status;
use pathspider_runtime::threads::SingleThread;
use pathspider_runtime::{privileges, witness};

/// `pathspider probe`.
#[derive(Debug, Args)]
#[command(
    after_help = "Each measurement is made in rounds of its own, with its default options. A port decides how it \
                  connects: 443 by TLS, another one by a TCP handshake where there is no kind of connection for \
                  it.\n\nExit status: 0 where nothing is impaired, 14 where something is, 9 where there is no \
                  verdict on a target or a measurement failed, 10 where it was stopped."
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

    /// How long one connection may take, in seconds [default: what each measurement has, mostly 5]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<f64>,

    /// The interface to connect from and to capture on [default: the default route's]
    #[arg(short, long, value_name = "IF")]
    interface: Option<OsString>,

    /// Measure special-purpose addresses too: private, documentation, multicast and the like
    #[arg(long)]
    allow_special: bool,

    /// Never measure the addresses and prefixes in this file, one a line, # for comments; may be
    /// given several times
    #[arg(long, value_name = "FILE")]
    blocklist: Vec<PathBuf>,

    /// Whom to ask about these connections, an address or a URL; sent in the User-Agent of HTTP
    /// requests [default: pathspider's own page]
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
}

/// What plugins take as a time-out ([`Options::timeout`](pathspider_plugin_api::Options::timeout)).
fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    match (0.01..=3600.0).contains(&seconds) {
        true => Ok(seconds),
        false => Err("not between 0.01 and 3600".to_owned()),
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
    let words = arguments.words();
    let children = tasks.iter().map(|task| start(task, &words, &single, &held, registry));
    let children = children.collect::<Result<Vec<Apart>, _>>().map_err(cannot)?;
    // What comes from the network is read without privileges.
    privileges::give_up();
    let mut probe = Probe { page: &mut page, held, told: HashSet::new(), stopped: false };
    let status = Status::default();
    let count = tasks.len();
    for (number, (task, child)) in tasks.iter().zip(children).enumerate() {
        if probe.is_stopped() {
            break;
        }
        let name = &task.found.info.name;
        probe.carry_out(task, child, &status, format!("{} of {count}: {name}", number + 1));
    }
    drop(status);
    let stopped = probe.stopped;
    if let Some(trouble) = page.only_trouble() {
        return Err(Failure::new(trouble.exit, &trouble.why));
    }
    match arguments.json {
        true => shell::write_json(&probe::json(&page, stopped))?,
        false => shell::write(probe::text(&page, stopped).as_bytes())?,
    };
    Ok(page.exit(stopped))
}

/// Forks the process of a measurement, which is given its rounds and its targets later.
fn start(
    task: &Task<'_>,
    words: &[OsString],
    single: &SingleThread,
    held: &Held,
    registry: &Registry,
) -> io::Result<Apart> {
    Apart::start(single, held, |single, given| {
        witness::begin(&single);
        let mut lines = given.lines();
        let rounds = lines.next().unwrap_or_default();
        let mut words = words.to_vec();
        words.extend(["--repeat".into(), OsString::from_vec(rounds.into())]);
        let input = (task.values.clone(), lines.map(str::to_owned).collect());
        let result = measure::for_another(words, input, task.found, single, registry);
        conclude(&["pathspider".into(), "probe".into()], result)
    })
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

    /// Has a measurement made, and reads what it says.
    fn carry_out(&mut self, task: &Task<'_>, mut child: Apart, status: &Status, what: String) {
        let info = &task.found.info;
        let hosts: Vec<usize> =
            task.hosts.iter().copied().filter(|&at| !self.page.hosts()[at].is_lost).collect();
        if hosts.is_empty() {
            return;
        }
        let rounds = self.page.rounds_of(&hosts);
        let lines = hosts.iter().flat_map(|&at| self.page.hosts()[at].lines(info.names));
        let lines: Vec<String> = lines.collect();
        status.show(what);
        child.give(&format!("{rounds}\n{}", lines.join("\n")));
        // The last message, which is the reason where the measurement failed.
        let mut last: Option<String> = None;
        let mut is_measured = false;
        loop {
            match child.next(&self.held) {
                Event::Output(line) => is_measured |= self.add(info, rounds, &line),
                Event::Message(line) => {
                    let text = String::from_utf8_lossy(&line);
                    match &mut last {
                        // Further lines of a message are indented.
                        Some(last) if text.starts_with("    ") => {
                            last.push('\n');
                            last.push_str(text.trim_start());
                        }
                        _ => {
                            let before = last.replace(text.into_owned());
                            before.into_iter().for_each(|text| self.tell(status, text));
                        }
                    }
                }
                Event::Signal(signal) => {
                    self.stopped = true;
                    child.signal(signal);
                }
                Event::Ended(how) => {
                    if self.end(info, how, last, is_measured, status) {
                        self.page.finish(&hosts);
                    }
                    return;
                }
            }
        }
    }

    /// Reads a record; whether it is one of a target.
    fn add(&mut self, info: &Info, rounds: u16, line: &[u8]) -> bool {
        match serde_json::from_slice::<Record>(line) {
            Ok(record) => self.page.add(info, rounds, record),
            Err(_) => false,
        }
    }

    /// Says a message of a measurement, once.
    fn tell(&mut self, status: &Status, text: String) {
        if !text.is_empty() && !self.told.contains(&text) {
            status.above(&text);
            self.told.insert(text);
        }
    }

    /// Notes how a measurement ended; whether all its targets were measured.
    fn end(
        &mut self,
        info: &Info,
        how: How,
        last: Option<String>,
        is_measured: bool,
        status: &Status,
    ) -> bool {
        let is_done = [Exit::Finished, Exit::FinishedWithErrors, Exit::Stopped];
        if is_done.into_iter().any(|exit| how.is(exit)) || self.stopped {
            last.into_iter().for_each(|text| self.tell(status, text));
            return !self.stopped;
        }
        let said = last.map(|text| match text.strip_prefix("pathspider: ") {
            Some(text) => text.to_owned(),
            None => text,
        });
        let (exit, ended) = match how {
            How::Status(status) => (
                Exit::from_code(status).unwrap_or(Exit::Failed),
                format!("it ended with the status {status}"),
            ),
            How::Signal(signal) => (Exit::Failed, format!("signal {signal} ended it")),
        };
        let mut why = said.unwrap_or(ended);
        if is_measured {
            why.push_str("; what it had found by then is above");
        }
        self.page.fail(info, exit, why);
        false
    }
}
