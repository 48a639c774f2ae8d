//! `pathspider metadata`: makes or amends the metadata that the PTO wants beside files of records.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use serde::Deserialize;

use super::exit::{Exit, Failure};
use crate::output::{self, FILE_TYPE, FILE_TYPE_KEY, Metadata, TIME_END, TIME_START};
use pathspider_runtime::decompress;
use pathspider_runtime::say;
use pathspider_runtime::text::of;

/// `pathspider metadata`.
#[derive(Debug, Args)]
#[command(
    after_help = "FILE.meta.json beside each FILE gets _time_start and _time_end, the times of its \
                  records, and _file_type. Other keys stay as they are. KEY=VALUE sets a KEY such as \
                  _owner; KEY= removes it. If a FILE has = in its name, write it with its folder: \
                  ./a=b.ndjson."
)]
pub(super) struct MetadataArgs {
    /// The type of the files, by its name in the Path Transparency Observatory (PTO)
    #[arg(short = 't', long, value_name = "TYPE", default_value = FILE_TYPE)]
    filetype: String,

    /// Keys to set, and files of records (perhaps compressed)
    #[arg(value_name = "KEY=VALUE|FILE", required = true)]
    words: Vec<String>,
}

/// A word of the command line.
enum Word<'a> {
    Pair(&'a str, &'a str),
    File(PathBuf),
}

fn sort(word: &str) -> Word<'_> {
    match word.split_once('=') {
        Some((key, value)) if !key.contains('/') && !key.is_empty() => Word::Pair(key, value),
        _ => Word::File(word.into()),
    }
}

/// Runs `pathspider metadata`.
pub(super) fn run(arguments: &MetadataArgs) -> Result<Exit, Failure> {
    let (mut pairs, mut files) = (Vec::new(), Vec::new());
    for word in &arguments.words {
        match sort(word) {
            Word::Pair(key, value) => pairs.push((key, value)),
            Word::File(path) => files.push(path),
        }
    }
    if let Some(file) = files.iter().find(|file| ["", "-"].map(Path::new).contains(&file.as_path()))
    {
        let message = format!(
            "{:?} is no file: metadata stand beside files of records, so name these",
            file.display().to_string()
        );
        return Err(Failure::new(Exit::Usage, message));
    }
    if files.is_empty() {
        return Err(Failure::new(
            Exit::Usage,
            "no file is named: name the file of records whose metadata to make",
        ));
    }
    let mut exit = Exit::Finished;
    for file in files {
        let (times, odd) = times(&file).map_err(|error| {
            Failure::new(Exit::NoInput, format!("cannot read {}: {error}", file.display()))
        })?;
        if odd > 0 {
            let noun = of(odd, "line is no record with a time", "lines are no records with a time");
            say!("{}: {odd} {noun}", file.display());
            exit = Exit::FinishedWithErrors;
        }
        if times.is_none() {
            say!("{}: no record has a time, so the metadata have none", file.display());
        }
        amend(&file, times, &arguments.filetype, &pairs)?;
    }
    Ok(exit)
}

fn amend(
    file: &Path,
    times: Option<(SystemTime, SystemTime)>,
    filetype: &str,
    pairs: &[(&str, &str)],
) -> Result<(), Failure> {
    let mut metadata = match Metadata::read(file) {
        Ok(found) => found.unwrap_or_else(|| Metadata::new(file)),
        Err(error) => {
            let path = Metadata::new(file).path().display().to_string();
            return Err(Failure::new(Exit::NoInput, format!("cannot read {path}: {error}")));
        }
    };
    if let Some((first, last)) = times {
        metadata.set(TIME_START, output::time(first));
        metadata.set(TIME_END, output::time_at_last(last));
    }
    metadata.set(FILE_TYPE_KEY, filetype);
    for &(key, value) in pairs {
        match value {
            "" => metadata.remove(key),
            value => metadata.set(key, value),
        }
    }
    metadata.write().map_err(|error| {
        let path = metadata.path().display();
        Failure::new(Exit::NoOutput, format!("cannot write {path}: {error}"))
    })
}

#[derive(Deserialize)]
struct Timed<'a> {
    #[serde(borrow)]
    time: Times<'a>,
}

#[derive(Deserialize)]
struct Times<'a> {
    from: &'a str,
    to: &'a str,
}

/// The earliest and latest times of a file's records, and how many lines have none.
fn times(path: &Path) -> io::Result<(Option<(SystemTime, SystemTime)>, u64)> {
    let mut lines = BufReader::new(decompress::by_content(Box::new(File::open(path)?))?);
    let (mut found, mut odd) = (None, 0);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        let timed: Option<Timed<'_>> = serde_json::from_slice(&line).ok();
        match timed.and_then(|timed| Some((time(timed.time.from)?, time(timed.time.to)?))) {
            Some((from, to)) => {
                let (first, last) = found.unwrap_or((from, to));
                found = Some((first.min(from), last.max(to)));
            }
            None => odd += 1,
        }
        line.clear();
    }
    Ok((found, odd))
}

/// A time as we write it (RFC 3339, UTC), or as PATHspider did: with a space, and without a zone.
fn time(text: &str) -> Option<SystemTime> {
    let text = text.strip_suffix("+00:00").unwrap_or(text);
    humantime::parse_rfc3339_weak(text).ok().filter(|&time| time > UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_pairs_or_files() {
        assert!(matches!(sort("_owner=a=b"), Word::Pair("_owner", "a=b")));
        assert!(matches!(sort("note="), Word::Pair("note", "")));
        for file in ["x.ndjson", "./a=b", "/tmp/a=b/x", "=x"] {
            assert!(matches!(sort(file), Word::File(_)), "{file}");
        }
    }

    #[test]
    fn times_of_both_programs() {
        let same = ["2018-02-14T00:28:07Z", "2018-02-14 00:28:07", "2018-02-14T00:28:07+00:00"];
        assert!(same.iter().all(|text| time(text) == time(same[0]) && time(text).is_some()));
        assert!(time("2018-02-14 00:28:07.123456") > time(same[0]));
        assert!(time("yesterday").is_none());
    }
}
