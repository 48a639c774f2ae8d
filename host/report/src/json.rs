//! JSON that was read: its values in a row, each list and object before what is in it. Texts stand where
//! they were read, so nothing is copied before it is wanted.

use data_encoding::BASE64;
use serde_json::{Map, Value};
use simd_json::{Node, StaticNode};

/// A value. What is in it comes behind it in the row, and then what follows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Json<'n>(&'n [Node<'n>]);

/// What a value is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum What<'n> {
    Null,
    Bool(bool),
    Int(i64),
    /// A whole number that is larger than those.
    Large(u64),
    Float(f64),
    Text(&'n str),
    List(Items<'n>),
    Object(Fields<'n>),
}

/// The values of a list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Items<'n> {
    left: usize,
    rest: Json<'n>,
}

/// The names and values of an object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'n> {
    left: usize,
    rest: Json<'n>,
}

impl<'n> Json<'n> {
    /// The first value of a row, which is what all others are in.
    pub(crate) fn new(row: &'n [Node<'n>]) -> Json<'n> {
        Json(row)
    }

    /// What it is.
    pub(crate) fn what(self) -> What<'n> {
        let Some((first, rest)) = self.0.split_first() else { return What::Null };
        match *first {
            Node::String(text) => What::Text(text),
            Node::Array { len, .. } => What::List(Items { left: len, rest: Json(rest) }),
            Node::Object { len, .. } => What::Object(Fields { left: len, rest: Json(rest) }),
            Node::Static(StaticNode::Null) => What::Null,
            Node::Static(StaticNode::Bool(value)) => What::Bool(value),
            Node::Static(StaticNode::I64(number)) => What::Int(number),
            Node::Static(StaticNode::U64(number)) => {
                i64::try_from(number).map_or(What::Large(number), What::Int)
            }
            Node::Static(StaticNode::F64(number)) => What::Float(number),
        }
    }

    /// Its place in the row that `first` is the first value of.
    pub(crate) fn place(self, first: Json<'n>) -> usize {
        first.0.len() - self.0.len()
    }

    /// The value at a place of the row that this is the first value of.
    pub(crate) fn at(self, place: usize) -> Json<'n> {
        Json(self.0.get(place..).unwrap_or_default())
    }

    /// What follows it in the row.
    fn after(self) -> Json<'n> {
        let inside = match self.0.first() {
            Some(Node::Array { count, .. } | Node::Object { count, .. }) => *count,
            _ => 0,
        };
        self.at(1 + inside)
    }
}

impl<'n> Iterator for Items<'n> {
    type Item = Json<'n>;

    fn next(&mut self) -> Option<Json<'n>> {
        self.left = self.left.checked_sub(1)?;
        let item = self.rest;
        self.rest = item.after();
        Some(item)
    }
}

impl<'n> Iterator for Fields<'n> {
    type Item = (&'n str, Json<'n>);

    fn next(&mut self) -> Option<(&'n str, Json<'n>)> {
        self.left = self.left.checked_sub(1)?;
        let What::Text(name) = self.rest.what() else { return None };
        let value = self.rest.at(1);
        self.rest = value.after();
        Some((name, value))
    }
}

impl What<'_> {
    /// The same value, which stands by itself.
    pub(crate) fn into_value(self) -> Value {
        match self {
            What::Null => Value::Null,
            What::Bool(value) => value.into(),
            What::Int(number) => number.into(),
            What::Large(number) => number.into(),
            What::Float(number) => number.into(),
            What::Text(text) => text.into(),
            What::List(items) => items.map(|item| item.what().into_value()).collect(),
            What::Object(fields) => Value::Object(fields.into_map()),
        }
    }
}

impl Fields<'_> {
    /// The same object, in which each name stands once, with its last value.
    pub(crate) fn into_map(self) -> Map<String, Value> {
        self.map(|(name, value)| (name.to_owned(), value.what().into_value())).collect()
    }
}

/// The octets that an object stands for, if it is one of those that records write.
pub(crate) fn octets(object: &Map<String, Value>) -> Option<Vec<u8>> {
    match object.get("base64") {
        Some(Value::String(text)) if object.len() == 1 => BASE64.decode(text.as_bytes()).ok(),
        _ => None,
    }
}
