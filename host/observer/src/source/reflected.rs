//! Packets of our own that something sends back: how the capture tells them from those that leave.
//!
//! Both have our address as their source, and on a link without hardware addresses nothing in them
//! tells which is which. The kernel knows, and a packet filter may ask it (`SKF_AD_PKTTYPE`, see
//! Linux's `Documentation/networking/filter.rst`). But a filter has one word only: how many octets
//! are captured. So ours has a packet that comes in from one of our addresses cut off within its
//! transport header, where no other packet is ever cut, and we know it by that.

use std::net::IpAddr;
use std::os::fd::AsFd;

use pathspider_plugin_api::packet::place::{self, tcp, udp};
use socket2::{SockFilter, SockRef};

use super::Frame;
use crate::dissect::{address_v6, be16, be32, has_ports};
use crate::key::Tuple;
use crate::link::Link;

/// Octets of an IPv4 packet that are left: the header, the ports, and less than a UDP header.
const LEFT_V4: usize = place::ipv4::HEADER + udp::HEADER - 1;
/// The same of an IPv6 packet.
const LEFT_V6: usize = place::ipv6::HEADER + udp::HEADER - 1;

/// Octets of a header of Ethernet, and the types of what it carries.
const ETHERNET_HEADER: u32 = 14;
const TYPE_V4: u32 = 0x0800;
const TYPE_V6: u32 = 0x86dd;

/// Addresses that the filter looks for at most. Each takes up to nine instructions of the
/// 4,096 that the kernel allows.
const ADDRESSES: usize = 256;

/// Has packets that come in from one of these addresses cut off. Where it cannot be done, they are
/// captured as ours.
///
/// `snaplen` is how much is captured of all others.
pub(super) fn cut_off(socket: impl AsFd, link: Link, addresses: &[IpAddr], snaplen: u32) {
    let before = match link {
        Link::Ethernet => ETHERNET_HEADER,
        // The filter of a "cooked" capture begins with the IP header too.
        Link::RawIp | Link::Sll | Link::Sll2 => 0,
        // No Linux interface that we connect by has another one.
        _ => return,
    };
    let addresses = &addresses[..addresses.len().min(ADDRESSES)];
    let program = program(addresses, before, snaplen);
    // An old kernel that refuses it captures as it always did.
    let _ = SockRef::from(&socket).attach_filter(&program);
}

/// The instructions, as `linux/bpf_common.h` and `linux/filter.h` number them.
mod code {
    /// Loads a word from a fixed place, or the packet's length.
    pub(super) const LOAD: u16 = 0x20;
    pub(super) const LOAD_LENGTH: u16 = 0x80;
    /// Goes on after this many instructions.
    pub(super) const JUMP: u16 = 0x05;
    /// Goes on after this many if what was loaded equals the constant, or is no less; else after so
    /// many others.
    pub(super) const IF_EQUAL: u16 = 0x15;
    pub(super) const IF_AT_LEAST: u16 = 0x35;
    /// Ends; the constant is how many octets are captured.
    pub(super) const RETURN: u16 = 0x06;

    /// Where the kernel's own knowledge of a packet begins: the first is its EtherType.
    pub(super) const PROTOCOL: u32 = -0x1000_i32 as u32;
    /// Whether the packet leaves or comes, and whether it is for this machine.
    pub(super) const DIRECTION: u32 = PROTOCOL + 4;
    /// The kind of interface.
    pub(super) const HARDWARE: u32 = PROTOCOL + 28;
    /// `ARPHRD_LOOPBACK`: there, all packets come in.
    pub(super) const LOOPBACK: u32 = 772;
    /// `PACKET_OUTGOING`.
    pub(super) const LEAVES: u32 = 4;
}

/// The filter, for packets with this many octets before the IP header.
fn program(addresses: &[IpAddr], before: u32, snaplen: u32) -> Vec<SockFilter> {
    let whole = || instruction(code::RETURN, snaplen);
    let mut program = vec![
        instruction(code::LOAD, code::DIRECTION),
        SockFilter::new(code::IF_EQUAL, 0, 1, code::LEAVES),
        whole(),
        instruction(code::LOAD, code::HARDWARE),
        SockFilter::new(code::IF_EQUAL, 0, 1, code::LOOPBACK),
        whole(),
    ];
    let versions = [
        (TYPE_V4, place::ipv4::SOURCE, LEFT_V4, false),
        (TYPE_V6, place::ipv6::SOURCE, LEFT_V6, true),
    ];
    for (ether_type, source, left, is_v6) in versions {
        let left = before + left as u32;
        let mut compare = vec![
            instruction(code::LOAD_LENGTH, 0),
            // What is shorter is malformed.
            SockFilter::new(code::IF_AT_LEAST, 1, 0, left),
            whole(),
        ];
        for address in addresses.iter().filter(|address| address.is_ipv6() == is_v6) {
            compare.extend(cut_from(*address, before + source as u32, left));
        }
        compare.push(whole());
        program.extend([
            instruction(code::LOAD, code::PROTOCOL),
            SockFilter::new(code::IF_EQUAL, 1, 0, ether_type),
            instruction(code::JUMP, compare.len() as u32),
        ]);
        program.extend(compare);
    }
    program.push(whole());
    program
}

/// Cuts what has this source; goes on with the next instruction otherwise.
fn cut_from(address: IpAddr, at: u32, left: u32) -> Vec<SockFilter> {
    let octets = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let words = octets.as_chunks::<4>().0;
    let mut program = Vec::new();
    for (index, word) in words.iter().enumerate() {
        // To behind the end: two instructions for each word that is left, and the last.
        let rest = 2 * (words.len() - 1 - index) as u8 + 1;
        program.push(instruction(code::LOAD, at + 4 * index as u32));
        program.push(SockFilter::new(code::IF_EQUAL, 0, rest, u32::from_be_bytes(*word)));
    }
    program.push(instruction(code::RETURN, left));
    program
}

fn instruction(code: u16, constant: u32) -> SockFilter {
    SockFilter::new(code, 0, 0, constant)
}

/// Whom a frame was sent to that came from one of our addresses; `None` for every other frame.
///
/// The tuple has the sender's and the receiver's ports, which are 0 where options or extension
/// headers stand before them.
pub(crate) fn sent_back(frame: &Frame<'_>) -> Option<Tuple> {
    if frame.bytes.len() >= frame.wire_length as usize {
        return None;
    }
    let packet = frame.link.ip_packet(frame.bytes).ok()??;
    let (is_v6, protocol, source, destination, transport) =
        match (packet.first()? >> 4, packet.len()) {
            (4, LEFT_V4) => {
                use place::ipv4::{DESTINATION, PROTOCOL, SOURCE, length};
                let [from, to] = [SOURCE, DESTINATION].map(|at| [u64::from(be32(packet, at)), 0]);
                (false, packet[PROTOCOL], from, to, length(packet[0]))
            }
            (6, LEFT_V6) => {
                use place::ipv6::{DESTINATION, HEADER, NEXT_HEADER, SOURCE};
                let [from, to] = [SOURCE, DESTINATION].map(|at| address_v6(packet, at));
                (true, packet[NEXT_HEADER], from, to, HEADER)
            }
            _ => return None,
        };
    let ports = packet.get(transport..transport + 4).filter(|_| has_ports(protocol));
    let port = |at| ports.map_or(0, |ports| be16(ports, at));
    let source_port = port(tcp::SOURCE_PORT);
    let destination_port = port(tcp::DESTINATION_PORT);
    Some(Tuple { is_v6, protocol, source, destination, source_port, destination_port })
}
