//! Owns the comparison of truth and measurement: writes the jobs, runs pathspider at the vantage
//! point, reads its records, and sets what was found beside what was expected.

mod compare;
mod records;
mod suite;
mod table;
mod waiver;
mod workdir;

use std::fs::File;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Context, Error, Result};
use crate::net::{Finished, Namespace, Running};
use crate::truth::Truth;

pub use compare::{Comparison, Row, compare};
pub(crate) use records::write_jobs;
pub use records::{Record, read_records};
pub use suite::{Measured, Suite};
pub use table::render;
pub use waiver::plugin_waiver;
pub use workdir::WorkDir;

/// One job: a target and the path it lies behind.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The path's truth.
    pub truth: &'a Truth,
    /// Where to connect to.
    pub address: IpAddr,
    /// On which port.
    pub port: u16,
}

/// How pathspider is run.
#[derive(Clone, Debug)]
pub struct Measurement {
    /// The program.
    pub pathspider: PathBuf,
    /// The interface to capture on.
    pub interface: String,
    /// Jobs in flight.
    pub workers: usize,
    /// The plugin.
    pub plugin: String,
    /// The plugin's own arguments.
    pub arguments: Vec<String>,
}

/// What a run of pathspider left.
#[derive(Debug)]
pub struct Run {
    /// Its records, in the order written.
    pub records: Vec<Record>,
    /// How it ended, how long it took and what it used.
    pub finished: Finished,
}

impl Measurement {
    /// The arguments after the program's name.
    pub fn command_line(&self, input: &str, output: &str) -> Vec<String> {
        let workers = self.workers.to_string();
        // The lab's addresses are for private use.
        let fixed = ["measure", "-i", &self.interface, "-w", &workers, "--allow-special"];
        fixed
            .into_iter()
            .chain(["--input", input, "--output", output, &self.plugin])
            .map(ToString::to_string)
            .chain(self.arguments.iter().cloned())
            .collect()
    }

    /// Runs it on `targets` inside `vantage`.
    ///
    /// # Errors
    /// When it cannot be started, fails, or writes something that is not a record.
    pub fn run<'a>(
        &self,
        vantage: &Namespace,
        targets: impl IntoIterator<Item = Target<'a>>,
    ) -> Result<Run> {
        let directory = WorkDir::new()?;
        let (input, output) = (directory.file("jobs.ndjson"), directory.file("out.ndjson"));
        let jobs = targets.into_iter().map(|t| (t.address, Some(t.port), t.truth));
        write_jobs(&input, jobs)?;
        let program = self.program()?;
        let mut command = Command::new(&program);
        command
            .args(plugin_waiver(&program))
            .args(self.command_line(&input.to_string_lossy(), &output.to_string_lossy()));
        // What it says is of interest only when it fails: the table says the rest.
        let said = directory.file("stderr");
        let file = File::create(&said).context(|| format!("write {}", said.display()))?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
        vantage.place(&mut command);
        let finished = Running::start(&mut command)?.finish()?;
        if !finished.status.success() {
            let shown = self.command_line("jobs.ndjson", "out.ndjson").join(" ");
            let said = std::fs::read(&said).unwrap_or_default();
            return Err(Error::Tool {
                command: format!("{} {shown}", self.pathspider.display()),
                status: finished.status.to_string(),
                message: String::from_utf8_lossy(&said).trim().to_string(),
            });
        }
        Ok(Run { records: read_records(&output)?, finished })
    }

    /// The program's full path, so that a message can say early that it is not there.
    fn program(&self) -> Result<PathBuf> {
        std::fs::canonicalize(&self.pathspider)
            .context(|| format!("find pathspider at {}", self.pathspider.display()))
    }
}

/// Where pathspider is when nobody says: beside this program, as a build of the whole leaves it.
pub fn default_pathspider() -> PathBuf {
    std::env::current_exe()
        .ok()
        .and_then(|lab| lab.parent().map(|directory| directory.join("pathspider")))
        .filter(|path| path.exists())
        .unwrap_or_else(|| Path::new("target/release/pathspider").to_path_buf())
}
