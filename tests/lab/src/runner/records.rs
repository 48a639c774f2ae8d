//! Owns the two files of a run: the jobs written for pathspider and the records read back.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::net::IpAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Context, Error, Result};
use crate::truth::Truth;

#[derive(Serialize)]
struct Job<'a> {
    dip: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    dp: Option<u16>,
    lab_path: &'a str,
}

/// What the lab reads of one of pathspider's records; the other keys are not its business.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Record {
    /// The target.
    pub dip: IpAddr,
    /// The path the job named.
    pub lab_path: String,
    /// What was found.
    pub conditions: Vec<String>,
}

/// Writes one job a line: a target, its port if one is stated, and its path.
pub(crate) fn write_jobs<'a>(
    path: &Path,
    jobs: impl IntoIterator<Item = (IpAddr, Option<u16>, &'a Truth)>,
) -> Result<()> {
    let action = || format!("write {}", path.display());
    let mut file = BufWriter::new(File::create(path).context(action)?);
    for (dip, dp, truth) in jobs {
        let job = Job { dip, dp, lab_path: &truth.name };
        serde_json::to_writer(&mut file, &job).context(action)?;
        file.write_all(b"\n").context(action)?;
    }
    file.flush().context(action)
}

/// Reads pathspider's records one by one, one a line.
///
/// # Errors
/// When the file cannot be read or a line is not a record with the keys the lab needs.
pub fn records(path: &Path) -> Result<impl Iterator<Item = Result<Record>> + use<>> {
    let action = format!("read {}", path.display());
    let file = BufReader::new(File::open(path).context(|| action.clone())?);
    let name = path.display().to_string();
    let lines =
        (1..).zip(file.lines()).filter(|(_, line)| !line.as_ref().is_ok_and(String::is_empty));
    Ok(lines.map(move |(number, line): (usize, _)| {
        let line = line.context(|| action.clone())?;
        serde_json::from_str(&line)
            .map_err(|error| Error::invalid(format!("{name}, line {number}"), error.to_string()))
    }))
}
