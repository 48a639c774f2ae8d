//! Owns how a rule is written: which packets it is for, how often, and what it does to them.

use std::net::IpAddr;

use serde::Deserialize;

use super::{Ecn, Flags, Prefix, Protocol, Span};
use crate::packet::IcmpError;

/// Something that happens to packets at one hop.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RuleText {
    /// At which router, counted from 1 at the vantage point's side.
    pub hop: u8,
    /// On which way.
    #[serde(default)]
    pub direction: Direction,
    /// To which packets; all, if left out.
    #[serde(default, rename = "match")]
    pub matching: Match,
    /// Only to the first so many that match, counted for each target.
    pub first: Option<u32>,
    /// Only with this probability, 0 to 1, decided by the scenario's seed.
    pub probability: Option<f64>,
    /// Only on one of two branches of the way out, chosen by what is said.
    pub branch: Option<Branch>,
    /// What is done.
    pub action: Action,
    /// Whether checksums are left wrong by it.
    #[serde(default)]
    pub leave_checksums: bool,
}

/// What chooses between two branches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Branch {
    /// Flows take turns, each as its first packet comes.
    Flow,
    /// Packets that match take turns.
    Packet,
}

/// The way a packet goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// From the vantage point to the target.
    #[default]
    Forward,
    /// From the target to the vantage point.
    Reverse,
    /// Both ways.
    Both,
}

/// Which packets a rule is for: those that are all that is stated.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Match {
    /// The number of the vantage point, on either way.
    pub vantage: Option<u8>,
    /// A network that the target's address is in, on either way; or the address itself.
    pub address: Option<Prefix>,
    /// The transport protocol.
    pub protocol: Option<Protocol>,
    /// TCP flags.
    pub flags: Option<Flags>,
    /// The DSCP, or any of a range.
    pub dscp: Option<Span>,
    /// The ECN field, any of these.
    pub ecn: Option<Vec<Ecn>>,
    /// A TCP option's kind that is present.
    pub option: Option<u8>,
    /// How many NOPs there are among the TCP options.
    pub nops: Option<Span>,
    /// How many bytes of TCP options there are.
    pub options_size: Option<Span>,
    /// The packet's length in bytes.
    pub size: Option<Span>,
    /// The target's port, on either way.
    pub port: Option<Span>,
    /// Whether the transport carries data.
    pub data: Option<bool>,
    /// A text that is somewhere in the transport's data.
    pub contains: Option<String>,
    /// Whether the packet is a fragment.
    pub fragment: Option<bool>,
    /// Whether the reserved flag of IPv4 is set.
    pub evil: Option<bool>,
    /// Whether the UDP checksum is zero.
    pub zero_checksum: Option<bool>,
    /// Whether something follows a UDP datagram in its packet.
    pub surplus: Option<bool>,
    /// Whether the UDP checksum is right over all of the packet's payload, whatever UDP's length is.
    pub whole_checksum: Option<bool>,
    /// The number of an IPv6 extension header that is present.
    pub extension: Option<u8>,
    /// How many bytes of IPv6 extension headers there are.
    pub extensions_size: Option<Span>,
    /// IPv6's flow label.
    pub flow_label: Option<Span>,
    /// The number of an extension that a ClientHello has, where one begins the TCP data.
    pub tls_extension: Option<u16>,
    /// The version in a long header of QUIC that begins the datagram.
    pub quic_version: Option<Span>,
    /// Whether the datagram begins with a long header of QUIC.
    pub quic_long: Option<bool>,
    /// Whether it begins with the bit that QUIC fixes to 1.
    pub quic_fixed_bit: Option<bool>,
}

