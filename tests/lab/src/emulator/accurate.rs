//! Owns the servers' half of Accurate ECN (RFC 9768), which their kernel does not know: what the kernel is
//! shown of a client's packets, and what its answers are given.

use std::collections::HashMap;
use std::net::IpAddr;

use super::memory::bounded;
use crate::packet::{Packet, TcpOption, flag};
use crate::scenario::{AccurateEcn, Ecn};

/// The option AccECN0: counters of octets with ECT(0), CE and ECT(1) (section 3.2.3).
const OPTION: u8 = 172;
/// The first values of the counters of packets and of octets (section 3.2.1).
const FIRST: (u8, [u32; 3]) = (5, [1, 0, 1]);
/// How far the counter of packets counts before it begins again (section 3.2.2.5).
const PACKETS: u8 = 8;
/// What ACE says on a SYN/ACK, by the mark of the SYN (table 2).
const HANDSHAKE: [u8; 4] = [0b010, 0b011, 0b100, 0b110];
/// The marks of octets that are counted, in the order of the option's counters.
const COUNTED: [Ecn; 3] = [Ecn::Ect0, Ecn::Ce, Ecn::Ect1];

/// All connections of a path's clients.
#[derive(Debug)]
pub(super) struct Accurate {
    kind: AccurateEcn,
    connections: HashMap<Connection, Seen>,
}

/// The client's end and the server's.
type Connection = ((IpAddr, u16), (IpAddr, u16));

/// What came of one that asked for Accurate ECN.
#[derive(Debug)]
struct Seen {
    /// The ECN field of the SYN.
    syn: u8,
    /// Packets with CE, modulo [`PACKETS`].
    congested: u8,
    /// Octets with ECT(0), CE and ECT(1).
    octets: [u32; 3],
}

impl Accurate {
    /// What such servers remember; none where they do not know Accurate ECN.
    pub(super) fn of(kind: AccurateEcn) -> Option<Accurate> {
        (kind != AccurateEcn::Off).then(|| Accurate { kind, connections: HashMap::new() })
    }

    /// Takes notice of a client's packet, and takes off what the kernel is not to see.
    pub(super) fn is_asked(&mut self, packet: &mut Packet) {
        let (Some(flags), Some((from, to))) = (packet.tcp_flags(), packet.ports()) else { return };
        let connection = ((packet.source(), from), (packet.destination(), to));
        let mark = packet.ecn();
        let is_congested = u8::from(mark == Ecn::Ce.bits());
        if packet.is_syn() {
            if flags & flag::ACE != flag::ACE {
                self.connections.remove(&connection);
                return;
            }
            // Of a SYN that is repeated, the last one counts.
            let congested = FIRST.0 + is_congested;
            let seen = Seen { syn: mark, congested, octets: FIRST.1 };
            bounded(&mut self.connections).insert(connection, seen);
        } else {
            let Some(seen) = self.connections.get_mut(&connection) else { return };
            if self.kind != AccurateEcn::NoCounts {
                seen.congested = (seen.congested + is_congested) % PACKETS;
                let octets = packet.data().len() as u32;
                for (count, counted) in seen.octets.iter_mut().zip(COUNTED) {
                    *count += if mark == counted.bits() { octets } else { 0 };
                }
            }
        }
        packet.set_tcp_flags(flags & !flag::ACE);
        packet.set_ecn(Ecn::NotEct.bits());
    }

    /// Gives an answer of the kernel's what it lacks.
    pub(super) fn answers(&mut self, packet: &mut Packet) {
        let (Some(flags), Some((from, to))) = (packet.tcp_flags(), packet.ports()) else { return };
        let connection = ((packet.destination(), to), (packet.source(), from));
        let Some(seen) = self.connections.get(&connection) else { return };
        if flags & flag::RST != 0 {
            return;
        }
        let ace =
            if flags & flag::SYN != 0 { HANDSHAKE[usize::from(seen.syn)] } else { seen.congested };
        packet.set_tcp_flags((flags & !flag::ACE) | u16::from(ace) << flag::ACE_LEFT);
        if self.kind == AccurateEcn::On {
            let counters = seen.octets.map(|octets| octets.to_be_bytes());
            let value = counters.iter().flat_map(|octets| &octets[1..]).copied().collect();
            let mut options = packet.parsed_tcp_options();
            options.push(TcpOption { kind: OPTION, value });
            packet.set_tcp_options(&options);
        }
    }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    const CLIENT: ([u8; 4], u16) = ([10, 0, 0, 2], 4000);
    const SERVER: ([u8; 4], u16) = ([10, 64, 0, 1], 80);

