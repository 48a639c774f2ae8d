//! A record as cells: each of its values with the number of its key, objects taken apart (`info.ASN`).
//! Readers that take all of a record use it; [`Record`](crate::Record) has what most readers need.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use data_encoding::BASE64;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::scalar::Text;

/// The key of a record that has its connections.
const FLOWS: &str = "flow_results";

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell<'a> {
    /// No value.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Another number.
    Float(f64),
    /// A text.
    Text(Cow<'a, str>),
    /// Octets that are no text.
    Octets(Vec<u8>),
    /// A list.
    List(Vec<Cell<'a>>),
    /// Any other value, as JSON: an object, or a number that is none of the above.
    Json(String),
}

impl Cell<'_> {
    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Cell::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Writes the value as JSON.
    pub fn write(&self, out: &mut Vec<u8>) {
        // Nothing fails that is written into memory.
        let _ = match self {
            Cell::Null => serde_json::to_writer(out, &()),
            Cell::Bool(value) => serde_json::to_writer(out, value),
            Cell::Int(number) => serde_json::to_writer(out, number),
            Cell::Float(number) => serde_json::to_writer(out, number),
            Cell::Text(text) => serde_json::to_writer(out, text),
            Cell::Octets(octets) => serde_json::to_writer(out, &in_base64(octets)),
            Cell::List(list) => {
                out.push(b'[');
                for (number, cell) in list.iter().enumerate() {
                    if number > 0 {
                        out.push(b',');
                    }
                    cell.write(out);
                }
                out.push(b']');
                Ok(())
            }
            Cell::Json(text) => {
                out.extend_from_slice(text.as_bytes());
                Ok(())
            }
        };
    }

    /// The same value in JSON's terms.
    pub fn into_value(self) -> Value {
        match self {
            Cell::Null => Value::Null,
            Cell::Bool(value) => value.into(),
            Cell::Int(number) => number.into(),
            Cell::Float(number) => number.into(),
            Cell::Text(text) => text.into_owned().into(),
            Cell::Octets(octets) => in_base64(&octets),
            Cell::List(list) => list.into_iter().map(Cell::into_value).collect(),
            // It was made from a value, so it is one.
            Cell::Json(text) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        }
    }
}

/// Keys of records, each with a number.
#[derive(Debug, Default)]
pub struct Keys {
    root: Node,
    names: Vec<String>,
}

/// A key, and what is below of it in an object.
#[derive(Debug, Default)]
struct Node {
    number: Option<u32>,
    below: Vec<(Box<str>, Node)>,
    /// Where each of these is.
    places: HashMap<Box<str>, usize, foldhash::fast::RandomState>,
}

impl Node {
    /// The one below of it of this name. Keys come mostly in the same order, so the one behind the last
    /// one is looked at first.
    fn find(&self, name: &str, next: &mut usize) -> Option<&Node> {
        let is_next = self.below.get(*next).is_some_and(|(other, _)| **other == *name);
        if !is_next {
            *next = *self.places.get(name)?;
        }
        let (_, node) = self.below.get(*next)?;
        *next += 1;
        Some(node)
    }

    /// The one below of it of this name, added where it is not there.
    fn add(&mut self, name: &str) -> &mut Node {
        let place = *self.places.entry(Box::from(name)).or_insert(self.below.len());
        if place == self.below.len() {
            self.below.push((Box::from(name), Node::default()));
        }
        &mut self.below[place].1
    }
}

impl Keys {
    /// Adds the key that this way through objects leads to; returns its number. Two ways whose names
    /// are the same with dots between are one key.
    pub fn add(&mut self, way: &[&str]) -> u32 {
        let name = way.join(".");
        let there = self.names.iter().position(|other| *other == name);
        let number = there.unwrap_or(self.names.len()) as u32;
        if there.is_none() {
            self.names.push(name);
        }
        let leaf = way.iter().fold(&mut self.root, |node, step| node.add(step));
        leaf.number = Some(number);
        number
    }

    /// The names of all keys, by number.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

/// The values of an object.
#[derive(Debug, Default, PartialEq)]
pub struct Cells<'a> {
    /// Those with a key that has a number; none is null.
    pub known: Vec<(u32, Cell<'a>)>,
    /// The others, by name.
    pub others: Vec<(String, Value)>,
}

impl Cells<'_> {
    /// With room for as many as an object usually has.
    fn with_room() -> Self {
        Cells { known: Vec::with_capacity(32), others: Vec::new() }
    }
}

/// A record's values.
#[derive(Debug, Default, PartialEq)]
pub struct Line<'a> {
    /// Of the target.
    pub target: Cells<'a>,
    /// Of each of its connections.
    pub flows: Vec<Cells<'a>>,
}

