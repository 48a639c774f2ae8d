//! From how far a flow's answers came: the TTLs (hop limits) that they arrived with. A hint at who
//! answered, kept of every connection, beside what the chains see.

/// The TTLs of the packets that were taken for the other side's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ttls {
    first: Option<u8>,
    /// The other way round where there were none.
    lowest: u8,
    highest: u8,
}

impl Default for Ttls {
    fn default() -> Ttls {
        Ttls { first: None, lowest: u8::MAX, highest: 0 }
    }
}

impl Ttls {
    /// Those of answers, in the order in which they came.
    pub fn of(answers: impl IntoIterator<Item = u8>) -> Ttls {
        let mut ttls = Ttls::default();
        answers.into_iter().for_each(|ttl| ttls.add(ttl));
        ttls
    }

    /// That of the first answer: of the SYN/ACK, where there is one.
    pub fn first(&self) -> Option<u8> {
        self.first
    }

    /// The lowest and the highest of later packets; `None` where there were none.
    pub fn others(&self) -> Option<(u8, u8)> {
        (self.lowest <= self.highest).then_some((self.lowest, self.highest))
    }

    /// Notes that of a packet.
    #[inline]
    pub(crate) fn add(&mut self, ttl: u8) {
        match self.first {
            None => self.first = Some(ttl),
            Some(_) => {
                self.lowest = self.lowest.min(ttl);
                self.highest = self.highest.max(ttl);
            }
        }
    }
}

/// What hosts begin with.
const INITIAL: [u8; 4] = [32, 64, 128, 255];

/// How many routers took one off this TTL, where its sender began with the next of the usual numbers.
pub fn hops(ttl: u8) -> u8 {
    let initial = INITIAL.into_iter().find(|&initial| initial >= ttl).unwrap_or(u8::MAX);
    initial - ttl
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_stands_apart_from_the_others() {
        assert_eq!((Ttls::default().first(), Ttls::default().others()), (None, None));
        let one = Ttls::of([57]);
        assert_eq!((one.first(), one.others()), (Some(57), None));
        let several = Ttls::of([64, 57, 56, 57]);
        assert_eq!((several.first(), several.others()), (Some(64), Some((56, 57))));
    }
}