    fn packet(
        from: ([u8; 4], u16),
        to: ([u8; 4], u16),
        flags: u16,
        mark: u8,
        data: &[u8],
    ) -> Packet {
        let mut bytes = Vec::new();
        let step = PacketBuilder::ipv4(from.0, to.0, 64).tcp(from.1, to.1, 1, 1000);
        step.write(&mut bytes, data).unwrap();
        let mut packet = Packet::parse(bytes).unwrap();
        packet.set_tcp_flags(flags);
        packet.set_traffic_class(mark);
        packet
    }

    /// What the kernel is shown of a client's packet.
    fn asks(server: &mut Accurate, flags: u16, mark: u8, data: &[u8]) -> (u16, u8) {
        let mut packet = packet(CLIENT, SERVER, flags, mark, data);
        server.is_asked(&mut packet);
        assert!(packet.checksums_are_right());
        (packet.tcp_flags().unwrap(), packet.traffic_class())
    }

    /// ACE and the option of the kernel's answer.
    fn answers(server: &mut Accurate, flags: u16) -> (u16, Option<Vec<u8>>) {
        let mut packet = packet(SERVER, CLIENT, flags, 0, &[]);
        server.answers(&mut packet);
        assert!(packet.checksums_are_right());
        let option = packet.parsed_tcp_options().into_iter().find(|o| o.kind == OPTION);
        (packet.tcp_flags().unwrap() >> 6, option.map(|option| option.value))
    }

    #[test]
    fn marks_are_said_and_counted_and_the_kernel_sees_none() {
        let both = flag::SYN | flag::ACK;
        let mut server = Accurate::of(AccurateEcn::On).unwrap();
        for (mark, ace) in [(0, 0b010), (1, 0b011), (2, 0b100), (3, 0b110)] {
            assert_eq!(asks(&mut server, flag::SYN | flag::ACE, mark, &[]), (flag::SYN, 0));
            assert_eq!(answers(&mut server, both), (ace, Some(vec![0, 0, 1, 0, 0, 0, 0, 0, 1])));
        }
        assert_eq!(answers(&mut server, flag::ACK).0, 6, "the SYN's CE counts");
        assert_eq!(asks(&mut server, flag::ACK | flag::CWR, 1, b"abc"), (flag::ACK, 0));
        assert_eq!(answers(&mut server, flag::ACK), (6, Some(vec![0, 0, 1, 0, 0, 0, 0, 0, 4])));
        assert_eq!(asks(&mut server, flag::ACK, 3, b"abcd"), (flag::ACK, 0));
        assert_eq!(answers(&mut server, flag::ACK), (7, Some(vec![0, 0, 1, 0, 0, 4, 0, 0, 4])));
        assert_eq!(answers(&mut server, flag::RST), (0, None));
    }

    #[test]
    fn who_asks_for_less_gets_what_the_kernel_says() {
        let mut server = Accurate::of(AccurateEcn::NoOption).unwrap();
        asks(&mut server, flag::SYN | flag::ACE, 0, &[]);
        assert_eq!(answers(&mut server, flag::SYN | flag::ACK), (0b010, None));
        let classic = flag::SYN | flag::ECE | flag::CWR;
        assert_eq!(asks(&mut server, classic, 0, &[]), (classic, 0));
        assert_eq!(answers(&mut server, flag::SYN | flag::ACK | flag::ECE), (0b001, None));
        let mut server = Accurate::of(AccurateEcn::NoCounts).unwrap();
        asks(&mut server, flag::SYN | flag::ACE, 0, &[]);
        asks(&mut server, flag::ACK, 3, b"abc");
        assert_eq!(answers(&mut server, flag::ACK), (5, None));
        assert!(Accurate::of(AccurateEcn::Off).is_none());
    }
}
