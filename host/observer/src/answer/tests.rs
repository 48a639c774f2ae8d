//! What is judged an answer, as tables: segments, datagrams and errors in either version of IP.

use etherparse::{PacketBuilder, PacketBuilderStep, TcpHeader};
use proptest::prelude::*;

use super::*;
use crate::counters::Unanswering::{
    Acknowledgment, OurReset, Query, Sequence, Syn as BareSyn, Unasked,
};
use crate::dissect::dissect;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// Which way a packet goes, and in which version of IP.
#[derive(Clone, Copy)]
struct Way {
    there: bool,
    is_v6: bool,
}

fn ip(way: Way) -> PacketBuilderStep<etherparse::IpHeaders> {
    if way.is_v6 {
        let (mut us, mut them) = ([0x20; 16], [0x20; 16]);
        (us[15], them[15]) = (1, 2);
        let (from, to) = if way.there { (us, them) } else { (them, us) };
        PacketBuilder::ipv6(from, to, 60)
    } else {
        let (us, them) = ([192, 0, 2, 1], [198, 51, 100, 7]);
        let (from, to) = if way.there { (us, them) } else { (them, us) };
        PacketBuilder::ipv4(from, to, 60)
    }
}

fn segment(way: Way, flags: u8, (sequence, acknowledged): (u32, u32), data: usize) -> Vec<u8> {
    let (from, to) = if way.there { (4000, 80) } else { (80, 4000) };
    let mut header = TcpHeader::new(from, to, sequence, 64_000);
    header.acknowledgment_number = acknowledged;
    header.fin = flags & FIN != 0;
    header.syn = flags & SYN != 0;
    header.rst = flags & RST != 0;
    header.ack = flags & ACK != 0;
    let mut packet = Vec::new();
    ip(way).tcp_header(header).write(&mut packet, &vec![7; data]).unwrap();
    packet
}

fn datagram(way: Way, payload: &[u8]) -> Vec<u8> {
    let (from, to) = if way.there { (4000, 53) } else { (53, 4000) };
    let mut packet = Vec::new();
    ip(way).udp(from, to).write(&mut packet, payload).unwrap();
    packet
}

fn judge(judge: &mut Judge, there: bool, packet: &[u8]) -> Judged {
    let mut dissected = Dissected::NONE;
    dissect(packet, packet.len() as u32, &mut dissected).unwrap();
    if there { judge.sent(&dissected) } else { judge.came(&dissected) }
}

/// A step of a connection: whether it goes from us, flags, numbers, octets, and what it is judged.
type Step = (bool, u8, (u32, u32), usize, Judged);

const OURS: bool = true;
const THEIRS: bool = false;
const YES: Judged = Ok(());

/// Takes a connection through steps, in both versions of IP, with initial numbers that are near
/// nothing, near the end of the number space, and far apart. Numbers of steps are relative to them,
/// each to its sender's own.
fn connection(name: &str, steps: &[Step]) {
    for is_v6 in [false, true] {
        for (ours, theirs) in [(0, 0), (u32::MAX, 77), (9, u32::MAX - 1), (1 << 31, (1 << 31) - 1)]
        {
            let mut state = Judge::default();
            for (at, &(there, flags, (sequence, acknowledged), data, expected)) in
                steps.iter().enumerate()
            {
                let (own, other) = if there { (ours, theirs) } else { (theirs, ours) };
                let numbers = (own.wrapping_add(sequence), other.wrapping_add(acknowledged));
                let packet = segment(Way { there, is_v6 }, flags, numbers, data);
                let judged = judge(&mut state, there, &packet);
                assert_eq!(judged, expected, "{name}, step {at} from {ours} and {theirs}");
            }
        }
    }
}

/// A number that nobody who does not see our packets would hit.
const WRONG: u32 = 0x2345_6789;

