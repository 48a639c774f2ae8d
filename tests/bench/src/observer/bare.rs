//! The bare loop: the least that an observer of flows does. libpcap reads each packet, etherparse slices its
//! headers, and one hash table has its flow.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;

use anyhow::Result;
use etherparse::{LaxNetSlice, LaxSlicedPacket, TransportSlice};
use foldhash::fast::RandomState;
use pcap::{Capture, Error};

/// Both ends of a flow, the lower one first, and its protocol.
type Key = ([(IpAddr, u16); 2], u8);

/// Reads a capture, and counts its flows and the packets of each.
pub(crate) fn run(path: &Path) -> Result<()> {
    let mut capture = Capture::from_file(path)?;
    let mut flows: HashMap<Key, u64, RandomState> = HashMap::default();
    let mut others = 0_u64;
    loop {
        match capture.next_packet() {
            Ok(packet) => match key(packet.data) {
                Some(key) => *flows.entry(key).or_default() += 1,
                None => others += 1,
            },
            Err(Error::NoMorePackets) => break,
            Err(error) => return Err(error.into()),
        }
    }
    let packets: u64 = flows.values().sum();
    println!("{packets} packets of {} flows, {others} others", flows.len());
    Ok(())
}

fn key(frame: &[u8]) -> Option<Key> {
    let sliced = LaxSlicedPacket::from_ethernet(frame).ok()?;
    let (source, destination): (IpAddr, IpAddr) = match sliced.net.as_ref()? {
        LaxNetSlice::Ipv4(ip) => {
            (ip.header().source_addr().into(), ip.header().destination_addr().into())
        }
        LaxNetSlice::Ipv6(ip) => {
            (ip.header().source_addr().into(), ip.header().destination_addr().into())
        }
        LaxNetSlice::Arp(_) => return None,
    };
    let (ports, protocol) = match sliced.transport.as_ref()? {
        TransportSlice::Tcp(tcp) => ((tcp.source_port(), tcp.destination_port()), 6),
        TransportSlice::Udp(udp) => ((udp.source_port(), udp.destination_port()), 17),
        TransportSlice::Icmpv4(_) => ((0, 0), 1),
        TransportSlice::Icmpv6(_) => ((0, 0), 58),
        TransportSlice::Igmp(_) => ((0, 0), 2),
    };
    let mut ends = [(source, ports.0), (destination, ports.1)];
    ends.sort_unstable();
    Some((ends, protocol))
}
