//! Long runs with faults at random: `make soak`. Nothing is lost, nothing grows, nothing is left.
//!
//! The first is one process from its beginning to its end, whose memory and descriptors are looked
//! at all the time. The second is killed, stopped and loses its interface, and goes on.

mod faults;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use faults::{Fault, ending, one_of, survived};
use pathspider_e2e::{Network, Program, compile, network, ranks, records, state_dir, temp_dir};
use pathspider_lab::net::resident_memory;

/// Targets a second.
const RATE: u64 = 50;

/// Between two faults.
const PAUSE: Duration = Duration::from_secs(6);

/// Numbers that look random, and are the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % n
    }
}

/// What is measured, and where.
struct Task<'t> {
    network: &'t Network,
    lines: &'t [String],
    output: &'t str,
    clock: &'t Clock,
}

/// The clock that the program sees, which is set while there is a file.
struct Clock {
    library: PathBuf,
    step: PathBuf,
}

impl Clock {
    fn new(folder: &Path) -> Clock {
        Clock { library: compile("clock", &[], folder.join("clock.so")), step: folder.join("step") }
    }
}

/// A run under way, and what feeds it.
struct Run {
    child: Child,
    feeder: std::thread::JoinHandle<()>,
    began: Instant,
}

/// Starts a run, or goes on with it: the lines that are due by now come at once, the others at
/// their time.
fn start(task: &Task<'_>, since: Instant) -> Run {
    let Task { network, lines, output, clock } = *task;
    let arguments =
        ["measure", "--allow-special", "--duplicates", "--resume", "--quiet", "--output", output];
    let mut command = Program::command(&arguments);
    command.env("LD_PRELOAD", &clock.library).env("CLOCK_STEP", &clock.step);
    command.args(["-i", network.interface(), "ecn", "--connect", "tcp", "--timeout", "1"]);
    let mut child = network.start(command);
    let (mut stdin, lines) = (child.stdin.take().unwrap(), lines.to_vec());
    let feeder = std::thread::spawn(move || {
        for (number, line) in lines.iter().enumerate() {
            let due = Duration::from_millis(number as u64 * 1000 / RATE);
            std::thread::sleep(due.saturating_sub(since.elapsed()));
            if stdin.write_all(line.as_bytes()).is_err() {
                return;
            }
        }
    });
    Run { child, feeder, began: Instant::now() }
}

/// Resident memory in KiB, and open descriptors.
fn footprint(pid: u32) -> Option<(u64, usize)> {
    let memory = resident_memory(pid)? / 1024;
    Some((memory, fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count()))
}

/// How much memory and how many descriptors, and when.
#[derive(Default)]
struct Footprints(Vec<(u64, usize)>);

impl Footprints {
    /// The most of the first and of the last third.
    fn ends(&self) -> [(u64, usize); 2] {
        let third = self.0.len() / 3;
        [&self.0[..third], &self.0[self.0.len() - third..]].map(|part| {
            let memory = part.iter().map(|&(memory, _)| memory).max().unwrap();
            (memory, part.iter().map(|&(_, descriptors)| descriptors).max().unwrap())
        })
    }
}

/// What came of a run, with all that went on after it.
struct Soaked {
    footprints: Footprints,
    /// How often each fault was made.
    faults: BTreeMap<&'static str, u64>,
    processes: u32,
}

/// Measures all lines with faults at random, in as many processes as it takes.
fn soak(task: &Task<'_>, faults: &[Fault], seed: u64) -> Soaked {
    // Seeds that are near each other give other faults all the same.
    let (mut random, since) = (Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)), Instant::now());
    let length = Duration::from_secs(task.lines.len() as u64 / RATE);
    let mut run = start(task, since);
    let mut soaked =
        Soaked { footprints: Footprints::default(), faults: BTreeMap::new(), processes: 1 };
    let mut next = since + PAUSE;
    loop {
        std::thread::sleep(Duration::from_millis(500));
        if let Some(status) = run.child.try_wait().unwrap() {
            // To its end, which is the keeper's.
            let mut said = String::new();
            run.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            run.feeder.join().unwrap();
            if status.success() {
                return soaked;
            }
            let expected =
                status.signal() == Some(9) || [Some(1), Some(10)].contains(&status.code());
            assert!(expected, "{status}: {said}");
            run = start(task, since);
            soaked.processes += 1;
            continue;
        }
        // What a run needs is there after its first seconds.
        if run.began.elapsed() > Duration::from_secs(10) {
            soaked.footprints.0.extend(footprint(run.child.id()));
        }
        if Instant::now() > next && since.elapsed() + PAUSE < length {
            let fault = one_of(faults, &mut random);
            (fault.make)(task.network, &run.child);
            *soaked.faults.entry(fault.name).or_default() += 1;
            next = Instant::now() + PAUSE;
        }
    }
}

/// Whether every target has one record, and how many have no full verdict.
fn unsure(output: &str, count: u64) -> usize {
    let text = Command::new("zstd").args(["-dc", output]).output().unwrap();
    let found = records(std::str::from_utf8(&text.stdout).unwrap());
    let ranks = ranks(&found);
    assert!(ranks.iter().copied().eq(0..count), "{} records of {count}", ranks.len());
    found.iter().filter(|record| !record.has("ecn.connectivity.works")).count()
}

#[test]
#[ignore = "takes minutes: `make soak`"]
fn hours_of_faults() {
    let minutes: u64 = std::env::var("SOAK_MINUTES").map_or(10, |text| text.parse().unwrap());
    let seed: u64 = std::env::var("SOAK_SEED").map_or(1, |text| text.parse().unwrap());
    let Some(network) = network(200, 0) else { return };
    let before = network.settings();
    let addresses = network.targets("clean");
    let line = |number: u64| {
        let address = addresses[number as usize % addresses.len()];
        format!("{{\"dip\":\"{address}\",\"dp\":80,\"rank\":{number}}}\n")
    };
    let lines: Vec<String> = (0..minutes * 60 * RATE).map(line).collect();
    let clock = Clock::new(&temp_dir("soak"));
    let mut all = survived(&network, &clock);
    for part in ["one process", "killed and gone on"] {
        let alone = part == "one process";
        // The second takes a third as long.
        let lines = if alone { &lines[..] } else { &lines[..lines.len() / 3] };
        let output = temp_dir(part).join("out.ndjson.zst").display().to_string();
        let task = Task { network: &network, lines, output: &output, clock: &clock };
        let soaked = soak(&task, &all, seed);
        let unsure = unsure(&output, lines.len() as u64);
        assert_eq!(network.settings(), before);
        assert_eq!(fs::read_dir(state_dir()).unwrap().count(), 0, "journals");
        println!("{part}: {} targets, each measured once (seed {seed})", lines.len());
        println!("  {} processes; {unsure} targets without a full verdict, for:", soaked.processes);
        soaked.faults.iter().for_each(|(fault, times)| println!("  {times:>4} × {fault}"));
        if alone {
            let [early, late] = soaked.footprints.ends();
            println!("  memory at most {} KiB in the first third, {} in the last", early.0, late.0);
            println!("  descriptors at most {} and {}", early.1, late.1);
            assert!(late.0 < early.0 * 11 / 10 + 2048, "memory grows");
            assert!(late.1 <= early.1 + 64, "descriptors grow");
        }
        assert_eq!(soaked.processes == 1, alone, "{} processes", soaked.processes);
        // As often as the others.
        all.extend(ending(&network));
        all.extend(ending(&network));
    }
}
