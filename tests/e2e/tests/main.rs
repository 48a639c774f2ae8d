//! End-to-end tests of the program, by subject:
//!
//! - `measure`: what it concludes and writes
//! - `measurements`: what each leaves of the machine, and what proves nothing
//! - `stopping`: signals, and what is left afterwards
//! - `restoring`: the system's settings after crashes and kills
//! - `bad_input`: what it says, and its exit status
//! - `inputs`: formats, names, duplicates, courtesy, order and limits
//! - `observe`: sources, chains from plugins, signals
//! - `forms`: command lines of every generation, help
//! - `filter`: picking and counting records
//! - `plugins`: finding them, refusing them, surviving them

// Helpers of tests are tests too: a failure is a panic.
#![allow(clippy::unwrap_used)]

mod bad_input;
mod filter;
mod forms;
mod inputs;
mod measure;
mod measurements;
mod observe;
mod plugins;
mod progress;
mod restoring;
mod stopping;
