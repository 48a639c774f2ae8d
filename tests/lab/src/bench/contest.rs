//! Owns one case while it is measured: its network, who takes part, and one run of each.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::Settings;
use super::case::Case;
use super::loops::bare_loop;
use super::others::{Other, run_other};
use super::report::Run;
use super::watch::{Sample, growth, watched};
use crate::error::{Context, Result};
use crate::kernel::{Group, INTERFACE, KernelLab, standard_groups};
use crate::net::{
    Running, packets, possible_open_files, resident_memory, thread_time, thread_times,
};
use crate::runner::{Comparison, Measurement, Target, WorkDir, plugin_waiver};
use crate::targets::THREADS;

/// One target in this many is dead, where some are.
const DEAD: u32 = 20;
/// How long pathspider waits for a dead one where nobody says, in seconds.
const TIMEOUT: f64 = 5.0;
/// How often packets are counted while they are being sent.
const TICK: Duration = Duration::from_millis(5);
/// How often threads are looked at: what they do after the last look is not seen.
const GLANCE: Duration = Duration::from_millis(10);
/// Threads with less of a program's time than this share are not shown.
const SHOWN: f64 = 0.005;
/// PATHspider does some twenty targets a second.
const FEW: usize = 100;

pub(super) const LOOP: &str = "bare loop";

/// The option whose words are compared.
const MODE: &str = "--connect";

/// Who takes part.
enum Part {
    Loop {
        in_flight: usize,
    },
    Ours {
        measurement: Measurement,
        targets: usize,
    },
    /// pathspider lists its plugins.
    List {
        pathspider: PathBuf,
    },
    Other {
        other: Other,
        targets: usize,
        as_ours: bool,
    },
}

pub(super) struct Contest {
    case: Case,
    lab: KernelLab,
    parts: Vec<Part>,
    /// How many targets there are, the same one several times where the case is of one address.
    targets: u32,
    /// Where the plugin is that does not ship.
    _plugins: Option<WorkDir>,
}

impl Contest {
    pub(super) fn new(case: Case, settings: &Settings) -> Result<Self> {
        let targets = settings.targets.unwrap_or_else(|| case.targets()).max(1);
        let (dead, live) = match case {
            Case::Dead => (targets / DEAD, targets - targets / DEAD),
            Case::OneAddress => (0, 1),
            _ => (0, targets),
        };
        let mut lab = KernelLab::new(groups(live, dead))?;
        lab.serve_all()?;
        let plugins = if case == Case::Blocking { Some(own_plugin("blocker")?) } else { None };
        let measured = case.measured();
        let mut options: Vec<String> = measured.options.iter().map(ToString::to_string).collect();
        if let Some(folder) = &plugins {
            options.extend(["--plugin-dir".into(), folder.path().display().to_string()]);
        }
        let ours = |workers: usize, targets: u32, mode: Option<&str>| Part::Ours {
            measurement: Measurement {
                pathspider: settings.pathspider.clone(),
                interface: INTERFACE.into(),
                workers,
                options: options.clone(),
                plugin: measured.plugin.into(),
                arguments: {
                    let mode = mode.into_iter().flat_map(|mode| [MODE, mode]);
                    measured.arguments.iter().copied().chain(mode).map(str::to_owned).collect()
                },
                rejudge: false,
            },
            targets: targets as usize,
        };
        let workers = match settings.workers {
            Some(workers) => vec![workers],
            None if case.needs_files() => possible(case.workers())?,
            None => case.workers().to_vec(),
        };
        let sizes = match case {
            Case::Scale => vec![targets.div_ceil(100), targets.div_ceil(10), targets],
            _ => vec![targets],
        };
        let modes: Vec<Option<&str>> = match measured.modes {
            [] => vec![None],
            modes => modes.iter().copied().map(Some).collect(),
        };
        let alone = [Case::Blocking, Case::Conversations, Case::Stages];
        let has_loop = !case.is_long() && !alone.contains(&case);
        let mut parts = Vec::new();
        if has_loop {
            parts.push(Part::Loop { in_flight: workers[0] });
        }
        for &size in &sizes {
            for &mode in &modes {
                parts.extend(workers.iter().map(|&workers| ours(workers, size, mode)));
            }
        }
        if case == Case::Start {
            parts.push(Part::List { pathspider: settings.pathspider.clone() });
        }
        // Scanners twice: as fast as they can, and as fast as pathspider.
        let others: &[(Other, bool)] = match case {
            _ if !settings.others => &[],
            Case::Connect => &[(Other::Pathspider, false)],
            Case::Forged => &[
                (Other::Masscan, false),
                (Other::Masscan, true),
                (Other::Zmap, false),
                (Other::Zmap, true),
            ],
            _ => &[],
        };
        let others = others.iter().filter(|(other, as_ours)| !as_ours || other.is_installed());
        parts.extend(others.map(|&(other, as_ours)| {
            let few = if other == Other::Pathspider { FEW } else { usize::MAX };
            Part::Other { other, targets: few.min(targets as usize), as_ours }
        }));
        Ok(Self { case, lab, parts, targets, _plugins: plugins })
    }

