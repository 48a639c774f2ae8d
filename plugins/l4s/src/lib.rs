//! Whether a path carries TCP data with ECT(1), the mark by which L4S queues know their traffic (RFC 9331),
//! and which mark they arrive with.
//!
//! A: a request whose data have ECT(0). B: the same with ECT(1). Both are conversations that ask for
//! Accurate ECN, for its counters say which mark arrived. A target without it gets the same marks: whether
//! data with them arrive can be seen all the same.

mod feedback;

use std::time::Duration;

use pathspider_plugin_api::chains::{accecn, basic, syn, tcp};
use pathspider_plugin_api::conversation::tcp::{
    AccurateEcn, Segment, Stream, TcpClient, TcpExchange,
};
use pathspider_plugin_api::forge::HttpRequest;
use pathspider_plugin_api::packet::{Packet, TcpFlags};
use pathspider_plugin_api::prelude::*;

use feedback::Feedback;

const ECT0: Configuration =
    Configuration::new(0, "ect0").hold(Hold::Initiation).carrier(Carrier::Data);
const ECT1: Configuration =
    Configuration::new(1, "ect1").hold(Hold::Initiation).carrier(Carrier::Data);

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
        "some arrived with their mark and some with CE: a queue on the path was full, or a box \
         changed the mark"
    );
    COUNTERS: good("l4s.feedback.counters", "the target counts octets by their mark (Accurate ECN)");
    ACE: good(
        "l4s.feedback.ace",
        "the target counts packets with CE alone (Accurate ECN without the option)"
    );
    CLASSIC: absent("l4s.feedback.classic", "the target says only whether CE came (RFC 3168)");
    SILENT: absent("l4s.feedback.absent", "the target says nothing about marks");
}

/// The measurement of one run.
pub struct L4s {
    host: Host,
    timeout: Duration,
}

/// The ECN field of a configuration's data.
fn mark(config: ConfigId) -> u8 {
    if config == ECT1 { 1 } else { 2 }
}

impl Measurement for L4s {
    fn info() -> Info {
        info!("l4s", "ECT(1) on TCP data, as L4S has it (RFC 9331): connectivity, marks")
            .converses()
            .conditions(CONDITIONS)
    }

    fn options() -> Options {
        Options::none().timeout()
    }

    fn new(options: &OptionValues, host: Host) -> Result<Self> {
        Ok(L4s { host, timeout: options.timeout()? })
    }

    fn configurations(&self) -> Vec<Configuration> {
        vec![ECT0, ECT1]
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list([basic::CHAIN, tcp::CHAIN, syn::CHAIN, accecn::CHAIN])
    }

    fn connect(&self, attempt: &Attempt<'_>) -> Result<Connect> {
        let request = HttpRequest::get(attempt.job(), &self.host).octets()?;
        let page = Page { request, mark: mark(attempt.config()), ecn: AccurateEcn::default() };
        let client = TcpClient::new(page).option_room(AccurateEcn::ROOM);
        Ok(Connect::conversation(client).timeout(self.timeout))
    }

    fn combine(&self, flows: &Flows<'_>) -> Result<Conclusion> {
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
