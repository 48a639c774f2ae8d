//! The first octets of one direction of a TCP connection, in the order in which they were sent.

use std::ops::ControlFlow;

use super::pieces::Pieces;
use super::{Packet, Tcp, TcpFlags};

/// Reads what one side of a TCP connection says first, whatever the segments are like: reordered,
/// repeated, or of one octet each.
///
/// A chain keeps one for each direction that it reads. Memory is allocated only where the first
/// segment does not decide, or does not come first; never more than [`LIMIT`](Prefix::LIMIT) octets
/// and a few of bookkeeping.
///
/// The first octet is that after the SYN. Where no SYN was captured, it is the first of the first
/// segment with data.
#[derive(Debug, Default)]
pub struct Prefix(State);

#[derive(Debug, Default)]
enum State {
    /// Nothing says where it begins.
    #[default]
    Unbegun,
    /// It begins with this sequence number. Nothing is kept.
    Begun(u32),
    /// It begins with this sequence number, and these octets are kept of it.
    Held(u32, Box<Pieces>),
    /// Nothing more is read.
    Over,
}

impl Prefix {
    /// How many octets are read at the most.
    pub const LIMIT: u32 = 4096;

    /// Takes a segment. Where more octets are in order then, `read` gets all of them, from the first
    /// on: it gives `Break` with what it found, and is not asked again; or `Continue`, to be asked
    /// when there are more.
    ///
    /// It is not asked for what the snap length cut off, nor for what lies beyond the limit.
    #[inline]
    pub fn read<T>(
        &mut self,
        tcp: &Tcp<'_>,
        packet: &Packet<'_>,
        read: impl FnOnce(&[u8]) -> ControlFlow<T>,
    ) -> Option<T> {
        match self.0 {
            State::Over => None,
            _ => self.take(tcp, packet, read),
        }
    }

    fn take<T>(
        &mut self,
        tcp: &Tcp<'_>,
        packet: &Packet<'_>,
        read: impl FnOnce(&[u8]) -> ControlFlow<T>,
    ) -> Option<T> {
        let is_syn = tcp.has(TcpFlags::SYN);
        let number = tcp.sequence().wrapping_add(u32::from(is_syn));
        if tcp.has(TcpFlags::RST) {
            return None;
        }
        let (is_empty, is_cut) = (
            packet.payload_length() == 0,
            packet.payload().len() < packet.payload_length() as usize,
        );
        if matches!(self.0, State::Unbegun) && (is_syn || !is_empty) {
            self.0 = State::Begun(number);
        }
        let (State::Begun(first) | State::Held(first, _)) = self.0 else { return None };
        let (at, octets) = after(number.wrapping_sub(first), packet.payload())?;
        if let State::Begun(_) = self.0 {
            if at == 0 && !octets.is_empty() {
                let found = read(octets);
                if found.is_break() || is_cut || octets.len() >= Self::LIMIT as usize {
                    self.0 = State::Over;
                }
                if let ControlFlow::Break(found) = found {
                    return Some(found);
                }
            }
            if octets.is_empty() || at >= Self::LIMIT || matches!(self.0, State::Over) {
                return None;
            }
            let mut pieces = Box::new(Pieces::new(Self::LIMIT));
            pieces.add(at, octets);
            self.0 = State::Held(first, pieces);
            return None;
        }
        let State::Held(_, pieces) = &mut self.0 else { return None };
        let before = pieces.in_order().len();
        pieces.add(at, octets);
        let there = pieces.in_order();
        if there.len() == before {
            return None;
        }
        let is_full = there.len() >= Self::LIMIT as usize;
        let found = read(there);
        if is_full || found.is_break() {
            self.0 = State::Over;
        }
        found.break_value()
    }
}

