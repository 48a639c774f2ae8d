//! The engine without a system: packets in, packets out, and the time said aloud.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use etherparse::PacketBuilder;

use super::{Engine, Network, Output, Path, Side, Time};
use crate::packet::{Packet, flag};
use crate::scenario::read;

const VANTAGE: [u8; 4] = [10, 0, 0, 2];
const TARGET: [u8; 4] = [10, 64, 0, 1];
const START: Time = Duration::ZERO;

/// An engine with one path, whose targets are 10.64.0.0/24 and fd00:64::/112.
fn engine(rules: &str) -> Engine {
    let scenario = read("test", "test", &format!("summary = 'x'\n{rules}")).unwrap();
    let router = |hop| (Ipv4Addr::new(10, 192, 0, hop), Ipv6Addr::LOCALHOST);
    let [first, last] = [0, 255].map(|host| IpAddr::from([10, 64, 0, host]));
    let [first6, last6] = [0, 0xffff].map(|host| Ipv6Addr::new(0xfd00, 0x64, 0, 0, 0, 0, 0, host));
    let networks = vec![
        Network { first, last, path: 0, servers: 4 },
        Network { first: first6.into(), last: last6.into(), path: 0, servers: 4 },
    ];
    Engine::new(vec![Path::new(&scenario, router)], networks)
}

fn tcp(from: [u8; 4], to: [u8; 4], ports: (u16, u16), flags: u16, ttl: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let step = PacketBuilder::ipv4(from, to, ttl).tcp(ports.0, ports.1, 1, 1000);
    step.write(&mut bytes, &[]).unwrap();
    let mut packet = Packet::parse(bytes).unwrap();
    packet.set_tcp_flags(flags);
    packet.into_bytes()
}

fn out(flags: u16) -> Vec<u8> {
    tcp(VANTAGE, TARGET, (4000, 80), flags, 64)
}

fn back(flags: u16) -> Vec<u8> {
    tcp(TARGET, VANTAGE, (80, 4000), flags, 64)
}

/// What comes of one packet at once.
fn send(engine: &mut Engine, now: Time, side: Side, bytes: Vec<u8>) -> Vec<(Side, Packet)> {
    let mut output = Vec::new();
    engine.receive(now, side, bytes, &mut output);
    parsed(output)
}

fn advance(engine: &mut Engine, now: Time) -> Vec<(Side, Packet)> {
    let mut output = Vec::new();
    engine.advance(now, &mut output);
    parsed(output)
}

fn parsed(output: Vec<Output>) -> Vec<(Side, Packet)> {
    let parse = |o: Output| {
        let packet = Packet::parse(o.packet).unwrap();
        assert!(packet.checksums_are_right());
        (o.side, packet)
    };
    output.into_iter().map(parse).collect()
}

fn flags(packets: &[(Side, Packet)]) -> Vec<u16> {
    packets.iter().map(|(_, packet)| packet.tcp_flags().unwrap()).collect()
}

const SERVERS: Side = Side::Servers(4);

#[test]
fn urgent_data_are_made_and_unmade() {
    let mut engine = engine(
        "[[rule]]\nhop = 1\nmatch = { flags = 'URG' }\naction = { urgent-pointer = 258 }\n\
         [[rule]]\nhop = 2\nmatch = { flags = '!URG ACK' }\naction = { tcp-flags = 'URG' }",
    );
    let pointer = |packets: &[(Side, Packet)]| {
        let bytes = packets[0].1.bytes();
        u16::from_be_bytes([bytes[38], bytes[39]])
    };
    let urgent = send(&mut engine, START, Side::Vantage, out(flag::ACK | flag::URG));
    assert_eq!((flags(&urgent), pointer(&urgent)), (vec![flag::ACK | flag::URG], 258));
    let made = send(&mut engine, START, Side::Vantage, out(flag::ACK));
    assert_eq!((flags(&made), pointer(&made)), (vec![flag::ACK | flag::URG], 0));
}

#[test]
fn a_clean_path_takes_one_from_the_ttl_at_each_router() {
    let mut engine = engine("hops = 5");
    let forward = send(&mut engine, START, Side::Vantage, out(flag::SYN));
    let reverse = send(&mut engine, START, SERVERS, back(flag::ACK));
    assert_eq!((forward[0].0, forward[0].1.ttl()), (SERVERS, 59));
    assert_eq!((reverse[0].0, reverse[0].1.ttl()), (Side::Vantage, 59));
}

