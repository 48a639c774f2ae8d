//! Writes captured frames to a capture file, with their times to the nanosecond.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::source::Frame;
use crate::files::{self, Existing, Opened, Outlet};

/// Octets of frames that wait for more before they are written.
const BUFFER: usize = 256 << 10;

/// Of the file's header, and of that of a packet.
const FILE_HEADER: usize = 24;
const PACKET_HEADER: usize = 16;

/// The first octets of the classic format's nanosecond variant, as this program writes it.
const MAGIC: u32 = 0xa1b2_3c4d;

/// The longest packet.
const SNAPLEN: u32 = 256 << 10;

/// Writes a capture file in the classic format, nanosecond variant.
pub struct PcapWriter {
    path: PathBuf,
    outlet: Outlet,
    /// Whole packets that wait.
    waiting: Vec<u8>,
    /// The link type of the file, once the first frame has said it.
    link: Option<u32>,
}

/// What is kept of a file that is there: nothing, or where it is continued all but the packet that
/// a kill tore.
#[derive(Debug)]
pub(crate) struct Kept {
    length: u64,
    link: Option<u32>,
}

impl Kept {
    /// Finds it out, and changes nothing.
    ///
    /// # Errors
    ///
    /// The file is to be continued, and none that this program wrote.
    pub(crate) fn find(opened: &Opened, existing: Existing) -> io::Result<Kept> {
        match existing == Existing::Continue && opened.regular {
            true => scan(&opened.file),
            false => Ok(Kept { length: 0, link: None }),
        }
    }
}

impl PcapWriter {
    /// Makes the file, or opens one as is said.
    ///
    /// # Errors
    ///
    /// The file cannot be made or opened, or to be continued is none that this program wrote.
    pub fn create(path: &Path, existing: Existing) -> io::Result<PcapWriter> {
        let mut opened = files::hold(path, existing, &|| false)?;
        let writer = PcapWriter::begin(path, &opened, &Kept::find(&opened, existing)?)?;
        opened.new.keep();
        Ok(writer)
    }

    /// Writes to a file that is held, after what is kept of it: the rest is cut off.
    ///
    /// # Errors
    ///
    /// It cannot be cut.
    pub(crate) fn begin(path: &Path, opened: &Opened, kept: &Kept) -> io::Result<PcapWriter> {
        Ok(PcapWriter::on(path, Outlet::new(opened, kept.length)?, kept.link))
    }

    /// Writes into an empty file that is open already.
    pub fn to(file: File) -> PcapWriter {
        PcapWriter::on(Path::new(""), Outlet::stream(file), None)
    }

    fn on(path: &Path, outlet: Outlet, link: Option<u32>) -> PcapWriter {
        let waiting = Vec::with_capacity(2 * BUFFER);
        PcapWriter { path: path.to_owned(), outlet, waiting, link }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a frame.
    ///
    /// # Errors
    ///
    /// Writing failed, or the frame has another link type than the first.
    pub fn write(&mut self, frame: &Frame<'_>) -> io::Result<()> {
        match self.link {
            None => self.head(frame.link_number),
            Some(link) if link != in_files(frame.link_number) => {
                return Err(io::Error::other(
                    "a capture file cannot hold frames of two link types",
                ));
            }
            Some(_) => {}
        }
        let seconds = frame.time_ns.div_euclid(1_000_000_000) as u32;
        let nanoseconds = frame.time_ns.rem_euclid(1_000_000_000) as u32;
        let captured = frame.bytes.len() as u32;
        for field in [seconds, nanoseconds, captured, frame.wire_length] {
            self.waiting.extend_from_slice(&field.to_le_bytes());
        }
        self.waiting.extend_from_slice(frame.bytes);
        if self.waiting.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    /// Writes what waits. Where it fails, the file is left with whole packets. To be called also
    /// when nothing does, so that the disk keeps what was written.
    ///
    /// # Errors
    ///
    /// Writing failed.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return self.outlet.tick();
        }
        let written = self.outlet.write(&self.waiting, |_| 0);
        self.waiting.clear();
        written
    }

