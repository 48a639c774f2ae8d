//! Finds the acknowledgments among a packet's frames (RFC 9000, section 19), which the library keeps to
//! itself: which packets arrived, and with which marks.

use std::ops::RangeInclusive;

use pathspider_plugin_api::packet::quic::varint;

/// How many packets arrived with each mark, as the target counts them in one packet number space
/// (RFC 9000, section 19.3.2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Marks {
    pub(super) ect0: u64,
    pub(super) ect1: u64,
    pub(super) ce: u64,
}

/// One acknowledgment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ack<'a> {
    largest: u64,
    first: u64,
    /// The further ranges, as they stand there.
    ranges: &'a [u8],
    count: u64,
    /// What it says of marks; `None` where it says nothing.
    pub(super) marks: Option<Marks>,
}

impl Ack<'_> {
    /// The numbers of the packets that arrived, in falling ranges, as far as they make sense.
    pub(super) fn ranges(&self) -> impl Iterator<Item = RangeInclusive<u64>> {
        let mut rest = self.ranges;
        let mut left = self.count;
        let smallest = self.largest.checked_sub(self.first);
        let mut before = smallest;
        let further = std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let (gap, after) = varint(rest)?;
            let (length, after) = varint(after)?;
            rest = after;
            let largest = before?.checked_sub(gap)?.checked_sub(2)?;
            let smallest = largest.checked_sub(length)?;
            before = Some(smallest);
            Some(smallest..=largest)
        });
        smallest.map(|smallest| smallest..=self.largest).into_iter().chain(further)
    }
}

/// The acknowledgments in a packet's frames. What follows a frame that is not known is not read.
pub(super) fn acks(frames: &[u8]) -> impl Iterator<Item = Ack<'_>> {
    let mut rest = frames;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let (ack, after) = frame(rest)?;
            rest = after;
            if ack.is_some() {
                return ack;
            }
        }
        None
    })
}

/// Reads one frame: what it acknowledges, and what follows it.
fn frame(octets: &[u8]) -> Option<(Option<Ack<'_>>, &[u8])> {
    let (kind, rest) = varint(octets)?;
    let after = match kind {
        // PADDING, PING, HANDSHAKE_DONE.
        0x00 | 0x01 | 0x1e => rest,
        0x02 | 0x03 => {
            let (ack, after) = ack(rest, kind == 0x03)?;
            return Some((Some(ack), after));
        }
        // RESET_STREAM; STOP_SENDING, MAX_STREAM_DATA, STREAM_DATA_BLOCKED.
        0x04 => numbers(rest, 3)?,
        0x05 | 0x11 | 0x15 => numbers(rest, 2)?,
        // CRYPTO, NEW_TOKEN.
        0x06 => data(numbers(rest, 1)?)?,
        0x07 => data(rest)?,
        // STREAM, with an offset and a length by its bits.
        0x08..=0x0f => {
            let rest = numbers(rest, if kind & 0x04 == 0 { 1 } else { 2 })?;
            if kind & 0x02 == 0 { &[] } else { data(rest)? }
        }
        // MAX_DATA, MAX_STREAMS, DATA_BLOCKED, STREAMS_BLOCKED, RETIRE_CONNECTION_ID.
        0x10 | 0x12..=0x14 | 0x16 | 0x17 | 0x19 => numbers(rest, 1)?,
        // NEW_CONNECTION_ID: an ID with its length in one octet, and a token.
        0x18 => {
            let (&length, rest) = numbers(rest, 2)?.split_first()?;
            rest.get(usize::from(length) + 16..)?
        }
        // PATH_CHALLENGE, PATH_RESPONSE.
        0x1a | 0x1b => rest.get(8..)?,
        // CONNECTION_CLOSE, of the transport and of the application.
        0x1c => data(numbers(rest, 2)?)?,
        0x1d => data(numbers(rest, 1)?)?,
        // DATAGRAM (RFC 9221).
        0x30 => &[],
        0x31 => data(rest)?,
        _ => return None,
    };
    Some((None, after))
}

