//! `accecn`: what Accurate ECN feeds back of the marks that we sent (RFC 9768).
//!
//! What a segment of the other side feeds back counts where it acknowledges all data that were sent until
//! then. Data with CE divide the connection: what was fed back of data before them, and what with them.

use pathspider_plugin_api::chains::accecn;
use pathspider_plugin_api::packet::{Direction, Layers, Packet, Tcp, TcpFlags, ecn, tcp_option};
use pathspider_plugin_api::{Chain, ChainInfo, Fields, Verdict};

/// The options AccECN0 and AccECN1, which have the same counters in opposite orders (section 3.2.3).
const KINDS: [u8; 2] = [tcp_option::ACCURATE_ECN_0, tcp_option::ACCURATE_ECN_1];
/// The place of CE in lists by ECN field.
const CE: usize = ecn::CE as usize;

/// The chain `accecn`.
#[derive(Default)]
pub struct AccEcn;

/// What `accecn` remembers of a flow.
#[derive(Default)]
pub struct Flow {
    /// One bit for each ECN field that a SYN of ours had.
    syn_marks: u8,
    answer: Option<Answer>,
    third: Option<u8>,
    /// Of later segments to us: whether one has the option.
    later: Option<bool>,
    zeroed: Option<bool>,
    /// Segments with data, by their ECN field.
    sent: [u32; 4],
    /// Where our data end, as far as they were sent.
    end: Option<u32>,
    /// Before and after data with CE were sent.
    fed: [Feedback; 2],
    ece_after: Option<bool>,
}

/// The first SYN/ACK.
struct Answer {
    bits: u8,
    mark: u8,
    has_option: bool,
}

/// What segments that acknowledge all data say.
#[derive(Default)]
struct Feedback {
    ace: Option<u8>,
    counters: Counters,
}

/// E0B, CEB and E1B, as far as an option has them.
type Counters = [Option<u32>; 3];

/// The counters of a segment's option; `None` where it has no such option.
fn counters(tcp: &Tcp<'_>) -> Option<Counters> {
    let option = tcp.options().find(|option| KINDS.contains(&option.kind))?;
    let mut counters = [None; 3];
    for (at, octets) in option.data.as_chunks::<3>().0.iter().take(3).enumerate() {
        let place = if option.kind == KINDS[0] { at } else { 2 - at };
        counters[place] = Some(u32::from_be_bytes([0, octets[0], octets[1], octets[2]]));
    }
    Some(counters)
}

/// Whether a sequence number is not before another one (RFC 9293, section 3.4).
fn reaches(number: u32, end: u32) -> bool {
    number.wrapping_sub(end) < 1 << 31
}

impl Chain for AccEcn {
    type Flow = Flow;
    const LAYERS: Layers = Layers::TCP;

    fn info() -> ChainInfo {
        accecn::CHAIN.into()
    }

    fn new_flow(&self, _: &Packet<'_>) -> Option<Flow> {
        Some(Flow::default())
    }

    fn tcp(&self, flow: &mut Flow, tcp: &Tcp<'_>, packet: &Packet<'_>) -> Verdict {
        if !tcp.has(TcpFlags::RST) {
            match packet.direction() {
                Direction::Forward => flow.leaves(tcp, packet),
                Direction::Reverse => flow.comes(tcp, packet),
            }
        }
        Verdict::Continue
    }

    fn finish(&self, flow: Flow, fields: &mut Fields<'_>) {
        fields.set(accecn::SYN_MARKS, (flow.syn_marks != 0).then_some(flow.syn_marks));
        fields.set(accecn::ANSWER, flow.answer.as_ref().map(|answer| answer.bits));
        fields.set(accecn::ANSWER_MARK, flow.answer.as_ref().map(|answer| answer.mark));
        fields.set(accecn::OPTION_SYN, flow.answer.map(|answer| answer.has_option));
        fields.set(accecn::THIRD, flow.third);
        fields.set(accecn::OPTION_LATER, flow.later);
        fields.set(accecn::ZEROED, flow.zeroed);
        let sent = [accecn::SENT_NOT_ECT, accecn::SENT_ECT1, accecn::SENT_ECT0, accecn::SENT_CE];
        for (field, count) in sent.into_iter().zip(flow.sent) {
            fields.set(field, count);
        }
        let [before, after] = &flow.fed;
        fields.set(accecn::ACE_BEFORE, before.ace);
        fields.set(accecn::ACE_AFTER, after.ace);
        let all = [
            (&before.counters, [accecn::E0B_BEFORE, accecn::CEB_BEFORE, accecn::E1B_BEFORE]),
            (&after.counters, [accecn::E0B_AFTER, accecn::CEB_AFTER, accecn::E1B_AFTER]),
        ];
        for (counters, names) in all {
            for (field, counter) in names.into_iter().zip(counters) {
                fields.set(field, *counter);
            }
        }
        fields.set(accecn::ECE_AFTER, flow.ece_after);
    }
}

