//! Searches on paths that lie in each way that is known, without sockets and without waiting.

use std::collections::HashMap;
use std::net::IpAddr;

use pathspider_observer::{Dissected, dissect, packet};
use pathspider_plugin_api::forge::{self, checksum};
use pathspider_plugin_api::packet::{Direction, Packet, TcpFlags, quic};

use super::*;
use crate::field::{Field, Reading};
use crate::location::{Fate, Finding};
use crate::{Locator, Send};

const US: [u8; 4] = [10, 0, 0, 2];
const TARGET: [u8; 4] = [192, 0, 2, 1];
const PORTS: [u16; FLOWS] = [5001, 5002, 5003];
const RTT: Time = Time::from_millis(20);

fn view<T>(octets: &[u8], look: impl FnOnce(&Packet<'_>) -> T) -> T {
    let mut dissected = Dissected::NONE;
    dissect(octets, octets.len() as u32, &mut dissected).unwrap();
    look(&packet(&dissected, 0, Direction::Forward))
}

/// What becomes of a packet that leaves a router.
enum Act {
    Pass,
    Drop,
    Reset,
    Prohibited,
}

type Rule = Box<dyn FnMut(u8, &mut Vec<u8>) -> Act>;

/// A path of this many routers.
struct Net {
    hops: u8,
    rule: Rule,
    silent: Vec<u8>,
    quote: usize,
    has_extensions: bool,
    /// Routers that speak in the target's name.
    as_target: Vec<u8>,
    /// Milliseconds between two errors of a router.
    limit: u64,
    last: HashMap<u8, Time>,
    /// Every so manieth answer is lost.
    loses: u32,
    answers: u32,
    target_says: TcpFlags,
    late: Time,
    arrived: Vec<Vec<u8>>,
    /// The timestamps of SYNs at the target, by our ports.
    stamps: HashMap<u16, u32>,
}

impl Net {
    fn new(hops: u8, rule: impl FnMut(u8, &mut Vec<u8>) -> Act + 'static) -> Net {
        Net {
            hops,
            rule: Box::new(rule),
            silent: Vec::new(),
            quote: 1_000,
            has_extensions: false,
            as_target: Vec::new(),
            limit: 0,
            last: HashMap::new(),
            loses: 0,
            answers: 0,
            target_says: TcpFlags::SYN.and(TcpFlags::ACK),
            late: Time::ZERO,
            arrived: Vec::new(),
            stamps: HashMap::new(),
        }
    }

    /// Whether the target drops a segment, for it is older than the connection's SYN (RFC 7323, section 5.3).
    fn is_too_old(&mut self, packet: &[u8]) -> bool {
        let stamp = |packet: &Packet<'_>| {
            let tcp = packet.tcp()?;
            let stamp = u32::from_be_bytes(*tcp.option(8)?.data.first_chunk()?);
            Some((packet.ports()?.0, tcp.has(TcpFlags::SYN), stamp))
        };
        let Some((port, is_syn, stamp)) = view(packet, stamp) else { return false };
        if is_syn {
            self.stamps.insert(port, stamp);
        }
        let first = self.stamps.get(&port).copied().unwrap_or(stamp);
        stamp.wrapping_sub(first).cast_signed() < 0
    }

    fn router(&self, hop: u8) -> IpAddr {
        if self.as_target.contains(&hop) { TARGET.into() } else { [10, 1, 0, hop].into() }
    }

    /// What comes back of a packet, and after how long.
    fn carry(&mut self, mut packet: Vec<u8>, now: Time) -> Vec<(Time, Vec<u8>)> {
        for hop in 1..=self.hops {
            if packet[8] == 1 {
                let is_limited = self.last.get(&hop).is_some_and(|last| {
                    now.saturating_sub(*last).as_millis() < u128::from(self.limit)
                });
                if self.silent.contains(&hop) || is_limited {
                    return Vec::new();
                }
                self.last.insert(hop, now);
                return self.answer(error(self.router(hop), (11, 0), &packet, self), RTT);
            }
            packet[8] -= 1;
            match (self.rule)(hop, &mut packet) {
                Act::Pass => {}
                Act::Drop => return Vec::new(),
                Act::Reset => {
                    let reset = segment(&packet, TcpFlags::RST.and(TcpFlags::ACK));
                    return self.answer(reset, RTT);
                }
                Act::Prohibited => {
                    return self.answer(error(self.router(hop), (3, 13), &packet, self), RTT);
                }
            }
        }
        if self.is_too_old(&packet) {
            return Vec::new();
        }
        self.arrived.push(packet.clone());
        let flags = view(&packet, |packet| packet.tcp().map(|tcp| tcp.flags()));
        match flags {
            None => self.answer(datagram(&packet), RTT),
            Some(flags) if flags.has(TcpFlags::RST) => Vec::new(),
            Some(flags) if flags.has(TcpFlags::SYN) => {
                self.answer(segment(&packet, self.target_says), RTT + self.late)
            }
            Some(_) if view(&packet, |packet| packet.payload_length()) > 0 => {
                // What the server says to it, and says again later.
                let mut said = self.answer(segment(&packet, TcpFlags::ACK), RTT);
                let end = TcpFlags::ACK.and(TcpFlags::FIN);
                for times in 1..8 {
                    said.extend(self.answer(segment(&packet, end), RTT * times));
                }
                said
            }
            Some(_) => Vec::new(),
        }
    }

    fn answer(&mut self, packet: Vec<u8>, after: Time) -> Vec<(Time, Vec<u8>)> {
        self.answers += 1;
        let is_lost = self.loses > 0 && self.answers.is_multiple_of(self.loses);
        if is_lost { Vec::new() } else { vec![(after, packet)] }
    }

    /// Packets that came to the target and are no part of ending something.
    fn probes_at_target(&self) -> usize {
        let is_probe = |packet: &&Vec<u8>| {
            view(packet, |packet| {
                packet.tcp().is_none_or(|tcp| !tcp.has(TcpFlags::RST) && packet.ip().ttl() < 58)
            })
        };
        self.arrived.iter().filter(is_probe).count()
    }

    fn flags_at_target(&self, wanted: TcpFlags) -> usize {
        let has = |packet: &&Vec<u8>| {
            view(packet, |packet| packet.tcp().is_some_and(|tcp| tcp.flags() == wanted))
        };
        self.arrived.iter().filter(has).count()
    }
}

