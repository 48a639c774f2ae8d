//! `icmp`: what the network says of a flow, and what it shows of our packets.

use std::net::IpAddr;

use pathspider_plugin_api::chains::icmp;
use pathspider_plugin_api::packet::{Icmp, Layers, Packet, Quoted};
use pathspider_plugin_api::{Chain, ChainInfo, Fields, Record, Value, Verdict};

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
    errors: Vec<Noted>,
}

/// An error that came back.
struct Noted {
    error: Error,
    count: u32,
}

/// What tells errors apart.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Error {
    kind: u8,
    code: u8,
    ttl: u8,
    from: IpAddr,
    quote: Option<Quote>,
}

/// What an error shows of the packet that it is about.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Quote {
    ttl: u8,
    dscp: u8,
    ecn: u8,
    length: u16,
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
        let errors: Vec<Value> = flow.errors.iter().map(|noted| noted.record().into()).collect();
        fields.set(icmp::ERRORS, (!errors.is_empty()).then_some(errors));
    }
}

impl Flow {
    fn note(&mut self, icmp: &Icmp<'_>, is_unreachable: bool, packet: &Packet<'_>) -> Verdict {
        if icmp.is_error() && side(packet) == 1 {
            self.unreachable |= is_unreachable;
            self.keep(Error::of(icmp, packet));
        }
        Verdict::done_if(self.unreachable)
    }

    fn keep(&mut self, error: Error) {
        if let Some(same) = self.errors.iter_mut().find(|noted| noted.error == error) {
            same.count = same.count.saturating_add(1);
        } else if self.errors.len() < KEPT {
            self.errors.push(Noted { error, count: 1 });
        }
    }
}

impl Error {
    fn of(icmp: &Icmp<'_>, packet: &Packet<'_>) -> Error {
        let (kind, code, ip) = (icmp.kind(), icmp.code(), packet.ip());
        let quote = icmp.quoted().as_ref().map(Quote::of);
        Error { kind, code, ttl: ip.ttl(), from: ip.source(), quote }
    }
}

impl Quote {
    fn of(quoted: &Quoted<'_>) -> Quote {
        let ip = quoted.ip();
        let length = u16::try_from(quoted.length()).unwrap_or(u16::MAX);
        Quote { ttl: ip.ttl(), dscp: ip.dscp(), ecn: ip.ecn(), length }
    }
}

impl Noted {
    fn record(&self) -> Record {
        let Error { kind, code, ttl, from, quote } = self.error;
        let mut record = Record::with_capacity(9);
        record.push("type", kind);
        record.push("code", code);
        record.push("from", from);
        record.push("ttl", ttl);
        record.push("count", self.count);
        record.push("quote_ttl", quote.map(|quote| quote.ttl));
        record.push("quote_dscp", quote.map(|quote| quote.dscp));
        record.push("quote_ecn", quote.map(|quote| quote.ecn));
        record.push("quote_length", quote.map(|quote| quote.length));
        record
    }
}
