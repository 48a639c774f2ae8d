//! A run of `pathspider measure`: its words, and the child.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};

use clap::Args;
use pathspider_runtime::files;
use rustix::process::{Pid, Signal, kill_process};

use crate::campaign::{Campaign, Measure};
use crate::exit::{Exit, Failure};
use crate::program::{Program, message};
use crate::stopping::Stopping;

/// What a run reads and writes.
pub(crate) struct Files {
    pub(crate) targets: PathBuf,
    pub(crate) records: PathBuf,
    pub(crate) capture: PathBuf,
    /// Where it says each second how far it is.
    pub(crate) progress: PathBuf,
}

/// Where this machine measures from: what no campaign says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Here {
    pub(crate) interface: Option<String>,
    pub(crate) vantage: Option<String>,
    /// How targets are asked that respond.
    pub(crate) responders: Responders,
}

/// The far ends of one's own: their key is this machine's, and so is the word for their port.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Responders {
    /// Ask targets whose line says `"responder": true` which packets came to them; this file has the key
    #[arg(long, value_name = "FILE")]
    responder_key: Option<PathBuf>,

    /// The UDP port at which these targets are asked [default: 7117]
    #[arg(long, value_name = "PORT", requires = "responder_key",
          value_parser = clap::value_parser!(u16).range(1..))]
    responder_port: Option<u16>,
}

/// How a child ended that could be started.
#[derive(Debug, PartialEq)]
pub(crate) enum Ended {
    /// With one of our statuses.
    With(Exit),
    /// By a signal, or with another status, which these words say.
    Otherwise(String),
}

/// The words of a measurement that decide what is in the records, but for what it reads and writes.
pub(crate) fn words(campaign: &Campaign, measure: &Measure, here: &Here) -> Vec<OsString> {
    let courtesy = &campaign.courtesy;
    let mut words = Words(vec!["measure".into()]);
    words.value("interface", here.interface.as_ref());
    words.value("vantage", here.vantage.as_ref());
    if let Some(file) = &here.responders.responder_key {
        words.path("responder-key", &files::absolute(file));
    }
    words.value("responder-port", here.responders.responder_port);
    words.value("workers", courtesy.workers);
    words.value("rate", courtesy.rate);
    words.value("per-target-rate", courtesy.per_target_rate);
    words.value("prefix-spacing", courtesy.prefix_spacing);
    for file in &courtesy.blocklists {
        words.path("blocklist", file);
    }
    words.flag("allow-special", courtesy.allow_special);
    words.flag("resolve", campaign.resolve);
    words.value("owner", campaign.owner.as_ref());
    words.value("contact", campaign.contact.as_ref());
    for (name, value) in &campaign.tags {
        words.value("tag", Some(format!("{name}={value}")));
    }
    words.value("repeat", measure.rounds);
    words.value("repeat-interval", measure.round_interval);
    words.value("confirm", measure.confirm);
    words.flag("output-flows", measure.flows);
    for chain in &measure.chains {
        words.value("chain", Some(chain));
    }
    words.0.push(measure.plugin.clone().into());
    words.0.extend(measure.options.iter().filter_map(|option| option.word().map(OsString::from)));
    words.0
}

/// Words of a command line.
struct Words(Vec<OsString>);

impl Words {
    fn value(&mut self, name: &str, value: Option<impl std::fmt::Display>) {
        self.0.extend(value.map(|value| format!("--{name}={value}").into()));
    }

    fn path(&mut self, name: &str, path: &Path) {
        let mut word = OsString::from(format!("--{name}="));
        word.push(path);
        self.0.push(word);
    }

    fn flag(&mut self, name: &str, is_given: bool) {
        self.0.extend(is_given.then(|| format!("--{name}").into()));
    }
}

/// A child that measures.
pub(crate) struct Running {
    child: Child,
    /// Where what it says is kept.
    said: Option<PathBuf>,
}

/// Measures, to the end or until a signal comes. What was measured before is not measured again.
///
/// # Errors
///
/// The program cannot be started.
pub(crate) fn measure(
    program: &Program,
    words: Vec<OsString>,
    files: &Files,
    with_capture: bool,
    stopping: &Stopping,
) -> Result<Ended, Failure> {
    let mut running = start(program, words, files, with_capture, None)?;
    let passing = stopping.pass_to(&running.child).map_err(failed)?;
    let ended = running.wait().map_err(failed)?;
    drop(passing);
    Ok(ended)
}

