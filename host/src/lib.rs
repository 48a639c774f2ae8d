//! pathspider's host: runs a plugin's measurement, and writes what was found.
//!
//! The modules are the stages of a run, in the order in which a job passes through them: `job` →
//! `engine` → `merger` → `output`. `run` joins them, `locating` and `forward` stand beside `merger`,
//! `rejudge` concludes again without them, and `cli` is the front. What they stand on are
//! crates of their own, in folders beside this one: `observer` (packets and chains), `plugins`
//! (finding and loading), `system` (changes to the machine) and `runtime` (the process itself).

// Standard error may be gone, and `eprintln!` panics then: see `pathspider_runtime::say`.
#![warn(clippy::print_stderr)]

pub mod cli;
pub mod engine;
pub mod forward;
pub mod job;
pub mod locating;
pub mod merger;
pub mod output;
mod probe;
pub mod progress;
mod rejudge;
pub mod rounds;
mod route;
pub mod run;
mod trace;
