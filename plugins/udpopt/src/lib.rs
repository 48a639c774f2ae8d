//! Whether a path carries UDP datagrams with something behind them in their IP packet: UDP options
//! (RFC 9868), the same with a wrong checksum, and octets that are none.
//!
//! A: an ordinary DNS query. B: the same with options whose checksum is right. The checksum over the whole
//! IP payload is right then too, for boxes that take the IP payload's length for UDP's. C: with options
//! whose checksum is wrong. D: with bare octets. All are forged, so that they differ in nothing else.

mod chain;

use std::time::Duration;

use pathspider_plugin_api::Class;
use pathspider_plugin_api::chains::{basic, dns, icmp, udp};
use pathspider_plugin_api::forge::{Packet, dns_query, identifier, udp_options};
use pathspider_plugin_api::prelude::*;

use chain::{Surplus, hexadecimal, udpopt};

const PLAIN: Configuration = Configuration::new(0, "plain").hold(Hold::Initiation);
const OPTIONS: Configuration = Configuration::new(1, "options").hold(Hold::Initiation);
const WRONG: Configuration =
    Configuration::new(2, "options with a wrong checksum").hold(Hold::Initiation);
const BARE: Configuration = Configuration::new(3, "bare octets").hold(Hold::Initiation);

conditions! {
    CONNECTIVITY: connectivity("udpopt.<options|wrong|bare>", "the query was answered");
    WHOLE: impaired(
        "udpopt.checksum.of_packet",
        "options with a right checksum were answered, and other octets behind a datagram were not: a box \
         takes the IP payload's length for UDP's"
    );
    ANSWERED: good("udpopt.answer.options", "a response in B had UDP options");
    OCTETS: unknown(
        "udpopt.answer.octets",
        "a response in B had octets behind it that are no UDP options"
    );
}

/// The maximum datagram size, which says what its sender takes (RFC 9868, section 11.5), and two NOPs.
const MDS: [u8; 6] = [4, 4, 0x05, 0xac, 1, 1];

/// How often a query is sent again at most, once a second: the time-out ends it before.
const REPEATS: u32 = 30;

/// The measurement of one run.
pub struct Udpopt {
    timeout: Duration,
}

impl Measurement for Udpopt {
    fn info() -> Info {
        info!("udpopt", "UDP options and bare octets behind a datagram: connectivity, answers")
            .forges()
            .port(ConnectKind::DnsUdp.default_port())
            .conditions(CONDITIONS)
    }

    fn options() -> Options {
        Options::none().timeout()
    }

    fn new(options: &OptionValues, _: Host) -> Result<Self> {
        Ok(Udpopt { timeout: options.timeout()? })
    }

    fn configurations(&self) -> Vec<Configuration> {
        vec![PLAIN, OPTIONS, WRONG, BARE]
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list([basic::CHAIN, udp::CHAIN, dns::CHAIN, icmp::CHAIN, udpopt::CHAIN])
    }

    fn connect(&self, attempt: &Attempt<'_>) -> Result<Connect> {
        let job = attempt.job();
        let query = query(job)?;
        let surplus = surplus(attempt.config(), query.len());
        let datagram = Packet::to(job.target()).udp(job.port(), &query).surplus(&surplus);
        let connect = Connect::packets(vec![datagram.bytes()?], self.timeout);
        Ok(connect.repeat(Duration::from_secs(1), REPEATS).until_done())
    }

    fn combine(&self, flows: &Flows<'_>) -> Result<Conclusion> {
        // Every query of the job is as long as this one.
        let length = query(flows.job())?.len();
        let evidence = flows.weigh(|flow| {
            let meant = hexadecimal(&surplus(flow.config(), length));
            Some(flow.get(udpopt::SENT)? == meant && flow.has(udpopt::SENT_SAME))
        });
        let answered = |flow: Flow<'_>| flow.has(dns::RESPONSE_VALID);
        let mut conditions = Vec::new();
        let verdicts =
            [(OPTIONS, "options"), (WRONG, "wrong"), (BARE, "bare")].map(|(one, word)| {
                let verdict = evidence.compared(CONNECTIVITY, one, answered);
                let class = verdict.as_ref().map(Condition::class);
                conditions.extend(verdict.map(|verdict| verdict.of(word)));
                class
            });
        if verdicts == [Class::Good, Class::Impaired, Class::Impaired].map(Some) {
            conditions.push(WHOLE);
        }
        let answer = evidence.of(OPTIONS).and_then(|flow| flow.get(udpopt::CAME_VALID));
        conditions.extend(answer.map(|valid| if valid { ANSWERED } else { OCTETS }));
        Ok(evidence.conclude(conditions))
    }
}

/// The job's query, with an identifier of its own each time.
fn query(job: &Job) -> Result<Vec<u8>> {
    dns_query(job.domain().unwrap_or("."), identifier())
}

/// What follows a datagram with this many octets of data.
fn surplus(config: ConfigId, data: usize) -> Vec<u8> {
    let mut surplus = udp_options(data, &MDS);
    match config {
        config if config == OPTIONS => {}
        config if config == WRONG => surplus[data % 2] ^= 0x55,
        // As many, which sum up to nothing.
        config if config == BARE => surplus.fill(b'x'),
        _ => surplus.clear(),
    }
    surplus
}

export_plugin!(measurements: [Udpopt], chains: [Surplus]);

#[cfg(test)]
mod tests;