#[test]
fn the_segments_of_a_connection() {
    connection(
        "an ordinary one",
        &[
            (OURS, SYN, (0, 0), 0, YES),
            (THEIRS, SYN | ACK, (0, 1), 0, YES),
            (THEIRS, SYN | ACK, (0, 1), 0, YES),
            (OURS, ACK, (1, 1), 0, YES),
            (OURS, ACK, (1, 1), 100, YES),
            (THEIRS, ACK, (1, 101), 1000, YES),
            // Repeated, a keep-alive, and what follows on something lost.
            (THEIRS, ACK, (1, 101), 1000, YES),
            (THEIRS, ACK, (0, 101), 0, YES),
            (THEIRS, ACK, (500_000, 101), 1000, YES),
            (OURS, ACK, (101, 501_000), 0, YES),
            (THEIRS, ACK, (501_000 + (15 << 20), 101), 1000, YES),
            (THEIRS, ACK, (1 << 28, 101), 1000, Err(Sequence)),
            (THEIRS, ACK, (0x9000_0000, 101), 1000, Err(Sequence)),
            (THEIRS, ACK, (501_000, 102), 1000, Err(Acknowledgment)),
            (THEIRS, ACK, (501_000, 0), 1000, Err(Acknowledgment)),
            (THEIRS, 0, (501_000, 101), 1000, Err(Acknowledgment)),
            (THEIRS, SYN, (0, 0), 0, Err(BareSyn)),
            (THEIRS, FIN | ACK, (501_000, 101), 0, YES),
            (OURS, FIN | ACK, (101, 501_001), 0, YES),
            (THEIRS, ACK, (501_001, 102), 0, YES),
        ],
    );
}

#[test]
fn only_a_syn_ack_for_our_syn_opens() {
    connection(
        "wrong acknowledgments first",
        &[
            (THEIRS, SYN | ACK, (0, 1), 0, Err(Unasked)),
            (OURS, SYN, (0, 0), 0, YES),
            (THEIRS, SYN | ACK, (5, 0), 0, Err(Acknowledgment)),
            (THEIRS, SYN | ACK, (5, 2), 0, Err(Acknowledgment)),
            (THEIRS, SYN | ACK, (5, WRONG), 0, Err(Acknowledgment)),
            // What our system answers it with.
            (OURS, RST, (WRONG, 0), 0, Err(OurReset)),
            (OURS, SYN, (0, 0), 0, YES),
            (THEIRS, SYN | ACK, (0, 1), 0, YES),
            // Somebody else's, with other numbers.
            (THEIRS, SYN | ACK, (WRONG, 1), 0, Err(Sequence)),
        ],
    );
}

#[test]
fn fast_open_may_acknowledge_the_data_or_not() {
    for (acknowledged, expected) in
        [(1, YES), (51, YES), (101, YES), (102, Err(Acknowledgment)), (0, Err(Acknowledgment))]
    {
        connection(
            "data on the SYN",
            &[(OURS, SYN, (0, 0), 100, YES), (THEIRS, SYN | ACK, (0, acknowledged), 0, expected)],
        );
    }
    connection(
        "repeated without the data",
        &[
            (OURS, SYN, (0, 0), 100, YES),
            (OURS, SYN, (0, 0), 0, YES),
            (THEIRS, SYN | ACK, (0, 101), 0, YES),
        ],
    );
}

