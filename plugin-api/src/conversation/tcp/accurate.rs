//! The client's half of ECN and Accurate ECN (RFC 3168, RFC 9768), for an exchange that edits its
//! segments. It says nothing of marks: which ECN field a segment has is the measurement's to say.

use super::segment::Segment;
use crate::packet::{Packet, TcpFlags, ecn, tcp_option};

/// The option with the counters E0B, CEB and E1B of 24 bits each (RFC 9768, section 3.2.3).
const OPTION: u8 = tcp_option::ACCURATE_ECN_0;
/// What the counter of packets with CE begins at (section 3.2.1).
const FIRST_COUNT: u8 = 5;
/// What the counters of octets begin at.
const FIRST_OCTETS: [u32; 3] = [1, 0, 1];

/// Which ECN two ends have agreed on, by the bits AE, CWR and ECE of the SYN/ACK to a SYN that had all
/// three (RFC 9768, table 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EcnMode {
    /// None.
    None,
    /// That of RFC 3168.
    Classic,
    /// That of RFC 9768. The SYN arrived with this ECN field; `None` where the bits are reserved ones.
    Accurate(Option<u8>),
    /// The SYN's own bits came back, so nothing was agreed on.
    Reflected,
}

impl EcnMode {
    /// What the bits of the SYN/ACK say, as [`TcpFlags::ace`] gives them.
    pub fn of_answer(bits: u8) -> EcnMode {
        match bits & 7 {
            0b000 => EcnMode::None,
            0b001 => EcnMode::Classic,
            0b010 => EcnMode::Accurate(Some(ecn::NOT_ECT)),
            0b011 => EcnMode::Accurate(Some(ecn::ECT_1)),
            0b100 => EcnMode::Accurate(Some(ecn::ECT_0)),
            0b110 => EcnMode::Accurate(Some(ecn::CE)),
            0b111 => EcnMode::Reflected,
            _ => EcnMode::Accurate(None),
        }
    }

    /// Whether it is that of RFC 9768.
    pub fn is_accurate(self) -> bool {
        matches!(self, EcnMode::Accurate(_))
    }
}

/// An Accurate ECN client: the flags and options of its segments, and what it has to know for them.
///
/// ```
/// use pathspider_plugin_api::conversation::tcp::{AccurateEcn, Segment, TcpClient, TcpExchange};
/// use pathspider_plugin_api::packet::Packet;
///
/// /// A handshake that asks for Accurate ECN, on a SYN with ECT(0).
/// struct Handshake(AccurateEcn);
///
/// impl TcpExchange for Handshake {
///     fn outgoing(&mut self, segment: &mut Segment) {
///         self.0.outgoing(segment);
///         if segment.has(pathspider_plugin_api::packet::TcpFlags::SYN) {
///             segment.set_ecn(2);
///         }
///     }
///
///     fn incoming(&mut self, packet: &Packet<'_>) {
///         self.0.incoming(packet);
///     }
/// }
///
/// let client = TcpClient::new(Handshake(AccurateEcn::default())).option_room(AccurateEcn::ROOM);
/// # let _ = client;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccurateEcn {
    mode: Option<EcnMode>,
    /// The ACE field of the next segment, where that acknowledges a SYN/ACK.
    third: Option<u8>,
    /// Packets with CE that came.
    congested: u8,
    /// Octets that came with ECT(0), CE and ECT(1).
    octets: [u32; 3],
}

impl Default for AccurateEcn {
    fn default() -> AccurateEcn {
        AccurateEcn { mode: None, third: None, congested: FIRST_COUNT, octets: FIRST_OCTETS }
    }
}

impl AccurateEcn {
    /// Octets of a segment that its option takes, padding included: for
    /// [`TcpClient::option_room`](super::TcpClient::option_room).
    pub const ROOM: usize = 12;

    /// What was agreed on; `None` before the SYN/ACK.
    pub fn mode(&self) -> Option<EcnMode> {
        self.mode
    }

    /// Edits a segment that leaves: asks on SYNs, and feeds back what came on others.
    pub fn outgoing(&mut self, segment: &mut Segment) {
        if segment.has(TcpFlags::SYN) {
            segment.set(TcpFlags::ASK_FOR_ECN);
            return;
        }
        if !self.mode.is_some_and(EcnMode::is_accurate) {
            return;
        }
        segment.set_ace(self.third.take().unwrap_or(self.congested));
        let counters = self.octets.map(|octets| octets.to_be_bytes());
        let value: Vec<u8> = counters.iter().flat_map(|octets| &octets[1..]).copied().collect();
        segment.add_option(OPTION, &value);
    }

    /// Reads a packet that came, which may be an ICMP error.
    pub fn incoming(&mut self, packet: &Packet<'_>) {
        let Some(tcp) = packet.tcp() else { return };
        let mark = packet.ip().ecn();
        if tcp.has(TcpFlags::SYN) {
            let mode = EcnMode::of_answer(tcp.flags().ace());
            let is_first = self.mode.replace(mode).is_none();
            self.third = mode.is_accurate().then(|| third(mark));
            self.congested += u8::from(is_first && mark == ecn::CE);
            return;
        }
        self.congested = (self.congested + u8::from(mark == ecn::CE)) & 7;
        let place = match mark {
            2 => 0,
            3 => 1,
            1 => 2,
            _ => return,
        };
        self.octets[place] = self.octets[place].wrapping_add(packet.payload_length());
    }
}

