//! The handshake with targets that answer in each way that RFC 9768 has a row for.

use std::net::SocketAddr;

use pathspider_plugin_api::forge;
use pathspider_plugin_api::testing::{Peer, converse};

use super::*;

/// A target whose SYN/ACK has these bits and this mark.
struct Target {
    ends: (SocketAddr, SocketAddr),
    bits: u8,
    mark: u8,
}

impl Peer for Target {
    fn take(&mut self, _: Duration, packet: &[u8]) -> Vec<(Duration, Vec<u8>)> {
        let at = if packet[0] >> 4 == 4 { 20 } else { 40 };
        let number = |at: usize| u32::from_be_bytes(packet[at..at + 4].try_into().unwrap());
        let (syn, fin) = (packet[at + 13] & 2 != 0, packet[at + 13] & 1 != 0);
        let (local, remote) = self.ends;
        let segment = forge::Packet::to(local.ip()).source(remote.ip()).ecn(self.mark);
        let segment = segment.tcp(local.port()).source_port(remote.port());
        let segment = segment.acknowledgment(number(at + 4).wrapping_add(1));
        let flags = |bits: u8| {
            let all = [TcpFlags::ECE, TcpFlags::CWR, TcpFlags::AE];
            let set = all.into_iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1);
            set.fold(TcpFlags::ACK, |flags, (_, bit)| flags.and(bit))
        };
        let segment = match (syn, fin) {
            (true, _) => segment.flags(flags(self.bits).and(TcpFlags::SYN)).sequence(7),
            (_, true) => segment.flags(TcpFlags::ACK.and(TcpFlags::FIN)).sequence(8),
            _ => return Vec::new(),
        };
        vec![(Duration::from_millis(10), segment.bytes().unwrap())]
    }
}

/// The three bits of each segment that leaves.
fn sent(asks: bool, bits: u8, mark: u8, ends: [&str; 2]) -> Vec<u8> {
    let [local, remote] = ends.map(|end| end.parse().unwrap());
    let handshake = Handshake { asks, ..Handshake::default() };
    let mut connect = Connect::conversation(TcpClient::new(handshake));
    let mut target = Target { ends: (local, remote), bits, mark };
    let talked = converse(&mut connect, (local, remote), &mut target).unwrap();
    assert_eq!(talked.outcome.state(), State::Ok);
    let at = if local.is_ipv4() { 20 } else { 40 };
    let bits = |packet: &[u8]| (packet[at + 12] & 1) << 2 | packet[at + 13] >> 6;
    talked.sent.iter().map(|(_, packet)| bits(packet)).collect()
}

const ENDS: [[&str; 2]; 2] =
    [["192.0.2.7:4000", "198.51.100.1:80"], ["[2001:db8::7]:4000", "[2001:db8::1]:80"]];

#[test]
fn the_third_packet_says_which_mark_the_syn_ack_had() {
    for ends in ENDS {
        for (mark, ace) in [(0, 0b010), (1, 0b011), (2, 0b100), (3, 0b110)] {
            for bits in [0b010, 0b011, 0b100, 0b110, 0b101] {
                assert_eq!(sent(true, bits, mark, ends), [7, ace, 5, 5], "{bits:b} {mark}");
            }
        }
    }
}

#[test]
fn without_an_agreement_nothing_follows_the_syn() {
    for bits in [REFUSED, CLASSICAL, SENT_BACK] {
        assert_eq!(sent(true, bits, 0, ENDS[0]), [7, 0, 0, 0], "{bits:b}");
    }
    assert_eq!(sent(false, 0, 0, ENDS[0]), [0, 0, 0, 0], "the baseline");
}