#[test]
fn resets() {
    let syn = (OURS, SYN, (0, 0), 0, YES);
    let syn_ack = (THEIRS, SYN | ACK, (0, 1), 0, YES);
    let data = (OURS, ACK, (1, 1), 10, YES);
    let reset = |flags, numbers, judged| (THEIRS, flags, numbers, 0, judged);
    // Before the handshake, only one that acknowledges our SYN; its own number does not matter.
    connection("refused", &[syn, reset(RST | ACK, (WRONG, 1), YES), syn_ack]);
    connection("blind", &[syn, reset(RST | ACK, (0, 0), Err(Acknowledgment)), syn_ack]);
    connection("without", &[syn, reset(RST, (0, 1), Err(Acknowledgment)), syn_ack]);
    // Later, its number counts.
    connection("in order", &[syn, syn_ack, data, reset(RST, (1, 0), YES)]);
    connection("answered", &[syn, syn_ack, data, reset(RST | ACK, (1, 11), YES)]);
    connection("ahead", &[syn, syn_ack, data, reset(RST, (100, 0), Err(Sequence))]);
    connection("sprayed", &[syn, syn_ack, data, reset(RST, (1 << 16, 0), Err(Sequence))]);
    connection("acked ahead", &[syn, syn_ack, data, reset(RST | ACK, (100, 11), YES)]);
    connection(
        "acked wrong",
        &[syn, syn_ack, data, reset(RST | ACK, (1, 12), Err(Acknowledgment))],
    );
    connection("ours", &[syn, syn_ack, (OURS, RST, (1, 0), 0, YES), syn_ack]);
    // Of a segment that begins with an acknowledgment, as forged ones may, it has that number.
    for flags in [ACK, SYN | ACK] {
        let probe = (OURS, flags, (0, 9), 0, YES);
        connection("probed", &[probe, reset(RST, (9, 0), YES)]);
        connection("probed blindly", &[probe, reset(RST, (8, 0), Err(Sequence))]);
        let again = (OURS, ACK, (0, 7), 0, YES);
        connection("probed twice", &[probe, again, reset(RST, (7, 0), YES)]);
    }
    // What somebody else made us acknowledge is nobody's.
    let (sprayed, ours) =
        ((THEIRS, SYN, (6, 0), 0, Err(BareSyn)), (OURS, SYN | ACK, (0, 7), 0, YES));
    let after = reset(RST, (7, 0), Err(Acknowledgment));
    connection("sprayed open", &[syn, sprayed, ours, (OURS, ACK, (1, 7), 0, YES), after]);
    // A reset alone asks nothing.
    connection(
        "first",
        &[(OURS, RST, (0, 0), 0, YES), (THEIRS, SYN | ACK, (0, 1), 0, Err(Unasked))],
    );
}

#[test]
fn a_syn_alone_is_no_answer_and_what_follows_it_may_be() {
    connection(
        "simultaneous open",
        &[
            (OURS, SYN, (0, 0), 0, YES),
            (THEIRS, SYN, (0, 0), 0, Err(BareSyn)),
            (OURS, SYN | ACK, (0, 1), 0, YES),
            (THEIRS, SYN | ACK, (0, 1), 0, YES),
            (OURS, ACK, (1, 1), 0, YES),
            (THEIRS, ACK, (1, 1), 100, YES),
        ],
    );
    connection(
        "split handshake",
        &[
            (OURS, SYN, (0, 0), 0, YES),
            // Of no use, but it saw our SYN.
            (THEIRS, ACK, (WRONG, 1), 0, YES),
            (THEIRS, SYN, (0, 0), 0, Err(BareSyn)),
            (OURS, SYN | ACK, (0, 1), 0, YES),
            (THEIRS, ACK, (1, 1), 0, YES),
            (THEIRS, ACK, (1, 1), 100, YES),
            (THEIRS, ACK, (WRONG, 1), 100, Err(Sequence)),
        ],
    );
    connection(
        "a sprayed SYN before the true answer",
        &[
            (OURS, SYN, (0, 0), 0, YES),
            (THEIRS, SYN, (WRONG, 0), 0, Err(BareSyn)),
            (OURS, SYN | ACK, (0, WRONG), 0, YES),
            (THEIRS, SYN | ACK, (0, 1), 0, YES),
        ],
    );
}

#[test]
fn a_syn_that_was_not_captured_is_made_up_for() {
    connection(
        "from the request on",
        &[
            (OURS, ACK, (1, 1), 100, YES),
            (THEIRS, ACK, (1, 101), 1000, YES),
            (THEIRS, ACK, (1, 102), 1000, Err(Acknowledgment)),
            (THEIRS, ACK, (WRONG, 101), 1000, Err(Sequence)),
        ],
    );
}

