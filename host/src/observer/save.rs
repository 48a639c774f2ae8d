//! Writes captured frames to a capture file, with their times to the nanosecond.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::source::Frame;

/// Writes a capture file in the classic format, nanosecond variant.
pub struct PcapWriter<W: Write = File> {
    writer: BufWriter<W>,
    /// The link type of the file, once the first frame has said it.
    link: Option<u32>,
}

impl PcapWriter {
    /// Creates the file, or empties it.
    ///
    /// # Errors
    ///
    /// The file cannot be created.
    pub fn create(path: &Path) -> io::Result<PcapWriter> {
        Ok(PcapWriter::new(File::create(path)?))
    }
}

impl<W: Write> PcapWriter<W> {
    /// Writes to any writer.
    pub fn new(writer: W) -> PcapWriter<W> {
        PcapWriter { writer: BufWriter::with_capacity(256 << 10, writer), link: None }
    }

    /// Appends a frame.
    ///
    /// # Errors
    ///
    /// Writing failed, or the frame has another link type than the first.
    pub fn write(&mut self, frame: &Frame<'_>) -> io::Result<()> {
        match self.link {
            None => self.begin(frame.link_number)?,
            Some(link) if link != frame.link_number => {
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
            self.writer.write_all(&field.to_le_bytes())?;
        }
        self.writer.write_all(frame.bytes)
    }

    /// Writes what is buffered. A file without a frame is a valid capture, of Ethernet.
    ///
    /// # Errors
    ///
    /// Writing failed.
    pub fn finish(mut self) -> io::Result<()> {
        if self.link.is_none() {
            self.begin(1)?;
        }
        self.writer.flush()
    }

    fn begin(&mut self, link: u32) -> io::Result<()> {
        self.link = Some(link);
        // libpcap's own number for raw IP; files have 101.
        let number = if link == 12 { 101 } else { link };
        self.writer.write_all(&0xa1b2_3c4d_u32.to_le_bytes())?;
        // Version 2.4, two reserved fields, the longest packet, the link type.
        self.writer.write_all(&[2, 0, 4, 0])?;
        for field in [0, 0, 256 << 10, number] {
            self.writer.write_all(&u32::to_le_bytes(field))?;
        }
        Ok(())
    }
}
