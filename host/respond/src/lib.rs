//! The far end of a path, where one owns it: `pathspider respond`.
//!
//! A program of its own, which captures what comes in and answers, to whoever has its key, which packets of a
//! flow came. `noted` keeps packets, `desk` decides whether a question is answered, with what `limit` and
//! `seen` know of earlier ones, and `serve` has the sockets, the capture and the clock. `cli` is the front.

// Standard error may be gone, and `eprintln!` panics then: see `pathspider_runtime::say`.
#![warn(clippy::print_stderr)]

pub mod cli;
mod desk;
mod limit;
mod noted;
mod seen;
mod serve;

/// A moment, as the time since any other one.
type Time = std::time::Duration;
