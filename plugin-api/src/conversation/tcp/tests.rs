//! The client against a plain server, over paths that lose, reorder and repeat packets, and
//! against targets that do what servers should not.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::conversation::{Ending, Turn};
use crate::packet::{Packet, TcpFlags};
use crate::testing::{Peer, Server, Talked, converse};
use crate::{Connect, Outcome, Result, State, forge};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\n\r\n";
const ENDS: [(&str, &str); 2] =
    [("192.0.2.7:40000", "198.51.100.1:80"), ("[2001:db8::7]:40000", "[2001:db8::1]:80")];

fn ends(text: (&str, &str)) -> (SocketAddr, SocketAddr) {
    (text.0.parse().unwrap(), text.1.parse().unwrap())
}

/// What an exchange has seen.
#[derive(Debug, Default, Clone, PartialEq)]
struct Seen {
    response: Vec<u8>,
    finished: bool,
    errors: usize,
}

/// Asks, reads to the end, and marks what it sends.
struct Asks(Arc<Mutex<Seen>>);

impl TcpExchange for Asks {
    fn opened(&mut self, stream: &mut Stream<'_>) -> Result<()> {
        stream.write(REQUEST);
        Ok(())
    }

    fn received(&mut self, stream: &mut Stream<'_>) -> Result<()> {
        let mut seen = self.0.lock().unwrap();
        seen.response.extend(stream.read());
        seen.finished |= stream.is_finished();
        Ok(())
    }

    fn outgoing(&mut self, segment: &mut Segment) {
        if !segment.payload().is_empty() {
            segment.set_ecn(3);
            segment.add_option(253, &[1, 2]);
        }
    }

    fn incoming(&mut self, packet: &Packet<'_>) {
        self.0.lock().unwrap().errors += usize::from(packet.icmp().is_some());
    }

    fn outcome(&mut self, outcome: Outcome) -> Outcome {
        let length = self.0.lock().unwrap().response.len();
        outcome.with("response", length)
    }
}

/// Takes a client through a conversation with this target.
fn ask(text: (&str, &str), peer: &mut impl Peer, timeout: Duration) -> (Talked, Seen) {
    let seen = Arc::<Mutex<Seen>>::default();
    let client = TcpClient::new(Asks(Arc::clone(&seen))).option_room(8);
    let mut connect = Connect::conversation(client).timeout(timeout);
    let talked = converse(&mut connect, ends(text), peer).unwrap();
    for (_, packet) in &talked.sent {
        assert_eq!(&tcp(packet).into_packet().unwrap(), packet, "lengths and checksums");
    }
    let seen = seen.lock().unwrap().clone();
    (talked, seen)
}

/// A server that answers with this many octets.
fn server(octets: usize) -> Server {
    Server::new((0..octets).map(|n| n as u8).collect::<Vec<u8>>())
}

/// A path to a server that does to each packet what `fate` says: how long each copy takes.
struct Path<F> {
    server: Server,
    fate: F,
    there: Vec<(Duration, Vec<u8>)>,
}

impl<F: FnMut(&[u8]) -> Vec<u64>> Path<F> {
    fn new(server: Server, fate: F) -> Path<F> {
        Path { server, fate, there: Vec::new() }
    }

    fn back(&mut self, answers: Vec<(Duration, Vec<u8>)>) -> Vec<(Duration, Vec<u8>)> {
        let copies = answers.into_iter().flat_map(|(_, packet)| {
            let delays = (self.fate)(&packet);
            delays.into_iter().map(move |delay| (Duration::from_millis(delay), packet.clone()))
        });
        copies.collect()
    }
}

impl<F: FnMut(&[u8]) -> Vec<u64>> Peer for Path<F> {
    fn take(&mut self, now: Duration, packet: &[u8]) -> Vec<(Duration, Vec<u8>)> {
        for delay in (self.fate)(packet) {
            self.there.push((now + Duration::from_millis(delay), packet.to_vec()));
        }
        Vec::new()
    }

    fn due(&mut self, now: Duration) -> Option<Duration> {
        let first = self.there.iter().map(|&(at, _)| at).min();
        [first, self.server.due(now)].into_iter().flatten().min()
    }

    fn wake(&mut self, now: Duration) -> Vec<(Duration, Vec<u8>)> {
        self.there.sort_by_key(|&(at, _)| at);
        let mut answers = Vec::new();
        while self.there.first().is_some_and(|&(at, _)| at <= now) {
            let (_, packet) = self.there.remove(0);
            answers.extend(self.server.take(now, &packet));
        }
        answers.extend(self.server.wake(now));
        self.back(answers)
    }
}

