//! How large packets a path carries, and whether it says so where they are too large (RFC 1191,
//! RFC 8201, RFC 8899).
//!
//! A: data in a packet of 1,280 octets. B: the same in one as large as the interface takes. Neither may be
//! fragmented. The target has to answer the data themselves: with an acknowledgment, a DNS response or the
//! versions of QUIC that it speaks.
//! With `--search`, further connections look for the largest size that passes. All are conversations, so
//! that the kernel neither cuts them nor remembers what it hears.

mod chain;
mod question;
mod search;
mod talk;

use std::time::Duration;

use pathspider_plugin_api::Class;
use pathspider_plugin_api::chains::{basic, dns, icmp, mss, quic, tcp, udp};
use pathspider_plugin_api::forge::HttpRequest;
use pathspider_plugin_api::prelude::*;

use chain::{Sizes, pmtud};
use question::Question;
use search::{SMALL, Search};
use talk::{Asking, Patient, Sending, Wanted};

const A: Configuration = Configuration::new(0, "1280 octets").hold(Hold::Initiation);
const B: Configuration =
    Configuration::new(1, "the interface's MTU").hold(Hold::Initiation).carrier(Carrier::Data);

conditions! {
    CONNECTIVITY: connectivity("pmtud", "the packet's data were acknowledged, or its question answered");
    RECEIVED: good(
        "pmtud.ptb.received:<octets>",
        "an ICMP error said that a packet was too big, and named this size (0: none)"
    );
    FROM: unknown("pmtud.ptb.from:<address>", "the ICMP error came from this address");
    BLACKHOLE: impaired(
        "pmtud.blackhole",
        "the large packet was sent at least three times; nothing answered it, and no ICMP error came"
    );
    MTU: unknown(
        "pmtud.mtu:<octets>",
        "the largest packet that was answered had this size; larger ones were not answered"
    );
    CLAMPED: unknown(
        "pmtud.mss.clamped:<octets>",
        "the SYN/ACK announced this segment size: it fits the largest packet that passed, and is smaller \
         than the interface allows"
    );
}

/// How often a packet was sent before its silence means something.
const OFTEN: u32 = 3;

/// What is sent: the words of `--connect`, the default first.
const MODES: [ConnectKind; 3] = [ConnectKind::Http, ConnectKind::DnsUdp, ConnectKind::Quic];

/// The measurement of one run.
pub struct Pmtud {
    host: Host,
    /// One of [`MODES`].
    mode: ConnectKind,
    timeout: Duration,
    /// How many connections search.
    steps: usize,
}

impl Measurement for Pmtud {
    fn info() -> Info {
        info!("pmtud", "Path MTU: the largest packets that pass, packet too big, black holes")
            .converses()
            .depends()
            .conditions(CONDITIONS)
    }

    fn options() -> Options {
        Options::none()
            .choice("connect", &MODES.map(ConnectKind::name), "What to send to each target")
            .flag("search", "Look for the largest size that passes: eight connections for 1,500 octets, 13 at most")
            .timeout()
    }

    fn new(options: &OptionValues, host: Host) -> Result<Self> {
        let mode = options.connect()?;
        let steps = if options.flag("search")? { search::STEPS } else { 0 };
        Ok(Pmtud { host, mode, timeout: options.timeout()?, steps })
    }

    fn configurations(&self) -> Vec<Configuration> {
        let step = |at| {
            let one = Configuration::new(at, "search").labelled(format!("search {}", at - 1));
            one.hold(Hold::Initiation).carrier(Carrier::Data)
        };
        [A, B].into_iter().chain((2..2 + self.steps).map(step)).collect()
    }

    fn chains(&self) -> Vec<ChainName> {
        let [transport, above] = match self.mode {
            ConnectKind::DnsUdp => [udp::CHAIN, dns::CHAIN],
            ConnectKind::Quic => [udp::CHAIN, quic::CHAIN],
            _ => [tcp::CHAIN, mss::CHAIN],
        };
        ChainName::list([basic::CHAIN, transport, above, icmp::CHAIN, pmtud::CHAIN])
    }

