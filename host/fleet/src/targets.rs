//! The targets of a campaign: all its files as one, in the program's own form.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use pathspider_runtime::say;

use crate::campaign::Campaign;
use crate::exit::{Exit, Failure};
use crate::folder::{Targets, lines, sum};
use crate::program::Program;

/// Reads the files of targets and writes them to one file, in place of what is there: what
/// `measure --input` reads of each of them, and nothing else.
///
/// # Errors
///
/// A file cannot be read, none of its lines is a target, or the file cannot be written.
pub(crate) fn gather(
    program: &Program,
    campaign: &Campaign,
    to: &Path,
) -> Result<Targets, Failure> {
    let mut output = OsString::from("--output=");
    output.push(to);
    let words = ["filter", "--csv-input", "--force"].map(OsString::from);
    let words = words.into_iter().chain([output]);
    let files = campaign.targets.iter().map(|file| file.as_os_str().to_owned());
    let answer = program.ask(words.chain(files), &[Exit::Finished, Exit::FinishedWithErrors])?;
    let has_bad_lines = answer.exit == Exit::FinishedWithErrors;
    let read = |error: io::Error| {
        Failure::new(Exit::NoOutput, format!("cannot read what was written: {error}"))
    };
    let (_, sha256) = sum(to).map_err(read)?;
    let count = lines(to).map_err(read)?;
    // What is said of an empty input is said below.
    if count > 0 || has_bad_lines {
        for line in answer.said.lines() {
            say!("{}", line.strip_prefix("pathspider: ").unwrap_or(line));
        }
    }
    if count == 0 {
        let files = campaign.targets.iter().map(|file| pathspider_runtime::text::path(file));
        let files = files.collect::<Vec<_>>().join(", ");
        return Err(Failure::new(Exit::NoInput, format!("there is no target in {files}")));
    }
    Ok(Targets { count, sha256, has_bad_lines })
}

/// Counts the targets, and keeps nothing.
///
/// # Errors
///
/// As for [`gather`].
pub(crate) fn count(program: &Program, campaign: &Campaign) -> Result<Targets, Failure> {
    let made = tempfile::Builder::new().prefix("pathspider-").suffix(".ndjson.zst").tempfile();
    let file = made.map_err(|error| {
        Failure::new(Exit::NoOutput, format!("cannot make a file for the targets: {error}"))
    })?;
    gather(program, campaign, file.path())
}