#[test]
fn a_capture_that_loses_packets_keeps_up_by_our_own() {
    let far = 200 << 20;
    let mut steps = vec![
        (OURS, SYN, (0, 0), 0, YES),
        (THEIRS, SYN | ACK, (0, 1), 0, YES),
        // Our request is lost, the acknowledgment of the response is not.
        (THEIRS, ACK, (1, 101), 1000, Err(Acknowledgment)),
        (OURS, ACK, (101, 1001), 0, YES),
        (THEIRS, ACK, (1001, 101), 1000, YES),
    ];
    for lost in (0..far).step_by(10 << 20) {
        steps.push((OURS, ACK, (101, 2001 + lost), 0, YES));
    }
    steps.push((THEIRS, ACK, (far, 101), 1000, YES));
    connection("losses", &steps);
}

/// A message with this identifier, these flags, and this question for type A.
fn dns(id: u16, flags: u16, name: &str) -> Vec<u8> {
    let mut message = Vec::new();
    for word in [id, flags, u16::from(!name.is_empty()), 0, 0, 0] {
        message.extend(word.to_be_bytes());
    }
    if !name.is_empty() {
        for label in name.split('.') {
            message.push(label.len() as u8);
            message.extend(label.bytes());
        }
        message.extend([0, 0, 1, 0, 1]);
    }
    message
}

#[test]
fn responses_have_identifier_and_question_of_a_query() {
    const RESPONSE: u16 = 0x8180;
    for is_v6 in [false, true] {
        let (there, back) = (Way { there: true, is_v6 }, Way { there: false, is_v6 });
        let mut asked = Judge::default();
        let mut judge =
            |there: Way, message: &[u8]| judge(&mut asked, there.there, &datagram(there, message));
        let right = dns(7, RESPONSE, "Example.com");
        assert_eq!(judge(back, &right), Err(Unasked));
        assert_eq!(judge(there, &dns(7, 0x0100, "example.com")), YES);
        for (message, expected) in [
            (dns(8, RESPONSE, "example.com"), Err(Query)),
            (dns(7, RESPONSE, "example.org"), Err(Query)),
            (dns(7, 0x0100, "example.com"), Err(Query)),
            (dns(7, RESPONSE, ""), Err(Query)),
            (b"nonsense".to_vec(), Err(Query)),
            (Vec::new(), Err(Query)),
            // A refusal need not say what was asked.
            (dns(7, RESPONSE | 5, ""), YES),
            (dns(8, RESPONSE | 5, ""), Err(Query)),
            (right.clone(), YES),
        ] {
            assert_eq!(judge(back, &message), expected, "{message:?}");
        }
        // Another query beside the first: both may be answered.
        assert_eq!(judge(there, &dns(9, 0x0100, "example.net")), YES);
        assert_eq!(judge(back, &dns(9, RESPONSE, "example.net")), YES);
        assert_eq!(judge(back, &dns(9, RESPONSE, "example.com")), Err(Query));
        assert_eq!(judge(back, &right), YES);
    }
}

#[test]
fn a_datagram_that_is_no_query_is_answered_by_any() {
    let (there, back) = (Way { there: true, is_v6: false }, Way { there: false, is_v6: false });
    let mut state = Judge::default();
    assert_eq!(judge(&mut state, false, &datagram(back, b"hi")), Err(Unasked));
    assert_eq!(judge(&mut state, true, &datagram(there, b"hello")), YES);
    assert_eq!(judge(&mut state, false, &datagram(back, b"hi")), YES);
}

