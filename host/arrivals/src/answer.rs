//! The answer: the packets of a flow that came, as they came.
//!
//! | octets | |
//! |---|---|
//! | 0–7 | `pspatha1` |
//! | 8–23 | the number of the question |
//! | 24 | how the flow was found: 0 not at all, 1 by port and mark, 2 by the mark alone, 3 by the port alone |
//! | 25 | packets that follow |
//! | 26–33 | for how long packets have been kept without a gap, in microseconds |
//! | 34–37 | packets that came of the flow |
//! | 38–53 | the address that the question came from; of IPv4, as RFC 4291 (section 2.5.5.2) maps it |
//! | then, of each packet | how long ago it came, in microseconds (8 octets); its octets on the wire (4); how many of them follow (2); these |
//! | the last 32 | HMAC-SHA-256 of what stands before |

use std::net::{IpAddr, Ipv6Addr};

use crate::{Key, LENGTH, NONCE, TAG};

const MAGIC: &[u8; 8] = b"pspatha1";

/// Where the parts stand, and octets before the packets.
const NONCE_AT: usize = MAGIC.len();
const FOUND: usize = NONCE_AT + NONCE;
const PACKETS: usize = 25;
const KEPT: usize = 26;
const COUNT: usize = 34;
const FROM: usize = 38;
const HEAD: usize = FROM + 16;

/// Where the parts of a packet's head stand, behind its age, and octets before those of the packet.
const WIRE: usize = 8;
const OCTETS: usize = 12;
const PACKET_HEAD: usize = 14;

/// How a flow was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
    /// Nothing came of it, as far as is known.
    Nothing,
    /// By its port and its mark.
    Both,
    /// By its mark: its port is another one.
    Mark,
    /// By its port: its mark is another one.
    Port,
}

/// A packet that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// How long ago, in microseconds.
    pub age_us: u64,
    /// Its octets on the wire, from the IP header on.
    pub wire: u32,
    /// The first of them.
    pub octets: Vec<u8>,
}

/// What a responder says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The number of the question.
    pub nonce: [u8; NONCE],
    /// How the flow was found.
    pub found: Match,
    /// For how long packets have been kept without a gap, in microseconds.
    pub kept_us: u64,
    /// Packets that came of the flow.
    pub count: u32,
    /// The address that the question came from.
    pub from: IpAddr,
    /// The first packets of the flow.
    pub arrivals: Vec<Arrival>,
}

impl Match {
    fn number(self) -> u8 {
        match self {
            Match::Nothing => 0,
            Match::Both => 1,
            Match::Mark => 2,
            Match::Port => 3,
        }
    }

    fn of_number(number: u8) -> Option<Match> {
        let all = [Match::Nothing, Match::Both, Match::Mark, Match::Port];
        all.get(usize::from(number)).copied()
    }
}

impl Answer {
    /// The datagram, which is never longer than a question: packets that find no place are left out.
    pub fn written(&self, key: &Key) -> Vec<u8> {
        let from = match self.from {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        let mut octets = Vec::with_capacity(LENGTH);
        octets.extend(MAGIC);
        octets.extend(self.nonce);
        octets.extend([self.found.number(), 0]);
        octets.extend(self.kept_us.to_be_bytes());
        octets.extend(self.count.to_be_bytes());
        octets.extend(from.octets());
        for arrival in &self.arrivals {
            let Ok(length) = u16::try_from(arrival.octets.len()) else { continue };
            let end = octets.len() + PACKET_HEAD + arrival.octets.len() + TAG;
            if end > LENGTH || octets[PACKETS] == u8::MAX {
                continue;
            }
            octets[PACKETS] += 1;
            octets.extend(arrival.age_us.to_be_bytes());
            octets.extend(arrival.wire.to_be_bytes());
            octets.extend(length.to_be_bytes());
            octets.extend(&arrival.octets);
        }
        octets.extend(key.tag(&octets));
        octets
    }

    /// Reads a datagram; `None` where it is no answer of who has the key.
    pub fn read(octets: &[u8], key: &Key) -> Option<Answer> {
        if octets.len() > LENGTH || !octets.starts_with(MAGIC) {
            return None;
        }
        let octets = key.verified(octets)?;
        let (head, mut rest) = octets.split_at_checked(HEAD)?;
        let mut arrivals = Vec::new();
        for _ in 0..head[PACKETS] {
            let (before, after) = rest.split_at_checked(PACKET_HEAD)?;
            let length = u16::from_be_bytes([before[OCTETS], before[OCTETS + 1]]);
            let (packet, after) = after.split_at_checked(length.into())?;
            arrivals.push(Arrival {
                age_us: u64::from_be_bytes(*before.first_chunk()?),
                wire: u32::from_be_bytes(*before[WIRE..].first_chunk()?),
                octets: packet.to_vec(),
            });
            rest = after;
        }
        Some(Answer {
            nonce: *head[NONCE_AT..].first_chunk()?,
            found: Match::of_number(head[FOUND])?,
            kept_us: u64::from_be_bytes(*head[KEPT..].first_chunk()?),
            count: u32::from_be_bytes(*head[COUNT..].first_chunk()?),
            from: IpAddr::V6(Ipv6Addr::from(*head[FROM..].first_chunk::<16>()?)).to_canonical(),
            arrivals,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(arrivals: Vec<Arrival>) -> Answer {
        let from = [192, 0, 2, 1].into();
        Answer { nonce: [9; NONCE], found: Match::Mark, kept_us: 5, count: 7, from, arrivals }
    }

    fn arrival(length: usize) -> Arrival {
        Arrival { age_us: 1 << 40, wire: 70_000, octets: vec![3; length] }
    }

    #[test]
    fn an_answer_is_read_as_it_was_written() {
        let key = Key::of(b"a key");
        for arrivals in [vec![], vec![arrival(60), arrival(0)]] {
            let answer = answer(arrivals);
            let written = answer.written(&key);
            assert_eq!(Answer::read(&written, &key), Some(answer));
            assert_eq!(Answer::read(&written, &Key::of(b"another")), None);
        }
    }

    #[test]
    fn no_answer_is_longer_than_a_question() {
        let key = Key::of(b"a key");
        for length in [0, 1, 200, 380, 640, 1_100, 1_101, 5_000, 70_000] {
            let written = answer(vec![arrival(length); 300]).written(&key);
            assert!(written.len() <= LENGTH, "{length}: {}", written.len());
            let read = Answer::read(&written, &key).unwrap();
            assert_eq!(read.arrivals.is_empty(), length > 1_100, "{length}");
        }
    }

    #[test]
    fn no_octets_of_others_make_it_fail() {
        let key = Key::of(b"a key");
        let written = answer(vec![arrival(60)]).written(&key);
        // Who has the key may still have an error.
        for at in 8..written.len() - TAG {
            let mut body = written[..written.len() - TAG].to_vec();
            body[at] = 0xff;
            body.extend(key.tag(&body));
            let _ = Answer::read(&body, &key);
            let mut short = written[..at].to_vec();
            short.extend(key.tag(&short));
            assert_eq!(Answer::read(&short, &key), None, "{at}");
        }
    }
}
