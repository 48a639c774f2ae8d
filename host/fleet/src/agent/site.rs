//! The machine of an agent: its limits, its files, and how it measures.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use pathspider_runtime::files;
use pathspider_runtime::text::{path as shown, visible};
use rustix::fs::{FlockOperation, flock};

use crate::campaign::{Campaign, Measure};
use crate::exit::Failure;
use crate::folder::{self, RunFolder, Unfit};
use crate::inspection::inspect;
use crate::measuring::{self, Files, Here, Running};
use crate::program::Program;
use crate::wire::{Outcome, Work};

/// Locked while the agent works.
const LOCK: &str = ".lock";

/// The word that tells this folder's agent from all others.
const WORD: &str = "word";

/// Where the campaigns' files are.
const CAMPAIGNS: &str = "campaigns";

/// Addresses and prefixes that a campaign never measures.
const BLOCKLIST: &str = "blocklist";

/// A run's result is whole: whether it had errors of single targets.
const ENDED: &str = "ended.json";

/// What a child says.
const SAID: &str = ".said";

/// What no campaign decides.
#[derive(Debug, Clone, Default)]
pub(crate) struct Limits {
    /// Connections a second at the most.
    pub(crate) max_rate: Option<f64>,
    /// The plugins that may be used; none: all.
    pub(crate) plugins: Vec<String>,
    /// Files of addresses and prefixes that are never measured.
    pub(crate) blocklists: Vec<PathBuf>,
    /// Whether special-purpose addresses are never measured.
    pub(crate) deny_special: bool,
}

impl Limits {
    /// A campaign as one of so many places measures it: with its share of the rate, and within these limits.
    /// The distances are kept as they are, for each place has turns of its own.
    pub(super) fn apply(&self, campaign: &Campaign, places: usize) -> Campaign {
        let mut ours = campaign.clone();
        let courtesy = &mut ours.courtesy;
        let share = courtesy.rate.map(|rate| rate / places.max(1) as f64);
        courtesy.rate = share.into_iter().chain(self.max_rate).reduce(f64::min);
        courtesy.blocklists.clone_from(&self.blocklists);
        courtesy.allow_special &= !self.deny_special;
        ours
    }
}

/// The machine of an agent.
pub(crate) struct Site<'a> {
    pub(crate) program: &'a Program,
    pub(crate) here: Here,
    pub(crate) limits: Limits,
    pub(crate) state: State,
}

impl Site<'_> {
    /// Whether this machine takes a measurement.
    ///
    /// # Errors
    ///
    /// Why not.
    pub(super) fn examine(&self, campaign: &Campaign, measure: &Measure) -> Result<(), String> {
        let allowed = &self.limits.plugins;
        if !allowed.is_empty() && !allowed.contains(&measure.plugin) {
            return Err(format!("the plugin {} is not allowed here", visible(&measure.plugin, 64)));
        }
        let found = inspect(self.program, campaign, measure, &self.here);
        found.map(|_| ()).map_err(|found| found.refusal.message)
    }

    /// Starts a child that measures; `turns`: the word that says which turns it has.
    pub(super) fn start(
        &self,
        campaign: &Campaign,
        measure: &Measure,
        turns: Option<OsString>,
        folder: &WorkFolder,
    ) -> Result<Running, Failure> {
        let mut words = measuring::words(campaign, measure, &self.here);
        words.splice(1..1, turns);
        let said = folder.path.join(SAID);
        measuring::start(self.program, words, &folder.files(), measure.capture, Some(said))
    }
}

/// The folder of an agent's files, locked.
pub(crate) struct State {
    path: PathBuf,
    pub(crate) word: Vec<u8>,
    /// Kept open: the lock goes with it.
    _lock: File,
}

impl State {
    /// Locks the folder of an agent.
    ///
    /// # Errors
    ///
    /// Another agent has it, or the system refuses.
    pub(super) fn lock(path: PathBuf) -> Result<State, Unfit> {
        let fail = |error: io::Error| Unfit::Io(format!("cannot use {}: {error}", shown(&path)));
        folder::make(&path).map_err(fail)?;
        let lock = File::options().create(true).append(true).open(path.join(LOCK)).map_err(fail)?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(Unfit::Busy(format!("another agent uses {}", shown(&path))));
        }
        let file = path.join(WORD);
        let word = match fs::read(&file) {
            Ok(word) if !word.is_empty() => word,
            _ => {
                let mut octets = [0; 16];
                let random = File::open("/dev/urandom");
                random.and_then(|mut file| file.read_exact(&mut octets)).map_err(fail)?;
                let word = data_encoding::HEXLOWER.encode(&octets).into_bytes();
                files::replace(&file, &word, 0).map_err(fail)?;
                word
            }
        };
        Ok(State { path, word, _lock: lock })
    }

    fn campaign(&self, name: &str) -> PathBuf {
        self.path.join(CAMPAIGNS).join(name)
    }

    /// The folder of a piece of work of a campaign with this identity.
    pub(super) fn folder(&self, name: &str, id: &str, work: Work) -> WorkFolder {
        let Work { step, shard } = work;
        let step = format!("{}-{}", step.time + 1, step.measure + 1);
        let id = id.get(..16).unwrap_or(id);
        let path = self.campaign(name).join(id).join(step).join((shard + 1).to_string());
        WorkFolder { path }
    }

    /// Keeps the blocklist of a campaign in a file.
    pub(super) fn keep_blocklist(&self, name: &str, text: &str) -> Result<PathBuf, String> {
        let file = self.campaign(name).join(BLOCKLIST);
        match fs::read_to_string(&file) {
            Ok(there) if there == text => {}
            _ => files::replace(&file, text.as_bytes(), 0)
                .map_err(|error| format!("cannot write {}: {error}", shown(&file)))?,
        }
        Ok(file)
    }

    /// Deletes the files of a campaign.
    pub(super) fn forget(&self, name: &str) {
        // What is left is no harm.
        let _ = fs::remove_dir_all(self.campaign(name));
    }
}

