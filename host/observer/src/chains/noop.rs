//! `noop`: sees flows begin and end, and says nothing.

use pathspider_plugin_api::chains::noop;
use pathspider_plugin_api::packet::{Layers, Packet};
use pathspider_plugin_api::{Chain, ChainInfo, Fields};

/// The chain `noop`.
#[derive(Default)]
pub struct Noop;

impl Chain for Noop {
    type Flow = ();
    const LAYERS: Layers = Layers::NONE;

    fn info() -> ChainInfo {
        noop::CHAIN.into()
    }

    fn new_flow(&self, _: &Packet<'_>) -> Option<()> {
        Some(())
    }

    fn finish(&self, (): (), _: &mut Fields<'_>) {}
}
