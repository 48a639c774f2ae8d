//! What an author of an observer chain implements.
//!
//! A chain looks at the packets of each flow and says at the flow's end what it found, as named
//! fields. The host's own chains and those of plugins are the same to it.

use crate::packet::{Icmp, Ip, Layers, Packet, Tcp, Udp};
use crate::record::FlowRecord;

/// A chain's word on a flow after one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// More packets may tell more.
    Continue,
    /// The flow is complete. Packets that still come are shown to the chain all the same, until
    /// the host emits the flow.
    Done,
}

impl Verdict {
    /// `Done` where the condition holds.
    pub fn done_if(complete: bool) -> Verdict {
        if complete { Verdict::Done } else { Verdict::Continue }
    }
}

/// A chain of functions, one for each class of packets, and the state it keeps of one flow.
///
/// Every chain sees every packet of a flow that has one of its [`LAYERS`](Chain::LAYERS),
/// whatever the other chains say, so the order of chains never matters. All functions are called
/// by the observer's thread, one at a time.
///
/// An ICMP error belongs to the flow that it quotes, and goes the way opposite to the quoted packet.
///
/// In a measurement, a chain sees of what came only what answers what left us, so whatever goes
/// [`Reverse`](crate::packet::Direction::Reverse) is the target's; and an ICMP error, which is
/// nobody's answer, is shown to [`icmp4`](Chain::icmp4) and [`icmp6`](Chain::icmp6) alone. Where
/// captures are merely observed, a chain sees every packet of the flow.
pub trait Chain: Default + Send + 'static {
    /// What the chain remembers of one flow. The host keeps it in a block with the other chains'
    /// state of that flow, so it should be small, and without allocations of its own where
    /// possible.
    type Flow: Send + 'static;

    /// The layers of the functions that the chain implements; the host calls no others.
    const LAYERS: Layers;

    /// The chain's name and fields.
    fn info() -> ChainInfo;

    /// Begins a flow; `packet` is its first, and is shown to the functions below as well.
    /// `None` ignores the flow: no call follows for it, and its fields are absent.
    fn new_flow(&self, packet: &Packet<'_>) -> Option<Self::Flow>;

    /// An IPv4 packet, before the function of its transport layer.
    fn ip4(&self, flow: &mut Self::Flow, ip: &Ip<'_>, packet: &Packet<'_>) -> Verdict {
        let _ = (flow, ip, packet);
        Verdict::Continue
    }

    /// An IPv6 packet, before the function of its transport layer.
    fn ip6(&self, flow: &mut Self::Flow, ip: &Ip<'_>, packet: &Packet<'_>) -> Verdict {
        let _ = (flow, ip, packet);
        Verdict::Continue
    }

    /// An ICMP message for IPv4.
    fn icmp4(&self, flow: &mut Self::Flow, icmp: &Icmp<'_>, packet: &Packet<'_>) -> Verdict {
        let _ = (flow, icmp, packet);
        Verdict::Continue
    }

    /// An ICMP message for IPv6.
    fn icmp6(&self, flow: &mut Self::Flow, icmp: &Icmp<'_>, packet: &Packet<'_>) -> Verdict {
        let _ = (flow, icmp, packet);
        Verdict::Continue
    }

    /// A TCP segment.
    fn tcp(&self, flow: &mut Self::Flow, tcp: &Tcp<'_>, packet: &Packet<'_>) -> Verdict {
        let _ = (flow, tcp, packet);
        Verdict::Continue
    }

    /// A UDP datagram.
    fn udp(&self, flow: &mut Self::Flow, udp: &Udp<'_>, packet: &Packet<'_>) -> Verdict {
        let _ = (flow, udp, packet);
        Verdict::Continue
    }

    /// A packet of any other transport protocol, or a fragment without its transport header.
    fn l4(&self, flow: &mut Self::Flow, packet: &Packet<'_>) -> Verdict {
        let _ = (flow, packet);
        Verdict::Continue
    }

    /// Ends a flow: writes each field of [`info`](Chain::info), with null for what was not seen.
    fn finish(&self, flow: Self::Flow, record: &mut FlowRecord);
}

/// The type of a chain's field, in JSON's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldType {
    /// `true` or `false`.
    Bool,
    /// A whole number that is not negative.
    UInt,
    /// A number with a fraction.
    Float,
    /// A text.
    Text,
    /// A list of values.
    List,
}

impl FieldType {
    /// The type's name, as documentation gives it.
    pub fn name(self) -> &'static str {
        match self {
            FieldType::Bool => "bool",
            FieldType::UInt => "uint",
            FieldType::Float => "float",
            FieldType::Text => "text",
            FieldType::List => "list",
        }
    }

    /// The type of that name.
    pub fn from_name(name: &str) -> Option<FieldType> {
        use FieldType::{Bool, Float, List, Text, UInt};
        [Bool, UInt, Float, Text, List].into_iter().find(|t| t.name() == name)
    }
}

/// One field that a chain writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its key in the flow record.
    pub name: String,
    /// Its type when it is not null.
    pub kind: FieldType,
    /// Its unit, such as `octets`; empty where it has none.
    pub unit: String,
    /// What it says, and what null means where it can be null.
    pub meaning: String,
}

/// A chain's name and what it writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainInfo {
    /// The name that command lines and measurements use.
    pub name: String,
    /// One line on what it looks at.
    pub description: String,
    /// Its fields, in the order in which it writes them.
    pub fields: Vec<Field>,
}

impl ChainInfo {
    /// A chain with no field yet.
    pub fn new(name: &str, description: &str) -> ChainInfo {
        ChainInfo { name: name.into(), description: description.into(), fields: Vec::new() }
    }

    /// Adds a field without unit.
    pub fn field(self, name: &str, kind: FieldType, meaning: &str) -> ChainInfo {
        self.field_in(name, kind, "", meaning)
    }

    /// Adds a field with a unit.
    pub fn field_in(mut self, name: &str, kind: FieldType, unit: &str, meaning: &str) -> ChainInfo {
        self.fields.push(Field {
            name: name.into(),
            kind,
            unit: unit.into(),
            meaning: meaning.into(),
        });
        self
    }
}
