//! A target's record: the keys that reading needs, in whatever order they come, and of the others
//! those that were asked for.

use std::borrow::Cow;
use std::fmt;
use std::time::SystemTime;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::answered::{Answered, Hint};
use crate::keys::{Found, Wanted};
use crate::names;
use crate::scalar::{Scalar, Text};

/// A target's record.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record<'a> {
    /// The target's address.
    pub dip: Scalar<'a>,
    /// Its port.
    pub dp: Scalar<'a>,
    /// Its name.
    pub domain: Scalar<'a>,
    /// Where the connections came from.
    pub sip: Scalar<'a>,
    /// What was concluded; `None` where the object has no such list, and is no record.
    pub conditions: Option<Vec<Cow<'a, str>>>,
    /// From the first connection's start to the last one's end.
    pub time: Option<Time<'a>>,
    /// Why the plugin failed.
    pub spdr_error: Scalar<'a>,
    /// The version of the format.
    pub schema: Scalar<'a>,
    /// The measurement.
    pub plugin: Scalar<'a>,
    /// The place that was measured from.
    pub vantage: Scalar<'a>,
    /// Which of several measurements of the same target by one run.
    pub round: Scalar<'a>,
    /// The campaign.
    pub campaign: Scalar<'a>,
    /// The prefix of an address that a translator stands for.
    pub translated: Scalar<'a>,
    /// From how far the answers came.
    pub answered_from: Option<Answered>,
    /// The connections.
    pub flow_results: Vec<Flow<'a>>,
    /// The values of the keys that were wanted.
    pub wanted: Found<'a>,
}

/// When a target was measured, as it is written.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Time<'a> {
    /// The first connection's start.
    #[serde(borrow, default)]
    pub from: Scalar<'a>,
    /// The last connection's end.
    #[serde(borrow, default)]
    pub to: Scalar<'a>,
}

impl Time<'_> {
    /// When the first connection began.
    pub fn begin(&self) -> Option<SystemTime> {
        parse_time(self.from.as_str()?)
    }

    /// When the last connection ended.
    pub fn end(&self) -> Option<SystemTime> {
        parse_time(self.to.as_str()?)
    }
}

/// A time as we write it (RFC 3339, UTC), or as PATHspider did: with a space, and without a zone.
pub fn parse_time(text: &str) -> Option<SystemTime> {
    let text = text.strip_suffix("+00:00").unwrap_or(text);
    humantime::parse_rfc3339_weak(text).ok()
}

/// One connection's result.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Flow<'a> {
    /// The configuration; 0 is the baseline.
    pub config: Scalar<'a>,
    /// How it ended.
    pub spdr_state: Scalar<'a>,
    /// Whether the path carried it.
    pub spdr_carried: Scalar<'a>,
    /// Why it failed.
    pub spdr_error: Scalar<'a>,
    /// Whether the capture has its flow.
    pub observed: Scalar<'a>,
    /// The round trip of the handshake, in microseconds.
    pub rtt: Scalar<'a>,
}

/// The name of the field that has the round trip of a connection: of the chain `rtt`.
pub const RTT: &str = "rtt_us";

impl Flow<'_> {
    /// Whether the path carried it, as far as the record says.
    pub fn is_carried(&self) -> Option<bool> {
        self.spdr_carried.as_bool().or_else(|| self.spdr_state.as_u64().map(|state| state == 0))
    }

    /// Whether it failed, or was not made.
    pub fn is_failed(&self) -> bool {
        self.spdr_state.as_u64().is_some_and(|state| state != 0)
    }
}

impl<'a> Record<'a> {
    /// Reads a line.
    ///
    /// # Errors
    ///
    /// It is no JSON object, or `conditions` is no list of texts.
    pub fn parse(line: &'a [u8], wanted: &Wanted) -> serde_json::Result<Record<'a>> {
        let mut deserializer = serde_json::Deserializer::from_slice(line);
        let record = Reading(wanted).deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(record)
    }
}

/// Reads a record with whatever reads JSON, and the keys that are wanted of it.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'w>(pub &'w Wanted);

impl<'de> DeserializeSeed<'de> for Reading<'_> {
    type Value = Record<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Record<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Reading<'_> {
    type Value = Record<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Record<'de>, A::Error> {
        let mut record = Record::default();
        while let Some(Text(key)) = object.next_key()? {
            let scalar = match &*key {
                "dip" => &mut record.dip,
                "dp" => &mut record.dp,
                "domain" => &mut record.domain,
                names::SIP => &mut record.sip,
                names::ERROR => &mut record.spdr_error,
                names::SCHEMA => &mut record.schema,
                names::PLUGIN => &mut record.plugin,
                names::VANTAGE => &mut record.vantage,
                names::ROUND => &mut record.round,
                "campaign" => &mut record.campaign,
                names::TRANSLATED => &mut record.translated,
                names::ANSWERED_FROM => {
                    let hint = if self.0.has(&key) {
                        let value: Value = object.next_value()?;
                        self.0.take(&key, &value, &mut record.wanted);
                        Hint::deserialize(value).map_err(A::Error::custom)?
                    } else {
                        object.next_value()?
                    };
                    record.answered_from = hint.0;
                    continue;
                }
                names::CONDITIONS => {
                    record.conditions = Some(object.next_value::<Texts<'de>>()?.0);
                    continue;
                }
                names::TIME => {
                    record.time = object.next_value()?;
                    continue;
                }
                names::FLOW_RESULTS => {
                    record.flow_results = object.next_value::<Flows<'de>>()?.0;
                    continue;
                }
                key if self.0.has(key) => {
                    let value: Value = object.next_value()?;
                    self.0.take(key, &value, &mut record.wanted);
                    continue;
                }
                _ => {
                    object.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *scalar = object.next_value()?;
            if self.0.has(&key)
                && let Some(shown) = scalar.shown()
            {
                self.0.take_one(&key, shown, &mut record.wanted);
            }
        }
        Ok(record)
    }
}

/// A list of texts.
struct Texts<'a>(Vec<Cow<'a, str>>);

impl<'de> Deserialize<'de> for Texts<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Texts<'de>, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Texts<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("conditions as a list of texts")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Texts<'de>, A::Error> {
                let mut texts = Vec::with_capacity(8);
                while let Some(Text(text)) = list.next_element()? {
                    texts.push(text);
                }
                Ok(Texts(texts))
            }
        }
        deserializer.deserialize_seq(List)
    }
}