#[test]
fn a_ping_is_answered_by_its_own_reply() {
    use etherparse::{IcmpEchoHeader, Icmpv4Type, Icmpv6Type};
    for is_v6 in [false, true] {
        let echo = |there: bool, seq: u16, is_request: bool| {
            let header = IcmpEchoHeader { id: 5, seq };
            let mut packet = Vec::new();
            let step = ip(Way { there, is_v6 });
            let written = match (is_v6, is_request) {
                (false, true) => {
                    step.icmpv4(Icmpv4Type::EchoRequest(header)).write(&mut packet, b"x")
                }
                (false, false) => {
                    step.icmpv4(Icmpv4Type::EchoReply(header)).write(&mut packet, b"x")
                }
                (true, true) => {
                    step.icmpv6(Icmpv6Type::EchoRequest(header)).write(&mut packet, b"x")
                }
                (true, false) => {
                    step.icmpv6(Icmpv6Type::EchoReply(header)).write(&mut packet, b"x")
                }
            };
            written.unwrap();
            packet
        };
        let mut state = Judge::default();
        assert_eq!(judge(&mut state, false, &echo(false, 1, false)), Err(Unasked));
        assert_eq!(judge(&mut state, true, &echo(true, 1, true)), YES);
        assert_eq!(judge(&mut state, false, &echo(false, 2, false)), Err(Query));
        assert_eq!(judge(&mut state, false, &echo(false, 1, true)), Err(Query));
        assert_eq!(judge(&mut state, false, &echo(false, 1, false)), YES);
    }
}

/// Whether an error that quotes this many octets of a packet is about something that was sent.
fn is_quoted(state: Judge, packet: &[u8], octets: usize) -> bool {
    let is_v6 = packet[0] >> 4 == 6;
    let mut error = Vec::new();
    let quoted = &packet[..octets.min(packet.len())];
    if is_v6 {
        let step = ip(Way { there: false, is_v6 }).icmpv6_raw(1, 0, [0; 4]);
        step.write(&mut error, quoted).unwrap();
    } else {
        let step = ip(Way { there: false, is_v6 }).icmpv4_raw(3, 1, [0; 4]);
        step.write(&mut error, quoted).unwrap();
    }
    let mut dissected = Dissected::NONE;
    dissect(&error, error.len() as u32, &mut dissected).unwrap();
    dissected.quote().is_some_and(|quote| state.is_quoted(&quote))
}

#[test]
fn errors_quote_what_was_sent() {
    for is_v6 in [false, true] {
        let way = Way { there: true, is_v6 };
        let header = if is_v6 { 40 } else { 20 };
        for first in [1000, u32::MAX] {
            let at = |sequence: u32| first.wrapping_add(sequence);
            let mut state = Judge::default();
            let syn = segment(way, SYN, (at(0), 0), 0);
            assert!(!is_quoted(state, &syn, 600), "nothing was sent");
            judge(&mut state, true, &syn).unwrap();
            assert!(is_quoted(state, &syn, 600));
            assert!(is_quoted(state, &syn, header + 8));
            assert!(!is_quoted(state, &syn, header + 7), "too short to have the number");
            for wrong in [1, 2, 1000, WRONG, 0x8000_0000, u32::MAX] {
                assert!(!is_quoted(state, &segment(way, SYN, (at(wrong), 0), 0), 600), "{wrong}");
            }
            judge(&mut state, true, &segment(way, ACK, (at(1), 1), 500)).unwrap();
            assert!(is_quoted(state, &segment(way, ACK, (at(1), 1), 500), 600));
            assert!(
                is_quoted(state, &segment(way, ACK, (at(301), 1), 200), 600),
                "cut by the card"
            );
            assert!(!is_quoted(state, &segment(way, ACK, (at(501), 1), 0), 600), "not sent yet");
            judge(&mut state, true, &segment(way, ACK, (at(501), 1), 0)).unwrap();
            assert!(is_quoted(state, &segment(way, ACK, (at(501), 1), 0), 600));
            assert!(!is_quoted(state, &segment(way, ACK, (at(502), 1), 0), 600));
        }
        let mut state = Judge::default();
        let query = datagram(way, &dns(7, 0x0100, "example.com"));
        judge(&mut state, true, &query).unwrap();
        assert!(is_quoted(state, &query, 600));
        assert!(is_quoted(state, &query, header + 8));
        let other_id = datagram(way, &dns(8, 0x0100, "example.com"));
        assert!(!is_quoted(state, &other_id, 600));
        assert!(is_quoted(state, &other_id, header + 9), "the identifier is not in the quote");
        assert!(!is_quoted(state, &datagram(way, &dns(7, 0x0100, "a.example.com")), header + 8));
    }
}

