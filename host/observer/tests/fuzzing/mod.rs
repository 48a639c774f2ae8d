//! What the fuzz targets do with their input, shared with the test that replays their corpus.
#![allow(dead_code, missing_docs, unreachable_pub)]

use std::io::Cursor;
use std::time::Duration;

use pathspider_observer::chains::Catalogue;
use pathspider_observer::{Counters, Settings, Source, SourceOptions, observe};
use pathspider_plugin_api::ChainName;

/// Link types that the observer knows, and one that it does not.
const LINKS: [u32; 10] = [1, 113, 101, 0, 9, 108, 12, 276, 228, 147];

/// Reads packets from the input; see the fuzz target.
pub fn packets(input: &[u8]) {
    let Some((&link, mut rest)) = input.split_first() else {
        return;
    };
    let link = LINKS[usize::from(link) % LINKS.len()];
    let mut file = Vec::with_capacity(24 + 3 * input.len());
    file.extend([0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0]);
    file.extend(link.to_le_bytes());
    let (mut seconds, mut packets) = (1_000_000_u32, 0);
    while let Some((&[length, step, more], tail)) = rest.split_first_chunk::<3>() {
        let length = usize::from(length).min(tail.len());
        let (packet, tail) = tail.split_at(length);
        rest = tail;
        // Steps of time go up to a minute, and sometimes back.
        seconds = seconds.wrapping_add_signed(i32::from(step.cast_signed()) / 2);
        let wire = length as u32 + u32::from(more & 0x0f);
        for field in [seconds, u32::from(step), length as u32, wire] {
            file.extend(field.to_le_bytes());
        }
        file.extend(packet);
        packets += 1;
    }
    if let Some(counters) = run(file) {
        assert_eq!(counters.packets, packets);
    }
}

/// Reads the input as a capture file.
pub fn capture_file(input: &[u8]) {
    run(input.to_vec());
}

fn run(file: Vec<u8>) -> Option<Counters> {
    let names = Catalogue::library();
    let names: Vec<ChainName> =
        names.list().iter().map(|entry| ChainName::from(entry.full_name())).collect();
    let chains = Catalogue::library().resolve(&names).ok()?.chains;
    let mut source =
        Source::from_reader(Cursor::new(file), "input", &SourceOptions::default()).ok()?;
    let settings = Settings {
        idle: Duration::from_secs(30),
        linger: Duration::from_secs(5),
        max_flows: 16,
        ..Settings::default()
    };
    let mut flows = 0;
    let observed = observe(&mut source, chains, &settings, &mut |_: &_, failure: Option<_>| {
        assert!(failure.is_none());
        flows += 1;
        Ok(())
    });
    let counters = observed.counters;
    assert_eq!(counters.flows, flows);
    let used = counters.packets - counters.non_ip - counters.malformed_total() - counters.orphaned;
    assert!(counters.flows <= used);
    Some(counters)
}