/// Numbers that look random, the same in each run.
fn draw(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) % below
    }
}

fn tcp(packet: &[u8]) -> Segment {
    Segment::of(packet).unwrap()
}

#[test]
fn a_request_is_answered_and_the_connection_closed_on_both_sides() {
    for text in ENDS {
        let mut path = Path::new(server(20_000), |_| vec![10]);
        let (talked, seen) = ask(text, &mut path, Duration::from_secs(5));
        assert_eq!((talked.ending, talked.outcome.state()), (Ending::Done, State::Ok), "{text:?}");
        assert_eq!(talked.outcome.record().u64("response"), Some(20_000));
        assert_eq!(seen.response, (0..20_000).map(|n| n as u8).collect::<Vec<_>>());
        assert!(seen.finished);
        assert_eq!(path.server.request(), REQUEST);
        let data: Vec<Segment> = talked.sent.iter().map(|(_, packet)| tcp(packet)).collect();
        assert!(data[0].has(TcpFlags::SYN) && data.iter().any(|s| s.has(TcpFlags::FIN)));
        let marked: Vec<&Segment> = data.iter().filter(|s| !s.payload().is_empty()).collect();
        assert_eq!(marked.len(), 1, "nothing is repeated on a good path");
    }
}

#[test]
fn every_response_comes_over_a_path_that_loses_reorders_and_repeats() {
    for seed in 0..200 {
        let text = ENDS[seed as usize % 2];
        let mut draw = draw(seed + 1);
        let fate = move |_: &[u8]| match draw(10) {
            0 | 1 => Vec::new(),
            2 => vec![150, 300],
            3 => vec![400],
            _ => vec![150],
        };
        let mut path = Path::new(server(6_000), fate);
        let (talked, seen) = ask(text, &mut path, Duration::from_secs(120));
        assert_eq!(talked.outcome.state(), State::Ok, "seed {seed}");
        assert_eq!(seen.response.len(), 6_000, "seed {seed}");
        assert_eq!(path.server.request(), REQUEST, "seed {seed}");
    }
}

#[test]
fn a_window_that_is_closed_is_asked_until_it_opens() {
    let mut server = server(100).reads_from(Duration::from_secs(4));
    let (talked, seen) = ask(ENDS[0], &mut server, Duration::from_secs(60));
    assert_eq!(talked.outcome.state(), State::Ok);
    assert_eq!((seen.response.len(), server.request()), (100, REQUEST));
    assert!(talked.ended > Duration::from_secs(4));
}

/// A target of a few lines.
struct Answers<F>(F);

impl<F: FnMut(Duration, &Segment) -> Vec<Vec<u8>>> Peer for Answers<F> {
    fn take(&mut self, now: Duration, packet: &[u8]) -> Vec<(Duration, Vec<u8>)> {
        (self.0)(now, &tcp(packet)).into_iter().map(|p| (Duration::from_millis(20), p)).collect()
    }
}

/// A segment of the target's, with these flags.
fn from_target(flags: TcpFlags, sequence: u32, acknowledgment: u32) -> forge::Segment {
    let (local, remote) = ends(ENDS[0]);
    let segment = forge::Packet::to(local.ip()).source(remote.ip()).tcp(local.port());
    let segment = segment.source_port(remote.port()).flags(flags);
    segment.sequence(sequence).acknowledgment(acknowledgment)
}

const SYN_ACK: TcpFlags = TcpFlags(0x12);
const RST_ACK: TcpFlags = TcpFlags(0x14);

fn failure(talked: &Talked) -> (State, Option<&str>, Option<&str>) {
    let outcome = &talked.outcome;
    (outcome.state(), outcome.failure(), outcome.record().str("spdr_phase"))
}

