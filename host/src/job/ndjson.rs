//! One job as a JSON object: this program's own keys, and those of masscan, zmap and zgrab2. All keys
//! are kept.

use std::borrow::Cow;
use std::fmt;

use pathspider_plugin_api::{Record, Value, ValueRef};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::meaning::Meaning;
use super::place::{Place, place, port, port_of};
use super::target::{Said, Target};
use super::verbatim::{self, Verbatim};
use super::wrong::{Piece, Wrong};

/// Parses one line as an object, of whatever keys.
///
/// # Errors
///
/// What is wrong with it.
pub fn parse_record(line: &[u8]) -> Result<Record, String> {
    let text = std::str::from_utf8(line).map_err(|_| Wrong::NotUtf8.to_string())?;
    match serde_json::from_str(text) {
        Ok(record) => Ok(record),
        // A number may be too large for it, which is kept as a text.
        Err(_) => match Object::read(text) {
            Ok(object) => Ok(object.record),
            Err(error) => Err(wrong(&error).to_string()),
        },
    }
}

/// The same, and as it came where the record does not say it so.
///
/// # Errors
///
/// What is wrong with it.
pub(crate) fn parse_to_the_letter(line: &[u8]) -> Result<(Record, Option<Box<Verbatim>>), Wrong> {
    let text = std::str::from_utf8(line).map_err(|_| Wrong::NotUtf8)?;
    let object = Object::read(text).map_err(|error| wrong(&error))?;
    let came = object.came(text);
    Ok((object.record, came))
}

/// Parses one line as a target. A line of a list of objects, as masscan writes it, is one too: it may
/// have a bracket before it, and a comma or a bracket after it.
///
/// # Errors
///
/// What is wrong with it.
pub(super) fn parse(line: &[u8]) -> Result<Target, Wrong> {
    let text = std::str::from_utf8(line).map_err(|_| Wrong::NotUtf8)?;
    let error = match Object::read(text) {
        Ok(object) => return object.target(text),
        Err(error) => error,
    };
    let inner = text.strip_prefix('[').unwrap_or(text).trim();
    let inner = inner.strip_suffix(']').unwrap_or(inner).trim();
    let inner = inner.strip_suffix(',').unwrap_or(inner).trim();
    if inner.len() == text.len() {
        return Err(if error.is_eof() { Wrong::PartOfObject } else { wrong(&error) });
    }
    match Object::read(inner) {
        Ok(object) => object.target(inner),
        Err(_) if text.starts_with('[') => Err(Wrong::ListOfObjects),
        Err(_) => Err(wrong(&error)),
    }
}

fn wrong(error: &serde_json::Error) -> Wrong {
    // The parser sees one line only, so its own line number would mislead.
    let text = error.to_string();
    let reason = text.split(" at line ").next().unwrap_or(&text).to_owned();
    Wrong::Json { reason, column: error.column() }
}

/// An object that was read.
struct Object<'a> {
    record: Record,
    /// What the keys say of the target, by their meaning.
    said: [Option<&'a str>; Meaning::COUNT],
    /// A meaning that two keys of one name have, with different values.
    twice: Option<(&'a str, &'a str)>,
    /// Whether the record does not say all as it came.
    is_odd: bool,
}

