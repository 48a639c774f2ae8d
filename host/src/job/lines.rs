//! Opens an input, compressed or not, and reads it line by line.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::extent::Extent;
use super::utf16;
use pathspider_runtime::{closed, decompress, files, streams};

/// A line longer than this is no job; it bounds the memory that damaged input can take.
pub(super) const LONGEST_LINE: u64 = 1 << 20;

/// What may stand before a text in UTF-8, and means nothing.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Where jobs come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Standard input.
    Stdin,
    /// A file.
    File(PathBuf),
    /// Words of the command line, a target each.
    Words(Vec<String>),
}

impl Input {
    /// The input that an argument names: `-` is standard input.
    pub fn from_argument(path: &Path) -> Input {
        if path == Path::new("-") { Input::Stdin } else { Input::File(files::absolute(path)) }
    }

    /// # Errors
    ///
    /// It does not exist, is a folder, or may not be read.
    fn open(&self) -> io::Result<(Box<dyn Read + Send>, Option<Extent>)> {
        match self {
            Input::Stdin => {
                closed::check_input()?;
                Ok((Box::new(streams::input()), None))
            }
            Input::Words(words) => Ok((Box::new(Cursor::new(words.join("\n"))), None)),
            Input::File(path) => {
                let file = files::open_to_read(path)?;
                let kind = file.metadata()?.file_type();
                if kind.is_dir() {
                    return Err(io::Error::from(io::ErrorKind::IsADirectory));
                }
                if kind.is_fifo() {
                    return Ok((Box::new(Pipe { file, met: false }), None));
                }
                let (reader, extent) = Extent::of(file)?;
                Ok((Box::new(reader), extent))
            }
        }
    }
}

/// A named pipe, which ends when its writers are gone, and not before there was one.
struct Pipe {
    file: File,
    met: bool,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.met {
            // Of a pipe that never had a writer it gives nothing, not even its end (pipe(7)).
            match poll(&mut [PollFd::new(&self.file, PollFlags::IN)], None) {
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
                Ok(_) => self.met = true,
            }
        }
        self.file.read(buffer)
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::Stdin => f.write_str("standard input"),
            Input::File(path) => path.display().fmt(f),
            Input::Words(_) => f.write_str("the command line"),
        }
    }
}

/// The input cannot be read, or not further.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {input}: {error}")]
pub struct ReadError {
    /// The input's name.
    pub input: String,
    /// The system's reason, or what is wrong with compressed data.
    pub error: io::Error,
}

/// The lines of an input.
pub struct Lines {
    name: String,
    reader: Reader,
    longest: u64,
    /// Lines that were put back, and are read again.
    again: Cursor<Vec<u8>>,
    number: u64,
    extent: Option<Extent>,
}

enum Reader {
    /// Nothing was read: a pipe may be silent for long, and only the feeder may wait for it.
    Fresh(Box<dyn Read + Send>),
    Open(BufReader<Box<dyn Read + Send>>),
    /// Decompression could not begin.
    Broken,
}

impl Reader {
    /// The reader before anything is read; broken until it is opened.
    fn take_fresh(&mut self) -> Option<Box<dyn Read + Send>> {
        match std::mem::replace(self, Reader::Broken) {
            Reader::Fresh(reader) => Some(reader),
            other => {
                *self = other;
                None
            }
        }
    }
}

impl Lines {
    /// Opens an input, and reads nothing yet.
    ///
    /// # Errors
    ///
    /// It does not exist, is a folder, or may not be read.
    pub fn open(input: &Input) -> Result<Lines, ReadError> {
        let name = input.to_string();
        match input.open() {
            Ok((reader, extent)) => Ok(Lines { extent, ..Lines::new(name, reader) }),
            Err(error) => Err(ReadError { input: name, error }),
        }
    }

    pub(super) fn new(name: String, reader: Box<dyn Read + Send>) -> Lines {
        let (reader, again) = (Reader::Fresh(reader), Cursor::default());
        Lines { name, reader, longest: LONGEST_LINE, again, number: 0, extent: None }
    }

    /// Cuts lines that are longer than this, instead of those longer than any job.
    pub fn with_longest(mut self, octets: u64) -> Lines {
        self.longest = octets;
        self
    }

    /// The input's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How much of a file was read, told while it goes on.
    pub(super) fn extent(&self) -> Option<Extent> {
        self.extent.clone()
    }

    /// Checks that what came to its end is as long as it was at the begin.
    fn check_end(&self) -> io::Result<()> {
        if self.extent.as_ref().is_some_and(Extent::is_cut) {
            Err(io::Error::other("somebody has cut it off while it was read"))
        } else {
            Ok(())
        }
    }

    /// The number, from 1, of the line that was read last.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Appends the next line with its end to `line`, and gives its length; 0 at the input's end.
    /// A line that is too long is cut, and so longer than allowed by one octet.
    ///
    /// # Errors
    ///
    /// The input cannot be read further.
    pub fn read(&mut self, line: &mut Vec<u8>) -> Result<u64, ReadError> {
        let length = self.read_into(line).map_err(|error| self.fail(error))?;
        match length {
            0 => self.check_end().map_err(|error| self.fail(error))?,
            _ => self.number += 1,
        }
        Ok(length)
    }