/// Where octets stand that begin at this distance from the first, without those before the first.
fn after(distance: u32, octets: &[u8]) -> Option<(u32, &[u8])> {
    match distance.cast_signed() {
        0.. => Some((distance, octets)),
        before => Some((0, octets.get(before.unsigned_abs() as usize..)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Direction, Layers, Parts, protocol};
    use super::*;

    const ISN: u32 = u32::MAX - 2;

    /// A segment at this distance from the SYN, with this many octets captured.
    struct Segment(u32, u8, Vec<u8>, usize);

    fn segment(at: u32, flags: u8, data: &[u8]) -> Segment {
        Segment(at, flags, data.to_vec(), data.len())
    }

    /// What a reader was asked with that is content with this many octets.
    fn asked(segments: &[Segment], wanted: usize) -> Vec<Vec<u8>> {
        let (mut prefix, mut asked) = (Prefix::default(), Vec::new());
        for Segment(at, flags, data, captured) in segments {
            let mut header = [0; 20];
            header[4..8].copy_from_slice(&ISN.wrapping_add(*at).to_be_bytes());
            (header[12], header[13]) = (0x50, *flags);
            let packet = Packet::new(Parts {
                time_ns: 0,
                ip: &[0x45; 20],
                transport: &header,
                payload: &data[..*captured],
                ip_length: 40 + data.len() as u32,
                payload_length: data.len() as u32,
                layers: Layers::IP4.and(Layers::TCP),
                direction: Direction::Forward,
                protocol: protocol::TCP,
            });
            let tcp = packet.tcp().unwrap();
            let found = prefix.read(&tcp, &packet, |octets| {
                asked.push(octets.to_vec());
                if octets.len() >= wanted {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            });
            let is_enough = asked.last().is_some_and(|octets| octets.len() >= wanted);
            assert_eq!(found.is_some(), is_enough);
            if found.is_some() {
                break;
            }
        }
        asked
    }

    const SYN: u8 = 2;
    const ACK: u8 = 16;

    #[test]
    fn the_order_is_that_of_the_numbers() {
        let syn = || segment(0, SYN, b"");
        let [a, b, c] = [(1, "ab"), (3, "cd"), (5, "ef")];
        let data = |(at, data): (u32, &str)| segment(at, ACK, data.as_bytes());
        for order in [[a, b, c], [a, c, b], [b, a, c], [b, c, a], [c, a, b], [c, b, a]] {
            let [x, y, z] = order.map(data);
            let asked = asked(&[syn(), x, y, z], 6);
            assert_eq!(asked.last().unwrap(), b"abcdef", "{order:?}");
        }
    }

    #[test]
    fn one_octet_at_a_time_and_all_of_them_twice() {
        let mut segments = vec![segment(0, SYN, b"")];
        for (at, octet) in (1..).zip(b"abcdef") {
            segments.extend([segment(at, ACK, &[*octet]), segment(at, ACK, b"?")]);
        }
        let asked = asked(&segments, 6);
        assert_eq!(asked.len(), 6);
        assert_eq!(asked[5], b"abcdef");
    }

    #[test]
    fn data_on_the_syn_count_and_a_keep_alive_does_not() {
        let repeated = [segment(0, SYN, b"ab"), segment(0, SYN, b""), segment(1, ACK, b"abcd")];
        assert_eq!(asked(&repeated, 4), [b"ab".to_vec(), b"abcd".to_vec()]);
        let alive = [segment(0, SYN, b""), segment(0, ACK, b"?"), segment(1, ACK, b"ab")];
        assert_eq!(asked(&alive, 2), [b"ab"]);
    }

    #[test]
    fn without_a_syn_it_begins_with_the_first_data() {
        let later = [segment(77, ACK, b""), segment(77, ACK, b"ab"), segment(79, ACK, b"cd")];
        assert_eq!(asked(&later, 4)[1], b"abcd");
    }

    #[test]
    fn what_was_cut_off_is_a_hole() {
        let cut =
            [segment(0, SYN, b""), Segment(1, ACK, b"abcd".to_vec(), 2), segment(5, ACK, b"e")];
        assert_eq!(asked(&cut, 9), [b"ab"]);
        let early = [
            segment(0, SYN, b""),
            Segment(3, ACK, b"cdef".to_vec(), 2),
            segment(1, ACK, b"ab"),
            segment(7, ACK, b"g"),
        ];
        assert_eq!(asked(&early, 9), [b"abcd"]);
    }

    #[test]
    fn it_ends_at_the_limit() {
        let segments: Vec<Segment> = std::iter::once(segment(0, SYN, b""))
            .chain((0..2 * Prefix::LIMIT / 1000).map(|n| segment(1 + 1000 * n, ACK, &[7; 1000])))
            .collect();
        let asked = asked(&segments, usize::MAX);
        assert_eq!(asked.last().unwrap().len(), Prefix::LIMIT as usize);
        assert_eq!(asked.len(), 5);
        assert!(size_of::<Prefix>() <= 16);
    }
}