#[test]
fn a_reset_is_a_failure_at_each_point() {
    let refused = |_: Duration, s: &Segment| {
        vec![from_target(RST_ACK, 0, s.sequence().wrapping_add(1)).bytes().unwrap()]
    };
    let (talked, _) = ask(ENDS[0], &mut Answers(refused), Duration::from_secs(5));
    assert_eq!(failure(&talked), (State::Failed, Some("refused"), Some("connect")));
    // After the handshake; in answer to the request; in the middle of the response.
    for after in 0..3 {
        let mut acknowledged = 0;
        let answers = move |_: Duration, s: &Segment| {
            let next = s.sequence().wrapping_add(s.payload().len() as u32);
            if s.has(TcpFlags::SYN) {
                return vec![from_target(SYN_ACK, 7, next.wrapping_add(1)).bytes().unwrap()];
            }
            acknowledged += 1;
            let reset = from_target(RST_ACK, 8 + u32::from(after == 2), next);
            let reset = reset.bytes().unwrap();
            match (acknowledged, s.payload().is_empty(), after) {
                (1, _, 0) | (_, false, 1) => vec![reset],
                (_, false, 2) => {
                    let data = from_target(TcpFlags::ACK, 8, next).payload(b"x");
                    vec![data.bytes().unwrap(), reset]
                }
                _ => Vec::new(),
            }
        };
        let (talked, seen) = ask(ENDS[0], &mut Answers(answers), Duration::from_secs(5));
        assert_eq!(failure(&talked), (State::Failed, Some("reset"), Some("request")), "{after}");
        assert_eq!(seen.response.len(), usize::from(after == 2));
    }
}

#[test]
fn syn_acks_that_are_repeated_are_acknowledged_again() {
    let mut acknowledged = 0;
    let answers = |now: Duration, s: &Segment| {
        let next = s.sequence().wrapping_add(1);
        acknowledged += usize::from(!s.has(TcpFlags::SYN) && s.payload().is_empty());
        if !s.has(TcpFlags::SYN) || now > Duration::ZERO {
            return Vec::new();
        }
        vec![from_target(SYN_ACK, 7, next).bytes().unwrap(); 3]
    };
    let (talked, _) = ask(ENDS[0], &mut Answers(answers), Duration::from_millis(900));
    assert_eq!(failure(&talked), (State::Timeout, Some("timeout"), Some("request")));
    assert!(acknowledged >= 2, "{acknowledged}");
}

#[test]
fn a_target_that_says_nothing_gets_syns_until_the_time_out() {
    let (talked, _) =
        ask(ENDS[0], &mut Answers(|_, _: &Segment| Vec::new()), Duration::from_secs(8));
    assert_eq!(failure(&talked), (State::Timeout, Some("timeout"), Some("connect")));
    let times: Vec<u64> = talked.sent.iter().map(|(at, _)| at.as_secs()).collect();
    assert_eq!(times, [0, 1, 3, 7]);
    let first = tcp(&talked.sent[0].1).sequence();
    assert!(talked.sent.iter().all(|(_, packet)| tcp(packet).sequence() == first));
}

#[test]
fn an_icmp_error_ends_a_handshake_and_not_a_connection_that_stands() {
    let error = |quoted: Vec<u8>| {
        let (local, _) = ends(ENDS[0]);
        let router = forge::Packet::to(local.ip()).source("203.0.113.1".parse().unwrap());
        let mut message = [&[3, 13, 0, 0, 0, 0, 0, 0], &quoted[..28]].concat();
        let sum = forge::checksum::of(&[&message]);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        router.raw(crate::packet::protocol::ICMP, &message).unwrap()
    };
    let prohibited = |_: Duration, s: &Segment| vec![error(s.clone().into_packet().unwrap())];
    let (talked, seen) = ask(ENDS[0], &mut Answers(prohibited), Duration::from_secs(5));
    assert_eq!(failure(&talked), (State::Failed, Some("admin_prohibited"), Some("connect")));
    assert_eq!(seen.errors, 1);
    let server = Arc::new(Mutex::new(server(100)));
    let both = |now: Duration, s: &Segment| {
        let packet = s.clone().into_packet().unwrap();
        let error = (!s.payload().is_empty()).then(|| error(packet.clone()));
        let answers = server.lock().unwrap().take(now, &packet);
        error.into_iter().chain(answers.into_iter().map(|(_, packet)| packet)).collect()
    };
    let (talked, seen) = ask(ENDS[0], &mut Answers(both), Duration::from_secs(5));
    assert_eq!((talked.outcome.state(), seen.response.len()), (State::Ok, 100));
    assert_eq!(seen.errors, 1);
}

