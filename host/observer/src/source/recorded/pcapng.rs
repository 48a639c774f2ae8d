//! The pcapng format (draft-ietf-opsawg-pcapng): a file of blocks. What stands in a block is read in
//! `section`.

mod section;

use super::super::batch::Batch;
use super::super::{Frame, Progress, SourceError};
use super::buffer::{AHEAD, Buffer, fetch};
use super::pcap::word;
pub(super) use section::MAGIC;
use section::{Section, byte_order, padded};

/// The longest block that we read whole; blocks of packets are shorter, and those of other kinds
/// that are longer are damage for us.
const LONGEST_BLOCK: usize = 16 << 20;

/// A file in the pcapng format.
pub(super) struct Pcapng {
    buffer: Buffer,
    section: Section,
}

impl Pcapng {
    pub(super) fn new(buffer: Buffer) -> Pcapng {
        Pcapng { buffer, section: Section::default() }
    }

    /// Gives the packets of all whole blocks in the window, and reads on when there is none.
    #[inline]
    pub(super) fn read(
        &mut self,
        on_frames: &mut impl FnMut(&[Frame<'_>]),
    ) -> Result<Progress, SourceError> {
        let Pcapng { buffer, section } = self;
        let (window, mut batch) = (buffer.window()?, Batch::new());
        let (mut used, mut given, mut damage) = (0, 0, None);
        while let Some(block) = section.whole_block(&window[used..]) {
            fetch(window, used + AHEAD * block.len());
            match section.read(block) {
                Ok(Some(frame)) => {
                    batch.push(frame, on_frames);
                    given += 1;
                }
                Ok(None) => {}
                Err(reason) => {
                    damage = Some(reason);
                    break;
                }
            }
            used += block.len();
        }
        batch.give(on_frames);
        buffer.consume(used);
        buffer.packets += given;
        match damage {
            Some(reason) => Err(buffer.damaged(reason)),
            None if used > 0 => Ok(Progress::More),
            None => self.read_on(),
        }
    }

    /// Brings one more block into the window, or says what is wrong with it.
    #[cold]
    fn read_on(&mut self) -> Result<Progress, SourceError> {
        let header = self.buffer.peek(12)?;
        if header.is_empty() {
            return self.end();
        }
        if header.len() < 12 {
            return Err(self.buffer.truncated("block header"));
        }
        let Some(big_endian) = byte_order(header, self.section.big_endian()) else {
            return Err(self.buffer.damaged("a section without a byte order"));
        };
        let length = padded(word(header, 4, big_endian));
        if !(12..=LONGEST_BLOCK).contains(&length) {
            let reason = format!("a block of {length} octets");
            return Err(self.buffer.damaged(reason));
        }
        if self.buffer.peek(length)?.len() < length {
            return Err(self.buffer.truncated("block"));
        }
        Ok(Progress::More)
    }

    /// The file's end. If no packet of the file could be read, it is an error.
    fn end(&self) -> Result<Progress, SourceError> {
        match self.section.unreadable() {
            Some(link) => Err(match link {
                Some(number) => self.buffer.unknown_link(number),
                None => self.buffer.not_described(),
            }),
            None => Ok(Progress::End),
        }
    }
}
