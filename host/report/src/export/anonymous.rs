//! Addresses made unknown: each bit of an address is encrypted so that two addresses with a common prefix
//! have one afterwards too (ipcrypt-pfx). Whoever has the key can undo it.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::Path;

use ipcrypt_rs::IpcryptPfx;
use ipnet::IpNet;
use serde_json::Value;

use super::declared::Secrecy;
use crate::json::octets;

/// Octets of a key.
const KEY: usize = IpcryptPfx::KEY_BYTES;

/// Makes addresses unknown.
pub(crate) struct Anonymiser {
    cipher: IpcryptPfx,
}

impl Anonymiser {
    /// With the key in this file: 64 hexadecimal digits.
    ///
    /// # Errors
    ///
    /// It cannot be read, or has no such key.
    pub(crate) fn read(path: &Path) -> io::Result<Anonymiser> {
        let mut text = String::new();
        File::open(path)?.take(1024).read_to_string(&mut text)?;
        let wrong = |reason: &str| io::Error::new(io::ErrorKind::InvalidData, reason);
        let key = data_encoding::HEXLOWER_PERMISSIVE.decode(text.trim().as_bytes());
        let key: [u8; KEY] = key.ok().and_then(|key| key.try_into().ok()).ok_or_else(|| {
            wrong("it is no key of 64 hexadecimal digits (openssl rand -hex 32 makes one)")
        })?;
        if key[..KEY / 2] == key[KEY / 2..] {
            return Err(wrong("the halves of the key are the same"));
        }
        Ok(Anonymiser { cipher: IpcryptPfx::new(key) })
    }

    /// An address or a network, encrypted; `None` where it is neither.
    fn address(&self, text: &str) -> Option<String> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Some(self.cipher.encrypt_ipaddr(address).to_string());
        }
        let net: IpNet = text.parse().ok()?;
        let address = self.cipher.encrypt_ipaddr(net.network());
        Some(IpNet::new(address, net.prefix_len()).ok()?.trunc().to_string())
    }

    /// The value of a column as it may be published; null where it is left out.
    pub(crate) fn column(&self, secrecy: Secrecy, value: Value) -> Value {
        match value {
            _ if secrecy == Secrecy::Hidden => Value::Null,
            Value::Array(list) => {
                let list = list.into_iter().map(|value| self.column(secrecy, value));
                // What is left out of a list leaves no place in it.
                list.filter(|value| !value.is_null()).collect()
            }
            Value::Object(object) if octets(&object).is_some() => Value::Null,
            value => self.value(secrecy, value),
        }
    }

    fn text<'t>(&self, secrecy: Secrecy, text: Cow<'t, str>) -> Option<Cow<'t, str>> {
        match secrecy {
            Secrecy::Hidden => None,
            Secrecy::Addresses => self.address(&text).map(Cow::Owned),
            Secrecy::Kept => Some(self.address(&text).map_or(text, Cow::Owned)),
            Secrecy::Path => match self.address(&text) {
                Some(address) => Some(address.into()),
                None => (&*text == "*" || is_word(&text)).then_some(text),
            },
            Secrecy::Reason => {
                let word = text.split(':').next().filter(|word| is_word(word))?;
                Some(word.to_owned().into())
            }
            Secrecy::Condition => {
                let Some((name, value)) = text.split_once(':') else { return Some(text) };
                Some(match self.address(value) {
                    Some(address) => format!("{name}:{address}").into(),
                    None if is_plain(value) => text,
                    None => name.to_owned().into(),
                })
            }
        }
    }

    fn value(&self, secrecy: Secrecy, value: Value) -> Value {
        match value {
            Value::String(text) => {
                self.text(secrecy, text.into()).map_or(Value::Null, |text| text.into_owned().into())
            }
            Value::Array(list) => {
                list.into_iter().map(|value| self.value(secrecy, value)).collect()
            }
            Value::Object(object) => {
                let values = object.into_iter();
                values.map(|(key, value)| (key, self.value(secrecy, value))).collect()
            }
            value => value,
        }
    }
}

/// The most parts of a condition's value. An IPv6 address has more, or an empty one.
const MOST_PARTS: usize = 4;

/// Whether a value is a few words, with colons between.
fn is_plain(value: &str) -> bool {
    let mut parts = value.split(':');
    parts.clone().count() <= MOST_PARTS && parts.all(|part| !part.is_empty() && is_word(part))
}