#[test]
fn a_target_that_never_closes_is_waited_for_no_longer_than_a_second() {
    struct Greets;
    impl TcpExchange for Greets {}
    let answers = |_: Duration, s: &Segment| {
        let length = u32::from(s.has(TcpFlags::SYN)) + u32::from(s.has(TcpFlags::FIN));
        let next = s.sequence().wrapping_add(length);
        match (s.has(TcpFlags::SYN), s.has(TcpFlags::FIN)) {
            (true, _) => vec![from_target(SYN_ACK, 7, next).bytes().unwrap()],
            (_, true) => vec![from_target(TcpFlags::ACK, 8, next).bytes().unwrap()],
            _ => Vec::new(),
        }
    };
    let mut connect = Connect::conversation(TcpClient::new(Greets));
    let talked = converse(&mut connect, ends(ENDS[0]), &mut Answers(answers)).unwrap();
    assert_eq!((talked.ending, talked.outcome.state()), (Ending::Done, State::Ok));
    assert!((1_000..1_200).contains(&talked.ended.as_millis()), "{:?}", talked.ended);
}

#[test]
fn an_edit_that_does_not_fit_ends_the_conversation_with_the_reason() {
    struct Swells;
    impl TcpExchange for Swells {
        fn outgoing(&mut self, segment: &mut Segment) {
            segment.add_option(253, &[0; 38]);
        }
    }
    let mut connect = Connect::conversation(TcpClient::new(Swells));
    let error = converse(&mut connect, ends(ENDS[0]), &mut Answers(|_, _: &Segment| Vec::new()));
    assert!(error.unwrap_err().message().contains("octets of TCP options"));
}

#[test]
fn a_client_may_be_sent_to_another_thread() {
    fn is_send<T: Send>(_: T) {}
    is_send(TcpClient::new(Asks(Arc::default())));
}

#[test]
fn a_packet_can_be_left_out_doubled_and_broken_where_it_leaves() {
    /// Loses its first SYN, sends the request twice, and breaks the checksum of its end.
    #[derive(Default)]
    struct Odd {
        lost: bool,
    }
    impl TcpExchange for Odd {
        fn opened(&mut self, stream: &mut Stream<'_>) -> Result<()> {
            stream.write(REQUEST);
            Ok(())
        }

        /// The server ends the connection, so its end is acknowledged whatever becomes of ours.
        fn received(&mut self, stream: &mut Stream<'_>) -> Result<()> {
            stream.read();
            Ok(())
        }

        fn leaving(&mut self, mut packet: Vec<u8>, turn: &mut Turn<'_>) {
            let segment = tcp(&packet);
            if segment.has(TcpFlags::SYN) && !std::mem::replace(&mut self.lost, true) {
                return;
            }
            if !segment.payload().is_empty() {
                turn.send(packet.clone());
            }
            if segment.has(TcpFlags::FIN) {
                packet[36] ^= 0xff;
            }
            turn.send(packet);
        }
    }
    let mut connect = Connect::conversation(TcpClient::new(Odd::default()));
    let talked = converse(&mut connect, ends(ENDS[0]), &mut server(100)).unwrap();
    assert_eq!(talked.outcome.state(), State::Ok);
    assert_eq!(talked.sent[0].0, Duration::from_secs(1), "the first SYN did not leave");
    let count = |what: fn(&Segment) -> bool| {
        talked.sent.iter().filter(|(_, packet)| what(&tcp(packet))).count()
    };
    assert_eq!(count(|s| s.has(TcpFlags::SYN)), 1);
    assert_eq!(count(|s| !s.payload().is_empty()), 2);
    let is_wrong = |packet: &Vec<u8>| tcp(packet).into_packet().unwrap() != *packet;
    let ends = talked.sent.iter().filter(|(_, packet)| tcp(packet).has(TcpFlags::FIN));
    assert!(ends.map(|(_, packet)| is_wrong(packet)).eq([true]));
}

#[test]
fn the_wire_has_both_ways_in_their_order() {
    let (talked, _) = ask(ENDS[1], &mut server(100), Duration::from_secs(5));
    let flags = |(_, packet): &(Duration, Vec<u8>)| {
        let packet = crate::testing::packet(packet).unwrap();
        (packet.ip().source(), packet.tcp().unwrap().flags())
    };
    let (local, remote) = ends(ENDS[1]);
    let wire: Vec<_> = talked.wire.iter().take(3).map(flags).collect();
    let expected =
        [(local.ip(), TcpFlags::SYN), (remote.ip(), SYN_ACK), (local.ip(), TcpFlags::ACK)];
    assert_eq!(wire, expected);
    let ours = talked.wire.iter().filter(|packet| flags(packet).0 == local.ip());
    assert!(ours.eq(&talked.sent));
    assert!(talked.wire.is_sorted_by_key(|(at, _)| *at));
}
