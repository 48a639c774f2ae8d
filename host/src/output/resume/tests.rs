//! Outputs torn wherever they may be, and what is left of them.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::*;
use crate::output::codec::Compression;

fn scan_path(path: &Path, done: &mut Done) -> io::Result<Good> {
    scan(&File::open(path).unwrap(), Codec::of(path), done, &|| false)
}

fn record(number: u64, row: Option<u64>) -> String {
    let row = row.map(|row| format!(".{row}")).unwrap_or_default();
    format!("{{\"dip\":\"192.0.2.{number}\",\"dp\":80,\"x\":[1],\"jobId\":\"a1-{number}{row}\"}}\n")
}

fn file(name: &str, content: &[u8]) -> PathBuf {
    let path = std::env::temp_dir().join(format!("pathspider-{}-{name}", std::process::id()));
    std::fs::write(&path, content).unwrap();
    path
}

/// How many targets a file has, and how many octets of it are good.
fn found(path: &Path) -> (u64, u64) {
    let mut done = Done::new(false, false);
    let good = scan_path(path, &mut done).unwrap();
    assert_eq!(good.length + good.torn, path.metadata().unwrap().len());
    (done.count(), good.length)
}

#[test]
fn wherever_it_is_torn_whole_jobs_are_left() {
    // The second job has two records.
    let parts = [record(0, None), record(1, Some(0)) + &record(1, Some(1)), record(2, None)];
    let text = parts.concat();
    let ends: Vec<u64> = (0..=3).map(|n| parts[..n].concat().len() as u64).collect();
    for length in 0..=text.len() {
        let path = file("torn.ndjson", &text.as_bytes()[..length]);
        let (count, good) = found(&path);
        assert_eq!(good, ends[count as usize], "cut at {length}");
        let whole = ends.iter().filter(|&&end| end <= length as u64).count() as u64 - 1;
        // The last job is not trusted where it has several records.
        let first_of_next = length as u64 == ends[2] || length < text.len() && whole == 2;
        assert_eq!(count, if first_of_next { 1 } else { whole }, "cut at {length}");
        // Zeros, as a power cut may leave them.
        let zeros = [&text.as_bytes()[..length], &[0; 64]].concat();
        assert_eq!(found(&file("torn.ndjson", &zeros)).1, good);
    }
    std::fs::remove_file(file("torn.ndjson", b"")).unwrap();
}

#[test]
fn frames_are_good_as_a_whole() {
    let gzip = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let zstd = |text: &str| zstd::bulk::compress(text.as_bytes(), 3).unwrap();
    let texts = [record(0, None), record(1, None) + &record(2, None), record(3, Some(0))];
    for (name, frames) in [
        ("frames.ndjson.gz", texts.iter().map(|text| gzip(text)).collect::<Vec<_>>()),
        ("frames.ndjson.zst", texts.iter().map(|text| zstd(text)).collect()),
    ] {
        let all = frames.concat();
        let ends: Vec<u64> = (0..=3).map(|n| frames[..n].concat().len() as u64).collect();
        for length in 0..=all.len() {
            let (count, good) = found(&file(name, &all[..length]));
            let whole = ends.iter().filter(|&&end| end <= length as u64).count() - 1;
            assert_eq!((count, good), ([0, 1, 3, 4][whole], ends[whole]), "{name} at {length}");
        }
        std::fs::remove_file(file(name, b"")).unwrap();
    }
}