/// Whether a text is a word or a number, which names nobody: a name of the DNS has a dot.
fn is_word(text: &str) -> bool {
    text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_' || c == b'-')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn anonymiser() -> Anonymiser {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let key: String = (0..32).map(|octet| format!("{octet:02X}")).collect();
        std::fs::write(&path, key + "\n").unwrap();
        Anonymiser::read(&path).unwrap()
    }

    #[test]
    fn prefixes_are_kept_and_addresses_are_not() {
        let anonymiser = anonymiser();
        let of = |text: &str| anonymiser.address(text).unwrap();
        let (a, b, far) = (of("192.0.2.1"), of("192.0.2.200"), of("203.0.113.1"));
        let net = |address: &str| address.rsplit_once('.').unwrap().0.to_owned();
        assert_eq!(net(&a), net(&b));
        assert_ne!(net(&a), net(&far));
        assert!(a != "192.0.2.1" && a != b && net(&a) != "192.0.2");
        assert_eq!(of("192.0.2.0/24"), format!("{}.0/24", net(&a)));
        assert_eq!(of("2001:db8::1")[..4], of("2001:db8:1::1")[..4]);
        assert_eq!(anonymiser.address("www.example.org"), None);
        // An IPv4 address in one of IPv6 is a part of that one, and nothing says which it is.
        for embedded in ["64:ff9b::192.0.2.1", "::ffff:192.0.2.1", "2002:c000:201::1"] {
            let hidden: std::net::Ipv6Addr = of(embedded).parse().unwrap();
            let octets = hidden.octets();
            let is_there = |octets: &[u8]| octets == [192, 0, 2, 1];
            assert!(!octets.windows(4).any(is_there), "{embedded} is {hidden}");
            assert_eq!(of(embedded), of(embedded));
        }
        assert_eq!(of("64:ff9b::192.0.2.1"), of("64:ff9b::c000:201"));
        assert_eq!(of("2001:DB8::1"), of("2001:db8:0::1"));
    }

    #[test]
    fn values_are_published_as_far_as_they_name_nobody() {
        let anonymiser = anonymiser();
        let text = |secrecy, text: &str| match anonymiser.column(secrecy, json!(text)) {
            Value::String(text) => Some(text),
            _ => None,
        };
        let address = anonymiser.address("192.0.2.1").unwrap();
        assert_eq!(text(Secrecy::Addresses, "www.example.org"), None);
        assert_eq!(text(Secrecy::Kept, "CH"), Some("CH".to_owned()));
        assert_eq!(text(Secrecy::Kept, "192.0.2.1"), Some(address.clone()));
        for (hop, expected) in
            [("*", Some("*")), ("AS64500", Some("AS64500")), ("www.example.org", None)]
        {
            assert_eq!(text(Secrecy::Path, hop).as_deref(), expected);
        }
        assert_eq!(text(Secrecy::Path, "192.0.2.1"), Some(address.clone()));
        assert_eq!(text(Secrecy::Path, "fe80::1%eth0"), None);
        assert_eq!(text(Secrecy::Reason, "timeout: www.example.org"), Some("timeout".to_owned()));
        assert_eq!(text(Secrecy::Reason, "no www.example.org"), None);
        for (condition, expected) in [
            ("ecn.connectivity.works", "ecn.connectivity.works"),
            ("dscp.46.replymark:0", "dscp.46.replymark:0"),
            ("x.location.changed:ecn:4-6", "x.location.changed:ecn:4-6"),
            ("x.forward.changed:ttl:64:63", "x.forward.changed:ttl:64:63"),
            ("x.name:www.example.org", "x.name"),
            ("x.changed:to:2001:db8::1", "x.changed"),
            ("x.changed:to:2001:db8:0:0:0:0:0:1", "x.changed"),
        ] {
            assert_eq!(text(Secrecy::Condition, condition).as_deref(), Some(expected));
        }
        let refused = text(Secrecy::Condition, "pathspider.refused:192.0.2.1");
        assert_eq!(refused, Some(format!("pathspider.refused:{address}")));
        let errors = json!([{"from": "192.0.2.1", "type": 3, "x": "name"}, {"base64": "/w=="}]);
        let expected = json!([{"from": address, "type": 3, "x": null}]);
        assert_eq!(anonymiser.column(Secrecy::Addresses, errors), expected);
        assert_eq!(anonymiser.column(Secrecy::Hidden, json!(1)), Value::Null);
        assert_eq!(anonymiser.column(Secrecy::Addresses, json!(1)), json!(1));
    }

    #[test]
    fn keys_are_checked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        for (text, reason) in [("x", "64 hexadecimal"), (&*"00".repeat(32), "halves"), ("", "64")] {
            std::fs::write(&path, text).unwrap();
            let error = Anonymiser::read(&path).err().unwrap().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
