//! What an output has already, when a run goes on with it: which targets, and up to where it is
//! good.
//!
//! The output itself says which targets are done: there is no other state that could disagree with
//! it. What a kill tore is cut: half a line, half a frame; and the last job's records where it has
//! several, for some may be missing.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use serde::Deserialize;

use super::sink::Codec;
use crate::job::{Done, Identity};

/// What is torn is less than this: a frame, and what is read of a file at once.
const TORN: u64 = 8 << 20;

/// What an output has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Good {
    /// Octets that are good.
    pub(crate) length: u64,
    /// Octets after them, which are not.
    pub(crate) torn: u64,
}

/// What of a record tells its target.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "jobId", borrow)]
    job_id: Cow<'a, str>,
    #[serde(borrow)]
    dip: Option<Cow<'a, str>>,
    dp: Option<u16>,
    #[serde(borrow)]
    domain: Option<Cow<'a, str>>,
}

impl<'a> Head<'a> {
    /// With the job's number, and whether it is one of several records of that job.
    fn numbered(self) -> Option<(Head<'a>, u64, bool)> {
        let (_, number) = self.job_id.rsplit_once('-')?;
        let (number, several) = match number.split_once('.') {
            Some((number, _)) => (number.parse().ok()?, true),
            None => (number.parse().ok()?, false),
        };
        Some((self, number, several))
    }
}

/// Reads an output, and adds its targets to `done`. One that is not there has none.
///
/// # Errors
///
/// It cannot be read, or has something between its records that is none.
pub(crate) fn scan(path: &Path, done: &mut Done) -> io::Result<Good> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Good { length: 0, torn: 0 });
        }
        Err(error) => return Err(error),
    };
    let size = file.metadata()?.len();
    let reader = BufReader::with_capacity(1 << 20, file);
    let length = match Codec::of(path) {
        Codec::Plain => {
            let mut lines = Lines::new(done);
            lines.read(reader)?;
            lines.end(false)
        }
        codec => frames(reader, codec, size, done)?,
    };
    Ok(Good { length, torn: size - length })
}

/// Takes lines, and knows up to where they are good.
struct Lines<'d> {
    done: &'d mut Done,
    /// Octets of lines that were read.
    read: u64,
    /// How many lines.
    count: u64,
    /// The job whose records are being read.
    last: Option<Last>,
    /// The first line that is no record.
    bad: Option<u64>,
}

/// A job of which all, or all but some of several records, were read.
struct Last {
    id: String,
    several: bool,
    begins: u64,
    ends: u64,
    target: Identity,
}

impl<'d> Lines<'d> {
    fn new(done: &'d mut Done) -> Lines<'d> {
        Lines { done, read: 0, count: 0, last: None, bad: None }
    }

    fn read(&mut self, mut reader: impl BufRead) -> io::Result<()> {
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 {
            self.line(&line)?;
            line.clear();
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8]) -> io::Result<()> {
        let begins = self.read;
        self.read += line.len() as u64;
        self.count += 1;
        let whole = line.ends_with(b"\n");
        let head = serde_json::from_slice::<Head<'_>>(line).ok().filter(|_| whole);
        let Some((head, number, several)) = head.and_then(Head::numbered) else {
            // A tear, unless a record follows it.
            self.bad.get_or_insert(self.count);
            return Ok(());
        };
        if let Some(bad) = self.bad {
            return Err(io::Error::other(format!("line {bad} is no record of a measurement")));
        }
        let id = match several {
            true => head.job_id.rsplit_once('.').map_or(&*head.job_id, |(id, _)| id),
            false => &head.job_id,
        };
        match &mut self.last {
            Some(last) if last.id == id => last.ends = self.read,
            _ => {
                let target = Identity {
                    line: number + 1,
                    address: head.dip.as_deref().and_then(|dip| dip.trim().parse().ok()),
                    port: head.dp,
                    domain: head.domain.as_deref().map(str::to_owned),
                };
                let (id, ends) = (id.to_owned(), self.read);
                let last = self.last.replace(Last { id, several, begins, ends, target });
                last.iter().for_each(|last| self.done.add(&last.target));
            }
        }
        Ok(())
    }

    /// Ends it; gives the octets that are good. Of a last job with several records some may be
    /// missing, unless they were written as a `whole`.
    fn end(self, whole: bool) -> u64 {
        match self.last {
            None => 0,
            Some(last) if last.several && !whole => last.begins,
            Some(last) => {
                self.done.add(&last.target);
                last.ends
            }
        }
    }
}

/// Reads frames until one is torn; gives the octets of those before it.
fn frames(reader: impl BufRead, codec: Codec, size: u64, done: &mut Done) -> io::Result<u64> {
    let mut reader = Counting { inner: reader, count: 0 };
    let mut good = 0;
    let mut frame = Vec::new();
    while !reader.fill_buf()?.is_empty() {
        frame.clear();
        let read = match codec {
            Codec::Gzip => flate2::bufread::GzDecoder::new(&mut reader).read_to_end(&mut frame),
            _ => zstd::Decoder::with_buffer(&mut reader)
                .and_then(|decoder| decoder.single_frame().read_to_end(&mut frame)),
        };
        let mut lines = Lines::new(done);
        let whole = read.and_then(|_| lines.read(&*frame)).and_then(|()| match lines.bad {
            Some(_) => Err(io::ErrorKind::InvalidData.into()),
            None => Ok(()),
        });
        match whole {
            Ok(()) => lines.end(true),
            Err(_) if size - good <= TORN => break,
            Err(error) => {
                return Err(io::Error::other(format!("it is damaged at octet {good}: {error}")));
            }
        };
        good = reader.count;
    }
    Ok(good)
}

/// Counts what was used of a reader.
struct Counting<R> {
    inner: R,
    count: u64,
}

impl<R: BufRead> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.count += length as u64;
        Ok(length)
    }
}

