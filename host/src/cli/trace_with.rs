//! `pathspider trace --with PLUGIN`: the packets of a measurement, hop by hop. The measurement is made in a
//! process of its own, with a search of every hop, and its records say what was found.

use std::collections::HashMap;
use std::ffi::OsString;
use std::net::SocketAddr;

use pathspider_asn::Databases;
use pathspider_plugin_api::{Record, Value};
use pathspider_plugins::Registry;
use pathspider_records::names;
use pathspider_runtime::apart::Apart;
use pathspider_runtime::process::Held;
use pathspider_runtime::threads::SingleThread;
use pathspider_runtime::{privileges, say};

use super::apart::{self, Said};
use super::exit::{Exit, Failure};
use super::names as plugins;
use super::trace::{TraceArgs, look_up, write};
use crate::locating::told;
use crate::output::is_carried;
use crate::probe::{Host, Task, plan};
use crate::trace::{Surroundings, Traced};

/// Runs `pathspider trace` with the packets of measurements.
pub(super) fn run(
    arguments: &TraceArgs,
    single: SingleThread,
    registry: &Registry,
) -> Result<Exit, Failure> {
    let hosts = arguments.hosts.iter().map(|word| Host::new(word));
    let hosts: Vec<Host> =
        hosts.collect::<Result<_, _>>().map_err(|why| Failure::new(Exit::Usage, why))?;
    let networks =
        Databases::open(&arguments.asn_db).map_err(|error| Failure::new(Exit::NoInput, error))?;
    let mut asked: Vec<(Task<'_>, Option<u64>)> = Vec::new();
    for word in &arguments.with {
        let (plugin, config) = wanted(word)?;
        let found = plugins::find(registry, plugin)?;
        let tasks = plan(std::slice::from_ref(found), &hosts, None);
        if tasks.is_empty() {
            let why = format!("{} does not apply to these targets", found.info.name);
            return Err(Failure::new(Exit::Usage, why));
        }
        asked.extend(tasks.into_iter().map(|task| (task, config)));
    }
    let cannot = |error| Failure::new(Exit::Failed, format!("cannot start a process: {error}"));
    let held = Held::begin().map_err(cannot)?;
    let start = |(task, _): &(Task<'_>, _)| {
        apart::start(task, words(arguments), &single, &held, registry).map_err(cannot)
    };
    let children = asked.iter().map(start).collect::<Result<Vec<Apart>, _>>()?;
    // What comes from the network is read without privileges.
    privileges::give_up();
    let around = Surroundings { networks, names: HashMap::new() };
    let mut showing =
        Showing { arguments, around, is_impaired: false, is_whole: true, is_stopped: false };
    for ((task, config), mut child) in asked.iter().zip(children) {
        if showing.is_stopped {
            break;
        }
        let of_task: Vec<&Host> = task.hosts.iter().map(|&at| &hosts[at]).collect();
        let lines = of_task.iter().flat_map(|host| host.lines(task.found.info.names));
        apart::give(&mut child, 1, &lines.collect::<Vec<String>>());
        let mut failed = None;
        let mut measured = vec![false; of_task.len()];
        let ended = apart::hear(&mut child, &held, |said| match said {
            Said::Record(record) => {
                let at = of_task.iter().position(|host| host.has(&record));
                at.into_iter().for_each(|at| measured[at] = true);
                let shown = at.map_or_else(String::new, |at| of_task[at].shown.clone());
                failed = showing.show(task, *config, &shown, &record).err().or(failed.take());
            }
            Said::Message(text) => pass_on(&text),
            Said::Stopped => showing.is_stopped = true,
        });
        if let Some(failure) = failed {
            return Err(failure);
        }
        if !ended.is_done() && !showing.is_stopped {
            let (exit, why) = ended.failure();
            if asked.len() == 1 {
                return Err(Failure::new(exit, why));
            }
            say!("{}: {why}", task.found.info.name);
            showing.is_whole = false;
            continue;
        }
        ended.last.iter().for_each(|text| pass_on(text));
        if showing.is_stopped {
            continue;
        }
        for (host, _) in of_task.iter().zip(&measured).filter(|(_, measured)| !**measured) {
            say!("{}: {} is not traced: nothing was measured", host.shown, task.found.info.name);
            showing.is_whole = false;
        }
    }
    Ok(match &showing {
        Showing { is_stopped: true, .. } => Exit::Stopped,
        Showing { is_impaired: true, .. } => Exit::Impaired,
        Showing { is_whole: true, .. } => Exit::Finished,
        _ => Exit::FinishedWithErrors,
    })
}

/// Says what the process of a measurement said.
fn pass_on(text: &str) {
    say!("{}", text.trim_start_matches("pathspider: "));
}

/// The plugin of a word, and the place of the configuration where it names one.
fn wanted(word: &str) -> Result<(&str, Option<u64>), Failure> {
    let Some((plugin, config)) = word.split_once(':') else { return Ok((word, None)) };
    match config.parse() {
        _ if plugin.is_empty() => {
            let why = format!("--with {word}: before the colon stands a plugin, such as ecn:1");
            Err(Failure::new(Exit::Usage, why))
        }
        Ok(number) if number > 0 => Ok((plugin, Some(number))),
        _ => {
            let why = format!(
                "--with {word}: after the colon stands the number of a configuration, 1 or more; \
                 `pathspider help {plugin}` lists them"
            );
            Err(Failure::new(Exit::Usage, why))
        }
    }
}

/// The options of the measurement.
fn words(arguments: &TraceArgs) -> Vec<OsString> {
    let mut words: Vec<OsString> =
        ["--locate=always", "--locate-every-hop", "--output-flows"].map(Into::into).into();
    let mut add = |option: &str, value: OsString| words.extend([option.into(), value]);
    arguments.interface.iter().for_each(|name| add("--interface", name.into()));
    arguments.blocklist.iter().for_each(|file| add("--blocklist", file.into()));
    if arguments.allow_special {
        words.push("--allow-special".into());
    }
    words
}

/// What was shown so far.
struct Showing<'a> {
    arguments: &'a TraceArgs,
    around: Surroundings,
    is_impaired: bool,
    /// Whether the packets of all came to their target, or it is known where not.
    is_whole: bool,
    is_stopped: bool,
}

