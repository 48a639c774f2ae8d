//! Makes a pathspider plugin of a measurement in C: `sdk-template/c/pathspider_plugin.h` says what the C
//! file defines, and this library exports the contract for it.
//!
//! - `declared`: what the C file says of itself, read from its structs
//! - `measurement`, `chain`: the contract's traits, by calls into the C file
//! - `functions`: what the C file may call
//! - `lent`: what is behind the pointers that it gets
//! - `failure`: why a function of it failed
//!
//! What the C file promises is in the header; this library believes it. A crash in it is a crash of the
//! plugin.

// Every file here speaks with C.
#![allow(unsafe_code)]
// The header declares them.
#![allow(missing_docs)]

mod chain;
mod declared;
mod failure;
mod functions;
mod lent;
mod measurement;

use pathspider_plugin_api::abi::{self, ChainRef, Descriptor, Exports, MeasurementRef, Numbered};

use chain::Own;
use measurement::Foreign;

struct Plugin;

impl Numbered for Plugin {
    type Chain<const N: usize> = Own<N>;
}

impl Exports for Plugin {
    const MEASUREMENTS: &'static [MeasurementRef] = &[abi::measurement::<Foreign>()];
    const CHAINS: &'static [ChainRef] = &abi::numbered::<Plugin>();

    fn chains() -> &'static [ChainRef] {
        let count = declared::plugin().map_or(0, |plugin| plugin.chains().len());
        &Self::CHAINS[..count.min(Self::CHAINS.len())]
    }
}

/// One per library, of that name by the contract; the host reads it as plain C.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
static pathspider_plugin_descriptor: Descriptor = Descriptor::new::<Plugin>();
