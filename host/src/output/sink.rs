//! Where lines go: a stream, or a file, perhaps compressed in frames.
//!
//! A compressed file is a row of frames (zstd, RFC 8878) or members (gzip, RFC 1952), each whole
//! in itself and of whole lines. A frame is written when it is complete, so that a kill loses no
//! more than the lines that wait for their frame, and what was there stays readable. Every reader
//! of these formats takes such a row as one file.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, bounded};

use crate::files::{self, Existing};

/// Octets of lines that make a frame at the most.
const FRAME: usize = 1 << 20;

/// How long lines wait for their frame at the most; together with the time between two looks
/// (`LOOK` of the merger) less than a second.
const FRAME_TIME: Duration = Duration::from_millis(700);

/// How often the disk is told to keep what it was given.
const SYNC: Duration = Duration::from_secs(2);

/// zstd's own default.
const ZSTD_LEVEL: i32 = 3;

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Plain,
    Zstd,
    Gzip,
}

impl Codec {
    /// The codec that a file's name asks for.
    pub(super) fn of(path: &Path) -> Codec {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("zst") => Codec::Zstd,
            Some("gz") => Codec::Gzip,
            _ => Codec::Plain,
        }
    }

    fn encode(self, lines: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Codec::Plain => Ok(lines.to_vec()),
            Codec::Zstd => zstd::bulk::compress(lines, ZSTD_LEVEL),
            Codec::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
                encoder.write_all(lines)?;
                encoder.finish()
            }
        }
    }
}

/// Takes whole lines.
pub(super) struct Sink {
    end: End,
    codec: Codec,
    /// When the last frame was written.
    written: Instant,
}

/// The last of the chain.
enum End {
    Stream(Box<dyn Write + Send>),
    File(Regular),
}

impl Sink {
    pub(super) fn standard_output() -> Sink {
        Sink::new(End::Stream(Box::new(io::stdout())), Codec::Plain)
    }

    /// Opens a file. `length` is how much of one that is continued is good.
    pub(super) fn file(path: &Path, existing: Existing, length: u64) -> io::Result<Sink> {
        let opened = files::open(path, existing)?;
        let codec = Codec::of(path);
        let end = match opened.regular {
            true => End::File(Regular::new(opened.file, length)?),
            false => End::Stream(Box::new(opened.file)),
        };
        Ok(Sink::new(end, codec))
    }

    fn new(end: End, codec: Codec) -> Sink {
        Sink { end, codec, written: Instant::now() }
    }

    /// Whether so many octets of lines should be given now.
    pub(super) fn wants(&self, length: usize) -> bool {
        match self.codec {
            Codec::Plain => length > 0,
            _ => length >= FRAME || length > 0 && self.written.elapsed() >= FRAME_TIME,
        }
    }

    /// Writes lines. Where it fails, a file is left with whole lines only.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.written = Instant::now();
        let frame;
        let octets = match self.codec {
            Codec::Plain => lines,
            codec => {
                frame = codec.encode(lines)?;
                &frame
            }
        };
        match &mut self.end {
            End::Stream(stream) => stream.write_all(octets).and_then(|()| stream.flush()),
            End::File(file) => file.write(octets, self.codec == Codec::Plain),
        }
    }

    /// Has the disk keep what was written.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        match &mut self.end {
            End::Stream(_) => Ok(()),
            End::File(file) => file.finish(),
        }
    }
}

/// A file that keeps what is written.
struct Regular {
    file: File,
    /// Its length as far as it is good.
    good: u64,
    syncer: Syncer,
}

impl Regular {
    fn new(mut file: File, length: u64) -> io::Result<Regular> {
        file.set_len(length)?;
        let good = file.seek(SeekFrom::End(0))?;
        let syncer = Syncer::start(file.try_clone()?)?;
        Ok(Regular { file, good, syncer })
    }

    fn write(&mut self, octets: &[u8], lines: bool) -> io::Result<()> {
        self.syncer.check()?;
        let mut written = 0;
        while written < octets.len() {
            match self.file.write(&octets[written..]) {
                Ok(0) => {
                    return self.torn(&octets[..written], lines, io::ErrorKind::WriteZero.into());
                }
                Ok(length) => written += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.torn(&octets[..written], lines, error),
            }
        }
        self.good += octets.len() as u64;
        self.syncer.written();
        Ok(())
    }

    /// Takes back what is no whole line or frame.
    fn torn(&mut self, written: &[u8], lines: bool, error: io::Error) -> io::Result<()> {
        if lines {
            let end = written.iter().rposition(|&octet| octet == b'\n').map_or(0, |at| at + 1);
            self.good += end as u64;
        }
        self.file.set_len(self.good)?;
        Err(error)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.syncer.check()?;
        self.file.sync_data()
    }
}

/// Has the disk keep what was written, from a thread of its own: that may take long, and fail.
struct Syncer {
    wake: Option<Sender<()>>,
    failure: Receiver<io::Error>,
    last: Instant,
    thread: Option<JoinHandle<()>>,
}

impl Syncer {
    fn start(file: File) -> io::Result<Syncer> {
        let (wake, woken) = bounded::<()>(1);
        let (fail, failure) = bounded(1);
        let thread = thread::Builder::new().name("syncer".into()).spawn(move || {
            for () in woken {
                if let Err(error) = file.sync_data() {
                    let _ = fail.try_send(error);
                }
            }
        })?;
        Ok(Syncer { wake: Some(wake), failure, last: Instant::now(), thread: Some(thread) })
    }

    fn written(&mut self) {
        if self.last.elapsed() >= SYNC {
            self.last = Instant::now();
            // One that is still at work does it for us, too, next time.
            let _ = self.wake.as_ref().map(|wake| wake.try_send(()));
        }
    }

    fn check(&self) -> io::Result<()> {
        self.failure.try_recv().map_or(Ok(()), Err)
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        drop(self.wake.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::path::PathBuf;

    use super::*;

    fn path(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("pathspider-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        path
    }

    fn content(path: &Path) -> String {
        let file = Box::new(File::open(path).unwrap());
        let mut text = String::new();
        crate::decompress::by_content(file).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn frames_make_one_file() {
        for name in ["sink.ndjson", "sink.ndjson.zst", "sink.ndjson.gz"] {
            let path = path(name);
            let mut sink = Sink::file(&path, Existing::Refuse, 0).unwrap();
            sink.write(b"1\n").unwrap();
            let first = path.metadata().unwrap().len();
            sink.write(b"2\n3\n").unwrap();
            sink.finish().unwrap();
            assert_eq!(content(&path), "1\n2\n3\n", "{name}");
            assert!(Sink::file(&path, Existing::Continue, 0).is_err(), "held");
            drop(sink);
            // What is torn is cut when it is continued.
            let mut sink = Sink::file(&path, Existing::Continue, first).unwrap();
            sink.write(b"4\n").unwrap();
            assert_eq!(content(&path), "1\n4\n", "{name}");
            std::fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn frames_wait_and_lines_do_not() {
        let plain = path("wait");
        let sink = Sink::file(&plain, Existing::Refuse, 0).unwrap();
        assert!(sink.wants(1) && !sink.wants(0));
        std::fs::remove_file(plain).unwrap();
        let frames = path("wait.zst");
        let mut sink = Sink::file(&frames, Existing::Refuse, 0).unwrap();
        assert!(!sink.wants(1) && sink.wants(FRAME));
        sink.written -= FRAME_TIME;
        assert!(sink.wants(1) && !sink.wants(0));
        std::fs::remove_file(frames).unwrap();
    }
}
