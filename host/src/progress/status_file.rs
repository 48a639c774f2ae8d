//! The status file: a row of CSV each second, for other programs.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::snapshot::{Snapshot, Total};
use crate::output::OutputError;
use pathspider_runtime::files::{self, Existing, New, Opened};
use pathspider_runtime::stop::Asked;

/// The columns: RFC 3339 time, seconds since the start, targets done, targets in all (empty where
/// unknown), targets a second over the last second, targets in flight, flows missed, packets
/// dropped by the capture, errors of the plugin and of the input, and `name=count` of each
/// condition, separated by spaces.
const COLUMNS: [&str; 10] = [
    "time",
    "elapsed",
    "done",
    "total",
    "rate",
    "in_flight",
    "missed",
    "dropped",
    "errors",
    "conditions",
];

pub(super) struct StatusFile {
    new: New,
    rows: csv::Writer<File>,
}

impl StatusFile {
    /// Opens it, and changes nothing in it yet. What is there is written over where it is empty or
    /// an earlier run's, or where that is wanted.
    pub(super) fn lock(
        path: &Path,
        existing: Existing,
        is_asked: Asked<'_>,
    ) -> Result<StatusFile, OutputError> {
        let lock = || {
            let Opened { new, file, regular, .. } =
                files::lock(path, Existing::Overwrite, is_asked)?;
            if regular && existing != Existing::Overwrite && !is_ours(&file)? {
                return Err(io::Error::other(
                    "it is there already, and is no status file (--force writes over it)",
                ));
            }
            Ok(StatusFile { new, rows: csv::Writer::from_writer(file) })
        };
        lock().map_err(|error| OutputError::new(&path.display(), error))
    }

    /// Empties it, and writes what the columns are. From here on it stays.
    pub(super) fn begin(&mut self) -> io::Result<()> {
        self.new.keep();
        let file = self.rows.get_ref();
        if file.metadata()?.is_file() {
            file.set_len(0)?;
        }
        self.rows.write_record(COLUMNS)?;
        self.rows.flush()
    }

    pub(super) fn write(
        &mut self,
        snapshot: &Snapshot,
        rate: f64,
        elapsed: Duration,
    ) -> io::Result<()> {
        let summary = &snapshot.counted.summary;
        let conditions: Vec<String> =
            summary.conditions.iter().map(|(name, count)| format!("{name}={count}")).collect();
        self.rows.write_record([
            humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            format!("{:.3}", elapsed.as_secs_f64()),
            snapshot.done().to_string(),
            match snapshot.total() {
                Total::Unknown => String::new(),
                Total::About(total) | Total::Exactly(total) => total.to_string(),
            },
            format!("{rate:.1}"),
            snapshot.in_flight.to_string(),
            summary.missed_flows.to_string(),
            snapshot.counted.capture.lost().to_string(),
            snapshot.counted.errors().to_string(),
            conditions.join(" "),
        ])?;
        self.rows.flush()
    }
}

/// Whether a file is one that a run wrote, or would have, had it not been killed at its begin.
fn is_ours(file: &File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    let head = COLUMNS.join(",") + "\n";
    let mut there = vec![0; head.len()];
    match file.read_exact_at(&mut there, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| there == head.as_bytes()),
    }
}