impl<'a> Object<'a> {
    fn read(text: &'a str) -> serde_json::Result<Object<'a>> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let said = [None; Meaning::COUNT];
                let record = Record::with_capacity(8);
                let mut object = Object { record, said, twice: None, is_odd: false };
                while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
                    object.add(key.get(), value.get());
                }
                Ok(object)
            }
        }
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let object = deserializer.deserialize_map(Members)?;
        deserializer.end()?;
        Ok(object)
    }

    fn add(&mut self, key: &'a str, json: &'a str) {
        let key = verbatim::decoded(key);
        let (value, is_same) = verbatim::value(json);
        let is_empty = value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty());
        let meaning = Meaning::of(&key);
        if let Some(meaning) = meaning.filter(|_| !is_empty) {
            let said = &mut self.said[meaning as usize];
            if let Some(earlier) = said.filter(|earlier| meaning.tells_target() && *earlier != json)
            {
                self.twice.get_or_insert((earlier, json));
            }
            *said = Some(json);
        }
        self.is_odd |= !is_same || matches!(key, Cow::Owned(_));
        let length = self.record.len();
        // The usual names are this program's own words too, and need no copy.
        let known = meaning.map(Meaning::name).filter(|known| *known == key);
        let key = known.map_or_else(|| Cow::Owned(key.into_owned()), Cow::Borrowed);
        self.record.set(key, value);
        self.is_odd |= self.record.len() == length;
    }

    /// The members to the letter, where that is needed.
    fn came(&self, text: &str) -> Option<Box<Verbatim>> {
        // It was read before, so it can be read again.
        self.is_odd.then(|| Verbatim::of(text).ok().map(Box::new)).flatten()
    }

    fn target(self, text: &str) -> Result<Target, Wrong> {
        if let Some((one, other)) = self.twice {
            let (one, other) = (Piece::of(one), Piece::of(other));
            return Err(Wrong::Twice { what: "what tells the target", one, other });
        }
        let said = |meaning: Meaning| self.said[meaning as usize].map(|json| (meaning, json));
        let first = |of: &[Meaning]| of.iter().find_map(|&meaning| said(meaning));
        let address = first(&[Meaning::Dip, Meaning::Ip, Meaning::Saddr]).or_else(|| {
            // Beside a domain it may be a street.
            let is_meant = |json: &str| said(Meaning::Domain).is_none() || is_address(json);
            said(Meaning::Address).filter(|(_, json)| is_meant(json))
        });
        let meant = address.map(|(meaning, _)| meaning);
        let ports = [
            Meaning::Dp,
            Meaning::Port,
            Meaning::Ports,
            Meaning::Dport,
            Meaning::Sport,
            Meaning::Data,
        ];
        let mut port = None;
        for (meaning, json) in ports.into_iter().filter_map(said) {
            if port.is_none() && meaning.is_port_of(meant) {
                port = port_under(meaning, json)?;
            }
        }
        let domain = said(Meaning::Domain).or_else(|| match address {
            None => said(Meaning::Host),
            Some(_) => None,
        });
        let address = address.map(|(meaning, json)| text_under(meaning, json)).transpose()?;
        let domain = match (&address, domain) {
            (_, None) => None,
            (None, Some((meaning, json))) => Some(text_under(meaning, json)?),
            (Some(_), Some((_, json))) => json.starts_with('"').then(|| verbatim::decoded(json)),
        };
        let came = self.came(text);
        let said = Said {
            address: address.as_deref(),
            is_dip: meant == Some(Meaning::Dip),
            port,
            domain: domain.as_deref(),
        };
        Target::new(said, self.record, came)
    }
}

/// Whether a text is an address, perhaps with a port.
fn is_address(json: &str) -> bool {
    matches!(place(&verbatim::decoded(json)), Ok((Place::Address(_), _)))
}

fn text_under(meaning: Meaning, json: &str) -> Result<Cow<'_, str>, Wrong> {
    if json.starts_with('"') {
        Ok(verbatim::decoded(json))
    } else {
        Err(Wrong::NoText { key: meaning.name(), value: Piece::of(json) })
    }
}

/// The port that a key says, if any.
fn port_under(meaning: Meaning, json: &str) -> Result<Option<u16>, Wrong> {
    let found = match (meaning, json.as_bytes()[0]) {
        (Meaning::Ports, b'[') => ports_of_masscan(json),
        (Meaning::Ports, b'{') => return Ok(None),
        (Meaning::Data, _) => ports_of_zgrab(json),
        (_, b'"') => return port_of(meaning.name(), &verbatim::decoded(json)).map(Some),
        _ => return port_of(meaning.name(), json).map(Some),
    };
    let wrong = |value: &Value| Wrong::Port {
        key: meaning.name(),
        value: Piece::of(&serde_json::to_string(value).unwrap_or_default()),
    };
    let mut only = None;
    for value in found {
        let port = match value.view() {
            ValueRef::Text(text) => port(text),
            _ => value.as_u64().and_then(|n| u16::try_from(n).ok()).filter(|&port| port != 0),
        };
        let port = port.ok_or_else(|| wrong(&value))?;
        if only.replace(port).is_some_and(|other| other != port) {
            return Err(Wrong::Ports);
        }
    }
    Ok(only)
}

