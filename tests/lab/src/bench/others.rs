//! Owns the programs of others that take part where they are installed: how each is run, and how its
//! answers are counted.

use std::collections::HashSet;
use std::fmt::Write;
use std::fs::{self, File};
use std::io::Read;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::report::Run;
use super::watch::watched;
use crate::error::{Context, Error, Result};
use crate::kernel::{INTERFACE, KernelLab};
use crate::net::Running;
use crate::runner::{Target, WorkDir, write_jobs};

/// A program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Other {
    /// PATHspider 2.x.
    Pathspider,
    Masscan,
    Zmap,
}

/// Packets a second that the scanners are asked for where they are to do what they can.
const RATE: f64 = 1e7;
/// Seconds that the scanners wait for late answers.
const WAIT: &str = "2";
/// Seconds after which a program is ended.
const PATIENCE: &str = "300";

impl Other {
    fn name(self) -> &'static str {
        match self {
            Other::Pathspider => "PATHspider",
            Other::Masscan => "masscan",
            Other::Zmap => "zmap",
        }
    }

    pub(super) fn is_installed(self) -> bool {
        self.program().is_some()
    }

    fn program(self) -> Option<PathBuf> {
        match self {
            // This project installs a link of that name; PATHspider's is a script.
            Other::Pathspider => {
                find("pspdr").filter(|path| is_script(path)).and_then(|_| find("python3"))
            }
            Other::Masscan => find("masscan"),
            Other::Zmap => find("zmap"),
        }
    }

    /// Its arguments, in words without blanks; of a scanner, for this many packets a second.
    fn arguments(self, lab: &KernelLab, rate: f64) -> Result<String> {
        Ok(match self {
            Other::Pathspider => {
                format!("{LAUNCHER} measure -i {INTERFACE} -w 100 ecn --connect tcp")
            }
            Other::Masscan => format!(
                "-e {INTERFACE} -p 80 --rate {rate:.0} --wait {WAIT} -iL {TARGETS} -oL {ANSWERS}"
            ),
            // Its own settings leave out private addresses; and it waits for ever when it asks this
            // kernel for the router.
            Other::Zmap => format!(
                "-C /dev/null -b /dev/null -i {INTERFACE} -G {} -p 80 -r {rate:.0} -c {WAIT} -q \
                 --disable-syslog -w {TARGETS} -o {ANSWERS}",
                router(lab)?
            ),
        })
    }

    /// The word of a line of its output that names a target which answered.
    fn answer(self, line: &str) -> Option<&str> {
        match self {
            Other::Pathspider => line
                .contains("ecn.connectivity.works")
                .then_some(())
                .and_then(|()| line.split_once("\"dip\": \""))
                .and_then(|(_, rest)| rest.split('"').next()),
            Other::Masscan => line.strip_prefix("open tcp 80 ")?.split(' ').next(),
            Other::Zmap => line.starts_with(|first: char| first.is_ascii_digit()).then_some(line),
        }
    }
}

/// Starts PATHspider as its own script does, but for what it asks a service on the Internet, which
/// nobody reaches from here: its public addresses and their autonomous systems.
const LAUNCH: &str = "\
import sys
import pathspider.network as network
network.ipv4_address_public = network.ipv4_address
network.ipv6_address_public = network.ipv6_address
network.ipv4_asn = network.ipv6_asn = lambda interface: None
from pathspider.cmd.base import handle_args
handle_args(sys.argv)
";
const LAUNCHER: &str = "launch.py";

const TARGETS: &str = "targets";
const JOBS: &str = "jobs.ndjson";
const ANSWERS: &str = "answers";
const SAID: &str = "said";

/// Has a target send a packet to the vantage point.
fn packet_from(lab: &KernelLab, target: &Target<'_>) -> Option<()> {
    let address = (target.address, target.port?).into();
    let connect = || TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok();
    lab.vantage().enter(connect).ok()??;
    Some(())
}

