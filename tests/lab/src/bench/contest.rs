//! Owns one case while it is measured: its network, who takes part, and one run of each.

use std::net::SocketAddr;
use std::time::Duration;

use super::Settings;
use super::case::Case;
use super::loops::bare_loop;
use super::others::{Other, run_other};
use super::report::Run;
use super::watch::{growth, watched};
use crate::error::{Context, Result};
use crate::kernel::{Group, INTERFACE, KernelLab, standard_groups};
use crate::net::{packets, possible_open_files, resident_memory, thread_time};
use crate::runner::{Comparison, Measurement, Target, WorkDir};
use crate::targets::THREADS;

/// One target in this many is dead, where some are.
const DEAD: u32 = 20;
/// How long pathspider waits for a dead one where nobody says, in seconds.
const TIMEOUT: f64 = 5.0;
/// How often packets are counted while they are being sent.
const TICK: Duration = Duration::from_millis(5);
/// PATHspider does some twenty targets a second.
const FEW: usize = 100;

pub(super) const LOOP: &str = "bare loop";

/// Who takes part.
enum Part {
    Loop { in_flight: usize },
    Ours { measurement: Measurement, targets: usize },
    Other { other: Other, targets: usize, as_ours: bool },
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
        let ours = |workers: usize, targets: u32| Part::Ours {
            measurement: Measurement {
                pathspider: settings.pathspider.clone(),
                interface: INTERFACE.into(),
                workers,
                options: options.clone(),
                plugin: measured.plugin.into(),
                arguments: measured.arguments.iter().map(ToString::to_string).collect(),
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
        let has_loop = !case.is_long() && case != Case::Blocking;
        let mut parts = Vec::new();
        if has_loop {
            parts.push(Part::Loop { in_flight: workers[0] });
        }
        for &size in &sizes {
            parts.extend(workers.iter().map(|&workers| ours(workers, size)));
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
        words.collect::<Vec<_>>().join(" ")
    }

    /// Has every program run once, one after the other.
    pub(super) fn round(&self, mut ended: impl FnMut(Run)) -> Result<()> {
        let targets = self.all_targets();
        let (mut loop_rate, mut syns) = (None, None);
        for part in &self.parts {
            let mut run = match part {
                Part::Loop { in_flight } => self.run_loop(&targets, *in_flight)?,
                Part::Ours { measurement, targets: count } => {
                    self.run_ours(&targets[..*count], measurement)?
                }
                Part::Other { other, targets: count, as_ours } => {
                    let (targets, rate) = (&targets[..*count], syns.filter(|_| *as_ours));
                    self.counted(1, || run_other(&self.lab, *other, targets, rate))?
                }
            };
            if run.program == LOOP {
                loop_rate = Some(run.rate());
            } else if run.missing.is_none() && !self.is_scanner(part) {
                run.share_of_loop = loop_rate.map(|rate| self.rate(&run) / rate);
            }
            if let Part::Ours { .. } = part {
                syns = run.syns_per_second;
            }
            ended(run);
        }
        Ok(())
    }

    /// Whether it is a program that waits for a while whatever it was asked, which has no rate to
    /// compare.
    fn is_scanner(&self, part: &Part) -> bool {
        self.case == Case::Forged && matches!(part, Part::Other { .. })
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
        self.counted(2, || self.measure(targets, measurement))
    }

    fn measure(&self, targets: &[Target<'_>], measurement: &Measurement) -> Result<Run> {
        let served = thread_time(&THREADS)?;
        let mut started = measurement.start(self.lab.vantage(), targets.iter().copied())?;
        let (process, second) = (started.process(), Duration::from_secs(1));
        let (ended, memory) = watched(second, || resident_memory(process), || started.finish());
        let (ended, served) = (ended?, thread_time(&THREADS)? - served);
        let mut comparison = Comparison::new(&measurement.plugin, targets.iter().copied());
        for record in ended.records()? {
            comparison.add(&record?);
        }
        let right = comparison.right();
        let program = match self.case {
            Case::Blocking => format!("pathspider -w {}", measurement.workers),
            _ => "pathspider".into(),
        };
        Ok(Run {
            program,
            targets: targets.len() as u32,
            seconds: ended.finished.elapsed.as_secs_f64(),
            cpu_seconds: Some(ended.finished.cpu.as_secs_f64()),
            server_cpu_seconds: Some(served.as_secs_f64()),
            peak_memory: Some(ended.finished.peak_memory),
            // The first look is before it has begun.
            memory: memory.into_iter().skip(1).map(|(_, bytes)| bytes).collect(),
            answered: Some(right as u32),
            flows_missed: Some(
                comparison.count(&["pathspider.missed_flows", "pathspider.not_observed"]),
            ),
            wrong: Some(comparison.records() - right + comparison.missing()),
            ..Run::default()
        })
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
        .context(|| format!("find the plugin {}, which `make build` makes", library.display()))?;
    Ok(folder)
}