impl Flow {
    fn leaves(&mut self, tcp: &Tcp<'_>, packet: &Packet<'_>) {
        let mark = usize::from(packet.ip().ecn());
        if tcp.has(TcpFlags::SYN) {
            self.syn_marks |= 1 << mark;
            return;
        }
        if self.answer.is_some() {
            self.third.get_or_insert(tcp.flags().ace());
        }
        let length = packet.payload_length();
        if length == 0 {
            return;
        }
        self.sent[mark] = self.sent[mark].saturating_add(1);
        let end = tcp.sequence().wrapping_add(length);
        if self.end.is_none_or(|before| !reaches(before, end)) {
            self.end = Some(end);
            // Not yet of all data any more.
            *self.feedback() = Feedback::default();
        }
    }

    fn comes(&mut self, tcp: &Tcp<'_>, packet: &Packet<'_>) {
        let bits = tcp.flags().ace();
        let counters = counters(tcp);
        if let Some([ect0, _, ect1]) = counters
            && (ect0.is_some() || ect1.is_some())
        {
            let is_zero = ect0 == Some(0) || ect1 == Some(0);
            self.zeroed = Some(self.zeroed.unwrap_or(false) || is_zero);
        }
        if tcp.has(TcpFlags::SYN) {
            let mark = packet.ip().ecn();
            self.answer.get_or_insert(Answer { bits, mark, has_option: counters.is_some() });
            return;
        }
        self.later = Some(self.later.unwrap_or(false) || counters.is_some());
        let is_of_all = self.end.is_some_and(|end| reaches(tcp.acknowledgment(), end));
        if !tcp.has(TcpFlags::ACK) || !is_of_all {
            return;
        }
        if self.sent[CE] > 0 {
            let has_ece = tcp.has(TcpFlags::ECE);
            self.ece_after = Some(self.ece_after.unwrap_or(false) || has_ece);
        }
        let fed = self.feedback();
        fed.ace = Some(bits);
        for (known, new) in fed.counters.iter_mut().zip(counters.unwrap_or_default()) {
            *known = new.or(*known);
        }
    }

    /// That of the present part of the connection.
    fn feedback(&mut self) -> &mut Feedback {
        &mut self.fed[usize::from(self.sent[CE] > 0)]
    }
}

#[cfg(test)]
mod tests {
    use pathspider_plugin_api::abi::ChainHandle;
    use pathspider_plugin_api::forge;
    use pathspider_plugin_api::{FlowRecord, testing};

    use super::*;

    const LOCAL: &str = "192.0.2.1";
    const REMOTE: &str = "198.51.100.7";
    const SYN_ACK: TcpFlags = TcpFlags::SYN.and(TcpFlags::ACK);

    /// A segment of ours with this many octets of data from this number on.
    fn ours(flags: TcpFlags, mark: u8, sequence: u32, octets: usize) -> Vec<u8> {
        let packet = forge::Packet::to(REMOTE.parse().unwrap()).source(LOCAL.parse().unwrap());
        let segment = packet.ecn(mark).tcp(80).source_port(9).sequence(sequence).flags(flags);
        segment.payload(&vec![b'a'; octets]).bytes().unwrap()
    }

    /// A segment of the target's.
    fn theirs(flags: TcpFlags, ace: u8, acknowledged: u32, option: &[u8]) -> Vec<u8> {
        let packet = forge::Packet::to(LOCAL.parse().unwrap()).source(REMOTE.parse().unwrap());
        let flags = flags | TcpFlags(u16::from(ace) << 6);
        let segment = packet.tcp(9).source_port(80).flags(flags).acknowledgment(acknowledged);
        let segment = match option {
            [] => segment,
            [kind, value @ ..] => segment.option(*kind, value),
        };
        segment.bytes().unwrap()
    }

    fn seen(packets: &[Vec<u8>]) -> FlowRecord {
        testing::observe(ChainHandle::of::<AccEcn>(), packets).unwrap()
    }

