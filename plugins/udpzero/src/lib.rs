//! Whether a path carries UDP datagrams without a checksum, in IPv4 (RFC 768) and in IPv6, where
//! receivers are to discard them but where they expect them (RFC 6935, RFC 6936).
//!
//! A: an ordinary DNS query. B: the same with the checksum 0. Both are forged, so that they differ
//! in nothing else; and no card fills in what is left out.

use std::time::Duration;

use pathspider_plugin_api::Class;
use pathspider_plugin_api::chains::{basic, dns, icmp, udp};
use pathspider_plugin_api::forge::{Packet, dns_query, identifier};
use pathspider_plugin_api::prelude::*;

const PLAIN: Configuration = Configuration::new(0, "checksum").hold(Hold::Initiation);
const ZERO: Configuration = Configuration::new(1, "no checksum").hold(Hold::Initiation);

conditions! {
    CONNECTIVITY: connectivity("udpzero");
    DISCARDED: unknown(
        "udpzero.connectivity.discarded",
        "over IPv6, the baseline was answered and the datagram without a checksum was not: targets have \
         to discard it (RFC 8200), so this says nothing about the path"
    );
}

/// The measurement of one run.
pub struct Udpzero {
    timeout: Duration,
}

impl Measurement for Udpzero {
    fn info() -> Info {
        info!("udpzero", "UDP without checksums: connectivity, by DNS queries")
            .forges()
            .port(ConnectKind::DnsUdp.default_port())
            .conditions(CONDITIONS)
    }

    fn options() -> Options {
        Options::none().timeout()
    }

    fn new(options: &OptionValues, _: Host) -> Result<Self> {
        Ok(Udpzero { timeout: options.timeout()? })
    }

    fn configurations(&self) -> Vec<Configuration> {
        vec![PLAIN, ZERO]
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list([basic::CHAIN, udp::CHAIN, dns::CHAIN, icmp::CHAIN])
    }

    fn connect(&self, attempt: &Attempt<'_>) -> Result<Connect> {
        let job = attempt.job();
        let query = dns_query(job.domain().unwrap_or("."), identifier())?;
        let datagram = Packet::to(job.target()).udp(job.port(), &query);
        let datagram = if attempt.is(ZERO) { datagram.checksum_zero() } else { datagram };
        let connect = Connect::packets(vec![datagram.bytes()?], self.timeout);
        Ok(connect.repeat_as_sockets_do().until_done())
    }

    fn combine(&self, flows: &Flows<'_>) -> Result<Conclusion> {
        let evidence =
            flows.weigh(|flow| flow.get(udp::ZERO_CHECKSUM_FWD).map(|zero| zero == flow.is(ZERO)));
        // A response of whatever content: also one that refuses shows that the query was received.
        // Anything else that came back does not.
        let answered = |flow: Flow<'_>| flow.has(dns::RESPONSE_VALID);
        let verdict = evidence.compared(CONNECTIVITY, ZERO, answered);
        let target = flows.job().target().to_canonical();
        let is_refused = |b: Flow<'_>| icmp::errors(b).any(|error| error.from != target);
        Ok(evidence.conclude(verdict.map(|verdict| match evidence.of(ZERO) {
            Some(b) if verdict.class() == Class::Impaired && target.is_ipv6() && !is_refused(b) => {
                DISCARDED
            }
            _ => verdict,
        })))
    }
}

export_plugin!(Udpzero);

#[cfg(test)]
mod tests;
