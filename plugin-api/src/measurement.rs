//! What an author of a measurement implements.

use std::any::Any;
use std::fmt;

use crate::Record;
use crate::condition::{Condition, ConditionInfo};
use crate::connect::Connect;
use crate::error::Result;
use crate::host::Host;
use crate::job::Job;
use crate::options::{OptionValues, Options};
use crate::outcome::Outcome;
use crate::record::FlowRecord;
use crate::system::System;

/// A measurement: which configurations to try on each target, and what to conclude.
///
/// One trait serves PATHspider's four models. A *synchronised* measurement overrides
/// [`configure`](Measurement::configure), for settings that only the whole system has. A
/// *desynchronised* one returns a different [`Connect`] per configuration. A *single* one has one
/// configuration. A *forging* one returns [`Connect::packets`].
///
/// # Threads
///
/// The host makes one object per run and calls it from several threads at once:
/// `configurations`, `configure`, `chains` and `default_port` on the engine's thread; `pre_connect`
/// and `connect` on the engine's thread too, or on a worker's where [`Info::blocking`] was
/// declared; `post_connect`, `merge`, `combine` and `rows` on the merger's; `finish` on one of its
/// own. For one job the calls come in the order in which they are listed here.
pub trait Measurement: Send + Sync + Sized + 'static {
    /// The measurement's name, and what it can conclude. Called without an object, also when the
    /// host only lists plugins: it must do nothing else.
    fn info() -> Info;

    /// The options of its command line.
    fn options() -> Options {
        Options::none()
    }

    /// Makes the measurement of one run, with options that were checked against
    /// [`options`](Measurement::options).
    fn new(options: &OptionValues, host: Host) -> Result<Self>;

    /// Its configurations; the first is the baseline.
    fn configurations(&self) -> Vec<Configuration>;

    /// The observer chains whose fields it reads: the host's own, or any loaded plugin's
    /// (`plugin.chain` where two have the same name). Without any, no flow is expected.
    fn chains(&self) -> Vec<ChainName>;

    /// The port of targets whose line has no `dp`.
    fn default_port(&self) -> u16 {
        80
    }

    /// Brings the system into a configuration. Called before the first connection of that
    /// configuration, and again at each change to it; never two at once. An error ends the run.
    fn configure(&self, config: ConfigId, system: &mut System<'_>) -> Result<()> {
        let _ = (config, system);
        Ok(())
    }

    /// Prepares what all of a job's connections need; once per job.
    fn pre_connect(&self, job: &Job) -> Result<Prepared> {
        let _ = job;
        Ok(Prepared::default())
    }

    /// Says which connection to make, or makes it (see [`Info::blocking`]).
    fn connect(&self, job: &Job, prepared: &Prepared, config: ConfigId) -> Result<Connect>;

    /// Turns a connection's end into its record; not synchronised with `configure`.
    fn post_connect(
        &self,
        job: &Job,
        outcome: Outcome,
        prepared: &Prepared,
        config: ConfigId,
    ) -> Result<Record> {
        let _ = (job, prepared, config);
        Ok(outcome.into_record())
    }

    /// Joins a connection's record with what the capture says of its flow; `None` when it was not
    /// seen. By default the union, in which the capture's word counts.
    fn merge(&self, flow: Option<FlowRecord>, result: Record) -> Result<Record> {
        let mut merged = result;
        if let Some(flow) = flow {
            merged.extend(flow);
        }
        Ok(merged)
    }

    /// Concludes from all of a job's merged records, in the order of the configurations.
    ///
    /// Each has `observed`, `config` and `spdr_state` set by the host. Only conditions that
    /// [`info`](Measurement::info) declares may be given, and none that the flows do not prove.
    fn combine(&self, job: &Job, flows: &[Record]) -> Result<Vec<Condition>>;

    /// Keys that the job's record gets beside its own, after `combine`. One record is written for
    /// each element; for none, as by default, one without further keys.
    fn rows(&self, job: &Job, flows: &[Record]) -> Result<Vec<Record>> {
        let _ = (job, flows);
        Ok(Vec::new())
    }

    /// Ends the run: the last call but `drop`, made once, when all records are written and the
    /// system's settings are back, also after a signal. Here a measurement joins its threads and
    /// writes what it kept to itself. The keys that it gives go into the run's metadata; an error is
    /// told, and counted as one of the plugin.
    fn finish(&self) -> Result<Record> {
        Ok(Record::new())
    }
}

/// A configuration's place in the list, 0 for the baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConfigId(u32);

impl ConfigId {
    /// The baseline, A.
    pub const BASELINE: ConfigId = ConfigId(0);

    /// The configuration at this place.
    pub const fn new(index: usize) -> ConfigId {
        ConfigId(if index > u32::MAX as usize { u32::MAX } else { index as u32 })
    }

