//! What a line of input says of its target, in whichever format.

use std::net::IpAddr;

use pathspider_plugin_api::{Record, Value};

use super::place::{self, Place};
use super::responder::responds;
use super::verbatim::Verbatim;
use super::wrong::{Piece, Wrong};

/// The key of a name as it was looked up and sent, where it was not given so.
const DOMAIN_ASCII: &str = "domain_ascii";

/// What a line says of its target.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Target {
    pub(super) place: Place,
    pub(super) port: Option<u16>,
    /// All its keys, in their order, as measurements see them.
    pub(super) record: Record,
    /// The same as they came, where that is something else.
    pub(super) came: Option<Box<Verbatim>>,
}

/// The keys of a target.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    /// As measurements see them.
    pub(crate) record: Record,
    /// As they came, where that is something else.
    pub(crate) came: Option<Box<Verbatim>>,
}

/// What of a line says where its target is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Said<'a> {
    /// An address or name, perhaps with a port.
    pub(super) address: Option<&'a str>,
    /// Whether that stands under `dip`.
    pub(super) is_dip: bool,
    pub(super) port: Option<u16>,
    /// The name, perhaps with a port where there is no address.
    pub(super) domain: Option<&'a str>,
}

impl Target {
    /// A target by what its line says. `came` are its keys to the letter, where the record does not
    /// say them so.
    ///
    /// # Errors
    ///
    /// It names no target.
    pub(super) fn new(
        said: Said<'_>,
        record: Record,
        came: Option<Box<Verbatim>>,
    ) -> Result<Target, Wrong> {
        responds(&record)?;
        let domain = said.domain.filter(|domain| !domain.is_empty());
        let text = said.address.or(domain).ok_or(Wrong::Nothing)?;
        let plain = place::address(text);
        let is_plain = plain.is_some();
        let (place, beside) = match plain {
            // A name that is an address was meant as one.
            Some(address) if said.address.is_some() => (Place::Address(address?), None),
            _ => place::place(text)?,
        };
        let port = match (said.port, beside) {
            (Some(one), Some(other)) if one != other => {
                let [one, other] = [one, other].map(|port| Piece::of(&port.to_string()));
                return Err(Wrong::Twice { what: "the port", one, other });
            }
            (one, other) => one.or(other),
        };
        let mut target = Target { place, port, record, came };
        match (&target.place, said.address, domain) {
            (&Place::Address(address), ..) if !(is_plain && said.is_dip) => {
                target.set("dip", address);
            }
            (Place::Name(name), None, Some(domain)) if *name != domain && domain.is_ascii() => {
                // It had a port.
                let name = name.clone();
                target.set("domain", name);
            }
            _ => {}
        }
        match (domain, &target.place) {
            (Some(domain), _) if !domain.is_ascii() => {
                let (host, _) = domain.rsplit_once(':').unwrap_or((domain, ""));
                let host = if said.address.is_some() { domain } else { host };
                target.spell(host.to_owned());
            }
            (None, Place::Name(_)) if !text.is_ascii() => {
                let host = text.rsplit_once(':').map_or(text, |(host, _)| host).trim();
                target.spell(host.to_owned());
            }
            _ => {}
        }
        Ok(target)
    }

    /// Gives the target the address that its name was found to have.
    pub(super) fn resolved(&mut self, address: IpAddr) {
        if let Place::Name(name) = std::mem::replace(&mut self.place, Place::Address(address)) {
            self.name(name);
        }
        self.set("dip", address);
    }

    /// Leaves the name for the measurement: as the domain, not as the address.
    pub(super) fn unresolved(&mut self) {
        if let Place::Name(name) = &self.place {
            self.name(name.clone());
            self.record.remove("dip");
            self.came.iter_mut().for_each(|came| came.retain(|key| key != "dip"));
        }
    }

    /// Notes the name as the domain, unless the line has one.
    fn name(&mut self, name: String) {
        if self.record.str("domain").is_none_or(str::is_empty) {
            self.set("domain", name);
        }
    }

    /// A name in another script: measurements get it as the DNS has it, and it comes back as it came.
    /// What is no name of the DNS is left to them.
    fn spell(&mut self, domain: String) {
        let Some(ascii) = place::in_ascii(&domain).map(std::borrow::Cow::into_owned) else {
            return;
        };
        let mut came = self.came.take().unwrap_or_else(|| Verbatim::of_record(&self.record).into());
        self.record.set("domain", ascii.clone());
        came.say("domain", &domain);
        self.came = Some(came);
        self.set(DOMAIN_ASCII, ascii);
    }

    /// Sets a key that the host has the say of.
    fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        self.record.set(key, value);
        self.came.iter_mut().for_each(|came| came.unsay(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said<'a>(address: Option<&'a str>, domain: Option<&'a str>) -> Said<'a> {
        Said { address, is_dip: true, port: None, domain }
    }

    fn text(target: &Target) -> String {
        let mut out = Vec::new();
        match &target.came {
            Some(came) => came.write(&target.record, &mut out),
            None => serde_json::to_writer(&mut out, &target.record).unwrap(),
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_address_that_was_found_takes_the_names_place() {
        let record = Record::new().with("dip", "a.example").with("rank", 1u8);
        let mut target = Target::new(said(Some("a.example"), None), record, None).unwrap();
        target.resolved("192.0.2.1".parse().unwrap());
        assert_eq!(text(&target), r#"{"dip":"192.0.2.1","rank":1,"domain":"a.example"}"#);
        let record = Record::new().with("domain", "b.example");
        let mut target = Target::new(said(None, Some("b.example")), record, None).unwrap();
        target.resolved("192.0.2.1".parse().unwrap());
        assert_eq!(text(&target), r#"{"domain":"b.example","dip":"192.0.2.1"}"#);
    }

    #[test]
    fn a_name_that_stays_one_is_the_domain() {
        let record = Record::new().with("dip", "a.example").with("rank", 1u8);
        let mut target = Target::new(said(Some("a.example"), None), record, None).unwrap();
        target.unresolved();
        assert_eq!(text(&target), r#"{"rank":1,"domain":"a.example"}"#);
    }

    #[test]
    fn a_name_in_another_script_comes_back_as_it_came() {
        let ascii = "xn--mnchen-3ya.example";
        for (address, domain) in [
            (None, Some("münchen.example")),
            (Some("192.0.2.1"), Some("münchen.example")),
            (Some("münchen.example"), None),
            (Some("münchen.example:80"), None),
            (None, Some("münchen.example:80")),
        ] {
            let mut record = Record::new();
            address.iter().for_each(|address| record.set("dip", *address));
            domain.iter().for_each(|domain| record.set("domain", *domain));
            let mut target = Target::new(said(address, domain), record, None).unwrap();
            target.resolved("192.0.2.1".parse().unwrap());
            assert_eq!(target.record.str("domain"), Some(ascii), "{address:?} {domain:?}");
            let back: serde_json::Value = serde_json::from_str(&text(&target)).unwrap();
            let expected = serde_json::json!({
                "dip": "192.0.2.1", "domain": "münchen.example", "domain_ascii": ascii
            });
            assert_eq!(back, expected, "{address:?} {domain:?}");
        }
    }

    #[test]
    fn two_ports_are_one_too_many() {
        let both = |port| Said { port: Some(port), ..said(Some("192.0.2.1:80"), None) };
        assert_eq!(Target::new(both(80), Record::new(), None).unwrap().port, Some(80));
        let wrong = Target::new(both(81), Record::new(), None).unwrap_err().to_string();
        assert!(wrong.contains("the port twice"), "{wrong}");
    }
}
