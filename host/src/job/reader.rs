//! Reads jobs from a file or from standard input, one per line.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};

use pathspider_plugin_api::Job;

use super::{csv, ndjson};

/// A line longer than this is no job; it bounds the memory that damaged input can take.
const LONGEST_LINE: u64 = 1 << 20;

/// The target of a job that has a name only.
const UNSPECIFIED: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// How jobs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object per line.
    Ndjson,
    /// PATHspider's comma-separated rows.
    Csv,
    /// Either, decided line by line: an object begins with a brace.
    Either,
}

/// Where jobs come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Standard input.
    Stdin,
    /// A file.
    File(PathBuf),
}

impl Input {
    /// The input that an argument names: `-` is standard input.
    pub fn from_argument(path: &Path) -> Input {
        if path == Path::new("-") { Input::Stdin } else { Input::File(path.to_owned()) }
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::Stdin => f.write_str("standard input"),
            Input::File(path) => path.display().fmt(f),
        }
    }
}

/// A line that is not a job. The run goes on without it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{input}:{line}: not a job: {reason}")]
pub struct BadLine {
    /// The input's name.
    pub input: String,
    /// The line's number, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

/// The input cannot be read, or not further.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {input}: {error}")]
pub struct ReadError {
    /// The input's name.
    pub input: String,
    /// The system's reason.
    pub error: io::Error,
}

/// What the measurement says of lines that leave something out.
#[derive(Debug, Clone, Copy)]
pub struct Defaults {
    /// The port of a line without `dp`.
    pub port: u16,
    /// Whether a line may have a `domain` and no `dip`.
    pub names: bool,
}

/// An iterator over the jobs of an input.
pub struct JobReader {
    input: Input,
    lines: Box<dyn BufRead + Send>,
    format: Format,
    defaults: Defaults,
    line: u64,
    number: u64,
    buffer: Vec<u8>,
}

impl JobReader {
    /// Opens an input.
    ///
    /// # Errors
    ///
    /// It does not exist, is a folder, or may not be read.
    pub fn open(input: Input, format: Format, defaults: Defaults) -> Result<JobReader, ReadError> {
        let lines: Box<dyn BufRead + Send> = match &input {
            Input::Stdin => Box::new(BufReader::with_capacity(1 << 16, io::stdin())),
            Input::File(path) => {
                let file = File::open(path).and_then(|file| {
                    if file.metadata()?.is_dir() {
                        return Err(io::Error::from(io::ErrorKind::IsADirectory));
                    }
                    Ok(file)
                });
                let file = file.map_err(|error| ReadError { input: input.to_string(), error })?;
                Box::new(BufReader::with_capacity(1 << 16, file))
            }
        };
        Ok(JobReader { input, lines, format, defaults, line: 0, number: 0, buffer: Vec::new() })
    }

    /// The next job; `None` at the input's end.
    ///
    /// # Errors
    ///
    /// The input cannot be read further.
    pub fn next_job(&mut self) -> Result<Option<Result<Job, BadLine>>, ReadError> {
        loop {
            if !self.read_line()? {
                return Ok(None);
            }
            let line = self.buffer.trim_ascii();
            if line.is_empty() {
                continue;
            }
            let parsed = if self.buffer.len() as u64 > LONGEST_LINE {
                Err(format!("the line is longer than {LONGEST_LINE} octets"))
            } else {
                match self.format {
                    Format::Csv => csv::parse(line),
                    Format::Either if !line.starts_with(b"{") => csv::parse(line),
                    _ => ndjson::parse(line),
                }
            };
            let parsed = parsed.and_then(|target| {
                let named = self.defaults.names.then_some(UNSPECIFIED);
                let address = target.address.or(named);
                Ok((address.ok_or("it has no dip, the target's address")?, target))
            });
            return Ok(Some(match parsed {
                Ok((address, target)) => {
                    let port = target.port.unwrap_or(self.defaults.port);
                    let job = Job::new(self.number, address, port, target.record);
                    self.number += 1;
                    Ok(job)
                }
                Err(reason) => {
                    Err(BadLine { input: self.input.to_string(), line: self.line, reason })
                }
            }));
        }
    }

    /// Reads the next line; `false` at the end.
    fn read_line(&mut self) -> Result<bool, ReadError> {
        self.buffer.clear();
        let fail = |error| ReadError { input: self.input.to_string(), error };
        let mut limited = (&mut self.lines).take(LONGEST_LINE + 1);
        let length = limited.read_until(b'\n', &mut self.buffer).map_err(fail)?;
        if length as u64 > LONGEST_LINE && self.buffer.last() != Some(&b'\n') {
            self.skip_line()?;
        }
        if self.line == 0 && self.buffer.starts_with(b"\xef\xbb\xbf") {
            self.buffer.drain(..3);
        }
        self.line += 1;
        Ok(length > 0)
    }

    /// Passes over the rest of a line without keeping it.
    fn skip_line(&mut self) -> Result<(), ReadError> {
        loop {
            let fail = |error| ReadError { input: self.input.to_string(), error };
            let chunk = self.lines.fill_buf().map_err(fail)?;
            let end = chunk.iter().position(|&byte| byte == b'\n');
            let used = end.map_or(chunk.len(), |at| at + 1);
            self.lines.consume(used);
            if end.is_some() || used == 0 {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8], format: Format) -> Vec<Result<Job, String>> {
        let mut reader = JobReader {
            input: Input::Stdin,
            lines: Box::new(io::Cursor::new(text.to_vec())),
            format,
            defaults: Defaults { port: 80, names: false },
            line: 0,
            number: 0,
            buffer: Vec::new(),
        };
        let mut jobs = Vec::new();
        while let Some(job) = reader.next_job().unwrap() {
            jobs.push(job.map_err(|bad| format!("{}: {}", bad.line, bad.reason)));
        }
        jobs
    }

    #[test]
    fn bad_lines_are_named_and_passed_over() {
        let mut text = b"\xef\xbb\xbf{\"dip\":\"192.0.2.1\"}\r\n\nnonsense\n".to_vec();
        text.extend(std::iter::repeat_n(b'x', 3 << 20));
        text.extend(b"\n{\"dip\":\"2001:db8::1\",\"dp\":443,\"rank\":7}");
        let jobs = read(&text, Format::Ndjson);
        assert_eq!(jobs.len(), 4);
        assert_eq!(jobs[0].as_ref().unwrap().port(), 80);
        assert!(jobs[1].as_ref().unwrap_err().starts_with("3: "));
        assert!(jobs[2].as_ref().unwrap_err().starts_with("4: the line is longer"));
        let last = jobs[3].as_ref().unwrap();
        assert_eq!((last.port(), last.number()), (443, 1));
        assert_eq!(last.record().u64("rank"), Some(7));
    }

    #[test]
    fn either_format_is_told_by_its_first_character() {
        let jobs = read(b"192.0.2.1,8080,example.org\n{\"dip\":\"192.0.2.2\"}\n", Format::Either);
        assert_eq!(jobs[0].as_ref().unwrap().port(), 8080);
        assert_eq!(jobs[1].as_ref().unwrap().target().to_string(), "192.0.2.2");
    }
}
