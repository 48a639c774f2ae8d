//! Packets of connections that were sent as the measurement means them, and answered: without them, what
//! it concludes where all is as it should be would never be looked at.

use std::net::IpAddr;

use pathspider_plugin_api::forge;
use pathspider_plugin_api::packet::{TcpFlags, protocol};
use pathspider_plugin_api::{Connect, ConnectKind, Setting};

use super::traffic::{self, Exchange};
use crate::asked::{self, Header};

/// Our port where the host is to choose it.
const PORT: u16 = 40_000;

/// What such a connection looks like, in several ways.
pub(super) fn exchanges(connect: &Connect) -> Vec<Exchange> {
    match connect.kind() {
        ConnectKind::Skip => Vec::new(),
        ConnectKind::Packets => answered(connect).into_iter().collect(),
        _ => {
            let mut exchanges = traffic::exchanges();
            exchanges.iter_mut().flatten().for_each(|packet| set(connect, packet));
            exchanges
        }
    }
}

/// Gives a packet of ours what the settings ask for.
fn set(connect: &Connect, packet: &mut [u8]) {
    let number = |setting: Setting| {
        let value = connect.settings().u64(setting.name())?;
        u8::try_from(value).ok()
    };
    let Some(class) = traffic::class_of_ours(packet) else { return };
    if let Some(hops) = number(Setting::Ttl) {
        packet[if packet[0] >> 4 == 6 { 7 } else { 8 }] = hops;
    }
    let dscp = number(Setting::Dscp).unwrap_or(class >> 2);
    let ecn = number(Setting::Ecn).unwrap_or(class & 3);
    traffic::mark(packet, dscp << 2 | ecn & 3);
}

/// The plugin's own packets, and an answer to the first; `None` where they cannot be read.
fn answered(connect: &Connect) -> Option<Exchange> {
    let mut exchange: Exchange = connect.packet_bytes().map(<[u8]>::to_vec).collect();
    for packet in &mut exchange {
        let header = asked::header(packet).ok()?;
        if header.source.is_unspecified() {
            match traffic::us(header.destination) {
                IpAddr::V4(us) => packet[12..16].copy_from_slice(&us.octets()),
                IpAddr::V6(us) => packet[8..24].copy_from_slice(&us.octets()),
            }
        }
        if let (Some((0, _)), Some(at)) = (header.ports, header.transport) {
            packet[at..at + 2].copy_from_slice(&PORT.to_be_bytes());
        }
    }
    let first = exchange.first()?;
    let answer = answer(&asked::header(first).ok()?, first)?;
    exchange.push(answer);
    Some(exchange)
}

/// A SYN/ACK, or the same datagram as a response of DNS.
fn answer(header: &Header, packet: &[u8]) -> Option<Vec<u8>> {
    let (ours, theirs) = header.ports?;
    let back = forge::Packet::to(header.source).source(header.destination);
    let octets = match header.protocol {
        protocol::TCP => {
            let flags = TcpFlags::SYN.and(TcpFlags::ACK);
            let next = header.opening?.wrapping_add(1);
            back.tcp(ours).source_port(theirs).flags(flags).acknowledgment(next).mss(1460).bytes()
        }
        protocol::UDP => {
            let mut message = packet.get(header.transport? + 8..)?.to_vec();
            if let Some(flags) = message.get_mut(2) {
                *flags |= 0x80;
            }
            back.udp(ours, &message).source_port(theirs).bytes()
        }
        _ => return None,
    };
    octets.ok()
}
