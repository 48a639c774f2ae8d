//! Owns what each action does to a packet. Time, chance and memory are handed in.

use std::time::Duration;

use super::Time;
use super::draw::Draw;
use super::memory::Memory;
use super::path::{Router, Traveller, Way};
use crate::packet::{Packet, Quote, Reply, TcpOption, flag};
use crate::scenario::{Action, ForgeResponse, ForgeSegment, OptionText};

/// What becomes of a packet that met a rule.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It goes on.
    Pass,
    /// It ends here.
    Drop,
    /// It goes on at this time.
    Hold(Time),
    /// It goes on when others have gone by, at the latest at this time.
    HoldBehind(u32, Time),
}

/// What an action may use.
pub(super) struct Scene<'a> {
    pub(super) now: Time,
    pub(super) router: &'a Router,
    pub(super) draw: Draw,
    pub(super) memory: &'a mut Memory,
    /// Further packets that come of it, to be sent on their way.
    pub(super) more: &'a mut Vec<Traveller>,
}

const JITTER: u64 = 1;

impl Scene<'_> {
    /// Does `action` to the packet.
    pub(super) fn act(&mut self, action: &Action, traveller: &mut Traveller) -> Verdict {
        match action {
            Action::Drop => Verdict::Drop,
            Action::Reset => self.reset(traveller),
            Action::Table(table) => {
                let lasts = Duration::from_millis(table.millis.into());
                let is_new = traveller.packet.is_syn();
                if !is_new || self.memory.take_place(self.now, table.places, lasts) {
                    Verdict::Pass
                } else {
                    self.reset(traveller)
                }
            }
            Action::Icmp(icmp) => {
                let quote = icmp.quote.map_or(Quote::Most, Quote::Bytes);
                let router = self.router.address_for(&traveller.packet);
                let mut about = traveller.packet.clone();
                about.add_to_tcp_numbers(icmp.off, 0);
                let mut error = about.icmp_error(router, icmp.error, icmp.mtu, quote);
                if let Some(error) = &mut error {
                    error.set_dscp(icmp.dscp);
                }
                self.more.extend(error.map(|error| traveller.answered_with(error)));
                if icmp.pass { Verdict::Pass } else { Verdict::Drop }
            }
            Action::Delay(delay) => {
                let jitter = f64::from(delay.jitter_millis) * self.draw.fraction(JITTER);
                let millis = f64::from(delay.millis) + jitter;
                Verdict::Hold(self.now + Duration::from_secs_f64(millis / 1000.0))
            }
            Action::Reorder(reorder) => {
                let latest = self.now + Duration::from_millis(reorder.at_most_millis.into());
                Verdict::HoldBehind(reorder.behind, latest)
            }
            Action::Duplicate(times) => {
                let copy = traveller.clone().past_rule();
                self.more.extend(std::iter::repeat_n(copy, usize::from(*times)));
                Verdict::Pass
            }
            Action::Rate(rate) => {
                let key = (traveller.target, traveller.way);
                let enough = self.memory.take_token(key, self.now, rate.per_second, rate.burst);
                if enough { Verdict::Pass } else { Verdict::Drop }
            }
            Action::ForgeSegment(forge) => {
                let segment = forged_segment(&traveller.packet, forge);
                let own = traveller.packet.ports().map_or(0, |(port, _)| port.into());
                let ports = forge.ports.as_ref().map_or(own..=own, |ports| ports.0.clone());
                for port in ports {
                    let mut copy = segment.clone();
                    if let Some(copy) = &mut copy {
                        copy.set_destination(copy.destination(), u16::try_from(port).ok());
                    }
                    self.more.extend(copy.map(|copy| traveller.answered_with(copy)));
                }
                Verdict::Pass
            }
            Action::ForgeResponse(forge) => {
                let ForgeResponse { id_off, other_question, dscp } = *forge;
                let mut response = traveller.packet.dns_reply(id_off, other_question);
                if let Some(response) = &mut response {
                    response.set_dscp(dscp);
                }
                self.more.extend(response.map(|response| traveller.answered_with(response)));
                Verdict::Pass
            }
            Action::Reflect(action) => {
                let mut copy = traveller.clone();
                self.edit(action, &mut copy);
                self.more.push(traveller.answered_with(copy.packet));
                Verdict::Pass
            }
            Action::Fragment(size) => {
                self.replace(traveller, traveller.packet.fragments((*size).into()));
                Verdict::Pass
            }
            Action::FragmentReversed(size) => {
                let mut fragments = traveller.packet.fragments((*size).into());
                fragments.reverse();
                self.replace(traveller, fragments);
                Verdict::Pass
            }
            Action::Segment(size) => {
                self.replace(traveller, traveller.packet.segments((*size).into()));
                Verdict::Pass
            }
            Action::SplitSynData => {
                if let Some(segment) = traveller.packet.split_syn_data() {
                    self.more.push(Traveller { packet: segment, ..traveller.clone() }.past_rule());
                }
                Verdict::Pass
            }
            _ => {
                self.edit(action, traveller);
                Verdict::Pass
            }
        }
    }

    /// Answers a packet with a reset, and ends it.
    fn reset(&mut self, traveller: &Traveller) -> Verdict {
        let reset = traveller.packet.reset();
        self.more.extend(reset.map(|reset| traveller.answered_with(reset)));
        Verdict::Drop
    }

    /// Has these packets go on in the place of one, in their order.
    fn replace(&mut self, traveller: &mut Traveller, packets: Vec<Packet>) {
        let mut packets = packets.into_iter();
        if let Some(first) = packets.next() {
            traveller.packet = first;
        }
        let others = packets.map(|packet| Traveller { packet, ..traveller.clone() }.past_rule());
        self.more.extend(others);
    }

    /// Does an action that only changes the packet.
    fn edit(&mut self, action: &Action, traveller: &mut Traveller) {
        let (target, way) = (traveller.target, traveller.way);
        let packet = &mut traveller.packet;
        match action {
            Action::Dscp(dscp) => packet.set_dscp(*dscp),
            Action::BleachPrecedence => packet.bleach_precedence(),
            Action::Ecn(ecn) => packet.set_ecn(ecn.bits()),
            Action::TcpFlags(edit) => {
                if let Some(flags) = packet.tcp_flags() {
                    packet.set_tcp_flags((flags | edit.0.set) & !edit.0.clear);
                }
            }
            Action::UrgentPointer(pointer) => packet.set_urgent_pointer(*pointer),
            Action::BlankOption(kind) => packet.blank_tcp_option(*kind),
            Action::RemoveOption(kind) => edit_options(packet, |options| {
                let before = options.len();
                options.retain(|option| option.kind != *kind);
                options.len() != before
            }),
            Action::ReplaceOption(text) => edit_options(packet, |options| {
                let mut same = options.iter_mut().filter(|option| option.kind == text.kind);
                let first = same.next().map(|option| option.value.clone_from(&text.value));
                first.is_some()
            }),
            Action::AddOption(text) => edit_options(packet, |options| {
                options.push(option(text));
                true
            }),
            Action::ClampMss(most) => packet.clamp_mss(*most),
            Action::ClearEvil => packet.set_evil(false),
            Action::SetEvil => packet.set_evil(true),
            Action::StripSynData if packet.is_syn() => drop(packet.take_data()),
            Action::FillUdpChecksum => packet.set_udp_checksum(false),
            Action::ZeroUdpChecksum => packet.set_udp_checksum(true),
            Action::ReflectFlags(_) | Action::MirrorOptions | Action::MirrorOption(_)
                if way == Way::Forward =>
            {
                self.memory.remember_syn(target, packet);
            }
            Action::ReflectFlags(which) => {
                let both = flag::SYN | flag::ACK;
                let flags = packet.tcp_flags().filter(|flags| flags & both == both);
                if let (Some(flags), Some(syn)) = (flags, self.memory.recall_syn(target, packet)) {
                    packet.set_tcp_flags((flags & !which.set) | (syn.flags & which.set));
                }
            }
            Action::MirrorOptions => {
                let answers = packet.tcp_flags().is_some_and(|flags| flags & flag::SYN != 0);
                if let Some(syn) = self.memory.recall_syn(target, packet).filter(|_| answers) {
                    packet.splice_tcp_options(&syn.options);
                }
            }
            Action::MirrorOption(kind) => {
                let answers = packet.tcp_flags().is_some_and(|flags| flags & flag::SYN != 0);
                let syn = self.memory.recall_syn(target, packet).filter(|_| answers);
                let sent = syn.and_then(|syn| TcpOption::of(*kind, &syn.options));
                edit_options(packet, |options| {
                    options.retain(|option| sent.is_none() || option.kind != *kind);
                    options.extend(sent.clone());
                    sent.is_some()
                });
            }
            Action::Further(hops) => packet.set_ttl(packet.ttl().saturating_sub(*hops).max(1)),
            Action::StripSurplus => packet.strip_surplus(),
            Action::Nat(nat) if way == Way::Reverse => {
                self.memory.translate_in(packet, target, nat.quotes);
            }
            Action::Nat(nat) => {
                let same_version = |a: &&std::net::IpAddr| a.is_ipv6() == packet.is_ipv6();
                if let Some(&outside) = nat.sources.iter().find(same_version) {
                    self.memory.translate_out(packet, target, outside, nat.ports);
                }
            }
            // Those that do more than edit were done before.
            _ => {}
        }
    }
}

/// Edits the options of a TCP packet; the packet is written anew only if `edit` says so.
fn edit_options(packet: &mut Packet, edit: impl FnOnce(&mut Vec<TcpOption>) -> bool) {
    if packet.is_tcp() {
        let mut options = packet.parsed_tcp_options();
        if edit(&mut options) {
            packet.set_tcp_options(&options);
        }
    }
}

/// The segment that the other end would answer with, but for what is forged.
fn forged_segment(packet: &Packet, forge: &ForgeSegment) -> Option<Packet> {
    let data = forge.data.clone().into_bytes();
    let reply = Reply { flags: forge.flags.set, options: Vec::new(), data };
    let mut segment = packet.tcp_reply(&reply)?;
    segment.add_to_tcp_numbers(forge.sequence_off, forge.acknowledgment_off);
    segment.set_dscp(forge.dscp);
    Some(segment)
}

/// An option as written, as a packet carries it.
pub(super) fn option(text: &OptionText) -> TcpOption {
    TcpOption { kind: text.kind, value: text.value.clone() }
}