/// The connections.
struct Flows<'a>(Vec<Flow<'a>>);

impl<'de> Deserialize<'de> for Flows<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Flows<'de>, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Flows<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("flow_results as a list of objects")
            }

            fn visit_unit<E>(self) -> Result<Flows<'de>, E> {
                Ok(Flows(Vec::new()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Flows<'de>, A::Error> {
                let mut flows = Vec::new();
                while let Some(flow) = list.next_element::<Flow<'de>>()? {
                    flows.push(flow);
                }
                Ok(Flows(flows))
            }
        }
        deserializer.deserialize_any(List)
    }
}

impl<'de> Deserialize<'de> for Flow<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Flow<'de>, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Flow<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("flow_results as a list of objects")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Flow<'de>, A::Error> {
                let mut flow = Flow::default();
                while let Some(Text(key)) = object.next_key()? {
                    let value = match &*key {
                        "config" => &mut flow.config,
                        "spdr_state" => &mut flow.spdr_state,
                        "spdr_carried" => &mut flow.spdr_carried,
                        names::ERROR => &mut flow.spdr_error,
                        "observed" => &mut flow.observed,
                        RTT => &mut flow.rtt,
                        _ => {
                            object.next_value::<IgnoredAny>()?;
                            continue;
                        }
                    };
                    *value = object.next_value()?;
                }
                Ok(flow)
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::KeyPath;

    fn wanted(paths: &[&str]) -> Wanted {
        Wanted::new(paths.iter().copied().map(KeyPath::new).collect())
    }

    #[test]
    fn keys_come_in_any_order_and_shape() {
        let line = r#"{"z":[1,{"a":2}],"info":{"ASN":64500},"dip":"192.0.2.1","dp":80,
            "conditions":["ecn.connectivity.works","x\u0041"],
            "time":{"from":"2026-11-22T02:00:17Z","to":"2026-11-22T02:00:18Z","more":1},
            "vantage":["odd"],"round":2,
            "flow_results":[{"config":0,"spdr_state":0,"x":{}},{"config":1,"spdr_state":2,
            "spdr_error":"timeout","observed":true,"spdr_carried":false}]}"#;
        let record = Record::parse(line.as_bytes(), &wanted(&["info.ASN", "dp", "none"])).unwrap();
        assert_eq!(record.dip.as_str(), Some("192.0.2.1"));
        assert_eq!(record.conditions.unwrap(), ["ecn.connectivity.works", "xA"]);
        assert_eq!(record.time.unwrap().to.as_str(), Some("2026-11-22T02:00:18Z"));
        assert_eq!((record.vantage, record.round), (Scalar::Several, Scalar::Whole(2)));
        let wanted = [0, 1, 2].map(|number| record.wanted.of(number).collect::<Vec<_>>());
        assert_eq!(wanted, [vec!["64500"], vec!["80"], vec![]]);
        let [a, b] = &record.flow_results[..] else { panic!("two connections") };
        assert_eq!((a.is_carried(), a.is_failed()), (Some(true), false));
        assert_eq!((b.is_carried(), b.is_failed()), (Some(false), true));
        assert_eq!(b.spdr_error.as_str(), Some("timeout"));
    }

    #[test]
    fn the_hint_at_who_answered_may_be_anything() {
        let line = r#"{"conditions":[],"translated":"64:ff9b::/96",
            "answered_from":{"ttl":[64],"hops":[0],"other_ttl":[57,60],"more":1}}"#;
        let record = Record::parse(line.as_bytes(), &wanted(&["answered_from.hops"])).unwrap();
        let answered = record.answered_from.unwrap();
        assert_eq!((&answered.hops[..], answered.is_apart()), (&[0][..], true));
        assert_eq!(record.translated.as_str(), Some("64:ff9b::/96"));
        assert_eq!(record.wanted.of(0).collect::<Vec<_>>(), ["0"]);
        for value in ["1", "\"x\"", "[1]", "{}", "null", r#"{"ttl":[300]}"#] {
            let line =
                format!(r#"{{"conditions":[],"answered_from":{value},"translated":{value}}}"#);
            let record = Record::parse(line.as_bytes(), &wanted(&[])).unwrap();
            assert_eq!(record.answered_from, None, "{value}");
        }
    }

    #[test]
    fn what_is_no_record_is_said() {
        let parse = |line: &str| Record::parse(line.as_bytes(), &wanted(&[])).map(|_| ());
        let error = |line: &str| parse(line).unwrap_err().to_string();
        assert!(error(r#"{"conditions":"x"}"#).contains("list of texts"));
        assert!(error(r#"{"conditions":[1]}"#).contains("list of texts"));
        assert!(error("[]").contains("an object"));
        assert!(parse(r#"{"time":null,"conditions":[],"flow_results":null}"#).is_ok());
        for line in [r#"{"dip":"192."#, "", "nan", r#"{"a":1} x"#] {
            assert!(parse(line).is_err(), "{line}");
        }
        assert_eq!(Record::parse(b"{}", &wanted(&[])).unwrap().conditions, None);
    }
}