    /// Writes what waits, and has the disk keep it. A file without a frame is a valid capture, of
    /// Ethernet.
    ///
    /// # Errors
    ///
    /// Writing failed.
    pub fn finish(mut self) -> io::Result<()> {
        if self.link.is_none() {
            self.head(1);
        }
        self.flush()?;
        self.outlet.finish()
    }

    fn head(&mut self, link: u32) {
        let link = in_files(link);
        self.link = Some(link);
        self.waiting.extend_from_slice(&header(link));
    }
}

/// A file's first octets: magic, version 2.4, two reserved fields, the longest packet, the link
/// type.
fn header(link: u32) -> [u8; FILE_HEADER] {
    let mut header = [0; FILE_HEADER];
    header[..4].copy_from_slice(&MAGIC.to_le_bytes());
    (header[4], header[6]) = (2, 4);
    header[16..20].copy_from_slice(&SNAPLEN.to_le_bytes());
    header[20..].copy_from_slice(&link.to_le_bytes());
    header
}

/// The number of a link type in files, where libpcap's own for raw IP differs.
fn in_files(link: u32) -> u32 {
    if link == 12 { 101 } else { link }
}

/// Finds out up to where a file has whole packets, and its link type.
fn scan(file: &File) -> io::Result<Kept> {
    let length = file.metadata()?.len();
    let mut reader = BufReader::with_capacity(1 << 20, file);
    reader.seek(SeekFrom::Start(0))?;
    let mut head = Vec::new();
    reader.by_ref().take(FILE_HEADER as u64).read_to_end(&mut head)?;
    // All but the link type is always the same.
    let same = head.len().min(FILE_HEADER - 4);
    if head[..same] != header(0)[..same] {
        return Err(io::Error::other("it is no capture that this program wrote"));
    }
    if head.len() < FILE_HEADER {
        // Torn before its first packet.
        return Ok(Kept { length: 0, link: None });
    }
    let field = |octets: &[u8], at: usize| {
        u32::from_le_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]])
    };
    let mut good = FILE_HEADER as u64;
    let mut packet = [0; PACKET_HEADER];
    while good + PACKET_HEADER as u64 <= length {
        reader.read_exact(&mut packet)?;
        let (nanoseconds, captured) = (field(&packet, 4), field(&packet, 8));
        let end = good + PACKET_HEADER as u64 + u64::from(captured);
        // What a power cut left may be anything, zeros above all.
        let sound = captured > 0 && captured <= SNAPLEN && nanoseconds < 1_000_000_000;
        if !sound || end > length {
            break;
        }
        reader.seek_relative(i64::from(captured))?;
        good = end;
    }
    Ok(Kept { length: good, link: Some(field(&head, 20)) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observer::link::Link;

    #[test]
    fn a_torn_packet_is_cut_and_the_file_goes_on() {
        let path =
            std::env::temp_dir().join(format!("pathspider-save-{}.pcap", std::process::id()));
        let frame = |time_ns| Frame {
            time_ns,
            link: Link::from_number(1).unwrap(),
            link_number: 1,
            bytes: &[7; 100],
            wire_length: 100,
        };
        let write = |existing, times: &[i64]| -> io::Result<()> {
            let mut writer = PcapWriter::create(&path, existing)?;
            times.iter().try_for_each(|&time_ns| writer.write(&frame(time_ns)))?;
            writer.finish()
        };
        write(Existing::Overwrite, &[1, 2]).unwrap();
        assert!(write(Existing::Refuse, &[3]).is_err());
        let text = std::fs::read(&path).unwrap();
        assert_eq!(text.len(), 24 + 2 * 116);
        for length in 0..=text.len() {
            std::fs::write(&path, &text[..length]).unwrap();
            write(Existing::Continue, &[3]).unwrap();
            let now = std::fs::read(&path).unwrap();
            let kept = length.saturating_sub(24) / 116;
            assert_eq!(now.len(), 24 + 116 * (kept + 1), "cut at {length}");
            assert_eq!(now[..24 + 116 * kept], text[..24 + 116 * kept]);
        }
        for foreign in [&[0; 64][..], b"mine"] {
            std::fs::write(&path, foreign).unwrap();
            assert!(write(Existing::Continue, &[3]).is_err(), "not one of ours");
            assert_eq!(std::fs::read(&path).unwrap(), foreign);
        }
        std::fs::remove_file(path).unwrap();
    }
}
