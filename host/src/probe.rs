//! `probe`: every measurement that applies to a few targets, on one page for people.
//!
//! Here is what is asked ([`hosts`], [`plan`]) and what is made of the records ([`page`], [`finding`]).
//! Nothing here starts a run: `cli/probe.rs` does.

mod finding;
mod hosts;
mod page;
mod plan;
mod show;

pub(crate) use hosts::Host;
pub(crate) use page::Page;
pub(crate) use plan::{Task, plan};
pub(crate) use show::{json, text};
