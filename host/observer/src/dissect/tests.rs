//! Properties of dissection: it never fails on anything, and agrees with etherparse on what both
//! understand.

use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};
use pathspider_plugin_api::packet::TcpOptions;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn sliced(packet: &[u8], wire: u32) -> Result<Dissected<'_>, Malformed> {
    let mut dissected = Dissected::NONE;
    dissect(packet, wire, &mut dissected).map(|()| dissected)
}

/// What must hold of every packet that is not malformed.
fn check(packet: &[u8], wire: u32) -> Result<(), TestCaseError> {
    let Ok(found) = sliced(packet, wire) else {
        return Ok(());
    };
    let headers = found.ip.len() + found.transport.len();
    let shortest = if found.tuple.is_v6 { 40 } else { 20 };
    prop_assert!(found.ip.len() >= shortest);
    prop_assert!(headers + found.payload.len() <= packet.len());
    prop_assert!(found.ip_length <= wire);
    prop_assert!(found.payload.len() <= found.payload_length as usize);
    if found.layers.intersects(Layers::TCP) {
        prop_assert!(found.transport.len() >= 20);
        for option in TcpOptions::new(&found.transport[20..]) {
            prop_assert!(option.data.len() + 2 <= found.transport.len() - 20);
        }
    }
    if let Some(quote) = found.quote() {
        prop_assert!(quote.transport.len() + 20 <= found.payload.len());
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_octets_are_sliced_within_their_bounds(
        mut packet in vec(any::<u8>(), 0..200),
        version in prop::sample::select(vec![0x45u8, 0x4f, 0x60, 0x00]),
        protocol in prop::sample::select(vec![1u8, 6, 17, 58, 132, 136, 0, 43, 44, 51, 60, 255]),
        more in 0u32..100,
    ) {
        // Half-valid, or almost all of it would stop at the first octet.
        if packet.len() > 9 {
            (packet[0], packet[2], packet[3]) = (version, 0, packet.len() as u8);
            let at = if version == 0x60 { 6 } else { 9 };
            packet[at] = protocol;
            if version == 0x60 {
                (packet[4], packet[5]) = (0, packet.len().saturating_sub(40) as u8);
            }
        }
        check(&packet, packet.len() as u32 + more)?;
    }

    #[test]
    fn it_agrees_with_etherparse(
        v6 in any::<bool>(),
        tcp in any::<bool>(),
        ports in any::<(u16, u16)>(),
        options in vec(any::<u8>(), 0..40),
        payload in vec(any::<u8>(), 0..100),
        padding in 0usize..20,
    ) {
        let builder = if v6 {
            PacketBuilder::ipv6([1; 16], [2; 16], 9)
        } else {
            PacketBuilder::ipv4([1; 4], [2; 4], 9)
        };
        let mut packet = Vec::new();
        if tcp {
            let builder = builder.tcp(ports.0, ports.1, 7, 8).options_raw(&options).unwrap();
            builder.write(&mut packet, &payload).unwrap();
        } else {
            builder.udp(ports.0, ports.1).write(&mut packet, &payload).unwrap();
        }
        let whole = packet.clone();
        packet.resize(packet.len() + padding, 0xee);
        let ours = sliced(&packet, packet.len() as u32).unwrap();
        let theirs = SlicedPacket::from_ip(&whole).unwrap();
        let ip = match theirs.net.unwrap() {
            NetSlice::Ipv4(ip) => ip.header().slice().to_vec(),
            NetSlice::Ipv6(ip) => ip.header().slice().to_vec(),
            NetSlice::Arp(_) => unreachable!(),
        };
        prop_assert_eq!(ours.ip, &ip);
        let (header, body) = match theirs.transport.unwrap() {
            TransportSlice::Tcp(tcp) => (tcp.header_slice().to_vec(), tcp.payload()),
            TransportSlice::Udp(udp) => (udp.header_slice().to_vec(), udp.payload()),
            _ => unreachable!(),
        };
        prop_assert_eq!(ours.transport, &header);
        prop_assert_eq!(ours.payload, body);
        prop_assert_eq!((ours.tuple.source_port, ours.tuple.destination_port), ports);
        prop_assert_eq!(ours.ip_length as usize, whole.len());
    }

    #[test]
    fn any_cut_of_a_packet_is_cut_short_or_used_as_far_as_it_goes(cut in 0usize..80) {
        let mut packet = Vec::new();
        let builder = PacketBuilder::ipv4([1; 4], [2; 4], 9).tcp(1, 2, 3, 4).options_raw(&[1; 20]);
        builder.unwrap().write(&mut packet, &[0; 20]).unwrap();
        let wire = packet.len() as u32;
        packet.truncate(cut);
        match sliced(&packet, wire) {
            Ok(found) => {
                prop_assert!(cut >= 40);
                prop_assert_eq!((found.ip_length, found.opening), (wire, None));
            }
            Err(kind) => prop_assert_eq!(kind, Malformed::CutShort),
        }
    }

    #[test]
    fn any_options_are_walked_to_an_end(bytes in vec(any::<u8>(), 0..60)) {
        let mut octets = 0;
        for option in TcpOptions::new(&bytes) {
            prop_assert!(option.kind > 1 && option.length > 1);
            prop_assert!(option.data.len() <= usize::from(option.length) - 2);
            octets += 2 + option.data.len();
        }
        prop_assert!(octets <= bytes.len());
    }
}

#[test]
fn a_length_of_zero_is_a_packet_that_the_card_segments() {
    let mut packet = Vec::new();
    PacketBuilder::ipv4([1; 4], [2; 4], 9).tcp(1, 2, 3, 4).write(&mut packet, &[0; 9]).unwrap();
    (packet[2], packet[3]) = (0, 0);
    let found = sliced(&packet, 70_000).unwrap();
    assert_eq!((found.ip_length, found.payload_length), (70_000, 69_960));
}
