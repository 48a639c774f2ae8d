//! `syn`: what every SYN of a flow carried, so that a measurement can prove what it sent.
//!
//! The kernel may repeat a SYN with other flags and options than the first (Linux's
//! `tcp_ecn_fallback`, for one). What all SYNs have in common was certainly sent; what none has
//! certainly was not.

use pathspider_plugin_api::packet::{Layers, Packet, Tcp, TcpFlags};
use pathspider_plugin_api::{Chain, ChainInfo, FieldType, FlowRecord, Value, Verdict};

use super::fields::{Both, Fields, side};

const FIELDS: Fields<10> = Fields([
    ("syn_count_fwd", FieldType::UInt, "packets", "SYNs from the originator"),
    ("syn_count_rev", FieldType::UInt, "packets", "SYNs to the originator"),
    (
        "syn_flags_all_fwd",
        FieldType::UInt,
        "",
        "flags (AE is 256) that every SYN from the originator has; null without SYN",
    ),
    (
        "syn_flags_all_rev",
        FieldType::UInt,
        "",
        "flags that every SYN to the originator has; null without SYN",
    ),
    (
        "syn_flags_any_fwd",
        FieldType::UInt,
        "",
        "flags that some SYN from the originator has; null without SYN",
    ),
    (
        "syn_flags_any_rev",
        FieldType::UInt,
        "",
        "flags that some SYN to the originator has; null without SYN",
    ),
    (
        "syn_options_all_fwd",
        FieldType::List,
        "",
        "kinds of options that every SYN from the originator has, sorted; null without SYN",
    ),
    (
        "syn_options_all_rev",
        FieldType::List,
        "",
        "kinds of options that every SYN to the originator has, sorted; null without SYN",
    ),
    (
        "syn_options_any_fwd",
        FieldType::List,
        "",
        "kinds of options that some SYN from the originator has, sorted; null without SYN",
    ),
    (
        "syn_options_any_rev",
        FieldType::List,
        "",
        "kinds of options that some SYN to the originator has, sorted; null without SYN",
    ),
]);

/// The chain `syn`.
#[derive(Default)]
pub struct Syn;

/// What `syn` remembers of one direction.
#[derive(Default)]
pub struct Side {
    count: u32,
    flags_all: TcpFlags,
    flags_any: TcpFlags,
    options_all: Kinds,
    options_any: Kinds,
}

/// A set of option kinds.
#[derive(Default, Clone, Copy)]
struct Kinds([u64; 4]);

impl Chain for Syn {
    type Flow = Both<Side>;
    const LAYERS: Layers = Layers::TCP;

    fn info() -> ChainInfo {
        FIELDS.info("syn", "flags and options of all SYNs, repeated ones included")
    }

    fn new_flow(&self, _: &Packet<'_>) -> Option<Both<Side>> {
        Some(Default::default())
    }

    fn tcp(&self, flow: &mut Both<Side>, tcp: &Tcp<'_>, packet: &Packet<'_>) -> Verdict {
        let side = side(packet);
        // The originator's SYN/ACK answers a SYN that crossed its own: it is no repeated one.
        let crossed = side == 0 && tcp.has(TcpFlags::ACK) && flow[0].seen();
        if tcp.has(TcpFlags::SYN) && !crossed {
            flow[side].note(tcp);
        }
        Verdict::Continue
    }

    fn finish(&self, [forward, reverse]: Both<Side>, record: &mut FlowRecord) {
        let flags = |side: &Side, flags: TcpFlags| Value::from(side.seen().then_some(flags.0));
        let kinds = |side: &Side, kinds: Kinds| Value::from(side.seen().then(|| kinds.list()));
        FIELDS.write(
            record,
            [
                forward.count.into(),
                reverse.count.into(),
                flags(&forward, forward.flags_all),
                flags(&reverse, reverse.flags_all),
                flags(&forward, forward.flags_any),
                flags(&reverse, reverse.flags_any),
                kinds(&forward, forward.options_all),
                kinds(&reverse, reverse.options_all),
                kinds(&forward, forward.options_any),
                kinds(&reverse, reverse.options_any),
            ],
        );
    }
}

impl Side {
    fn note(&mut self, tcp: &Tcp<'_>) {
        let mut options = Kinds::default();
        for option in tcp.options() {
            options.add(option.kind);
        }
        if !self.seen() {
            (self.flags_all, self.options_all) = (tcp.flags(), options);
        }
        self.flags_all = self.flags_all & tcp.flags();
        self.flags_any = self.flags_any | tcp.flags();
        for (word, other) in options.0.into_iter().enumerate() {
            self.options_all.0[word] &= other;
            self.options_any.0[word] |= other;
        }
        self.count = self.count.saturating_add(1);
    }

    fn seen(&self) -> bool {
        self.count > 0
    }
}

impl Kinds {
    fn add(&mut self, kind: u8) {
        self.0[usize::from(kind >> 6)] |= 1 << (kind & 63);
    }

    fn list(self) -> Value {
        let words = self.0.into_iter().zip((0..).step_by(64));
        words.flat_map(|(word, first)| bits(word).map(move |bit| first + bit)).collect()
    }
}

/// The places of the bits that are set, the lowest first.
fn bits(mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let lowest = word.trailing_zeros();
        (word != 0).then(|| {
            word &= word - 1;
            lowest
        })
    })
}
