//! Whether a path carries TCP connections that negotiate Explicit Congestion Notification
//! (RFC 3168).
//!
//! A: an ordinary SYN. B: a SYN with ECE and CWR (an "ECN-setup SYN", section 6.1.1). The kernel
//! decides at the SYN, so a configuration has to hold for the initiation only.
//!
//! Nothing is concluded from a configuration whose SYNs were not all sent as it demands. In B the
//! kernel's fallback (repeating an unanswered ECN-setup SYN without ECN, section 6.1.1.1) is off:
//! with it, a path that drops ECN looks as if it worked.
//!
//! With `--connect syn`, A and B are SYNs of the measurement's own: no setting of the system is behind
//! them.
//!
//! With `--ce`, C: a conversation that negotiates ECN and sends data with CE, which no socket can do. A
//! target that uses ECN says ECE then.

mod congested;

use std::time::Duration;

use pathspider_plugin_api::Class;
use pathspider_plugin_api::chains::{accecn, basic, ecn, syn, tcp};
use pathspider_plugin_api::conversation::tcp::TcpClient;
use pathspider_plugin_api::forge::{HttpRequest, dns_query, identifier};
use pathspider_plugin_api::packet::TcpFlags;
use pathspider_plugin_api::prelude::*;

use congested::Congested;

const PLAIN: Configuration = Configuration::new(0, "no ecn").hold(Hold::Initiation);
const ECN: Configuration = Configuration::new(1, "ecn").hold(Hold::Initiation);
const CE: Configuration =
    Configuration::new(2, "ce on data").hold(Hold::Initiation).carrier(Carrier::Data);

conditions! {
    CONNECTIVITY: connectivity("ecn");
    SUCCEEDED: good("ecn.negotiation.succeeded", "the SYN/ACK to the ECN-setup SYN had ECE, not CWR");
    REFLECTED: impaired("ecn.negotiation.reflected", "that SYN/ACK had both ECE and CWR");
    FAILED: absent("ecn.negotiation.failed", "that SYN/ACK did not have ECE");
    SEEN: good("ecn.ipmark.<ect0|ect1|ce>.seen", "a packet of the target had this mark in B");
    NOT_SEEN: unknown(
        "ecn.ipmark.<ect0|ect1|ce>.not_seen",
        "packets of the target were seen in B, and none had this mark"
    );
    ECHOED: good("ecn.ce.echoed", "a segment that acknowledged data with CE had ECE");
    IGNORED: unknown(
        "ecn.ce.ignored",
        "no segment that acknowledged data with CE had ECE: the target does not echo CE, or the \
         path cleared CE or ECE"
    );
    UNACKNOWLEDGED: unknown("ecn.ce.unacknowledged", "nothing acknowledged data with CE");
}

/// The flag that asks for C.
const CE_FLAG: &str = "ce";

/// The flags that ask for ECN on a SYN, and answer on a SYN/ACK.
const ECN_FLAGS: TcpFlags = TcpFlags::ECE.and(TcpFlags::CWR);

/// The ECN measurement of one run.
pub struct Ecn {
    host: Host,
    connection: Connect,
    timeout: Duration,
    /// Whether there is a C.
    marks: bool,
}

impl Measurement for Ecn {
    fn info() -> Info {
        info!("ecn", "Explicit Congestion Notification: connectivity, negotiation, marks")
            .changes_system()
            .converses_with(CE_FLAG)
            .conditions(CONDITIONS)
    }

    fn options() -> Options {
        use ConnectKind::{DnsTcp, Http, Https, Syn, Tcp};
        Options::none().connect(&[Http, Https, Tcp, DnsTcp, Syn]).timeout().flag(
            CE_FLAG,
            "Also send data with CE in a connection that negotiates ECN, and see whether that is \
             echoed",
        )
    }

    fn new(options: &OptionValues, host: Host) -> Result<Self> {
        let (connection, timeout) = (options.connection()?, options.timeout()?);
        Ok(Ecn { host, connection, timeout, marks: options.flag(CE_FLAG)? })
    }

    fn configurations(&self) -> Vec<Configuration> {
        let marks = self.marks.then_some(CE);
        [PLAIN, ECN].into_iter().chain(marks).collect()
    }

    fn chains(&self) -> Vec<ChainName> {
        let marks = self.marks.then_some(accecn::CHAIN);
        let all = [basic::CHAIN, tcp::CHAIN, ecn::CHAIN, syn::CHAIN];
        ChainName::list(all.into_iter().chain(marks))
    }

