//! Compares the speed of `pathspider observe` on a large capture with other tools, in one run.
//!
//! The capture is made here, the same on every machine. Each tool reads it several times, the
//! tools in turn, so that a busy moment of the machine meets all of them; the median counts.

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

    /// Where the capture is made, unless it is there
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

/// The name of the bare loop.
const BARE: &str = "bare loop";

const CORE: [&str; 3] = ["basic", "tcp", "ecn"];
const ALL: [&str; 16] = [
    "basic", "tcp", "ecn", "dscp", "mss", "tfo", "tcpopt", "udp", "icmp", "dns", "evil", "syn",
    "rtt", "accecn", "quic", "noop",
];

struct Tool {
    name: &'static str,
    command: Command,
    times: Vec<Duration>,
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
    print(packets, &mut tools);
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
        tool("tcpdump -w /dev/null", other("tcpdump", &["-r"], &["-w", "/dev/null"])),
        // Its option for the folder to write to was renamed; the first that works counts.
        tool("nfpcapd", other("nfpcapd", &["-r"], &["-w", &folder])),
        tool("nfpcapd", other("nfpcapd", &["-r"], &["-l", &folder])),
        tool("argus", other("argus", &["-r"], &["-w", "/dev/null"])),
        tool("observe basic tcp ecn", ours(&CORE)),
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

fn time(command: &mut Command) -> Result<Duration> {
    let begun = Instant::now();
    let status =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    let taken = begun.elapsed();
    ensure!(status.success(), "{status}");
    Ok(taken)
}

fn print(packets: u64, tools: &mut [Tool]) {
    let rate = |tool: &mut Tool| {
        tool.times.sort_unstable();
        packets as f64 / tool.times[tool.times.len() / 2].as_secs_f64() / 1e6
    };
    let rates: Vec<f64> = tools.iter_mut().map(rate).collect();
    let base =
        |name: &str| tools.iter().position(|tool| tool.name.starts_with(name)).map(|at| rates[at]);
    let bases = [base(BARE), base("tcpdump")];
    println!("{packets} packets; medians of {} rounds\n", tools[0].times.len());
    println!(
        "| tool | million packets/s | of the bare loop | of tcpdump's copy |\n|---|---:|---:|---:|"
    );
    for (tool, rate) in tools.iter().zip(&rates) {
        let [bare, copy] =
            bases.map(|base| base.map_or(String::new(), |base| format!("{:.2}", rate / base)));
        println!("| {} | {rate:.2} | {bare} | {copy} |", tool.name);
    }
}
