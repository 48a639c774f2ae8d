//! Owns a run of pathspider: its command line, its jobs and records in a folder of their own, and
//! what it used.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::records::{Record, records, write_jobs};
use super::{Target, WorkDir, plugin_waiver};
use crate::error::{Context, Error, Result};
use crate::net::{Finished, Namespace, Running};

/// How pathspider is run.
#[derive(Clone, Debug)]
pub struct Measurement {
    /// The program.
    pub pathspider: PathBuf,
    /// The interface to capture on.
    pub interface: String,
    /// Jobs in flight.
    pub workers: usize,
    /// More options of `measure`.
    pub options: Vec<String>,
    /// The plugin.
    pub plugin: String,
    /// The plugin's own arguments.
    pub arguments: Vec<String>,
    /// Whether what it concluded is drawn again from its records and packets, and compared.
    pub rejudge: bool,
}

/// What a run of pathspider left.
#[derive(Debug)]
pub struct Run {
    /// Its records, in the order written.
    pub records: Vec<Record>,
    /// How it ended, how long it took and what it used.
    pub finished: Finished,
}

/// A run that has begun.
#[derive(Debug)]
pub struct Started {
    running: Running,
    directory: WorkDir,
    shown: String,
}

/// A run that has succeeded, and its records, which are gone when this is dropped.
#[derive(Debug)]
pub struct Ended {
    /// How it ended, how long it took and what it used.
    pub finished: Finished,
    directory: WorkDir,
}

const OUTPUT: &str = "out.ndjson";
const CAPTURE: &str = "out.pcap";

impl Measurement {
    /// The arguments after the program's name.
    pub fn command_line(&self, input: &str, output: &str) -> Vec<String> {
        let workers = self.workers.to_string();
        // The lab's addresses are for private use.
        let fixed = ["measure", "-i", &self.interface, "-w", &workers, "--allow-special"];
        fixed
            .into_iter()
            .chain(["--input", input, "--output", output])
            .chain(self.options.iter().map(String::as_str))
            .chain([&*self.plugin])
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
        let ended = self.start(vantage, targets)?.finish()?;
        if self.rejudge {
            ended.rejudge(&self.program()?)?;
        }
        Ok(Run { records: ended.records()?.collect::<Result<_>>()?, finished: ended.finished })
    }

    /// Starts it on `targets` inside `vantage`; it reads them from standard input. It ends with the
    /// calling thread.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start<'a>(
        &self,
        vantage: &Namespace,
        targets: impl IntoIterator<Item = Target<'a>>,
    ) -> Result<Started> {
        let directory = WorkDir::new()?;
        let (input, output) = (directory.file("jobs.ndjson"), directory.file(OUTPUT));
        let jobs = targets.into_iter().map(|t| (t.address, t.port, t.truth));
        write_jobs(&input, jobs)?;
        let program = self.program()?;
        let mut command = Command::new(&program);
        command
            .args(plugin_waiver(&program))
            .args(self.command_line("-", &output.to_string_lossy()));
        if self.rejudge {
            command.arg("--output-flows").arg("--save-pcap").arg(directory.file(CAPTURE));
        }
        // What it says is of interest only when it fails: the table says the rest.
        let said = directory.file("stderr");
        let said = File::create(&said).context(|| format!("write {}", said.display()))?;
        let input = File::open(&input).context(|| format!("read {}", input.display()))?;
        command.stdin(input).stdout(Stdio::null()).stderr(said);
        vantage.place(&mut command);
        let shown = self.command_line("jobs.ndjson", OUTPUT).join(" ");
        let shown = format!("{} {shown}", self.pathspider.display());
        Ok(Started { running: Running::start(&mut command)?, directory, shown })
    }

    /// The program's full path, so that a message can say early that it is not there.
    fn program(&self) -> Result<PathBuf> {
        std::fs::canonicalize(&self.pathspider)
            .context(|| format!("find pathspider at {}", self.pathspider.display()))
    }
}

impl Started {
    /// The number of the process.
    pub fn process(&mut self) -> u32 {
        self.running.child().id()
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// When it fails.
    pub fn finish(self) -> Result<Ended> {
        let Self { running, directory, shown } = self;
        let finished = running.finish()?;
        if !finished.status.success() {
            let said = std::fs::read(directory.file("stderr")).unwrap_or_default();
            return Err(Error::Tool {
                command: shown,
                status: finished.status.to_string(),
                message: String::from_utf8_lossy(&said).trim().to_string(),
            });
        }
        Ok(Ended { finished, directory })
    }
}

impl Ended {
    /// Has pathspider conclude again from the records and the packets.
    ///
    /// # Errors
    /// When it fails, or concludes something else than in the run.
    pub fn rejudge(&self, program: &Path) -> Result<()> {
        let mut command = Command::new(program);
        command.args(plugin_waiver(program)).args(["rejudge", "--changed"]);
        command.arg("--records").arg(self.directory.file(OUTPUT));
        command.arg("--pcap").arg(self.directory.file(CAPTURE));
        let output = command.stdin(Stdio::null()).output();
        let output = output.context(|| format!("run {}", program.display()))?;
        if output.status.success() && output.stdout.is_empty() {
            return Ok(());
        }
        let said = [&output.stderr[..], &output.stdout].concat();
        Err(Error::Tool {
            command: format!("{} rejudge --changed", program.display()),
            status: output.status.to_string(),
            message: String::from_utf8_lossy(&said).trim().to_string(),
        })
    }

    /// Its records one by one, in the order written.
    ///
    /// # Errors
    /// When they cannot be read; each that is none is an error of its own.
    pub fn records(&self) -> Result<impl Iterator<Item = Result<Record>>> {
        records(&self.directory.file(OUTPUT))
    }
}
