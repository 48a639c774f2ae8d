//! Campaigns: `pathspider campaign`.
//!
//! A program of its own without privileges. `campaign` is what a campaign's file says, `course` what is
//! measured next, `folder` what a campaign's folder has, and `measuring` runs `pathspider measure` as a
//! child. `cli` is the front.

// Standard error may be gone, and `eprintln!` panics then: see `pathspider_runtime::say`.
#![warn(clippy::print_stderr)]

mod campaign;
pub mod cli;
mod course;
mod exit;
mod folder;
mod forecast;
mod inspection;
mod measuring;
mod metrics;
mod program;
mod running;
mod stopping;
mod targets;
