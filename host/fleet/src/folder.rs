//! A campaign's folder: what is in it, whose it is, and which of its runs are over.
//!
//! ```text
//! DIR/campaign.json            what it is of, when it began, and with which targets
//! DIR/campaign.toml            the campaign's file, as it was when the campaign was started last
//! DIR/targets.ndjson.zst       the targets, as they were at the begin
//! DIR/PLACE/TIME/N-PLUGIN/     a run: records, metadata, perhaps a capture, and manifest.json when it is over
//! ```

mod manifest;
mod progress;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use pathspider_records::find::{CAMPAIGN, CAMPAIGN_FILE, MANIFEST, TARGETS};
use pathspider_runtime::files;
use pathspider_runtime::text::path as shown;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::campaign::{Campaign, Measure};
use crate::course::Step;
use crate::measuring::Files;
pub(crate) use manifest::{Manifest, lines, sum};
pub(crate) use progress::Progress;

/// The version of this layout.
const VERSION: u32 = 1;

/// The part of a folder that has the runs of a machine whose place has no name.
pub(crate) const NO_NAME: &str = "here";

/// Locked while the campaign goes on.
const LOCK: &str = ".lock";

/// The targets, until they are complete.
const NEW_TARGETS: &str = ".targets.ndjson.zst";

/// The records of a run, until they are complete.
const NEW_RECORDS: &str = ".records.ndjson.zst";

/// How often it is looked whether a lock is free.
const LOOK: Duration = Duration::from_millis(50);

/// Makes a folder where there is none.
pub(crate) fn make(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => io::Error::new(
            io::ErrorKind::NotADirectory,
            "it is there and is no folder; name a folder, or a new one",
        ),
        _ => error,
    })
}

/// What a folder is of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) version: u32,
    /// The campaign's name.
    pub(crate) name: String,
    /// The place that is measured from, where it has a name.
    pub(crate) vantage: Option<String>,
    /// When it began: RFC 3339.
    pub(crate) began: String,
    /// What decides what its records mean.
    pub(crate) recipe: BTreeMap<String, Value>,
    pub(crate) targets: Targets,
    /// The places whose results were collected; none where it was measured here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) collected: Vec<String>,
    /// Which campaign of a server it is, however often its name was used there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
}

impl State {
    /// The parts that the folder has.
    pub(crate) fn parts(&self) -> Vec<&str> {
        if self.collected.is_empty() {
            vec![self.vantage.as_deref().unwrap_or(NO_NAME)]
        } else {
            self.collected.iter().map(String::as_str).collect()
        }
    }
}

/// The targets of a campaign.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Targets {
    pub(crate) count: u64,
    pub(crate) sha256: String,
    /// Whether some lines of the files were no targets.
    pub(crate) has_bad_lines: bool,
}

/// Why a folder cannot be used.
#[derive(Debug)]
pub(crate) enum Unfit {
    /// It is another campaign's, or the campaign was changed.
    Other(String),
    /// It cannot be read or written.
    Io(String),
    /// The campaign goes on in another process.
    Busy(String),
}

/// A campaign's folder, locked: no other process changes it.
pub(crate) struct Folder {
    path: PathBuf,
    /// Kept open: the lock goes with it.
    _lock: File,
}

