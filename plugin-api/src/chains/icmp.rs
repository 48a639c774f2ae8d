//! The fields of the chain `icmp`, and a reader of its errors.

use std::net::IpAddr;

use crate::flows::Flow;
use crate::packet::{Icmp, Ip};
use crate::{Record, Value};

crate::fields! {
    pub CHAIN = "icmp": "ICMP errors, and what they quote";
    UNREACHABLE: bool = "icmp_unreachable":
        "an ICMP error came back: destination unreachable, of any code. In a measurement, it \
         quotes what left us";
    ERRORS: Vec<Value> = "icmp_errors":
        "the ICMP errors that came back, up to eight that differ, each a record: `type` and `code`; \
         `from`, the address that sent it; `ttl`, its own as it came; `count`, how often it came; \
         and of the packet that it quotes `quote_ttl`, `quote_dscp`, `quote_ecn` and \
         `quote_length`, the quoted octets, IP header included. null when there were none";
}

/// An ICMP error that came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct IcmpError {
    /// Its type; the meaning depends on the version.
    pub kind: u8,
    /// The type's code.
    pub code: u8,
    /// Who sent it.
    pub from: IpAddr,
    /// Its own time to live as it came.
    pub ttl: u8,
    /// How often it came.
    pub count: u32,
    /// What it shows of our packet.
    pub quote: Option<IcmpQuote>,
}

/// What an ICMP error shows of the packet that it is about, as it reached the sender of the error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct IcmpQuote {
    /// Its time to live.
    pub ttl: u8,
    /// Its code point.
    pub dscp: u8,
    /// Its ECN field.
    pub ecn: u8,
    /// The quoted octets, IP header included.
    pub length: u16,
}

/// The errors of a flow. Needs the chain `icmp`.
pub fn errors(flow: Flow<'_>) -> impl Iterator<Item = IcmpError> {
    flow.get(ERRORS).unwrap_or_default().iter().filter_map(IcmpError::read)
}

impl IcmpError {
    /// An error that came in a packet with this header, once.
    pub fn of(icmp: &Icmp<'_>, ip: Ip<'_>) -> IcmpError {
        let quote = icmp.quoted().map(|quoted| IcmpQuote {
            ttl: quoted.ip().ttl(),
            dscp: quoted.ip().dscp(),
            ecn: quoted.ip().ecn(),
            length: u16::try_from(quoted.length()).unwrap_or(u16::MAX),
        });
        let (kind, code) = (icmp.kind(), icmp.code());
        IcmpError { kind, code, from: ip.source(), ttl: ip.ttl(), count: 1, quote }
    }

    /// Whether our packet's time to live ran out (RFC 792; RFC 4443, section 3.3).
    pub fn is_time_exceeded(&self) -> bool {
        (self.kind, self.code) == (if self.from.is_ipv6() { 3 } else { 11 }, 0)
    }

    fn read(value: &Value) -> Option<IcmpError> {
        let record = value.as_record()?;
        let octet = |key| u8::try_from(record.u64(key)?).ok();
        let quote = || {
            Some(IcmpQuote {
                ttl: octet("quote_ttl")?,
                dscp: octet("quote_dscp")?,
                ecn: octet("quote_ecn")?,
                length: u16::try_from(record.u64("quote_length")?).ok()?,
            })
        };
        Some(IcmpError {
            kind: octet("type")?,
            code: octet("code")?,
            from: record.str("from")?.parse().ok()?,
            ttl: octet("ttl")?,
            count: u32::try_from(record.u64("count")?).ok()?,
            quote: quote(),
        })
    }
}

impl From<IcmpError> for Value {
    fn from(error: IcmpError) -> Value {
        let IcmpError { kind, code, from, ttl, count, quote } = error;
        let mut record = Record::with_capacity(9);
        record.push("type", kind);
        record.push("code", code);
        record.push("from", from);
        record.push("ttl", ttl);
        record.push("count", count);
        record.push("quote_ttl", quote.map(|quote| quote.ttl));
        record.push("quote_dscp", quote.map(|quote| quote.dscp));
        record.push("quote_ecn", quote.map(|quote| quote.ecn));
        record.push("quote_length", quote.map(|quote| quote.length));
        record.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_read_as_it_is_written() {
        let quote = IcmpQuote { ttl: 1, dscp: 46, ecn: 2, length: 28 };
        for (from, kind, quote) in
            [("192.0.2.1", 11, Some(quote)), ("2001:db8::1", 3, None), ("192.0.2.1", 3, None)]
        {
            let from: IpAddr = from.parse().unwrap();
            let error = IcmpError { kind, code: 0, from, ttl: 61, count: 2, quote };
            assert_eq!(IcmpError::read(&error.into()), Some(error));
            assert_eq!(error.is_time_exceeded(), from.is_ipv6() || kind == 11);
        }
        assert_eq!(IcmpError::read(&Value::NULL), None);
    }
}
