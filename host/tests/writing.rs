//! What writing records takes of the processor, beside making their text:
//! `cargo test --release -p pathspider --test main -- writing --ignored --nocapture`.
//! The figures stand in `docs/performance.md`.

// Helpers of tests are tests too: a failure is a panic.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pathspider::output::{Output, RecordWriter};
use pathspider_plugin_api::{Record, Value};
use pathspider_runtime::files::Existing;

/// As many as a run writes in this many seconds, at full speed.
const RATE: u64 = 8_000;
const SECONDS: u64 = 5;

/// How often a run writes when it is busy (`WAIT` of the merger).
const FLUSHES: u64 = 100;

/// Seconds of processor time of this process's threads, and of the kernel on their behalf.
fn processor_time() -> f64 {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let nanoseconds = threads.map(|thread| {
        let times = std::fs::read_to_string(thread.unwrap().path().join("schedstat")).unwrap();
        times.split_whitespace().next().unwrap().parse::<f64>().unwrap()
    });
    nanoseconds.sum::<f64>() / 1e9
}

/// A record as `ecn` writes it.
fn record(n: u64) -> Record {
    let conditions = [
        "ecn.connectivity.works",
        "ecn.negotiation.succeeded",
        "ecn.ipmark.ect0.seen",
        "ecn.ipmark.ect1.not_seen",
        "ecn.ipmark.ce.not_seen",
    ];
    let address = std::net::Ipv4Addr::from_bits((n as u32).wrapping_mul(0x9e37_79b1)).to_string();
    let path: Value = ["198.51.100.7", "*", &address].into_iter().map(Value::from).collect();
    let time = Record::new()
        .with("from", "2026-11-22T02:00:17.618374Z")
        .with("to", "2026-11-22T02:00:17.621025Z");
    Record::new()
        .with("domain", format!("www.{n:x}.example"))
        .with("dip", address)
        .with("dp", 80u16)
        .with("sip", "198.51.100.7")
        .with("path", path)
        .with("conditions", conditions.into_iter().map(Value::from).collect::<Value>())
        .with("time", time)
        .with("jobId", format!("18fc037e40bc04d8-{n}"))
}

/// Microseconds of processor time for each record, when this many flushes come a second. It runs in real
/// time, so that the disk is synced as often as in a run.
fn measure(path: &Path, flushes: Option<u64>) -> f64 {
    let mut writer =
        RecordWriter::open(Output::File(path.to_owned()), Existing::Overwrite, &|| false).unwrap();
    let each = flushes.map_or(u64::MAX, |flushes| RATE / flushes);
    let (began, before) = (Instant::now(), processor_time());
    for n in 0..RATE * SECONDS {
        writer.write(&record(n)).unwrap();
        if n % each == each - 1 {
            writer.flush().unwrap();
        }
        if n % 80 == 79 {
            let due = Duration::from_micros((n + 1) * 1_000_000 / RATE);
            std::thread::sleep(due.saturating_sub(began.elapsed()));
        }
    }
    let worked = processor_time() - before;
    writer.finish().unwrap();
    worked * 1e6 / (RATE * SECONDS) as f64
}

#[test]
#[ignore = "a measurement of minutes"]
fn writing_records() {
    // On a disk, and not in memory: syncing is part of the cost.
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let file = |name: &str| folder.join(format!("writing-{}{name}", std::process::id()));
    let ways = [
        ("made, and written to /dev/null when 64 KiB are full", "/dev/null".into(), None),
        ("to a file, when 64 KiB are full", file("-full.ndjson"), None),
        ("to a file, a hundred times a second", file(".ndjson"), Some(FLUSHES)),
        ("to a file, each by itself", file("-each.ndjson"), Some(RATE)),
        ("in frames, zstd", file(".ndjson.zst"), Some(FLUSHES)),
        ("in frames, gzip", file(".ndjson.gz"), Some(FLUSHES)),
    ];
    for (what, path, flushes) in ways {
        let mut rounds: Vec<f64> = (0..3).map(|_| measure(&path, flushes)).collect();
        rounds.sort_by(f64::total_cmp);
        let size = path.metadata().unwrap().len();
        eprintln!("{what}: {:.2} µs a record {rounds:.2?}, {size} octets", rounds[1]);
        if path != Path::new("/dev/null") {
            std::fs::remove_file(path).unwrap();
        }
    }
}
