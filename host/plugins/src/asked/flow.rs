//! Whether packets of a plugin's making are of one flow: what is sent on another would be answered
//! on another, and the answer taken for this one's.

use std::net::{IpAddr, SocketAddr};

use super::Header;

/// The flow that the first packet names.
#[derive(Debug, Clone, Copy)]
pub struct OneFlow {
    protocol: u8,
    source: IpAddr,
    destination: IpAddr,
    ports: Option<(u16, u16)>,
    /// The sequence number of the SYN that opens it.
    opening: Option<u32>,
}

impl OneFlow {
    /// The flow of a packet.
    pub(super) fn of(first: &Header) -> OneFlow {
        let Header { protocol, source, destination, ports, opening, .. } = *first;
        OneFlow { protocol, source, destination, ports, opening }
    }

    /// The flow between these ends, of a protocol that has ports.
    pub fn between(protocol: u8, local: SocketAddr, remote: SocketAddr) -> OneFlow {
        let ports = Some((local.port(), remote.port()));
        let (source, destination) = (local.ip(), remote.ip());
        OneFlow { protocol, source, destination, ports, opening: None }
    }

    /// Takes a packet that is to be sent after those before.
    ///
    /// # Errors
    ///
    /// How its flow is another one.
    pub fn take(&mut self, header: &Header) -> Result<(), String> {
        if header.destination != self.destination {
            let (to, other) = (self.destination, header.destination);
            return Err(format!("it goes to {other}, and the flow to {to}"));
        }
        if header.protocol != self.protocol {
            let (own, other) = (self.protocol, header.protocol);
            return Err(format!("its protocol is {other}, and the flow's {own}"));
        }
        if header.source != self.source {
            let (from, other) = (self.source, header.source);
            return Err(format!("it comes from {other}, and the flow from {from}"));
        }
        // Later fragments have none.
        if let (Some(ports), Some(other)) = (self.ports, header.ports)
            && ports != other
        {
            return Err(format!("its ports are {other:?}, and the flow's {ports:?}"));
        }
        match (self.opening, header.opening) {
            (Some(own), Some(other)) if own != other => Err(format!(
                "it opens another connection: its SYN has the sequence number {other}, and the \
                 flow's {own}"
            )),
            _ => {
                self.opening = self.opening.or(header.opening);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use pathspider_plugin_api::forge::{Packet, Segment};

    use super::super::header;
    use super::*;

    fn syn(sequence: u32) -> Segment {
        Packet::to("192.0.2.1".parse().unwrap()).tcp_syn(80).sequence(sequence)
    }

    fn take(first: &Segment, next: &Segment) -> Result<(), String> {
        let read = |segment: &Segment| header(&segment.bytes().unwrap()).unwrap();
        OneFlow::of(&read(first)).take(&read(next))
    }

    #[test]
    fn packets_of_one_flow_are_taken() {
        let data = Packet::to("192.0.2.1".parse().unwrap()).tcp(80).sequence(9).payload(b"x");
        assert_eq!(take(&syn(8), &syn(8)), Ok(()), "a repeat");
        assert_eq!(take(&syn(8), &data), Ok(()));
        assert_eq!(take(&data, &syn(8)), Ok(()));
    }

    #[test]
    fn packets_of_another_flow_are_refused_with_the_reason() {
        let elsewhere = Packet::to("192.0.2.2".parse().unwrap()).tcp(80);
        let from = Packet::to("192.0.2.1".parse().unwrap()).source("198.51.100.1".parse().unwrap());
        let port = Packet::to("192.0.2.1".parse().unwrap()).tcp(81);
        for (other, reason) in [
            (elsewhere, "goes to 192.0.2.2"),
            (from.tcp(80), "comes from 198.51.100.1"),
            (port, "ports are (0, 81)"),
            (syn(9), "opens another connection"),
            (syn(8).source_port(7), "ports are (7, 80)"),
        ] {
            let refused = take(&syn(8), &other).unwrap_err();
            assert!(refused.contains(reason), "{refused}");
        }
        let datagram = Packet::to("192.0.2.1".parse().unwrap()).udp(80, &[]).bytes().unwrap();
        let first = header(&syn(8).bytes().unwrap()).unwrap();
        let refused = OneFlow::of(&first).take(&header(&datagram).unwrap()).unwrap_err();
        assert!(refused.contains("protocol is 17"), "{refused}");
    }
}
