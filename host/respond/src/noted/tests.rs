//! What is kept of packets, and how it is found again.

use pathspider_plugin_api::forge;

use super::*;

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1));
const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

fn flows(most: usize) -> NotedFlows {
    NotedFlows::new(most, Time::from_secs(60), Time::ZERO)
}

fn packet_here() -> forge::Packet {
    // The same packet each time: it would have a number of its own.
    forge::Packet::to(HERE).source(THERE).identification(7)
}

fn syn(port: u16, sequence: u32) -> Vec<u8> {
    packet_here().tcp_syn(80).source_port(port).sequence(sequence).mss(1460).bytes().unwrap()
}

fn segment(port: u16, sequence: u32, data: &[u8]) -> Vec<u8> {
    let flags = TcpFlags::ACK;
    let segment = packet_here().tcp(80).source_port(port).flags(flags).sequence(sequence);
    segment.payload(data).bytes().unwrap()
}

fn datagram(port: u16, data: &[u8]) -> Vec<u8> {
    packet_here().udp(53, data).source_port(port).bytes().unwrap()
}

fn note(flows: &mut NotedFlows, octets: &[u8], millis: u64) {
    flows.note(octets, octets.len() as u32, Time::from_millis(millis));
}

fn tcp(port: u16, sequence: u32) -> Sought {
    let mark = Mark::of_sequence(sequence);
    Sought { is_tcp: true, source_port: port, destination_port: 80, mark }
}

fn udp(port: u16, data: &[u8]) -> Sought {
    let mark = Mark::of_data(data);
    Sought { is_tcp: false, source_port: port, destination_port: 53, mark }
}

fn found(flows: &NotedFlows, sought: &Sought) -> (Match, u32, Vec<Vec<u8>>) {
    let found = flows.find(sought, THERE, HERE, Time::from_secs(9));
    (found.how, found.count, found.arrivals.into_iter().map(|one| one.octets).collect())
}

#[test]
fn a_connection_is_found_with_its_openings_and_its_first_data() {
    let mut flows = flows(100);
    let (opening, data) = (syn(4_000, 7), segment(4_000, 8, b"GET / HTTP/1.1"));
    note(&mut flows, &opening, 10);
    note(&mut flows, &opening, 1_010);
    note(&mut flows, &segment(4_000, 8, b""), 1_020);
    note(&mut flows, &data, 1_030);
    for again in 0..10 {
        note(&mut flows, &segment(4_000, 22 + again, b"more"), 1_040);
    }
    let (how, count, packets) = found(&flows, &tcp(4_000, 7));
    assert_eq!((how, count), (Match::Both, 14));
    assert_eq!(packets[..3], [opening.clone(), opening, data]);
    assert_eq!(packets.len(), 4);
    let first = &flows.find(&tcp(4_000, 7), THERE, HERE, Time::from_millis(1_010)).arrivals[0];
    assert_eq!(first.age_us, 1_000_000);
}

#[test]
fn another_port_or_another_number_is_told() {
    let mut flows = flows(100);
    note(&mut flows, &syn(4_000, 7), 1);
    note(&mut flows, &datagram(5_000, b"a query of some octets"), 1);
    note(&mut flows, &datagram(5_001, b"few"), 1);
    assert_eq!(found(&flows, &tcp(4_444, 7)).0, Match::Mark);
    assert_eq!(found(&flows, &tcp(4_000, 8)).0, Match::Port);
    assert_eq!(found(&flows, &tcp(4_444, 8)).0, Match::Nothing);
    assert_eq!(found(&flows, &udp(5_000, b"a query of some octets")).0, Match::Both);
    assert_eq!(found(&flows, &udp(5_555, b"a query of some octets")).0, Match::Mark);
    assert_eq!(found(&flows, &udp(5_000, b"another query")).0, Match::Port);
    assert_eq!(found(&flows, &udp(5_555, b"few")).0, Match::Nothing, "that tells nothing");
    // Ports distinguish two flows with the same data.
    note(&mut flows, &datagram(5_002, b"a query of some octets"), 2);
    assert_eq!(found(&flows, &udp(5_000, b"a query of some octets")).0, Match::Both);
    // Whoever asks from elsewhere hears nothing, nor who asks at another address.
    let of = |from, to| flows.find(&tcp(4_000, 7), from, to, Time::ZERO).how;
    assert_eq!(of(HERE, HERE), Match::Nothing);
    assert_eq!(of(THERE, THERE), Match::Nothing);
}

