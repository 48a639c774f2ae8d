//! The targets of a probe: as they were asked for, and what the first measurement found of them.

use std::net::IpAddr;

use pathspider_plugin_api::Record;
use pathspider_runtime::text::visible;

use crate::job::{Place, place_of_word};

/// Characters of a word that are shown.
const SHOWN: usize = 200;

/// A target that was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    /// As it was written, made safe.
    pub(crate) shown: String,
    pub(crate) place: Place,
    pub(crate) port: Option<u16>,
    /// The addresses of a name, once a measurement has found them: all others go there, too.
    addresses: Vec<IpAddr>,
    /// Whether anything answered any connection; `None` before the first measurement.
    pub(crate) answers: Option<bool>,
    /// Whether a measurement found nothing to measure: a name without an address, say.
    pub(crate) is_lost: bool,
}

impl Host {
    /// The target that a word names.
    ///
    /// # Errors
    ///
    /// A sentence: it names none.
    pub(crate) fn new(word: &str) -> Result<Host, String> {
        let shown = visible(word.trim(), SHOWN);
        match place_of_word(word) {
            Ok((place, port)) => {
                let (addresses, answers, is_lost) = Default::default();
                Ok(Host { shown, place, port, addresses, answers, is_lost })
            }
            Err(wrong) => Err(format!("\"{shown}\" is no target: {wrong}")),
        }
    }

    /// Whether it is a name.
    pub(crate) fn is_name(&self) -> bool {
        matches!(self.place, Place::Name(_))
    }

    /// Its lines of input. `as_name`: for a measurement of names.
    pub(crate) fn lines(&self, as_name: bool) -> Vec<String> {
        let record = match (&self.place, as_name) {
            (Place::Name(name), true) => Record::new().with("domain", name.as_str()),
            (Place::Name(name), false) if self.addresses.is_empty() => {
                Record::new().with("dip", name.as_str())
            }
            (Place::Name(_), false) => {
                let addresses = self.addresses.iter().map(IpAddr::to_string);
                return addresses.filter_map(|address| self.line_of(&address)).collect();
            }
            (Place::Address(address), _) => Record::new().with("dip", *address),
        };
        vec![self.line(record)]
    }

    /// Its line for one of its addresses.
    pub(crate) fn line_of(&self, address: &str) -> Option<String> {
        let address: IpAddr = address.parse().ok()?;
        let record = Record::new().with("dip", address);
        Some(self.line(match &self.place {
            Place::Name(name) => record.with("domain", name.as_str()),
            Place::Address(_) => record,
        }))
    }

    fn line(&self, mut record: Record) -> String {
        if let Some(port) = self.port {
            record.set("dp", port);
        }
        serde_json::to_string(&record).unwrap_or_default()
    }

    /// Whether a record is of this target.
    pub(crate) fn has(&self, record: &Record) -> bool {
        let is_there = match &self.place {
            Place::Name(name) => record.str("domain") == Some(name),
            Place::Address(address) => address_of(record) == Some(*address),
        };
        let port = record.u64("dp");
        is_there && self.port.is_none_or(|own| port.is_none_or(|port| port == u64::from(own)))
    }

    /// Learns of a record of its own where it is, and whether anything answered.
    pub(crate) fn learn(&mut self, record: &Record, answered: bool) {
        self.answers = Some(self.answers.unwrap_or(false) | answered);
        if let Some(address) = address_of(record).filter(|ip| !self.addresses.contains(ip)) {
            self.addresses.push(address);
        }
    }
}

fn address_of(record: &Record) -> Option<IpAddr> {
    record.str("dip")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_the_addresses_that_it_was_found_to_have() {
        let mut host = Host::new("www.example.org:443").unwrap();
        assert!(host.is_name());
        assert_eq!(host.lines(false), [r#"{"dip":"www.example.org","dp":443}"#]);
        let record = |address: &str| {
            let record = Record::new().with("dip", address).with("dp", 443u16);
            record.with("domain", "www.example.org")
        };
        for address in ["192.0.2.1", "2001:db8::1", "192.0.2.1"] {
            assert!(host.has(&record(address)));
            host.learn(&record(address), false);
        }
        assert_eq!(
            host.lines(false),
            [
                r#"{"dip":"192.0.2.1","domain":"www.example.org","dp":443}"#,
                r#"{"dip":"2001:db8::1","domain":"www.example.org","dp":443}"#
            ]
        );
        assert_eq!(host.lines(true), [r#"{"domain":"www.example.org","dp":443}"#]);
        assert_eq!(host.answers, Some(false));
        assert!(!host.has(&record("192.0.2.1").with("dp", 80u16)));
        assert!(!host.has(&Record::new().with("dip", "192.0.2.1")), "it is another's");
    }

    #[test]
    fn an_address_is_known_however_it_is_written() {
        let host = Host::new("[2001:db8:0::1]:80").unwrap();
        assert!(!host.is_name() && host.port == Some(80));
        assert!(host.has(&Record::new().with("dip", "2001:db8::1").with("dp", 80u16)));
        let wrong = Host::new("http://x.example/\u{1b}[2J").unwrap_err();
        assert!(wrong.contains("is no target: ") && !wrong.contains('\u{1b}'), "{wrong}");
    }
}