#[test]
fn damage_before_whole_frames_is_refused() {
    let gzip = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let zstd = |text: &str| Compression::Zstd.encode(text.as_bytes()).unwrap();
    let texts: Vec<String> = (0..4).map(|n| record(n, None)).collect();
    for (name, frames) in [
        ("damage.ndjson.gz", texts.iter().map(|text| gzip(text)).collect::<Vec<_>>()),
        ("damage.ndjson.zst", texts.iter().map(|text| zstd(text)).collect()),
    ] {
        let all = frames.concat();
        let (second, third) = (frames[0].len(), frames[0].len() + frames[1].len());
        // A few bits of the headers say nothing; all others are known to be wrong.
        let mut refused = 0;
        for at in second..third {
            let mut octets = all.clone();
            octets[at] ^= 0x10;
            let mut done = Done::new(false, false);
            match scan_path(&file(name, &octets), &mut done) {
                Ok(good) => assert_eq!((done.count(), good.torn), (4, 0), "{name} {at}"),
                Err(error) => {
                    refused += 1;
                    assert!(error.to_string().contains("damaged at octet"), "{name} {at}");
                }
            }
        }
        assert!(refused > frames[1].len() - 10, "{name}: {refused}");
        // The same at the end is a tear.
        let mut octets = all[..third].to_vec();
        octets[third - 20] ^= 0x10;
        assert_eq!(found(&file(name, &octets)), (1, second as u64), "{name}");
        std::fs::remove_file(file(name, b"")).unwrap();
    }
}

#[test]
fn keys_of_other_kinds_are_no_damage() {
    let text = "{\"domain\":\"a.example\",\"dp\":\"53\",\"jobId\":\"a1-0\"}\n\
                {\"domain\":7,\"dip\":null,\"dp\":[],\"jobId\":\"a1-1\"}\n";
    let path = file("kinds.ndjson", text.as_bytes());
    assert_eq!(found(&path), (2, text.len() as u64));
    let mut done = Done::new(true, false);
    scan_path(&path, &mut done).unwrap();
    assert!(done.has_line(1, Some(53), Some("a.example")));
    std::fs::remove_file(path).unwrap();
}

#[test]
fn what_is_no_output_is_refused() {
    let whole = record(0, None);
    for (text, line) in [
        (whole.clone() + "nonsense\n" + &record(1, None), "line 2"),
        // A kill tears one line.
        (whole + "nonsense\nmore\n", "line 2"),
        ("dear diary\ntoday\n".to_owned(), "line 1"),
    ] {
        let path = file("foreign.ndjson", text.as_bytes());
        let error = scan_path(&path, &mut Done::new(false, false)).unwrap_err();
        assert!(error.to_string().contains(line), "{error}");
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn who_is_told_to_stop_does_not_call_it_damage() {
    let text: String = (0..3).map(|number| record(number, None)).collect();
    for name in ["stopped.ndjson", "stopped.ndjson.gz", "stopped.ndjson.zst"] {
        let codec = Codec::of(Path::new(name));
        let written = match codec {
            Codec::Plain => text.clone().into_bytes(),
            Codec::Frames(compression) => compression.encode(text.as_bytes()).unwrap(),
        };
        let path = file(name, &written);
        let opened = File::open(&path).unwrap();
        let mut done = Done::new(false, false);
        let error = scan(&opened, codec, &mut done, &|| true).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Interrupted, "{name}: {error}");
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn the_rounds_of_a_job_are_told_apart() {
    let line = |target: u64, round: u64, conditions: &str| {
        format!(
            "{{\"dip\":\"192.0.2.{target}\",\"dp\":80,\"round\":{round},\"conditions\":{conditions},\
             \"jobId\":\"a1-{target}r{round}\"}}\n"
        )
    };
    // Of the first target there are two rounds, one after the other.
    let text = [
        line(1, 0, "[\"x.works\"]"),
        line(1, 1, "[\"x.works\",\"x.stable.works\",7]"),
        line(2, 0, "null"),
        "{\"dip\":\"192.0.2.3\",\"dp\":80,\"round\":\"spring\",\"jobId\":\"a1-3\"}\n".to_owned(),
    ];
    let path = file("rounds.ndjson", text.concat().as_bytes());
    for in_rounds in [false, true] {
        let mut done = Done::new(false, false);
        if in_rounds {
            done = done.in_rounds(Vec::new());
        }
        let good = scan_path(&path, &mut done).unwrap();
        let expected = if in_rounds { 3 } else { 4 };
        assert_eq!((good.torn, done.count()), (0, expected), "a target counts once");
    }
    std::fs::remove_file(path).unwrap();
}