/// Begins to measure. What the child says goes into the file `said`, where there is one.
///
/// # Errors
///
/// The program cannot be started.
pub(crate) fn start(
    program: &Program,
    words: Vec<OsString>,
    files: &Files,
    with_capture: bool,
    said: Option<PathBuf>,
) -> Result<Running, Failure> {
    let mut all = Words(Vec::new());
    all.path("input", &files.targets);
    all.path("output", &files.records);
    all.flag("resume", true);
    all.path("status-file", &files.progress);
    if with_capture {
        all.path("save-pcap", &files.capture);
    }
    // Were this process killed, nobody would stop it.
    all.value("parent", Some(std::process::id()));
    let (command, rest) = words.split_at(1.min(words.len()));
    let stderr = match &said {
        None => Stdio::inherit(),
        Some(path) => File::create(path)
            .map_err(|error| Failure::new(Exit::NoOutput, format!("cannot write: {error}")))?
            .into(),
    };
    let child = program
        .command()
        .args(command)
        .args(all.0)
        .args(rest)
        .stdin(Stdio::null())
        // It says nothing there: records go to the file.
        .stdout(Stdio::null())
        .stderr(stderr)
        // A signal of the terminal comes once, by us.
        .process_group(0)
        .spawn()
        .map_err(|error| program.missing(&error))?;
    Ok(Running { child, said })
}

impl Running {
    /// Whether it has ended.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(crate) fn look(&mut self) -> io::Result<Option<Ended>> {
        Ok(self.child.try_wait()?.map(of_status))
    }

    /// The child itself.
    pub(crate) fn child(&self) -> &Child {
        &self.child
    }

    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(crate) fn wait(&mut self) -> io::Result<Ended> {
        self.child.wait().map(of_status)
    }

    /// Has it begin nothing more, and finish what is in flight.
    pub(crate) fn finish(&self) {
        // It has not been waited for, so the number is still its own. It may have ended just now.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
    }

    /// Why it ended so, in its own words where it has said some.
    pub(crate) fn why(&self, ended: &Ended) -> String {
        let said = self.said.as_ref().and_then(|path| fs::read(path).ok()).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        match ended {
            Ended::With(exit) if said.trim().is_empty() => {
                format!("it ended with status {}", *exit as i32)
            }
            Ended::With(_) => message(&said),
            Ended::Otherwise(words) => format!("it {words}: {}", message(&said)),
        }
    }
}

fn of_status(status: ExitStatus) -> Ended {
    match (status.code().and_then(Exit::from_code), status.signal()) {
        (Some(exit), _) => Ended::With(exit),
        (None, Some(signal)) => Ended::Otherwise(format!("was ended by signal {signal}")),
        (None, None) => Ended::Otherwise(format!("ended with {status}")),
    }
}

fn failed(error: io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("cannot wait: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_campaign_is_words() {
        let text = "name = 'x'\ntargets = 't'\nrate = 10\nprefix_spacing = '500ms'\nworkers = 3\n\
            blocklists = ['/b']\nallow_special = true\ntags = {a = 'b c'}\n[[measure]]\n\
            plugin = 'ecn'\nconnect = 'tcp'\nrounds = 2\nflows = true\nchains = ['rtt']\n";
        let campaign = Campaign::parse(text, Path::new("/")).unwrap();
        let responders =
            Responders { responder_key: Some("/far.key".into()), responder_port: Some(7000) };
        let here = Here { interface: Some("eth0".to_owned()), vantage: None, responders };
        assert_eq!(
            words(&campaign, &campaign.measures[0], &here).join(" ".as_ref()),
            "measure --interface=eth0 --responder-key=/far.key --responder-port=7000 --workers=3 --rate=10 --prefix-spacing=0.5 --blocklist=/b \
             --allow-special --tag=a=b c --repeat=2 --output-flows --chain=rtt ecn --connect=tcp"
        );
    }
}
