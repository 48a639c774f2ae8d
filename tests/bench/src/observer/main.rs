//! Compares the speed of `pathspider observe` on a large capture with other tools, in one run.
//!
//! The capture is made here, the same on every machine, unless another one is there. Each tool reads it
//! several times, the tools in turn, so that a busy moment of the machine meets all of them; the median
//! counts. Where others use the machine too, the processor's time says more than the clock's.

mod bare;
mod capture;
mod random;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;

/// Compare the observer's speed with a bare loop, tcpdump, nfpcapd and argus.
#[derive(Parser)]
struct Arguments {
    /// The program to measure
    #[arg(long, default_value = "target/release/pathspider")]
    pathspider: PathBuf,

    /// The capture: one of Ethernet in pcap's format; it is made, unless it is there
    #[arg(long, default_value = "target/bench-observer.pcap")]
    capture: PathBuf,

    /// Packets in the capture
    #[arg(long, default_value_t = 3_000_000)]
    packets: u64,

    /// How often each tool reads it
    #[arg(long, default_value_t = 5)]
    rounds: usize,

    /// Only make the capture
    #[arg(long)]
    only_make: bool,

    /// Only read the capture, with the bare loop: libpcap, slices of headers, one look-up
    #[arg(long)]
    only_bare: bool,
}

/// What others are compared with.
const BARE: &str = "bare loop";
const TCPDUMP: &str = "tcpdump -w /dev/null";
const NFPCAPD: &str = "nfpcapd";
const OBSERVE: &str = "observe basic tcp ecn";

const CORE: [&str; 3] = ["basic", "tcp", "ecn"];
const ALL: [&str; 16] = [
    "basic", "tcp", "ecn", "dscp", "mss", "tfo", "tcpopt", "udp", "icmp", "dns", "evil", "syn",
    "rtt", "accecn", "quic", "noop",
];

struct Tool {
    name: &'static str,
    command: Command,
    times: Vec<Taken>,
}

/// What one run took.
#[derive(Clone, Copy)]
struct Taken {
    clock: Duration,
    /// Of all threads, the kernel's work for them included.
    processor: Duration,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let path = &arguments.capture;
    if !path.exists() {
        capture::make(path, arguments.packets).context("cannot make the capture")?;
    }
    if arguments.only_make {
        return Ok(());
    }
    if arguments.only_bare {
        return bare::run(path);
    }
    let packets = capture::count(path)?;
    let mut tools = tools(&arguments)?;
    for _ in 0..arguments.rounds {
        for tool in &mut tools {
            tool.times.push(time(&mut tool.command).with_context(|| tool.name)?);
        }
    }
    print(packets, &tools);
    Ok(())
}

fn tools(arguments: &Arguments) -> Result<Vec<Tool>> {
    let capture = arguments.capture.as_path();
    let folder = std::env::temp_dir().join(format!("bench-observer-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let ours = |chains: &[&str]| {
        let mut command = Command::new(&arguments.pathspider);
        command.args(["observe", "--output", "/dev/null", "-i"]).arg(capture).args(chains);
        command
    };
    let other = |program: &str, before: &[&str], after: &[&str]| {
        let mut command = Command::new(program);
        command.args(before).arg(capture).args(after);
        command
    };
    let folder = folder.to_string_lossy();
    let mut bare = Command::new(std::env::current_exe()?);
    bare.args(["--only-bare", "--capture"]).arg(capture);
    let mut tools = vec![
        tool(BARE, bare),
        tool(TCPDUMP, other("tcpdump", &["-r"], &["-w", "/dev/null"])),
        // Its option for the folder to write to was renamed; the first that works counts.
        tool(NFPCAPD, other("nfpcapd", &["-r"], &["-w", &folder])),
        tool(NFPCAPD, other("nfpcapd", &["-r"], &["-l", &folder])),
        tool("argus", other("argus", &["-r"], &["-w", "/dev/null"])),
        tool(OBSERVE, ours(&CORE)),
        tool("observe, all chains", ours(&ALL)),
    ];
    // Tools that are absent, or of another version with other options, are left out.
    tools.retain_mut(|tool| time(&mut tool.command).is_ok());
    tools.dedup_by_key(|tool| tool.name);
    ensure!(tools.iter().any(|t| t.name.starts_with("observe")), "pathspider is not there");
    Ok(tools)
}

fn tool(name: &'static str, command: Command) -> Tool {
    Tool { name, command, times: Vec::new() }
}

fn time(command: &mut Command) -> Result<Taken> {
    let (begun, before) = (Instant::now(), of_children()?);
    let status =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    let clock = begun.elapsed();
    ensure!(status.success(), "{status}");
    Ok(Taken { clock, processor: of_children()?.saturating_sub(before) })
}

/// The processor time of all programs that were started and have ended (`proc_pid_stat(5)`).
fn of_children() -> Result<Duration> {
    /// Of the numbers behind the program's name: its children's time, and the kernel's for them.
    const PLACES: [usize; 2] = [13, 14];
    const TICK: Duration = Duration::from_millis(10);
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, numbers) = stat.rsplit_once(')').context("/proc/self/stat says nothing")?;
    let numbers: Vec<&str> = numbers.split_whitespace().collect();
    let ticks = PLACES.map(|place| numbers.get(place).and_then(|ticks| ticks.parse::<u32>().ok()));
    Ok(TICK * ticks.into_iter().flatten().sum())
}

fn print(packets: u64, tools: &[Tool]) {
    println!("{packets} packets; medians of {} rounds\n", tools[0].times.len());
    table("by the clock", packets, tools, |taken| taken.clock);
    table("by processor time", packets, tools, |taken| taken.processor);
}

/// The tools' speeds, and the ratios of each to those that it is compared with.
fn table(title: &str, packets: u64, tools: &[Tool], of: impl Fn(&Taken) -> Duration) {
    let rate = |tool: &Tool| {
        let mut times: Vec<Duration> = tool.times.iter().map(&of).collect();
        times.sort_unstable();
        packets as f64 / times[times.len() / 2].as_secs_f64() / 1e6
    };
    let rates: Vec<f64> = tools.iter().map(rate).collect();
    let base = |name: &str| tools.iter().position(|tool| tool.name == name).map(|at| rates[at]);
    let bases = [BARE, TCPDUMP, NFPCAPD, OBSERVE].map(base);
    println!(
        "| {title} | million packets/s | of the bare loop | of tcpdump's copy | of nfpcapd | of three chains |"
    );
    println!("|---|---:|---:|---:|---:|---:|");
    for (tool, rate) in tools.iter().zip(&rates) {
        let ratios =
            bases.map(|base| base.map_or(String::new(), |base| format!("{:.2}", rate / base)));
        println!("| {} | {rate:.2} | {} |", tool.name, ratios.join(" | "));
    }
    println!();
}