    /// How pathspider is run.
    pub(super) fn command(&self) -> String {
        let measured = self.case.measured();
        let workers = self.parts.iter().filter_map(|part| match part {
            Part::Ours { measurement, .. } => Some(measurement.workers.to_string()),
            _ => None,
        });
        let mut workers: Vec<String> = workers.collect();
        workers.dedup();
        let workers = format!("-w {}", workers.join("|"));
        let words = ["pathspider", "measure", &workers].into_iter();
        let words = words.chain(measured.options.iter().copied());
        let words = words.chain([measured.plugin]).chain(measured.arguments.iter().copied());
        let modes = measured.modes.join("|");
        let words = words.chain([MODE, &modes].into_iter().filter(|_| !modes.is_empty()));
        words.collect::<Vec<_>>().join(" ")
    }

    /// Has every program run once, one after the other.
    pub(super) fn round(&self, mut ended: impl FnMut(Run)) -> Result<()> {
        let targets = self.all_targets();
        let (mut loop_rate, mut first_rate, mut syns) = (None, None, None);
        for part in &self.parts {
            let mut stages = Vec::new();
            let mut run = match part {
                Part::Loop { in_flight } => self.run_loop(&targets, *in_flight)?,
                Part::Ours { measurement, targets: count } if self.case == Case::Stages => {
                    let (run, found) = self.run_in_stages(&targets[..*count], measurement)?;
                    stages = found;
                    run
                }
                Part::Ours { measurement, targets: count } => {
                    self.run_ours(&targets[..*count], measurement)?
                }
                Part::List { pathspider } => list_plugins(pathspider)?,
                Part::Other { other, targets: count, as_ours } => {
                    let (targets, rate) = (&targets[..*count], syns.filter(|_| *as_ours));
                    self.counted(1, || run_other(&self.lab, *other, targets, rate))?
                }
            };
            if run.program == LOOP {
                loop_rate = Some(run.rate());
            } else if run.missing.is_none() && self.has_rate(part) {
                run.share_of_loop = loop_rate.map(|rate| self.rate(&run) / rate);
            }
            if let Part::Ours { .. } = part {
                syns = run.syns_per_second;
            }
            if self.case == Case::Conversations {
                run.share_of_first = Some(run.rate() / *first_rate.get_or_insert(run.rate()));
            }
            ended(run);
            stages.into_iter().for_each(&mut ended);
        }
        Ok(())
    }

    /// Whether it has a rate to compare: a scanner waits for a while whatever it was asked, and a list of
    /// plugins has no targets.
    fn has_rate(&self, part: &Part) -> bool {
        match part {
            Part::Loop { .. } | Part::Ours { .. } => true,
            Part::Other { .. } => self.case != Case::Forged,
            Part::List { .. } => false,
        }
    }

    /// Targets a second; without the one time-out that nobody can do without, where some are dead.
    fn rate(&self, run: &Run) -> f64 {
        match self.case {
            Case::Dead => f64::from(run.targets) / (run.seconds - TIMEOUT).max(f64::EPSILON),
            _ => run.rate(),
        }
    }

