//! A long run with faults at random: `make soak`. Nothing is lost, nothing grows, nothing is left.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use pathspider_e2e::{Network, Program, network, records, state_dir, temp_dir};
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
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let memory = line.split_whitespace().nth(1)?.parse().ok()?;
    Some((memory, fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count()))
}

fn signal(child: &Child, signal: Signal) {
    let _ = kill_process(Pid::from_child(child), signal);
}

/// The scripts of faults and of what mends them.
fn network_faults(network: &Network) -> Vec<(&'static str, String, String)> {
    let interface = network.interface();
    let routes = network.script("ip route | grep via; ip -6 route | grep via", "").stdout;
    let back = |family: &str, v6: bool| -> String {
        let of_family = routes.lines().filter(|line| line.contains(':') == v6);
        of_family.map(|line| format!("ip {family} route replace {line};")).collect()
    };
    let routes = back("-4", false) + &back("-6", true);
    let show = format!("ip -4 -o addr show dev {interface} | awk '{{print $4}}'");
    let address = network.script(&show, "").stdout.trim().to_owned();
    let loss = "nft add table inet test; nft add chain inet test out '{ type filter hook \
                postrouting priority 0; }'; nft add rule inet test out drop";
    vec![
        ("loss", loss.into(), "nft delete table inet test".into()),
        (
            "address",
            format!("ip addr del {address} dev {interface}"),
            format!("ip addr add {address} dev {interface}; {routes}"),
        ),
    ]
}

#[test]
#[ignore = "takes minutes: `make soak`"]
fn hours_of_faults() {
    let minutes: u64 = std::env::var("SOAK_MINUTES").map_or(10, |text| text.parse().unwrap());
    let seed: u64 = std::env::var("SOAK_SEED").map_or(1, |text| text.parse().unwrap());
    let Some(network) = network(200, 0) else { return };
    let before = network.settings();
    let output = temp_dir("soak").join("out.ndjson.zst").display().to_string();
    let addresses = network.targets("clean");
    let count = minutes * 60 * RATE;
    let line = |number: u64| {
        let address = addresses[number as usize % addresses.len()];
        format!("{{\"dip\":\"{address}\",\"dp\":80,\"rank\":{number}}}\n")
    };
    let lines: Vec<String> = (0..count).map(line).collect();
    let faults = network_faults(&network);
    let mut random = Random(seed);
    let (since, mut told) = (Instant::now(), BTreeMap::<&str, u64>::new());
    let mut run = start(&network, &output, lines.clone(), since);
    let mut footprints: Vec<(u64, u64, usize)> = Vec::new();
    let mut next = Instant::now() + PAUSE;
    let status = loop {
        std::thread::sleep(Duration::from_millis(500));
        let ended = run.child.try_wait().unwrap();
        if let Some(status) = ended {
            run.feeder.join().unwrap();
            if status.success() {
                break status;
            }
            // Killed or stopped: it goes on.
            run = start(&network, &output, lines.clone(), since);
            continue;
        }
        // What a run needs is there after its first seconds.
        if run.began.elapsed() > Duration::from_secs(5)
            && let Some((memory, descriptors)) = footprint(run.child.id())
        {
            footprints.push((since.elapsed().as_secs(), memory, descriptors));
        }
        if Instant::now() < next || since.elapsed() + PAUSE > Duration::from_secs(minutes * 60) {
            continue;
        }
        next = Instant::now() + PAUSE;
        let fault = match random.below(8) {
            0 => {
                run.child.kill().unwrap();
                let mut said = String::new();
                // To its end, which is the keeper's.
                run.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
                "SIGKILL"
            }
            1 => {
                signal(&run.child, Signal::TERM);
                "SIGTERM"
            }
            2 => {
                signal(&run.child, Signal::STOP);
                std::thread::sleep(Duration::from_millis(800));
                signal(&run.child, Signal::CONT);
                "SIGSTOP for 0.8 s"
            }
            3 => {
                let limit = |n: u32| format!("prlimit --pid {} --nofile={n}:4096", run.child.id());
                network.script(&limit(8), "");
                std::thread::sleep(Duration::from_millis(800));
                network.script(&limit(1024), "");
                "no descriptors for 0.8 s"
            }
            n => {
                let (name, fault, mend) = &faults[n as usize % faults.len()];
                network.script(fault, "").expect(0, &[]);
                std::thread::sleep(Duration::from_millis(800));
                network.script(mend, "").expect(0, &[]);
                match *name {
                    "loss" => "all packets lost for 0.8 s",
                    _ => "no address for 0.8 s",
                }
            }
        };
        *told.entry(fault).or_default() += 1;
    };
    assert!(status.success());
    let text = Command::new("zstd").args(["-dc", &output]).output().unwrap();
    let found = records(std::str::from_utf8(&text.stdout).unwrap());
    let mut ranks: Vec<u64> =
        found.iter().map(|record| record.rest["rank"].as_u64().unwrap()).collect();
    ranks.sort_unstable();
    assert!(ranks.iter().copied().eq(0..count), "{} records of {count}", ranks.len());
    let works = |record: &&pathspider_e2e::Record| {
        record.conditions.iter().any(|condition| condition == "ecn.connectivity.works")
    };
    let unsure = found.len() - found.iter().filter(works).count();
    assert_eq!(network.settings(), before);
    assert_eq!(fs::read_dir(state_dir()).unwrap().count(), 0, "journals");
    let third = footprints.len() / 3;
    let most = |part: &[(u64, u64, usize)]| {
        let memory = part.iter().map(|&(_, memory, _)| memory).max().unwrap();
        (memory, part.iter().map(|&(_, _, descriptors)| descriptors).max().unwrap())
    };
    let (early, late) = (most(&footprints[..third]), most(&footprints[footprints.len() - third..]));
    println!("{count} targets in {minutes} minutes (seed {seed}), each measured once");
    println!("{unsure} without a full verdict, for the faults:");
    told.iter().for_each(|(fault, times)| println!("  {times:>3} × {fault}"));
    println!("memory at most {} KiB in the first third, {} KiB in the last", early.0, late.0);
    println!("descriptors at most {} in the first third, {} in the last", early.1, late.1);
    assert!(late.0 < early.0 * 5 / 4 && late.1 < early.1 * 2 + 32);
}
