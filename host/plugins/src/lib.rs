//! Finds plugins, judges and examines their files, and loads what is used.
//!
//! A file passes through, in this order: `search` (which folders), `trust` (whose file it is),
//! `cache` (whether it is known), `examine` with `elf` and `child` (what it exports, found out in
//! a process of its own), `registry` (which of a name counts), `file` and `load` (into this
//! process, when it is used). `tasks` is what such a process does. `check` applies the contract's
//! `rules` to one file. `asked` reads what a plugin asks of a connection, for it and for the engine.

// Standard error may be gone, and `eprintln!` panics then: see `pathspider_runtime::say`.
#![warn(clippy::print_stderr)]

pub mod asked;
mod cache;
pub mod check;
mod child;
pub mod conditions;
mod elf;
mod error;
mod examine;
mod file;
mod load;
pub mod options;
mod registry;
mod search;
pub mod tasks;
mod text;
mod trust;

pub use error::LoadError;
pub use file::PluginFile;
pub use pathspider_plugin_api::rules;
pub use registry::{Found, Loaded, Plugin, Registry, Rejected, Shadowed};
pub use search::{SearchPath, candidates};
pub use trust::Trust;