impl<'a> Line<'a> {
    /// Reads a line whose keys have the numbers of `targets`, and those of its connections the numbers
    /// of `flows`.
    ///
    /// # Errors
    ///
    /// It is no JSON object.
    pub fn parse(line: &'a [u8], targets: &Keys, flows: &Keys) -> serde_json::Result<Line<'a>> {
        let mut deserializer = serde_json::Deserializer::from_slice(line);
        let read = Reading { targets, flows }.deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(read)
    }

    /// Takes an object apart that has no connections.
    ///
    /// # Errors
    ///
    /// It is no object.
    pub fn of_object(object: &'a Value, keys: &Keys) -> serde_json::Result<Cells<'a>> {
        let mut cells = Cells::default();
        let object_of = Object { node: &keys.root, prefix: "", cells: &mut cells, flows: None };
        object.deserialize_map(object_of)?;
        Ok(cells)
    }
}

/// Reads a line with whatever reads JSON.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'k> {
    /// The keys of targets.
    pub targets: &'k Keys,
    /// The keys of connections.
    pub flows: &'k Keys,
}

impl<'de> DeserializeSeed<'de> for Reading<'_> {
    type Value = Line<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Line<'de>, D::Error> {
        let mut read = Line { target: Cells::with_room(), flows: Vec::new() };
        deserializer.deserialize_map(Object {
            node: &self.targets.root,
            prefix: "",
            cells: &mut read.target,
            flows: Some((&self.flows.root, &mut read.flows)),
        })?;
        Ok(read)
    }
}

/// An object that is taken apart.
struct Object<'k, 'o, 'de> {
    node: &'k Node,
    /// What stands before the names of its keys.
    prefix: &'k str,
    cells: &'o mut Cells<'de>,
    flows: Option<(&'k Node, &'o mut Vec<Cells<'de>>)>,
}

impl<'de> Visitor<'de> for Object<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let Object { node, prefix, cells, mut flows } = self;
        let mut next = 0;
        while let Some(Text(key)) = object.next_key()? {
            if key == FLOWS
                && let Some((node, flows)) = &mut flows
            {
                object.next_value_seed(Connections(node, flows))?;
                continue;
            }
            let Some(below) = node.find(&key, &mut next) else {
                let value: Value = object.next_value()?;
                if !value.is_null() {
                    cells.others.push((format!("{prefix}{key}"), value));
                }
                continue;
            };
            let apart =
                (!below.below.is_empty()).then_some(Apart { node: below, prefix, key: &key });
            match object.next_value_seed(AnyValue { apart, cells: Some(&mut *cells) })? {
                Cell::Null => {}
                cell => match below.number {
                    Some(number) => cells.known.push((number, cell)),
                    None => cells.others.push((format!("{prefix}{key}"), cell.into_value())),
                },
            }
        }
        Ok(())
    }
}

/// The connections of a record.
struct Connections<'k, 'o, 'de>(&'k Node, &'o mut Vec<Cells<'de>>);

impl<'de> DeserializeSeed<'de> for Connections<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Connections<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("flow_results as a list of objects")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(cells) = list.next_element_seed(Connection(self.0))? {
            self.1.push(cells);
        }
        Ok(())
    }
}

/// One of them.
struct Connection<'k>(&'k Node);

impl<'de> DeserializeSeed<'de> for Connection<'_> {
    type Value = Cells<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cells<'de>, D::Error> {
        let mut cells = Cells::with_room();
        let object = Object { node: self.0, prefix: "", cells: &mut cells, flows: None };
        deserializer.deserialize_map(object)?;
        Ok(cells)
    }
}

/// A key that has others below of it.
struct Apart<'k> {
    node: &'k Node,
    prefix: &'k str,
    key: &'k str,
}

/// Any value: an object is taken apart where its key has others below of it, and is null then.
struct AnyValue<'k, 'o, 'de> {
    apart: Option<Apart<'k>>,
    cells: Option<&'o mut Cells<'de>>,
}

impl<'de> DeserializeSeed<'de> for AnyValue<'_, '_, 'de> {
    type Value = Cell<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cell<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Deserialize<'de> for Cell<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Cell<'de>, D::Error> {
        deserializer.deserialize_any(AnyValue { apart: None, cells: None })
    }
}

