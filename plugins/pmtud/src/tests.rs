//! What is sent over paths that a test plays, what is concluded from it, and how sizes are searched for.

use std::net::{IpAddr, SocketAddr};

use pathspider_plugin_api::abi::ChainHandle;
use pathspider_plugin_api::forge::{self, checksum};
use pathspider_plugin_api::packet::quic::{self, LongHeader};
use pathspider_plugin_api::testing::{self, Peer, Server, Talked, TestFlow};

use super::*;

/// A server behind a path that carries this many octets, and says so or not.
struct Path {
    server: Server,
    carries: usize,
    says: bool,
}

impl Peer for Path {
    fn take(&mut self, now: Duration, sent: &[u8]) -> Vec<(Duration, Vec<u8>)> {
        if sent.len() <= self.carries {
            return self.server.take(now, sent);
        }
        // RFC 792 and RFC 1191: from a router, with the packet's first 28 octets.
        let mut icmp = vec![3, 4, 0, 0, 0, 0];
        icmp.extend((self.carries as u16).to_be_bytes());
        icmp.extend(&sent[..28]);
        let sum = checksum::of(&[&icmp]);
        icmp[2..4].copy_from_slice(&sum.to_be_bytes());
        let to = IpAddr::from([sent[12], sent[13], sent[14], sent[15]]);
        let packet = pathspider_plugin_api::forge::Packet::to(to).source([10, 0, 0, 1].into());
        let error = (Duration::from_millis(10), packet.raw(1, &icmp).unwrap());
        self.says.then_some(error).into_iter().collect()
    }

    fn due(&mut self, now: Duration) -> Option<Duration> {
        self.server.due(now)
    }

    fn wake(&mut self, now: Duration) -> Vec<(Duration, Vec<u8>)> {
        self.server.wake(now)
    }
}

/// A server that names versions of QUIC to whoever asks, behind a path that carries this many octets;
/// before that, somebody answers another question.
struct Speaker {
    carries: usize,
}

impl Peer for Speaker {
    fn take(&mut self, _: Duration, sent: &[u8]) -> Vec<(Duration, Vec<u8>)> {
        if sent.len() > self.carries {
            return Vec::new();
        }
        let packet = testing::packet(sent).unwrap();
        let (from, to) = packet.ports().unwrap();
        let asked = LongHeader::read(packet.payload()).unwrap();
        let answer = |destination: &[u8]| {
            let list = [&quic::probe(0, destination, asked.destination(), 0)[..], &[0, 0, 0, 1]];
            let datagram =
                forge::Packet::to(packet.ip().source()).source(packet.ip().destination());
            datagram.udp(from, &list.concat()).source_port(to).bytes().unwrap()
        };
        let after = Duration::from_millis;
        vec![(after(10), answer(&[7; 8])), (after(20), answer(asked.source()))]
    }
}

#[test]
fn the_question_for_versions_takes_any_size() {
    for (local, remote, headers) in [
        ("192.0.2.1:4000", "198.51.100.7:443", 28),
        ("[2001:db8::1]:4000", "[2001:db8::7]:443", 48),
    ] {
        for (wanted, size, carries) in [
            (Wanted::Octets(1280), 1280, 1500),
            (Wanted::Mtu, 1500, 1500),
            (Wanted::Octets(1411), 1411, 1410),
        ] {
            let ends = (local.parse().unwrap(), remote.parse().unwrap());
            let asking = |size| Asking::new(Question::Versions, size);
            let mut connect = Connect::conversation(Patient::new(asking, wanted));
            let talked = testing::converse(&mut connect, ends, &mut Speaker { carries }).unwrap();
            let passes = size <= carries;
            let state = if passes { State::Ok } else { State::Timeout };
            assert_eq!(talked.outcome.state(), state, "{size}");
            let record = seen(&talked);
            assert_eq!(record.u64("pmtud_size"), Some(size as u64));
            assert_eq!(record.bool("pmtud_whole"), Some(true));
            assert_eq!(record.bool("pmtud_answered"), Some(passes));
            let (_, first) = &talked.sent[0];
            let packet = testing::packet(first).unwrap();
            assert_eq!(packet.payload().len(), size - headers);
            assert!(!passes || talked.ended >= Duration::from_millis(20), "another's answer");
        }
    }
}

fn talked(wanted: Wanted, carries: usize, says: bool) -> Talked {
    let ends: (SocketAddr, SocketAddr) =
        ("192.0.2.1:4000".parse().unwrap(), "198.51.100.7:80".parse().unwrap());
    let job = Job::new(0, ends.1.ip(), 80, Record::new());
    let request = HttpRequest::get(&job, &Host::standalone());
    let client = |size| Sending::client(request, false, size);
    let mut connect = Connect::conversation(Patient::new(client, wanted));
    let server = Server::new("HTTP/1.1 204 No Content\r\n\r\n");
    testing::converse(&mut connect, ends, &mut Path { server, carries, says }).unwrap()
}

fn seen(talked: &Talked) -> Record {
    talked.observe(ChainHandle::of::<Sizes>()).unwrap().into_record()
}

#[test]
fn one_segment_has_all_of_the_data_and_the_wanted_size() {
    for (wanted, size) in
        [(Wanted::Octets(1280), 1280), (Wanted::Mtu, 1500), (Wanted::Octets(1411), 1411)]
    {
        let talked = talked(wanted, 1500, false);
        assert_eq!(talked.outcome.state(), State::Ok, "{wanted:?}");
        let record = seen(&talked);
        assert_eq!(record.u64("pmtud_size"), Some(size));
        assert_eq!(record.bool("pmtud_whole"), Some(true));
        assert_eq!(record.bool("pmtud_answered"), Some(true));
        assert_eq!(record.get("pmtud_ptb_mtu"), Some(&Value::NULL));
    }
}

