//! Any packets of any link type, through dissection, flow table and all library chains.
//!
//! The input is a link type's number, then packets: a length, a step of time, that many octets.
#![no_main]

#[path = "../../../host/observer/tests/fuzzing/mod.rs"]
mod fuzzing;

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzzing::packets(input));
