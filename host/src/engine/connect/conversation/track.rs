//! What is known of a conversation's TCP connection from its packets: whether the target is left with
//! one that nobody will go on with, and which reset frees it.

use pathspider_plugin_api::packet::{Packet, Tcp, TcpFlags};

/// A TCP connection, as its packets show it.
#[derive(Debug, Default)]
pub(super) struct Track {
    /// The number after the last that we sent.
    end: Option<u32>,
    /// The number that the target acknowledged last.
    acknowledged: Option<u32>,
    /// Whether the target sent a segment of a connection.
    is_heard: bool,
    /// The number after our FIN.
    fin: Option<u32>,
    /// Whether the target closed its half.
    is_closed_there: bool,
    is_reset: bool,
}

impl Track {
    /// Notes a packet that we send.
    pub(super) fn sent(&mut self, packet: &Packet<'_>) {
        let Some(tcp) = packet.tcp() else { return };
        if tcp.has(TcpFlags::RST) {
            self.is_reset = true;
            return;
        }
        let end = end(&tcp, packet);
        if self.end.is_none_or(|before| is_after(end, before)) {
            self.end = Some(end);
        }
        if tcp.has(TcpFlags::FIN) {
            self.fin = Some(end);
        }
    }

    /// Notes a packet that came.
    pub(super) fn came(&mut self, packet: &Packet<'_>) {
        let Some(tcp) = packet.tcp() else { return };
        if tcp.has(TcpFlags::RST) {
            self.is_reset = true;
            return;
        }
        self.is_heard = true;
        self.is_closed_there |= tcp.has(TcpFlags::FIN);
        let number = tcp.acknowledgment();
        if tcp.has(TcpFlags::ACK) && self.acknowledged.is_none_or(|before| is_after(number, before))
        {
            self.acknowledged = Some(number);
        }
    }

    /// The sequence numbers of resets that free the target: the one that it expects, as far as is
    /// known, and the one after all that was sent, where that differs (RFC 5961, section 3.2). None
    /// where it has no connection that it keeps.
    pub(super) fn resets(&self) -> Vec<u32> {
        let is_closed = self.is_closed_there && self.fin.is_some() && self.fin == self.acknowledged;
        if !self.is_heard || self.is_reset || is_closed {
            return Vec::new();
        }
        let mut numbers: Vec<u32> = self.acknowledged.into_iter().chain(self.end).collect();
        numbers.dedup();
        numbers
    }
}

/// The sequence number after a segment (RFC 9293, section 3.4).
fn end(tcp: &Tcp<'_>, packet: &Packet<'_>) -> u32 {
    let flags = [TcpFlags::SYN, TcpFlags::FIN].map(|flag| u32::from(tcp.has(flag)));
    tcp.sequence().wrapping_add(packet.payload_length()).wrapping_add(flags[0] + flags[1])
}

fn is_after(number: u32, other: u32) -> bool {
    number.wrapping_sub(other).cast_signed() > 0
}

#[cfg(test)]
mod tests {
    use pathspider_observer::{Dissected, dissect, packet};
    use pathspider_plugin_api::forge;
    use pathspider_plugin_api::packet::Direction;

    use super::*;

    const SYN: TcpFlags = TcpFlags::SYN;
    const ACK: TcpFlags = TcpFlags::ACK;
    const FIN: TcpFlags = TcpFlags::FIN;
    const RST: TcpFlags = TcpFlags::RST;

    /// What is tracked of segments: ours (`true`) and theirs, with flags, number, acknowledgment, data.
    fn resets(segments: &[(bool, TcpFlags, u32, u32, &[u8])]) -> Vec<u32> {
        let mut track = Track::default();
        for &(ours, flags, sequence, acknowledgment, data) in segments {
            let to = forge::Packet::to("192.0.2.1".parse().unwrap()).tcp(80).flags(flags);
            let to = to.sequence(sequence).acknowledgment(acknowledgment).payload(data);
            let bytes = to.bytes().unwrap();
            let mut dissected = Dissected::NONE;
            dissect(&bytes, bytes.len() as u32, &mut dissected).unwrap();
            let packet = packet(&dissected, 0, Direction::Forward);
            if ours { track.sent(&packet) } else { track.came(&packet) }
        }
        track.resets()
    }

    #[test]
    fn what_never_answered_is_left_alone() {
        assert!(resets(&[]).is_empty());
        assert!(resets(&[(true, SYN, 9, 0, b"")]).is_empty());
        assert!(resets(&[(true, SYN, 9, 0, b""), (false, RST | ACK, 0, 10, b"")]).is_empty());
    }

    #[test]
    fn what_is_open_is_reset_where_the_target_expects_it() {
        let open = [(true, SYN, u32::MAX, 0, &b""[..]), (false, SYN | ACK, 5, 0, b"")];
        assert_eq!(resets(&open), [0]);
        let asked = [&open[..], &[(true, ACK, 0, 6, b"ask")]].concat();
        assert_eq!(resets(&asked), [0, 3], "what was asked may have been lost");
        let heard = [&asked[..], &[(false, ACK, 6, 3, b"answer")]].concat();
        assert_eq!(resets(&heard), [3]);
        assert!(resets(&[&heard[..], &[(true, RST, 3, 0, b"")]].concat()).is_empty());
    }

    #[test]
    fn what_is_closed_on_both_sides_is_not_reset() {
        let open = [(true, SYN, 9, 0, &b""[..]), (false, SYN | ACK, 5, 10, b"")];
        let ours = [&open[..], &[(true, FIN | ACK, 10, 6, b"")]].concat();
        let half = [&ours[..], &[(false, ACK, 6, 11, b"")]].concat();
        assert_eq!(resets(&half), [11], "the target has not closed");
        let both = [&ours[..], &[(false, FIN | ACK, 6, 11, b"")]].concat();
        assert!(resets(&both).is_empty());
        let unheard = [&ours[..], &[(false, FIN | ACK, 6, 10, b"")]].concat();
        assert_eq!(resets(&unheard), [10, 11], "our FIN may have been lost");
    }
}
