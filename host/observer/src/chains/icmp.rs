//! `icmp`: what the network says of a flow, and what it shows of our packets.

use pathspider_plugin_api::chains::icmp::{self, IcmpError};
use pathspider_plugin_api::packet::{Icmp, Layers, Packet};
use pathspider_plugin_api::{Chain, ChainInfo, Fields, Value, Verdict};

use super::side::side;

/// Destination unreachable, in RFC 792 and in RFC 4443, section 3.1.
const UNREACHABLE_V4: u8 = 3;
const UNREACHABLE_V6: u8 = 1;

/// Errors of a flow that are kept.
const KEPT: usize = 8;

/// The chain `icmp`. A flow is complete when its target is unreachable.
#[derive(Default)]
pub struct IcmpChain;

/// What `icmp` remembers of a flow.
#[derive(Default)]
pub struct Flow {
    unreachable: bool,
    /// Allocated with the first error only.
    errors: Vec<IcmpError>,
}

impl Chain for IcmpChain {
    type Flow = Flow;
    const LAYERS: Layers = Layers::ICMP;

    fn info() -> ChainInfo {
        icmp::CHAIN.into()
    }

    fn new_flow(&self, _: &Packet<'_>) -> Option<Flow> {
        Some(Flow::default())
    }

    fn icmp4(&self, flow: &mut Flow, icmp: &Icmp<'_>, packet: &Packet<'_>) -> Verdict {
        flow.note(icmp, icmp.kind() == UNREACHABLE_V4, packet)
    }

    fn icmp6(&self, flow: &mut Flow, icmp: &Icmp<'_>, packet: &Packet<'_>) -> Verdict {
        flow.note(icmp, icmp.kind() == UNREACHABLE_V6, packet)
    }

    fn finish(&self, flow: Flow, fields: &mut Fields<'_>) {
        fields.set(icmp::UNREACHABLE, flow.unreachable);
        let errors: Vec<Value> = flow.errors.into_iter().map(Value::from).collect();
        fields.set(icmp::ERRORS, (!errors.is_empty()).then_some(errors));
    }
}

impl Flow {
    fn note(&mut self, icmp: &Icmp<'_>, is_unreachable: bool, packet: &Packet<'_>) -> Verdict {
        if icmp.is_error() && side(packet) == 1 {
            self.unreachable |= is_unreachable;
            self.keep(IcmpError::of(icmp, packet.ip()));
        }
        Verdict::done_if(self.unreachable)
    }

    fn keep(&mut self, mut error: IcmpError) {
        for kept in &mut self.errors {
            error.count = kept.count;
            if *kept == error {
                kept.count = kept.count.saturating_add(1);
                return;
            }
        }
        if self.errors.len() < KEPT {
            error.count = 1;
            self.errors.push(error);
        }
    }
}
