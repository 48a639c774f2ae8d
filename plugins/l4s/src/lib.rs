//! Whether a path carries data with ECT(1), the mark by which L4S queues know their traffic (RFC 9331), and
//! which mark they arrive with.
//!
//! A: a request whose data have ECT(0). B: the same with ECT(1). Both are conversations that ask for
//! Accurate ECN, for its counters say which mark arrived. A target without it gets the same marks: whether
//! data with them arrive can be seen all the same.
//!
//! Over QUIC, A and B are handshakes with a page by HTTP/3, and every packet has the mark: the target's
//! acknowledgments count them.

mod feedback;

use std::time::Duration;

use pathspider_plugin_api::Marked;
use pathspider_plugin_api::chains::{accecn, basic, ecn, icmp, quic, syn, tcp};
use pathspider_plugin_api::conversation::tcp::{
    AccurateEcn, Segment, Stream, TcpClient, TcpExchange,
};
use pathspider_plugin_api::forge::HttpRequest;
use pathspider_plugin_api::packet::{Packet, TcpFlags};
use pathspider_plugin_api::prelude::*;

use feedback::Feedback;

const ECT0: Configuration = Configuration::new(0, "ect0").hold(Hold::Initiation);
const ECT1: Configuration = Configuration::new(1, "ect1").hold(Hold::Initiation);

conditions! {
    CONNECTIVITY: connectivity("l4s");
    INTACT: good(
        "l4s.<ect0|ect1>.intact",
        "data arrived with the mark that they left with, say the target's counters"
    );
    BLEACHED: impaired("l4s.<ect0|ect1>.bleached", "data arrived without a mark");
    REMARKED: impaired("l4s.<ect0|ect1>.remarked:<mark>", "data arrived with this mark instead");
    CONGESTED: unknown(
        "l4s.<ect0|ect1>.congested",
        "some arrived with CE, and others with their mark; or the only one that was counted came \
         with CE: a queue on the path was full, or a box changed the mark"
    );
    UNDERCOUNT: unknown(
        "l4s.<ect0|ect1>.undercount",
        "over QUIC, the target counts fewer marks than packets that it acknowledged: some arrived \
         without a mark, or it counts wrongly"
    );
    OVERCOUNT: unknown(
        "l4s.<ect0|ect1>.overcount",
        "over QUIC, the target counts more packets than were sent to it: its counts say nothing of \
         the path"
    );
    COUNTERS: good(
        "l4s.feedback.counters",
        "the target counts by their mark octets (Accurate ECN), or packets (QUIC)"
    );
    ACE: good(
        "l4s.feedback.ace",
        "the target counts packets with CE alone (Accurate ECN without the option)"
    );
    CLASSIC: absent("l4s.feedback.classic", "the target says only whether CE came (RFC 3168)");
    SILENT: absent("l4s.feedback.absent", "the target says nothing about marks");
}

/// What carries the data: the words of `--connect`, the default first.
const MODES: [ConnectKind; 2] = [ConnectKind::Tcp, ConnectKind::Quic];

/// The measurement of one run.
pub struct L4s {
    host: Host,
    is_quic: bool,
    timeout: Duration,
}

/// The ECN field of a configuration's data.
fn mark(config: ConfigId) -> u8 {
    if config == ECT1 { 1 } else { 2 }
}

impl Measurement for L4s {
    fn info() -> Info {
        info!("l4s", "ECT(1) on data, as L4S has it (RFC 9331): connectivity, marks")
            .converses()
            .conditions(CONDITIONS)
    }

    fn options() -> Options {
        let words = MODES.map(ConnectKind::name);
        Options::none().choice("connect", &words, "What carries the data").timeout()
    }

    fn new(options: &OptionValues, host: Host) -> Result<Self> {
        let is_quic = options.connect()? == ConnectKind::Quic;
        Ok(L4s { host, is_quic, timeout: options.timeout()? })
    }

    fn configurations(&self) -> Vec<Configuration> {
        // Over TCP, the mark is on data alone.
        let carrier = if self.is_quic { Carrier::Opening } else { Carrier::Data };
        [ECT0, ECT1].map(|config| config.carrier(carrier)).into()
    }

