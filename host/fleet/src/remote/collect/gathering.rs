//! The records of one run, as its results come from the server. What an agent sends is read with a limit, and
//! taken only if it is records of its own place.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use pathspider_records::metadata::path_beside;
use pathspider_runtime::{decompress, files};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::wire::Outcome;

/// Octets of the records of one result at the most, when they are decompressed.
const MOST_OCTETS: u64 = 1 << 30;

/// Octets of one record at the most: as many as `report` reads.
const LONGEST_RECORD: u64 = 64 << 20;

/// The records of a run.
pub(super) struct Gathering {
    file: File,
    path: PathBuf,
    /// The metadata: those of the first result, with the runs of all.
    metadata: Map<String, Value>,
    runs: Vec<Value>,
    pub(super) records: u64,
    pub(super) has_errors: bool,
}

impl Gathering {
    /// # Errors
    ///
    /// What the system says.
    pub(super) fn begin(path: &Path) -> io::Result<Gathering> {
        let (metadata, runs) = (Map::new(), Vec::new());
        let file = File::create(path)?;
        let path = path.to_owned();
        Ok(Gathering { file, path, metadata, runs, records: 0, has_errors: false })
    }

    /// Adds a result; why not, where it is none.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub(super) fn add(&mut self, outcome: &Outcome, place: &str) -> io::Result<Result<(), String>> {
        let records = match count(&outcome.records, place) {
            Ok(records) => records,
            Err(reason) => return Ok(Err(reason)),
        };
        let Ok(mut metadata) = serde_json::from_slice::<Map<String, Value>>(&outcome.metadata)
        else {
            return Ok(Err("its metadata cannot be read".to_owned()));
        };
        // Compressed files that follow each other are one.
        self.file.write_all(&outcome.records)?;
        self.records += records;
        self.has_errors |= outcome.head.has_errors;
        if let Some(Value::Array(runs)) = metadata.remove("runs") {
            self.runs.extend(runs);
        }
        let end = metadata.remove("_time_end");
        if self.metadata.is_empty() {
            self.metadata = metadata;
        }
        if let Some(end) = end {
            self.metadata.insert("_time_end".to_owned(), end);
        }
        Ok(Ok(()))
    }

    /// Puts all in place.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(super) fn finish(mut self, records: &Path, campaign: &str) -> io::Result<()> {
        self.file.sync_all()?;
        self.metadata.insert("campaign".to_owned(), campaign.into());
        self.metadata.insert("runs".to_owned(), self.runs.into());
        let text = serde_json::to_vec_pretty(&self.metadata)?;
        files::replace(&path_beside(records), &text, 0)?;
        fs::rename(self.path, records)
    }
}

/// Counts the records of a result.
fn count(records: &[u8], place: &str) -> Result<u64, String> {
    #[derive(Deserialize)]
    struct Line {
        vantage: Option<String>,
    }
    let unread = |error: io::Error| format!("its records cannot be read: {error}");
    let content = decompress::by_content(Box::new(io::Cursor::new(records.to_vec())));
    let mut content = BufReader::new(content.map_err(unread)?);
    let (mut line, mut counted, mut octets) = (Vec::new(), 0, 0);
    loop {
        line.clear();
        let mut next = (&mut content).take(LONGEST_RECORD);
        octets += next.read_until(b'\n', &mut line).map_err(unread)? as u64;
        if line.is_empty() {
            return Ok(counted);
        }
        if octets >= MOST_OCTETS || line.last() != Some(&b'\n') {
            return Err("its records have no end".to_owned());
        }
        let read: Line = serde_json::from_slice(&line)
            .map_err(|error| format!("line {} is no record: {error}", counted + 1))?;
        if read.vantage.as_deref() != Some(place) {
            return Err(format!("line {} is a record of another place", counted + 1));
        }
        counted += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(records: &str, metadata: &str) -> Outcome {
        let records = zstd::bulk::compress(records.as_bytes(), 1).unwrap();
        let of = ("id".to_owned(), "shard".to_owned());
        Outcome::new(of, records, metadata.as_bytes().to_vec(), false)
    }

    #[test]
    fn results_become_one_file_and_lies_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let mut gathering = Gathering::begin(&folder.path().join("new")).unwrap();
        let line = "{\"dip\":\"192.0.2.1\",\"vantage\":\"a\"}\n";
        for (records, metadata, word) in [
            (line.replace("\"a\"", "\"b\"").as_str(), "{}", "another place"),
            ("{\"dip\":\"192.0.2.1\"}\n", "{}", "another place"),
            ("no json\n", "{}", "line 1 is no record"),
            (line.trim_end(), "{}", "no end"),
            (line, "[]", "metadata"),
        ] {
            let reason = gathering.add(&outcome(records, metadata), "a").unwrap().unwrap_err();
            assert!(reason.contains(word), "{reason}");
        }
        let noise = Outcome::new(Default::default(), b"noise".to_vec(), b"{}".to_vec(), false);
        gathering.add(&noise, "a").unwrap().unwrap_err();
        for run in ["1", "2"] {
            let metadata = format!("{{\"vantage\":\"a\",\"runs\":[{run}],\"_time_end\":{run}}}");
            gathering.add(&outcome(&format!("{line}{line}"), &metadata), "a").unwrap().unwrap();
        }
        assert_eq!(gathering.records, 4);
        let records = folder.path().join("records.ndjson.zst");
        gathering.finish(&records, "spring").unwrap();
        assert_eq!(crate::folder::lines(&records).unwrap(), 4);
        let metadata: Value =
            serde_json::from_slice(&fs::read(path_beside(&records)).unwrap()).unwrap();
        let expected =
            serde_json::json!({"vantage":"a","campaign":"spring","runs":[1,2],"_time_end":2});
        assert_eq!(metadata, expected);
    }
}
