//! Packets as they left and as they came.

use std::net::IpAddr;

use pathspider_plugin_api::forge;

use super::*;

const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

fn syn() -> forge::Segment {
    let packet = forge::Packet::to(THERE).source(HERE).identification(7).dscp(46).ecn(2);
    packet
        .tcp_syn(80)
        .source_port(4_000)
        .sequence(9)
        .mss(1_460)
        .option(8, &[0, 0, 0, 1, 0, 0, 0, 0])
}

/// What is found between two packets, as records write it.
fn found(sent: &[u8], came: &[u8]) -> Compared {
    let wire = came.len() as u32;
    compare(&Template::new(sent).unwrap(), Came { octets: came, wire }).unwrap()
}

fn texts(compared: &Compared) -> Vec<String> {
    let text = |change: &Change| format!("{}:{}>{}", change.field, change.sent, change.seen);
    compared.changes.iter().map(text).collect()
}

#[test]
fn what_came_as_it_left_has_no_changes() {
    let sent = syn().bytes().unwrap();
    let mut came = sent.clone();
    came[8] -= 5;
    let compared = found(&sent, &came);
    assert_eq!((texts(&compared), compared.hops), (vec![], Some(5)));
    assert_eq!((compared.is_same, compared.sequence), (Some(true), Some(9)));
}

#[test]
fn each_field_of_a_segment_is_compared() {
    let sent = syn().bytes().unwrap();
    let packet = forge::Packet::to(THERE).source(HERE).identification(8).dscp(0).ecn(0);
    let came = packet.tcp_syn(80).source_port(5_000).sequence(9).mss(1_200).option(30, &[1; 2]);
    let compared = found(&sent, &came.bytes().unwrap());
    let expected = [
        "ecn:2>0",
        "dscp:46>0",
        "tcpopt-8:0000000100000000>absent",
        "tcpopt-30:absent>0101",
        "mss:1460>1200",
        "ports:4000>80>5000>80",
    ];
    assert_eq!(texts(&compared), expected);
    assert_eq!(compared.is_same, Some(false), "its identification is another one");
}

#[test]
fn a_repeat_is_told_by_what_each_packet_has_alone() {
    let v6 = |stamp: u8| {
        let packet = forge::Packet::to([0; 16].into()).source([1; 16].into());
        packet.tcp_syn(80).source_port(1).sequence(9).option(8, &[0, 0, 0, stamp, 0, 0, 0, 0])
    };
    let one = v6(1).bytes().unwrap();
    assert_eq!(found(&one, &one).is_same, Some(true));
    assert_eq!(found(&one, &v6(2).bytes().unwrap()).is_same, Some(false));
    let bare = forge::Packet::to([0; 16].into()).source([1; 16].into()).tcp_syn(80).source_port(1);
    let bare = bare.sequence(9).bytes().unwrap();
    assert_eq!(found(&bare, &bare).is_same, None);
    assert_eq!(found(&one, &bare).is_same, None, "its timestamp has gone");
}

#[test]
fn datagrams_are_compared_with_what_follows_them() {
    let packet = || forge::Packet::to(THERE).source(HERE).identification(7);
    let datagram = packet().udp(53, b"a query of more than eight octets").source_port(4_000);
    let sent = datagram.bytes().unwrap();
    let mut with_options = sent.clone();
    with_options.extend([1, 2, 3]);
    with_options[3] += 3;
    assert_eq!(texts(&found(&with_options, &sent)), ["surplus:010203>absent"]);
    assert_eq!(texts(&found(&sent, &with_options)), ["surplus:absent>010203"]);
    let mut other = sent.clone();
    other[36] ^= 0xff;
    // The sum that no longer fits is explained by what it covers.
    let differs = format!("data:{:02x}", sent[36]);
    assert!(texts(&found(&sent, &other))[0].starts_with(&differs));
    let mut without = sent.clone();
    without[26..28].fill(0);
    let sum = u16::from_be_bytes([sent[26], sent[27]]);
    assert_eq!(texts(&found(&sent, &without)), [format!("checksum:{sum}>0")]);
    assert_eq!(texts(&found(&without, &sent)), [format!("checksum:0>{sum}")]);
    // What a card was to fill in at the far end is no change.
    let template = Template::new(&sent).unwrap();
    let mut partial = sent.clone();
    let length = (sent.len() - 20) as u32;
    let numbers = [u32::from(protocol::UDP).to_be_bytes(), length.to_be_bytes()].concat();
    let sum = !checksum::of(&[&sent[12..20], &numbers]);
    partial[26..28].copy_from_slice(&sum.to_be_bytes());
    let came = Came { octets: &partial, wire: partial.len() as u32 };
    assert!(compare(&template, came).unwrap().changes.is_empty());
}

#[test]
fn extension_headers_are_compared_in_their_order() {
    let packet = |extensions: &[(u8, u8)]| {
        let mut packet = forge::Packet::to([0; 16].into()).source([1; 16].into());
        for (number, octet) in extensions {
            packet = packet.extension(*number, &[0, 1, 4, *octet, 0, 0, 0]);
        }
        packet.tcp_syn(80).source_port(1).sequence(9).bytes().unwrap()
    };
    let two = packet(&[(60, 1), (60, 2)]);
    assert_eq!(texts(&found(&two, &two)), Vec::<String>::new());
    let one = packet(&[(60, 1)]);
    assert_eq!(texts(&found(&two, &one)), ["ext-60:00010402000000>absent"]);
    let other = packet(&[(60, 1), (60, 3)]);
    assert_eq!(texts(&found(&two, &other)), ["ext-60:00010402000000>00010403000000"]);
}

#[test]
fn segments_that_cards_cut_and_kernels_join_are_the_same() {
    let segment = |flags: TcpFlags, data: &[u8]| {
        let packet = forge::Packet::to(THERE).source(HERE).identification(7);
        packet.tcp(80).source_port(1).sequence(9).flags(flags).payload(data).bytes().unwrap()
    };
    let sent = segment(TcpFlags::ACK.and(TcpFlags::PSH), &[7; 900]);
    let came = segment(TcpFlags::ACK, &[7; 500]);
    assert_eq!(texts(&found(&sent, &came)), Vec::<String>::new());
    let cut = Came { octets: &came[..104], wire: came.len() as u32 };
    assert!(compare(&Template::new(&sent).unwrap(), cut).unwrap().changes.is_empty());
    // All of it is gone from a SYN that had data, as in TCP Fast Open.
    let bare = segment(TcpFlags::SYN, b"");
    assert_eq!(texts(&found(&segment(TcpFlags::SYN, b"GET"), &bare)), ["data:474554>absent"]);
    let urgent = segment(TcpFlags::ACK.and(TcpFlags::URG), &[7; 500]);
    assert_eq!(texts(&found(&sent, &urgent)), ["tcpflags:16>48"]);
}

#[test]
fn what_is_cut_or_of_another_kind_is_not_compared() {
    let sent = syn().bytes().unwrap();
    let template = Template::new(&sent).unwrap();
    for length in 0..sent.len() {
        let came = Came { octets: &sent[..length], wire: sent.len() as u32 };
        assert_eq!(compare(&template, came), None, "{length}");
    }
    let datagram = forge::Packet::to(THERE).source(HERE).udp(53, &[7; 20]).source_port(1);
    let datagram = datagram.bytes().unwrap();
    let came = Came { octets: &datagram, wire: datagram.len() as u32 };
    assert_eq!(compare(&template, came), None);
}