impl Folder {
    /// Locks a folder, which is made where it is not there.
    ///
    /// # Errors
    ///
    /// Another process has it, or the system refuses.
    pub(crate) fn lock(path: &Path) -> Result<Folder, Unfit> {
        let fail = |error: io::Error| Unfit::Io(format!("cannot use {}: {error}", shown(path)));
        make(path).map_err(fail)?;
        let strange = || {
            let names = fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.file_name()));
            let names: Vec<_> = names.collect::<io::Result<_>>()?;
            let is_ours = |name: &str| [CAMPAIGN, LOCK].contains(&name);
            let is_new = !names.iter().any(|name| is_ours(&name.to_string_lossy()));
            Ok(is_new.then(|| names.first().cloned()).flatten())
        };
        if let Some(name) = strange().map_err(fail)? {
            let name = shown(Path::new(&name));
            let message =
                format!("{} has {name} and is no campaign's folder: name a new one", shown(path));
            return Err(Unfit::Other(message));
        }
        let lock = File::options().create(true).append(true).open(path.join(LOCK)).map_err(fail)?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            let message = format!("the campaign in {} goes on in another process", shown(path));
            return Err(Unfit::Busy(message));
        }
        Ok(Folder { path: path.to_owned(), _lock: lock })
    }

    /// The campaign of the folder; `None` if none was begun in it.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is of another version.
    pub(crate) fn state(&self) -> Result<Option<State>, Unfit> {
        read_state(&self.path)
    }

    /// Whether it is of this campaign, from this place.
    ///
    /// # Errors
    ///
    /// It is not: what differs.
    pub(crate) fn check(
        &self,
        state: &State,
        campaign: &Campaign,
        vantage: Option<&str>,
    ) -> Result<(), Unfit> {
        let folder = shown(&self.path);
        if state.name != campaign.name {
            let message = format!(
                "{folder} is the folder of the campaign {:?}, and this one is {:?}: name another folder",
                state.name, campaign.name
            );
            return Err(Unfit::Other(message));
        }
        let recipe = recipe(campaign)?;
        let differs = recipe.iter().find(|(key, value)| state.recipe.get(*key) != Some(value));
        let key = match differs {
            Some((key, _)) => key,
            None if state.vantage.as_deref() != vantage => "--vantage",
            None => return Ok(()),
        };
        Err(Unfit::Other(format!(
            "{folder} has records of this campaign with another {key}: undo that change, or name another \
             folder"
        )))
    }

    /// Where targets are gathered before the campaign begins.
    pub(crate) fn new_targets(&self) -> PathBuf {
        self.path.join(NEW_TARGETS)
    }

    /// The targets.
    pub(crate) fn targets(&self) -> PathBuf {
        self.path.join(TARGETS)
    }

    /// Writes down what the folder is of: from then on it is this campaign's.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(crate) fn begin(
        &self,
        campaign: &Campaign,
        vantage: Option<String>,
        (targets, id): (Targets, Option<String>),
        now: SystemTime,
    ) -> Result<State, Unfit> {
        let state = State {
            version: VERSION,
            name: campaign.name.clone(),
            vantage,
            began: humantime::format_rfc3339_seconds(now).to_string(),
            recipe: recipe(campaign)?,
            targets,
            collected: Vec::new(),
            id,
        };
        fs::rename(self.new_targets(), self.targets()).map_err(|error| self.unwritable(&error))?;
        self.keep_state(&state)?;
        Ok(state)
    }

    /// Writes down what the folder is of, and has.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(crate) fn keep_state(&self, state: &State) -> Result<(), Unfit> {
        let text =
            serde_json::to_vec_pretty(state).map_err(|error| Unfit::Io(error.to_string()))?;
        files::replace(&self.path.join(CAMPAIGN), &text, 0).map_err(|error| self.unwritable(&error))
    }

    /// Keeps the text of the campaign's file.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(crate) fn keep_file(&self, text: &str) -> Result<(), Unfit> {
        files::replace(&self.path.join(CAMPAIGN_FILE), text.as_bytes(), 0)
            .map_err(|error| self.unwritable(&error))
    }

    /// The folder of a run.
    pub(crate) fn run(&self, part: &str, step: Step, measure: &Measure) -> RunFolder {
        RunFolder { path: run_path(&self.path, part, step, &measure.plugin) }
    }

    /// The runs that are over.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(crate) fn finished(&self, part: &str, campaign: &Campaign) -> Result<Vec<Step>, Unfit> {
        let times = times(&self.path.join(part)).map_err(|error| self.unwritable(&error))?;
        let steps = times.into_iter().flat_map(|time| {
            campaign
                .measures
                .iter()
                .enumerate()
                .map(move |(measure, of)| (Step { time, measure }, of))
        });
        let is_over = |(step, measure): &(Step, &Measure)| self.run(part, *step, measure).is_over();
        Ok(steps.filter(is_over).map(|(step, _)| step).collect())
    }

    fn unwritable(&self, error: &io::Error) -> Unfit {
        Unfit::Io(format!("cannot write to {}: {error}", shown(&self.path)))
    }
}