#[test]
fn a_spent_ttl_is_told_by_the_router_where_it_was_spent() {
    let mut engine = engine("hops = 4\n[[hop]]\nnumber = 3\nsilent = true");
    for (ttl, router) in [(1, 1), (2, 2), (4, 4)] {
        let packet = tcp(VANTAGE, TARGET, (4000, 80), flag::SYN, ttl);
        let told = send(&mut engine, START, Side::Vantage, packet);
        assert_eq!(told[0].0, Side::Vantage);
        assert_eq!(told[0].1.source(), IpAddr::from([10, 192, 0, router]));
        // Made with 64, it passed the routers before the one that made it.
        assert_eq!(told[0].1.ttl(), 64 - (router - 1));
    }
    let silent = tcp(VANTAGE, TARGET, (4000, 80), flag::SYN, 3);
    assert_eq!(send(&mut engine, START, Side::Vantage, silent), []);
}

#[test]
fn a_rule_acts_only_on_its_way_and_match() {
    let rule = "[[rule]]\nhop = 2\nmatch = { flags = 'SYN !ACK' }\naction = 'drop'";
    let mut engine = engine(rule);
    assert_eq!(send(&mut engine, START, Side::Vantage, out(flag::SYN)).len(), 0);
    assert_eq!(send(&mut engine, START, Side::Vantage, out(flag::ACK)).len(), 1);
    assert_eq!(send(&mut engine, START, SERVERS, back(flag::SYN)).len(), 1);
}

#[test]
fn a_text_is_found_wherever_it_is_in_the_data() {
    let mut engine =
        engine("[[rule]]\nhop = 2\nmatch = { contains = \"\\u0002h2\" }\naction = 'drop'");
    for (data, left) in [("\u{2}h2", 0), ("..\u{2}h2.", 0), ("h2\u{2}", 1), ("", 1)] {
        let mut bytes = Vec::new();
        let step = PacketBuilder::ipv4(VANTAGE, TARGET, 64).tcp(4000, 80, 1, 1000);
        step.write(&mut bytes, data.as_bytes()).unwrap();
        assert_eq!(send(&mut engine, START, Side::Vantage, bytes).len(), left, "{data:?}");
    }
}

#[test]
fn the_first_are_counted_for_each_target() {
    let mut engine = engine("[[rule]]\nhop = 1\nfirst = 2\naction = 'drop'");
    let other = || tcp(VANTAGE, [10, 64, 0, 7], (4000, 80), flag::SYN, 64);
    let passed: Vec<usize> =
        (0..3).map(|_| send(&mut engine, START, Side::Vantage, out(flag::SYN)).len()).collect();
    assert_eq!(passed, [0, 0, 1]);
    assert_eq!(send(&mut engine, START, Side::Vantage, other()).len(), 0);
}

#[test]
fn the_same_seed_gives_the_same_packets_whatever_else_goes_on() {
    let rules =
        |seed: u64| format!("seed = {seed}\n[[rule]]\nhop = 1\nprobability = 0.5\naction = 'drop'");
    let passed = |seed: u64, others: bool| -> Vec<usize> {
        let mut engine = engine(&rules(seed));
        let mut one = |_| {
            if others {
                let other = tcp(VANTAGE, [10, 64, 0, 9], (1, 2), flag::SYN, 64);
                send(&mut engine, START, Side::Vantage, other);
            }
            send(&mut engine, START, Side::Vantage, out(flag::SYN)).len()
        };
        (0..64).map(&mut one).collect()
    };
    assert_eq!(passed(1, false), passed(1, true));
    assert_ne!(passed(1, false), passed(2, false));
    let kept: usize = passed(1, false).iter().sum();
    assert!((16..48).contains(&kept), "{kept} of 64");
}

#[test]
fn a_delay_holds_until_its_time() {
    let mut engine = engine("[[rule]]\nhop = 2\naction = { delay = { millis = 200 } }");
    let at = |millis| Duration::from_millis(millis);
    assert_eq!(send(&mut engine, at(5), Side::Vantage, out(flag::SYN)), []);
    assert_eq!(engine.next_due(), Some(at(205)));
    assert_eq!(advance(&mut engine, at(204)), []);
    assert_eq!(advance(&mut engine, at(205)).len(), 1);
    assert_eq!(engine.next_due(), None);
}

#[test]
fn reordering_swaps_pairs_and_gives_up_waiting() {
    let mut engine = engine("[[rule]]\nhop = 2\naction = { reorder = { behind = 1 } }");
    let mut order = Vec::new();
    for kind in [flag::SYN, flag::ACK, flag::FIN] {
        order.extend(flags(&send(&mut engine, START, Side::Vantage, out(kind))));
    }
    assert_eq!(order, [flag::ACK, flag::SYN]);
    assert_eq!(flags(&advance(&mut engine, Duration::from_millis(100))), [flag::FIN]);
}