    fn connect(&self, attempt: &Attempt<'_>) -> Result<Connect> {
        let wanted = if attempt.is(A) {
            Wanted::Octets(SMALL)
        } else if attempt.is(B) {
            Wanted::Mtu
        } else {
            let earlier =
                (0..attempt.config().index()).filter_map(|at| attempt.earlier(ConfigId::new(at)));
            match Search::of(earlier).next() {
                Ok(octets) => Wanted::Octets(octets),
                Err(why) => return Ok(Connect::skip(why)),
            }
        };
        let job = attempt.job();
        let target = job.target().to_canonical();
        let question = match self.mode {
            ConnectKind::DnsUdp => Some(Question::Name(job.domain().unwrap_or(".").to_owned())),
            ConnectKind::Quic => Some(Question::Versions),
            _ => None,
        };
        let connect = match question {
            None => {
                let (request, is_v6) = (HttpRequest::get(job, &self.host), target.is_ipv6());
                talk::padded(&request, usize::from(SMALL) - 60)?;
                let client = |size| Sending::client(request, is_v6, size);
                Connect::conversation(Patient::new(client, wanted))
            }
            Some(question) => {
                question.datagram(usize::from(SMALL) - talk::HEADERS_V6_UDP)?;
                let asking = |size| Asking::new(question, size);
                Connect::conversation(Patient::new(asking, wanted))
            }
        };
        Ok(connect.timeout(self.timeout))
    }

    fn combine(&self, flows: &Flows<'_>) -> Result<Conclusion> {
        let evidence = flows.weigh(|flow| {
            let Some(size) = flow.get(pmtud::SIZE) else {
                // The handshake is alike in all: where it failed, there is nobody for any size.
                let is_silent = flows.of(A).get(pmtud::SIZE).is_none() && !flows.of(A).connected();
                return (self.is_tcp() && is_silent).then_some(true);
            };
            let meant = match flow {
                flow if flow.is(A) => size == SMALL,
                flow if flow.is(B) => size > SMALL,
                flow => {
                    let before = flows.iter().take(flow.config().index());
                    Search::of(before).next() == Ok(size)
                }
            };
            Some(meant && flow.has(pmtud::WHOLE))
        });
        let answered = |flow: Flow<'_>| flow.has(pmtud::ANSWERED);
        let mut conditions = Vec::new();
        let b = evidence.of(B);
        let verdict = evidence.compared(CONNECTIVITY, B, answered);
        let is_broken = verdict.as_ref().is_some_and(|verdict| verdict.class() == Class::Impaired);
        let told = flows.iter().find(|flow| flow.get(pmtud::PTB_FROM).is_some());
        // A path that says what it carries does what it should.
        let is_told = b.is_some_and(|b| b.get(pmtud::PTB_FROM).is_some());
        conditions.extend(verdict.filter(|_| !(is_broken && is_told)));
        if let Some(told) = told {
            conditions.push(RECEIVED.with(told.get(pmtud::PTB_MTU).unwrap_or(0)));
            conditions.extend(told.get(pmtud::PTB_FROM).map(|from| FROM.with(from)));
        }
        let often = b.and_then(|b| b.get(pmtud::COUNT)).is_some_and(|count| count >= OFTEN);
        if is_broken && !is_told && often {
            conditions.push(BLACKHOLE);
        }
        let is_sound = |flow: &Flow<'_>| evidence.of(flow.config()).is_some();
        let search = Search::of(flows.iter().filter(is_sound));
        if let Some(largest) = search.found() {
            conditions.push(MTU.with(largest));
            let announced = b.and_then(|b| b.get(self.is_tcp().then_some(mss::VALUE_REV)?));
            let headers = if flows.job().target().to_canonical().is_ipv6() { 60 } else { 40 };
            let fills = announced.filter(|mss| mss + headers == u64::from(largest));
            let is_less = b.and_then(|b| b.get(pmtud::SIZE)).is_some_and(|size| size > largest);
            conditions.extend(fills.filter(|_| is_less).map(|mss| CLAMPED.with(mss)));
        }
        Ok(evidence.conclude(conditions))
    }
}

impl Pmtud {
    fn is_tcp(&self) -> bool {
        self.mode == ConnectKind::Http
    }
}

export_plugin!(measurements: [Pmtud], chains: [Sizes]);

#[cfg(test)]
mod tests;
