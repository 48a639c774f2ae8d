//! Answers that come in by another interface than the one that packets leave by.
//!
//! The connections' sockets are bound to that interface, and where the kernel filters reverse paths
//! (`rp_filter`) it drops such a packet before any socket. Either way the target seems not to have
//! answered. So the other interfaces are listened at for what could be an answer: each has a filter of
//! its own that lets nothing else through, and nothing is read before the run's end. Packets of the
//! measured interface cost nothing more.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use pathspider_plugin_api::packet::place::{ipv4, ipv6};
use pcap::{Active, Capture, Device, Direction};

/// Other interfaces that are listened at, at the most.
const MOST: usize = 8;

/// Octets of a packet that are kept: the headers.
const SNAPLEN: i32 = 128;

/// Octets that the kernel may keep for each interface.
const BUFFER: i32 = 1 << 18;

/// The port of DNS, which targets of any measurement may have.
const DNS: u16 = 53;

/// Interfaces at which answers should not come in.
pub struct Elsewhere {
    listening: Vec<Listening>,
}

/// One of them, and how many packets it had counted before its filter was there.
struct Listening {
    interface: String,
    capture: Capture<Active>,
    before: u32,
}

/// What came in there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strays {
    /// How many packets.
    pub count: u64,
    /// The interface of the first ones.
    pub interface: String,
    /// Who sent the first one, where that could be read.
    pub from: Option<IpAddr>,
}

impl Elsewhere {
    /// Listens for answers to the addresses of `interface` at all others. `port`: where datagrams that
    /// are answers come from. What cannot be listened at is left out: it is for a hint alone.
    pub fn open(interface: &str, port: u16) -> Elsewhere {
        let devices = Device::list().unwrap_or_default();
        let own = devices.iter().find(|device| device.name == interface);
        let addresses = own.iter().flat_map(|device| &device.addresses).map(|address| address.addr);
        let addresses: Vec<IpAddr> = addresses.filter(|address| !is_of_the_link(address)).collect();
        if addresses.is_empty() {
            return Elsewhere { listening: Vec::new() };
        }
        let program = program(&addresses, port);
        let related = related(Path::new("/sys/class/net"), interface);
        let others = devices.iter().filter(|device| {
            device.flags.is_up()
                && !device.flags.is_loopback()
                && !device.addresses.is_empty()
                && !related.contains(&device.name)
        });
        let listening = others.filter_map(|device| listen(&device.name, &program).ok());
        Elsewhere { listening: listening.take(MOST).collect() }
    }

    /// What came in since then; `None` if no packet did.
    pub fn close(self) -> Option<Strays> {
        let mut found: Option<Strays> = None;
        for Listening { interface, mut capture, before } in self.listening {
            let received = capture.stats().map_or(0, |stats| stats.received);
            let count = u64::from(received.saturating_sub(before));
            if count == 0 {
                continue;
            }
            match &mut found {
                Some(found) => found.count += count,
                none => {
                    let link = capture.get_datalink();
                    let first = capture.next_packet().ok();
                    let from = first.and_then(|packet| source(link.0, packet.data));
                    *none = Some(Strays { count, interface, from });
                }
            }
        }
        found
    }
}

fn listen(name: &str, program: &str) -> Result<Listening, pcap::Error> {
    let capture = Capture::from_device(name)?.snaplen(SNAPLEN).buffer_size(BUFFER).timeout(1);
    let mut capture = capture.open()?.setnonblock()?;
    capture.filter(program, true)?;
    capture.direction(Direction::In)?;
    let before = capture.stats()?.received;
    Ok(Listening { interface: name.to_owned(), capture, before })
}

