//! `mss`: the maximum segment size option (RFC 9293, section 3.2).

use pathspider_plugin_api::packet::{Layers, Packet, Tcp, TcpFlags};
use pathspider_plugin_api::{Chain, ChainInfo, FieldType, FlowRecord, Verdict};

use super::fields::{Both, Fields, side};

const FIELDS: Fields<4> = Fields([
    (
        "mss_len_fwd",
        FieldType::UInt,
        "octets",
        "length of the option on the originator's SYN as found, 4 if it is right; null when absent",
    ),
    (
        "mss_len_rev",
        FieldType::UInt,
        "octets",
        "length of the option on the other side's SYN as found, 4 if it is right; null when absent",
    ),
    (
        "mss_value_fwd",
        FieldType::UInt,
        "octets",
        "value of the option on the originator's SYN, whatever its length; null when absent",
    ),
    (
        "mss_value_rev",
        FieldType::UInt,
        "octets",
        "value of the option on the other side's SYN, whatever its length; null when absent",
    ),
]);

const MSS: u8 = 2;

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
        FIELDS.info("mss", "the maximum segment size option of SYNs")
    }

    fn new_flow(&self, _: &Packet<'_>) -> Option<Flow> {
        Some(Flow::default())
    }

    fn tcp(&self, flow: &mut Flow, tcp: &Tcp<'_>, packet: &Packet<'_>) -> Verdict {
        let found = &mut flow.found[side(packet)];
        if tcp.has(TcpFlags::SYN)
            && found.is_none()
            && let Some(option) = tcp.option(MSS)
        {
            *found = Some((option.length, number(option.data)));
        }
        Verdict::Continue
    }

    fn finish(&self, flow: Flow, record: &mut FlowRecord) {
        let [forward, reverse] = flow.found;
        FIELDS.write(
            record,
            [
                forward.map(|(length, _)| length).into(),
                reverse.map(|(length, _)| length).into(),
                forward.map(|(_, value)| value).into(),
                reverse.map(|(_, value)| value).into(),
            ],
        );
    }
}

/// The option's octets as one number; of a malformed long one, its last eight.
fn number(data: &[u8]) -> u64 {
    data.iter().fold(0, |number, &octet| number << 8 | u64::from(octet))
}
