//! Whether a path carries UDP datagrams without a checksum, in IPv4 (RFC 768) and in IPv6, where
//! receivers are to discard them but where they expect them (RFC 6935, RFC 6936).
//!
//! A: an ordinary DNS query. B: the same with the checksum 0. Both are forged, so that they differ
//! in nothing else; and no card fills in what is left out.

use std::time::Duration;

use pathspider_plugin_api::forge::{Packet, dns_query, random};
use pathspider_plugin_api::{
    ChainName, Condition, ConfigId, Configuration, Connect, ConnectKind, Evidence, Hold, Host,
    Info, Job, Measurement, OptionValues, Options, Prepared, Record, Result, export_plugin,
};

/// The configuration whose queries have no checksum.
const ZERO: ConfigId = ConfigId::new(1);

/// The measurement of one run.
pub struct Udpzero {
    timeout: Duration,
}

impl Measurement for Udpzero {
    fn info() -> Info {
        Info::new(
            "udpzero",
            env!("CARGO_PKG_VERSION"),
            "UDP without checksums: connectivity, by DNS queries",
        )
        .contact(env!("CARGO_PKG_REPOSITORY"))
        .forges()
        .connectivity("udpzero")
    }

    fn options() -> Options {
        Options::none().timeout()
    }

    fn new(options: &OptionValues, _host: Host) -> Result<Self> {
        Ok(Udpzero { timeout: options.timeout()? })
    }

    fn configurations(&self) -> Vec<Configuration> {
        ["checksum", "no checksum"]
            .map(|label| Configuration::new(label).hold(Hold::Initiation))
            .into()
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list(&["basic", "udp", "dns", "icmp"])
    }

    fn default_port(&self) -> u16 {
        ConnectKind::DnsUdp.default_port()
    }

    fn connect(&self, job: &Job, _prepared: &Prepared, config: ConfigId) -> Result<Connect> {
        let query = dns_query(job.domain().unwrap_or("."), random() as u16)?;
        let datagram = Packet::to(job.target()).udp(job.port(), &query);
        let datagram = if config == ZERO { datagram.checksum_zero() } else { datagram };
        Ok(Connect::packets(vec![datagram.bytes()?], self.timeout))
    }

    fn combine(&self, _job: &Job, flows: &[Record]) -> Result<Vec<Condition>> {
        let evidence = Evidence::weigh(flows, |config, flow| {
            flow.bool("udp_zero_checksum_fwd").map(|is_zero| is_zero == (config == ZERO))
        });
        let (a, b) = (evidence.flow(ConfigId::BASELINE), evidence.flow(ZERO));
        let verdict =
            a.zip(b).map(|(a, b)| Condition::compared("udpzero", is_answered(a), is_answered(b)));
        Ok(evidence.conclude(verdict))
    }
}

/// Whether a response came, of whatever content: also one that refuses shows that the query was
/// received. Anything else that came back does not.
fn is_answered(flow: &Record) -> bool {
    flow.bool("dns_response_valid") == Some(true)
}

export_plugin!(Udpzero);

#[cfg(test)]
mod tests;
