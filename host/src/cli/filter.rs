//! `pathspider filter`: picks from records or targets by their conditions and keys, or counts
//! their conditions.
//!
//! Lines that are picked come out as they went in, octet for octet, unless `--keys` or `--dp`
//! changes them.

mod bad;
mod count;
mod criteria;
mod projection;
mod source;
mod unmet;

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use pathspider_plugin_api::Record;

use self::bad::Bad;
use self::count::Count;
use self::criteria::{Criteria, KeyTest, Pattern, conditions};
use self::projection::Projection;
use self::source::{Came, Line, Source};
use self::unmet::Unmet;
use super::exit::{Exit, Failure};
use super::keeping::Forcing;
use super::shell;
use crate::job::Input;
use crate::output::{Output, OutputError, RecordWriter, Told};
use pathspider_runtime::text::of;
use pathspider_runtime::{closed, say};

/// `pathspider filter`.
#[derive(Debug, Args)]
#[command(after_help = "\
PATTERN is a condition, in which * stands for any characters and ? for one. A PATTERN without a colon is \
compared with the name alone: mss.option.remote.value finds any value.

TEST is KEY=PATTERN, KEY!=PATTERN, or KEY alone for records that have the key. A dot goes into objects \
(info.ASN=64500). Of a list, any element may match (path=AS64500).

A record is picked if it passes all tests, or with --any one of them.")]
pub(super) struct FilterArgs {
    /// Read records or targets from these files (ndjson, perhaps compressed); - or none is standard input
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    #[command(flatten)]
    forcing: Forcing,

    /// Keep records with a condition like this
    #[arg(short, long, value_name = "PATTERN")]
    condition: Vec<Pattern>,

    /// Keep records with no condition like this
    #[arg(short = 'x', long, value_name = "PATTERN")]
    without: Vec<Pattern>,

    /// Keep records whose key has this value
    #[arg(short = 'k', long = "where", value_name = "TEST")]
    keys_where: Vec<KeyTest>,

    /// Keep records that pass any of these instead of all
    #[arg(long)]
    any: bool,

    /// Pick the records that would be left out
    #[arg(long)]
    invert: bool,

    /// Write only these keys of each record; a dot goes into objects
    #[arg(long, value_name = "KEY,…", value_delimiter = ',', value_parser = key)]
    keys: Vec<String>,

    /// Write how many records have each condition, instead of the records
    #[arg(long, conflicts_with_all = ["keys", "dp"])]
    count: bool,

    /// Write the counts of --count as one JSON object
    #[arg(long, requires = "count")]
    json: bool,

    /// Read comma-separated targets (as `measure` does), and write them as ndjson
    #[arg(long)]
    csv_input: bool,

    /// Give every target this port
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    dp: Option<u16>,

    /// Write to this file, compressed if named *.gz or *.zst; - is standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
}

/// A key that records may have.
fn key(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("it names no key".to_owned()) } else { Ok(text.to_owned()) }
}

/// Runs `pathspider filter`.
pub(super) fn run(arguments: FilterArgs) -> Result<Exit, Failure> {
    let criteria = Criteria {
        with: arguments.condition,
        without: arguments.without,
        keys: arguments.keys_where,
        any: arguments.any,
        invert: arguments.invert,
    };
    let mut filter = Filter {
        unmet: Unmet::new(&criteria),
        criteria,
        keys: Projection::new(arguments.keys),
        port: arguments.dp,
        count: arguments.count.then(Count::default),
        picked: 0,
        bad: Bad::default(),
    };
    let inputs: Vec<Input> = match arguments.files[..] {
        [] => vec![Input::Stdin],
        ref files => files.iter().map(|file| Input::from_argument(file)).collect(),
    };
    if inputs.iter().filter(|input| matches!(input, Input::Stdin)).count() > 1 {
        return Err(Failure::new(Exit::Usage, "- stands twice, and standard input is read once"));
    }
    let output = Output::from_argument(&arguments.output);
    check_files(&inputs, &output)?;
    // All are opened before the output is emptied.
    let sources = inputs
        .iter()
        .map(|input| Source::open(input, arguments.csv_input))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Failure::new(Exit::NoInput, error))?;
    let existing = arguments.forcing.existing();
    // A signal ends this command as it ends any.
    let mut writer = RecordWriter::open(output, existing, &|| false)
        .map_err(|error| Failure::new(Exit::NoOutput, error))?;
    let picked = sources.into_iter().try_for_each(|source| filter.pick(source, &mut writer));
    // What was picked before a failure is written.
    let written = match picked {
        Ok(()) => filter.count(arguments.json, &mut writer).and_then(|()| finish(&mut writer)),
        Err(failure) => finish(&mut writer).and(Err(failure)),
    };
    match written {
        Ok(()) => {}
        Err(Ended::NobodyReads) => return Ok(Exit::Finished),
        Err(Ended::Failed(failure)) => return Err(failure),
    }
    filter.tell();
    let bad = filter.bad.total();
    if bad > 0 {
        let noun = of(bad, "line was no record", "lines were no records");
        say!("{bad} {noun}");
        return Ok(Exit::FinishedWithErrors);
    }
    Ok(Exit::Finished)
}

