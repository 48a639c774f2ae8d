//! Any octets as a capture file: pcap, pcapng, and what they are compressed by.
#![no_main]

#[path = "../../../host/observer/tests/fuzzing/mod.rs"]
mod fuzzing;

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzzing::capture_file(input));
