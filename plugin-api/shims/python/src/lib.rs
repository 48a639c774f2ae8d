//! Makes a pathspider plugin of a measurement in Python: a copy of this library, `NAME.so`, runs the
//! `NAME.py` beside it. `sdk-template/python` is the guide.
//!
//! - `source`: which file that is
//! - `python`: the interpreter, which is loaded when it is needed, and calls into it
//! - `bridge`: the plugin's functions, as records; `bridge.py` is its other end
//! - `measurement`, `chain`: the contract's traits, by calls into the plugin
//!
//! The interpreter's library is looked for by its name, so nothing of Python is needed to build this.

mod bridge;
mod chain;
mod measurement;
mod python;
mod source;

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
        // Where the file cannot be run, the measurement's description says why.
        let count = bridge::plugin().map_or(0, |plugin| plugin.chains.len());
        &Self::CHAINS[..count.min(Self::CHAINS.len())]
    }
}

/// One per library, of that name by the contract; the host reads it as plain C.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
static pathspider_plugin_descriptor: Descriptor = Descriptor::new::<Plugin>();