/// What follows the type of an acknowledgment.
fn ack(octets: &[u8], has_marks: bool) -> Option<(Ack<'_>, &[u8])> {
    let (largest, rest) = varint(octets)?;
    let (_delay, rest) = varint(rest)?;
    let (count, rest) = varint(rest)?;
    let (first, ranges) = varint(rest)?;
    let mut rest = ranges;
    // Each takes two octets at the least, so this ends with the packet.
    for _ in 0..count {
        rest = numbers(rest, 2)?;
    }
    let mut marks = None;
    if has_marks {
        let (ect0, after) = varint(rest)?;
        let (ect1, after) = varint(after)?;
        let (ce, after) = varint(after)?;
        marks = Some(Marks { ect0, ect1, ce });
        rest = after;
    }
    Some((Ack { largest, first, ranges, count, marks }, rest))
}

/// What follows this many numbers.
fn numbers(octets: &[u8], count: usize) -> Option<&[u8]> {
    (0..count).try_fold(octets, |rest, _| Some(varint(rest)?.1))
}

/// What follows octets with their length before them.
fn data(octets: &[u8]) -> Option<&[u8]> {
    let (length, rest) = varint(octets)?;
    rest.get(usize::try_from(length).ok()?..)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Acknowledges 7 to 9 and 2 to 4, with marks or without.
    const ACK: [u8; 7] = [0x02, 9, 0, 1, 2, 1, 2];
    const MARKED: [u8; 10] = [0x03, 9, 0, 1, 2, 1, 2, 5, 0x40, 0x01];

    #[test]
    fn an_acknowledgment_is_found_behind_other_frames() {
        let before: [&[u8]; 9] = [
            &[0, 0, 1, 0x1e],
            &[0x06, 0, 2, b'h', b'i'],
            &[0x0e, 4, 1, 1, b'x'],
            &[0x18, 1, 0, 2, 8, 8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
            &[0x1a, 1, 2, 3, 4, 5, 6, 7, 8],
            &[0x1c, 1, 2, 1, b'y'],
            &[0x31, 1, b'z'],
            &[0x04, 1, 2, 3, 0x05, 1, 2, 0x10, 1, 0x19, 1],
            &[0x07, 1, b'n', 0x1d, 1, 0],
        ];
        for frames in before {
            let packet = [frames, &ACK, &[0], &[0x03, 0, 0, 0, 0, 1, 2, 3]].concat();
            let found: Vec<_> = acks(&packet).collect();
            assert_eq!(found.len(), 2, "{frames:x?}");
            assert_eq!(found[0].ranges().collect::<Vec<_>>(), [7..=9, 2..=4]);
            assert_eq!(found[0].marks, None);
            assert_eq!(found[1].marks, Some(Marks { ect0: 1, ect1: 2, ce: 3 }));
        }
    }

    #[test]
    fn what_is_wrong_or_cut_acknowledges_nothing_more() {
        let marked = [&MARKED[..], &[3]].concat();
        let all = acks(&marked).next().unwrap();
        assert_eq!(all.marks, Some(Marks { ect0: 5, ect1: 1, ce: 3 }));
        for length in 0..marked.len() {
            assert_eq!(acks(&marked[..length]).count(), 0, "{length}");
        }
        // A stream without a length takes the rest, and so hides what looks like an acknowledgment.
        assert_eq!(acks(&[&[0x08, 0][..], &ACK].concat()).count(), 0);
        assert_eq!(acks(&[&[0x40, 0x42][..], &ACK].concat()).count(), 0, "an unknown frame");
        // Ranges below zero, and more of them than there are octets.
        let below = [0x02, 1, 0, 0, 2];
        assert_eq!(acks(&below).next().unwrap().ranges().count(), 0);
        let below = [0x02, 9, 0, 1, 2, 9, 2];
        assert_eq!(acks(&below).next().unwrap().ranges().collect::<Vec<_>>(), [7..=9]);
        let endless = [0x02, 9, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0];
        assert_eq!(acks(&endless).count(), 0);
    }
}
