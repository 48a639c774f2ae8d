//! What an output has already, when a run goes on with it: which targets, and up to where it is
//! good.
//!
//! The output itself says which targets are done: there is no other state that could disagree with
//! it. What a kill tore is cut: half a line, half a frame; and the last job's records where it has
//! several, for some may be missing. Anything else that is no record is damage, or somebody else's,
//! and is refused.

mod frames;

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::sink::Codec;
use crate::job::{Done, Identity};
use frames::frames;

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

/// What of a record tells its target. The input and the plugin may have other kinds of values there.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "jobId", borrow)]
    job_id: Cow<'a, str>,
    #[serde(borrow)]
    dip: Option<Key<'a>>,
    dp: Option<Key<'a>>,
    #[serde(borrow)]
    domain: Option<Key<'a>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Key<'a> {
    Number(u16),
    Text(#[serde(borrow)] Cow<'a, str>),
    Other(IgnoredAny),
}

impl Key<'_> {
    fn text(&self) -> Option<&str> {
        match self {
            Key::Text(text) => Some(text),
            Key::Number(_) | Key::Other(_) => None,
        }
    }

    fn number(&self) -> Option<u16> {
        match self {
            Key::Number(number) => Some(*number),
            Key::Text(text) => text.trim().parse().ok(),
            Key::Other(_) => None,
        }
    }
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

/// Reads an output, and adds its targets to `done`.
///
/// # Errors
///
/// It cannot be read, or has something that is neither a record nor torn.
pub(crate) fn scan(mut file: &File, codec: Codec, done: &mut Done) -> io::Result<Good> {
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(0))?;
    let reader = BufReader::with_capacity(1 << 20, file);
    let length = match codec {
        Codec::Plain => {
            let mut lines = Lines::new(done);
            lines.read(reader)?;
            let torn = size - lines.whole;
            match lines.bad {
                Some(bad) if lines.count > bad || torn > TORN => return Err(no_record(bad)),
                _ => lines.end(false),
            }
        }
        codec => frames(reader, codec, done)?,
    };
    Ok(Good { length, torn: size - length })
}

fn no_record(line: u64) -> io::Error {
    io::Error::other(format!("line {line} is no record of a measurement"))
}

/// Takes lines, and knows up to where they are good.
struct Lines<'d> {
    done: &'d mut Done,
    /// Octets of lines that were read.
    read: u64,
    /// Octets up to the first line that is no record.
    whole: u64,
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
        Lines { done, read: 0, whole: 0, count: 0, last: None, bad: None }
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
            return Err(no_record(bad));
        }
        self.whole = self.read;
        let id = match several {
            true => head.job_id.rsplit_once('.').map_or(&*head.job_id, |(id, _)| id),
            false => &head.job_id,
        };
        match &mut self.last {
            Some(last) if last.id == id => last.ends = self.read,
            _ => {
                let target = Identity {
                    line: number + 1,
                    address: head.dip.and_then(|dip| dip.text()?.trim().parse().ok()),
                    port: head.dp.and_then(|port| port.number()),
                    domain: head.domain.and_then(|domain| domain.text().map(str::to_owned)),
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

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::{Path, PathBuf};

    use super::*;

    fn scan_path(path: &Path, done: &mut Done) -> io::Result<Good> {
        scan(&File::open(path).unwrap(), Codec::of(path), done)
    }

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
        let good = scan_path(path, &mut done).unwrap();
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
    fn damage_before_whole_frames_is_refused() {
        let gzip = |text: &str| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
            encoder.write_all(text.as_bytes()).unwrap();
            encoder.finish().unwrap()
        };
        let zstd = |text: &str| Codec::Zstd.encode(text.as_bytes()).unwrap();
        let texts: Vec<String> = (0..4).map(|n| record(n, None)).collect();
        for (name, frames) in [
            ("damage.ndjson.gz", texts.iter().map(|text| gzip(text)).collect::<Vec<_>>()),
            ("damage.ndjson.zst", texts.iter().map(|text| zstd(text)).collect()),
        ] {
            let all = frames.concat();
            let (second, third) = (frames[0].len(), frames[0].len() + frames[1].len());
            // A few bits of the headers say nothing; all others are known to be wrong.
            let mut refused = 0;
            for at in second..third {
                let mut octets = all.clone();
                octets[at] ^= 0x10;
                let mut done = Done::new(false, false);
                match scan_path(&file(name, &octets), &mut done) {
                    Ok(good) => assert_eq!((done.count(), good.torn), (4, 0), "{name} {at}"),
                    Err(error) => {
                        refused += 1;
                        assert!(error.to_string().contains("damaged at octet"), "{name} {at}");
                    }
                }
            }
            assert!(refused > frames[1].len() - 10, "{name}: {refused}");
            // The same at the end is a tear.
            let mut octets = all[..third].to_vec();
            octets[third - 20] ^= 0x10;
            assert_eq!(found(&file(name, &octets)), (1, second as u64), "{name}");
            std::fs::remove_file(file(name, b"")).unwrap();
        }
    }

    #[test]
    fn keys_of_other_kinds_are_no_damage() {
        let text = "{\"domain\":\"a.example\",\"dp\":\"53\",\"jobId\":\"a1-0\"}\n\
                    {\"domain\":7,\"dip\":null,\"dp\":[],\"jobId\":\"a1-1\"}\n";
        let path = file("kinds.ndjson", text.as_bytes());
        assert_eq!(found(&path), (2, text.len() as u64));
        let mut done = Done::new(true, false);
        scan_path(&path, &mut done).unwrap();
        assert!(done.has_line(1, Some(53), Some("a.example")));
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn what_is_no_output_is_refused() {
        let whole = record(0, None);
        for (text, line) in [
            (whole.clone() + "nonsense\n" + &record(1, None), "line 2"),
            // A kill tears one line.
            (whole + "nonsense\nmore\n", "line 2"),
            ("dear diary\ntoday\n".to_owned(), "line 1"),
        ] {
            let path = file("foreign.ndjson", text.as_bytes());
            let error = scan_path(&path, &mut Done::new(false, false)).unwrap_err();
            assert!(error.to_string().contains(line), "{error}");
            std::fs::remove_file(path).unwrap();
        }
    }
}