#[test]
fn the_same_ports_begin_another_flow() {
    let mut flows = flows(100);
    note(&mut flows, &syn(4_000, 7), 1);
    note(&mut flows, &syn(4_000, 1_007), 2);
    assert_eq!(found(&flows, &tcp(4_000, 1_007)), (Match::Both, 1, vec![syn(4_000, 1_007)]));
    assert_eq!(found(&flows, &tcp(4_000, 7)), (Match::Both, 1, vec![syn(4_000, 7)]));
    let (one, other) = (datagram(5_000, b"the first query"), datagram(5_000, b"the second query"));
    note(&mut flows, &one, 1);
    note(&mut flows, &other, 100);
    assert_eq!(found(&flows, &udp(5_000, b"the second query")).2, [one, other.clone()]);
    note(&mut flows, &datagram(5_000, b"much later a third one"), 60_000);
    assert_eq!(found(&flows, &udp(5_000, b"much later a third one")).1, 1);
    assert_eq!(found(&flows, &udp(5_000, b"the second query")).1, 2);
}

#[test]
fn ever_new_flows_take_no_memory_and_what_is_forgotten_is_said() {
    let mut flows = flows(100);
    for number in 0..10_000 {
        note(&mut flows, &syn(1_000 + number, number.into()), u64::from(number) * 10);
    }
    assert_eq!((flows.flows.len(), flows.by_ports.len(), flows.by_mark.len()), (100, 100, 100));
    assert_eq!(found(&flows, &tcp(1_000, 0)).0, Match::Nothing);
    assert_eq!(found(&flows, &tcp(10_999, 9_999)).0, Match::Both);
    let now = Time::from_millis(99_990);
    assert_eq!(flows.kept(now), Time::from_millis(1_000));
    // What is old goes first, and was kept for as long as was promised.
    let mut flows = NotedFlows::new(100, Time::from_secs(1), Time::ZERO);
    note(&mut flows, &syn(1, 1), 0);
    note(&mut flows, &syn(2, 2), 5_000);
    assert_eq!((flows.flows.len(), flows.by_mark.len()), (1, 1));
    assert_eq!(flows.kept(Time::from_secs(6)), Time::from_secs(1));
}

#[test]
fn of_a_long_packet_its_headers_and_first_octets_are_kept() {
    let mut flows = flows(100);
    let long = datagram(5_000, &[9; 1_200]);
    note(&mut flows, &long[..SNAPLEN as usize], 1);
    flows.note(&long[..SNAPLEN as usize], long.len() as u32, Time::ZERO);
    let arrivals = flows.find(&udp(5_000, &[9; 16]), THERE, HERE, Time::ZERO).arrivals;
    assert_eq!((arrivals[0].wire, &arrivals[0].octets[..]), (1_228, &long[..28 + FIRST]));
    // Datagrams with what follows them are kept whole.
    let mut options = datagram(5_001, &[9; 40]);
    options.extend([7; 20]);
    options[3] += 20;
    note(&mut flows, &options, 1);
    assert_eq!(found(&flows, &udp(5_001, &[9; 16])).2, [options]);
}

#[test]
fn octets_of_any_kind_do_no_harm() {
    let mut flows = flows(100);
    let packets = [syn(1, 1), segment(1, 2, b"data"), datagram(1, b"a query")];
    for packet in packets {
        for at in 0..packet.len() {
            note(&mut flows, &packet[..at], 1);
            for octet in [0, 0x0f, 0x7f, 0xff] {
                let mut changed = packet.clone();
                changed[at] = octet;
                note(&mut flows, &changed, 1);
            }
        }
    }
    assert!(flows.flows.len() <= 100);
}
