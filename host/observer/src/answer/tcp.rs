//! Answers in TCP: by acknowledgment and sequence numbers, modulo 2³² (RFC 9293, section 3.4).
//!
//! The rules are those by which a system takes a segment for one of its connection (RFC 9293,
//! section 3.10.7; RFC 5961), but for one: a SYN without acknowledgment, which a system in SYN-SENT
//! takes for a simultaneous open, proves nothing. Anybody can send it who guesses two ports. Where
//! the target means it, its next segment acknowledges ours, in a simultaneous open and in a split
//! handshake alike.

use pathspider_plugin_api::packet::{Layers, TcpFlags, place};

use super::Judged;
use crate::counters::Unanswering;
use crate::dissect::{Dissected, be32};

/// How far ahead of what was seen the target's sequence numbers may be: more than the window that
/// Linux opens by default, as the capture may have lost packets.
const AHEAD: u32 = 1 << 24;

/// How far behind they may be: old packets of the same connection.
const BEHIND: u32 = 1 << 30;

/// A connection, as far as its answers are known by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tcp {
    /// The number of our SYN; an answer acknowledges more.
    first: u32,
    /// The number after the last that we sent; an answer acknowledges no more.
    end: u32,
    /// The highest number that a segment of ours had.
    last: u32,
    theirs: Known,
}

/// What is known of the target's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Nothing,
    /// The connection began with a segment of ours that acknowledges this number. A target that knows
    /// of no connection resets it with that number, and acknowledges nothing (RFC 9293, section
    /// 3.10.7.1).
    Acknowledged(u32),
    /// A segment of the target's own was seen.
    Seen(Theirs),
}

/// The target's sequence numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Theirs {
    /// The lowest that may come.
    first: u32,
    /// The number after the last that was seen, or that we acknowledged.
    next: u32,
}

/// What matters of a segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    flags: TcpFlags,
    sequence: u32,
    acknowledgment: u32,
    /// The numbers that it takes: its octets, SYN and FIN.
    length: u32,
}

impl Segment {
    /// The segment of a packet; `None` in a later fragment.
    #[inline]
    pub(super) fn of(packet: &Dissected<'_>) -> Option<Segment> {
        let header = packet.transport;
        if !packet.layers.intersects(Layers::TCP) || header.len() < place::tcp::HEADER {
            return None;
        }
        let flags = TcpFlags(header[place::tcp::OFFSET + 1].into());
        let numbers = [TcpFlags::SYN, TcpFlags::FIN].map(|flag| u32::from(flags.has(flag)));
        Some(Segment {
            flags,
            sequence: be32(header, place::tcp::SEQUENCE),
            acknowledgment: be32(header, place::tcp::ACKNOWLEDGMENT),
            length: packet.payload_length.wrapping_add(numbers[0] + numbers[1]),
        })
    }

    #[inline]
    pub(super) fn is_reset(&self) -> bool {
        self.flags.has(TcpFlags::RST)
    }

    #[inline]
    fn end(&self) -> u32 {
        self.sequence.wrapping_add(self.length)
    }
}

impl Tcp {
    /// A connection that begins with this segment of ours. One that is no SYN follows on one that
    /// was not captured.
    pub(super) fn begun(segment: &Segment) -> Tcp {
        let before = u32::from(!segment.flags.has(TcpFlags::SYN));
        let first = segment.sequence.wrapping_sub(before);
        let theirs = if segment.flags.has(TcpFlags::ACK) {
            Known::Acknowledged(segment.acknowledgment)
        } else {
            Known::Nothing
        };
        Tcp { first, end: segment.end(), last: segment.sequence, theirs }
    }

    /// Takes a segment that left us.
    #[inline]
    pub(super) fn sent(&mut self, segment: &Segment) -> Judged {
        let offset = segment.sequence.wrapping_sub(self.first);
        if segment.is_reset() {
            // One in answer to a segment has the number that this one acknowledges, or 0.
            let is_ours = offset <= self.end.wrapping_sub(self.first);
            return if is_ours { Ok(()) } else { Err(Unanswering::OurReset) };
        }
        if segment.flags.has(TcpFlags::SYN) && offset != 0 {
            *self = Tcp::begun(segment);
            return Ok(());
        }
        if is_after(segment.end(), self.end) {
            self.end = segment.end();
        }
        if is_after(segment.sequence, self.last) {
            self.last = segment.sequence;
        }
        // What our system acknowledges, it took: so a capture that loses packets keeps up.
        if segment.flags.has(TcpFlags::ACK) {
            match &mut self.theirs {
                Known::Seen(theirs) => theirs.reach(segment.acknowledgment),
                Known::Acknowledged(number) => *number = segment.acknowledgment,
                Known::Nothing => {}
            }
        }
        Ok(())
    }

