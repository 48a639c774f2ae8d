//! `syn`: what every SYN of a flow carried, so that a measurement can prove what it sent.
//!
//! The kernel may repeat a SYN with other flags and options than the first (Linux's
//! `tcp_ecn_fallback`, for one). What all SYNs have in common was certainly sent; what none has
//! certainly was not.

use pathspider_plugin_api::chains::syn;
use pathspider_plugin_api::packet::{Layers, OptionKinds, Packet, Tcp, TcpFlags};
use pathspider_plugin_api::{Chain, ChainInfo, Fields, Verdict};

use super::side::{Both, side};

/// The chain `syn`.
#[derive(Default)]
pub struct Syn;

/// What `syn` remembers of one direction.
#[derive(Default)]
pub struct Side {
    count: u32,
    flags_all: TcpFlags,
    flags_any: TcpFlags,
    options_all: OptionKinds,
    options_any: OptionKinds,
}

impl Chain for Syn {
    type Flow = Both<Side>;
    const LAYERS: Layers = Layers::TCP;

    fn info() -> ChainInfo {
        syn::CHAIN.into()
    }

    fn new_flow(&self, _: &Packet<'_>) -> Option<Both<Side>> {
        Some(Default::default())
    }

    fn tcp(&self, flow: &mut Both<Side>, tcp: &Tcp<'_>, packet: &Packet<'_>) -> Verdict {
        let side = side(packet);
        // The originator's SYN/ACK answers a SYN that crossed its own: it is no repeated one. A flow
        // whose SYN nobody saw begins with a SYN/ACK, and that may be repeated.
        let opened = flow[0].seen() && !flow[0].flags_all.has(TcpFlags::ACK);
        let crossed = side == 0 && tcp.has(TcpFlags::ACK) && opened;
        if tcp.has(TcpFlags::SYN) && !crossed {
            flow[side].note(tcp);
        }
        Verdict::Continue
    }

    fn finish(&self, [forward, reverse]: Both<Side>, fields: &mut Fields<'_>) {
        fields.set(syn::COUNT_FWD, forward.count);
        fields.set(syn::COUNT_REV, reverse.count);
        fields.set(syn::FLAGS_ALL_FWD, forward.seen().then_some(forward.flags_all));
        fields.set(syn::FLAGS_ALL_REV, reverse.seen().then_some(reverse.flags_all));
        fields.set(syn::FLAGS_ANY_FWD, forward.seen().then_some(forward.flags_any));
        fields.set(syn::FLAGS_ANY_REV, reverse.seen().then_some(reverse.flags_any));
        fields.set(syn::OPTIONS_ALL_FWD, forward.seen().then_some(forward.options_all));
        fields.set(syn::OPTIONS_ALL_REV, reverse.seen().then_some(reverse.options_all));
        fields.set(syn::OPTIONS_ANY_FWD, forward.seen().then_some(forward.options_any));
        fields.set(syn::OPTIONS_ANY_REV, reverse.seen().then_some(reverse.options_any));
    }
}

impl Side {
    fn note(&mut self, tcp: &Tcp<'_>) {
        let options: OptionKinds = tcp.options().map(|option| option.kind).collect();
        if !self.seen() {
            (self.flags_all, self.options_all) = (tcp.flags(), options);
        }
        self.flags_all = self.flags_all & tcp.flags();
        self.flags_any = self.flags_any | tcp.flags();
        self.options_all = self.options_all.common(options);
        self.options_any = self.options_any.joined(options);
        self.count = self.count.saturating_add(1);
    }

    fn seen(&self) -> bool {
        self.count > 0
    }
}
