//! Whether a path treats IPv6 packets otherwise by their flow label (RFC 6437), as routers that spread
//! flows over several ways do.
//!
//! A: a SYN, or a DNS query, with the label that all of a target's packets have. B: the same without a
//! label. C: with another one. All are forged, so that nothing else chooses the label.

mod chain;

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use pathspider_plugin_api::Hop;
use pathspider_plugin_api::chains::{basic, dns, icmp, tcp, udp};
use pathspider_plugin_api::forge::{Packet, dns_query, identifier};
use pathspider_plugin_api::prelude::*;

use chain::{Labels, flowlabel};

const STABLE: Configuration = Configuration::new(0, "label").hold(Hold::Initiation);
const NONE: Configuration = Configuration::new(1, "no label").hold(Hold::Initiation);
const OTHER: Configuration = Configuration::new(2, "another label").hold(Hold::Initiation);

conditions! {
    CONNECTIVITY: connectivity(
        "flowlabel.<none|other>",
        "the SYN was accepted, or the query answered"
    );
    HOPS: unknown(
        "flowlabel.<none|other>.hops.differ",
        "the answer came through another number of routers than the answer in A"
    );
    ELSEWHERE: unknown(
        "flowlabel.<none|other>.location.elsewhere:<hop>",
        "at this hop, another router answered than for packets of A with the same ports"
    );
    REFLECTED: unknown(
        "flowlabel.answer.same_label",
        "the answers in A and in C had the labels that were sent"
    );
}

/// What is sent: the words of `--connect`, the default first.
const MODES: [&str; 2] = ["tcpsyn", "dnsudp"];

/// How often packets are sent again at most, once a second: the time-out ends it before.
const REPEATS: u32 = 30;

/// The measurement of one run.
pub struct Flowlabel {
    /// Whether DNS queries are sent, not SYNs.
    asks: bool,
    timeout: Duration,
}

impl Measurement for Flowlabel {
    fn info() -> Info {
        info!("flowlabel", "IPv6 flow labels: connectivity, ways that differ")
            .forges()
            .conditions(CONDITIONS)
    }

    fn options() -> Options {
        Options::none().choice("connect", &MODES, "What to send to each target").timeout()
    }

    fn new(options: &OptionValues, _: Host) -> Result<Self> {
        let asks = options.text("connect")? == Some(MODES[1]);
        Ok(Flowlabel { asks, timeout: options.timeout()? })
    }

    fn configurations(&self) -> Vec<Configuration> {
        vec![STABLE, NONE, OTHER]
    }

    fn chains(&self) -> Vec<ChainName> {
        if self.asks {
            let own = [basic::CHAIN, udp::CHAIN, dns::CHAIN, icmp::CHAIN, flowlabel::CHAIN];
            ChainName::list(own)
        } else {
            ChainName::list([basic::CHAIN, tcp::CHAIN, icmp::CHAIN, flowlabel::CHAIN])
        }
    }

    fn connect(&self, attempt: &Attempt<'_>) -> Result<Connect> {
        let job = attempt.job();
        let IpAddr::V6(target) = job.target().to_canonical() else {
            return Ok(Connect::skip("IPv4 has no flow label"));
        };
        let packet = Packet::to(target.into()).flow_label(label(target, attempt.config()));
        let octets = if self.asks {
            let query = dns_query(job.domain().unwrap_or("."), identifier())?;
            packet.udp(job.port(), &query).bytes()?
        } else {
            packet.tcp_syn(job.port()).mss(1220).bytes()?
        };
        let connect = Connect::packets(vec![octets], self.timeout);
        let connect = connect.repeat(Duration::from_secs(1), REPEATS);
        Ok(if self.asks { connect.until_done() } else { connect })
    }

    fn combine(&self, flows: &Flows<'_>) -> Result<Conclusion> {
        let IpAddr::V6(target) = flows.job().target().to_canonical() else {
            return Ok(Conclusion::none());
        };
        let evidence = flows.weigh(|flow| {
            let meant = label(target, flow.config());
            Some(flow.get(flowlabel::SENT)? == meant && flow.has(flowlabel::SENT_SAME))
        });
        let worked = |flow: Flow<'_>| {
            if self.asks { flow.has(dns::RESPONSE_VALID) } else { flow.accepted_syn() }
        };
        let mut conditions = Vec::new();
        for (one, word) in [(NONE, "none"), (OTHER, "other")] {
            let verdict = evidence.compared(CONNECTIVITY, &one, worked);
            conditions.extend(verdict.map(|verdict| verdict.of(word)));
            // A reset may be of whoever would not let it pass.
            let hops = [STABLE, one].map(|one| {
                let flow = evidence.of(one).filter(|flow| worked(*flow));
                flow.and_then(|flow| flow.get(flowlabel::TTL))
            });
            if let [Some(a), Some(b)] = hops
                && a != b
            {
                conditions.push(HOPS.of(word));
            }
        }
        let is_reflected = [STABLE, OTHER].into_iter().all(|one| {
            let came = evidence.of(&one).and_then(|flow| flow.get(flowlabel::CAME));
            came == Some(label(target, one.into()))
        });
        conditions.extend(is_reflected.then_some(REFLECTED));
        Ok(evidence.conclude(conditions))
    }

    fn located(&self, _: &Flows<'_>, location: &Location) -> Result<Vec<Condition>> {
        let word = match location.config() {
            config if config == NONE => "none",
            config if config == OTHER => "other",
            _ => return Ok(Vec::new()),
        };
        let differs = |hop: &Hop| hop.baseline.zip(hop.experiment).is_some_and(|(a, b)| a != b);
        let elsewhere = location.hops().find(differs);
        Ok(elsewhere.map(|hop| ELSEWHERE.of(word).with(hop.number)).into_iter().collect())
    }
}

/// The label of a target's packets in a configuration.
fn label(target: Ipv6Addr, config: ConfigId) -> u32 {
    const HALF: u32 = 0x8_0000;
    let sum = target
        .octets()
        .iter()
        .fold(0x811c_9dc5_u32, |sum, octet| (sum ^ u32::from(*octet)).wrapping_mul(0x0100_0193));
    // Not 0, and in the lower half of all labels.
    let stable = sum >> 13 & (HALF - 1) | 1;
    match config {
        config if config == NONE => 0,
        config if config == OTHER => stable | HALF,
        _ => stable,
    }
}

export_plugin!(measurements: [Flowlabel], chains: [Labels]);

#[cfg(test)]
mod tests;
