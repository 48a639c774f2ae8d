//! The status file: a row of CSV each second, for other programs.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{Snapshot, Total};
use crate::files::{self, Existing};
use crate::output::OutputError;

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
    rows: csv::Writer<File>,
}

impl StatusFile {
    pub(super) fn create(path: &Path) -> Result<StatusFile, OutputError> {
        let begin = || {
            let mut rows = csv::Writer::from_writer(files::open(path, Existing::Overwrite)?.file);
            rows.write_record(COLUMNS)?;
            rows.flush()?;
            Ok(StatusFile { rows })
        };
        begin().map_err(|error| OutputError::new(&path.display(), error))
    }

    pub(super) fn write(
        &mut self,
        snapshot: &Snapshot,
        rate: f64,
        elapsed: Duration,
    ) -> io::Result<()> {
        let conditions: Vec<String> =
            snapshot.conditions.iter().map(|(name, count)| format!("{name}={count}")).collect();
        self.rows.write_record([
            humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            format!("{:.3}", elapsed.as_secs_f64()),
            snapshot.done.to_string(),
            match snapshot.total {
                Total::Unknown => String::new(),
                Total::About(total) | Total::Exactly(total) => total.to_string(),
            },
            format!("{rate:.1}"),
            snapshot.in_flight.to_string(),
            snapshot.missed.to_string(),
            snapshot.dropped.to_string(),
            snapshot.errors.to_string(),
            conditions.join(" "),
        ])?;
        self.rows.flush()
    }
}
