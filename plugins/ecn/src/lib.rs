//! Whether a path carries TCP connections that negotiate Explicit Congestion Notification
//! (RFC 3168).
//!
//! A: an ordinary SYN. B: a SYN with ECE and CWR (an "ECN-setup SYN", section 6.1.1). The kernel
//! decides at the SYN, so a configuration has to hold for the initiation only.
//!
//! Nothing is concluded from a configuration whose SYNs were not all sent as it demands. In B the
//! kernel's fallback (repeating an unanswered ECN-setup SYN without ECN, section 6.1.1.1) is off:
//! with it, a path that drops ECN looks as if it worked.

use pathspider_plugin_api::packet::TcpFlags;
use pathspider_plugin_api::{
    ChainName, Condition, ConfigId, Configuration, Connect, ConnectKind, Evidence, Hold, Host,
    Info, Job, Measurement, OptionValues, Options, Prepared, Record, Result, SentSyns, System,
    export_plugin,
};

/// The flags that ask for ECN on a SYN, and answer on a SYN/ACK.
const ECN_FLAGS: TcpFlags = TcpFlags(TcpFlags::ECE.0 | TcpFlags::CWR.0);

/// The experiment, B.
const ECN: ConfigId = ConfigId::new(1);

/// The ECN measurement of one run.
pub struct Ecn {
    connection: Connect,
}

impl Measurement for Ecn {
    fn info() -> Info {
        let info = Info::new(
            "ecn",
            env!("CARGO_PKG_VERSION"),
            "Explicit Congestion Notification: connectivity, negotiation, marks",
        )
        .contact(env!("CARGO_PKG_REPOSITORY"))
        .changes_system()
        .connectivity("ecn")
        .condition("ecn.negotiation.succeeded", "the SYN/ACK to the ECN-setup SYN had ECE, not CWR")
        .condition("ecn.negotiation.reflected", "that SYN/ACK had both ECE and CWR")
        .condition("ecn.negotiation.failed", "that SYN/ACK did not have ECE");
        ["ect0", "ect1", "ce"].iter().fold(info, |info, mark| {
            info.condition(
                &format!("ecn.ipmark.{mark}.seen"),
                "a packet of the target had this mark in B",
            )
            .condition(
                &format!("ecn.ipmark.{mark}.not_seen"),
                "packets of the target were seen in B, none with this mark",
            )
        })
    }

    fn options() -> Options {
        use ConnectKind::{DnsTcp, Http, Https, Tcp};
        Options::none().connect(&[Http, Https, Tcp, DnsTcp]).timeout()
    }

    fn new(options: &OptionValues, _host: Host) -> Result<Self> {
        Ok(Ecn { connection: options.connection()? })
    }

    fn configurations(&self) -> Vec<Configuration> {
        ["no ecn", "ecn"].map(|label| Configuration::new(label).hold(Hold::Initiation)).into()
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list(&["basic", "tcp", "ecn", "syn"])
    }

    fn default_port(&self) -> u16 {
        self.connection.kind().default_port()
    }

    fn configure(&self, config: ConfigId, system: &mut System<'_>) -> Result<()> {
        // 2: answer ECN, do not ask for it; 1: ask for it too.
        let ask = if config == ConfigId::BASELINE { 2 } else { 1 };
        system.sysctl("net.ipv4.tcp_ecn_fallback", 0)?;
        system.sysctl("net.ipv4.tcp_ecn", ask)
    }

    fn connect(&self, _job: &Job, _prepared: &Prepared, _config: ConfigId) -> Result<Connect> {
        Ok(self.connection.clone())
    }

    fn combine(&self, _job: &Job, flows: &[Record]) -> Result<Vec<Condition>> {
        let evidence = Evidence::weigh(flows, |config, flow| {
            let syns = SentSyns::of(flow)?;
            Some(match config {
                ConfigId::BASELINE => !syns.any_has(ECN_FLAGS),
                _ => syns.all_have(ECN_FLAGS),
            })
        });
        let mut conditions = Vec::from_iter(evidence.connectivity("ecn", ECN));
        if let Some(b) = evidence.flow(ECN) {
            conditions.extend(negotiation(b));
            conditions.extend(marks(b));
        }
        Ok(evidence.conclude(conditions))
    }
}

/// The answer to the ECN-setup SYN (RFC 3168, section 6.1.1), where there was a handshake: also
/// when no response followed it.
fn negotiation(b: &Record) -> Option<Condition> {
    if b.bool("tcp_connected") != Some(true) {
        return None;
    }
    let answer = TcpFlags(b.u64("tcp_synflags_rev")? as u16);
    Some(Condition::new(match (answer.has(TcpFlags::ECE), answer.has(TcpFlags::CWR)) {
        (true, false) => "ecn.negotiation.succeeded",
        (true, true) => "ecn.negotiation.reflected",
        (false, _) => "ecn.negotiation.failed",
    }))
}

/// The marks on packets from the target; nothing where none was seen.
fn marks(b: &Record) -> Vec<Condition> {
    let ended = ["tcp_rst_rev", "tcp_fin_rev"].iter().any(|key| b.bool(key) == Some(true));
    if b.u64("tcp_synflags_rev").is_none() && !ended {
        return Vec::new();
    }
    let seen = |mark: &str| {
        ["syn", "data"].iter().any(|part| b.bool(&format!("ecn_{mark}_{part}_rev")) == Some(true))
    };
    ["ect0", "ect1", "ce"]
        .iter()
        .map(|mark| {
            let word = if seen(mark) { "seen" } else { "not_seen" };
            Condition::new(format!("ecn.ipmark.{mark}.{word}"))
        })
        .collect()
}

export_plugin!(Ecn);

#[cfg(test)]
mod tests;