impl Showing<'_> {
    /// Shows what a record says of one configuration, or of all.
    fn show(
        &mut self,
        task: &Task<'_>,
        config: Option<u64>,
        host: &str,
        record: &Record,
    ) -> Result<(), Failure> {
        let plugin = &task.found.info.name;
        let address = record.str("dip").and_then(|address| address.parse().ok());
        let port = record.u64("dp").and_then(|port| u16::try_from(port).ok()).unwrap_or_default();
        let Some(address) = address else { return Ok(()) };
        let target = SocketAddr::new(address, port);
        let mut is_told = false;
        let wanted =
            told(record).into_iter().filter(|one| config.is_none_or(|own| own == one.config));
        for one in wanted {
            let arrives = has_arrived(record, one.config);
            let traced = Traced::of_record(target, one, arrives);
            is_told = true;
            self.is_impaired |= traced.is_impaired();
            self.is_whole &= traced.has_arrived() || traced.is_impaired();
            if self.arguments.names {
                look_up(&mut self.around, &traced.routers());
            }
            write(&traced, host, &self.around, self.arguments.json)?;
        }
        if !is_told {
            let flows = record.get(names::FLOW_RESULTS).and_then(Value::as_list);
            let configurations = flows.map_or(0, <[Value]>::len) as u64;
            if let Some(config) = config.filter(|config| *config >= configurations.max(1))
                && configurations > 0
            {
                let why = format!(
                    "--with {plugin}:{config}: {plugin} has no such configuration; `pathspider help \
                     {plugin}` lists them"
                );
                return Err(Failure::new(Exit::Usage, why));
            }
            let why = record.str(names::ERROR).unwrap_or(
                "it sent nothing there that differs from its baseline and could be copied",
            );
            say!("{host}: {plugin} is not traced: {why}");
            self.is_whole = false;
        }
        Ok(())
    }
}

/// Whether a configuration's own packets came to the target.
fn has_arrived(record: &Record, config: u64) -> bool {
    let flows = record.get(names::FLOW_RESULTS).and_then(Value::as_list).unwrap_or_default();
    let flow = usize::try_from(config).ok().and_then(|at| flows.get(at)).and_then(Value::as_record);
    flow.is_some_and(is_carried)
}
