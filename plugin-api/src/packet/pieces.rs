//! Octets that come in pieces and in any order: what is there, and how much of it is in order.

/// Stretches that are apart from each other at the most. Whoever sends more of them wants the memory.
const MOST_APART: usize = 256;

/// Octets from a beginning on, with holes where a piece has not come.
#[derive(Debug, Clone)]
pub struct Pieces {
    octets: Vec<u8>,
    /// What is there, in order; no two touch each other.
    there: Vec<Stretch>,
    /// Octets that are kept at the most.
    limit: u32,
}

/// A part that is there without a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stretch {
    begin: u32,
    end: u32,
}

/// How a piece stands to those that were there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// It fills a hole, and no more.
    New,
    /// All of it was there.
    Known,
    /// A part of it was there. The octets that were there stay.
    Overlapping,
    /// It was not taken: it begins beyond the limit, or there are too many holes.
    Refused,
}

impl Pieces {
    /// No piece yet, and room for this many octets.
    pub fn new(limit: u32) -> Pieces {
        Pieces { octets: Vec::new(), there: Vec::new(), limit }
    }

    /// The octets that are there before the first hole.
    pub fn in_order(&self) -> &[u8] {
        match self.there.first() {
            Some(&Stretch { begin: 0, end }) => &self.octets[..end as usize],
            _ => &[],
        }
    }

    /// The place after the last octet that is there.
    pub fn end(&self) -> u32 {
        self.there.last().map_or(0, |last| last.end)
    }

    /// Octets of memory that it takes.
    pub fn size(&self) -> usize {
        self.octets.capacity() + self.there.capacity() * size_of::<Stretch>()
    }

    /// Adds a piece at this place. Octets beyond the limit are left out.
    pub fn add(&mut self, at: u32, piece: &[u8]) -> Fit {
        let room = self.limit.saturating_sub(at) as usize;
        let piece = &piece[..piece.len().min(room)];
        let end = at + piece.len() as u32;
        if piece.is_empty() {
            return if room == 0 { Fit::Refused } else { Fit::Known };
        }
        // Those that it overlaps or touches, which become one with it.
        let from = self.there.partition_point(|known| known.end < at);
        let to = self.there.partition_point(|known| known.begin <= end);
        let met = &self.there[from..to];
        if met.iter().any(|known| known.begin <= at && end <= known.end) {
            return Fit::Known;
        }
        if met.is_empty() && self.there.len() >= MOST_APART {
            return Fit::Refused;
        }
        let overlaps = met.iter().any(|known| known.begin < end && at < known.end);
        if self.octets.len() < end as usize {
            self.octets.resize(end as usize, 0);
        }
        let mut hole = at;
        let mut one = Stretch { begin: at, end };
        for known in met {
            fill(&mut self.octets, hole..known.begin, at, piece);
            hole = hole.max(known.end);
            one = Stretch { begin: one.begin.min(known.begin), end: one.end.max(known.end) };
        }
        fill(&mut self.octets, hole..end, at, piece);
        self.there.splice(from..to, [one]);
        if overlaps { Fit::Overlapping } else { Fit::New }
    }
}

/// Copies what a piece at `at` has for this hole.
fn fill(octets: &mut [u8], hole: std::ops::Range<u32>, at: u32, piece: &[u8]) {
    if hole.start < hole.end {
        let from = &piece[(hole.start - at) as usize..(hole.end - at) as usize];
        octets[hole.start as usize..hole.end as usize].copy_from_slice(from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_order_gives_the_same() {
        let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        for order in orders {
            let mut pieces = Pieces::new(100);
            for at in order {
                let piece = [[b'a', b'b'], [b'c', b'd'], [b'e', b'f']][at];
                assert_eq!(pieces.add(2 * at as u32, &piece), Fit::New);
            }
            assert_eq!((pieces.in_order(), pieces.end()), (&b"abcdef"[..], 6));
        }
    }

    #[test]
    fn the_first_to_come_stay() {
        let mut pieces = Pieces::new(100);
        assert_eq!(pieces.add(2, b"cd"), Fit::New);
        assert_eq!(pieces.add(6, b"gh"), Fit::New);
        assert_eq!(pieces.in_order(), b"");
        assert_eq!(pieces.add(0, b"abXXefXXij"), Fit::Overlapping);
        assert_eq!(pieces.in_order(), b"abcdefghij");
        assert_eq!(pieces.add(3, b"XXX"), Fit::Known);
        assert_eq!(pieces.in_order(), b"abcdefghij");
    }

    #[test]
    fn nothing_is_kept_beyond_the_limit() {
        let mut pieces = Pieces::new(4);
        assert_eq!(pieces.add(2, b"cdef"), Fit::New);
        assert_eq!(pieces.add(4, b"e"), Fit::Refused);
        assert_eq!(pieces.add(u32::MAX, b"e"), Fit::Refused);
        assert_eq!(pieces.add(0, b"ab"), Fit::New);
        assert_eq!(pieces.in_order(), b"abcd");
    }

    #[test]
    fn there_are_only_so_many_holes() {
        let mut pieces = Pieces::new(65_535);
        let taken = (0..60_000).step_by(2).filter(|&at| pieces.add(at, b"x") == Fit::New).count();
        assert_eq!(taken, MOST_APART);
        // What fills a hole is taken all the same.
        assert_eq!(pieces.add(1, b"y"), Fit::New);
        assert!(pieces.size() < 8_192, "{}", pieces.size());
    }
}