/// `[{"port": 80, "proto": "tcp", …}]`, or the numbers alone. What answered to ICMP has no port.
fn ports_of_masscan(json: &str) -> Vec<Value> {
    let (list, _) = verbatim::value(json);
    let ports = list.as_list().unwrap_or_default().iter();
    let port_of_one = |value: &Value| match value.as_record() {
        None => Some(value.clone()),
        Some(record) if record.str("proto") == Some("icmp") => None,
        Some(record) => record.get("port").cloned(),
    };
    ports.filter_map(port_of_one).collect()
}

/// `{"http": {"port": 80, …}}`: one module's result each.
fn ports_of_zgrab(json: &str) -> Vec<Value> {
    let (data, _) = verbatim::value(json);
    let results = data.as_record().into_iter().flat_map(Record::iter);
    results.filter_map(|(_, result)| result.as_record()?.get("port").cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(line: &str) -> String {
        parse(line.as_bytes()).unwrap_err().to_string()
    }

    /// Where a line leads to, and what is written of it.
    fn read(line: &str) -> (String, Option<u16>, String) {
        let target = parse(line.as_bytes()).unwrap();
        let mut out = Vec::new();
        match &target.came {
            Some(came) => came.write(&target.record, &mut out),
            None => serde_json::to_writer(&mut out, &target.record).unwrap(),
        }
        let at = match target.place {
            Place::Address(address) => address.to_string(),
            Place::Name(name) => name,
        };
        (at, target.port, String::from_utf8(out).unwrap())
    }

    #[test]
    fn keys_keep_their_order() {
        let line = r#"{"rank":1,"dip":"192.0.2.1","info":{"ASN":64500},"dp":"8080"}"#;
        assert_eq!(read(line), ("192.0.2.1".into(), Some(8080), line.into()));
        assert!(parse(line.as_bytes()).unwrap().came.is_none(), "the record is enough");
    }

    #[test]
    fn reasons_say_what_is_wrong() {
        for (line, word) in [
            ("{", "a part of a JSON object"),
            (r#"{"dip":"192.0.2.1"}}"#, "at column"),
            ("{nonsense", "at column 2"),
            ("[1]", "a list of JSON objects"),
            (r#"[{"dip":"192.0.2.1"},{"dip":"192.0.2.2"}]"#, "jq -c '.[]'"),
            ("{}", "neither dip"),
            (r#"{"dip":null,"domain":""}"#, "neither dip"),
            (r#"{"dip":5}"#, "dip is \"5\", not a text"),
            (r#"{"dip":["192.0.2.1"]}"#, "not a text"),
            (r#"{"ip":{"v4":"192.0.2.1"}}"#, "not a text"),
            (r#"{"dip":"192.0.2.300"}"#, "neither an IP address nor a name"),
            (r#"{"dip":"192.0.2.1","responder":"yes"}"#, "write true or false"),
            (r#"{"dip":"192.0.2.1","dp":0}"#, "dp is \"0\", which is not a port"),
            (r#"{"dip":"192.0.2.1","dp":65536}"#, "not a port"),
            (r#"{"dip":"192.0.2.1","port":"http"}"#, "port is \"http\", which is not a port"),
            (r#"{"dip":"192.0.2.1","dp":true}"#, "not a port"),
            (r#"{"dip":"192.0.2.1","dp":[80]}"#, "not a port"),
            (r#"{"dip":"192.0.2.1","dip":"192.0.2.2"}"#, "twice"),
            (r#"{"dip":"192.0.2.1","dp":80,"dp":81}"#, "twice"),
            (r#"{"dip":"192.0.2.1:80","port":81}"#, "twice"),
            (r#"{"ip":"192.0.2.1","ports":[{"port":80},{"port":443}]}"#, "several ports"),
        ] {
            assert!(reason(line).contains(word), "{line}: {}", reason(line));
        }
    }

    #[test]
    fn keys_of_other_programs_are_known() {
        let of = |line: &str| {
            let (at, port, _) = read(line);
            (at, port)
        };
        let at = |port| ("192.0.2.1".to_owned(), port);
        for line in [
            r#"{"dip":"192.0.2.1","port":8080}"#,
            r#"{"IP":"192.0.2.1","Port":"8080"}"#,
            r#"{"ip":"192.0.2.1","dp":8080,"port":80}"#,
            r#"{"dip":"192.0.2.1:8080"}"#,
            r#"{"dip":"192.0.2.1","dport":8080}"#,
            // masscan -oD, -oJ, and what older ones wrote.
            r#"{"ip":"192.0.2.1","timestamp":"1","port":8080,"proto":"tcp","rec_type":"status","data":{"status":"open"}}"#,
            r#"{   "ip": "192.0.2.1",   "timestamp": "1", "ports": [ {"port": 8080, "proto": "tcp", "status": "open"} ] }"#,
            r#"{"ip":"192.0.2.1","ports":[{"port":8080}] },"#,
            r#"[{"ip":"192.0.2.1","ports":[{"port":8080}] }"#,
            r#"{"ip":"192.0.2.1","ports":[8080]}]"#,
            // zmap -O json, which has the packet that came.
            r#"{"saddr":"192.0.2.1","daddr":"10.0.0.1","sport":8080,"dport":44123,"success":1}"#,
            // zgrab2.
            r#"{"ip":"192.0.2.1","data":{"http":{"status":"success","port":8080,"result":{}}}}"#,
        ] {
            assert_eq!(of(line), at(Some(8080)), "{line}");
        }
        for line in [
            r#"{"dip":"192.0.2.1","dp":null,"port":""}"#,
            r#"{"ip":"192.0.2.1","data":{"tls":{"status":"success"}}}"#,
            r#"{"ip":"192.0.2.1","ports":[{"port":0,"proto":"icmp"}]}"#,
            r#"{"dip":"192.0.2.1","sport":8080,"data":{"x":{"port":1}}}"#,
            r#"{"dip":"192.0.2.1","dip":"192.0.2.1"}"#,
            r#"{"dip":"192.0.2.1","rank":1,"rank":2,"data":1,"data":2}"#,
        ] {
            assert_eq!(of(line), at(None), "{line}");
        }
        let name = ("a.example".to_owned(), None);
        let street = r#"{"domain":"a.example","address":"1 High Street","ports":{"open":1}}"#;
        assert_eq!(of(street), name);
        for line in [r#"{"domain":"a.example"}"#, r#"{"ip":"","host":"a.example"}"#] {
            assert_eq!(of(line), name, "{line}");
        }
    }

    #[test]
    fn what_was_used_is_added() {
        for (line, written) in [
            (
                r#"{"ip":"192.0.2.1","port":80}"#,
                r#"{"ip":"192.0.2.1","port":80,"dip":"192.0.2.1"}"#,
            ),
            (r#"{"dip":"192.0.2.1:80","n":1.0}"#, r#"{"dip":"192.0.2.1","n":1.0}"#),
            (r#"{"dip":"[2001:DB8::1]:80"}"#, r#"{"dip":"2001:db8::1"}"#),
            (r#"{"dip":"2001:DB8::1"}"#, r#"{"dip":"2001:DB8::1"}"#),
            (r#"{ "dip" : " 192.0.2.1 " , "a":[1, 2] }"#, r#"{"dip":" 192.0.2.1 ","a":[1, 2]}"#),
            (r#"{"d\u0069p":"192.0.2.1"}"#, r#"{"d\u0069p":"192.0.2.1"}"#),
        ] {
            assert_eq!(read(line).2, written);
        }
    }
}
