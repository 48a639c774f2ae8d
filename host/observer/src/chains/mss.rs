//! `mss`: the maximum segment size option (RFC 9293, section 3.2).

use pathspider_plugin_api::chains::mss;
use pathspider_plugin_api::packet::{Layers, Packet, Tcp, TcpFlags, tcp_option};
use pathspider_plugin_api::{Chain, ChainInfo, Fields, Verdict};

use super::side::{Both, side};

/// The chain `mss`. The first option that was seen in a direction counts.
#[derive(Default)]
pub struct Mss;

/// What `mss` remembers of a flow.
#[derive(Default)]
pub struct Flow {
    found: Both<Option<(u8, u64)>>,
}

impl Chain for Mss {
    type Flow = Flow;
    const LAYERS: Layers = Layers::TCP;

    fn info() -> ChainInfo {
        mss::CHAIN.into()
    }

    fn new_flow(&self, _: &Packet<'_>) -> Option<Flow> {
        Some(Flow::default())
    }

    fn tcp(&self, flow: &mut Flow, tcp: &Tcp<'_>, packet: &Packet<'_>) -> Verdict {
        let found = &mut flow.found[side(packet)];
        if tcp.has(TcpFlags::SYN)
            && found.is_none()
            && let Some(option) = tcp.option(tcp_option::MSS)
        {
            *found = Some((option.length, number(option.data)));
        }
        Verdict::Continue
    }

    fn finish(&self, flow: Flow, fields: &mut Fields<'_>) {
        let [forward, reverse] = flow.found;
        fields.set(mss::LENGTH_FWD, forward.map(|(length, _)| length));
        fields.set(mss::LENGTH_REV, reverse.map(|(length, _)| length));
        fields.set(mss::VALUE_FWD, forward.map(|(_, value)| value));
        fields.set(mss::VALUE_REV, reverse.map(|(_, value)| value));
    }
}

/// The option's octets as one number; of a malformed long one, its last eight.
fn number(data: &[u8]) -> u64 {
    data.iter().fold(0, |number, &octet| number << 8 | u64::from(octet))
}