    fn configure(&self, config: ConfigId, system: &mut System<'_>) -> Result<()> {
        if self.is_forged() {
            return Ok(());
        }
        // 2: answer ECN, do not ask for it; 1: ask for it too.
        system.sysctl("net.ipv4.tcp_ecn_fallback", 0)?;
        system.sysctl("net.ipv4.tcp_ecn", if config == ECN { 1 } else { 2 })
    }

    fn connect(&self, attempt: &Attempt<'_>) -> Result<Connect> {
        if !attempt.is(CE) {
            let connection = self.connection.clone();
            let asks = self.is_forged() && attempt.is(ECN);
            return Ok(if asks { connection.tcp_flags(ECN_FLAGS) } else { connection });
        }
        let job = attempt.job();
        let request = match self.connection.kind() {
            ConnectKind::DnsTcp => {
                let query = dns_query(job.domain().unwrap_or("."), identifier())?;
                // RFC 1035, section 4.2.2.
                [&(query.len() as u16).to_be_bytes(), &query[..]].concat()
            }
            // Over TLS it is no request, and is acknowledged all the same.
            _ => HttpRequest::get(job, &self.host).octets()?,
        };
        let client = TcpClient::new(Congested::new(request));
        Ok(Connect::conversation(client).timeout(self.timeout))
    }

    fn combine(&self, flows: &Flows<'_>) -> Result<Conclusion> {
        let evidence = flows.weigh(|flow| {
            let syns = SentSyns::of(flow)?;
            Some(if flow.is(PLAIN) {
                !syns.any_has(TcpFlags::ASK_FOR_ECN)
            } else {
                syns.all_have(ECN_FLAGS) && !syns.any_has(TcpFlags::AE)
            })
        });
        let mut conditions = Vec::with_capacity(8);
        conditions.extend(evidence.connectivity(CONNECTIVITY, ECN));
        if let Some(b) = evidence.of(ECN) {
            conditions.extend(negotiation(b));
            let marks = marks(b).into_iter();
            // The target sends no data, which alone have marks; a SYN/ACK gets one on the way.
            let says = |mark: &Condition| !self.is_forged() || mark.class() == Class::Good;
            conditions.extend(marks.filter(says));
        }
        if self.marks {
            conditions.extend(evidence.of(CE).and_then(echo));
        }
        Ok(evidence.conclude(conditions))
    }
}

impl Ecn {
    /// Whether A and B are SYNs that nobody goes on with.
    fn is_forged(&self) -> bool {
        self.connection.kind() == ConnectKind::Syn
    }
}

/// Whether CE on data was echoed, where data left with it and with nothing else.
fn echo(c: Flow<'_>) -> Option<Condition> {
    let others = [accecn::SENT_NOT_ECT, accecn::SENT_ECT1, accecn::SENT_ECT0];
    let sent = |field| c.get(field).unwrap_or(0);
    if sent(accecn::SENT_CE) == 0 || others.into_iter().any(|field| sent(field) > 0) {
        return None;
    }
    Some(match c.get(accecn::ECE_AFTER) {
        Some(true) => ECHOED,
        Some(false) => IGNORED,
        None => UNACKNOWLEDGED,
    })
}

/// The answer to the ECN-setup SYN (RFC 3168, section 6.1.1), where there was a handshake: also
/// when no response followed it.
fn negotiation(b: Flow<'_>) -> Option<Condition> {
    let answer = b.get(tcp::SYNFLAGS_REV).filter(|_| b.shook_hands())?;
    Some(match (answer.has(TcpFlags::ECE), answer.has(TcpFlags::CWR)) {
        (true, false) => SUCCEEDED,
        (true, true) => REFLECTED,
        (false, _) => FAILED,
    })
}

/// The marks on packets from the target; nothing where none was seen.
fn marks(b: Flow<'_>) -> Vec<Condition> {
    let ended = b.has(tcp::RST_REV) || b.has(tcp::FIN_REV);
    if b.get(tcp::SYNFLAGS_REV).is_none() && !ended {
        return Vec::new();
    }
    [
        ("ect0", ecn::ECT0_SYN_REV, ecn::ECT0_DATA_REV),
        ("ect1", ecn::ECT1_SYN_REV, ecn::ECT1_DATA_REV),
        ("ce", ecn::CE_SYN_REV, ecn::CE_DATA_REV),
    ]
    .map(|(mark, syn, data)| if b.has(syn) || b.has(data) { SEEN } else { NOT_SEEN }.of(mark))
    .into()
}

export_plugin!(Ecn);

#[cfg(test)]
mod tests;
