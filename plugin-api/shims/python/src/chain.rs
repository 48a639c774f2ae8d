//! The plugin's observer chains: the first packets of a flow are kept, and given to Python at its end. So
//! the observer calls Python once for a flow, and not for each packet.

use pathspider_plugin_api::packet::{Direction, Icmp, Ip, Layers, Packet};
use pathspider_plugin_api::{Chain, ChainInfo, Error, Fields, Record, Result, Value, Verdict};

use crate::bridge::{OwnChain, plugin};

/// Octets of a packet's data that are kept.
const DATA: usize = 128;

/// The chain at place N of those that the plugin has.
#[derive(Default)]
pub(crate) struct Own<const N: usize>;

/// A packet that is kept, as the arguments of `pathspider.Packet`.
type Kept = Vec<Value>;

/// Octets as hexadecimal digits.
fn hex(octets: &[u8]) -> String {
    let digit = |number: u8| char::from_digit(number.into(), 16).unwrap_or('0');
    octets.iter().flat_map(|octet| [digit(octet >> 4), digit(octet & 15)]).collect()
}

impl<const N: usize> Own<N> {
    fn own() -> Option<&'static OwnChain> {
        plugin().ok()?.chains.get(N)
    }

    fn keep(flow: &mut Vec<Kept>, packet: &Packet<'_>, is_icmp: bool) -> Verdict {
        if Self::own().is_some_and(|own| flow.len() < own.packets) {
            let payload = packet.payload();
            flow.push(vec![
                packet.time_ns().into(),
                (packet.direction() == Direction::Reverse).into(),
                is_icmp.into(),
                packet.protocol().into(),
                packet.ip_length().into(),
                hex(packet.ip().bytes()).into(),
                hex(packet.transport()).into(),
                hex(&payload[..payload.len().min(DATA)]).into(),
            ]);
        }
        Verdict::Continue
    }

    fn read(packets: Vec<Kept>, fields: &mut Fields<'_>) -> Result<()> {
        let own = Self::own().ok_or_else(|| Error::contract("it has no such chain any more"))?;
        let packets: Value = packets.into_iter().collect();
        let given =
            plugin()?.call("read", &Record::new().with("chain", N).with("packets", packets))?;
        let read = given.get("fields").and_then(Value::as_record);
        let read = read.ok_or_else(|| Error::contract("read gave no fields"))?;
        read.iter().try_for_each(|(name, value)| fields.set_by_name(&own.info, name, value.clone()))
    }
}

impl<const N: usize> Chain for Own<N> {
    type Flow = Vec<Kept>;
    const LAYERS: Layers = Layers::IP.and(Layers::ICMP);

    fn info() -> ChainInfo {
        let none =
            || ChainInfo { name: String::new(), description: String::new(), fields: Vec::new() };
        Self::own().map_or_else(none, |own| own.info.clone())
    }

    fn new_flow(&self, _: &Packet<'_>) -> Option<Vec<Kept>> {
        Some(Vec::new())
    }

    fn ip4(&self, flow: &mut Vec<Kept>, _: &Ip<'_>, packet: &Packet<'_>) -> Verdict {
        // An ICMP message is kept once, below.
        if packet.layers().intersects(Layers::ICMP) {
            Verdict::Continue
        } else {
            Self::keep(flow, packet, false)
        }
    }

    fn ip6(&self, flow: &mut Vec<Kept>, ip: &Ip<'_>, packet: &Packet<'_>) -> Verdict {
        self.ip4(flow, ip, packet)
    }

    fn icmp4(&self, flow: &mut Vec<Kept>, _: &Icmp<'_>, packet: &Packet<'_>) -> Verdict {
        Self::keep(flow, packet, true)
    }

    fn icmp6(&self, flow: &mut Vec<Kept>, _: &Icmp<'_>, packet: &Packet<'_>) -> Verdict {
        Self::keep(flow, packet, true)
    }

    fn finish(&self, flow: Vec<Kept>, fields: &mut Fields<'_>) {
        if let Err(error) = Self::read(flow, fields) {
            // A chain has no other way to fail than to panic; the guard reports it.
            std::panic::resume_unwind(Box::new(error.message().to_owned()));
        }
    }
}