    /// A handshake over a first sequence number near the end of all.
    const FIRST: u32 = u32::MAX - 5;

    fn handshake(option: &[u8]) -> Vec<Vec<u8>> {
        vec![
            ours(TcpFlags::SYN.and(TcpFlags::ASK_FOR_ECN), 2, FIRST, 0),
            theirs(SYN_ACK, 4, FIRST.wrapping_add(1), option),
            ours(TcpFlags::ACK.and(TcpFlags::CWR), 0, FIRST.wrapping_add(1), 0),
        ]
    }

    #[test]
    fn the_handshake_is_read() {
        let flow = seen(&handshake(&[172, 0, 0, 1, 0, 0, 0, 0, 0, 1]));
        assert_eq!(flow.get(accecn::SYN_MARKS), Some(4));
        assert_eq!((flow.get(accecn::ANSWER), flow.get(accecn::THIRD)), (Some(4), Some(2)));
        assert_eq!(flow.get(accecn::OPTION_SYN), Some(true));
        assert_eq!(flow.get(accecn::ZEROED), Some(false));
        assert_eq!((flow.get(accecn::OPTION_LATER), flow.get(accecn::ACE_BEFORE)), (None, None));
        let flow = seen(&handshake(&[]));
        assert_eq!((flow.get(accecn::OPTION_SYN), flow.get(accecn::ZEROED)), (Some(false), None));
        let flow = seen(&handshake(&[174, 0, 0, 0, 0, 0, 0]));
        assert_eq!(flow.get(accecn::ZEROED), Some(true));
        // An empty option is one, and says nothing.
        let flow = seen(&handshake(&[172]));
        assert_eq!((flow.get(accecn::OPTION_SYN), flow.get(accecn::ZEROED)), (Some(true), None));
    }

    #[test]
    fn feedback_counts_where_it_is_of_all_data_before_and_after_ce() {
        let data = |mark, from: u32, octets| {
            ours(TcpFlags::ACK, mark, FIRST.wrapping_add(1 + from), octets)
        };
        let acknowledges = |ace, to: u32, option: &[u8]| {
            theirs(TcpFlags::ACK, ace, FIRST.wrapping_add(1 + to), option)
        };
        let mut packets = handshake(&[]);
        packets.extend([
            data(1, 0, 100),
            data(1, 100, 20),
            acknowledges(3, 100, &[]),
            acknowledges(5, 120, &[174, 0, 0, 121, 0, 0, 0, 0, 0, 1]),
            // Without counters, and once more: what is known stays known.
            acknowledges(5, 120, &[]),
        ]);
        let flow = seen(&packets);
        assert_eq!(flow.get(accecn::SENT_ECT1), Some(2));
        assert_eq!(flow.get(accecn::ACE_BEFORE), Some(5));
        let counters = [accecn::E0B_BEFORE, accecn::CEB_BEFORE, accecn::E1B_BEFORE];
        assert_eq!(counters.map(|field| flow.get(field)), [Some(1), Some(0), Some(121)]);
        assert_eq!((flow.get(accecn::ACE_AFTER), flow.get(accecn::ECE_AFTER)), (None, None));
        packets.extend([data(3, 120, 30), acknowledges(5, 120, &[])]);
        let flow = seen(&packets);
        assert_eq!((flow.get(accecn::ACE_BEFORE), flow.get(accecn::ACE_AFTER)), (Some(5), None));
        packets.push(acknowledges(6, 150, &[172, 0, 0, 1, 0, 0, 30]));
        let flow = seen(&packets);
        assert_eq!(
            (flow.get(accecn::ACE_AFTER), flow.get(accecn::ECE_AFTER)),
            (Some(6), Some(false))
        );
        let counters = [accecn::E0B_AFTER, accecn::CEB_AFTER, accecn::E1B_AFTER];
        assert_eq!(counters.map(|field| flow.get(field)), [Some(1), Some(30), None]);
        // A repeat is no new data, and a reset says nothing.
        packets.extend([
            data(3, 120, 30),
            theirs(TcpFlags::RST.and(TcpFlags::ACK), 0, FIRST.wrapping_add(151), &[]),
        ]);
        let flow = seen(&packets);
        assert_eq!((flow.get(accecn::SENT_CE), flow.get(accecn::ACE_AFTER)), (Some(2), Some(6)));
    }
}
