//! Long runs with faults at random: `make soak`. Nothing is lost, nothing grows, nothing is left.
//!
//! The first is one process from its beginning to its end, whose memory and descriptors are looked
//! at all the time. The second is killed, stopped and loses its interface, and goes on.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use pathspider_e2e::{Network, Program, Record, network, records, state_dir, temp_dir};
use pathspider_lab::net::resident_memory;
use rustix::process::{Pid, Signal, kill_process};

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

/// A run under way, and what feeds it.
struct Run {
    child: Child,
    feeder: std::thread::JoinHandle<()>,
    began: Instant,
}

/// Starts a run, or goes on with it: the lines that are due by now come at once, the others at
/// their time.
fn start(network: &Network, output: &str, lines: Vec<String>, since: Instant) -> Run {
    let arguments =
        ["measure", "--allow-special", "--duplicates", "--resume", "--quiet", "--output", output];
    let mut command = Program::command(&arguments);
    command.args(["-i", network.interface(), "ecn", "--connect", "tcp", "--timeout", "1"]);
    let mut child = network.start(command);
    let mut stdin = child.stdin.take().unwrap();
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

fn signal(child: &Child, signal: Signal) {
    let _ = kill_process(Pid::from_child(child), signal);
}

/// A fault, for as long as it lasts.
type Fault = (&'static str, Box<dyn Fn(&Network, &Child)>);

/// One that a script makes at the vantage point, and another one mends.
fn by_script(name: &'static str, millis: u64, fault: String, mend: String) -> Fault {
    let make = move |network: &Network, _: &Child| {
        network.script(&fault, "").expect(0, &[]);
        std::thread::sleep(Duration::from_millis(millis));
        network.script(&mend, "").expect(0, &[]);
    };
    (name, Box::new(make))
}

/// The faults that a run survives.
fn survived(network: &Network) -> Vec<Fault> {
    let interface = network.interface();
    let show = format!("ip -4 -o addr show dev {interface} | awk '{{print $4}}'");
    let address = network.script(&show, "").stdout.trim().to_owned();
    let table = "nft add table inet test; nft add chain inet test lost '{ type filter hook HOOK \
                 priority 0; }'; nft add rule inet test lost drop";
    let (on_path, here) = (table.replace("HOOK", "forward"), table.replace("HOOK", "postrouting"));
    let path = move |network: &Network, _: &Child| {
        network.script_on_path(&on_path).expect(0, &[]);
        std::thread::sleep(Duration::from_secs(3));
        network.script_on_path("nft delete table inet test").expect(0, &[]);
    };
    let stop = |_: &Network, run: &Child| {
        signal(run, Signal::STOP);
        std::thread::sleep(Duration::from_millis(800));
        signal(run, Signal::CONT);
    };
    let descriptors = |network: &Network, run: &Child| {
        let limit = |n: u32| format!("prlimit --pid {} --nofile={n}:4096", run.id());
        network.script(&limit(8), "");
        std::thread::sleep(Duration::from_millis(800));
        network.script(&limit(1024), "");
    };
    vec![
        ("all packets lost on the path for 3 s", Box::new(path)),
        by_script(
            "all packets lost here for 0.8 s",
            800,
            here,
            "nft delete table inet test".into(),
        ),
        by_script(
            "no address for 0.8 s",
            800,
            format!("ip addr del {address} dev {interface}"),
            format!("ip addr add {address} dev {interface}; {}", routes(network)),
        ),
        ("SIGSTOP for 0.8 s", Box::new(stop)),
        ("no descriptors for 0.8 s", Box::new(descriptors)),
    ]
}

/// The faults that may end it.
fn ending(network: &Network) -> Vec<Fault> {
    let interface = network.interface();
    // Routes of version 6 need the addresses, which would go for good.
    let keep = format!("echo 1 >/proc/sys/net/ipv6/conf/{interface}/keep_addr_on_down");
    network.script(&keep, "").expect(0, &[]);
    let kill = |_: &Network, run: &Child| signal(run, Signal::KILL);
    let terminate = |_: &Network, run: &Child| signal(run, Signal::TERM);
    vec![
        ("SIGKILL", Box::new(kill)),
        ("SIGTERM", Box::new(terminate)),
        by_script(
            "interface down for 0.8 s",
            800,
            format!("ip link set {interface} down"),
            format!("ip link set {interface} up; sleep 0.2; {}", routes(network)),
        ),
    ]
}

/// The routes through gateways, as commands that bring them back.
fn routes(network: &Network) -> String {
    let routes = network.script("ip route | grep via; ip -6 route | grep via", "").stdout;
    let back = |line: &str| {
        let family = if line.contains(':') { "-6" } else { "-4" };
        format!("ip {family} route replace {line};")
    };
    routes.lines().map(back).collect()
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
fn soak(network: &Network, output: &str, lines: &[String], faults: &[Fault], seed: u64) -> Soaked {
    // Seeds that are near each other give other faults all the same.
    let (mut random, since) = (Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)), Instant::now());
    let length = Duration::from_secs(lines.len() as u64 / RATE);
    let mut run = start(network, output, lines.to_vec(), since);
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
            run = start(network, output, lines.to_vec(), since);
            soaked.processes += 1;
            continue;
        }
        // What a run needs is there after its first seconds.
        if run.began.elapsed() > Duration::from_secs(10) {
            soaked.footprints.0.extend(footprint(run.child.id()));
        }
        if Instant::now() > next && since.elapsed() + PAUSE < length {
            let (name, make) = &faults[random.below(faults.len() as u64) as usize];
            make(network, &run.child);
            *soaked.faults.entry(name).or_default() += 1;
            next = Instant::now() + PAUSE;
        }
    }
}

/// Whether every target has one record, and how many have no full verdict.
fn unsure(output: &str, count: u64) -> usize {
    let text = Command::new("zstd").args(["-dc", output]).output().unwrap();
    let found = records(std::str::from_utf8(&text.stdout).unwrap());
    let rank = |record: &Record| record.rest["rank"].as_u64().unwrap();
    let mut ranks: Vec<u64> = found.iter().map(rank).collect();
    ranks.sort_unstable();
    assert!(ranks.iter().copied().eq(0..count), "{} records of {count}", ranks.len());
    let works = |record: &&Record| {
        record.conditions.iter().any(|condition| condition == "ecn.connectivity.works")
    };
    found.len() - found.iter().filter(works).count()
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
    let mut all = survived(&network);
    for part in ["one process", "killed and gone on"] {
        let alone = part == "one process";
        // The second takes a third as long.
        let lines = if alone { &lines[..] } else { &lines[..lines.len() / 3] };
        let output = temp_dir(part).join("out.ndjson.zst").display().to_string();
        let soaked = soak(&network, &output, lines, &all, seed);
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
