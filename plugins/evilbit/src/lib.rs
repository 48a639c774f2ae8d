//! Whether a path carries IPv4 packets with the reserved flag, the "evil bit" of RFC 3514, and
//! whether the target's packets come with it.
//!
//! A: an ordinary SYN, or DNS query. B: the same with the flag. Both are forged, for no socket sets
//! the flag. IPv6 has no such flag: its targets are skipped.

use std::time::Duration;

use pathspider_plugin_api::chains::{basic, dns, evil, tcp, udp};
use pathspider_plugin_api::forge::{Packet, dns_query, identifier};
use pathspider_plugin_api::prelude::*;

const PLAIN: Configuration = Configuration::new(0, "no flag").hold(Hold::Initiation);
const EVIL: Configuration = Configuration::new(1, "reserved flag").hold(Hold::Initiation);

conditions! {
    CONNECTIVITY: connectivity("evilbit");
    SEEN: good("evilbit.mark.seen", "a packet of the target had the flag in B");
    NOT_SEEN: unknown(
        "evilbit.mark.not_seen",
        "packets of the target were seen in B, and none had the flag"
    );
}

/// What is sent: the words of `--connect`, the default first.
const MODES: [&str; 2] = ["tcpsyn", "dnsudp"];

/// The measurement of one run.
pub struct Evilbit {
    /// Whether DNS queries are sent, not SYNs.
    asks: bool,
    timeout: Duration,
}

impl Measurement for Evilbit {
    fn info() -> Info {
        info!("evilbit", "IPv4's reserved flag (RFC 3514): connectivity, marks on the answer")
            .forges()
            .conditions(CONDITIONS)
    }

    fn options() -> Options {
        Options::none().choice("connect", &MODES, "What to send to each target").timeout()
    }

    fn new(options: &OptionValues, _: Host) -> Result<Self> {
        let asks = options.text("connect")? == Some(MODES[1]);
        Ok(Evilbit { asks, timeout: options.timeout()? })
    }

    fn configurations(&self) -> Vec<Configuration> {
        vec![PLAIN, EVIL]
    }

    fn chains(&self) -> Vec<ChainName> {
        if self.asks {
            ChainName::list([basic::CHAIN, udp::CHAIN, evil::CHAIN, dns::CHAIN])
        } else {
            ChainName::list([basic::CHAIN, tcp::CHAIN, evil::CHAIN])
        }
    }

    fn connect(&self, attempt: &Attempt<'_>) -> Result<Connect> {
        let job = attempt.job();
        if job.target().to_canonical().is_ipv6() {
            return Ok(Connect::skip("IPv6 has no reserved flag"));
        }
        let packet = Packet::to(job.target()).reserved_flag(attempt.is(EVIL));
        let bytes = if self.asks {
            let query = dns_query(job.domain().unwrap_or("."), identifier())?;
            packet.udp(job.port(), &query).bytes()?
        } else {
            packet.tcp_syn(job.port()).mss(1460).bytes()?
        };
        let connect = Connect::packets(vec![bytes], self.timeout).repeat_as_sockets_do();
        Ok(if self.asks { connect.until_done() } else { connect })
    }

    fn combine(&self, flows: &Flows<'_>) -> Result<Conclusion> {
        let sent = if self.asks { evil::DATA_FWD } else { evil::SYN_FWD };
        let evidence = flows.weigh(|flow| flow.get(sent).map(|has_flag| has_flag == flow.is(EVIL)));
        let verdict = evidence.compared(CONNECTIVITY, EVIL, |flow| self.is_answered(flow));
        let mark = evidence.of(EVIL).and_then(mark);
        Ok(evidence.conclude(verdict.into_iter().chain(mark)))
    }
}

impl Evilbit {
    /// Whether the target answered as one that got the packet and serves there.
    fn is_answered(&self, flow: Flow<'_>) -> bool {
        if self.asks { flow.has(dns::RESPONSE_VALID) } else { flow.accepted_syn() }
    }
}

/// The flag on packets from the target; nothing where none was seen.
fn mark(b: Flow<'_>) -> Option<Condition> {
    let seen = [evil::SYN_REV, evil::DATA_REV].map(|field| b.get(field));
    let marked = seen.into_iter().flatten().max()?;
    Some(if marked { SEEN } else { NOT_SEEN })
}

export_plugin!(Evilbit);

#[cfg(test)]
mod tests;
