//! How values are made and read.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use crate::abi::data::Repr;
use crate::{Record, Value};

/// A [`Value`] borrowed for matching.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ValueRef<'a> {
    /// No value: not seen, not known.
    Null,
    /// A truth value.
    Bool(bool),
    /// A signed whole number.
    Int(i64),
    /// A whole number that is not negative.
    UInt(u64),
    /// A number with a fraction.
    Float(f64),
    /// A text.
    Text(&'a str),
    /// Bytes that need not be UTF-8.
    Bytes(&'a [u8]),
    /// A list of values.
    List(&'a [Value]),
    /// A record.
    Map(&'a Record),
}

impl Value {
    /// No value.
    pub const NULL: Value = Value(Repr::Null);

    /// A text that lives as long as the program: no allocation.
    pub fn text(text: &'static str) -> Value {
        Value(Repr::Text(text.into()))
    }

    /// The value, borrowed for matching.
    #[inline]
    pub fn view(&self) -> ValueRef<'_> {
        match &self.0 {
            Repr::Null => ValueRef::Null,
            Repr::Bool(b) => ValueRef::Bool(*b),
            Repr::Int(n) => ValueRef::Int(*n),
            Repr::UInt(n) => ValueRef::UInt(*n),
            Repr::Float(x) => ValueRef::Float(*x),
            Repr::Text(t) => ValueRef::Text(t.as_str()),
            Repr::Bytes(b) => ValueRef::Bytes(b.as_slice()),
            Repr::List(l) => ValueRef::List(l.as_slice()),
            Repr::Map(m) => ValueRef::Map(m),
        }
    }

    /// Whether there is no value.
    pub fn is_null(&self) -> bool {
        matches!(self.0, Repr::Null)
    }

    /// The truth value, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self.0 {
            Repr::Bool(b) => Some(b),
            _ => None,
        }
    }

    /// The number, if it is a whole one that is not negative.
    pub fn as_u64(&self) -> Option<u64> {
        match self.0 {
            Repr::UInt(n) => Some(n),
            Repr::Int(n) => u64::try_from(n).ok(),
            _ => None,
        }
    }

    /// The number, if it is a whole one in the range of `i64`.
    pub fn as_i64(&self) -> Option<i64> {
        match self.0 {
            Repr::Int(n) => Some(n),
            Repr::UInt(n) => i64::try_from(n).ok(),
            _ => None,
        }
    }

    /// The number, if it is one of any kind.
    pub fn as_f64(&self) -> Option<f64> {
        match self.0 {
            Repr::Float(x) => Some(x),
            Repr::Int(n) => Some(n as f64),
            Repr::UInt(n) => Some(n as f64),
            _ => None,
        }
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match &self.0 {
            Repr::Text(t) => Some(t.as_str()),
            _ => None,
        }
    }

    /// The bytes, of a text too.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match &self.0 {
            Repr::Bytes(b) => Some(b.as_slice()),
            Repr::Text(t) => Some(t.as_str().as_bytes()),
            _ => None,
        }
    }

    /// The values, if it is a list.
    pub fn as_list(&self) -> Option<&[Value]> {
        match &self.0 {
            Repr::List(l) => Some(l.as_slice()),
            _ => None,
        }
    }

    /// The record, if it is one.
    pub fn as_record(&self) -> Option<&Record> {
        match &self.0 {
            Repr::Map(m) => Some(m),
            _ => None,
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.view() {
            ValueRef::Null => f.write_str("null"),
            ValueRef::Bool(b) => b.fmt(f),
            ValueRef::Int(n) => n.fmt(f),
            ValueRef::UInt(n) => n.fmt(f),
            ValueRef::Float(x) => x.fmt(f),
            ValueRef::Text(t) => t.fmt(f),
            ValueRef::Bytes(b) => write!(f, "{} bytes", b.len()),
            ValueRef::List(l) => l.fmt(f),
            ValueRef::Map(m) => m.fmt(f),
        }
    }
}

impl From<bool> for Value {
    #[inline]
    fn from(b: bool) -> Value {
        Value(Repr::Bool(b))
    }
}

macro_rules! whole_numbers {
    ($variant:ident as $wide:ty: $($narrow:ty),*) => {
        $(impl From<$narrow> for Value {
            #[inline]
            fn from(n: $narrow) -> Value {
                Value(Repr::$variant(n as $wide))
            }
        })*
    };
}
whole_numbers!(UInt as u64: u8, u16, u32, u64, usize);
whole_numbers!(Int as i64: i8, i16, i32, i64);

impl From<f64> for Value {
    #[inline]
    fn from(x: f64) -> Value {
        Value(Repr::Float(x))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::from(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value(Repr::Text(Cow::<'static, str>::Owned(text).into()))
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Value {
        Value(Repr::Bytes(bytes.into()))
    }
}

impl From<IpAddr> for Value {
    fn from(address: IpAddr) -> Value {
        match address {
            IpAddr::V4(v4) => Value::from(dotted(v4.octets())),
            IpAddr::V6(v6) => Value::from(v6.to_string()),
        }
    }
}

/// An IPv4 address as text, without the detour over `fmt`: every flow record has two.
fn dotted(octets: [u8; 4]) -> String {
    let mut text = String::with_capacity(15);
    for (index, octet) in octets.into_iter().enumerate() {
        if index > 0 {
            text.push('.');
        }
        if octet >= 100 {
            text.push(char::from(b'0' + octet / 100));
        }
        if octet >= 10 {
            text.push(char::from(b'0' + octet / 10 % 10));
        }
        text.push(char::from(b'0' + octet % 10));
    }
    text
}

impl From<Vec<Value>> for Value {
    fn from(list: Vec<Value>) -> Value {
        Value(Repr::List(list.into()))
    }
}

impl From<Record> for Value {
    fn from(record: Record) -> Value {
        Value(Repr::Map(record))
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::NULL, Into::into)
    }
}

impl<T: Into<Value>> FromIterator<T> for Value {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Value {
        Value::from(values.into_iter().map(Into::into).collect::<Vec<Value>>())
    }
}
