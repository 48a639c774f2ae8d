//! The pcapng format (draft-ietf-opsawg-pcapng): sections of blocks, interfaces with their own
//! link type and clock.

use super::super::{Frame, Progress, SourceError};
use super::buffer::Buffer;
use super::pcap::{LONGEST, word};
use crate::link::Link;

/// The type of the section header block, which reads the same in either byte order.
pub(super) const MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const OLD_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

/// The longest block that we read whole; blocks of packets are shorter, and those of other kinds
/// that are longer are damage for us.
const LONGEST_BLOCK: usize = 16 << 20;
/// Interfaces of one section. Each takes memory, so a file must not name as many as it likes.
const MOST_INTERFACES: usize = 65_536;

/// A file in the pcapng format.
pub(super) struct Pcapng {
    buffer: Buffer,
    big_endian: bool,
    interfaces: Vec<Interface>,
    /// The time of the last packet, for simple packet blocks, which have none.
    time_ns: i64,
    /// Interfaces of the sections before this one.
    before: u32,
    /// Packets that were of an interface that can be read.
    readable: u64,
    /// The link type of the first packet that was not, where it has one.
    foreign: Option<Option<u32>>,
}

#[derive(Clone, Copy)]
struct Interface {
    link_number: u32,
    snaplen: u32,
    clock: Clock,
}

/// How an interface counts time.
#[derive(Clone, Copy)]
struct Clock {
    /// Units in a second.
    units: u64,
    /// Seconds to add.
    offset: i64,
}

impl Clock {
    #[inline]
    fn nanoseconds(self, high: u32, low: u32) -> i64 {
        let ticks = u64::from(high) << 32 | u64::from(low);
        let (seconds, rest) = (ticks / self.units, ticks % self.units);
        let nanoseconds = match self.units {
            1_000_000 => rest * 1_000,
            1_000_000_000 => rest,
            units => (u128::from(rest) * 1_000_000_000 / u128::from(units)) as u64,
        };
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        seconds
            .saturating_add(self.offset)
            .saturating_mul(1_000_000_000)
            .saturating_add(nanoseconds as i64)
    }
}

/// Where in a block the packet's description stands.
struct Layout {
    interface: u32,
    time: Option<(u32, u32)>,
    captured: u32,
    wire: u32,
    data: usize,
}

impl Pcapng {
    pub(super) fn new(buffer: Buffer) -> Pcapng {
        let (big_endian, interfaces) = (false, Vec::new());
        let (time_ns, before, readable, foreign) = (0, 0, 0, None);
        Pcapng { buffer, big_endian, interfaces, time_ns, before, readable, foreign }
    }

