//! Campaigns: `pathspider campaign`, and `pathspider agent`.
//!
//! A program of its own without privileges. `campaign` is what a campaign's file says, `course` what is
//! measured next here, `folder` what a campaign's folder has, and `measuring` runs `pathspider measure` as a
//! child. On many vantage points, `server` is the NATS server and `wire` what it keeps; `remote` is what is
//! done with a campaign there, `agent` what measures it, and `duty` what an agent does next. `cli` is the
//! front.

// Standard error may be gone, and `eprintln!` panics then: see `pathspider_runtime::say`.
#![warn(clippy::print_stderr)]

mod agent;
mod campaign;
pub mod cli;
mod course;
mod duty;
mod exit;
mod folder;
mod forecast;
mod inspection;
mod measuring;
mod metrics;
mod program;
mod remote;
mod running;
mod server;
mod stopping;
mod targets;
mod wire;