    /// Whether the next line may have to be waited for.
    pub fn is_drained(&self) -> bool {
        match &self.reader {
            Reader::Open(reader) => reader.buffer().is_empty(),
            Reader::Fresh(_) | Reader::Broken => true,
        }
    }

    /// Gives back this many lines, which were read last, to be read again.
    pub(super) fn put_back(&mut self, lines: Vec<u8>, count: u64) {
        let mut lines = lines;
        // In memory: nothing can fail.
        let _ = self.again.read_to_end(&mut lines);
        self.again = Cursor::new(lines);
        self.number -= count;
    }

    /// How many lines are left; `None` where the counting `is_over` before.
    pub(super) fn count_rest(mut self, is_over: impl Fn() -> bool) -> io::Result<Option<u64>> {
        let mut count = newlines(self.again.fill_buf()?);
        let Some(reader) = self.reader()? else { return Ok(Some(count)) };
        let mut is_open = false;
        loop {
            let octets = reader.fill_buf()?;
            let Some(last) = octets.last() else { break };
            is_open = *last != b'\n';
            count += newlines(octets);
            let length = octets.len();
            reader.consume(length);
            if is_over() {
                return Ok(None);
            }
        }
        Ok(Some(count + u64::from(is_open)))
    }

    fn fail(&self, error: io::Error) -> ReadError {
        ReadError { input: self.name.clone(), error }
    }

    fn read_into(&mut self, line: &mut Vec<u8>) -> io::Result<u64> {
        if self.again.position() < self.again.get_ref().len() as u64 {
            return Ok(self.again.read_until(b'\n', line)? as u64);
        }
        let longest = self.longest;
        let Some(reader) = self.reader()? else { return Ok(0) };
        let length = reader.take(longest + 1).read_until(b'\n', line)? as u64;
        if length > longest && line.last() != Some(&b'\n') {
            reader.skip_until(b'\n')?;
        }
        Ok(length)
    }

    /// What is read, opened where it was not yet; `None` where that could not begin.
    fn reader(&mut self) -> io::Result<Option<&mut BufReader<Box<dyn Read + Send>>>> {
        if let Some(reader) = self.reader.take_fresh() {
            let content = utf16::by_mark(decompress::by_content(reader)?)?;
            let mut reader = BufReader::with_capacity(1 << 16, content);
            if reader.fill_buf()?.starts_with(BYTE_ORDER_MARK) {
                reader.consume(BYTE_ORDER_MARK.len());
            }
            self.reader = Reader::Open(reader);
        }
        match &mut self.reader {
            Reader::Open(reader) => Ok(Some(reader)),
            Reader::Fresh(_) | Reader::Broken => Ok(None),
        }
    }
}

fn newlines(octets: &[u8]) -> u64 {
    octets.iter().filter(|&&octet| octet == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn all(bytes: Vec<u8>) -> Result<String, ReadError> {
        let mut lines = Lines::new("test".into(), Box::new(Cursor::new(bytes)));
        let mut text = Vec::new();
        while lines.read(&mut text)? > 0 {}
        Ok(format!("{} {}", lines.number(), String::from_utf8_lossy(&text)))
    }

    #[test]
    fn compressed_input_is_told_by_its_content() {
        let text = b"one\ntwo\n".repeat(1000);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&text).unwrap();
        let gzip = gzip.finish().unwrap();
        let zstd = zstd::encode_all(&text[..], 1).unwrap();
        let mut xz = Vec::new();
        liblzma::read::XzEncoder::new(&text[..], 1).read_to_end(&mut xz).unwrap();
        let plain = all(text).unwrap();
        assert!(plain.starts_with("2000 one\ntwo\n"));
        for compressed in [gzip.clone(), zstd, xz] {
            assert_eq!(all(compressed).unwrap(), plain);
        }
        assert!(all(gzip[..gzip.len() / 2].to_vec()).is_err(), "cut in the middle");
    }

    #[test]
    fn what_is_compressed_otherwise_says_so() {
        for (content, word) in [
            (&b"BZh91AY&SY"[..], "bzip2"),
            (b"PK\x03\x04....", "zip"),
            (b"\x04\x22\x4d\x18....", "LZ4"),
        ] {
            let error = all(content.to_vec()).unwrap_err().to_string();
            assert!(error.contains(word) && error.contains("decompress it first"), "{error}");
        }
    }

    #[test]
    fn utf_16_is_told_by_its_mark() {
        let text = "\u{feff}münchen\n𝄞\n";
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for octets in [little, big] {
            assert_eq!(all(octets).unwrap(), "2 münchen\n𝄞\n");
        }
        assert_eq!(all(b"\xff\xfe\n".to_vec()).unwrap(), "1 \u{fffd}", "half of a character");
    }

    #[test]
    fn lines_that_are_put_back_keep_their_numbers() {
        let mut lines = Lines::new("test".into(), Box::new(Cursor::new(b"a\nb\nc\nd".to_vec())));
        let mut text = Vec::new();
        for _ in 0..3 {
            lines.read(&mut text).unwrap();
        }
        lines.put_back(b"b\nc\n".to_vec(), 2);
        let mut seen = Vec::new();
        loop {
            let mut line = Vec::new();
            if lines.read(&mut line).unwrap() == 0 {
                break;
            }
            seen.push((lines.number(), String::from_utf8(line).unwrap()));
        }
        assert_eq!(seen, [(2, "b\n".into()), (3, "c\n".into()), (4, "d".into())]);
    }
}
