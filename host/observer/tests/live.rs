//! The observer's thread on the loopback interface, beside real connections.
//!
//! It takes the right to capture; without it, the tests say that they were skipped.

#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crossbeam::channel::{Receiver, Sender, bounded, unbounded};
use pathspider_observer::chains::Catalogue;
use pathspider_observer::{
    Claim, Endpoint, Notice, Observation, Settings, SourceError, SourceOptions, Watch, open, watch,
};
use pathspider_plugin_api::ChainName;

use crate::wire::connection;

const TCP: u8 = 6;

struct Run {
    watch: Watch,
    notices: Sender<Notice>,
    observations: Receiver<Observation>,
}

fn start(settings: Settings) -> Option<Run> {
    let source = match open("int:lo", &SourceOptions::default()) {
        Err(error @ SourceError::NoPrivilege { .. }) => {
            eprintln!("skipped: {error}");
            return None;
        }
        source => source.unwrap(),
    };
    let names = ChainName::list(["basic", "tcp", "syn"]);
    let chains = Catalogue::library().resolve(&names).unwrap().chains;
    let (notices, theirs) = unbounded();
    let (sender, observations) = bounded(16);
    let watch = watch(source, chains, settings, theirs, sender, || {}).unwrap();
    Some(Run { watch, notices, observations })
}

fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_nanos().try_into().unwrap()
}

fn expect(run: &Run, remote: SocketAddr) {
    let endpoint = Endpoint { protocol: TCP, address: remote.ip(), port: remote.port() };
    run.notices.send(Notice::Expect(endpoint)).unwrap();
}

fn claim(run: &Run, number: u64, local: SocketAddr, remote: SocketAddr, started_ns: i64) {
    let (id, ended_ns) = (connection(number), now_ns());
    let claim = Claim { id, protocol: TCP, local, remote, started_ns, ended_ns, last_ns: None };
    run.notices.send(Notice::Claim(claim)).unwrap();
}

#[test]
fn every_connection_is_answered_with_its_flow() {
    const COUNT: u64 = 2_000;
    let Some(run) = start(Settings::default()) else {
        return;
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let remote = listener.local_addr().unwrap();
    std::thread::spawn(move || listener.incoming().for_each(drop));
    let observations = run.observations.clone();
    let collector = std::thread::spawn(move || {
        let answers: Vec<Observation> = observations.iter().collect();
        answers
    });
    let mut ports = Vec::new();
    for number in 0..COUNT {
        expect(&run, remote);
        let started_ns = now_ns();
        let stream = TcpStream::connect(remote).unwrap();
        let local = stream.local_addr().unwrap();
        ports.push(local.port());
        drop(stream);
        claim(&run, number, local, remote, started_ns);
    }
    drop(run.notices);
    drop(run.observations);
    let (counters, result) = run.watch.join().unwrap();
    assert_eq!(result, Ok(()));
    let answers = collector.join().unwrap();
    assert_eq!(answers.len() as u64, COUNT, "{counters}");
    for answer in answers {
        let record = answer.flow.unwrap_or_else(|| panic!("no flow: {counters}")).into_record();
        assert_eq!(record.u64("sp"), Some(ports[answer.id.job().number() as usize].into()));
        assert_eq!(record.u64("dp"), Some(remote.port().into()));
        // More than one where the listener was too slow for the first.
        assert!(record.u64("syn_count_fwd") >= Some(1));
        assert_eq!(record.bool("tcp_connected"), Some(true), "{record:?}");
    }
    assert_eq!(counters.kernel_dropped, 0);
}

#[test]
fn a_connection_that_sent_nothing_is_answered_without_flow() {
    let Some(run) = start(Settings::default()) else {
        return;
    };
    let remote: SocketAddr = "127.0.0.1:9".parse().unwrap();
    let local: SocketAddr = "127.0.0.1:1".parse().unwrap();
    expect(&run, remote);
    let begun = std::time::Instant::now();
    claim(&run, 7, local, remote, now_ns());
    let answer = run.observations.recv_timeout(Duration::from_secs(5)).unwrap();
    assert_eq!(answer.id, connection(7));
    assert!(answer.flow.is_none());
    assert!(begun.elapsed() >= Settings::default().grace);
    drop(run.notices);
    assert_eq!(run.watch.join().unwrap().1, Ok(()));
}

#[test]
fn in_a_hurry_nothing_is_waited_for() {
    let settings = Settings { grace: Duration::from_secs(3600), ..Settings::default() };
    let Some(run) = start(settings) else {
        return;
    };
    let remote: SocketAddr = "127.0.0.1:9".parse().unwrap();
    expect(&run, remote);
    claim(&run, 1, "127.0.0.1:2".parse().unwrap(), remote, now_ns());
    run.watch.hurry();
    let answer = run.observations.recv_timeout(Duration::from_secs(5)).unwrap();
    assert!(answer.flow.is_none());
    drop(run.notices);
    assert_eq!(run.watch.join().unwrap().1, Ok(()));
}

#[test]
fn in_a_hurry_packets_of_the_connections_time_still_count() {
    let settings = Settings { grace: Duration::from_secs(3600), ..Settings::default() };
    let Some(run) = start(settings) else {
        return;
    };
    run.watch.hurry();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let remote = listener.local_addr().unwrap();
    std::thread::spawn(move || listener.incoming().for_each(drop));
    for number in 0..20 {
        expect(&run, remote);
        let started_ns = now_ns();
        let stream = TcpStream::connect(remote).unwrap();
        let local = stream.local_addr().unwrap();
        // The claim is there before the capture gives the packets.
        claim(&run, number, local, remote, started_ns);
        let answer = run.observations.recv_timeout(Duration::from_secs(5)).unwrap();
        assert!(answer.flow.is_some(), "{number}");
    }
    drop(run.notices);
    assert_eq!(run.watch.join().unwrap().1, Ok(()));
}

#[test]
fn interfaces_that_cannot_be_captured_on_are_explained() {
    let error = open("int:nonesuch0", &SourceOptions::default()).err().unwrap();
    let SourceError::NoInterface { name, available } = &error else {
        panic!("{error}");
    };
    assert_eq!(name, "nonesuch0");
    assert!(available.contains(&"lo".to_owned()));
}
