//! Owns the edits that change a packet's length: TCP options taken out, put in or replaced, and
//! data taken off.

use etherparse::tcp_option;

use super::field::tcp;
use super::{Packet, flag};

/// One TCP option: its kind and what follows the length byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpOption {
    /// The kind, as assigned.
    pub kind: u8,
    /// The value, without kind and length.
    pub value: Vec<u8>,
}

const END: u8 = tcp_option::KIND_END;
const NOP: u8 = tcp_option::KIND_NOOP;
const MSS: u8 = tcp_option::KIND_MAXIMUM_SEGMENT_SIZE;

/// Where the options other than padding lie in `bytes`; stops at the first that makes no sense.
fn ranges(bytes: &[u8]) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            match *bytes.get(at)? {
                END => return None,
                NOP => at += 1,
                _ => {
                    let length = usize::from(*bytes.get(at + 1)?);
                    let end = at.checked_add(length).filter(|end| *end <= bytes.len())?;
                    if length < tcp::OPTION_HEAD {
                        return None;
                    }
                    let range = at..end;
                    at = end;
                    return Some(range);
                }
            }
        }
    })
}

impl TcpOption {
    /// The first of this kind among the octets of a header's options.
    pub fn of(kind: u8, bytes: &[u8]) -> Option<TcpOption> {
        parsed(bytes).find(|option| option.kind == kind)
    }
}

/// The options in the octets of a header, padding left out.
fn parsed(bytes: &[u8]) -> impl Iterator<Item = TcpOption> + '_ {
    let read = |r: std::ops::Range<usize>| TcpOption {
        kind: bytes[r.start],
        value: bytes[r.start + tcp::OPTION_HEAD..r.end].to_vec(),
    };
    ranges(bytes).map(read)
}

impl Packet {
    /// The TCP options, padding left out.
    pub fn parsed_tcp_options(&self) -> Vec<TcpOption> {
        parsed(self.tcp_options().unwrap_or(&[])).collect()
    }

    /// How many NOPs there are among the TCP options; `None` where there is no TCP header.
    pub fn nops(&self) -> Option<usize> {
        let bytes = self.tcp_options()?;
        let mut at = 0;
        let mut nops = 0;
        while let Some(&kind) = bytes.get(at).filter(|kind| **kind != END) {
            nops += usize::from(kind == NOP);
            at += match (kind, bytes.get(at + 1)) {
                (NOP, _) => 1,
                (_, Some(&length)) if usize::from(length) >= tcp::OPTION_HEAD => {
                    usize::from(length)
                }
                _ => break,
            };
        }
        Some(nops)
    }

    /// Whether there is a TCP option of `kind`.
    pub fn has_tcp_option(&self, kind: u8) -> bool {
        let bytes = self.tcp_options().unwrap_or(&[]);
        ranges(bytes).any(|range| bytes[range.start] == kind)
    }

    /// Replaces every TCP option of `kind` with no-operations, as most boxes that strip do: the
    /// packet keeps its length.
    pub fn blank_tcp_option(&mut self, kind: u8) {
        let bytes = self.tcp_options().unwrap_or(&[]).to_vec();
        let start = self.transport + tcp::HEADER;
        let mut changed = false;
        for range in ranges(&bytes).filter(|range| bytes[range.start] == kind) {
            self.bytes[start + range.start..start + range.end].fill(NOP);
            changed = true;
        }
        if changed && !self.leave_checksums {
            self.compute_transport_checksum();
        }
    }

    /// Sets all TCP options; those that there is no room for are left out.
    pub fn set_tcp_options(&mut self, options: &[TcpOption]) {
        if !self.is_tcp() {
            return;
        }
        let mut bytes = Vec::with_capacity(tcp::MOST_OPTIONS);
        for option in options {
            let length = option.value.len() + tcp::OPTION_HEAD;
            if bytes.len() + length <= tcp::MOST_OPTIONS {
                bytes.extend([option.kind, length as u8]);
                bytes.extend(&option.value);
            }
        }
        bytes.resize(bytes.len().next_multiple_of(4), END);
        self.splice_tcp_options(&bytes);
    }

    /// Sets the TCP options as bytes, a multiple of four and at most 40.
    pub fn splice_tcp_options(&mut self, options: &[u8]) {
        let fit = options.len().is_multiple_of(4) && options.len() <= tcp::MOST_OPTIONS;
        if !self.is_tcp() || !fit {
            return;
        }
        let range = self.transport + tcp::HEADER..self.data_start();
        self.bytes.splice(range, options.iter().copied());
        let at = self.transport + tcp::OFFSET;
        self.bytes[at] = tcp::offset(options.len()) | (self.bytes[at] & 0x0f);
        self.fit_lengths();
    }

    /// Lowers the MSS option to `most` where it says more.
    pub fn clamp_mss(&mut self, most: u16) {
        let mut options = self.parsed_tcp_options();
        let mut changed = false;
        for option in options.iter_mut().filter(|option| option.kind == MSS) {
            if let Ok(value) = <[u8; 2]>::try_from(&option.value[..]) {
                changed |= u16::from_be_bytes(value) > most;
                option.value = u16::from_be_bytes(value).min(most).to_be_bytes().to_vec();
            }
        }
        if changed {
            // In place, since the length of no option changes: their order and padding stay.
            let bytes = self.tcp_options().unwrap_or(&[]).to_vec();
            let start = self.transport + tcp::HEADER;
            for range in ranges(&bytes).filter(|range| bytes[range.start] == MSS) {
                let value = options.iter().find(|o| o.kind == MSS).map(|o| o.value.clone());
                if let Some(value) =
                    value.filter(|value| value.len() + tcp::OPTION_HEAD == range.len())
                {
                    let value_start = start + range.start + tcp::OPTION_HEAD;
                    self.bytes[value_start..start + range.end].copy_from_slice(&value);
                }
            }
            if !self.leave_checksums {
                self.compute_transport_checksum();
            }
        }
    }

    /// Takes all data off.
    pub fn take_data(&mut self) -> Vec<u8> {
        if !self.whole {
            return Vec::new();
        }
        let data = self.bytes.split_off(self.data_start());
        self.fit_lengths();
        data
    }

    /// Splits the data off a SYN: the SYN alone stays, and what was on it is returned as a segment
    /// of its own; `None` when there was none.
    pub fn split_syn_data(&mut self) -> Option<Packet> {
        if !self.is_syn() || self.data().is_empty() {
            return None;
        }
        let mut segment = self.clone();
        let (sequence, _) = self.tcp_numbers()?;
        self.take_data();
        let at = segment.transport + tcp::SEQUENCE;
        segment.bytes[at..at + 4].copy_from_slice(&sequence.wrapping_add(1).to_be_bytes());
        segment.set_tcp_flags(flag::PSH);
        segment.splice_tcp_options(&[]);
        Some(segment)
    }
}
