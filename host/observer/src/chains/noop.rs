//! `noop`: sees flows begin and end, and says nothing.

use pathspider_plugin_api::packet::{Layers, Packet};
use pathspider_plugin_api::{Chain, ChainInfo, FlowRecord};

/// The chain `noop`.
#[derive(Default)]
pub struct Noop;

impl Chain for Noop {
    type Flow = ();
    const LAYERS: Layers = Layers::NONE;

    fn info() -> ChainInfo {
        ChainInfo::new("noop", "nothing: flows with their times only")
    }

    fn new_flow(&self, _: &Packet<'_>) -> Option<()> {
        Some(())
    }

    fn finish(&self, (): (), _: &mut FlowRecord) {}
}
