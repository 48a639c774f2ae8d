//! End-to-end tests of the program, by subject:
//!
//! - `measure`: what it concludes and writes
//! - `measurements`: what each leaves of the machine, and what proves nothing
//! - `stopping`: signals, and what is left afterwards
//! - `keeping`: outputs, metadata, and runs that go on after others
//! - `privileges`: without root
//! - `faults`: what happens on the way
//! - `restoring`: the system's settings after crashes and kills
//! - `soak`: a long run with faults at random; not among the ordinary tests
//! - `bad_input`: what it says, and its exit status
//! - `observe`: sources, chains from plugins, signals
//! - `forms`: command lines of every generation, help
//! - `filter`: picking and counting records
//! - `plugins`: finding them, refusing them, surviving them

// Helpers of tests are tests too: a failure is a panic.
#![allow(clippy::unwrap_used)]

mod bad_input;
mod faults;
mod filter;
mod forms;
mod keeping;
mod measure;
mod measurements;
mod observe;
mod plugins;
mod privileges;
mod progress;
mod restoring;
mod soak;
mod stopping;