#[test]
fn a_duplicate_follows_at_once() {
    let mut engine = engine("[[rule]]\nhop = 2\naction = { duplicate = 2 }");
    assert_eq!(send(&mut engine, START, Side::Vantage, out(flag::SYN)).len(), 3);
}

#[test]
fn a_rate_limit_lets_a_burst_through_and_then_its_rate() {
    let rule = "[[rule]]\nhop = 1\naction = { rate = { per-second = 10, burst = 2 } }";
    let mut engine = engine(rule);
    let mut at = |millis| {
        send(&mut engine, Duration::from_millis(millis), Side::Vantage, out(flag::SYN)).len()
    };
    assert_eq!([at(0), at(0), at(0), at(50), at(150), at(151)], [1, 1, 0, 0, 1, 0]);
}

#[test]
fn a_table_has_so_many_places_for_so_long() {
    let rule = "[[rule]]\nhop = 1\naction = { table = { places = 2, millis = 100 } }";
    let mut engine = engine(rule);
    let mut passes = |millis, flags| {
        let at = Duration::from_millis(millis);
        send(&mut engine, at, Side::Vantage, out(flags))[0].0 != Side::Vantage
    };
    let passed = [0, 10, 20, 99, 100, 105, 110].map(|millis| passes(millis, flag::SYN));
    assert_eq!(passed, [true, true, false, false, true, false, true]);
    assert!(passes(110, flag::ACK), "no new connection");
}

#[test]
fn a_reset_comes_back_and_the_packet_ends() {
    let mut engine = engine("[[rule]]\nhop = 2\naction = 'reset'");
    let answer = send(&mut engine, START, Side::Vantage, out(flag::SYN));
    assert_eq!(answer[0].0, Side::Vantage);
    assert_eq!(flags(&answer), [flag::RST | flag::ACK]);
}

#[test]
fn flags_of_the_syn_are_reflected_on_the_syn_ack() {
    let mut engine = engine("[[rule]]\nhop = 2\naction = { reflect-flags = 'ECE CWR' }");
    let both = flag::SYN | flag::ACK;
    send(&mut engine, START, Side::Vantage, out(flag::SYN | flag::ECE | flag::CWR));
    assert_eq!(
        flags(&send(&mut engine, START, SERVERS, back(both))),
        [both | flag::ECE | flag::CWR]
    );
    send(&mut engine, START, Side::Vantage, out(flag::SYN));
    assert_eq!(flags(&send(&mut engine, START, SERVERS, back(both | flag::ECE))), [both]);
}

#[test]
fn nat_rewrites_on_the_way_out_and_puts_back_on_the_way_in() {
    let mut engine =
        engine("[[rule]]\nhop = 2\naction = { nat = { sources = ['192.0.2.1'], ports = true } }");
    let forward = send(&mut engine, START, Side::Vantage, out(flag::SYN)).remove(0).1;
    assert_eq!(forward.source(), IpAddr::from([192, 0, 2, 1]));
    assert_eq!(forward.ports(), Some((20_000, 80)));
    let answer = tcp(TARGET, [192, 0, 2, 1], (80, 20_000), flag::SYN | flag::ACK, 64);
    let reverse = send(&mut engine, START, SERVERS, answer).remove(0).1;
    assert_eq!(reverse.destination(), IpAddr::from(VANTAGE));
    assert_eq!(reverse.ports(), Some((80, 4000)));
}

#[test]
fn a_script_answers_in_the_targets_place() {
    let script = "[[respond]]\nmatch = { flags = 'SYN' }\nflags = 'SYN ACK ECE'\n\
                  options = [{ kind = 2, value = [4, 0] }]\n[[respond]]";
    let mut engine = engine(script);
    let answer = send(&mut engine, START, Side::Vantage, out(flag::SYN));
    assert_eq!(answer[0].0, Side::Vantage);
    assert_eq!(flags(&answer), [flag::SYN | flag::ACK | flag::ECE]);
    assert!(answer[0].1.has_tcp_option(2));
    assert_eq!(answer[0].1.tcp_numbers().unwrap().1, 2);
    assert_eq!(send(&mut engine, START, Side::Vantage, out(flag::ACK)), []);
}

