//! Writes captured frames to a capture file, with their times to the nanosecond. Which frames these are is not
//! decided here.

mod scan;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::source::Frame;
use pathspider_runtime::files::{self, Existing, Opened, Outlet};
use scan::whole_packets;
pub use scan::{Saved, scan};

/// Octets of frames that wait for more before they are written.
const BUFFER: usize = 256 << 10;

/// Of the file's header, without which no file is a capture.
pub const FILE_HEADER: usize = 24;

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

impl PcapWriter {
    /// Makes the file, or opens one as is said.
    ///
    /// # Errors
    ///
    /// The file cannot be made or opened, or to be continued is none that this program wrote.
    pub fn create(path: &Path, existing: Existing) -> io::Result<PcapWriter> {
        let mut opened = files::lock(path, existing, &|| false)?;
        let there = scan(&opened, existing, &|| false)?;
        let writer = PcapWriter::begin(path, &opened, there, None)?;
        opened.new.keep();
        Ok(writer)
    }

    /// Writes to a file that is locked, after what it has that is whole. Where the source's link type
    /// is known, the file is a capture from now on.
    ///
    /// # Errors
    ///
    /// The file has another link type than the source; or it cannot be cut or written.
    pub fn begin(
        path: &Path,
        opened: &Opened,
        there: Saved,
        link: Option<u32>,
    ) -> io::Result<PcapWriter> {
        let link = link.map(in_files);
        if let (Some(had), Some(link)) = (there.link, link)
            && had != link
        {
            return Err(io::Error::other(format!(
                "it has frames of link type {had}, and the interface's are of type {link}"
            )));
        }
        let mut writer = PcapWriter::on(path, Outlet::new(opened, there.whole)?, there.link);
        if let (None, Some(link)) = (writer.link, link) {
            writer.head(link)?;
        }
        Ok(writer)
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
            None => self.head(frame.link_number)?,
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
        let written = self.outlet.write(&self.waiting, whole_packets);
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
            self.head(1)?;
        }
        self.flush()?;
        self.outlet.finish()
    }

    /// Writes the header, at once: where the disk is full, the file is a capture all the same.
    fn head(&mut self, link: u32) -> io::Result<()> {
        let link = in_files(link);
        self.link = Some(link);
        self.outlet.write(&header(link), |_| 0)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Link;

    /// A file of its own, with what it is to have.
    fn file(name: &str, octets: &[u8]) -> PathBuf {
        let name = format!("pathspider-save-{}-{name}.pcap", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, octets).unwrap();
        path
    }

    fn write(path: &Path, existing: Existing, link: u32, times: &[i64]) -> io::Result<()> {
        let mut writer = PcapWriter::create(path, existing)?;
        let link_number = link;
        let link = Link::from_number(link).unwrap();
        times.iter().try_for_each(|&time_ns| {
            writer.write(&Frame {
                time_ns,
                link,
                link_number,
                interface: 0,
                bytes: &[7; 100],
                wire_length: 100,
            })
        })?;
        writer.finish()
    }

    #[test]
    fn a_torn_packet_is_cut_and_the_file_goes_on() {
        let path = file("torn", b"");
        write(&path, Existing::Overwrite, 1, &[1, 2]).unwrap();
        assert!(write(&path, Existing::Refuse, 1, &[3]).is_err());
        let text = std::fs::read(&path).unwrap();
        assert_eq!(text.len(), 24 + 2 * 116);
        for length in 0..=text.len() {
            let packet = length.saturating_sub(24);
            for zeros in [0, 500] {
                if zeros > 0 && length < 24 {
                    continue;
                }
                let torn = [&text[..length], &vec![0; zeros]].concat();
                std::fs::write(&path, &torn).unwrap();
                write(&path, Existing::Continue, 1, &[3]).unwrap();
                let now = std::fs::read(&path).unwrap();
                // Zeros after a packet's header (whose last three octets are some) are its own.
                let kept = packet / 116 + usize::from(zeros > 0 && packet % 116 >= 13);
                assert_eq!(now.len(), 24 + 116 * (kept + 1), "cut at {length}, {zeros} zeros");
                let same = (24 + 116 * kept).min(length);
                assert_eq!(now[..same], torn[..same]);
            }
        }
        for foreign in [&[0; 64][..], b"mine"] {
            std::fs::write(&path, foreign).unwrap();
            assert!(write(&path, Existing::Continue, 1, &[3]).is_err(), "not one of ours");
            assert_eq!(std::fs::read(&path).unwrap(), foreign);
        }
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn damage_before_packets_is_not_cut() {
        let path = file("damage", b"");
        write(&path, Existing::Overwrite, 1, &[1, 2, 3, 4, 5, 6]).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let second = 24 + 116;
        // Its length: none, another one, more than there is, more than a packet has; its time.
        for (at, value) in [(8, 0), (8, 90), (8, 2000), (8, u32::MAX), (4, u32::MAX)] {
            let mut damaged = whole.clone();
            damaged[second + at..][..4].copy_from_slice(&value.to_le_bytes());
            std::fs::write(&path, &damaged).unwrap();
            let error = write(&path, Existing::Continue, 1, &[7]).unwrap_err().to_string();
            assert!(error.contains("it is damaged at octet"), "{error}");
            assert!(error.contains("packets follow at octet"), "{error}");
            assert_eq!(std::fs::read(&path).unwrap(), damaged);
        }
        // More than a kill tears, whatever it is.
        let long = [&whole[..], &vec![0; files::TORN as usize + 1]].concat();
        std::fs::write(&path, &long).unwrap();
        let error = write(&path, Existing::Continue, 1, &[7]).unwrap_err().to_string();
        assert_eq!(error, format!("it is damaged at octet {}", whole.len()));
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_file_is_read_until_it_is_told_to_stop() {
        let path = file("stopped", b"");
        write(&path, Existing::Overwrite, 1, &[1, 2]).unwrap();
        let opened = files::lock(&path, Existing::Continue, &|| false).unwrap();
        let stopped = scan(&opened, Existing::Continue, &|| true).unwrap_err();
        assert_eq!(stopped.kind(), io::ErrorKind::Interrupted);
        assert!(scan(&opened, Existing::Overwrite, &|| true).is_ok(), "nothing is read");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_file_without_packets_has_no_link_type_yet() {
        for torn in [&[][..], &[0; 9]] {
            let path = file("empty", &[&header(1), torn].concat());
            write(&path, Existing::Continue, 12, &[1]).unwrap();
            let text = std::fs::read(&path).unwrap();
            assert_eq!((&text[..24], text.len()), (&header(101)[..], 24 + 116));
            // One with packets has.
            let lock = || files::lock(&path, Existing::Continue, &|| false).unwrap();
            let there = scan(&lock(), Existing::Continue, &|| false);
            let opened = lock();
            let begun = PcapWriter::begin(&path, &opened, there.unwrap(), Some(1));
            let error = begun.err().unwrap().to_string();
            assert!(error.contains("link type 101") && error.contains("type 1"), "{error}");
            assert_eq!(std::fs::read(&path).unwrap(), text);
            std::fs::remove_file(path).unwrap();
        }
    }
}