/// The folder of a piece of work.
pub(super) struct WorkFolder {
    path: PathBuf,
}

impl WorkFolder {
    pub(super) fn run(&self) -> RunFolder {
        RunFolder::at(self.path.clone())
    }

    fn targets(&self) -> PathBuf {
        self.path.join("targets.ndjson.zst")
    }

    fn files(&self) -> Files {
        self.run().files(self.targets())
    }

    pub(super) fn has_targets(&self) -> bool {
        self.targets().is_file()
    }

    /// Keeps the targets of the shard.
    pub(super) fn keep_targets(&self, shard: &[u8]) -> Result<(), String> {
        let kept =
            fs::create_dir_all(&self.path).and_then(|()| files::replace(&self.targets(), shard, 0));
        kept.map_err(|error| self.unwritable(&error))
    }

    /// Whether a run of an agent that was killed goes on there.
    pub(super) fn is_busy(&self) -> bool {
        self.run().is_busy()
    }

    /// Whether the run ended with errors of single targets; `None` where it has not ended.
    pub(super) fn has_ended(&self) -> io::Result<Option<bool>> {
        match fs::read(self.path.join(ENDED)) {
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes down that the run has ended.
    pub(super) fn end(&self, has_errors: bool) -> Result<(), String> {
        let text = if has_errors { "true" } else { "false" };
        files::replace(&self.path.join(ENDED), text.as_bytes(), 0)
            .map_err(|error| self.unwritable(&error))
    }

    /// The result.
    pub(super) fn outcome(
        &self,
        of: (String, String),
        has_errors: bool,
    ) -> Result<Outcome, String> {
        let records = self.files().records;
        let metadata = pathspider_records::metadata::path_beside(&records);
        let read = |path: &Path| fs::read(path).map_err(|error| error.to_string());
        Ok(Outcome::new(of, read(&records)?, read(&metadata)?, has_errors))
    }

    /// The server has the result. It stays here too, until somebody has collected it; the rest goes.
    pub(super) fn is_sent(&self) {
        for file in [self.targets(), self.files().progress, self.path.join(SAID)] {
            // What is left is no harm.
            let _ = fs::remove_file(file);
        }
    }

    fn unwritable(&self, error: &io::Error) -> String {
        format!("cannot write to {}: {error}", shown(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_campaign_lifts_the_limits_of_an_agent() {
        let text = "name = 'x'\ntargets = 't'\nrate = 100\nper_target_rate = 4\nprefix_spacing = 2\n\
            allow_special = true\nblocklists = ['/b']\n[[measure]]\nplugin = 'ecn'\n";
        let campaign = Campaign::parse(text, Path::new("/")).unwrap();
        let ours = Limits::default().apply(&campaign, 4).courtesy;
        assert_eq!((ours.rate, ours.per_target_rate), (Some(25.0), Some(4.0)));
        assert_eq!(ours.prefix_spacing, campaign.courtesy.prefix_spacing);
        assert!(ours.allow_special && ours.blocklists.is_empty());
        let blocklists = vec![PathBuf::from("/ours")];
        let limits = Limits {
            max_rate: Some(10.0),
            deny_special: true,
            blocklists: blocklists.clone(),
            ..Limits::default()
        };
        let ours = limits.apply(&campaign, 4).courtesy;
        assert_eq!((ours.rate, ours.allow_special), (Some(10.0), false));
        assert_eq!(ours.blocklists, blocklists);
        assert_eq!(limits.apply(&campaign, 50).courtesy.rate, Some(2.0));
    }

    #[test]
    fn a_folder_is_one_agents() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::lock(folder.path().to_owned()).unwrap();
        assert!(matches!(State::lock(folder.path().to_owned()), Err(Unfit::Busy(_))));
        let word = state.word.clone();
        drop(state);
        let state = State::lock(folder.path().to_owned()).unwrap();
        assert_eq!(state.word, word, "it is the same agent after its end");
        let other = tempfile::tempdir().unwrap();
        assert_ne!(State::lock(other.path().to_owned()).unwrap().word, word);
    }

    #[test]
    fn a_result_is_kept_until_it_is_collected() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::lock(folder.path().to_owned()).unwrap();
        let step = crate::course::Step { time: 0, measure: 0 };
        let work = state.folder("a", "0123456789abcdef0123", Work { step, shard: 0 });
        assert_eq!(work.has_ended().unwrap(), None);
        work.keep_targets(b"x").unwrap();
        fs::write(work.files().records, "records").unwrap();
        fs::write(pathspider_records::metadata::path_beside(&work.files().records), "{}").unwrap();
        work.end(true).unwrap();
        work.is_sent();
        assert_eq!((work.has_ended().unwrap(), work.has_targets()), (Some(true), false));
        let of = ("a".to_owned(), "b".to_owned());
        assert_eq!(work.outcome(of, true).unwrap().records, b"records");
        // A campaign of the same name with other targets has other results.
        let other = state.folder("a", "f123456789abcdef0123", Work { step, shard: 0 });
        assert_eq!(other.has_ended().unwrap(), None);
        state.forget("a");
        assert_eq!(work.has_ended().unwrap(), None);
    }
}