    /// Gives the packets of all whole blocks in the window, and reads on when there is none.
    #[inline]
    pub(super) fn read(
        &mut self,
        on_frames: &mut impl FnMut(&[Frame<'_>]),
    ) -> Result<Progress, SourceError> {
        let mut any = false;
        while let Some(length) = self.whole_block() {
            let block = &self.buffer.window()[..length];
            let kind = word(block, 0, self.big_endian);
            if matches!(kind, ENHANCED_PACKET | SIMPLE_PACKET | OLD_PACKET) {
                self.packet(kind, length, on_frames)?;
                self.buffer.packets += 1;
            } else {
                self.describe(kind, length)?;
            }
            self.buffer.consume(length);
            any = true;
        }
        if any {
            return Ok(Progress::More);
        }
        self.read_on()
    }

    /// The length of the block at the window's start, if it is there whole and not damaged.
    #[inline]
    fn whole_block(&self) -> Option<usize> {
        let window = self.buffer.window();
        if window.len() < 12 {
            return None;
        }
        let big_endian = byte_order(window, self.big_endian)?;
        let length = padded(word(window, 4, big_endian));
        let fits = length >= 12 && length <= window.len();
        fits.then_some(length)
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
        let Some(big_endian) = byte_order(header, self.big_endian) else {
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
        match self.foreign {
            Some(link) if self.readable == 0 => Err(match link {
                Some(number) => self.buffer.unknown_link(number),
                None => self.buffer.not_described(),
            }),
            _ => Ok(Progress::End),
        }
    }

    #[inline]
    fn packet(
        &mut self,
        kind: u32,
        length: usize,
        on_frames: &mut impl FnMut(&[Frame<'_>]),
    ) -> Result<(), SourceError> {
        let block = &self.buffer.window()[..length];
        let Some(layout) = self.layout(kind, block) else {
            return Err(self.buffer.damaged("a packet's block without its fields"));
        };
        let interface = self.interfaces.get(layout.interface as usize).copied();
        let link = interface.and_then(|interface| Link::from_number(interface.link_number));
        let end = layout.data + layout.captured as usize;
        if layout.captured as usize > LONGEST || end > length - 4 {
            let reason = format!("a packet of {} octets", layout.captured);
            return Err(self.buffer.damaged(reason));
        }
        match link {
            Some(_) => self.readable += 1,
            // One file may have packets of many kinds: those that can be read count.
            None => self.foreign = self.foreign.or(Some(interface.map(|i| i.link_number))),
        }
        if let Some((high, low)) = layout.time
            && let Some(interface) = interface
        {
            self.time_ns = interface.clock.nanoseconds(high, low);
        }
        on_frames(&[Frame {
            time_ns: self.time_ns,
            link: link.unwrap_or(Link::Unknown),
            link_number: interface.map_or(0, |interface| interface.link_number),
            interface: self.before.wrapping_add(layout.interface),
            bytes: &block[layout.data..end],
            wire_length: layout.wire.max(layout.captured),
        }]);
        Ok(())
    }

    #[inline]
    fn layout(&self, kind: u32, block: &[u8]) -> Option<Layout> {
        let field = |at| word(block, at, self.big_endian);
        if kind == SIMPLE_PACKET {
            if block.len() < 16 {
                return None;
            }
            let snaplen = match self.interfaces.first()?.snaplen {
                0 => u32::MAX,
                snaplen => snaplen,
            };
            let there = block.len() as u32 - 16;
            return Some(Layout {
                interface: 0,
                time: None,
                captured: field(8).min(snaplen).min(there),
                wire: field(8),
                data: 12,
            });
        }
        if block.len() < 32 {
            return None;
        }
        let interface = match (kind, self.big_endian) {
            (OLD_PACKET, true) => field(8) >> 16,
            (OLD_PACKET, false) => field(8) & 0xffff,
            _ => field(8),
        };
        Some(Layout {
            interface,
            time: Some((field(12), field(16))),
            captured: field(20),
            wire: field(24),
            data: 28,
        })
    }

    /// Blocks without packets: sections and interfaces count, the rest is skipped.
    #[cold]
    fn describe(&mut self, kind: u32, length: usize) -> Result<(), SourceError> {
        let block = &self.buffer.window()[..length];
        match kind {
            SECTION => {
                self.big_endian = byte_order(block, false).unwrap_or_default();
                self.before = self.before.wrapping_add(self.interfaces.len() as u32);
                self.interfaces.clear();
            }
            INTERFACE => match self.interface(block) {
                Some(_) if self.interfaces.len() >= MOST_INTERFACES => {
                    return Err(self.buffer.damaged("too many interfaces"));
                }
                Some(interface) => self.interfaces.push(interface),
                None => return Err(self.buffer.damaged("an interface without its fields")),
            },
            _ => {}
        }
        Ok(())
    }

    fn interface(&self, block: &[u8]) -> Option<Interface> {
        if block.len() < 20 {
            return None;
        }
        let link = word(block, 8, self.big_endian);
        Some(Interface {
            link_number: if self.big_endian { link >> 16 } else { link & 0xffff },
            snaplen: word(block, 12, self.big_endian),
            clock: clock(&block[16..block.len() - 4], self.big_endian),
        })
    }
}

/// The length of a block that says this of itself. Some writers leave the padding out of it.
#[inline]
fn padded(length: u32) -> usize {
    (length as usize).next_multiple_of(4)
}

/// The byte order of the block: a section's header says it, the rest has its section's.
#[inline]
fn byte_order(block: &[u8], of_section: bool) -> Option<bool> {
    if block[..4] != MAGIC {
        return Some(of_section);
    }
    match block[8..12] {
        [0x1a, 0x2b, 0x3c, 0x4d] => Some(true),
        [0x4d, 0x3c, 0x2b, 0x1a] => Some(false),
        _ => None,
    }
}

/// The clock that an interface's options describe; microseconds without any.
fn clock(mut options: &[u8], big_endian: bool) -> Clock {
    const TIME_RESOLUTION: u32 = 9;
    const TIME_OFFSET: u32 = 14;
    let mut clock = Clock { units: 1_000_000, offset: 0 };
    while options.len() >= 4 {
        let both = word(options, 0, big_endian);
        let (code, length) =
            if big_endian { (both >> 16, both & 0xffff) } else { (both & 0xffff, both >> 16) };
        let length = length as usize;
        let Some(value) = options.get(4..4 + length) else {
            break;
        };
        match (code, value) {
            (0, _) => break,
            (TIME_RESOLUTION, &[bits, ..]) => {
                let (base, power) = if bits & 0x80 != 0 { (2, bits & 0x7f) } else { (10, bits) };
                // Nobody counts so finely that it matters: 64 bits would be over in two seconds.
                clock.units = u64::saturating_pow(base, power.into());
            }
            (TIME_OFFSET, &[a, b, c, d, e, f, g, h]) => {
                let octets = [a, b, c, d, e, f, g, h];
                clock.offset = if big_endian {
                    i64::from_be_bytes(octets)
                } else {
                    i64::from_le_bytes(octets)
                };
            }
            _ => {}
        }
        options = options.get(4 + length.next_multiple_of(4)..).unwrap_or(&[]);
    }
    clock
}