#[test]
fn a_forged_segment_comes_back_beside_the_packet() {
    let forge = "[[rule]]\nhop = 2\naction = { forge-segment = { flags = 'SYN ACK ECE', \
                 acknowledgment-off = 10, ports = '4000..4001', dscp = 9, data = 'no' } }";
    let mut engine = engine(forge);
    let sent = send(&mut engine, START, Side::Vantage, out(flag::SYN));
    assert_eq!(sent[0].0, SERVERS);
    for (at, port) in [(1, 4000), (2, 4001)] {
        let (side, packet) = &sent[at];
        assert_eq!((*side, packet.ports()), (Side::Vantage, Some((80, port))));
        assert_eq!(packet.tcp_flags(), Some(flag::SYN | flag::ACK | flag::ECE));
        assert_eq!(packet.tcp_numbers().unwrap().1, 2 + 10);
        assert_eq!(packet.traffic_class(), 9 << 2);
        assert_eq!(packet.data(), b"no");
    }
}

#[test]
fn what_is_reflected_comes_back_changed_and_goes_on_as_it_is() {
    let mut engine = engine("[[rule]]\nhop = 2\naction = { reflect = { dscp = 9 } }");
    let sent = send(&mut engine, START, Side::Vantage, out(flag::SYN));
    assert_eq!((sent[0].0, sent[0].1.traffic_class()), (SERVERS, 0));
    assert_eq!((sent[1].0, sent[1].1.traffic_class()), (Side::Vantage, 9 << 2));
    assert_eq!(sent[1].1.source(), IpAddr::from(VANTAGE));
}

#[test]
fn a_forged_response_has_another_identifier() {
    let forge = "[[rule]]\nhop = 2\naction = { forge-response = { id-off = 1 } }";
    let mut engine = engine(forge);
    let mut query = Vec::new();
    let step = PacketBuilder::ipv4(VANTAGE, TARGET, 64).udp(4000, 53);
    step.write(&mut query, b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\0\0\x01\0\x01").unwrap();
    let sent = send(&mut engine, START, Side::Vantage, query);
    assert_eq!((sent[1].0, sent[1].1.ports()), (Side::Vantage, Some((53, 4000))));
    assert_eq!(sent[1].1.data()[..3], *b"\x12\x35\x81");
}

#[test]
fn marks_are_set_and_bleached_bit_by_bit() {
    let class_after = |action: &str, class: u8| {
        let mut engine = engine(&format!("[[rule]]\nhop = 1\naction = {action}"));
        let mut packet = Packet::parse(out(flag::ACK)).unwrap();
        packet.set_traffic_class(class);
        send(&mut engine, START, Side::Vantage, packet.into_bytes())[0].1.traffic_class()
    };
    assert_eq!(class_after("{ dscp = 46 }", 0b00), 46 << 2);
    assert_eq!(class_after("{ dscp = 0 }", (46 << 2) | 1), 1);
    assert_eq!(class_after("'bleach-precedence'", 0b1011_1010), 0b0001_1010);
    assert_eq!(class_after("{ ecn = 'ce' }", 0b1011_1010), 0b1011_1011);
    assert_eq!(class_after("{ ecn = 'not-ect' }", 0b1011_1010), 0b1011_1000);
}

#[test]
fn what_is_on_no_path_or_no_packet_ends_here() {
    let mut engine = engine("");
    let stray = tcp(VANTAGE, [10, 99, 0, 1], (1, 2), flag::SYN, 64);
    assert_eq!(send(&mut engine, START, Side::Vantage, stray), []);
    assert_eq!(send(&mut engine, START, Side::Vantage, vec![0; 40]), []);
}

/// Every action there is, on both ways.
const ALL_ACTIONS: [&str; 35] = [
    "'drop'",
    "'reset'",
    "{ icmp = { error = 'too-big', pass = true } }",
    "{ icmp = { error = 'parameter-problem', quote = 3, pass = true } }",
    "{ delay = { millis = 1, jitter-millis = 2 } }",
    "{ reorder = { behind = 1 } }",
    "{ duplicate = 1 }",
    "{ rate = { per-second = 10, burst = 2 } }",
    "{ table = { places = 1, millis = 10 } }",
    "{ dscp = 9 }",
    "'bleach-precedence'",
    "{ ecn = 'ce' }",
    "{ tcp-flags = '!ECE CWR' }",
    "{ reflect-flags = 'ECE CWR' }",
    "{ blank-option = 8 }",
    "{ remove-option = 8 }",
    "{ replace-option = { kind = 2, value = [1, 2, 3, 4] } }",
    "{ add-option = { kind = 254, value = [0, 0] } }",
    "'mirror-options'",
    "{ mirror-option = 2 }",
    "{ clamp-mss = 100 }",
    "'clear-evil'",
    "'set-evil'",
    "'strip-syn-data'",
    "'split-syn-data'",
    "'fill-udp-checksum'",
    "'zero-udp-checksum'",
    "{ nat = { sources = ['192.0.2.1', '2001:db8::1'], ports = true } }",
    "{ nat = { sources = ['192.0.2.1'] } }",
    "{ ecn = 'ect1' }",
    "{ icmp = { error = 'redirect', off = 7, dscp = 48, pass = true } }",
    "{ forge-segment = { flags = 'SYN ACK', acknowledgment-off = 7, sequence-off = 9 } }",
    "{ forge-segment = { flags = 'RST', ports = '4000..4002' } }",
    "{ forge-response = { id-off = 1, other-question = true, dscp = 9 } }",
    "{ reflect = { tcp-flags = '!ECE' } }",
];

#[test]
fn no_packet_stops_the_engine() {
    let mut state = 1_u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize
    };
    let mut whole = Vec::new();
    let step = PacketBuilder::ipv4(VANTAGE, TARGET, 64).tcp(4000, 80, 1, 1000);
    step.syn()
        .options(&[
            etherparse::TcpOptionElement::MaximumSegmentSize(1460),
            etherparse::TcpOptionElement::Timestamp(1, 2),
        ])
        .unwrap()
        .write(&mut whole, b"some data")
        .unwrap();
    let mut datagram = Vec::new();
    let step = PacketBuilder::ipv4(VANTAGE, TARGET, 64).udp(4000, 53);
    step.write(&mut datagram, b"some data").unwrap();
    let mut ipv6 = Vec::new();
    let (mut near, mut far) = ([0; 16], [0; 16]);
    (near[0], far[0], far[1], far[3]) = (0xfd, 0xfd, 0, 0x64);
    let step = PacketBuilder::ipv6(near, far, 64).tcp(4000, 80, 1, 1000).syn();
    step.write(&mut ipv6, b"some data").unwrap();
    for action in ALL_ACTIONS {
        let rule = format!("[[rule]]\nhop = 1\ndirection = 'both'\naction = {action}");
        let mut engine = engine(&rule);
        let mut output = Vec::new();
        for round in 0..4000_u64 {
            let kind = random() % 4;
            let mut bytes = [&datagram, &whole, &whole, &ipv6][kind].clone();
            // The addresses stay as they are, or hardly a packet would find its path.
            let addresses = if kind == 3 { 8..40 } else { 12..20 };
            for _ in 0..random() % 4 {
                let at = random() % bytes.len();
                if !addresses.contains(&at) {
                    bytes[at] = random() as u8;
                }
            }
            if random() % 4 == 0 {
                bytes.truncate(random() % (bytes.len() + 1));
            }
            let now = Duration::from_micros(round);
            engine.receive(now, Side::Vantage, bytes.clone(), &mut output);
            if kind == 3 && bytes.len() >= 40 {
                bytes[8..24].copy_from_slice(&far);
            } else if bytes.len() >= 20 {
                bytes[12..16].copy_from_slice(&TARGET);
            }
            engine.receive(now, Side::Servers(4), bytes, &mut output);
            engine.advance(now, &mut output);
        }
    }
}

