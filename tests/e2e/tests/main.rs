//! End-to-end tests of the program, by subject:
//!
//! - `measure`: what it concludes and writes
//! - `stopping`: signals, and what is left afterwards
//! - `restoring`: the system's settings after crashes and kills
//! - `bad_input`: what it says, and its exit status
//! - `observe`: sources, chains from plugins, signals
//! - `discovery`: finding plugins among files of every kind
//! - `trust`: whose plugins a privileged program takes
//! - `check`: the rules of the contract
//! - `plugins`: running them, and surviving what they do

// Helpers of tests are tests too: a failure is a panic.
#![allow(clippy::unwrap_used)]

mod bad_input;
mod check;
mod discovery;
mod measure;
mod observe;
mod plugins;
mod progress;
mod restoring;
mod stopping;
mod trust;