proptest! {
    /// Whatever is sent and comes: no arithmetic fails, and a segment that acknowledges more than
    /// was sent is never an answer.
    #[test]
    fn nothing_that_was_not_sent_is_acknowledged(
        first in any::<u32>(),
        steps in prop::collection::vec(
            (any::<bool>(), 0u8..32, 0u32..3000, 0u32..3000, 0usize..40), 1..40),
    ) {
        let mut state = Judge::default();
        judge(&mut state, true, &segment(Way { there: true, is_v6: false }, SYN, (first, 0), 0)).unwrap();
        let mut end = 1;
        for (there, flags, sequence, acknowledged, data) in steps {
            // Ours go on without gaps; a second SYN would begin anew.
            let flags = if there { flags & !(SYN | RST) } else { flags };
            let numbers = if there {
                (first.wrapping_add(end), acknowledged)
            } else {
                (sequence, first.wrapping_add(acknowledged))
            };
            let judged = judge(&mut state, there, &segment(Way { there, is_v6: false }, flags, numbers, data));
            if there {
                end += data as u32 + u32::from(flags & FIN);
            } else if flags & ACK != 0 && (acknowledged == 0 || acknowledged > end) {
                prop_assert_eq!(judged, Err(Acknowledgment));
            }
        }
    }
}

#[test]
fn packets_of_quic_have_the_id_that_we_gave() {
    use pathspider_plugin_api::packet::quic::{RESERVED_VERSION, VERSION_1, probe};
    for is_v6 in [false, true] {
        let (there, back) = (Way { there: true, is_v6 }, Way { there: false, is_v6 });
        let asked = datagram(there, &probe(VERSION_1, &[1; 8], &[2; 8], 1200));
        let asks = datagram(there, &probe(RESERVED_VERSION, &[1; 8], &[3; 8], 1200));
        let versions = |ours| [probe(0, ours, &[1; 8], 0), vec![0, 0, 0, 1]].concat();
        let mut one = Judge::default();
        assert_eq!(judge(&mut one, false, &datagram(back, &versions(&[2; 8]))), Err(Unasked));
        assert_eq!(judge(&mut one, true, &asked), Ok(()));
        for (payload, expected) in [
            // Nothing that answers came yet.
            (vec![0x40; 40], Err(Query)),
            (probe(VERSION_1, &[2; 7], &[9; 8], 1200), Err(Query)),
            (probe(VERSION_1, &[9; 8], &[2; 8], 1200), Err(Query)),
            (probe(7, &[2; 8], &[9; 8], 1200), Err(Query)),
            (versions(&[3; 8]), Err(Query)),
            (b"?".to_vec(), Err(Query)),
            (versions(&[2; 8]), Ok(())),
            (probe(VERSION_1, &[2; 8], &[9; 8], 1200), Ok(())),
            (vec![0x40; 40], Ok(())),
        ] {
            let came = datagram(back, &payload);
            assert_eq!(judge(&mut one, false, &came), expected, "{:x?}", &payload[..1]);
        }
        // A short header of ours opens the flow to nobody else; a second connection has its own ID.
        assert_eq!(judge(&mut one, true, &datagram(there, &[0x40; 40])), Ok(()));
        assert_eq!(judge(&mut one, false, &datagram(back, &versions(&[3; 8]))), Err(Query));
        assert_eq!(judge(&mut one, true, &asks), Ok(()));
        assert_eq!(judge(&mut one, false, &datagram(back, &versions(&[3; 8]))), Ok(()));
    }
}
