//! A row of JSON values that any reader of JSON fills: the slower one with lines that the faster one
//! refuses, and memory with values that were made.

use std::borrow::Cow;
use std::fmt;

use pathspider_records::names::FLOW_RESULTS;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor};
use serde_json::Value;
use simd_json::{Node, StaticNode};

/// The values, whose texts stand beside them.
#[derive(Debug, Default)]
pub(crate) struct Row<'a> {
    values: Vec<Node<'static>>,
    texts: Vec<Cow<'a, str>>,
}

impl<'a> Row<'a> {
    /// Reads a line, which is to be an object whose connections, if it has any, are a list of objects.
    ///
    /// # Errors
    ///
    /// It is none.
    pub(crate) fn of_line(line: &'a [u8]) -> serde_json::Result<Row<'a>> {
        let mut row = Row::default();
        let mut deserializer = serde_json::Deserializer::from_slice(line);
        Filling { row: &mut row, expected: Expected::Record }.deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(row)
    }

    /// The row of a value.
    pub(crate) fn of_value(value: &'a Value) -> Row<'a> {
        let mut row = Row::default();
        // Any value is expected, so none is refused.
        let _ = Filling { row: &mut row, expected: Expected::Any }.deserialize(value);
        row
    }

    /// The values with their texts.
    pub(crate) fn nodes(&self) -> Vec<Node<'_>> {
        let mut texts = self.texts.iter();
        let with_text = |value: &Node<'static>| match value {
            Node::String(_) => Node::String(texts.next().map_or("", |text| text)),
            other => *other,
        };
        self.values.iter().map(with_text).collect()
    }

    fn text(&mut self, text: Cow<'a, str>) {
        self.values.push(Node::String(""));
        self.texts.push(text);
    }
}

/// What is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Any,
    Record,
    Connections,
    Connection,
}

/// Adds a value to a row.
struct Filling<'r, 'a> {
    row: &'r mut Row<'a>,
    expected: Expected,
}

impl<'a> Filling<'_, 'a> {
    /// Adds what may be anywhere but where a list or an object is expected.
    fn single<E: Error>(self, value: StaticNode, found: Unexpected<'_>) -> Result<(), E> {
        if self.expected != Expected::Any {
            return Err(E::invalid_type(found, &self));
        }
        self.row.values.push(Node::Static(value));
        Ok(())
    }

    fn text<E: Error>(self, text: Cow<'a, str>) -> Result<(), E> {
        if self.expected != Expected::Any {
            return Err(E::invalid_type(Unexpected::Str(&text), &self));
        }
        self.row.text(text);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Filling<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.expected {
            Expected::Record | Expected::Connection => deserializer.deserialize_map(self),
            Expected::Connections | Expected::Any => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Filling<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.expected {
            Expected::Any => "any value",
            Expected::Record | Expected::Connection => "an object",
            Expected::Connections => "flow_results as a list of objects",
        })
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        let expected = match self.expected {
            Expected::Connections => Expected::Any,
            expected => expected,
        };
        Filling { expected, ..self }.single(StaticNode::Null, Unexpected::Unit)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.single(StaticNode::Bool(value), Unexpected::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.single(StaticNode::U64(value), Unexpected::Unsigned(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.single(StaticNode::I64(value), Unexpected::Signed(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.single(StaticNode::F64(value), Unexpected::Float(value))
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<(), E> {
        self.text(Cow::Borrowed(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.text(Cow::Owned(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<(), E> {
        self.text(Cow::Owned(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Filling { row, expected } = self;
        let expected = match expected {
            Expected::Connections => Expected::Connection,
            _ => Expected::Any,
        };
        let (begin, mut len) = (row.values.len(), 0);
        row.values.push(Node::Array { len: 0, count: 0 });
        while list.next_element_seed(Filling { row: &mut *row, expected })?.is_some() {
            len += 1;
        }
        row.values[begin] = Node::Array { len, count: row.values.len() - begin - 1 };
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        if self.expected == Expected::Connections {
            return Err(A::Error::invalid_type(Unexpected::Map, &self));
        }
        let Filling { row, expected: of } = self;
        let (begin, mut len) = (row.values.len(), 0);
        row.values.push(Node::Object { len: 0, count: 0 });
        while object.next_key_seed(Filling { row: &mut *row, expected: Expected::Any })?.is_some() {
            let is_of = |name: &Cow<'_, str>| of == Expected::Record && *name == FLOW_RESULTS;
            let expected = if row.texts.last().is_some_and(is_of) {
                Expected::Connections
            } else {
                Expected::Any
            };
            object.next_value_seed(Filling { row: &mut *row, expected })?;
            len += 1;
        }
        row.values[begin] = Node::Object { len, count: row.values.len() - begin - 1 };
        Ok(())
    }
}
