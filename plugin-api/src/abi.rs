//! The boundary between host and plugin, in C's terms. Authors never touch it.
//!
//! Nothing outside this folder names `abi_stable`, so it can be replaced.
//!
//! # What crosses
//!
//! - **Tables of functions** (`tables`): prefix types, which grow at the end only.
//! - **Records** (`data`), by value: self-describing, so a new setting of `Connect`, a new key of
//!   an outcome or of a description changes no layout.
//! - **Attempts, flows, jobs and packets**, by reference for the length of one call (`lent`): their
//!   structs grow at the end only. A plugin built against an older minor version sees the fields it
//!   knows.
//! - **Conversations** (`talking`): an object and its table, beside the record of their connection.
//! - **Objects** (`object`): a pointer that only its owner looks behind, with the function that
//!   frees it.
//!
//! # Rules
//!
//! Every function that the plugin gives is wrapped by `guard`: a panic becomes a failure with its
//! message. Whoever allocates frees. Libraries are never unloaded. The version is in the
//! descriptor, which is read before anything else is trusted.

// What `StableAbi` derives is public in name, so its fields' types must be too.
#![allow(unreachable_pub)]

pub(crate) mod data;
mod describe;
mod descriptor;
mod export;
mod flows;
mod guard;
#[cfg(test)]
mod layout;
pub(crate) mod lent;
mod loaded;
pub(crate) mod object;
mod running;
pub(crate) mod services;
pub(crate) mod slots;
mod system;
mod tables;
mod talking;

pub use describe::{
    chain_from_record, chain_to_record, measurement_from_record, measurement_to_record,
};
pub use descriptor::{ABI_VERSION, AbiVersion, DESCRIPTOR_SYMBOL, Descriptor, Refusal};
pub use export::{Exports, NUMBERED, Numbered, chain, measurement, numbered};
pub use flows::{ChainSet, FlowState};
#[cfg(test)]
pub(crate) use layout::{Fields, pinned_fields, type_of};
pub use loaded::{ChainHandle, LoadedPlugin, MeasurementHandle, MeasurementObject, PreparedHandle};
pub use running::{Function, Origin, Running, Shown, running, show};
pub use services::{Caller, set_caller, set_log};
pub use slots::Slots;
pub use tables::{ChainRef, MeasurementRef};
pub(crate) use talking::Talking;
pub use talking::{Asked, ConversationHandle};