/// The ACE field that acknowledges a SYN/ACK with this ECN field (RFC 9768, section 3.2.2.1, table 3).
fn third(mark: u8) -> u8 {
    [0b010, 0b011, 0b100, 0b110][usize::from(mark & 3)]
}

#[cfg(test)]
#[cfg(feature = "testing")]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use super::*;
    use crate::conversation::tcp::{Stream, TcpClient, TcpExchange};
    use crate::testing::{Peer, Server, Talked, converse};
    use crate::{Connect, Result};

    const ENDS: (&str, &str) = ("192.0.2.7:40000", "198.51.100.1:80");

    /// Asks for a page in two parts, the second one when the first is acknowledged.
    #[derive(Default)]
    struct Asks {
        ecn: AccurateEcn,
        parts: usize,
    }

    impl TcpExchange for Asks {
        fn opened(&mut self, stream: &mut Stream<'_>) -> Result<()> {
            stream.write(b"GET / HTTP");
            Ok(())
        }

        fn acknowledged(&mut self, stream: &mut Stream<'_>) -> Result<()> {
            self.parts += 1;
            if self.parts == 1 {
                stream.write(b"/1.1\r\n\r\n");
            }
            Ok(())
        }

        fn outgoing(&mut self, segment: &mut Segment) {
            self.ecn.outgoing(segment);
        }

        fn incoming(&mut self, packet: &Packet<'_>) {
            self.ecn.incoming(packet);
        }
    }

    /// A server whose SYN/ACK has these bits, and whose packets come with this ECN field.
    struct Answers {
        server: Server,
        bits: u8,
        mark: u8,
    }

    impl Answers {
        fn edit(&self, answers: Vec<(Duration, Vec<u8>)>) -> Vec<(Duration, Vec<u8>)> {
            let edit = |(at, octets): (Duration, Vec<u8>)| {
                let mut segment = Segment::of(&octets).unwrap();
                if segment.has(TcpFlags::SYN) {
                    segment.set_ace(self.bits);
                }
                segment.set_ecn(self.mark);
                (at, segment.into_packet().unwrap())
            };
            answers.into_iter().map(edit).collect()
        }
    }

    impl Peer for Answers {
        fn take(&mut self, now: Duration, packet: &[u8]) -> Vec<(Duration, Vec<u8>)> {
            let answers = self.server.take(now, packet);
            self.edit(answers)
        }

        fn due(&mut self, now: Duration) -> Option<Duration> {
            self.server.due(now)
        }

        fn wake(&mut self, now: Duration) -> Vec<(Duration, Vec<u8>)> {
            let answers = self.server.wake(now);
            self.edit(answers)
        }
    }

    fn talk(bits: u8, mark: u8) -> Talked {
        let client = TcpClient::new(Asks::default()).option_room(AccurateEcn::ROOM);
        let ends: (SocketAddr, SocketAddr) = (ENDS.0.parse().unwrap(), ENDS.1.parse().unwrap());
        let mut target = Answers { server: Server::new(vec![b'a'; 500]), bits, mark };
        let talked = converse(&mut Connect::conversation(client), ends, &mut target).unwrap();
        assert_eq!(target.server.request(), b"GET / HTTP/1.1\r\n\r\n");
        talked
    }

    /// The segments that left: ACE field, length of the data, and the counters of the option.
    fn left(talked: &Talked) -> Vec<(u8, usize, Option<Vec<u8>>)> {
        let each = |(_, octets): &(Duration, Vec<u8>)| {
            let packet = crate::testing::packet(octets).unwrap();
            let tcp = packet.tcp().unwrap();
            let option = tcp.option(OPTION).map(|option| option.data.to_vec());
            (tcp.flags().ace(), packet.payload().len(), option)
        };
        talked.sent.iter().map(each).collect()
    }

    #[test]
    fn the_third_packet_says_how_the_syn_ack_came_and_later_ones_count() {
        let first = || Some(vec![0, 0, 1, 0, 0, 0, 0, 0, 1]);
        for (mark, third, count) in [(0, 0b010, 5), (1, 0b011, 5), (2, 0b100, 5), (3, 0b110, 6)] {
            let left = left(&talk(0b010, mark));
            assert_eq!(left[0], (7, 0, None), "the SYN asks");
            assert_eq!(left[1], (third, 0, first()));
            assert_eq!((left[2].0, left[2].1, &left[2].2), (count, 10, &first()));
            let counters = left.last().unwrap().2.clone().unwrap();
            let octets = [vec![0, 1, 0xf5], vec![0, 1, 0xf4]];
            let expected = match mark {
                0 => first().unwrap(),
                1 => [vec![0, 0, 1, 0, 0, 0], octets[0].clone()].concat(),
                2 => [octets[0].clone(), vec![0, 0, 0, 0, 0, 1]].concat(),
                _ => [vec![0, 0, 1], octets[1].clone(), vec![0, 0, 1]].concat(),
            };
            assert_eq!(counters, expected, "{mark}");
        }
    }

    #[test]
    fn where_nothing_was_agreed_on_nothing_is_fed_back() {
        for (bits, mode) in [(0, EcnMode::None), (1, EcnMode::Classic), (7, EcnMode::Reflected)] {
            assert_eq!(EcnMode::of_answer(bits), mode);
            let left = left(&talk(bits, 3));
            assert!(left[1..].iter().all(|(ace, _, option)| (*ace, option) == (0, &None)));
        }
        for (bits, mark) in [(2, Some(0)), (3, Some(1)), (4, Some(2)), (6, Some(3)), (5, None)] {
            assert_eq!(EcnMode::of_answer(bits), EcnMode::Accurate(mark));
        }
    }
}