/// Neighbours on a link answer by it whatever address they were asked from.
fn is_of_the_link(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// What could be an answer: a SYN with ACK, or a datagram from that port or DNS's, to one of these
/// addresses.
fn program(addresses: &[IpAddr], port: u16) -> String {
    let terms = addresses.iter().map(|address| match address {
        IpAddr::V4(v4) => format!(
            "(ip dst host {v4} and (tcp[tcpflags] & (tcp-syn|tcp-ack) == (tcp-syn|tcp-ack) \
             or udp src port {port} or udp src port {DNS}))"
        ),
        // libpcap knows the flags of TCP in IPv4 alone: octet 13 after a fixed header of 40.
        IpAddr::V6(v6) => format!(
            "(ip6 dst host {v6} and (ip6[6] == 6 and ip6[53] & 0x12 == 0x12 or udp src port {port} \
             or udp src port {DNS}))"
        ),
    });
    terms.collect::<Vec<_>>().join(" or ")
}

/// The interfaces that packets of this one pass too: those below it (of a bridge, a bond, a VLAN), and
/// those that stand upon it.
fn related(folder: &Path, interface: &str) -> Vec<String> {
    let mut found = vec![interface.to_owned()];
    let mut at = 0;
    while let Some(name) = found.get(at) {
        let links = fs::read_dir(folder.join(name)).into_iter().flatten().flatten();
        let names = links.filter_map(|link| {
            let name = link.file_name().into_string().ok()?;
            let other = name.strip_prefix("lower_").or_else(|| name.strip_prefix("upper_"))?;
            Some(other.to_owned())
        });
        let new: Vec<String> = names.filter(|name| !found.contains(name)).collect();
        found.extend(new);
        at += 1;
    }
    found
}

/// The source of an IP packet within a frame of Ethernet, or without one.
fn source(link: i32, frame: &[u8]) -> Option<IpAddr> {
    const ETHERNET: i32 = 1;
    /// Octets of its header: both addresses and the type.
    const ETHERNET_HEADER: usize = 14;
    let packet = if link == ETHERNET { frame.get(ETHERNET_HEADER..)? } else { frame };
    match packet.first()? >> 4 {
        4 => Some(Ipv4Addr::from(*packet.get(ipv4::SOURCE..)?.first_chunk::<4>()?).into()),
        6 => Some(Ipv6Addr::from(*packet.get(ipv6::SOURCE..)?.first_chunk::<16>()?).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// libpcap's own number of raw IP; files have another.
    const RAW: i32 = 12;

    #[test]
    fn what_passes_two_interfaces_is_not_elsewhere() {
        let folder =
            std::env::temp_dir().join(format!("pathspider-related-{}", std::process::id()));
        for link in
            ["br0/lower_bond0", "bond0/upper_br0", "bond0/lower_eth0", "eth0/upper_bond0", "eth1"]
        {
            fs::create_dir_all(folder.join(link)).unwrap();
        }
        let related = |name: &str| {
            let mut related = related(&folder, name);
            related.sort_unstable();
            related
        };
        for name in ["br0", "bond0", "eth0"] {
            assert_eq!(related(name), ["bond0", "br0", "eth0"], "{name}");
        }
        assert_eq!(related("eth1"), ["eth1"]);
        assert_eq!(related("none"), ["none"]);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_filter_lets_answers_through_and_nothing_else() {
        let addresses = ["192.0.2.1", "2001:db8::1"].map(|address| address.parse().unwrap());
        let dead = Capture::dead(pcap::Linktype(RAW)).unwrap();
        let program = dead.compile(&program(&addresses, 80), true).unwrap();
        let v4 = |destination: [u8; 4], flags: u8| {
            let mut packet = vec![0; 40];
            (packet[0], packet[3], packet[9]) = (0x45, 40, 6);
            packet[16..20].copy_from_slice(&destination);
            (packet[32], packet[33]) = (0x50, flags);
            packet
        };
        let v6 = |next: u8, source_port: u8, flags: u8| {
            let mut packet = vec![0; 60];
            (packet[0], packet[5], packet[6]) = (0x60, 20, next);
            packet[24..40].copy_from_slice(&"2001:db8::1".parse::<Ipv6Addr>().unwrap().octets());
            (packet[41], packet[52], packet[53]) = (source_port, 0x50, flags);
            packet
        };
        for (packet, passes) in [
            (v4([192, 0, 2, 1], 0x12), true),
            (v4([192, 0, 2, 1], 0x52), true),
            (v4([192, 0, 2, 1], 0x02), false),
            (v4([192, 0, 2, 1], 0x10), false),
            (v4([192, 0, 2, 2], 0x12), false),
            (v6(6, 80, 0x12), true),
            (v6(6, 80, 0x02), false),
            (v6(17, 53, 0), true),
            (v6(17, 80, 0), true),
            (v6(17, 54, 0), false),
        ] {
            assert_eq!(program.filter(&packet), passes, "{packet:?}");
        }
    }

    #[test]
    fn the_sender_is_read() {
        let mut packet = [0; 60];
        packet[0] = 0x45;
        packet[12..16].copy_from_slice(&[192, 0, 2, 1]);
        assert_eq!(source(12, &packet), "192.0.2.1".parse().ok());
        assert_eq!(source(12, &packet[..13]), None);
        assert_eq!(source(1, &packet[..13]), None);
    }
}
