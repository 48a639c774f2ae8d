//! pathspider's host: finds plugins, runs their measurements, observes, and writes what was found.
//!
//! The modules are the stages of a run, in the order in which a job passes through them: `job` →
//! `engine` (with `system`) → `merger` ← `observer` (with `chains`) → `output`. `run` joins them,
//! `plugin` finds what they run, and `cli` is the front.

// Standard error may be gone, and `eprintln!` panics then: see `say`.
#![warn(clippy::print_stderr)]

pub mod chains;
pub mod cli;
mod closed;
mod crash;
mod decompress;
pub mod engine;
pub mod files;
pub mod interface;
pub mod job;
pub mod merger;
pub mod observer;
pub mod output;
pub mod plugin;
mod privileges;
mod process;
pub mod progress;
pub mod run;
mod say;
pub mod stop;
pub mod system;
mod text;
mod watchdog;
