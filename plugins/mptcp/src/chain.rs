//! The chain: which option of the SYN/ACK answers that of the SYN.

use pathspider_plugin_api::packet::{Direction, Layers, Packet, Tcp, TcpFlags};
use pathspider_plugin_api::{Chain, ChainInfo, Fields, Verdict};

/// What the chain writes.
pub(crate) mod mptcp {
    use pathspider_plugin_api::packet::tcp_option;

    /// The TCP option of Multipath TCP, and one that is free for experiments.
    pub(crate) const KIND: u8 = tcp_option::MULTIPATH;
    pub(crate) const UNKNOWN_KIND: u8 = tcp_option::EXPERIMENTS[0];

    pathspider_plugin_api::fields! {
        pub(crate) CHAIN = "mptcp": "how the first SYN/ACK answers options 30 and 253 of the SYN";
        MIRRORED: bool = "mptcp_mirrored": "the SYN/ACK has the SYN's own option; null without SYN/ACK";
        VERSION: u8 = "mptcp_version": "the version of the SYN/ACK's MP_CAPABLE; null if it has none";
        KEY: bool = "mptcp_key": "the SYN/ACK's MP_CAPABLE has a key; null if it has none";
    }
}

/// The chain.
#[derive(Default)]
pub(crate) struct MptcpChain;

/// What is remembered of a flow.
#[derive(Default)]
pub(crate) struct Seen {
    /// Kind and value of the SYN's option.
    sent: Option<(u8, [u8; 2])>,
    answer: Option<Answer>,
}

struct Answer {
    is_mirrored: bool,
    /// Of its MP_CAPABLE: the version, and whether there is a key.
    capable: Option<(u8, bool)>,
}

/// The SYN's option.
fn asked(syn: &Tcp<'_>) -> Option<(u8, [u8; 2])> {
    let kinds = [mptcp::KIND, mptcp::UNKNOWN_KIND];
    let option = syn.options().find(|option| kinds.contains(&option.kind))?;
    Some((option.kind, option.data.try_into().ok()?))
}

fn answer(syn_ack: &Tcp<'_>, sent: Option<(u8, [u8; 2])>) -> Answer {
    let is_same = |(kind, value): (u8, [u8; 2])| {
        syn_ack.option(kind).is_some_and(|option| option.data == value)
    };
    // Subtype and version are one octet; a key has eight (RFC 8684, section 3.1).
    let capable = syn_ack.option(mptcp::KIND).and_then(|option| match option.data {
        [first, _, key @ ..] if first >> 4 == 0 => Some((first & 0x0f, key.len() == 8)),
        _ => None,
    });
    Answer { is_mirrored: sent.is_some_and(is_same), capable }
}

impl Chain for MptcpChain {
    type Flow = Seen;
    const LAYERS: Layers = Layers::TCP;

    fn info() -> ChainInfo {
        mptcp::CHAIN.into()
    }

    fn new_flow(&self, _: &Packet<'_>) -> Option<Seen> {
        Some(Seen::default())
    }

    fn tcp(&self, flow: &mut Seen, tcp: &Tcp<'_>, packet: &Packet<'_>) -> Verdict {
        match packet.direction() {
            _ if !tcp.has(TcpFlags::SYN) => {}
            Direction::Forward => flow.sent = asked(tcp),
            Direction::Reverse if tcp.has(TcpFlags::ACK) => {
                flow.answer.get_or_insert_with(|| answer(tcp, flow.sent));
            }
            Direction::Reverse => {}
        }
        Verdict::Continue
    }

    fn finish(&self, flow: Seen, fields: &mut Fields<'_>) {
        let capable = flow.answer.as_ref().and_then(|answer| answer.capable);
        fields.set(mptcp::MIRRORED, flow.answer.map(|answer| answer.is_mirrored));
        fields.set(mptcp::VERSION, capable.map(|(version, _)| version));
        fields.set(mptcp::KEY, capable.map(|(_, has_key)| has_key));
    }
}
