//! What of the handshake was on the wire.

use pathspider_plugin_api::packet::{Direction, Layers, Packet, Tcp, TcpFlags};
use pathspider_plugin_api::{Chain, ChainInfo, Fields, Verdict};

/// What the chain writes.
pub(crate) mod accecn {
    pathspider_plugin_api::fields! {
        pub(crate) CHAIN = "accecn": "the handshake of Accurate ECN";
        ANSWER: u8 = "accecn_answer": "the bits AE, CWR, ECE of the first SYN/ACK; null if none";
        MARK: u8 = "accecn_mark": "its ECN field";
        THIRD: u8 = "accecn_third": "the ACE field of our first segment after it; null if none";
    }
}

/// The chain.
#[derive(Default)]
pub(crate) struct AccEcnChain;

#[derive(Default)]
pub(crate) struct Seen {
    answer: Option<(u8, u8)>,
    third: Option<u8>,
}

/// The three bits as a number.
pub(crate) fn ace(flags: TcpFlags) -> u8 {
    let bits = [TcpFlags::ECE, TcpFlags::CWR, TcpFlags::AE];
    bits.into_iter().enumerate().map(|(at, bit)| u8::from(flags.has(bit)) << at).sum()
}

impl Chain for AccEcnChain {
    type Flow = Seen;
    const LAYERS: Layers = Layers::TCP;

    fn info() -> ChainInfo {
        accecn::CHAIN.into()
    }

    fn new_flow(&self, _: &Packet<'_>) -> Option<Seen> {
        Some(Seen::default())
    }

    fn tcp(&self, flow: &mut Seen, tcp: &Tcp<'_>, packet: &Packet<'_>) -> Verdict {
        let is_syn = tcp.has(TcpFlags::SYN);
        match packet.direction() {
            Direction::Reverse if is_syn => {
                flow.answer.get_or_insert((ace(tcp.flags()), packet.ip().ecn()));
            }
            Direction::Forward if !is_syn && flow.answer.is_some() => {
                flow.third.get_or_insert(ace(tcp.flags()));
            }
            _ => {}
        }
        Verdict::Continue
    }

    fn finish(&self, flow: Seen, fields: &mut Fields<'_>) {
        fields.set(accecn::ANSWER, flow.answer.map(|(bits, _)| bits));
        fields.set(accecn::MARK, flow.answer.map(|(_, mark)| mark));
        fields.set(accecn::THIRD, flow.third);
    }
}
