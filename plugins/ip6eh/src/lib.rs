//! Whether a path carries IPv6 packets with extension headers (RFC 8200, section 4), and who refuses
//! them.
//!
//! A: a SYN, or a DNS query, without. B, one for each header and size: the same with it. All are forged,
//! with one flow label for a target, for no socket sends all of them.

mod chain;
mod headers;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use pathspider_plugin_api::Class;
use pathspider_plugin_api::chains::{basic, dns, icmp, tcp, udp};
use pathspider_plugin_api::forge::{Packet, identifier, padded_dns_query};
use pathspider_plugin_api::packet::protocol;
use pathspider_plugin_api::prelude::*;

use chain::{Headers, ip6eh};
use headers::Probe;

conditions! {
    CONNECTIVITY: connectivity(
        "ip6eh.<hbh|dst|rh|frag>.<size>",
        "the SYN was accepted, or the query answered"
    );
    TARGET: absent(
        "ip6eh.<hbh|dst|rh|frag>.<size>.refused.target:<code>",
        "an ICMPv6 error of this type and code came from the target's address: it does not take \
         the header"
    );
    ROUTER: impaired(
        "ip6eh.<hbh|dst|rh|frag>.<size>.refused.router:<code>",
        "an ICMPv6 error of this type and code came from another address"
    );
    BY: unknown(
        "ip6eh.<hbh|dst|rh|frag>.<size>.refused.by:<address>",
        "the ICMPv6 error came from this address"
    );
}

/// What is sent: the words of `--connect`, the default first.
const MODES: [&str; 2] = ["tcpsyn", "dnsudp"];

/// Octets of the query, or of the data on a SYN. A real fragment has a part of them.
const QUERY: usize = 512;
/// Octets of UDP's header and data in the first fragment, a multiple of eight.
const FIRST: usize = 256;

/// How often packets are sent again at most, once a second: the time-out ends it before.
const REPEATS: u32 = 30;

/// The measurement of one run.
pub struct Ip6eh {
    /// Whether DNS queries are sent, not SYNs.
    asks: bool,
    timeout: Duration,
    /// What each configuration has; the baseline, which comes first, has nothing.
    probes: Vec<Option<Probe>>,
}

impl Measurement for Ip6eh {
    fn info() -> Info {
        info!("ip6eh", "IPv6 extension headers: connectivity, who refuses them")
            .forges()
            .conditions(CONDITIONS)
    }

    fn options() -> Options {
        Options::none()
            .choice("connect", &MODES, "What to send to each target")
            .text(
                "headers",
                "hbh,dst,rh,atomic,frag",
                "Which headers: hop-by-hop options, destination options, routing, an atomic \
                 fragment, real fragments",
            )
            .integers("size", 8..=64, &[8, 64], "Octets of the first three, a multiple of 8")
            .timeout()
    }

    fn new(options: &OptionValues, _: Host) -> Result<Self> {
        let asks = options.text("connect")? == Some(MODES[1]);
        let sizes: BTreeSet<u8> = options.integers("size")?.into_iter().collect();
        if let Some(size) = sizes.iter().find(|size| *size % 8 != 0) {
            return Err(Error::new(format!("--size {size}: it is no multiple of 8")));
        }
        let named = options.text("headers")?.unwrap_or_default();
        let mut probes = vec![None];
        for word in named.split(',') {
            let some = Probe::named(word.trim(), &sizes).ok_or_else(|| {
                Error::new(format!("--headers {word}: it is none of hbh, dst, rh, atomic, frag"))
            })?;
            probes.extend(some.into_iter().map(Some));
        }
        if let Some(at) = probes.iter().position(|probe| *probe == Some(Probe::Fragments))
            && !asks
        {
            probes.insert(at, Some(Probe::Data));
        }
        Ok(Ip6eh { asks, timeout: options.timeout()?, probes })
    }

    fn configurations(&self) -> Vec<Configuration> {
        let one = |(at, probe): (usize, &Option<Probe>)| {
            let configuration = Configuration::new(at, "plain").hold(Hold::Initiation);
            match probe {
                Some(probe) => configuration.labelled(format!("{} {}", probe.word(), probe.size())),
                None => configuration,
            }
        };
        self.probes.iter().enumerate().map(one).collect()
    }

