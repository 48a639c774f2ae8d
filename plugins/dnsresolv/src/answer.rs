//! What a server's message says of a name.

use std::net::IpAddr;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use pathspider_plugin_api::is_of_no_host;

use crate::reason::Reason;

/// What is known of a name after an answer.
#[derive(Debug, PartialEq)]
pub(crate) enum Answer {
    /// Its addresses, each once; not empty.
    Addresses(Vec<IpAddr>),
    /// It is an alias of this name, and the answer says nothing about that name.
    Alias(Name),
}

/// Reads the answer to a question for the addresses of a name.
///
/// # Errors
///
/// It has none, or the server gives none.
pub(crate) fn answer(message: &Message, name: &Name, kind: RecordType) -> Result<Answer, Reason> {
    match message.metadata.response_code {
        ResponseCode::NoError => {}
        ResponseCode::NXDomain => return Err(Reason::NoName),
        ResponseCode::ServFail => return Err(Reason::ServerFailure),
        ResponseCode::Refused => return Err(Reason::ServerRefused),
        _ => return Err(Reason::ServerError),
    }
    let end = end_of_aliases(&message.answers, name);
    let found = message.answers.iter().filter(|record| is_of(record, end));
    let found = found.filter(|record| record.record_type() == kind);
    let found: Vec<IpAddr> = found.filter_map(|record| record.data.ip_addr()).collect();
    if !found.is_empty() {
        return usable(found).map(Answer::Addresses);
    }
    let is_denied = message.authorities.iter().any(|r| r.record_type() == RecordType::SOA);
    let metadata = &message.metadata;
    match (end != name, is_denied) {
        (true, false) => Ok(Answer::Alias(end.clone())),
        // A server that neither knows the name nor asks others for it.
        (false, false) if !metadata.authoritative && !metadata.recursion_available => {
            Err(Reason::ServerError)
        }
        _ => Err(Reason::NoAddress),
    }
}

/// The addresses that a host may have, each once. One of IPv4 that is written as one of IPv6 is that of
/// IPv4: no packet has the other (RFC 4291, section 2.5.5.2).
///
/// # Errors
///
/// There is none among them.
pub(crate) fn usable(found: Vec<IpAddr>) -> Result<Vec<IpAddr>, Reason> {
    let mut addresses: Vec<IpAddr> = Vec::with_capacity(found.len());
    for address in found.into_iter().map(|address| address.to_canonical()) {
        if !is_of_no_host(address) && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() { Err(Reason::NoUsableAddress) } else { Ok(addresses) }
}

/// The name that a chain of aliases leads to, in whichever order its records stand.
fn end_of_aliases<'a>(records: &'a [Record], name: &'a Name) -> &'a Name {
    let mut end = name;
    // A chain has no more links than there are records, unless it is a circle.
    for _ in records {
        let next = records.iter().filter(|record| is_of(record, end)).find_map(|record| {
            match &record.data {
                RData::CNAME(alias) => Some(&alias.0),
                _ => None,
            }
        });
        match next {
            Some(next) => end = next,
            None => break,
        }
    }
    end
}

fn is_of(record: &Record, name: &Name) -> bool {
    record.dns_class == DNSClass::IN && record.name.eq_ignore_root(name)
}
