//! What an author of a measurement implements.

use std::any::Any;

use crate::Record;
use crate::attempt::Attempt;
use crate::conclusion::Conclusion;
use crate::condition::Condition;
use crate::configuration::{ConfigId, Configuration};
use crate::connect::Connect;
use crate::error::Result;
use crate::flows::{Flow, Flows};
use crate::host::Host;
use crate::info::{ChainName, Info};
use crate::location::Location;
use crate::options::{OptionValues, Options};
use crate::outcome::Outcome;
use crate::system::System;

/// A measurement: which configurations to try on each target, and what to conclude.
///
/// One trait serves PATHspider's four models. A *synchronised* measurement overrides
/// [`configure`](Measurement::configure), for settings that only the whole system has. A
/// *desynchronised* one returns a different [`Connect`] per configuration. A *single* one has one
/// configuration. A *forging* one returns [`Connect::packets`].
///
/// Six functions have to be written: `info`, `new`, `configurations`, `chains`, `connect` and
/// `combine`. The others have a default that most measurements keep.
///
/// # Threads
///
/// The host makes one object per run and calls it from several threads at once:
/// `configurations`, `configure` and `chains` on the engine's thread; `pre_connect`
/// and `connect` on the engine's thread too, or on a worker's where [`Info::blocking`] was
/// declared; `post_connect`, `merge`, `combine` and `rows` on the merger's; `finish` on one of its
/// own. For one job the calls come in the order in which they are listed here.
///
/// # Defaults cost nothing
///
/// The default of a function that is called for each job says to the host that it is the default. The
/// host then does the same by itself, and does not call that function again in this run.
pub trait Measurement: Send + Sync + Sized + 'static {
    /// The measurement's name, and what it can conclude. Called without an object, also when the
    /// host only lists plugins: it must do nothing else.
    fn info() -> Info;

    /// The options of its command line.
    fn options() -> Options {
        Options::none()
    }

    /// Both, for those who may fail to say it: what makes plugins of code in other languages.
    #[doc(hidden)]
    fn describe() -> Result<(Info, Options)> {
        Ok((Self::info(), Self::options()))
    }

    /// Makes the measurement of one run, with options that were checked against
    /// [`options`](Measurement::options).
    fn new(options: &OptionValues, host: Host) -> Result<Self>;

    /// Its configurations, each in its place; the first is the baseline.
    fn configurations(&self) -> Vec<Configuration>;

    /// The observer chains whose fields it reads: the host's own
    /// ([`chains`](crate::chains)), or any loaded plugin's (`plugin.chain` where two have the same
    /// name). Without any, no flow is expected.
    fn chains(&self) -> Vec<ChainName>;

    /// Brings the system into a configuration. Called before the first connection of that
    /// configuration, and again at each change to it; never two at once. An error ends the run.
    fn configure(&self, config: ConfigId, system: &mut System<'_>) -> Result<()> {
        let _ = (config, system);
        Ok(())
    }

    /// Prepares what all of a job's connections need; once per job. The attempt is the first one, of
    /// the baseline.
    fn pre_connect(&self, attempt: &Attempt<'_>) -> Result<Prepared> {
        attempt.leave_to_host();
        Ok(Prepared::default())
    }

    /// Says which connection to make, or makes it (see [`Info::blocking`]).
    fn connect(&self, attempt: &Attempt<'_>) -> Result<Connect>;

    /// Turns a connection's end into its record; not synchronised with `configure`.
    fn post_connect(&self, attempt: &Attempt<'_>, outcome: Outcome) -> Result<Record> {
        attempt.leave_to_host();
        Ok(outcome.into_record())
    }

    /// Joins a connection's record with its flow. What comes of it stands in the flow results, and is
    /// what [`Flow::outcome`] has in the functions below. By default the host makes the union of the
    /// two where it writes flow results; in it the capture's word counts, where it is not null.
    fn merge(&self, attempt: &Attempt<'_>, flow: Flow<'_>, result: Record) -> Result<Record> {
        let _ = flow;
        attempt.leave_to_host();
        Ok(result)
    }

    /// Concludes from all of a job's connections.
    ///
    /// Only conditions that [`info`](Measurement::info) declares may be given, and none that the flows
    /// do not prove.
    fn combine(&self, flows: &Flows<'_>) -> Result<Conclusion>;

    /// Keys that the job's record gets beside its own, after `combine`. One record is written for
    /// each element; for none, as by default, one without further keys.
    fn rows(&self, flows: &Flows<'_>) -> Result<Vec<Record>> {
        flows.leave_to_host();
        Ok(Vec::new())
    }

    /// Concludes from where on the path a configuration's packets were harmed. Called once for each
    /// configuration of a job that was located, after `combine`, and only where a user asks for that
    /// (`--locate`).
    ///
    /// The host itself gives conditions that say where (`ecn.location.changed:ecn:4`), so this is for
    /// what only the measurement can say, such as what a change means. Names of such conditions have the
    /// word `location` before their last one, by which they are kept where conclusions are drawn again.
    fn located(&self, flows: &Flows<'_>, location: &Location) -> Result<Vec<Condition>> {
        let _ = location;
        flows.leave_to_host();
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
    pub(crate) fn get<T: Any>(&self) -> Option<&T> {
        self.0.as_deref()?.downcast_ref()
    }
}