    fn chains(&self) -> Vec<ChainName> {
        if self.asks {
            let own = [basic::CHAIN, udp::CHAIN, dns::CHAIN, icmp::CHAIN, ip6eh::CHAIN];
            ChainName::list(own)
        } else {
            ChainName::list([basic::CHAIN, tcp::CHAIN, icmp::CHAIN, ip6eh::CHAIN])
        }
    }

    fn connect(&self, attempt: &Attempt<'_>) -> Result<Connect> {
        let job = attempt.job();
        let IpAddr::V6(target) = job.target().to_canonical() else {
            return Ok(Connect::skip("IPv4 has no extension headers"));
        };
        let probe = self.probe(attempt.config());
        // One label for all of a target's packets, so that routers that go by it take one path.
        let label = target.octets().iter().fold(0x5_1ab3_u32, |label, octet| {
            (label ^ u32::from(*octet)).wrapping_mul(0x0100_0193)
        });
        let packet = Packet::to(target.into()).flow_label(label | 1);
        let packet = match probe.filter(|probe| *probe != Probe::Fragments).and_then(Probe::header)
        {
            Some((number, octets)) => packet.extension(number, &octets[1..]),
            None => packet,
        };
        let octets = if self.asks {
            let query = padded_dns_query(job.domain().unwrap_or("."), identifier(), QUERY)?;
            packet.udp(job.port(), &query).bytes()?
        } else {
            let syn = packet.tcp_syn(job.port()).mss(1220);
            match probe {
                Some(Probe::Data | Probe::Fragments) => syn.payload(&[0; QUERY]).bytes()?,
                _ => syn.bytes()?,
            }
        };
        let packets = match probe {
            Some(Probe::Fragments) => headers::fragments(&octets, FIRST),
            _ => vec![octets],
        };
        let connect =
            Connect::packets(packets, self.timeout).repeat(Duration::from_secs(1), REPEATS);
        Ok(if self.asks { connect.until_done() } else { connect })
    }

    fn combine(&self, flows: &Flows<'_>) -> Result<Conclusion> {
        let transport = if self.asks { protocol::UDP } else { protocol::TCP };
        let evidence = flows.weigh(|flow| {
            let probe = self.probe(flow.config());
            let meant = probe.map_or_else(String::new, |probe| probe.on_wire(transport));
            let is_whole = flow.get(ip6eh::LATER)? == 0;
            let is_split = probe == Some(Probe::Fragments);
            let is_so = flow.get(ip6eh::SENT)? == meant && flow.has(ip6eh::SENT_SAME);
            Some(is_so && is_whole != is_split)
        });
        let target = flows.job().target().to_canonical();
        let worked = |flow: Flow<'_>| {
            if self.asks { flow.has(dns::RESPONSE_VALID) } else { flow.accepted_syn() }
        };
        let mut conditions = Vec::new();
        for (at, probe) in self.probes.iter().enumerate() {
            let Some(probe) = probe.filter(|probe| *probe != Probe::Data) else { continue };
            let named = |condition: Condition| condition.of(probe.word()).of(probe.size());
            let baseline = match at.checked_sub(1).map(|before| self.probes[before]) {
                Some(Some(Probe::Data)) => ConfigId::new(at - 1),
                _ => ConfigId::BASELINE,
            };
            let (Some(a), Some(b)) = (evidence.of(baseline), evidence.of(ConfigId::new(at))) else {
                continue;
            };
            let verdict = CONNECTIVITY.compared(worked(a), worked(b));
            let is_broken = verdict.class() == Class::Impaired;
            match icmp::errors(b).next().filter(|_| is_broken) {
                // What the target does not take is no fault of the path.
                Some(error) if error.from == target => {
                    let code = format!("{}.{}", error.kind, error.code);
                    conditions.push(named(TARGET).with(code));
                }
                Some(error) => {
                    let code = format!("{}.{}", error.kind, error.code);
                    conditions.push(named(verdict));
                    conditions.push(named(ROUTER).with(code));
                    conditions.push(named(BY).with(error.from));
                }
                None => conditions.push(named(verdict)),
            }
        }
        Ok(evidence.conclude(conditions))
    }
}

impl Ip6eh {
    fn probe(&self, config: ConfigId) -> Option<Probe> {
        self.probes.get(config.index()).copied().flatten()
    }
}

export_plugin!(measurements: [Ip6eh], chains: [Headers]);

#[cfg(test)]
mod tests;
