//! Asks each target for a page in a conversation of its own: in A as it is, in B with CE and a TCP
//! option on the data.
//!
//! This is the example to copy for a measurement by a conversation: the measurement here, its chain,
//! and tests that play the target (`tests.rs`). Only `odd` is for this project's own tests: targets
//! whose input line says so (`talk`) get a conversation that misbehaves.

mod chain;
mod odd;
#[cfg(test)]
mod tests;

use std::time::Duration;

use pathspider_plugin_api::chains::{basic, icmp, tcp};
use pathspider_plugin_api::conversation::tcp::{Segment, Stream, TcpClient, TcpExchange};
use pathspider_plugin_api::forge::HttpRequest;
use pathspider_plugin_api::packet::Packet;
use pathspider_plugin_api::prelude::*;

use chain::{Marks, marks};
use odd::Odd;

const PLAIN: Configuration =
    Configuration::new(0, "plain").hold(Hold::Initiation).carrier(Carrier::Data);
const MARKED: Configuration =
    Configuration::new(1, "marked").hold(Hold::Initiation).carrier(Carrier::Data);

conditions! {
    CONNECTIVITY: connectivity("talker");
}

struct Talker {
    host: Host,
    timeout: Duration,
}

impl Measurement for Talker {
    fn info() -> Info {
        info!("talker", "a page by a conversation").converses().conditions(CONDITIONS)
    }

    fn options() -> Options {
        Options::none().timeout()
    }

    fn new(options: &OptionValues, host: Host) -> Result<Self> {
        Ok(Talker { host, timeout: options.timeout()? })
    }

    fn configurations(&self) -> Vec<Configuration> {
        vec![PLAIN, MARKED]
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list([basic::CHAIN, tcp::CHAIN, icmp::CHAIN, marks::CHAIN])
    }

    fn connect(&self, attempt: &Attempt<'_>) -> Result<Connect> {
        let odd = attempt.job().record().str("talk").and_then(Odd::from_name);
        let connect = match odd {
            Some(odd) => Connect::conversation(odd),
            None => {
                let request = HttpRequest::get(attempt.job(), &self.host).octets()?;
                let page = Page { request, is_marked: attempt.is(MARKED), ..Page::default() };
                Connect::conversation(TcpClient::new(page).option_room(4))
            }
        };
        Ok(connect.timeout(self.timeout))
    }

    fn combine(&self, flows: &Flows<'_>) -> Result<Conclusion> {
        let evidence = flows.weigh_data(|flow| {
            let (plain, marked) = (flow.get(marks::UNMARKED)?, flow.get(marks::MARKED)?);
            let (meant, others) = if flow.is(MARKED) { (marked, plain) } else { (plain, marked) };
            (meant + others > 0).then_some(others == 0)
        });
        let verdict = evidence.compared(CONNECTIVITY, MARKED, Flow::connected);
        Ok(evidence.conclude(verdict))
    }
}

/// A page that is asked for.
#[derive(Default)]
struct Page {
    request: Vec<u8>,
    is_marked: bool,
    response: Vec<u8>,
    errors: u64,
    quoted: u64,
}

impl Page {
    /// Whether the whole response is there.
    fn is_whole(&self) -> bool {
        let text = String::from_utf8_lossy(&self.response);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let length = length.and_then(|length| length.parse().ok());
        head.starts_with("HTTP/1.1 200") && length.is_some_and(|length: usize| body.len() >= length)
    }
}

impl TcpExchange for Page {
    fn opened(&mut self, stream: &mut Stream<'_>) -> Result<()> {
        stream.write(&self.request);
        Ok(())
    }

    fn received(&mut self, stream: &mut Stream<'_>) -> Result<()> {
        self.response.extend(stream.read());
        if self.is_whole() {
            stream.close();
        }
        Ok(())
    }

    fn outgoing(&mut self, segment: &mut Segment) {
        if self.is_marked && !segment.payload().is_empty() {
            segment.set_ecn(3);
            segment.add_option(253, &[1, 2]);
        }
    }

    fn incoming(&mut self, packet: &Packet<'_>) {
        if let Some(icmp) = packet.icmp() {
            self.errors += 1;
            self.quoted = icmp.body().len() as u64;
        }
    }

    fn outcome(&mut self, outcome: Outcome) -> Outcome {
        outcome
            .with("talk_request", String::from_utf8_lossy(&self.request).into_owned())
            .with("talk_octets", self.response.len())
            .with("talk_whole", self.is_whole())
            .with("talk_errors", self.errors)
            .with("talk_quoted", self.quoted)
    }
}

export_plugin!(measurements: [Talker], chains: [Marks]);