/// Why a filter ends before its input does.
enum Ended {
    /// Whoever read a pipe has enough, as `head` has: that is no failure.
    NobodyReads,
    Failed(Failure),
}

struct Filter {
    criteria: Criteria,
    unmet: Unmet,
    keys: Projection,
    port: Option<u16>,
    count: Option<Count>,
    picked: u64,
    bad: Bad,
}

impl Filter {
    fn pick(&mut self, mut source: Source, writer: &mut RecordWriter) -> Result<(), Ended> {
        loop {
            let next =
                source.next().map_err(|error| Ended::Failed(Failure::new(Exit::NoInput, error)))?;
            match next {
                None => return Ok(()),
                Some(Line::Record(record, came)) => {
                    self.record(record, came, writer).map_err(no_output)?;
                }
                Some(Line::Bad(number, reason)) => {
                    if let Some(line) = self.bad.take(source.name(), number, &reason) {
                        say!("{line}");
                    }
                }
            }
            // Whoever reads along in a pipe sees what there is when there is nothing to do.
            if source.is_drained() {
                writer.flush().map_err(no_output)?;
            }
        }
    }

    /// Handles a record.
    fn record(
        &mut self,
        mut record: Record,
        came: Came<'_>,
        writer: &mut RecordWriter,
    ) -> Result<(), OutputError> {
        let is_picked = self.criteria.pick(&record);
        self.unmet.look(&self.criteria, &record);
        if let Some(count) = &mut self.count {
            count.add(is_picked, conditions(&record));
            return Ok(());
        }
        if !is_picked {
            return Ok(());
        }
        self.picked += 1;
        if let Came::Json(text) = came
            && self.port.is_none()
            && self.keys.is_all()
        {
            return writer.write_line(text);
        }
        let mut came = came.beside_the_record();
        if let Some(port) = self.port {
            record.set("dp", port);
            came.iter_mut().for_each(|came| came.unsay("dp"));
        }
        if !self.keys.is_all() {
            record = self.keys.of(&record);
            let keys = &self.keys;
            came.iter_mut().for_each(|came| came.retain(|key| keys.is_whole(key)));
        }
        writer.write(&Told { record, came })
    }

    /// Writes the count, if there is one.
    fn count(&mut self, as_json: bool, writer: &mut RecordWriter) -> Result<(), Ended> {
        let Some(count) = self.count.take() else { return Ok(()) };
        let listing = count.listing(self.bad.total());
        let text = if as_json {
            shell::to_json(&listing).map_err(Ended::Failed)?
        } else {
            listing.to_string().into_bytes()
        };
        writer.write_line(text.trim_ascii_end()).map_err(no_output)
    }

    /// Says what was asked for that no record has.
    fn tell(&self) {
        self.bad.rest().for_each(|line| say!("{line}"));
        self.unmet.tell(&self.criteria);
        if self.picked > 0 {
            self.keys
                .missing()
                .for_each(|key| say!("no record that was picked has the key {key:?}"));
        }
    }
}

fn finish(writer: &mut RecordWriter) -> Result<(), Ended> {
    writer.finish().map_err(no_output)
}

/// Refuses to write over what is to be read.
fn check_files(inputs: &[Input], output: &Output) -> Result<(), Failure> {
    use std::os::unix::fs::MetadataExt;
    let identity = |path: &Path| path.metadata().ok().map(|file| (file.dev(), file.ino()));
    let Output::File(to) = output else { return Ok(()) };
    let is_output = |input: &Input| match input {
        Input::Stdin | Input::Words(_) => false,
        Input::File(from) => identity(from).is_some() && identity(from) == identity(to),
    };
    if inputs.iter().any(is_output) {
        let message = format!("{} is both input and output", to.display());
        return Err(Failure::new(Exit::Usage, message));
    }
    Ok(())
}

fn no_output(error: OutputError) -> Ended {
    match error.error.kind() {
        io::ErrorKind::BrokenPipe if !closed::is_output() => Ended::NobodyReads,
        _ => Ended::Failed(Failure::new(Exit::NoOutput, error)),
    }
}