#[test]
fn what_is_too_big_ends_soon_where_somebody_says_so() {
    let told = talked(Wanted::Mtu, 1400, true);
    assert_eq!(told.outcome.failure(), Some("too_large"));
    assert!(told.ended < Duration::from_secs(3), "{:?}", told.ended);
    let record = seen(&told);
    assert_eq!(record.u64("pmtud_ptb_mtu"), Some(1400));
    assert_eq!(record.str("pmtud_ptb_from"), Some("10.0.0.1"));
    assert_eq!(record.bool("pmtud_answered"), Some(false));
    let lost = talked(Wanted::Mtu, 1400, false);
    assert_eq!(lost.outcome.state(), State::Timeout);
    assert!(seen(&lost).u64("pmtud_count") >= Some(OFTEN.into()));
}

#[test]
fn an_interface_that_takes_no_such_packet_is_not_measured() {
    for (mtu, wanted) in [(1280, Wanted::Mtu), (1000, Wanted::Octets(SMALL)), (1000, Wanted::Mtu)] {
        let reason = wanted.size(mtu).unwrap_err();
        assert!(reason.contains(&mtu.to_string()), "{reason}");
    }
    assert_eq!(Wanted::Octets(SMALL).size(1280), Ok(1280));
    assert_eq!(Wanted::Mtu.size(1400), Ok(1400));
}

/// A packet of this many octets that was sent often, and whether it was answered.
fn flow(size: u16, answered: bool) -> TestFlow {
    testing::flow(if answered { State::Ok } else { State::Timeout })
        .with(pmtud::SIZE, size)
        .with(pmtud::COUNT, 3)
        .with(pmtud::WHOLE, true)
        .with(pmtud::ANSWERED, answered)
        .with(mss::VALUE_REV, 1460u64)
}

/// What a search finds on a path that carries this many octets; the sizes that it tried.
fn searched(carries: u16, says: bool) -> (Vec<String>, Vec<u16>) {
    searched_from(1500, carries, says)
}

/// The same where the interface takes this many.
fn searched_from(interface: u16, carries: u16, says: bool) -> (Vec<String>, Vec<u16>) {
    let measurement: Pmtud = testing::with_options(Record::new().with("search", true));
    let told = |size: u16| {
        let flow = flow(size, size <= carries);
        if says && size > carries {
            let from = IpAddr::from([10, 0, 0, 1]);
            flow.with(pmtud::PTB_MTU, u32::from(carries)).with(pmtud::PTB_FROM, from)
        } else {
            flow
        }
    };
    let mut flows = vec![told(1280), told(interface)];
    let mut tried = Vec::new();
    while flows.len() < 2 + search::STEPS {
        let next = testing::with_flows(&flows, |flows| Search::of(flows.iter()).next());
        match next {
            Ok(size) => {
                tried.push(size);
                flows.push(told(size));
            }
            Err(_) => flows.push(testing::missed(State::Skipped)),
        }
    }
    (testing::conclude(&measurement, &flows), tried)
}

#[test]
fn any_size_is_found_and_what_is_told_is_tried_first() {
    for carries in 1280..1500 {
        let (found, tried) = searched(carries, false);
        let mtu = format!("pmtud.mtu:{carries}");
        assert_eq!(found[..3], ["pmtud.connectivity.broken", "pmtud.blackhole", &mtu], "{tried:?}");
        let (found, tried) = searched(carries, true);
        let received = format!("pmtud.ptb.received:{carries}");
        assert_eq!(found[..3], [&*received, "pmtud.ptb.from:10.0.0.1", &mtu]);
        assert!(tried.len() <= 1, "{carries}: {tried:?}");
    }
    for carries in (1280..9000).step_by(7).chain([1280, 1500, 8999]) {
        let (found, tried) = searched_from(9000, carries, false);
        assert_eq!(found[2], format!("pmtud.mtu:{carries}"), "{tried:?}");
    }
    assert_eq!(searched(1500, false), (vec!["pmtud.connectivity.works".to_owned()], Vec::new()));
    assert!(searched(1279, false).0.contains(&"pmtud.connectivity.offline".to_owned()));
}

#[test]
fn a_clamped_mss_is_one_that_fills_what_the_path_carries() {
    let measurement: Pmtud = testing::with_options(Record::new());
    let from = IpAddr::from([10, 0, 0, 1]);
    let told = |mss: u64| {
        let large = flow(1500, false).with(pmtud::PTB_MTU, 1280).with(pmtud::PTB_FROM, from);
        let flows = [flow(1280, true), large.with(mss::VALUE_REV, mss)];
        testing::conclude(&measurement, &flows).contains(&format!("pmtud.mss.clamped:{mss}"))
    };
    assert!(told(1240) && !told(1460));
}

#[test]
fn no_verdict_where_it_left_otherwise() {
    let measurement: Pmtud = testing::with_options(Record::new());
    let conclude = |b: TestFlow| testing::conclude(&measurement, &[flow(1280, true), b]);
    assert_eq!(conclude(flow(1280, true)), ["pathspider.not_applied:1"]);
    assert_eq!(conclude(flow(1500, true).with(pmtud::WHOLE, false)), ["pathspider.not_applied:1"]);
    assert_eq!(conclude(flow(1500, true).with(pmtud::SIZE, None)), ["pathspider.not_observed"]);
    let once = flow(1500, false).with(pmtud::COUNT, 2);
    assert_eq!(conclude(once), ["pmtud.connectivity.broken"], "that may be by chance");
}
