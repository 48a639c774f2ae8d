//! How far a run is that goes on: the last row of its status file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// The last row is within this many octets of the file's end.
const LONGEST_ROW: u64 = 64 * 1024;

/// How far a run is.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Progress {
    /// Targets whose record was made.
    pub(crate) done: u64,
    /// Targets in all, where that is known.
    pub(crate) total: Option<u64>,
    /// Targets whose connections are under way.
    pub(crate) in_flight: u64,
    /// Connections that the capture has no flow of.
    pub(crate) missed: u64,
    /// Packets that the capture lost.
    pub(crate) dropped: u64,
    /// Failures of the plugin, and lines that were no targets.
    pub(crate) errors: u64,
    /// How many targets have each condition.
    pub(crate) conditions: BTreeMap<String, u64>,
}

impl Progress {
    /// Reads the last row that is whole; `None` where there is none.
    pub(super) fn read(path: &Path) -> Option<Progress> {
        let (names, end) = ends(path).ok()?;
        // The last line may be written just now.
        let whole = end.rfind('\n').map(|last| &end[..last])?;
        let row = whole.rsplit('\n').next().filter(|row| *row != names)?;
        let names: Vec<&str> = names.split(',').collect();
        let cells: Vec<&str> = row.split(',').collect();
        let cell = |name: &str| {
            let column = names.iter().position(|column| *column == name)?;
            cells.get(column).copied()
        };
        let number = |name: &str| cell(name)?.parse().ok();
        let conditions = cell("conditions").unwrap_or_default().split(' ').filter_map(|counted| {
            let (name, count) = counted.rsplit_once('=')?;
            Some((name.to_owned(), count.parse().ok()?))
        });
        Some(Progress {
            done: number("done")?,
            total: number("total"),
            in_flight: number("in_flight").unwrap_or_default(),
            missed: number("missed").unwrap_or_default(),
            dropped: number("dropped").unwrap_or_default(),
            errors: number("errors").unwrap_or_default(),
            conditions: conditions.collect(),
        })
    }
}

/// The first line of a file, and its end.
fn ends(path: &Path) -> io::Result<(String, String)> {
    let mut file = File::open(path)?;
    let mut names = String::new();
    BufReader::new(&file).take(LONGEST_ROW).read_line(&mut names)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LONGEST_ROW)))?;
    let mut end = Vec::new();
    file.take(LONGEST_ROW).read_to_end(&mut end)?;
    Ok((names.trim_end().to_owned(), String::from_utf8_lossy(&end).into_owned()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_last_whole_line_says_how_far_a_run_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("status.csv");
        assert_eq!(Progress::read(&path), None);
        let of = |done, total| Progress { done, total, ..Progress::default() };
        for (text, expected) in [
            ("time,done,total\n", None),
            ("time,done", None),
            ("time,done,total\nx,5,\nx,6", Some(of(5, None))),
            ("time,done,total\nx,5,\nx,6,9\n", Some(of(6, Some(9)))),
        ] {
            fs::write(&path, text).unwrap();
            assert_eq!(Progress::read(&path), expected, "{text}");
        }
        let text = "done,total,in_flight,missed,dropped,errors,conditions\n\
                    7,,3,1,2,4,a.b.works=6 a.b.broken=1\n";
        fs::write(&path, text).unwrap();
        let read = Progress::read(&path).unwrap();
        assert_eq!((read.in_flight, read.missed, read.dropped, read.errors), (3, 1, 2, 4));
        assert_eq!(read.conditions["a.b.works"], 6);
        // However long it goes on.
        let rows = "7,,3,1,2,4,x=1\n".repeat(10_000);
        fs::write(&path, format!("{text}{rows}8,9,0,0,0,0,\n")).unwrap();
        assert_eq!(Progress::read(&path), Some(of(8, Some(9))));
    }
}
