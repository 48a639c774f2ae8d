//! The measurement: does a connection with a low time to live work like an ordinary one?

use std::time::Duration;

use pathspider_plugin_api::chains::{basic, tcp};
use pathspider_plugin_api::prelude::*;

use crate::chain::hops;

// A setting of the socket needs no more than to hold until the first packet is sent.
const ORDINARY: Configuration = Configuration::new(0, "ordinary").hold(Hold::Initiation);
const LOW: Configuration = Configuration::new(1, "low ttl").hold(Hold::Initiation);

conditions! {
    CONNECTIVITY: connectivity("example");
    HOPS: unknown("example.hops:<hops>", "the target's first packet in B came with this many hops left");
}

/// The measurement of one run.
pub struct Example {
    ttl: u8,
    timeout: Duration,
}

impl Measurement for Example {
    fn info() -> Info {
        Info::new("example", env!("CARGO_PKG_VERSION"), "Example: a low time to live")
            .contact("https://example.org/whom-to-ask")
            .conditions(CONDITIONS)
    }

    fn options() -> Options {
        Options::none().integer("ttl", 1..=255, 32, "The time to live of B").timeout()
    }

    fn new(options: &OptionValues, _: Host) -> Result<Self> {
        Ok(Example { ttl: options.integer("ttl")?, timeout: options.timeout()? })
    }

    fn configurations(&self) -> Vec<Configuration> {
        vec![ORDINARY, LOW]
    }

    fn chains(&self) -> Vec<ChainName> {
        // The host's, and this crate's own.
        ChainName::list([basic::CHAIN, tcp::CHAIN, hops::CHAIN])
    }

    fn connect(&self, attempt: &Attempt<'_>) -> Result<Connect> {
        let connect = Connect::tcp().timeout(self.timeout);
        Ok(if attempt.is(LOW) { connect.ttl(self.ttl) } else { connect })
    }

    fn combine(&self, flows: &Flows<'_>) -> Result<Conclusion> {
        // The wire decides: without a packet that shows the setting, there is no verdict.
        let evidence = flows.weigh(|flow| {
            let sent = flow.get(hops::FORWARD)?;
            Some(!flow.is(LOW) || sent == self.ttl)
        });
        let verdict = evidence.connectivity(CONNECTIVITY, LOW);
        let answer = evidence.of(LOW).and_then(|b| b.get(hops::REVERSE));
        Ok(evidence.conclude(verdict.into_iter().chain(answer.map(|hops| HOPS.with(hops)))))
    }
}