    /// Judges a segment that came; `None` is a later fragment of one.
    #[inline]
    pub(super) fn came(&mut self, segment: Option<&Segment>) -> Judged {
        let Some(segment) = segment else {
            let is_seen = matches!(self.theirs, Known::Seen(_));
            return if is_seen { Ok(()) } else { Err(Unanswering::Acknowledgment) };
        };
        let has_ack = segment.flags.has(TcpFlags::ACK);
        let acknowledged = segment.acknowledgment.wrapping_sub(self.first);
        if has_ack && !(1..=self.end.wrapping_sub(self.first)).contains(&acknowledged) {
            return Err(Unanswering::Acknowledgment);
        }
        if !has_ack {
            return self.unacknowledging(segment);
        }
        match &mut self.theirs {
            Known::Seen(theirs) if !theirs.may_send(segment.sequence) => Err(Unanswering::Sequence),
            Known::Seen(theirs) => {
                if !segment.is_reset() {
                    theirs.reach(segment.end());
                }
                Ok(())
            }
            // The number of a reset that answers a SYN is 0, and that of an acknowledgment alone
            // may be anything: systems ignore it (RFC 9293, section 3.10.7.3).
            Known::Nothing | Known::Acknowledged(_) => {
                if !segment.is_reset() && segment.length > 0 {
                    let (first, next) = (segment.sequence, segment.end());
                    self.theirs = Known::Seen(Theirs { first, next });
                }
                Ok(())
            }
        }
    }

    /// Judges a segment without ACK. Of these, only a reset is of a connection, and only where its
    /// number is one that we acknowledge, or acknowledged (RFC 5961, section 3.2).
    fn unacknowledging(&self, segment: &Segment) -> Judged {
        match self.theirs {
            _ if !segment.is_reset() => Err(if segment.flags.has(TcpFlags::SYN) {
                Unanswering::Syn
            } else {
                Unanswering::Acknowledgment
            }),
            Known::Nothing => Err(Unanswering::Acknowledgment),
            Known::Acknowledged(number) if number == segment.sequence => Ok(()),
            Known::Seen(theirs) if theirs.has_sent(segment.sequence) => Ok(()),
            Known::Acknowledged(_) | Known::Seen(_) => Err(Unanswering::Sequence),
        }
    }

    /// Whether a quoted segment is one that we sent. Eight octets of it, which every router quotes
    /// (RFC 792), have the sequence number.
    pub(super) fn is_quoted(&self, segment: &[u8]) -> bool {
        if segment.len() < 8 {
            return false;
        }
        let [offset, last, end] = [be32(segment, place::tcp::SEQUENCE), self.last, self.end]
            .map(|number| number.wrapping_sub(self.first));
        // A card may cut what we sent into several segments.
        offset <= last || offset < end
    }
}

impl Theirs {
    /// Whether a segment may have this number: from one before the first, as keep-alives have
    /// (RFC 9293, section 3.8.4), to a window beyond the last.
    #[inline]
    fn may_send(&self, sequence: u32) -> bool {
        let lowest = self.first.wrapping_sub(1);
        let span = self.next.wrapping_sub(lowest).saturating_add(AHEAD);
        sequence.wrapping_sub(lowest) <= span
    }

    /// Whether it was sent, or is the next.
    fn has_sent(&self, sequence: u32) -> bool {
        sequence.wrapping_sub(self.first) <= self.next.wrapping_sub(self.first)
    }

    /// Notes how far it has come.
    #[inline]
    fn reach(&mut self, next: u32) {
        if is_after(next, self.next) && next.wrapping_sub(self.next) <= AHEAD {
            self.next = next;
            if next.wrapping_sub(self.first) > BEHIND {
                self.first = next.wrapping_sub(BEHIND);
            }
        }
    }
}

/// Whether a sequence number comes after another.
#[inline]
fn is_after(number: u32, other: u32) -> bool {
    number.wrapping_sub(other).cast_signed() > 0
}
