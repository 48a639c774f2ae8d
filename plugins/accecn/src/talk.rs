//! The conversation: a handshake that asks, and a request in two parts, the second one when the first is
//! acknowledged.

use pathspider_plugin_api::Result;
use pathspider_plugin_api::conversation::tcp::{
    AccurateEcn, EcnMode, Segment, Stream, TcpExchange,
};
use pathspider_plugin_api::packet::{Packet, TcpFlags, ecn};

/// What a SYN asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asks {
    /// ECN of RFC 3168.
    Classic,
    /// Accurate ECN, on a SYN with this ECN field.
    Accurate(u8),
}

/// One connection. Data are marked only where the target agreed to Accurate ECN.
pub(crate) struct Talk {
    asks: Asks,
    ecn: AccurateEcn,
    /// What is to be written yet, the last part first; empty where only a handshake is made.
    parts: Vec<Vec<u8>>,
    /// The ECN field of data that leave now.
    mark: u8,
}

/// The ECN fields of the parts.
const FIRST: u8 = ecn::ECT_1;
const SECOND: u8 = ecn::CE;

impl Talk {
    /// A handshake alone.
    pub(crate) fn handshake(asks: Asks) -> Talk {
        Talk { asks, ecn: AccurateEcn::default(), parts: Vec::new(), mark: FIRST }
    }

    /// A handshake and this request.
    pub(crate) fn request(asks: Asks, request: &[u8]) -> Talk {
        let (first, second) = request.split_at(request.len() / 2);
        Talk { parts: vec![second.to_vec(), first.to_vec()], ..Talk::handshake(asks) }
    }
}

impl TcpExchange for Talk {
    fn opened(&mut self, stream: &mut Stream<'_>) -> Result<()> {
        match self.parts.pop() {
            Some(part) => stream.write(&part),
            None => stream.close(),
        }
        Ok(())
    }

    fn acknowledged(&mut self, stream: &mut Stream<'_>) -> Result<()> {
        if let Some(part) = self.parts.pop() {
            self.mark = SECOND;
            stream.write(&part);
        }
        Ok(())
    }

    fn outgoing(&mut self, segment: &mut Segment) {
        let is_syn = segment.has(TcpFlags::SYN);
        match self.asks {
            Asks::Classic if is_syn => segment.set(TcpFlags::ECE.and(TcpFlags::CWR)),
            Asks::Classic => {}
            Asks::Accurate(mark) => {
                self.ecn.outgoing(segment);
                if is_syn {
                    segment.set_ecn(mark);
                } else if !segment.payload().is_empty()
                    && self.ecn.mode().is_some_and(EcnMode::is_accurate)
                {
                    segment.set_ecn(self.mark);
                }
            }
        }
    }

    fn incoming(&mut self, packet: &Packet<'_>) {
        if self.asks != Asks::Classic {
            self.ecn.incoming(packet);
        }
    }
}