/// What is done to a packet.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Dropped.
    Drop,
    /// Dropped, and its sender gets a reset that seems to come from the other end.
    Reset,
    /// Dropped, and its sender gets an ICMP error from the router.
    Icmp(IcmpAction),
    /// Held for a time.
    Delay(DelayAction),
    /// Held until later packets of the same target and direction have gone by.
    Reorder(ReorderAction),
    /// Sent this many times more.
    Duplicate(u8),
    /// Cut into fragments of IP that carry this many bytes each, in units of eight.
    Fragment(u16),
    /// The same, the last fragment first.
    FragmentReversed(u16),
    /// TCP data sent in segments of this many bytes.
    Segment(u16),
    /// Dropped when there are too many, counted for each target.
    Rate(RateAction),
    /// A SYN takes a place in a table of connections, counted over all targets. Where there is none, it
    /// is answered with a reset.
    Table(TableAction),
    /// DSCP set.
    Dscp(u8),
    /// The three bits of the old ToS precedence cleared, the lower three of DSCP left.
    BleachPrecedence,
    /// ECN field set.
    Ecn(Ecn),
    /// TCP flags set and cleared.
    TcpFlags(TcpFlagsEdit),
    /// TCP's urgent pointer set; the flag is set apart.
    UrgentPointer(u16),
    /// On a SYN/ACK, these flags set as they were on the SYN.
    ReflectFlags(Flags),
    /// A TCP option replaced with padding.
    BlankOption(u8),
    /// A TCP option removed, the header made shorter.
    RemoveOption(u8),
    /// A TCP option's value replaced where it is present.
    ReplaceOption(OptionText),
    /// A TCP option added.
    AddOption(OptionText),
    /// On a SYN/ACK, the SYN's own options sent back.
    MirrorOptions,
    /// On a SYN/ACK, the SYN's own option of this kind sent back, and no other.
    MirrorOption(u8),
    /// The packet goes through this many routers more, which say nothing.
    Further(u8),
    /// What follows a UDP datagram in its packet taken off.
    StripSurplus,
    /// The MSS option lowered to this.
    ClampMss(u16),
    /// The reserved flag of IPv4 cleared.
    ClearEvil,
    /// The reserved flag of IPv4 set.
    SetEvil,
    /// Data on a SYN taken off.
    StripSynData,
    /// Data on a SYN sent as a segment of its own.
    SplitSynData,
    /// The UDP checksum computed anew, also where it was zero.
    FillUdpChecksum,
    /// The UDP checksum set to zero.
    ZeroUdpChecksum,
    /// Source address, and port, replaced on the way out and put back on the way in.
    Nat(NatAction),
    /// A segment in the other end's name comes back; the packet goes on.
    ForgeSegment(ForgeSegment),
    /// A DNS response in the other end's name comes back; the packet goes on.
    ForgeResponse(ForgeResponse),
    /// The packet itself comes back with this done to it; as it is, it goes on too.
    Reflect(Box<Action>),
}

impl Action {
    /// Whether it acts on one way by what it saw on the other.
    pub fn remembers(&self) -> bool {
        self.answers_syns() || matches!(self, Action::Nat(_))
    }

    /// The only protocol whose packets it changes, where there is one.
    pub fn protocol(&self) -> Option<Protocol> {
        match self {
            Action::Segment(_)
            | Action::Table(_)
            | Action::TcpFlags(_)
            | Action::UrgentPointer(_)
            | Action::ReflectFlags(_)
            | Action::BlankOption(_)
            | Action::RemoveOption(_)
            | Action::ReplaceOption(_)
            | Action::AddOption(_)
            | Action::MirrorOptions
            | Action::MirrorOption(_)
            | Action::ClampMss(_)
            | Action::StripSynData
            | Action::SplitSynData
            | Action::ForgeSegment(_) => Some(Protocol::Tcp),
            Action::FillUdpChecksum
            | Action::ZeroUdpChecksum
            | Action::StripSurplus
            | Action::ForgeResponse(_) => Some(Protocol::Udp),
            // What is no TCP ends without a reset.
            Action::Drop
            | Action::Reset
            | Action::Icmp(_)
            | Action::Delay(_)
            | Action::Reorder(_)
            | Action::Duplicate(_)
            | Action::Fragment(_)
            | Action::FragmentReversed(_)
            | Action::Rate(_)
            | Action::Dscp(_)
            | Action::BleachPrecedence
            | Action::Ecn(_)
            | Action::ClearEvil
            | Action::SetEvil
            | Action::Further(_)
            | Action::Nat(_)
            | Action::Reflect(_) => None,
        }
    }