/// The link-layer address of the vantage point's router.
fn router(lab: &KernelLab) -> Result<String> {
    let table = lab.vantage().enter(|| fs::read_to_string("/proc/thread-self/net/arp"))?;
    let table = table.context(|| "read the vantage point's neighbours")?;
    let line = table.lines().find(|line| line.ends_with(INTERFACE));
    let address = line.and_then(|line| line.split_whitespace().nth(3));
    address.map(ToString::to_string).ok_or_else(|| Error::invalid(INTERFACE, "no router is known"))
}

/// Runs it on `targets`, if it is installed: a scanner as fast as it can, or with this many packets a
/// second as pathspider sent.
pub(super) fn run_other(
    lab: &KernelLab,
    other: Other,
    targets: &[Target<'_>],
    rate: Option<f64>,
) -> Result<Run> {
    let name = match rate {
        Some(_) => format!("{} at pathspider's rate", other.name()),
        None => other.name().into(),
    };
    let Some(program) = other.program() else {
        return Ok(Run::missing(name, "not installed"));
    };
    let folder = WorkDir::new()?;
    write_jobs(&folder.file(JOBS), targets.iter().map(|t| (t.address, t.port, t.truth)))?;
    let list = targets.iter().fold(String::new(), |mut list, target| {
        let _ = writeln!(list, "{}", target.address);
        list
    });
    fs::write(folder.file(TARGETS), list).context(|| "write the list of targets")?;
    fs::write(folder.file(LAUNCHER), LAUNCH).context(|| "write PATHspider's launcher")?;
    let make = |name| File::create(folder.file(name)).context(|| format!("make the file {name}"));
    let jobs = File::open(folder.file(JOBS)).context(|| "read the jobs")?;

    // Some do not end when something is wrong.
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", PATIENCE]).arg(program);
    command.args(other.arguments(lab, rate.unwrap_or(RATE))?.split_whitespace());
    let output = if other == Other::Pathspider { make(ANSWERS)?.into() } else { Stdio::null() };
    command.stdin(jobs).stdout(output).stderr(make(SAID)?).current_dir(folder.path());
    lab.vantage().place(&mut command);
    let running = Running::start(&mut command)?;
    // masscan looks at its clock only when a packet has come.
    let stir = || targets.first().and_then(|target| packet_from(lab, target));
    let finished = match other {
        Other::Masscan => watched(Duration::from_secs(1), stir, || running.finish()).0?,
        _ => running.finish()?,
    };
    // PATHspider leaves its last configuration behind.
    lab.vantage().sysctl("net.ipv4.tcp_ecn", "2")?;

    if !finished.status.success() {
        let said = fs::read(folder.file(SAID)).unwrap_or_default();
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        let last = said.lines().last().unwrap_or("it says nothing");
        return Ok(Run::missing(name, format!("failed, {}: {last}", finished.status)));
    }
    let answers = fs::read_to_string(folder.file(ANSWERS)).context(|| "read the answers")?;
    let answered: HashSet<&str> = answers.lines().filter_map(|line| other.answer(line)).collect();
    Ok(Run {
        program: name,
        targets: targets.len() as u32,
        seconds: finished.elapsed.as_secs_f64(),
        cpu_seconds: Some(finished.cpu.as_secs_f64()),
        peak_memory: Some(finished.peak_memory),
        answered: Some(answered.len() as u32),
        ..Run::default()
    })
}

/// Where an installed program is. A user's PATH often lacks the directories for root.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn is_script(path: &Path) -> bool {
    let mut first = [0; 2];
    File::open(path).is_ok_and(|mut file| file.read_exact(&mut first).is_ok()) && first == *b"#!"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_found_in_each_programs_output() {
        let ours = "{\"dip\": \"10.1.0.1\", \"conditions\": [\"ecn.connectivity.works\"]}";
        assert_eq!(Other::Pathspider.answer(ours), Some("10.1.0.1"));
        assert_eq!(Other::Pathspider.answer("{\"dip\": \"10.1.0.1\", \"conditions\": []}"), None);
        assert_eq!(Other::Masscan.answer("open tcp 80 10.1.0.1 1790000000"), Some("10.1.0.1"));
        assert_eq!(Other::Masscan.answer("#masscan"), None);
        assert_eq!(Other::Zmap.answer("10.1.0.1"), Some("10.1.0.1"));
        assert_eq!(Other::Zmap.answer("saddr"), None);
    }
}