impl<'de> Visitor<'de> for AnyValue<'_, '_, 'de> {
    type Value = Cell<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Cell<'de>, E> {
        Ok(Cell::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Cell<'de>, E> {
        Ok(Cell::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Cell<'de>, E> {
        Ok(i64::try_from(value).map_or_else(|_| Cell::Json(value.to_string()), Cell::Int))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Cell<'de>, E> {
        Ok(Cell::Int(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Cell<'de>, E> {
        Ok(Cell::Float(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Cell<'de>, E> {
        Ok(Cell::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Cell<'de>, E> {
        Ok(Cell::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_string<E>(self, value: String) -> Result<Cell<'de>, E> {
        Ok(Cell::Text(Cow::Owned(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Cell<'de>, A::Error> {
        let mut cells = Vec::with_capacity(list.size_hint().unwrap_or(8).min(64));
        while let Some(cell) = list.next_element()? {
            cells.push(cell);
        }
        Ok(Cell::List(cells))
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Cell<'de>, A::Error> {
        if let (Some(Apart { node, prefix, key }), Some(cells)) = (self.apart, self.cells) {
            let prefix = format!("{prefix}{key}.");
            Object { node, prefix: &prefix, cells, flows: None }.visit_map(object)?;
            return Ok(Cell::Null);
        }
        let object = Map::deserialize(MapAccessDeserializer::new(object))?;
        Ok(octets(&object)
            .map_or_else(|| Cell::Json(Value::Object(object).to_string()), Cell::Octets))
    }
}

/// The object that stands for octets.
fn in_base64(octets: &[u8]) -> Value {
    serde_json::json!({ "base64": BASE64.encode(octets) })
}

/// The octets that an object stands for, if it is one of those that records write.
pub fn octets(object: &Map<String, Value>) -> Option<Vec<u8>> {
    match object.get("base64") {
        Some(Value::String(text)) if object.len() == 1 => BASE64.decode(text.as_bytes()).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn keys(names: &[&str]) -> Keys {
        let mut keys = Keys::default();
        names.iter().for_each(|name| {
            keys.add(&name.split('.').collect::<Vec<_>>());
        });
        keys
    }

    #[test]
    fn objects_are_taken_apart_and_the_rest_is_kept() {
        let targets = keys(&["dip", "info.ASN", "info", "body", "conditions", "big"]);
        let line = br#"{"dip":"192.0.2.1","info":{"ASN":64500,"more":{"x":1}},"body":{"base64":"Z3L832U="},
            "conditions":["a","\u0062"],"big":18446744073709551615,"odd":[{"x":null}],"none":null,
            "flow_results":[{"sp":1,"tls":{"alpn":"h2"}},{"sp":null}]}"#;
        let read = Line::parse(line, &targets, &keys(&["sp", "tls.alpn"])).unwrap();
        let text = |text: &'static str| Cell::Text(text.into());
        assert_eq!(
            read.target.known,
            [
                (0, text("192.0.2.1")),
                (1, Cell::Int(64500)),
                (3, Cell::Octets(b"gr\xfc\xdfe".to_vec())),
                (4, Cell::List(vec![text("a"), text("b")])),
                (5, Cell::Json("18446744073709551615".to_owned())),
            ]
        );
        let others =
            [("info.more".to_owned(), json!({"x": 1})), ("odd".to_owned(), json!([{"x": null}]))];
        assert_eq!(read.target.others, others);
        let flows: Vec<_> = read.flows.iter().map(|flow| &flow.known[..]).collect();
        assert_eq!(flows, [&[(0, Cell::Int(1)), (1, text("h2"))][..], &[]]);
        assert!(Line::parse(b"[1]", &targets, &targets).is_err());
        assert!(Line::parse(br#"{"flow_results":[1]}"#, &targets, &targets).is_err());
    }

    #[test]
    fn a_key_that_is_also_an_object_is_either() {
        let targets = keys(&["info", "info.ASN", "a.b"]);
        let none = Keys::default();
        let read = Line::parse(br#"{"info":"text","a":5}"#, &targets, &none).unwrap();
        assert_eq!(read.target.known, [(0, Cell::Text("text".into()))]);
        assert_eq!(read.target.others, [("a".to_owned(), json!(5))]);
        // Names that are the same are one key.
        let mut twice = Keys::default();
        assert_eq!((twice.add(&["a.b"]), twice.add(&["a", "b"])), (0, 0));
        let read = Line::parse(br#"{"a.b":1,"a":{"b":2}}"#, &twice, &none).unwrap();
        assert_eq!(read.target.known, [(0, Cell::Int(1)), (0, Cell::Int(2))]);
    }

    #[test]
    fn cells_are_values_again() {
        let value = json!({"a": [1, -2, 0.5, true, "x", {"base64": "Z3L832U="}, [1], {"y": 1}]});
        let mut keys = Keys::default();
        keys.add(&["a"]);
        let mut cells = Line::of_object(&value, &keys).unwrap();
        let (_, cell) = cells.known.remove(0);
        let mut written = Vec::new();
        cell.write(&mut written);
        assert_eq!(String::from_utf8(written).unwrap(), value["a"].to_string());
        assert_eq!(cell.into_value(), value["a"]);
    }
}
