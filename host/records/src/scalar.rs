//! A JSON value that may be anything: keys of a job's own have any type, and a record is one all the
//! same.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A value of a key, as far as it is a single one.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Scalar<'a> {
    /// No value.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// A number that is none of the others.
    Number(f64),
    /// A whole number.
    Whole(u64),
    /// A whole number below zero.
    Below(i64),
    /// A text.
    Text(Cow<'a, str>),
    /// A list or an object.
    Several,
}

impl<'a> Scalar<'a> {
    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Scalar::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if it is a whole one of at least zero.
    pub fn as_u64(&self) -> Option<u64> {
        match *self {
            Scalar::Whole(number) => Some(number),
            _ => None,
        }
    }

    /// The number, if it is one.
    pub fn as_f64(&self) -> Option<f64> {
        match *self {
            Scalar::Number(number) => Some(number),
            Scalar::Whole(number) => Some(number as f64),
            Scalar::Below(number) => Some(number as f64),
            _ => None,
        }
    }

    /// Whether it is true or false, if it is one of them.
    pub fn as_bool(&self) -> Option<bool> {
        match *self {
            Scalar::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// As it is shown; nothing for null, lists and objects.
    pub fn shown(&self) -> Option<Cow<'a, str>> {
        Some(match self {
            Scalar::Null | Scalar::Several => return None,
            Scalar::Bool(value) => value.to_string().into(),
            Scalar::Number(number) => number.to_string().into(),
            Scalar::Whole(number) => number.to_string().into(),
            Scalar::Below(number) => number.to_string().into(),
            Scalar::Text(text) => text.clone(),
        })
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Scalar<'a>, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Whole(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Scalar<'de>, E> {
        Ok(u64::try_from(value).map_or(Scalar::Below(value), Scalar::Whole))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Number(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Scalar<'de>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Several)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Scalar<'de>, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Several)
    }
}

/// A text, which is not copied where it has no escapes.
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text<'de>, D::Error> {
        match Scalar::deserialize(deserializer)? {
            Scalar::Text(text) => Ok(Text(text)),
            _ => Err(D::Error::custom("conditions is not a list of texts")),
        }
    }
}