fn error(from: IpAddr, (kind, code): (u8, u8), about: &[u8], net: &Net) -> Vec<u8> {
    let mut message = vec![kind, code, 0, 0, 0, 0, 0, 0];
    message.extend(&about[..about.len().min(net.quote)]);
    if net.has_extensions {
        message.resize(8 + 128, 0);
        message[5] = 32;
        message.extend([0x20, 0, 0, 0, 0, 8, 1, 1, 0, 1, 0x21, 1]);
    }
    let sum = checksum::of(&[&message]);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    forge::Packet::to(US.into()).source(from).raw(1, &message).unwrap()
}

fn segment(about: &[u8], flags: TcpFlags) -> Vec<u8> {
    view(about, |packet| {
        let (ip, tcp) = (packet.ip(), packet.tcp().unwrap());
        let (from, to) = packet.ports().unwrap();
        let taken = packet.payload_length() + u32::from(tcp.has(TcpFlags::SYN));
        let answer = forge::Packet::to(ip.source()).source(ip.destination()).tcp(from);
        let answer = answer.source_port(to).flags(flags).sequence(7_000);
        let answer = match tcp.option(8) {
            Some(_) => answer.option(8, &[0, 0, 0, 7, 0, 0, 0, 0]),
            None => answer,
        };
        answer.acknowledgment(tcp.sequence().wrapping_add(taken)).bytes().unwrap()
    })
}

fn datagram(about: &[u8]) -> Vec<u8> {
    view(about, |packet| {
        let (from, to) = packet.ports().unwrap();
        let answer = forge::Packet::to(packet.ip().source()).source(packet.ip().destination());
        answer.udp(from, packet.payload()).source_port(to).bytes().unwrap()
    })
}

