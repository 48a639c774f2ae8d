//! Whether a path carries IPv4 packets with the reserved flag, the "evil bit" of RFC 3514, and
//! whether the target's packets come with it.
//!
//! A: an ordinary SYN, or DNS query. B: the same with the flag. Both are forged, for no socket sets
//! the flag. IPv6 has no such flag: its targets are skipped.

use std::time::Duration;

use pathspider_plugin_api::forge::{Packet, dns_query, random};
use pathspider_plugin_api::packet::TcpFlags;
use pathspider_plugin_api::{
    ChainName, Condition, ConfigId, Configuration, Connect, Error, Evidence, Hold, Host, Info, Job,
    Measurement, OptionValues, Options, Prepared, Record, Result, export_plugin,
};

/// The configuration whose packets have the flag.
const EVIL: ConfigId = ConfigId::new(1);

/// What is sent: the words of `--connect`, the default first.
const MODES: [(&str, Mode); 2] = [("tcpsyn", Mode::TcpSyn), ("dnsudp", Mode::DnsUdp)];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    TcpSyn,
    DnsUdp,
}

/// The measurement of one run.
pub struct Evilbit {
    mode: Mode,
    timeout: Duration,
}

impl Measurement for Evilbit {
    fn info() -> Info {
        Info::new(
            "evilbit",
            env!("CARGO_PKG_VERSION"),
            "IPv4's reserved flag (RFC 3514): connectivity, marks on the answer",
        )
        .contact(env!("CARGO_PKG_REPOSITORY"))
        .forges()
        .connectivity("evilbit")
        .condition("evilbit.mark.seen", "a packet of the target had the flag in B")
        .condition("evilbit.mark.not_seen", "packets of the target were seen in B, none had it")
    }

    fn options() -> Options {
        let words = MODES.map(|(word, _)| word);
        Options::none().choice("connect", &words, "What to send to each target").timeout()
    }

    fn new(options: &OptionValues, _host: Host) -> Result<Self> {
        let word = options.text("connect")?.unwrap_or_default();
        let mode = MODES.iter().find(|(known, _)| *known == word).map(|(_, mode)| *mode);
        let mode = mode.ok_or_else(|| Error::new(format!("--connect {word}: no such mode")))?;
        Ok(Evilbit { mode, timeout: options.timeout()? })
    }

    fn configurations(&self) -> Vec<Configuration> {
        ["no flag", "reserved flag"]
            .map(|label| Configuration::new(label).hold(Hold::Initiation))
            .into()
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list(match self.mode {
            Mode::TcpSyn => &["basic", "tcp", "evil"],
            Mode::DnsUdp => &["basic", "udp", "evil", "dns"],
        })
    }

    fn default_port(&self) -> u16 {
        match self.mode {
            Mode::TcpSyn => 80,
            Mode::DnsUdp => 53,
        }
    }

    fn connect(&self, job: &Job, _prepared: &Prepared, config: ConfigId) -> Result<Connect> {
        if job.target().to_canonical().is_ipv6() {
            return Ok(Connect::skip("IPv6 has no reserved flag"));
        }
        let packet = Packet::to(job.target()).reserved_flag(config == EVIL);
        let bytes = match self.mode {
            Mode::TcpSyn => packet.tcp_syn(job.port()).mss(1460).bytes()?,
            Mode::DnsUdp => {
                let query = dns_query(job.domain().unwrap_or("."), random() as u16)?;
                packet.udp(job.port(), &query).bytes()?
            }
        };
        Ok(Connect::packets(vec![bytes], self.timeout))
    }

    fn combine(&self, _job: &Job, flows: &[Record]) -> Result<Vec<Condition>> {
        let sent = match self.mode {
            Mode::TcpSyn => "evilbit_syn_fwd",
            Mode::DnsUdp => "evilbit_data_fwd",
        };
        let evidence = Evidence::weigh(flows, |config, flow| {
            flow.bool(sent).map(|has_flag| has_flag == (config == EVIL))
        });
        let mut conditions = Vec::new();
        let (a, b) = (evidence.flow(ConfigId::BASELINE), evidence.flow(EVIL));
        if let (Some(a), Some(b)) = (a, b) {
            let (a, b) = (self.is_answered(a), self.is_answered(b));
            conditions.push(Condition::compared("evilbit", a, b));
        }
        conditions.extend(b.and_then(mark));
        Ok(evidence.conclude(conditions))
    }
}

impl Evilbit {
    /// Whether the target answered as one that got the packet and serves there: any other answer,
    /// such as a RST, may be of whoever would not let it pass.
    fn is_answered(&self, flow: &Record) -> bool {
        match self.mode {
            Mode::TcpSyn => flow
                .u64("tcp_synflags_rev")
                .is_some_and(|flags| TcpFlags(flags as u16).has(TcpFlags::SYN | TcpFlags::ACK)),
            Mode::DnsUdp => flow.bool("dns_response_valid") == Some(true),
        }
    }
}

/// The flag on packets from the target; nothing where none was seen.
fn mark(b: &Record) -> Option<Condition> {
    let seen = ["evilbit_syn_rev", "evilbit_data_rev"].map(|key| b.bool(key));
    let marked = seen.into_iter().flatten().max()?;
    Some(Condition::new(if marked { "evilbit.mark.seen" } else { "evilbit.mark.not_seen" }))
}

export_plugin!(Evilbit);

#[cfg(test)]
mod tests;
