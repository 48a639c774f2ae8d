//! What an author of an observer chain implements.
//!
//! A chain looks at the packets of each flow and says at the flow's end what it found, as named
//! fields. The host's own chains and those of plugins are the same to it.

use crate::Value;
use crate::error::{Error, Result};
use crate::field::{ChainFields, Field, FieldType, FieldValue};
use crate::packet::{Icmp, Ip, Layers, Packet, Tcp, Udp};

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

    /// The chain's name and fields: what [`fields!`](crate::fields) declares, `CHAIN.into()`.
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

    /// Ends a flow: sets each field of [`info`](Chain::info). One that is not set is null: what was
    /// not seen.
    fn finish(&self, flow: Self::Flow, fields: &mut Fields<'_>);
}

/// Where a chain writes what it found in a flow.
pub struct Fields<'a> {
    chain: &'a str,
    /// A place for each field of the chain.
    values: &'a mut [Value],
    /// What the chain declares, once a field of it was set.
    own: Option<&'static ChainFields>,
    /// A field that was set and is none of the chain's.
    foreign: Option<&'static str>,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(chain: &'a str, values: &'a mut [Value]) -> Fields<'a> {
        Fields { chain, values, own: None, foreign: None }
    }

    /// Sets a field of this chain; `None` is null.
    #[inline]
    pub fn set<T: FieldValue>(&mut self, field: Field<T>, value: impl Into<Option<T>>) {
        let is_own = self.is_own(field.chain());
        match self.values.get_mut(field.place()) {
            Some(place) if is_own => *place = value.into().map_or(Value::NULL, T::into_value),
            _ => self.foreign = Some(field.name()),
        }
    }

    /// Whether this chain declares these fields. Names are compared once: all its fields are of one
    /// declaration.
    #[inline]
    fn is_own(&mut self, fields: &'static ChainFields) -> bool {
        if self.own.is_some_and(|own| std::ptr::eq(own, fields)) {
            return true;
        }
        let is_own = fields.name == self.chain;
        if is_own {
            self.own = Some(fields);
        }
        is_own
    }

    /// Sets a field by its name in the chain's description: for code in other languages, which has names and
    /// values alone.
    ///
    /// # Errors
    ///
    /// The chain has no such field, or it is of another type.
    pub fn set_by_name(&mut self, chain: &ChainInfo, name: &str, value: Value) -> Result<()> {
        let place = chain.fields.iter().position(|field| field.name == name);
        let place = place.and_then(|at| Some((&chain.fields[at], self.values.get_mut(at)?)));
        let Some((field, place)) = place else {
            let what = format_args!("it sets {name}, which is no field of {}", self.chain);
            return Err(Error::contract(what));
        };
        *place = field.kind.read(value).ok_or_else(|| {
            let kind = field.kind.name();
            Error::contract(format_args!("it sets {name}, a {kind}, to a value of another type"))
        })?;
        Ok(())
    }

    /// What was set that is none of the chain's.
    pub(crate) fn foreign(&self) -> Option<&'static str> {
        self.foreign
    }
}

/// One field that a chain writes, as hosts keep it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldInfo {
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
    pub fields: Vec<FieldInfo>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_set_the_fields_of_their_types_alone() {
        let chain = ChainInfo::from(crate::chains::basic::CHAIN);
        let mut values = vec![Value::NULL; chain.fields.len()];
        let mut fields = Fields::new(&chain.name, &mut values);
        let whole = chain.fields.iter().position(|field| field.kind == FieldType::UInt).unwrap();
        let name = chain.fields[whole].name.clone();
        fields.set_by_name(&chain, &name, 7u8.into()).unwrap();
        let refused = |fields: &mut Fields<'_>, name: &str, value: Value| {
            fields.set_by_name(&chain, name, value).unwrap_err().message().to_owned()
        };
        assert_eq!(refused(&mut fields, "x", 7u8.into()), "it sets x, which is no field of basic");
        assert!(
            refused(&mut fields, &name, "7".into()).contains("a uint, to a value of another type")
        );
        assert_eq!(values[whole], Value::from(7u8));
        assert_eq!(FieldType::Float.read(2u8.into()), Some(Value::from(2.0)));
    }
}