impl<R: BufRead> BufRead for Counting<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.count += amount as u64;
        self.inner.consume(amount);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::PathBuf;

    use super::*;

    fn record(number: u64, row: Option<u64>) -> String {
        let row = row.map(|row| format!(".{row}")).unwrap_or_default();
        format!(
            "{{\"dip\":\"192.0.2.{number}\",\"dp\":80,\"x\":[1],\"jobId\":\"a1-{number}{row}\"}}\n"
        )
    }

    fn file(name: &str, content: &[u8]) -> PathBuf {
        let path = std::env::temp_dir().join(format!("pathspider-{}-{name}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        path
    }

    /// How many targets a file has, and how many octets of it are good.
    fn found(path: &Path) -> (u64, u64) {
        let mut done = Done::new(false, false);
        let good = scan(path, &mut done).unwrap();
        assert_eq!(good.length + good.torn, path.metadata().unwrap().len());
        (done.count(), good.length)
    }

    #[test]
    fn wherever_it_is_torn_whole_jobs_are_left() {
        // The second job has two records.
        let parts = [record(0, None), record(1, Some(0)) + &record(1, Some(1)), record(2, None)];
        let text = parts.concat();
        let ends: Vec<u64> = (0..=3).map(|n| parts[..n].concat().len() as u64).collect();
        for length in 0..=text.len() {
            let path = file("torn.ndjson", &text.as_bytes()[..length]);
            let (count, good) = found(&path);
            assert_eq!(good, ends[count as usize], "cut at {length}");
            let whole = ends.iter().filter(|&&end| end <= length as u64).count() as u64 - 1;
            // The last job is not trusted where it has several records.
            let first_of_next = length as u64 == ends[2] || length < text.len() && whole == 2;
            assert_eq!(count, if first_of_next { 1 } else { whole }, "cut at {length}");
            // Zeros, as a power cut may leave them.
            let zeros = [&text.as_bytes()[..length], &[0; 64]].concat();
            assert_eq!(found(&file("torn.ndjson", &zeros)).1, good);
        }
        std::fs::remove_file(file("torn.ndjson", b"")).unwrap();
    }

    #[test]
    fn frames_are_good_as_a_whole() {
        let gzip = |text: &str| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
            encoder.write_all(text.as_bytes()).unwrap();
            encoder.finish().unwrap()
        };
        let zstd = |text: &str| zstd::bulk::compress(text.as_bytes(), 3).unwrap();
        let texts = [record(0, None), record(1, None) + &record(2, None), record(3, Some(0))];
        for (name, frames) in [
            ("frames.ndjson.gz", texts.iter().map(|text| gzip(text)).collect::<Vec<_>>()),
            ("frames.ndjson.zst", texts.iter().map(|text| zstd(text)).collect()),
        ] {
            let all = frames.concat();
            let ends: Vec<u64> = (0..=3).map(|n| frames[..n].concat().len() as u64).collect();
            for length in 0..=all.len() {
                let (count, good) = found(&file(name, &all[..length]));
                let whole = ends.iter().filter(|&&end| end <= length as u64).count() - 1;
                assert_eq!((count, good), ([0, 1, 3, 4][whole], ends[whole]), "{name} at {length}");
            }
            std::fs::remove_file(file(name, b"")).unwrap();
        }
    }

    #[test]
    fn what_is_no_output_is_refused() {
        let text = record(0, None) + "nonsense\n" + &record(1, None);
        let path = file("foreign.ndjson", text.as_bytes());
        let error = scan(&path, &mut Done::new(false, false)).unwrap_err();
        assert!(error.to_string().contains("line 2"), "{error}");
        std::fs::remove_file(path).unwrap();
        let none = scan(Path::new("/nonexistent/x"), &mut Done::new(false, false)).unwrap();
        assert_eq!(none, Good { length: 0, torn: 0 });
    }
}