/// The folder of one run.
pub(crate) struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// The run whose files are in this folder.
    pub(crate) fn at(path: PathBuf) -> RunFolder {
        RunFolder { path }
    }

    /// Whether a run goes on there.
    pub(crate) fn is_busy(&self) -> bool {
        is_locked(&self.files(PathBuf::new()).records).unwrap_or(false)
    }

    /// Where its records are gathered before they are whole.
    pub(crate) fn new_records(&self) -> PathBuf {
        self.path.join(NEW_RECORDS)
    }

    /// Its files, but for the targets.
    pub(crate) fn files(&self, targets: PathBuf) -> Files {
        Files {
            targets,
            records: self.path.join("records.ndjson.zst"),
            capture: self.path.join("capture.pcap"),
            progress: self.path.join(".progress.csv"),
        }
    }

    /// Makes it, and waits for a run that a killed campaign may have left, until `is_asked`. `tell` is
    /// called where there is one.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(crate) fn prepare(
        &self,
        is_asked: impl Fn() -> bool,
        mut tell: impl FnMut(),
    ) -> io::Result<()> {
        fs::create_dir_all(&self.path)?;
        let records = self.files(PathBuf::new()).records;
        let mut is_told = false;
        while !is_asked() && is_locked(&records)? {
            if !is_told {
                tell();
            }
            is_told = true;
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Whether the run is over.
    pub(crate) fn is_over(&self) -> bool {
        self.path.join(MANIFEST).is_file()
    }

    /// What it came to, where it is over.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is none.
    pub(crate) fn manifest(&self) -> io::Result<Option<Manifest>> {
        Manifest::read(&self.path.join(MANIFEST))
    }

    /// Writes down what it came to, and the sums of its files: then it is over.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(crate) fn finish(&self, about: Manifest) -> io::Result<()> {
        let progress = self.files(PathBuf::new()).progress;
        match fs::remove_file(progress) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let manifest = about.with_files(&self.path)?;
        files::replace(&self.path.join(MANIFEST), &manifest.text()?, 0)
    }

    /// How far the run is that goes on, as it says itself; `None` before it says so.
    pub(crate) fn progress(&self) -> Option<Progress> {
        Progress::read(&self.files(PathBuf::new()).progress)
    }
}

/// Reads which campaign a folder is of; `None` if none was begun in it.
///
/// # Errors
///
/// It cannot be read, or is of another version.
pub(crate) fn read_state(folder: &Path) -> Result<Option<State>, Unfit> {
    let path = folder.join(CAMPAIGN);
    let text = match files::read(&path) {
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(Unfit::Io(format!("cannot read {}: {error}", shown(&path)))),
        Ok(text) => text,
    };
    #[derive(Deserialize)]
    struct Only {
        version: u32,
    }
    let wrong = |error: serde_json::Error| {
        Unfit::Io(format!("{} is no campaign's state: {error}", shown(&path)))
    };
    let Only { version } = serde_json::from_slice(&text).map_err(wrong)?;
    if version != VERSION {
        return Err(Unfit::Io(format!(
            "{} is of version {version}, and this program has version {VERSION}",
            shown(&path)
        )));
    }
    serde_json::from_slice(&text).map(Some).map_err(wrong)
}

