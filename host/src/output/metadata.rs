//! The metadata beside an output: `F.meta.json`, in the terms of the Path Transparency Observatory.
//!
//! The PTO's own keys begin with an underscore: `_time_start` and `_time_end` (RFC 3339),
//! `_file_type` and `_owner`. The rest says how the records came about: `program`, `plugin`,
//! `settings`, and in `runs` what each run on this output was and came to.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use super::recipe::Recipe;
use pathspider_runtime::{files, text};

/// The PTO's name for our records.
pub(crate) const FILE_TYPE: &str = "pathspider-v2-ndjson";

/// The keys of the PTO.
pub(crate) const TIME_START: &str = "_time_start";
pub(crate) const TIME_END: &str = "_time_end";
pub(crate) const FILE_TYPE_KEY: &str = "_file_type";
pub(crate) const OWNER: &str = "_owner";

/// Room for a run's end: three kernel parameters that were changed, a hundred conditions and
/// reasons, and more.
const ROOM: u64 = 16 << 10;

/// A time in the PTO's terms, to the second.
pub(crate) fn time(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

/// The same for the end of something: not before it.
pub(crate) fn time_at_last(at: SystemTime) -> String {
    time(at + Duration::from_nanos(999_999_999))
}

/// The metadata of one output.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Metadata {
    path: PathBuf,
    keys: Map<String, Value>,
}

/// The name of a file beside an output.
pub(crate) fn beside(output: &Path, ending: &str) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

impl Metadata {
    /// New metadata of an output.
    pub(crate) fn new(output: &Path) -> Metadata {
        Metadata { path: beside(output, ".meta.json"), keys: Map::new() }
    }

    /// Reads an output's metadata; `None` where there is none.
    ///
    /// # Errors
    ///
    /// It is no file, cannot be read, or is none.
    pub(crate) fn read(output: &Path) -> io::Result<Option<Metadata>> {
        let mut metadata = Metadata::new(output);
        Ok(metadata.read_keys()?.then_some(metadata))
    }

    /// Takes the keys that the file has; `false` where there is none.
    fn read_keys(&mut self) -> io::Result<bool> {
        match files::read(&self.path) {
            Ok(text) => {
                self.keys = serde_json::from_slice(&text)?;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Takes what somebody has written into the file meanwhile, but for the runs. Where it cannot
    /// be read, what was known stays.
    pub(crate) fn read_again(&mut self) {
        let runs = self.keys.get("runs").cloned();
        if let (Ok(true), Some(runs)) = (self.read_keys(), runs) {
            self.set("runs", runs);
        }
    }

    /// The same for another output.
    pub(crate) fn at(self, output: &Path) -> Metadata {
        Metadata { keys: self.keys, ..Metadata::new(output) }
    }

    /// With the other keys of metadata that were there before.
    pub(crate) fn over(self, mut before: Metadata) -> Metadata {
        before.keys.extend(self.keys);
        before
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes it, in place of what was there, as a whole, with room for what a run comes to.
    ///
    /// # Errors
    ///
    /// What was there stays.
    pub(crate) fn begin(&self) -> io::Result<()> {
        files::replace(&self.path, &self.text()?, ROOM)
    }

    /// Writes it in place of what was there; where the disk is full, in the room of that.
    ///
    /// # Errors
    ///
    /// What was there stays, unless the disk fails.
    pub(crate) fn write(&self) -> io::Result<()> {
        files::replace_at_last(&self.path, &self.text()?)
    }

    fn text(&self) -> io::Result<Vec<u8>> {
        let keys = serde_json::to_string_pretty(&self.keys)?;
        let mut text = text::json(&keys).into_owned().into_bytes();
        text.push(b'\n');
        Ok(text)
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.keys.get(key)
    }

    pub(crate) fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.keys.insert(key.to_owned(), value.into());
    }

    /// Adds keys to the object that stands under a key.
    pub(crate) fn extend(&mut self, key: &str, more: Value) {
        let there = self.keys.get_mut(key).and_then(Value::as_object_mut);
        if let (Some(there), Value::Object(more)) = (there, more) {
            there.extend(more);
        }
    }

    pub(crate) fn remove(&mut self, key: &str) {
        self.keys.remove(key);
    }

    /// Begins a run on the output.
    pub(crate) fn begin_run(&mut self, run: Value) {
        match self.keys.get_mut("runs").and_then(Value::as_array_mut) {
            Some(runs) => runs.push(run),
            None => self.set("runs", json!([run])),
        }
    }

    /// Adds keys to the run that was begun last.
    pub(crate) fn amend_run(&mut self, keys: Map<String, Value>) {
        let runs = self.keys.get_mut("runs").and_then(Value::as_array_mut);
        let last = runs.and_then(|runs| runs.last_mut()).and_then(Value::as_object_mut);
        if let Some(run) = last {
            run.extend(keys);
        }
    }

    /// What decided what the records mean.
    ///
    /// # Errors
    ///
    /// Which key is missing, or has no such value.
    pub(crate) fn recipe(&self) -> serde_json::Result<Recipe> {
        Recipe::read(&self.keys)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_others_wrote_stays() {
        let folder = std::env::temp_dir().join(format!("pathspider-meta-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let output = folder.join("x");
        let mut ours = Metadata::new(&output);
        ours.begin_run(json!({"number": 1}));
        ours.read_again();
        assert_eq!(ours.get("runs"), Some(&json!([{"number": 1}])), "none is there");
        let mut theirs = Metadata::new(&output);
        theirs.set("campaign", "spring");
        theirs.set("runs", json!([]));
        theirs.write().unwrap();
        ours.read_again();
        assert_eq!(ours.get("campaign"), Some(&"spring".into()));
        assert_eq!(ours.get("runs"), Some(&json!([{"number": 1}])));
        fs::write(ours.path(), "torn").unwrap();
        ours.read_again();
        assert_eq!(ours.get("campaign"), Some(&"spring".into()));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn runs_follow_each_other() {
        let mut metadata = Metadata::new(Path::new("x"));
        for number in [1, 2] {
            metadata.begin_run(json!({"number": number}));
            metadata.amend_run(json!({"end": number * 10}).as_object().unwrap().clone());
        }
        let runs = json!([{"number": 1, "end": 10}, {"number": 2, "end": 20}]);
        assert_eq!(metadata.get("runs"), Some(&runs));
    }
}
