//! The addresses of names, one record each, as targets of other measurements.
//!
//! A and AAAA are asked for at the same time, through the servers of `/etc/resolv.conf`; names in
//! `/etc/hosts` are found there. Names are absolute: search domains are for people's typing. No
//! packet is captured: what is concluded is the server's word.
//!
//! Messages are put together and read by `hickory-proto`. Whom to ask, how often and over what is
//! decided here, for no good name may be lost because one server, or one connection,
//! did not answer.

mod answer;
mod ask;
mod course;
mod exchange;
mod hosts;
mod lookup;
mod reason;
mod servers;
mod tally;
#[cfg(test)]
mod tests;

use std::sync::Once;

use pathspider_plugin_api::prelude::*;

use crate::hosts::Hosts;
use crate::lookup::{Failed, Family, Lookup};
use crate::reason::Reason;
use crate::servers::Servers;
use crate::tally::Tally;

const ONLY: Configuration = Configuration::new(0, "lookup");

conditions! {
    SUCCEEDED: good("dnsresolv.resolution.succeeded", "the resolver gave an address");
    FAILED: unknown(
        "dnsresolv.resolution.failed",
        "the resolver gave no address: dns_error says why"
    );
}

/// The lookups of one run.
pub struct DnsResolv {
    lookup: Lookup,
    keep_failed: bool,
    host: Host,
    /// Whether a failure was reported that may be the resolver's own.
    reported: Once,
    /// Names without an address.
    failed: Tally,
    /// Names whose addresses of one family may be missing.
    partial: Tally,
}

impl Measurement for DnsResolv {
    fn info() -> Info {
        info!("dnsresolv", "Addresses of names, one record each: targets for other measurements")
            .blocking()
            .takes_names()
            .conditions(CONDITIONS)
    }

    fn options() -> Options {
        Options::none()
            .choice("family", &["both", "ipv4", "ipv6"], "Which addresses to ask for")
            .number("timeout", 0.01..=3600.0, 10.0, "SECONDS", "How long one name may take")
            .flag("keep-failed", "Write a record also of a name without an address")
    }

    fn new(options: &OptionValues, host: Host) -> Result<Self> {
        let family = match options.text("family")? {
            Some("ipv4") => Family::Ipv4,
            Some("ipv6") => Family::Ipv6,
            _ => Family::Both,
        };
        let servers = Servers::of_the_system()?;
        let hosts = Hosts::of_the_system();
        Ok(DnsResolv {
            lookup: Lookup::new(servers, hosts, family, options.timeout()?)?,
            keep_failed: options.flag("keep-failed")?,
            host,
            reported: Once::new(),
            failed: Tally::default(),
            partial: Tally::default(),
        })
    }

    fn configurations(&self) -> Vec<Configuration> {
        vec![ONLY]
    }

    fn chains(&self) -> Vec<ChainName> {
        Vec::new()
    }

    fn connect(&self, attempt: &Attempt<'_>) -> Result<Connect> {
        let Some(name) = attempt.job().domain() else {
            return Ok(Connect::skip("the line has no domain"));
        };
        Ok(Connect::done(match self.lookup.addresses(name) {
            Ok(found) => {
                let addresses: Value = found.addresses.into_iter().collect();
                let outcome = Outcome::new(State::Ok).with("dns_addresses", addresses);
                match found.missing {
                    Some(reason) => outcome.with("dns_missing", reason.words()),
                    None => outcome,
                }
            }
            Err(failed) => {
                self.report(name, &failed);
                let state = if !self.keep_failed {
                    State::Discard
                } else if failed.0.contains(&Reason::Timeout) {
                    State::Timeout
                } else {
                    State::Failed
                };
                Outcome::new(state).with("dns_error", failed.words())
            }
        }))
    }

    fn combine(&self, flows: &Flows<'_>) -> Result<Conclusion> {
        let outcome = flows.of(ONLY).outcome();
        if let Some(reason) = outcome.str("dns_missing") {
            self.partial.count(reason);
        }
        if let Some(reason) = outcome.str("dns_error") {
            self.failed.count(reason);
        }
        let found = outcome.get("dns_addresses").map(|_| SUCCEEDED);
        Ok(found.or(outcome.get("dns_error").map(|_| FAILED)).into_iter().collect())
    }

    fn rows(&self, flows: &Flows<'_>) -> Result<Vec<Record>> {
        let outcome = flows.of(ONLY).outcome();
        if let Some(reason) = outcome.str("dns_error") {
            return Ok(vec![Record::new().with("dns_error", reason)]);
        }
        let found = outcome.get("dns_addresses").and_then(Value::as_list).unwrap_or_default();
        Ok(found.iter().map(|address| Record::new().with("dip", address.clone())).collect())
    }

    fn finish(&self) -> Result<Record> {
        let lines = [
            self.failed.line("without an address"),
            self.partial.line("with the addresses of one family, the other's unknown"),
        ];
        for line in lines.into_iter().flatten() {
            self.host.log(Level::Info, &line);
        }
        Ok(Record::new()
            .with("failed", self.failed.record())
            .with("partial", self.partial.record()))
    }
}

impl DnsResolv {
    /// Reports the first failure that is not the name's own.
    fn report(&self, name: &str, failed: &Failed) {
        let Some(reason) = failed.0.iter().find(|reason| !reason.is_of_the_name()) else { return };
        let detail = reason.detail().map(|detail| format!(" ({detail})")).unwrap_or_default();
        let words = failed.words();
        let message = format!("{name}: {words}{detail}; further such failures are only counted");
        self.reported.call_once(|| self.host.log(Level::Warning, &message));
    }
}

export_plugin!(DnsResolv);
