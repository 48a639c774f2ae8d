//! What the blocks of a pcapng file say: sections, interfaces with their own link type and clock, packets.

use std::borrow::Cow;

use super::super::super::Frame;
use super::super::pcap::{LONGEST, word};
use crate::link::Link;

/// The type of the section header block, which reads the same in either byte order.
pub(in super::super) const MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const OLD_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

/// Interfaces of one section. Each takes memory, so a file must not name as many as it likes.
const MOST_INTERFACES: usize = 65_536;

/// Why a block cannot be used.
type Damage = Cow<'static, str>;

/// What the blocks so far say of the packets that follow.
#[derive(Default)]
pub(super) struct Section {
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
    /// `None` where it cannot be read.
    link: Option<Link>,
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
        // The usual units by their numbers, for to divide by a number that is known is fast.
        let (seconds, nanoseconds) = match self.units {
            1_000_000 => (ticks / 1_000_000, ticks % 1_000_000 * 1_000),
            1_000_000_000 => (ticks / 1_000_000_000, ticks % 1_000_000_000),
            units => {
                let rest = u128::from(ticks % units) * 1_000_000_000;
                (ticks / units, (rest / u128::from(units)) as u64)
            }
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

impl Section {
    pub(super) fn big_endian(&self) -> bool {
        self.big_endian
    }

    /// The link type of the first packet, where it has one, if no packet so far could be read.
    pub(super) fn unreadable(&self) -> Option<Option<u32>> {
        self.foreign.filter(|_| self.readable == 0)
    }

    /// The block at the window's start, if it is there whole and not damaged.
    #[inline]
    pub(super) fn whole_block<'a>(&self, window: &'a [u8]) -> Option<&'a [u8]> {
        if window.len() < 12 {
            return None;
        }
        let big_endian = byte_order(window, self.big_endian)?;
        let length = padded(word(window, 4, big_endian));
        if length < 12 { None } else { window.get(..length) }
    }

    /// Reads a block: the packet that it has, if it is one of a packet.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    #[inline]
    pub(super) fn read<'a>(&mut self, block: &'a [u8]) -> Result<Option<Frame<'a>>, Damage> {
        let kind = word(block, 0, self.big_endian);
        if matches!(kind, ENHANCED_PACKET | SIMPLE_PACKET | OLD_PACKET) {
            self.packet(kind, block).map(Some)
        } else {
            self.describe(kind, block)?;
            Ok(None)
        }
    }

    #[inline]
    fn packet<'a>(&mut self, kind: u32, block: &'a [u8]) -> Result<Frame<'a>, Damage> {
        let Some(layout) = self.layout(kind, block) else {
            return Err("a packet's block without its fields".into());
        };
        let interface = self.interfaces.get(layout.interface as usize).copied();
        let link = interface.and_then(|interface| interface.link);
        let end = layout.data + layout.captured as usize;
        if layout.captured as usize > LONGEST || end > block.len() - 4 {
            return Err(format!("a packet of {} octets", layout.captured).into());
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
        Ok(Frame {
            time_ns: self.time_ns,
            link: link.unwrap_or(Link::Unknown),
            link_number: interface.map_or(0, |interface| interface.link_number),
            interface: self.before.wrapping_add(layout.interface),
            bytes: &block[layout.data..end],
            wire_length: layout.wire.max(layout.captured),
        })
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
    fn describe(&mut self, kind: u32, block: &[u8]) -> Result<(), Damage> {
        match kind {
            SECTION => {
                self.big_endian = byte_order(block, false).unwrap_or_default();
                self.before = self.before.wrapping_add(self.interfaces.len() as u32);
                self.interfaces.clear();
            }
            INTERFACE => match self.interface(block) {
                Some(_) if self.interfaces.len() >= MOST_INTERFACES => {
                    return Err("too many interfaces".into());
                }
                Some(interface) => self.interfaces.push(interface),
                None => return Err("an interface without its fields".into()),
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
        let link_number = if self.big_endian { link >> 16 } else { link & 0xffff };
        Some(Interface {
            link: Link::from_number(link_number),
            link_number,
            snaplen: word(block, 12, self.big_endian),
            clock: clock(&block[16..block.len() - 4], self.big_endian),
        })
    }
}

/// The length of a block that says this of itself. Some writers leave the padding out of it.
#[inline]
pub(super) fn padded(length: u32) -> usize {
    (length as usize).next_multiple_of(4)
}

/// The byte order of the block: a section's header says it, the rest has its section's.
#[inline]
pub(super) fn byte_order(block: &[u8], of_section: bool) -> Option<bool> {
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
