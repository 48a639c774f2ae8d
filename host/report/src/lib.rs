//! From records to answers: `pathspider report`, `diff` and `export`.
//!
//! A program of its own without privileges: `gather` reads records and counts what they have in
//! common, `figures` and `compare` make numbers of that, `show` writes them for people. `export` makes
//! tables of records for other programs. `cli` is the front.

// Standard error may be gone, and `eprintln!` panics then: see `pathspider_runtime::say`.
#![warn(clippy::print_stderr)]

pub mod cli;
mod compare;
mod export;
mod figures;
mod gather;
mod json;
mod parse;
mod show;
mod statistics;
mod threshold;
