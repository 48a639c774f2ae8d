//! Where lines go: a stream, or a file, perhaps compressed in frames.
//!
//! A compressed file is a row of frames (zstd, RFC 8878) or members (gzip, RFC 1952), each whole
//! in itself and of whole lines. A frame is written when it is complete, so that a kill loses no
//! more than the lines that wait for their frame, and what was there stays readable. Every reader
//! of these formats takes such a row as one file.

use std::io;
use std::time::{Duration, Instant};

use super::codec::Codec;
use pathspider_runtime::files::{Opened, Outlet};
use pathspider_runtime::streams;

/// Octets of lines that make a frame at the most.
const FRAME: usize = 1 << 20;

/// How long lines wait for their frame at the most; together with the time between two looks
/// (`LOOK` of the merger) less than a second.
const FRAME_TIME: Duration = Duration::from_millis(700);

/// Takes whole lines.
pub(super) struct Sink {
    outlet: Outlet,
    codec: Codec,
    /// When the last frame was written.
    written: Instant,
}

impl Sink {
    pub(super) fn standard_output() -> Sink {
        Sink::new(Outlet::stream(streams::output()), Codec::Plain)
    }

    /// A file whose first `length` octets are good.
    pub(super) fn file(opened: &Opened, codec: Codec, length: u64) -> io::Result<Sink> {
        Ok(Sink::new(Outlet::new(opened, length)?, codec))
    }

    fn new(outlet: Outlet, codec: Codec) -> Sink {
        Sink { outlet, codec, written: Instant::now() }
    }

    /// Whether this many octets of lines should be given now.
    pub(super) fn wants(&self, length: usize) -> bool {
        match self.codec {
            Codec::Plain => length > 0,
            Codec::Frames(_) => {
                length >= FRAME || length > 0 && self.written.elapsed() >= FRAME_TIME
            }
        }
    }

    /// Writes lines. Where it fails, a file is left with whole lines only.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.written = Instant::now();
        match self.codec {
            Codec::Plain => self.outlet.write(lines, whole_lines),
            Codec::Frames(compression) => self.outlet.write(&compression.encode(lines)?, |_| 0),
        }
    }

    /// Octets of a file that are good; none of a stream.
    pub(super) fn good(&self) -> u64 {
        self.outlet.good()
    }

    /// To be called now and then, so that the disk keeps what was written.
    pub(super) fn tick(&mut self) -> io::Result<()> {
        self.outlet.tick()
    }

    /// Has the disk keep what was written.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.outlet.finish()
    }
}

/// Octets up to the end of the last line.
fn whole_lines(octets: &[u8]) -> usize {
    octets.iter().rposition(|&octet| octet == b'\n').map_or(0, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::path::{Path, PathBuf};

    use super::*;
    use pathspider_runtime::files::{self, Existing};

    fn open(path: &Path, existing: Existing, length: u64) -> io::Result<Sink> {
        let opened = files::open(path, existing, &|| false)?;
        Sink::file(&opened, Codec::of(path), length)
    }

    fn path(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("pathspider-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        path
    }

    fn content(path: &Path) -> String {
        let file = Box::new(File::open(path).unwrap());
        let mut text = String::new();
        pathspider_runtime::decompress::by_content(file)
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        text
    }

    #[test]
    fn frames_make_one_file() {
        for name in ["sink.ndjson", "sink.ndjson.zst", "sink.ndjson.gz"] {
            let path = path(name);
            let mut sink = open(&path, Existing::Refuse, 0).unwrap();
            sink.write(b"1\n").unwrap();
            let first = path.metadata().unwrap().len();
            sink.write(b"2\n3\n").unwrap();
            sink.finish().unwrap();
            assert_eq!(content(&path), "1\n2\n3\n", "{name}");
            assert!(open(&path, Existing::Continue, 0).is_err(), "held");
            drop(sink);
            // What is torn is cut when it is continued.
            let mut sink = open(&path, Existing::Continue, first).unwrap();
            sink.write(b"4\n").unwrap();
            assert_eq!(content(&path), "1\n4\n", "{name}");
            std::fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn frames_wait_and_lines_do_not() {
        let plain = path("wait");
        let sink = open(&plain, Existing::Refuse, 0).unwrap();
        assert!(sink.wants(1) && !sink.wants(0));
        std::fs::remove_file(plain).unwrap();
        let frames = path("wait.zst");
        let mut sink = open(&frames, Existing::Refuse, 0).unwrap();
        assert!(!sink.wants(1) && sink.wants(FRAME));
        sink.written -= FRAME_TIME;
        assert!(sink.wants(1) && !sink.wants(0));
        std::fs::remove_file(frames).unwrap();
    }
}
