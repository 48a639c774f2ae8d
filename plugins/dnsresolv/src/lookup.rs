//! Looks a name up: in the file of hosts, and of the servers, both families at the same time.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use hickory_proto::rr::{Name, RecordType};
use tokio::runtime::Runtime;
use tokio::time::Instant;

use crate::answer::usable;
use crate::ask;
use crate::hosts::Hosts;
use crate::reason::Reason;
use crate::servers::Servers;

/// Which addresses are looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// Both.
    Both,
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl Family {
    fn has(self, address: &IpAddr) -> bool {
        match self {
            Family::Both => true,
            Family::Ipv4 => address.is_ipv4(),
            Family::Ipv6 => address.is_ipv6(),
        }
    }
}

/// What a name has.
#[derive(Debug, PartialEq)]
pub(crate) struct Found {
    /// Its addresses, each once, IPv4 first.
    pub(crate) addresses: Vec<IpAddr>,
    /// Why those of one family may be missing.
    pub(crate) missing: Option<Reason>,
}

/// Why a name has no address: of one family, or of both, IPv4 first.
#[derive(Debug, PartialEq)]
pub(crate) struct Failed(pub(crate) Vec<Reason>);

impl Failed {
    /// The reasons in fixed words. What is known of the name for both families is one reason.
    fn of(reasons: &[Reason]) -> Failed {
        let mut reasons = match reasons.iter().copied().max() {
            Some(most) if reasons.iter().all(|reason| reason.is_of_the_name()) => vec![most],
            _ => reasons.to_vec(),
        };
        reasons.dedup_by_key(|reason| reason.words());
        Failed(reasons)
    }

    /// The reasons in fixed words.
    pub(crate) fn words(&self) -> String {
        let words: Vec<&str> = self.0.iter().map(|reason| reason.words()).collect();
        words.join("; ")
    }
}

/// Looks names up.
pub(crate) struct Lookup {
    runtime: Runtime,
    servers: Servers,
    hosts: Hosts,
    family: Family,
    limit: Duration,
}

impl Lookup {
    /// With these servers, and `limit` for each name.
    ///
    /// # Errors
    ///
    /// The thread that waits for answers cannot be started.
    pub(crate) fn new(
        servers: Servers,
        hosts: Hosts,
        family: Family,
        limit: Duration,
    ) -> io::Result<Lookup> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("dnsresolv")
            .enable_all()
            .build()?;
        Ok(Lookup { runtime, servers, hosts, family, limit })
    }

    /// The addresses of a name.
    ///
    /// # Errors
    ///
    /// None is known.
    pub(crate) fn addresses(&self, text: &str) -> Result<Found, Failed> {
        let text = text.trim_end_matches('.');
        let whole = |found| {
            let failed = |reason| Failed(vec![reason]);
            usable(found).map_err(failed).map(|addresses| Found { addresses, missing: None })
        };
        let named = self.hosts.addresses(text).iter().copied();
        let named: Vec<IpAddr> = named.filter(|address| self.family.has(address)).collect();
        if !named.is_empty() {
            return whole(named);
        }
        let Some(name) = absolute(text) else { return Err(Failed(vec![Reason::BadName])) };
        match special(&name) {
            Special::Local => {
                let own = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
                whole(own.into_iter().filter(|address| self.family.has(address)).collect())
            }
            Special::Nobody => Err(Failed(vec![Reason::NoName])),
            Special::None => self.asked(&name),
        }
    }

    fn asked(&self, name: &Name) -> Result<Found, Failed> {
        let deadline = Instant::now() + self.limit;
        let ask = |kind| ask::addresses(&self.servers, name, kind, deadline);
        let answers = self.runtime.block_on(async {
            match self.family {
                Family::Both => {
                    <[_; 2]>::from(tokio::join!(ask(RecordType::A), ask(RecordType::AAAA))).into()
                }
                Family::Ipv4 => vec![ask(RecordType::A).await],
                Family::Ipv6 => vec![ask(RecordType::AAAA).await],
            }
        });
        let (mut addresses, mut reasons) = (Vec::new(), Vec::new());
        for answer in answers {
            match answer {
                Ok(found) => addresses.extend(found),
                Err(reason) => reasons.push(reason),
            }
        }
        if addresses.is_empty() {
            Err(Failed::of(&reasons))
        } else {
            let missing = reasons.into_iter().find(|reason| !reason.is_of_the_name());
            Ok(Found { addresses, missing })
        }
    }
}

/// Names that no server is to be asked for.
enum Special {
    /// They are this machine's.
    Local,
    /// They are nobody's.
    Nobody,
    /// It is none of these.
    None,
}

/// RFC 6761, sections 6.3 and 6.4, and RFC 7686.
fn special(name: &Name) -> Special {
    let last = name.iter().next_back().unwrap_or_default();
    match () {
        () if last.eq_ignore_ascii_case(b"localhost") => Special::Local,
        () if last.eq_ignore_ascii_case(b"invalid") || last.eq_ignore_ascii_case(b"onion") => {
            Special::Nobody
        }
        () => Special::None,
    }
}

/// A name as it is asked for: absolute, for search domains are for people's typing. Labels in ASCII are taken as
/// they are, since hosts have names that are no host names (`x_y.example`, `-x.example`).
fn absolute(text: &str) -> Option<Name> {
    if !text.is_ascii() {
        return Name::from_utf8(format!("{text}.")).ok();
    }
    let text = text.to_ascii_lowercase();
    let is_shown = text.bytes().all(|octet| octet.is_ascii_graphic());
    let labels = text.split('.');
    if !is_shown || labels.clone().any(str::is_empty) {
        return None;
    }
    Name::from_labels(labels.map(str::as_bytes)).ok()
}