    /// The place.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// How long a configuration of the system must hold for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hold {
    /// Until the connection's first packet has been sent. Enough for what the kernel decides then,
    /// such as ECN on the SYN; the next configuration does not wait for slow or dead targets.
    Initiation,
    /// Until the handshake is over, or will never be. For settings that the kernel reads again
    /// whenever it repeats a SYN, such as TCP's timestamps: a target that answers holds it for one
    /// round trip, a dead one for the connection's time-out.
    Handshake,
    /// Until the connection has ended.
    Completion,
}

/// One configuration of a measurement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// What a person calls it, such as `no ecn`.
    pub label: String,
    /// How long it must hold.
    pub hold: Hold,
}

impl Configuration {
    /// A configuration that must hold until each of its connections has ended.
    pub fn new(label: &str) -> Configuration {
        Configuration { label: label.into(), hold: Hold::Completion }
    }

    /// Says how long it must hold.
    pub fn hold(mut self, hold: Hold) -> Configuration {
        self.hold = hold;
        self
    }
}

/// The name of an observer chain, such as `tcp` or `acme.mychain`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ChainName(pub String);

impl From<&str> for ChainName {
    fn from(name: &str) -> ChainName {
        ChainName(name.to_owned())
    }
}

impl ChainName {
    /// Several names at once.
    pub fn list(names: &[&str]) -> Vec<ChainName> {
        names.iter().map(|&name| name.into()).collect()
    }
}

impl fmt::Display for ChainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who a measurement is, and what it can conclude.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// The name on command lines, and the first word of its conditions.
    pub name: String,
    /// One line on what it measures.
    pub description: String,
    /// The plugin's own version.
    pub version: String,
    /// Whom to ask about it: a mail address or a URL.
    pub contact: String,
    /// Whether `pre_connect` or `connect` block, and so need worker threads.
    pub blocking: bool,
    /// Whether a job may have a `domain` and no address.
    pub names: bool,
    /// Whether `configure` changes the machine's settings.
    pub changes_system: bool,
    /// Whether `connect` gives packets of its own making.
    pub forges: bool,
    /// Every condition it can give.
    pub conditions: Vec<ConditionInfo>,
}

impl Info {
    /// A measurement that concludes nothing yet.
    pub fn new(name: &str, version: &str, description: &str) -> Info {
        Info {
            name: name.into(),
            description: description.into(),
            version: version.into(),
            contact: String::new(),
            blocking: false,
            names: false,
            changes_system: false,
            forges: false,
            conditions: Vec::new(),
        }
    }

    /// Says whom to ask about it.
    pub fn contact(mut self, contact: &str) -> Info {
        self.contact = contact.into();
        self
    }

    /// Declares that `pre_connect` or `connect` block: the host calls them on worker threads.
    pub fn blocking(mut self) -> Info {
        self.blocking = true;
        self
    }

    /// Declares that a job may have a `domain` and no address; its
    /// [`target`](crate::Job::target) is then unspecified (`::`).
    pub fn takes_names(mut self) -> Info {
        self.names = true;
        self
    }

    /// Declares that `configure` changes the machine's settings through [`System`]: two such runs
    /// cannot share a network namespace, and the host keeps the privilege (`CAP_NET_ADMIN`). A
    /// plugin that did not declare it is refused each change.
    pub fn changes_system(mut self) -> Info {
        self.changes_system = true;
        self
    }

    /// Declares that `connect` gives [`Connect::packets`]: the host opens what it sends them with
    /// before the run. A plugin that did not declare it cannot send any.
    pub fn forges(mut self) -> Info {
        self.forges = true;
        self
    }

    /// Declares a condition; a word in angle brackets stands for any word or value.
    pub fn condition(mut self, name: &str, meaning: &str) -> Info {
        self.conditions.push(ConditionInfo { name: name.into(), meaning: meaning.into() });
        self
    }

    /// Declares the four conditions of [`Condition::connectivity`].
    pub fn connectivity(self, prefix: &str) -> Info {
        [
            (
                "works",
                "baseline and experiment worked: they connected, and got a response if they asked",
            ),
            ("broken", "the baseline worked, the experiment did not"),
            ("offline", "neither worked"),
            ("transient", "the experiment worked, the baseline did not"),
        ]
        .iter()
        .fold(self, |info, (word, meaning)| {
            info.condition(&format!("{prefix}.connectivity.{word}"), meaning)
        })
    }

    /// Declares the two conditions of [`Condition::online`].
    pub fn online(self, prefix: &str) -> Info {
        self.condition(&format!("{prefix}.connectivity.online"), "the connection succeeded")
            .condition(&format!("{prefix}.connectivity.offline"), "it did not")
    }
}

/// What `pre_connect` found for a job, handed to its later calls.
///
/// Anything of the plugin's own types; the host only keeps it and gives it back.
#[derive(Default)]
pub struct Prepared(pub(crate) Option<Box<dyn Any + Send + Sync>>);

impl Prepared {
    /// Keeps a value for the job.
    pub fn new<T: Any + Send + Sync>(value: T) -> Prepared {
        Prepared(Some(Box::new(value)))
    }

    /// The value kept, if it is of this type.
    pub fn get<T: Any>(&self) -> Option<&T> {
        self.0.as_deref()?.downcast_ref()
    }
}
