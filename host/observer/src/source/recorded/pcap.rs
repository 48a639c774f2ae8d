//! The classic capture format (draft-ietf-opsawg-pcap): a header, then records.

use super::super::batch::Batch;
use super::super::{Frame, Progress, SourceError};
use super::buffer::{AHEAD, Buffer, fetch};
use crate::link::Link;

/// The longest packet that a record may claim, as in libpcap: more is damage.
pub(super) const LONGEST: usize = 256 << 10;

const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;

/// What the file's first four octets say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flavour {
    pub(super) big_endian: bool,
    /// Nanoseconds in one unit of the time's fraction.
    unit_ns: i64,
    /// Octets of a record's header: Kuznetzov's variant has eight more.
    header: usize,
}

impl Flavour {
    /// `None` for what is no capture.
    pub(super) fn of(magic: [u8; 4]) -> Option<Flavour> {
        let of = |number| match number {
            0xa1b2_c3d4_u32 => Some((1_000, RECORD_HEADER)),
            0xa1b2_3c4d => Some((1, RECORD_HEADER)),
            0xa1b2_cd34 => Some((1_000, RECORD_HEADER + 8)),
            _ => None,
        };
        let (little, big) = (u32::from_le_bytes(magic), u32::from_be_bytes(magic));
        let flavour = |big_endian| move |(unit_ns, header)| Flavour { big_endian, unit_ns, header };
        of(little).map(flavour(false)).or_else(|| of(big).map(flavour(true)))
    }
}

/// A file in the classic format, past its header.
pub(super) struct Pcap {
    buffer: Buffer,
    records: Records,
}

/// What all records of a file have in common.
struct Records {
    flavour: Flavour,
    link: Link,
    link_number: u32,
}

impl Pcap {
    pub(super) fn new(mut buffer: Buffer, flavour: Flavour) -> Result<Pcap, SourceError> {
        let header = buffer.peek(FILE_HEADER)?;
        if header.len() < FILE_HEADER {
            return Err(buffer.truncated("file header"));
        }
        // The upper bits hold the length of a frame check sequence and reserved flags.
        let link_number = word(header, 20, flavour.big_endian) & 0x03ff_ffff;
        let link =
            Link::from_number(link_number).ok_or_else(|| buffer.unknown_link(link_number))?;
        buffer.consume(FILE_HEADER);
        Ok(Pcap { buffer, records: Records { flavour, link, link_number } })
    }

    /// Gives all whole records in the window, and reads on when there is none.
    #[inline]
    pub(super) fn read(
        &mut self,
        on_frames: &mut impl FnMut(&[Frame<'_>]),
    ) -> Result<Progress, SourceError> {
        let (mut used, mut given) = (0, 0);
        let Pcap { buffer, records } = self;
        let (window, mut batch) = (buffer.window()?, Batch::new());
        while let Some(record) = records.record(&window[used..]) {
            fetch(window, used + AHEAD * record.length);
            batch.push(record.frame, on_frames);
            used += record.length;
            given += 1;
        }
        batch.give(on_frames);
        buffer.consume(used);
        buffer.packets += given;
        if given > 0 {
            return Ok(Progress::More);
        }
        self.read_on()
    }

    /// Brings one more record into the window.
    #[cold]
    fn read_on(&mut self) -> Result<Progress, SourceError> {
        let Flavour { big_endian, header: length, .. } = self.records.flavour;
        let header = self.buffer.peek(length)?;
        if header.is_empty() {
            return Ok(Progress::End);
        }
        if header.len() < length {
            return Err(self.buffer.truncated("packet header"));
        }
        let captured = word(header, 8, big_endian) as usize;
        if captured > LONGEST {
            let reason = format!("a packet of {captured} octets");
            return Err(self.buffer.damaged(reason));
        }
        let length = length + captured;
        if self.buffer.peek(length)?.len() < length {
            return Err(self.buffer.truncated("packet"));
        }
        Ok(Progress::More)
    }
}

impl Records {
    /// The record at the start of `bytes`; `None` where it is not whole, or is damaged, which
    /// `read_on` then says.
    #[inline]
    fn record<'a>(&self, bytes: &'a [u8]) -> Option<Record<'a>> {
        let Flavour { big_endian, unit_ns, header } = self.flavour;
        if bytes.len() < header {
            return None;
        }
        let field = |at| word(bytes, at, big_endian);
        let captured = field(8);
        if captured as usize > LONGEST {
            return None;
        }
        let length = header + captured as usize;
        let data = bytes.get(header..length)?;
        Some(Record {
            frame: Frame {
                time_ns: i64::from(field(0)) * 1_000_000_000 + i64::from(field(4)) * unit_ns,
                link: self.link,
                link_number: self.link_number,
                interface: 0,
                bytes: data,
                wire_length: field(12).max(captured),
            },
            length,
        })
    }
}

struct Record<'a> {
    frame: Frame<'a>,
    length: usize,
}

#[inline]
pub(super) fn word(bytes: &[u8], at: usize, big_endian: bool) -> u32 {
    let octets = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
    if big_endian { u32::from_be_bytes(octets) } else { u32::from_le_bytes(octets) }
}
