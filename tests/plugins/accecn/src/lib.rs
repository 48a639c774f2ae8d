//! Whether a path carries the handshake of Accurate ECN (RFC 9768), which no released kernel makes.
//!
//! A: an ordinary handshake. B: the SYN has AE, CWR and ECE, and the third packet says by its ACE
//! field which mark the SYN/ACK arrived with. Both are conversations.

mod chain;

use std::time::Duration;

use pathspider_plugin_api::chains::{basic, syn, tcp};
use pathspider_plugin_api::conversation::tcp::{Segment, TcpClient, TcpExchange};
use pathspider_plugin_api::packet::{Packet, TcpFlags};
use pathspider_plugin_api::prelude::*;

use chain::accecn;

const PLAIN: Configuration = Configuration::new(0, "plain").hold(Hold::Initiation);
const ACCECN: Configuration = Configuration::new(1, "accecn").hold(Hold::Initiation);

conditions! {
    CONNECTIVITY: connectivity("accecn");
    ACCURATE: good("accecn.negotiation.accurate", "the target agreed to Accurate ECN in B");
    CLASSIC: absent("accecn.negotiation.classic", "it agreed to ECN of RFC 3168");
    NONE: absent("accecn.negotiation.none", "it agreed to neither");
    REFLECTED: impaired("accecn.negotiation.reflected", "it, or the path, sent the three bits back");
}

/// The three bits of the SYN, and of the ACE field afterwards.
const ALL: TcpFlags = TcpFlags::AE.and(TcpFlags::CWR).and(TcpFlags::ECE);

/// What the three bits of a SYN/ACK say, as a number (RFC 9768, table 2).
const REFUSED: u8 = 0;
const CLASSICAL: u8 = 1;
const SENT_BACK: u8 = 7;

struct AccEcn {
    timeout: Duration,
}

impl Measurement for AccEcn {
    fn info() -> Info {
        info!("accecn", "Accurate ECN: connectivity, negotiation")
            .converses()
            .conditions(CONDITIONS)
    }

    fn options() -> Options {
        Options::none().timeout()
    }

    fn new(options: &OptionValues, _: Host) -> Result<Self> {
        Ok(AccEcn { timeout: options.timeout()? })
    }

    fn configurations(&self) -> Vec<Configuration> {
        vec![PLAIN, ACCECN]
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list([basic::CHAIN, tcp::CHAIN, syn::CHAIN, accecn::CHAIN])
    }

    fn connect(&self, attempt: &Attempt<'_>) -> Result<Connect> {
        let handshake = Handshake { asks: attempt.is(ACCECN), ..Handshake::default() };
        Ok(Connect::conversation(TcpClient::new(handshake)).timeout(self.timeout))
    }

    fn combine(&self, flows: &Flows<'_>) -> Result<Conclusion> {
        let evidence = flows.weigh(|flow| {
            let syns = SentSyns::of(flow)?;
            Some(if flow.is(ACCECN) { syns.all_have(ALL) } else { !syns.any_has(ALL) })
        });
        let verdict = evidence.compared(CONNECTIVITY, ACCECN, |flow| flow.has(tcp::CONNECTED));
        let answer = evidence.of(ACCECN).and_then(|flow| flow.get(accecn::ANSWER));
        let negotiation = answer.map(|bits| match bits {
            REFUSED => NONE,
            CLASSICAL => CLASSIC,
            SENT_BACK => REFLECTED,
            _ => ACCURATE,
        });
        Ok(evidence.conclude(verdict.into_iter().chain(negotiation)))
    }
}

/// A handshake, which closes at once.
#[derive(Default)]
struct Handshake {
    asks: bool,
    /// Whether the target agreed.
    is_agreed: bool,
    /// The ACE field of the third packet.
    third: Option<u8>,
}

impl TcpExchange for Handshake {
    fn outgoing(&mut self, segment: &mut Segment) {
        if segment.has(TcpFlags::SYN) && self.asks {
            segment.set(ALL);
        } else if let Some(ace) = self.third.take() {
            segment.set_ace(ace);
        } else if self.is_agreed {
            // Counters begin at 5, and no packet with CE came (RFC 9768, section 3.2.1).
            segment.set_ace(5);
        }
    }

    fn incoming(&mut self, packet: &Packet<'_>) {
        let answer = packet.tcp().filter(|tcp| tcp.has(TcpFlags::SYN) && self.asks);
        let bits = answer.map_or(REFUSED, |tcp| chain::ace(tcp.flags()));
        if ![REFUSED, CLASSICAL, SENT_BACK].contains(&bits) {
            self.is_agreed = true;
            // By the IP field's value: Not-ECT, ECT(1), ECT(0), CE (RFC 9768, table 3).
            self.third = Some([0b010, 0b011, 0b100, 0b110][usize::from(packet.ip().ecn())]);
        }
    }
}

export_plugin!(measurements: [AccEcn], chains: [chain::AccEcnChain]);

#[cfg(test)]
mod tests;