#[test]
fn one_option_of_the_syn_comes_back_alone() {
    use etherparse::TcpOptionElement::{MaximumSegmentSize, WindowScale};
    let mut engine =
        engine("[[rule]]\nhop = 2\ndirection = 'reverse'\naction = { mirror-option = 3 }");
    let with = |from, to, ports: (u16, u16), flags, options: &[_]| {
        let mut bytes = Vec::new();
        let step = PacketBuilder::ipv4(from, to, 64).tcp(ports.0, ports.1, 1, 1000);
        step.options(options).unwrap().write(&mut bytes, &[]).unwrap();
        let mut packet = Packet::parse(bytes).unwrap();
        packet.set_tcp_flags(flags);
        packet.into_bytes()
    };
    let syn =
        with(VANTAGE, TARGET, (4000, 80), flag::SYN, &[MaximumSegmentSize(9), WindowScale(7)]);
    send(&mut engine, START, Side::Vantage, syn);
    for own in [&[MaximumSegmentSize(8)][..], &[MaximumSegmentSize(8), WindowScale(2)]] {
        let answer = with(TARGET, VANTAGE, (80, 4000), flag::SYN | flag::ACK, own);
        let options = send(&mut engine, START, SERVERS, answer)[0].1.parsed_tcp_options();
        let read: Vec<_> = options.iter().map(|o| (o.kind, &o.value[..])).collect();
        assert_eq!(read, [(2, &[0, 8][..]), (3, &[7][..])]);
    }
}