    fn chains(&self) -> Vec<ChainName> {
        if self.is_quic {
            ChainName::list([basic::CHAIN, quic::CHAIN, ecn::CHAIN, icmp::CHAIN])
        } else {
            ChainName::list([basic::CHAIN, tcp::CHAIN, syn::CHAIN, accecn::CHAIN])
        }
    }

    fn connect(&self, attempt: &Attempt<'_>) -> Result<Connect> {
        if self.is_quic {
            return Ok(Connect::quic().ecn(mark(attempt.config())).timeout(self.timeout));
        }
        let request = HttpRequest::get(attempt.job(), &self.host).octets()?;
        let page = Page { request, mark: mark(attempt.config()), ecn: AccurateEcn::default() };
        let client = TcpClient::new(page).option_room(AccurateEcn::ROOM);
        Ok(Connect::conversation(client).timeout(self.timeout))
    }

    fn combine(&self, flows: &Flows<'_>) -> Result<Conclusion> {
        if self.is_quic {
            return Ok(over_quic(flows));
        }
        let evidence = flows.weigh_data(|flow| {
            let asks = SentSyns::of(flow)?.all_have(TcpFlags::ASK_FOR_ECN);
            let sent =
                [accecn::SENT_NOT_ECT, accecn::SENT_ECT1, accecn::SENT_ECT0, accecn::SENT_CE];
            let sent = sent.map(|field| flow.get(field).unwrap_or(0));
            let meant = sent[usize::from(mark(flow.config()))];
            let all = sent.iter().sum::<u32>();
            (all > 0).then_some(asks && meant == all)
        });
        let mut found = Vec::from_iter(evidence.connectivity(CONNECTIVITY, ECT1));
        for config in [ECT0, ECT1] {
            let read = |flow: Flow<'_>| Feedback::of(flow, mark(flow.config()));
            if let Some(feedback) = evidence.of(&config).and_then(read) {
                let word = accecn::MARKS[usize::from(mark(config.id()))];
                found.extend(feedback.marked().map(|condition| condition.of(word)));
                found.extend((config.id() == ECT1).then(|| feedback.source()));
            }
        }
        Ok(evidence.conclude(found))
    }
}

/// What is concluded of connections over QUIC.
fn over_quic(flows: &Flows<'_>) -> Conclusion {
    let evidence = flows.weigh(|flow| flow.left_with_mark(mark(flow.config())));
    let mut found = Vec::from_iter(evidence.connectivity(CONNECTIVITY, ECT1));
    let sound = [ECT0, ECT1].into_iter().filter_map(|config| evidence.of(config));
    let counted: Vec<_> =
        sound.filter_map(|flow| Some((flow.config(), flow.quic_marks()?))).collect();
    let mirrors = counted.iter().any(|(_, marks)| marks.is_counted());
    for (config, marks) in &counted {
        let mark = mark(*config);
        let said = marks.of(mark, mirrors).into_iter().filter_map(said);
        found.extend(said.map(|condition| condition.of(accecn::MARKS[usize::from(mark)])));
    }
    if !counted.is_empty() {
        found.push(if mirrors { COUNTERS } else { SILENT });
    }
    evidence.conclude(found)
}

/// What became of packets, in this measurement's words; `None` where the target counts none.
fn said(marked: Marked) -> Option<Condition> {
    Some(match marked {
        Marked::Passed => INTACT,
        Marked::Congested => CONGESTED,
        Marked::AllCe => REMARKED.with(accecn::MARKS[3]),
        Marked::As(mark) => REMARKED.with(mark),
        Marked::Bleached => BLEACHED,
        Marked::Uncounted => return None,
        Marked::Undercounted => UNDERCOUNT,
        Marked::Overcounted => OVERCOUNT,
    })
}

/// A page that is asked for with one mark on the data.
struct Page {
    request: Vec<u8>,
    mark: u8,
    ecn: AccurateEcn,
}

impl TcpExchange for Page {
    fn opened(&mut self, stream: &mut Stream<'_>) -> Result<()> {
        stream.write(&self.request);
        Ok(())
    }

    fn outgoing(&mut self, segment: &mut Segment) {
        self.ecn.outgoing(segment);
        if !segment.payload().is_empty() {
            segment.set_ecn(self.mark);
        }
    }

    fn incoming(&mut self, packet: &Packet<'_>) {
        self.ecn.incoming(packet);
    }
}

export_plugin!(L4s);

#[cfg(test)]
mod tests;
