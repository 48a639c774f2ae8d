//! pathspider's host: finds plugins, runs their measurements, observes, and writes what was found.

pub mod chains;
pub mod observer;
