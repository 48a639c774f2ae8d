//! Whether a path carries SYNs that ask for Multipath TCP (RFC 8684), and what becomes of the option.
//!
//! A: an ordinary SYN. B: the same with `MP_CAPABLE`. C, the control: the same with option 253 in its
//! place, which nobody knows. What drops C drops what it does not know, and what sends 253 back sends
//! everything back.
//!
//! All are forged. The kernel's own Multipath TCP tries an ordinary SYN when some were lost, and so works
//! where every SYN with the option is dropped; after that it asks for Multipath TCP no more for an hour.
//!
//! From here, a target that has not got Multipath TCP looks like a path that takes the option off. Only
//! what routers quote tells them apart.

mod chain;

use pathspider_plugin_api::chains::{basic, syn, tcp};
use pathspider_plugin_api::forge::ordinary_mss;
use pathspider_plugin_api::prelude::*;

use chain::mptcp;

const PLAIN: Configuration = Configuration::new(0, "plain").hold(Hold::Initiation);
const MPTCP: Configuration = Configuration::new(1, "mp_capable").hold(Hold::Initiation);
const CONTROL: Configuration = Configuration::new(2, "option 253").hold(Hold::Initiation);

conditions! {
    CONNECTIVITY: connectivity("mptcp");
    CONTROLLED: connectivity("mptcp.control");
    AGREED: good("mptcp.negotiation.succeeded", "the SYN/ACK in B had MP_CAPABLE with a key");
    NONE: unknown(
        "mptcp.negotiation.none",
        "the SYN/ACK in B had no MP_CAPABLE: the target does not support it, or the path removed it"
    );
    OTHER: absent("mptcp.negotiation.version:<version>", "the target wants another version");
    KEYLESS: impaired(
        "mptcp.negotiation.keyless",
        "the SYN/ACK in B had MP_CAPABLE of version 1 without a key"
    );
    MIRRORED: impaired("mptcp.negotiation.mirrored", "the SYN/ACK in B had our own MP_CAPABLE");
    STRIPPED: impaired(
        "mptcp.location.stripped",
        "a router's quote shows that MP_CAPABLE was removed on the way out"
    );
    ALL_MIRRORED: impaired("mptcp.control.mirrored", "the SYN/ACK in C had our own option 253");
}

/// `MP_CAPABLE` of a SYN (RFC 8684, section 3.1): subtype 0, version 1, and the flag for HMAC-SHA256.
const MP_CAPABLE: (u8, [u8; 2]) = (mptcp::KIND, [0x01, 0x01]);
/// An experiment of nobody's (RFC 6994), of the same length.
const UNKNOWN: (u8, [u8; 2]) = (mptcp::UNKNOWN_KIND, [0x70, 0x73]);

/// The measurement of one run.
pub struct Mptcp {
    connection: Connect,
}

impl Measurement for Mptcp {
    fn info() -> Info {
        info!("mptcp", "Multipath TCP (RFC 8684): connectivity, negotiation")
            .forges()
            .conditions(CONDITIONS)
    }

    fn options() -> Options {
        Options::none().connect(&[ConnectKind::Syn]).timeout()
    }

    fn new(options: &OptionValues, _: Host) -> Result<Self> {
        Ok(Mptcp { connection: options.connection()? })
    }

    fn configurations(&self) -> Vec<Configuration> {
        vec![PLAIN, MPTCP, CONTROL]
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list([basic::CHAIN, tcp::CHAIN, syn::CHAIN, mptcp::CHAIN])
    }

    fn connect(&self, attempt: &Attempt<'_>) -> Result<Connect> {
        let [high, low] = ordinary_mss(attempt.job().target()).to_be_bytes();
        // MSS and SACK.
        let mut options = vec![2, 4, high, low, 4, 2];
        if let Some((kind, value)) = option(attempt.config()) {
            options.extend([kind, value.len() as u8 + 2]);
            options.extend(value);
        }
        Ok(self.connection.clone().tcp_options(&options))
    }

    fn combine(&self, flows: &Flows<'_>) -> Result<Conclusion> {
        let evidence = flows.weigh(|flow| {
            let (syns, meant) = (SentSyns::of(flow)?, option(flow.config()).map(|(kind, _)| kind));
            Some([mptcp::KIND, mptcp::UNKNOWN_KIND].into_iter().all(|kind| {
                if meant == Some(kind) { syns.all_offer(kind) } else { !syns.any_offers(kind) }
            }))
        });
        let compared = |words, config| evidence.compared(words, config, Flow::accepted_syn);
        let control = evidence.of(CONTROL).filter(|flow| flow.has(mptcp::MIRRORED));
        let drawn = [
            compared(CONNECTIVITY, MPTCP),
            compared(CONTROLLED, CONTROL),
            evidence.of(MPTCP).and_then(negotiation),
            control.map(|_| ALL_MIRRORED),
        ];
        Ok(evidence.conclude(drawn.into_iter().flatten()))
    }

    fn located(&self, _: &Flows<'_>, location: &Location) -> Result<Vec<Condition>> {
        let field = format!("tcpopt-{}", mptcp::KIND);
        let is_stripped = location.config() == ConfigId::from(&MPTCP)
            && location.changes().any(|change| change.field == field && change.is.is_null());
        Ok(is_stripped.then_some(STRIPPED).into_iter().collect())
    }
}

/// The option that tells a configuration's SYN from an ordinary one.
fn option(config: ConfigId) -> Option<(u8, [u8; 2])> {
    match config {
        config if config == MPTCP => Some(MP_CAPABLE),
        config if config == CONTROL => Some(UNKNOWN),
        _ => None,
    }
}

/// What the SYN/ACK says; nothing where there was none.
fn negotiation(b: Flow<'_>) -> Option<Condition> {
    let is_mirrored = b.get(mptcp::MIRRORED)?;
    Some(match b.get(mptcp::VERSION) {
        _ if is_mirrored => MIRRORED,
        None => NONE,
        Some(1) if b.has(mptcp::KEY) => AGREED,
        Some(1) => KEYLESS,
        Some(version) => OTHER.with(version),
    })
}

export_plugin!(measurements: [Mptcp], chains: [chain::MptcpChain]);

#[cfg(test)]
mod tests;
