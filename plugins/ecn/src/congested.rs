//! The conversation of `--ce`: a connection that negotiates ECN, whose data have CE.

use pathspider_plugin_api::conversation::tcp::{Segment, Stream, TcpExchange};
use pathspider_plugin_api::packet::ecn::CE;
use pathspider_plugin_api::packet::{Packet, TcpFlags};
use pathspider_plugin_api::prelude::*;

use crate::ECN_FLAGS;

/// A request whose data have CE, where the target agreed to ECN.
pub(crate) struct Congested {
    request: Vec<u8>,
    is_agreed: bool,
}

impl Congested {
    /// That of these octets.
    pub(crate) fn new(request: Vec<u8>) -> Congested {
        Congested { request, is_agreed: false }
    }
}

impl TcpExchange for Congested {
    fn opened(&mut self, stream: &mut Stream<'_>) -> Result<()> {
        if self.is_agreed {
            stream.write(&self.request)
        } else {
            stream.close()
        }
        Ok(())
    }

    fn acknowledged(&mut self, stream: &mut Stream<'_>) -> Result<()> {
        // The acknowledgment says all.
        stream.close();
        Ok(())
    }

    fn outgoing(&mut self, segment: &mut Segment) {
        if segment.has(TcpFlags::SYN) {
            segment.set(ECN_FLAGS);
        } else if !segment.payload().is_empty() {
            segment.set_ecn(CE);
        }
    }

    fn incoming(&mut self, packet: &Packet<'_>) {
        if let Some(tcp) = packet.tcp()
            && tcp.has(TcpFlags::SYN)
        {
            self.is_agreed = tcp.has(TcpFlags::ECE) && !tcp.has(TcpFlags::CWR);
        }
    }
}