    /// Whether it acts on a SYN/ACK by what the SYN had, so that it has to meet both.
    pub fn answers_syns(&self) -> bool {
        matches!(self, Action::ReflectFlags(_) | Action::MirrorOptions | Action::MirrorOption(_))
    }
}

/// An ICMP error.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct IcmpAction {
    /// Which.
    pub error: IcmpError,
    /// How many bytes of the packet it quotes; as many as may be, if left out.
    pub quote: Option<usize>,
    /// For `too-big`: what fits.
    #[serde(default = "smallest_mtu")]
    pub mtu: u16,
    /// Whether the packet itself goes on.
    #[serde(default)]
    pub pass: bool,
    /// The code point that the router gives its error.
    #[serde(default)]
    pub dscp: u8,
    /// How far the sequence number in the quote of a TCP segment is off.
    #[serde(default)]
    pub off: u32,
}

/// A forged TCP segment, which would be right but for what is said.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ForgeSegment {
    /// Its flags.
    pub flags: Flags,
    /// How far its sequence number is off.
    #[serde(default)]
    pub sequence_off: u32,
    /// How far its acknowledgment number is off.
    #[serde(default)]
    pub acknowledgment_off: u32,
    /// Its code point.
    #[serde(default)]
    pub dscp: u8,
    /// Its data.
    #[serde(default)]
    pub data: String,
    /// The ports of the vantage point that get one each, instead of the packet's own.
    pub ports: Option<Span>,
}

/// A forged response to a DNS query over UDP, which would be right but for what is said.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ForgeResponse {
    /// How far its identifier is off.
    #[serde(default)]
    pub id_off: u16,
    /// Whether its question is of another class.
    #[serde(default)]
    pub other_question: bool,
    /// Its code point.
    #[serde(default)]
    pub dscp: u8,
}

/// A delay.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DelayAction {
    /// Milliseconds every packet is held.
    pub millis: u32,
    /// Milliseconds more at most, by the scenario's seed; packets may overtake each other.
    #[serde(default)]
    pub jitter_millis: u32,
}

/// Reordering.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ReorderAction {
    /// How many packets go by first.
    pub behind: u32,
    /// Milliseconds after which it goes on all the same.
    #[serde(default = "hundred")]
    pub at_most_millis: u32,
}

/// A rate limit: a bucket of `burst` packets that fills at `per_second`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RateAction {
    /// Packets a second.
    pub per_second: f64,
    /// Packets at once.
    pub burst: f64,
}

/// A table of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TableAction {
    /// How many it holds.
    pub places: usize,
    /// Milliseconds after which a place is free again.
    pub millis: u32,
}

/// Flags to set and to clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct TcpFlagsEdit(pub Flags);

/// A TCP option.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OptionText {
    /// Its kind.
    pub kind: u8,
    /// Its value's bytes.
    pub value: Vec<u8>,
}

/// Address translation. A rule with it serves both ways.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NatAction {
    /// The addresses put in the source's place, one of a version at most.
    pub sources: Vec<IpAddr>,
    /// Whether ports are rewritten too.
    #[serde(default)]
    pub ports: bool,
    /// Whether the packets that ICMP errors quote are put back too.
    #[serde(default)]
    pub quotes: bool,
}

/// A scripted answer to TCP segments; the packet answered goes no further.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RespondRule {
    /// To which packets.
    #[serde(default, rename = "match")]
    pub matching: Match,
    /// The flags of the answer; without, there is none and the packet is swallowed.
    pub flags: Option<Flags>,
    /// The options of the answer.
    #[serde(default)]
    pub options: Vec<OptionText>,
    /// The text it carries.
    #[serde(default)]
    pub data: String,
}

fn smallest_mtu() -> u16 {
    1280
}

fn hundred() -> u32 {
    100
}