fn to_target() -> forge::Packet {
    forge::Packet::to(TARGET.into()).source(US.into())
}

fn template(octets: pathspider_plugin_api::Result<Vec<u8>>) -> Template {
    Template::new(&octets.unwrap()).unwrap()
}

fn syn(flags: TcpFlags) -> Template {
    let segment = to_target().tcp(80).flags(TcpFlags::SYN.and(flags)).mss(1460);
    template(segment.option(8, &[0; 8]).bytes())
}

const ECN: TcpFlags = TcpFlags::ECE.and(TcpFlags::CWR);

/// Plain SYNs and such that ask for ECN, which were lost on a path of this many routers.
fn ecn(hops: u8) -> Subject {
    Subject {
        plain: Some(syn(TcpFlags::NONE)),
        marked: syn(ECN),
        handshake: None,
        distance: Some(hops),
        arrives: false,
        is_impaired: true,
    }
}

/// The same where both arrived.
fn ecn_arrives(hops: u8) -> Subject {
    Subject { arrives: true, is_impaired: false, ..ecn(hops) }
}

/// Data without a mark and data that are marked ECT(0).
fn data(hops: u8) -> Subject {
    let segment = |ecn| {
        let flags = TcpFlags::ACK.and(TcpFlags::PSH);
        template(to_target().ecn(ecn).tcp(80).flags(flags).payload(b"GET / HTTP/1.1\r\n").bytes())
    };
    Subject {
        plain: Some(segment(0)),
        marked: segment(2),
        handshake: Some(syn(ECN)),
        ..ecn_arrives(hops)
    }
}

fn dns(hops: u8) -> Subject {
    let query = |dscp| template(to_target().dscp(dscp).udp(53, &[1; 24]).bytes());
    Subject { plain: Some(query(0)), marked: query(46), ..ecn(hops) }
}

fn shaped(shape: Shape) -> Settings {
    Settings { shape, ..Settings::default() }
}

/// Goes to the end of a search; no wait takes longer than its time.
fn search(net: &mut Net, subject: Subject, settings: Settings) -> Location {
    searches(net, &[subject], settings).remove(0)
}

/// Goes to the end of searches that begin at once.
fn searches(net: &mut Net, subjects: &[Subject], settings: Settings) -> Vec<Location> {
    let mut locator = Locator::new(1e6);
    let mut now = Time::from_secs(1_000);
    let mut flying: Vec<(Time, Vec<u8>)> = Vec::new();
    for (id, subject) in (0..).zip(subjects) {
        let ports = PORTS.map(|port| port + 3 * id);
        let seed = 0x1234_5678 + 0x0101_0101 * u32::from(id);
        locator.begin(id.into(), subject.clone(), settings, ports, seed, now);
    }
    let mut found = Vec::new();
    for _ in 0..20_000 * subjects.len() {
        flying.sort_by_key(|(at, _)| *at);
        let mut send: Vec<Send> = Vec::new();
        while let Some(at) = flying.first().map(|(at, _)| *at).filter(|at| *at <= now) {
            send.extend(locator.heard(&flying.remove(0).1, at).send);
        }
        let polled = locator.poll(now);
        send.extend(polled.send);
        for packet in send {
            let back = net.carry(packet.octets, now);
            flying.extend(back.into_iter().map(|(after, octets)| (now + after, octets)));
        }
        found.extend(polled.ended.into_iter().map(|(_, location)| location));
        if locator.is_empty() {
            return found;
        }
        let next = flying.iter().map(|(at, _)| *at).chain(locator.next()).min();
        now = next.unwrap().max(now + Time::from_micros(100));
    }
    panic!("it does not end");
}

fn is_ecn_syn(packet: &[u8]) -> bool {
    view(packet, |packet| packet.tcp().is_some_and(|tcp| tcp.flags() == TcpFlags::SYN.and(ECN)))
}