/// Whether a campaign goes on in this folder.
pub(crate) fn is_going_on(folder: &Path) -> bool {
    is_locked(&folder.join(LOCK)).unwrap_or(false)
}

/// The run of a step, in a folder that need not be locked.
pub(crate) fn run_of(folder: &Path, part: &str, step: Step, plugin: &str) -> RunFolder {
    RunFolder { path: run_path(folder, part, step, plugin) }
}

/// The times of a campaign that have a folder.
///
/// # Errors
///
/// What the system says.
pub(crate) fn times(part: &Path) -> io::Result<Vec<u32>> {
    let entries = match fs::read_dir(part) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut times = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.parse::<u32>().ok());
        times.extend(number.and_then(|number| number.checked_sub(1)));
    }
    times.sort_unstable();
    Ok(times)
}

/// Times and measurements are numbered from 1.
fn run_path(folder: &Path, part: &str, step: Step, plugin: &str) -> PathBuf {
    let time = format!("{:04}", u64::from(step.time) + 1);
    folder.join(part).join(time).join(format!("{}-{plugin}", step.measure + 1))
}

fn recipe(campaign: &Campaign) -> Result<BTreeMap<String, Value>, Unfit> {
    let recipe = campaign.recipe().map_err(|error| Unfit::Io(error.to_string()))?;
    Ok(recipe.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

/// Whether another process has locked a file.
fn is_locked(path: &Path) -> io::Result<bool> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        file => file?,
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
        // A file system without locks does without.
        Ok(()) | Err(_) => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn campaign(text: &str) -> Campaign {
        Campaign::parse(text, Path::new("/c")).unwrap()
    }

    const TEXT: &str = "name = 'a'\ntargets = 't'\n[[measure]]\nplugin = 'ecn'\n";

    fn message(unfit: Unfit) -> String {
        let (Unfit::Other(message) | Unfit::Io(message) | Unfit::Busy(message)) = unfit;
        assert_eq!(message.lines().count(), 1);
        message
    }

    #[test]
    fn a_folder_is_of_one_campaign_and_one_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new");
        let ours = Folder::lock(&path).unwrap();
        assert!(message(Folder::lock(&path).err().unwrap()).contains("another process"));
        assert!(is_going_on(&path));
        fs::write(ours.new_targets(), "").unwrap();
        let targets = Targets { count: 0, sha256: String::new(), has_bad_lines: false };
        let now = SystemTime::UNIX_EPOCH;
        let state = ours.begin(&campaign(TEXT), None, (targets, None), now).unwrap();
        assert_eq!(ours.state().unwrap(), Some(state.clone()));
        let check = |text: &str, vantage| ours.check(&state, &campaign(text), vantage);
        check(TEXT, None).unwrap();
        check(&format!("rate = 3\nworkers = 5\n{TEXT}"), None).unwrap();
        for (text, vantage, word) in [
            (TEXT.replace("'a'", "'b'"), None, "campaign \"a\""),
            (TEXT.replace("ecn", "dscp"), None, "another measure"),
            (format!("{TEXT}connect = 'tcp'\n"), None, "another measure"),
            (TEXT.replace("'t'", "'u'"), None, "another targets"),
            (TEXT.to_owned(), Some("x"), "another --vantage"),
        ] {
            assert!(message(check(&text, vantage).unwrap_err()).contains(word), "{text}");
        }
        drop(ours);
        assert!(!is_going_on(&path));
        fs::write(path.join(CAMPAIGN), "{\"version\": 2}").unwrap();
        assert!(message(read_state(&path).unwrap_err()).contains("of version 2"));
        fs::write(path.join(CAMPAIGN), "{").unwrap();
        assert!(message(read_state(&path).unwrap_err()).contains("no campaign's state"));
    }

    #[test]
    fn other_folders_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("thesis.tex"), "").unwrap();
        let error = message(Folder::lock(folder.path()).err().unwrap());
        assert!(error.contains("has thesis.tex"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
