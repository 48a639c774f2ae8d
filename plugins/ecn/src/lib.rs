//! Whether a path carries TCP connections that negotiate Explicit Congestion Notification
//! (RFC 3168).
//!
//! A: an ordinary SYN. B: a SYN with ECE and CWR (an "ECN-setup SYN", section 6.1.1). The kernel
//! decides at the SYN, so a configuration has to hold for the initiation only.
//!
//! Nothing is concluded from a configuration whose SYNs were not all sent as it demands. In B the
//! kernel's fallback (repeating an unanswered ECN-setup SYN without ECN, section 6.1.1.1) is off:
//! with it, a path that drops ECN looks as if it worked.

use pathspider_plugin_api::chains::{basic, ecn, syn, tcp};
use pathspider_plugin_api::packet::TcpFlags;
use pathspider_plugin_api::prelude::*;

const PLAIN: Configuration = Configuration::new(0, "no ecn").hold(Hold::Initiation);
const ECN: Configuration = Configuration::new(1, "ecn").hold(Hold::Initiation);

conditions! {
    CONNECTIVITY: connectivity("ecn");
    SUCCEEDED: good("ecn.negotiation.succeeded", "the SYN/ACK to the ECN-setup SYN had ECE, not CWR");
    REFLECTED: impaired("ecn.negotiation.reflected", "that SYN/ACK had both ECE and CWR");
    FAILED: absent("ecn.negotiation.failed", "that SYN/ACK did not have ECE");
    SEEN: good("ecn.ipmark.<ect0|ect1|ce>.seen", "a packet of the target had this mark in B");
    NOT_SEEN: unknown(
        "ecn.ipmark.<ect0|ect1|ce>.not_seen",
        "packets of the target were seen in B, none with this mark"
    );
}

/// The flags that ask for ECN on a SYN, and answer on a SYN/ACK.
const ECN_FLAGS: TcpFlags = TcpFlags::ECE.and(TcpFlags::CWR);

/// The ECN measurement of one run.
pub struct Ecn {
    connection: Connect,
}

impl Measurement for Ecn {
    fn info() -> Info {
        info!("ecn", "Explicit Congestion Notification: connectivity, negotiation, marks")
            .changes_system()
            .conditions(CONDITIONS)
    }

    fn options() -> Options {
        use ConnectKind::{DnsTcp, Http, Https, Tcp};
        Options::none().connect(&[Http, Https, Tcp, DnsTcp]).timeout()
    }

    fn new(options: &OptionValues, _: Host) -> Result<Self> {
        Ok(Ecn { connection: options.connection()? })
    }

    fn configurations(&self) -> Vec<Configuration> {
        vec![PLAIN, ECN]
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list([basic::CHAIN, tcp::CHAIN, ecn::CHAIN, syn::CHAIN])
    }

    fn configure(&self, config: ConfigId, system: &mut System<'_>) -> Result<()> {
        // 2: answer ECN, do not ask for it; 1: ask for it too.
        system.sysctl("net.ipv4.tcp_ecn_fallback", 0)?;
        system.sysctl("net.ipv4.tcp_ecn", if config == ECN { 1 } else { 2 })
    }

    fn connect(&self, _: &Attempt<'_>) -> Result<Connect> {
        Ok(self.connection.clone())
    }

    fn combine(&self, flows: &Flows<'_>) -> Result<Conclusion> {
        let evidence = flows.weigh(|flow| {
            let syns = SentSyns::of(flow)?;
            Some(match flow.is(ECN) {
                true => syns.all_have(ECN_FLAGS) && !syns.any_has(TcpFlags::AE),
                false => !syns.any_has(TcpFlags::ASK_FOR_ECN),
            })
        });
        let mut conditions = Vec::from_iter(evidence.connectivity(CONNECTIVITY, ECN));
        if let Some(b) = evidence.of(ECN) {
            conditions.extend(negotiation(b));
            conditions.extend(marks(b));
        }
        Ok(evidence.conclude(conditions))
    }
}

/// The answer to the ECN-setup SYN (RFC 3168, section 6.1.1), where there was a handshake: also
/// when no response followed it.
fn negotiation(b: Flow<'_>) -> Option<Condition> {
    let answer = b.get(tcp::SYNFLAGS_REV).filter(|_| b.has(tcp::CONNECTED))?;
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