/// A rule for SYNs that ask for ECN, at one hop.
fn at(hop: u8, act: impl Fn() -> Act + 'static) -> impl FnMut(u8, &mut Vec<u8>) -> Act + 'static {
    move |here, packet| if here == hop && is_ecn_syn(packet) { act() } else { Act::Pass }
}

fn bleaches_at(hop: u8) -> impl FnMut(u8, &mut Vec<u8>) -> Act {
    move |here, packet| {
        if here == hop {
            packet[1] = 0;
        }
        Act::Pass
    }
}

fn words(location: &Location) -> Vec<String> {
    location.findings.iter().map(Finding::words).collect()
}

#[test]
fn a_drop_is_between_the_last_router_that_saw_it_and_the_next() {
    for shape in [Shape::Halves, Shape::Every] {
        for hop in [1, 2, 4, 6] {
            let mut net = Net::new(6, at(hop, || Act::Drop));
            let location = search(&mut net, ecn(6), shaped(shape));
            assert_eq!(
                words(&location),
                [format!("dropped:{}", hop + 1)],
                "{shape:?} {location:?}"
            );
            assert!(net.probes_at_target() <= 6, "{} at the target", net.probes_at_target());
            let both = TcpFlags::SYN;
            let half_open = net.flags_at_target(both);
            assert!(net.flags_at_target(TcpFlags::RST) >= half_open, "each SYN is reset");
        }
    }
}

#[test]
fn a_refusal_is_at_the_fewest_hops_that_provoke_it() {
    for hop in [2, 4, 6] {
        let mut net = Net::new(6, at(hop, || Act::Reset));
        let location = search(&mut net, ecn(6), Settings::default());
        assert_eq!(words(&location), [format!("rejected:{}", hop + 1)]);
        let mut net = Net::new(6, at(hop, || Act::Prohibited));
        let location = search(&mut net, ecn(6), Settings::default());
        assert_eq!(words(&location), [format!("rejected:{}", hop + 1)]);
    }
}

#[test]
fn a_change_is_first_shown_by_the_next_router() {
    for shape in [Shape::Halves, Shape::Every] {
        for hop in [1, 2, 4, 5] {
            let mut net = Net::new(6, bleaches_at(hop));
            let location = search(&mut net, data(6), shaped(shape));
            assert_eq!(words(&location), [format!("changed:ecn:{}", hop + 1)], "{shape:?}");
            assert_eq!((location.last_well, location.flows), (Some(hop), 3));
        }
    }
    let mut net = Net::new(6, bleaches_at(6));
    let location = search(&mut net, data(6), Settings::default());
    assert_eq!(words(&location), [] as [&str; 0], "nobody quotes after it");
    assert_eq!(location.quoted_to, Some(6));
    assert!(location.unknown[0].contains("after hop 6"), "{:?}", location.unknown);
}

#[test]
fn data_go_in_a_connection_that_is_reset_in_the_end() {
    let mut net = Net::new(
        6,
        |here, packet: &mut Vec<u8>| {
            if here == 2 && packet[1] & 3 == 2 { Act::Drop } else { Act::Pass }
        },
    );
    let subject = Subject { arrives: false, is_impaired: true, ..data(6) };
    let location = search(&mut net, subject, Settings::default());
    assert_eq!(words(&location), ["dropped:3"]);
    assert!(net.flags_at_target(TcpFlags::RST) >= 1, "connections are ended");
    let syns = net.flags_at_target(TcpFlags::SYN.and(ECN));
    assert_eq!(net.flags_at_target(TcpFlags::RST), syns, "each of them");
}

#[test]
fn data_of_a_connection_that_is_older_than_the_syn_come_to_the_target() {
    let stamped = |ecn, stamp: u32| {
        let segment = to_target().ecn(ecn).tcp(80).flags(TcpFlags::ACK).payload(b"hello");
        let stamps = [stamp.to_be_bytes(), [0; 4]].concat();
        template(segment.option(8, &stamps).bytes())
    };
    let handshake = to_target().tcp(80).flags(TcpFlags::SYN).option(8, &[0, 0, 9, 9, 0, 0, 0, 0]);
    let subject = Subject {
        plain: Some(stamped(0, 0x0000_0808)),
        marked: stamped(2, 0x0000_0a0a),
        handshake: Some(template(handshake.bytes())),
        ..data(6)
    };
    let mut net = Net::new(6, |_, _: &mut Vec<u8>| Act::Pass);
    let location = search(&mut net, subject, shaped(Shape::Every));
    assert_eq!(location.target_at, Some(7), "{location:?}");
}

#[test]
fn data_that_are_lost_and_repeated_without_the_mark_are_located_too() {
    let drops = |here, packet: &mut Vec<u8>| {
        if here == 2 && packet[1] & 3 == 2 { Act::Drop } else { Act::Pass }
    };
    for shape in [Shape::Halves, Shape::Every] {
        let location = search(&mut Net::new(6, drops), data(6), shaped(shape));
        assert_eq!(words(&location), ["dropped:3"], "{location:?}");
    }
}

#[test]
fn datagrams_are_known_by_their_identification() {
    let drops = |here, packet: &mut Vec<u8>| {
        if here == 4 && packet[1] == 46 << 2 { Act::Drop } else { Act::Pass }
    };
    let location = search(&mut Net::new(6, drops), dns(6), Settings::default());
    assert_eq!(words(&location), ["dropped:5"]);
    let subject = Subject { arrives: true, is_impaired: false, ..dns(6) };
    let location = search(&mut Net::new(6, bleaches_at(2)), subject, Settings::default());
    assert_eq!(words(&location), ["changed:dscp:3"]);
}

#[test]
fn silent_routers_make_an_interval() {
    let mut net = Net { silent: vec![3, 4], ..Net::new(6, bleaches_at(2)) };
    let location = search(&mut net, data(6), Settings::default());
    assert_eq!(words(&location), ["changed:ecn:3-5"]);
    let mut net = Net { silent: vec![4, 5, 6], ..Net::new(6, at(4, || Act::Drop)) };
    let location = search(&mut net, ecn(6), Settings::default());
    assert_eq!(words(&location), ["dropped:4-7"]);
}

#[test]
fn silent_last_routers_hide_no_change_before_them() {
    for shape in [Shape::Halves, Shape::Every] {
        for silent in [vec![6], vec![5, 6]] {
            let mut net = Net::new(6, bleaches_at(2));
            net.silent = silent;
            let location = search(&mut net, data(6), shaped(shape));
            assert_eq!(words(&location), ["changed:ecn:3"], "{shape:?} {location:?}");
            assert!(net.probes_at_target() <= 6, "{} at the target", net.probes_at_target());
        }
    }
}

#[test]
fn two_changes_are_two() {
    let rule = |here: u8, packet: &mut Vec<u8>| {
        match here {
            2 => packet[1] = 10 << 2 | packet[1] & 3,
            4 => packet[1] = 0,
            _ => {}
        }
        Act::Pass
    };
    let query = |dscp| template(to_target().dscp(dscp).udp(53, &[1; 24]).bytes());
    let subject = Subject { plain: Some(query(8)), marked: query(46), ..ecn_arrives(6) };
    let location = search(&mut Net::new(6, rule), subject, Settings::default());
    assert_eq!(words(&location), ["changed:dscp:3", "changed:dscp:5"]);
    let Finding::Changed { from, to, .. } = &location.findings[1] else { panic!() };
    assert_eq!((from, to), (&Reading::Number(10), &Reading::Number(0)));
}

#[test]
fn what_quotes_are_too_short_for_is_unquoted() {
    let strips = |here: u8, packet: &mut Vec<u8>| {
        if here == 2 {
            packet[33] &= !ECN.byte();
        }
        Act::Pass
    };
    let mut net = Net { quote: 28, ..Net::new(6, strips) };
    let location = search(&mut net, ecn_arrives(6), Settings::default());
    assert_eq!(words(&location), ["unquoted"]);
    let location = search(&mut Net::new(6, strips), ecn_arrives(6), Settings::default());
    assert_eq!(words(&location), ["changed:tcpflags:3"]);
    let mut net = Net { quote: 28, ..Net::new(6, bleaches_at(2)) };
    let location = search(&mut net, data(6), Settings::default());
    assert_eq!(words(&location), ["changed:ecn:3"], "the IP header is always quoted");
}

#[test]
fn what_follows_a_quote_is_no_part_of_it() {
    let blanks = |here: u8, packet: &mut Vec<u8>| {
        if here == 2
            && let Some(at) = packet.windows(2).position(|two| two == [8, 10])
        {
            packet[at..at + 10].fill(1);
        }
        Act::Pass
    };
    let mut net = Net { has_extensions: true, ..Net::new(6, blanks) };
    let location = search(&mut net, Subject { plain: None, ..ecn_arrives(6) }, Settings::default());
    assert_eq!(words(&location), ["changed:tcpopt-8:3"]);
}

#[test]
fn a_translator_is_no_fault_of_the_marked_packet() {
    let translates = |here: u8, packet: &mut Vec<u8>| {
        if here == 1 {
            packet[12..16].copy_from_slice(&[198, 51, 100, 1]);
            packet[20..22].copy_from_slice(&2_000_u16.to_be_bytes());
        }
        if here == 4 {
            packet[1] = 0;
        }
        Act::Pass
    };
    // What the translator lets back in has the inner ends.
    let mut net = Net::new(6, translates);
    net.loses = 0;
    let location = search(&mut net, data_behind_translator(), Settings::default());
    assert_eq!(words(&location), ["changed:ecn:5"]);
    let fields: Vec<Field> = location.alike.iter().map(|(field, _)| *field).collect();
    assert_eq!(fields, [Field::Ports, Field::Addresses]);
}

/// Datagrams, for a translator that this path has not need not keep connections.
fn data_behind_translator() -> Subject {
    let query = |ecn| {
        let datagram = to_target().ecn(ecn).udp(53, &[1; 24]);
        template(datagram.source_port(4000 + u16::from(ecn)).bytes())
    };
    Subject { plain: Some(query(0)), marked: query(2), ..ecn_arrives(6) }
}

#[test]
fn flows_and_packets_that_fare_differently_are_some_paths() {
    let by_flow = |here: u8, packet: &mut Vec<u8>| {
        if here == 4 && packet[21].is_multiple_of(2) {
            packet[1] = 0;
        }
        Act::Pass
    };
    let location = search(&mut Net::new(6, by_flow), data(6), Settings::default());
    assert_eq!(words(&location), ["some_paths"]);
    let mut count = 0;
    let by_packet = move |here: u8, packet: &mut Vec<u8>| {
        if here == 4 && packet[1] == 2 {
            count += 1;
            packet[1] = if count % 2 == 0 { 0 } else { 2 };
        }
        Act::Pass
    };
    let location = search(&mut Net::new(6, by_packet), data(6), Settings::default());
    assert_eq!(words(&location), ["some_paths"]);
    let drops_one = |here: u8, packet: &mut Vec<u8>| {
        if here == 4 && is_ecn_syn(packet) && packet[21].is_multiple_of(2) {
            Act::Drop
        } else {
            Act::Pass
        }
    };
    let location = search(&mut Net::new(6, drops_one), ecn(6), Settings::default());
    assert_eq!(words(&location), ["some_paths"], "{location:?}");
}

#[test]
fn what_does_not_come_again_is_said() {
    let mut net = Net::new(6, |_, _: &mut Vec<u8>| Act::Pass);
    let location = search(&mut net, ecn(6), Settings::default());
    assert_eq!(words(&location), ["not_reproduced"]);
    assert!(net.probes_at_target() <= 6);
}

#[test]
fn time_exceeded_in_the_targets_name_is_no_arrival() {
    let mut net = Net { as_target: vec![4], ..Net::new(6, at(5, || Act::Drop)) };
    assert_eq!(words(&search(&mut net, ecn(6), Settings::default())), ["dropped:6"]);
}

#[test]
fn routers_that_say_little_are_asked_again_later() {
    for shape in [Shape::Halves, Shape::Every] {
        let mut net = Net { limit: 1_000, ..Net::new(6, at(4, || Act::Drop)) };
        assert_eq!(words(&search(&mut net, ecn(6), shaped(shape))), ["dropped:5"]);
    }
}

#[test]
fn lost_answers_are_told_from_lost_packets() {
    for loses in [2, 3, 4, 5, 7] {
        let mut net = Net { loses, ..Net::new(6, at(4, || Act::Drop)) };
        let location = search(&mut net, ecn(6), Settings::default());
        assert_eq!(words(&location), ["dropped:5"], "every {loses}th: {location:?}");
        assert!(net.probes_at_target() <= 6);
    }
}

#[test]
fn a_late_answer_is_that_of_the_packet_that_it_is_about() {
    let late = Time::from_millis(700);
    let mut net = Net { late, ..Net::new(6, at(4, || Act::Drop)) };
    assert_eq!(words(&search(&mut net, ecn(6), Settings::default())), ["dropped:5"]);
}

const HERE: &str = "2001:db8::2";

/// The datagram over IPv6 without a mark, and marked ECT(1).
fn datagrams_of_ipv6(port: u16, data: &[u8]) -> Subject {
    let to_target = |ecn| {
        let packet = forge::Packet::to("2001:db8::1".parse().unwrap());
        packet.source(HERE.parse().unwrap()).ecn(ecn).udp(port, data).bytes()
    };
    let (plain, marked) = (Some(template(to_target(0))), template(to_target(1)));
    Subject { plain, marked, arrives: true, ..ecn(6) }
}

/// What a router of IPv6 says whose packet's hops ran out.
fn exceeded(about: &[u8]) -> Vec<u8> {
    let message = [&[3, 0, 0, 0, 0, 0, 0, 0][..], about].concat();
    let from = forge::Packet::to(HERE.parse().unwrap()).source("2001:db8::ff".parse().unwrap());
    let mut quote = from.raw(58, &message).unwrap();
    forge::fill_checksums(&mut quote);
    quote
}

fn answered(course: &Course) -> Vec<bool> {
    course.evidence.probes.iter().map(|probe| probe.answer.is_some()).collect()
}

#[test]
fn a_late_quote_of_quic_is_that_of_the_packet_that_it_is_about() {
    let first = quic::probe(quic::VERSION_1, &[7; 8], &[8; 8], 1_200);
    let mut now = Time::from_secs(1_000);
    let subject = datagrams_of_ipv6(443, &first);
    let mut course = Course::new(subject, Settings::default(), PORTS, 1, now);
    let asked = course.send(now).unwrap();
    now += Settings::default().patience;
    assert_ne!(course.send(now).unwrap(), asked, "it is asked again");
    view(&exceeded(&asked), |quote| course.heard(quote, now)).unwrap();
    assert_eq!(answered(&course), [true, false]);
}

#[test]
fn a_quote_that_may_be_about_two_packets_is_about_none() {
    let settings = Settings { tries: 1, ..Settings::default() };
    let mut now = Time::from_secs(1_000);
    let mut course = Course::new(datagrams_of_ipv6(7, b"echo"), settings, PORTS, 1, now);
    let first = course.send(now).unwrap();
    now += settings.patience;
    let second = course.send(now).unwrap();
    assert_ne!(second[7], first[7], "another hop is asked");
    view(&exceeded(&second), |quote| course.heard(quote, now));
    assert_eq!(answered(&course), [false, false]);
    now += settings.spacing;
    view(&exceeded(&second), |quote| course.heard(quote, now)).unwrap();
    assert_eq!(answered(&course), [false, true]);
}

#[test]
fn a_wrong_distance_costs_packets_and_no_truth() {
    for distance in [Some(3), Some(10), None] {
        let mut net = Net::new(6, at(4, || Act::Drop));
        let subject = Subject { distance, ..ecn(6) };
        let location = search(&mut net, subject, Settings::default());
        assert_eq!(words(&location), ["dropped:5"], "{distance:?}: {location:?}");
        assert!(net.probes_at_target() <= 6, "{distance:?}");
        let mut net = Net::new(6, bleaches_at(4));
        let subject = Subject { distance, ..data(6) };
        let location = search(&mut net, subject, Settings::default());
        assert_eq!(words(&location), ["changed:ecn:5"], "{distance:?}: {location:?}");
    }
}

#[test]
fn thirty_hops_are_searched_by_halves() {
    let mut net = Net::new(30, at(17, || Act::Drop));
    let location = search(&mut net, ecn(30), Settings::default());
    assert_eq!(words(&location), ["dropped:18"]);
    assert!(location.sent < 60, "{} packets", location.sent);
}

#[test]
fn a_target_that_refuses_everybody_is_no_fault_of_the_path() {
    let mut net = Net::new(6, |_, _: &mut Vec<u8>| Act::Pass);
    net.target_says = TcpFlags::RST.and(TcpFlags::ACK);
    let location = search(&mut net, ecn(6), Settings::default());
    assert_eq!(words(&location), [] as [&str; 0]);
    let location = search(&mut net, ecn_arrives(6), Settings::default());
    assert_eq!(words(&location), [] as [&str; 0]);
}

#[test]
fn where_nobody_answers_nothing_is_known() {
    let mut net = Net::new(6, |_, _: &mut Vec<u8>| Act::Drop);
    net.silent = (1..=6).collect();
    for shape in [Shape::Halves, Shape::Every] {
        let location = search(&mut net, Subject { distance: None, ..ecn(6) }, shaped(shape));
        assert_eq!(words(&location), [] as [&str; 0]);
        assert!(location.unknown[0].contains("no router answered"), "{:?}", location.unknown);
    }
}

#[test]
fn beyond_the_last_quote_nothing_is_known() {
    let mut net = Net::new(6, |_, _: &mut Vec<u8>| Act::Pass);
    let subject = Subject { is_impaired: true, ..ecn_arrives(6) };
    let location = search(&mut net, subject, Settings::default());
    assert_eq!(words(&location), ["beyond:6"]);
}

#[test]
fn every_hop_is_in_the_record_with_who_answered_and_when() {
    let location = search(&mut Net::new(6, bleaches_at(3)), data(6), shaped(Shape::Every));
    let hops: Vec<u8> = location.hops.iter().map(|seen| seen.hop).collect();
    assert_eq!(hops[..6], [1, 2, 3, 4, 5, 6]);
    let (router, after) = location.hops[3].router().unwrap();
    assert_eq!((router, after), (IpAddr::from([10, 1, 0, 4]), RTT));
    let Fate::Seen { shown, .. } = &location.hops[3].marked else { panic!() };
    assert_eq!(shown.changes[0].field, Field::Ecn);
    assert_eq!(shown.ttl, 1);
}

#[test]
fn searches_that_wait_for_each_others_turn_come_to_their_end() {
    let mut net = Net::new(6, at(4, || Act::Drop));
    for location in searches(&mut net, &vec![ecn(6); 40], Settings::default()) {
        assert_eq!(words(&location), ["dropped:5"], "{location:?}");
        assert_eq!(location.unknown, [] as [String; 0], "{location:?}");
    }
}

#[test]
fn any_packet_that_comes_in_is_survived() {
    let mut locator = Locator::new(1e6);
    let now = Time::from_secs(1);
    locator.begin(1, data(6), Settings::default(), PORTS, 9, now);
    let sent = locator.poll(now).send.remove(0).octets;
    let net = Net::new(6, |_, _: &mut Vec<u8>| Act::Pass);
    let quote = error([10, 1, 0, 1].into(), (11, 0), &sent, &net);
    for packet in [quote, segment(&sent, TcpFlags::SYN.and(TcpFlags::ACK)), sent] {
        for at in 0..packet.len() {
            for value in [0, 1, 0x45, 0x60, 0x7f, 0xff] {
                let mut damaged = packet.clone();
                damaged[at] = value;
                let _ = locator.heard(&damaged, now);
                let _ = locator.heard(&damaged[..at], now);
            }
        }
    }
}