    fn run_loop(&self, targets: &[Target<'_>], in_flight: usize) -> Result<Run> {
        let live = targets.iter().filter(|target| target.truth.name != DEAD_GROUP);
        let addresses: Vec<SocketAddr> =
            live.filter_map(|t| Some((t.address, t.port?).into())).collect();
        let exchanged = self.case.measured().exchanged;
        let served = thread_time(&THREADS)?;
        let done = self.lab.vantage().enter(|| bare_loop(exchanged, &addresses, in_flight))??;
        Ok(Run {
            program: LOOP.into(),
            targets: addresses.len() as u32,
            seconds: done.elapsed.as_secs_f64(),
            cpu_seconds: Some(done.cpu.as_secs_f64()),
            server_cpu_seconds: Some((thread_time(&THREADS)? - served).as_secs_f64()),
            wrong: Some(done.failed),
            ..Run::default()
        })
    }

    fn run_ours(&self, targets: &[Target<'_>], measurement: &Measurement) -> Result<Run> {
        // With and without what is measured.
        self.counted(2, || {
            let second = Duration::from_secs(1);
            let (run, memory) = self.measure(targets, measurement, second, resident_memory)?;
            // The first look is before it has begun.
            let memory = memory.into_iter().skip(1).map(|(_, bytes)| bytes).collect();
            Ok(Run { memory, ..run })
        })
    }

    /// A run, and its threads.
    fn run_in_stages(
        &self,
        targets: &[Target<'_>],
        measurement: &Measurement,
    ) -> Result<(Run, Vec<Run>)> {
        let look = |process| thread_times(process).ok();
        let (run, looks) = self.measure(targets, measurement, GLANCE, look)?;
        let mut times: BTreeMap<String, f64> = BTreeMap::new();
        for (name, time) in looks.into_iter().flat_map(|(_, threads)| threads) {
            let most = times.entry(name).or_default();
            *most = most.max(time.as_secs_f64());
        }
        let least = run.cpu_seconds.unwrap_or(0.0) * SHOWN;
        times.retain(|_, time| *time >= least);
        let stage = |(name, time)| {
            let Run { targets, seconds, .. } = run;
            let program = format!("{name} (thread)");
            Run { program, targets, seconds, cpu_seconds: Some(time), ..Run::default() }
        };
        let stages = times.into_iter().map(stage).collect();
        Ok((run, stages))
    }

    /// A run, at which somebody looks every so often while it lasts.
    fn measure<S: Send>(
        &self,
        targets: &[Target<'_>],
        measurement: &Measurement,
        every: Duration,
        look: impl Fn(u32) -> Option<S> + Sync,
    ) -> Result<(Run, Vec<Sample<S>>)> {
        let served = thread_time(&THREADS)?;
        let mut started = measurement.start(self.lab.vantage(), targets.iter().copied())?;
        let process = started.process();
        let (ended, looks) = watched(every, || look(process), || started.finish());
        let (ended, served) = (ended?, thread_time(&THREADS)? - served);
        let mut comparison = Comparison::new(&measurement.plugin, targets.iter().copied());
        for record in ended.records()? {
            comparison.add(&record?);
        }
        let right = comparison.right();
        let program = match self.case {
            Case::Blocking => format!("pathspider -w {}", measurement.workers),
            Case::Conversations => format!("pathspider {}", measurement.arguments.join(" ")),
            _ => "pathspider".into(),
        };
        let run = Run {
            program,
            targets: targets.len() as u32,
            seconds: ended.finished.elapsed.as_secs_f64(),
            cpu_seconds: Some(ended.finished.cpu.as_secs_f64()),
            server_cpu_seconds: Some(served.as_secs_f64()),
            peak_memory: Some(ended.finished.peak_memory),
            answered: Some(right as u32),
            flows_missed: Some(
                comparison.count(&["pathspider.missed_flows", "pathspider.not_observed"]),
            ),
            wrong: Some(comparison.records() - right + comparison.missing()),
            ..Run::default()
        };
        Ok((run, looks))
    }

    /// Counts what leaves while somebody sends this many SYNs to each target, where that is asked for.
    fn counted(&self, syns: u32, work: impl FnOnce() -> Result<Run> + Send) -> Result<Run> {
        if self.case != Case::Forged {
            return work();
        }
        let look = || packets(INTERFACE).ok().map(|packets| packets.sent);
        let (run, samples) = self.lab.vantage().enter(|| watched(TICK, look, work))?;
        let run = run?;
        let all = samples.last().zip(samples.first()).map(|(last, first)| last.1 - first.1);
        let rate = growth(&samples).zip(all).map(|((time, sent), all)| {
            let syns = f64::from(syns) * f64::from(run.targets) * sent / all as f64;
            syns / time.as_secs_f64()
        });
        Ok(Run { syns_per_second: rate.filter(|_| run.missing.is_none()), ..run })
    }

    /// The targets in the order in which they are measured: dead ones are spread evenly.
    fn all_targets(&self) -> Vec<Target<'_>> {
        let port = self.case.measured().port;
        let of = |name| members(self.lab.groups(), name, port);
        let (live, dead) = (of(LIVE_GROUP), of(DEAD_GROUP));
        // The share of the dead among the first so many.
        let before = |at: usize| at * dead.len() / self.targets as usize;
        let (mut live, mut dead_ones) = (live.iter().cycle(), dead.iter());
        let next = |at| if before(at + 1) > before(at) { dead_ones.next() } else { live.next() };
        (0..self.targets as usize).filter_map(next).copied().collect()
    }
}

const LIVE_GROUP: &str = "clean";
const DEAD_GROUP: &str = "dead";

/// Has pathspider list its plugins.
fn list_plugins(pathspider: &Path) -> Result<Run> {
    let mut command = Command::new(pathspider);
    command.args(plugin_waiver(pathspider)).arg("--list-plugins");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let finished = Running::start(&mut command)?.finish()?;
    Ok(Run {
        program: "pathspider --list-plugins".into(),
        targets: 1,
        seconds: finished.elapsed.as_secs_f64(),
        cpu_seconds: Some(finished.cpu.as_secs_f64()),
        wrong: Some(usize::from(!finished.status.success())),
        ..Run::default()
    })
}

/// So many workers, or as many as the system has files for.
fn possible(workers: &[usize]) -> Result<Vec<usize>> {
    /// What pathspider opens beside the targets, and some more.
    const SPARE: usize = 1000;
    let most = workers.iter().max().copied().unwrap_or(0);
    let files = possible_open_files((most + SPARE) as u64)? as usize;
    Ok(workers.iter().map(|workers| files.saturating_sub(SPARE).clamp(1, *workers)).collect())
}

/// The targets of the group of that name.
fn members<'a>(groups: &'a [Group], name: &str, port: u16) -> Vec<Target<'a>> {
    let groups = groups.iter().filter(|group| group.truth.name == name);
    let target = |truth, address| Target { truth, address, port: Some(port) };
    groups.flat_map(|group| group.addresses().map(move |a| target(&group.truth, a))).collect()
}

/// The groups of a network with this many living and dead targets.
fn groups(live: u32, dead: u32) -> Vec<Group> {
    let mut groups = standard_groups(live, 0);
    groups.retain(|group| match &*group.truth.name {
        LIVE_GROUP => true,
        DEAD_GROUP => dead > 0,
        _ => false,
    });
    groups.iter_mut().filter(|group| group.truth.name == DEAD_GROUP).for_each(|g| g.ipv4 = dead);
    groups
}

/// A folder with a plugin that a build of the whole leaves beside this program, and nothing else.
fn own_plugin(name: &str) -> Result<WorkDir> {
    let program = std::env::current_exe().context(|| "find this program")?;
    let library = program.with_file_name(format!("lib{name}.so"));
    let folder = WorkDir::new()?;
    std::fs::copy(&library, folder.file(&format!("{name}.so")))
        .context(|| format!("find the plugin {}, which `make bench` makes", library.display()))?;
    Ok(folder)
}
