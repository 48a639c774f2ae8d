//! What a line of input says of its target, in either format.

use std::net::IpAddr;

use pathspider_plugin_api::{Record, Value};

/// What a line says of its target.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Target {
    pub(super) place: Place,
    pub(super) port: Option<u16>,
    /// All its keys, in their order.
    pub(super) record: Record,
}

/// Where a target is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Address(IpAddr),
    /// A name that has to be looked up.
    Name(String),
}

impl Target {
    /// A target by what its line has of an address or name, and of a domain.
    ///
    /// # Errors
    ///
    /// It has neither, or what it has cannot be one.
    pub(super) fn new(
        dip: Option<&str>,
        port: Option<u16>,
        record: Record,
    ) -> Result<Target, String> {
        let place = match (dip, record.str("domain")) {
            (Some(text), _) => place(text)?,
            (None, Some(domain)) if !domain.is_empty() => Place::Name(name(domain)?.to_owned()),
            _ => return Err("it has neither dip, the target's address, nor domain".to_owned()),
        };
        Ok(Target { place, port, record })
    }

    /// Gives the target the address that its name was found to have.
    pub(super) fn resolved(&mut self, address: IpAddr) {
        if let Place::Name(name) = std::mem::replace(&mut self.place, Place::Address(address)) {
            self.name(name);
        }
        self.record.set("dip", address);
    }

    /// Leaves the name for the measurement: as the domain, not as the address.
    pub(super) fn unresolved(&mut self) {
        if let Place::Name(name) = &self.place {
            self.name(name.clone());
            self.record.remove("dip");
        }
    }

    /// Notes the name as the domain, unless the line has one.
    fn name(&mut self, name: String) {
        if self.record.str("domain").is_none_or(str::is_empty) {
            self.record.set("domain", name);
        }
    }
}

/// A target's address or name.
fn place(text: &str) -> Result<Place, String> {
    let text = text.trim();
    match text.parse() {
        // It is also what stands for the address of a job that has a name only.
        Ok(address) if IpAddr::to_canonical(&address).is_unspecified() => {
            Err(format!("{address} is the unspecified address, which no host has"))
        }
        Ok(address) => Ok(Place::Address(address)),
        Err(_) => Ok(Place::Name(name(text)?.to_owned())),
    }
}

/// A name that can be looked up. What ends in a number is meant as an address, and the system's
/// resolver would take it for one: `10.1` for 10.0.0.1.
fn name(text: &str) -> Result<&str, String> {
    let wrong = |why| Err(format!("{text:?} is neither an IP address nor a name: {why}"));
    if text.len() > 253 {
        return Err("the name is longer than 253 octets".to_owned());
    }
    if text.is_empty() || text.split('.').any(str::is_empty) && !text.ends_with('.') {
        return wrong("a part of it is empty");
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control() || "/:@[]%".contains(c)) {
        return wrong("no name has such characters");
    }
    let last = text.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    if last.starts_with(|c: char| c.is_ascii_digit())
        && (last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x"))
    {
        return wrong("it ends in a number");
    }
    Ok(text)
}

/// A target's port.
pub(super) fn port(text: &str) -> Option<u16> {
    text.trim().parse().ok().filter(|&port| port != 0)
}

/// A number where a text is one: a rank.
pub(super) fn number(text: &str) -> Value {
    text.parse::<u64>().map_or_else(|_| Value::from(text), Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses() {
        assert_eq!(place(" 192.0.2.1 "), Ok(Place::Address("192.0.2.1".parse().unwrap())));
        for text in ["www.example.org", "example.org.", "a-b_c.example", "bücher.example", "lan"] {
            assert_eq!(place(text), Ok(Place::Name(text.into())));
        }
        for text in ["192.0.2.256", "10.1", "1", "0x7f.0x1", "a..b", "", "a b", "http://a", "::g"] {
            assert!(place(text).unwrap_err().contains("neither"), "{text}");
        }
        for text in ["0.0.0.0", "::", " 0:0::0 ", "::ffff:0.0.0.0"] {
            assert!(place(text).unwrap_err().contains("which no host has"), "{text}");
        }
    }

    #[test]
    fn an_address_that_was_found_takes_the_names_place() {
        let record = Record::new().with("dip", "a.example").with("rank", 1u8);
        let mut target = Target::new(Some("a.example"), None, record).unwrap();
        target.resolved("192.0.2.1".parse().unwrap());
        let text = serde_json::to_string(&target.record).unwrap();
        assert_eq!(text, r#"{"dip":"192.0.2.1","rank":1,"domain":"a.example"}"#);
        let record = Record::new().with("domain", "b.example");
        let mut target = Target::new(None, None, record).unwrap();
        target.resolved("192.0.2.1".parse().unwrap());
        let text = serde_json::to_string(&target.record).unwrap();
        assert_eq!(text, r#"{"domain":"b.example","dip":"192.0.2.1"}"#);
    }

    #[test]
    fn a_name_that_stays_one_is_the_domain() {
        let record = Record::new().with("dip", "a.example").with("rank", 1u8);
        let mut target = Target::new(Some("a.example"), None, record).unwrap();
        target.unresolved();
        let text = serde_json::to_string(&target.record).unwrap();
        assert_eq!(text, r#"{"rank":1,"domain":"a.example"}"#);
    }
}
