//! What reading ten million targets takes, in time and memory:
//! `cargo test --release -p pathspider --test main -- feeding --ignored --nocapture --test-threads=1`.
//! The figures stand in `docs/performance.md`.

// Helpers of tests are tests too: a failure is a panic.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Instant;

use pathspider::job::{Blocklist, Courtesy, Feeding, Format, Input, JobReader, Rules, feed};
use pathspider_runtime::stop::Stop;
use pathspider_runtime::threads::SingleThread;

const LINES: u64 = 10_000_000;

/// Different numbers that look random (the finaliser of SplitMix64, which is a bijection).
fn scramble(n: u64) -> u64 {
    let n = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ n >> 31
}

/// A bijection of 32 bits.
fn scramble32(n: u64) -> u32 {
    (n as u32).wrapping_mul(0x9e37_79b1).swap_bytes().wrapping_mul(0x85eb_ca6b)
}

fn memory(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Seconds of processor time of this process.
fn processor_time() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    // utime and stime, in hundredths (proc_pid_stat(5)).
    [11, 12].iter().map(|&at| fields[at].parse::<f64>().unwrap()).sum::<f64>() / 100.0
}

/// Feeds the lines that `line` makes through a file, and tells what it took.
fn measure(what: &str, rules: Rules, names: bool, line: fn(u64, &mut String)) {
    let path = std::env::temp_dir().join(format!("pathspider-feeding-{}", std::process::id()));
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
    let mut text = String::new();
    for n in 0..LINES {
        text.clear();
        line(n, &mut text);
        file.write_all(text.as_bytes()).unwrap();
    }
    file.into_inner().unwrap();
    let reader = JobReader::open(&Input::File(path.clone()), Format::Either).unwrap();
    let (jobs, mut inbox) = tokio::sync::mpsc::channel(4096);
    let (places, freed) = crossbeam::channel::bounded(8192);
    let feeding = Feeding { rules, names, port: 80, interface: None, done: None, standings: None };
    // Forgets the peak of what was before (proc_pid_clear_refs(5)).
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let (before, begun, worked) = (memory("VmRSS"), Instant::now(), processor_time());
    let threads = SingleThread::at_start().end();
    let (fed, feeder) = feed(threads, reader, feeding, (jobs, places), Stop::new()).unwrap();
    let mut count = 0u64;
    while inbox.blocking_recv().is_some() {
        freed.recv().unwrap();
        count += 1;
    }
    let (took, peak) = (begun.elapsed(), memory("VmHWM").saturating_sub(before));
    let worked = processor_time() - worked;
    feeder.join().unwrap().unwrap();
    let _ = std::fs::remove_file(path);
    assert_eq!((count, fed.counts().bad_lines, fed.counts().duplicates), (LINES, 0, 0));
    eprintln!(
        "{what}: {:.0} lines/s, {:.2} µs of processor time a line, {:.1} octets a target at the most",
        LINES as f64 / took.as_secs_f64(),
        worked * 1e6 / LINES as f64,
        peak as f64 / LINES as f64
    );
}

fn rules(duplicates: bool, shuffle: Option<u64>) -> Rules {
    let courtesy = Arc::new(Courtesy::new(Blocklist::default(), true));
    Rules { duplicates, shuffle, courtesy, ..Rules::default() }
}

fn ipv4(n: u64, text: &mut String) {
    let address = Ipv4Addr::from_bits(scramble32(n));
    writeln!(text, "{{\"dip\":\"{address}\",\"dp\":80,\"rank\":{n}}}").unwrap();
}

fn ipv6(n: u64, text: &mut String) {
    let address = Ipv6Addr::from_bits(u128::from(scramble(n)) << 64 | u128::from(scramble(!n)));
    writeln!(text, "{{\"dip\":\"{address}\",\"dp\":80,\"rank\":{n}}}").unwrap();
}

#[test]
#[ignore = "a measurement of ten million lines"]
fn ipv4_without_filter() {
    measure("IPv4, --duplicates", rules(true, None), false, ipv4);
}

#[test]
#[ignore = "a measurement of ten million lines"]
fn ipv4_with_filter() {
    measure("IPv4", rules(false, None), false, ipv4);
}

#[test]
#[ignore = "a measurement of ten million lines"]
fn ipv4_in_csv() {
    measure("IPv4 in CSV", rules(false, None), false, |n, text| {
        let address = Ipv4Addr::from_bits(scramble32(n));
        writeln!(text, "{address},80,www.example.org,{n}").unwrap();
    });
}

#[test]
#[ignore = "a measurement of ten million lines"]
fn ipv6_with_filter() {
    measure("IPv6", rules(false, None), false, ipv6);
}

#[test]
#[ignore = "a measurement of ten million lines"]
fn names_with_filter() {
    measure("names", rules(false, None), true, |n, text| {
        writeln!(text, "{n},www.{:x}.example", scramble32(n)).unwrap();
    });
}

#[test]
#[ignore = "a measurement of ten million lines"]
fn ipv4_shuffled() {
    measure("IPv4, --shuffle", rules(false, Some(1)), false, ipv4);
}
