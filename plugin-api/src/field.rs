//! The fields of observer chains: constants with name, type, unit and meaning. The chain that
//! writes a field and the measurement that reads it share the constant.

use std::marker::PhantomData;
use std::net::IpAddr;

use crate::packet::{OptionKinds, TcpFlags};
use crate::{ChainInfo, ChainName, FieldInfo, Value};

/// The type of a chain's field, in JSON's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldType {
    /// `true` or `false`.
    Bool,
    /// A whole number that is not negative.
    UInt,
    /// A number with a fraction.
    Float,
    /// A text.
    Text,
    /// A list of values.
    List,
}

impl FieldType {
    /// The type's name, as documentation gives it.
    pub fn name(self) -> &'static str {
        match self {
            FieldType::Bool => "bool",
            FieldType::UInt => "uint",
            FieldType::Float => "float",
            FieldType::Text => "text",
            FieldType::List => "list",
        }
    }

    /// A value of this type; also null, and a whole number for one with a fraction.
    pub(crate) fn read(self, value: Value) -> Option<Value> {
        let is_read = match self {
            _ if value.is_null() => true,
            FieldType::Bool => value.as_bool().is_some(),
            FieldType::UInt => value.as_u64().is_some(),
            FieldType::Float => return value.as_f64().map(Value::from),
            FieldType::Text => value.as_str().is_some(),
            FieldType::List => value.as_list().is_some(),
        };
        is_read.then_some(value)
    }

    /// The type of that name.
    pub fn from_name(name: &str) -> Option<FieldType> {
        use FieldType::{Bool, Float, List, Text, UInt};
        [Bool, UInt, Float, Text, List].into_iter().find(|t| t.name() == name)
    }
}

/// A type that fields have: what a chain writes, and what a measurement reads.
pub trait FieldValue: Sized {
    /// What it is in a record.
    const TYPE: FieldType;
    /// What is read: the type itself, or a reference to what the flow has.
    type Read<'f>;

    /// The value that is kept.
    fn into_value(self) -> Value;

    /// Reads it again; `None` where it is null, or of another type.
    fn read(value: &Value) -> Option<Self::Read<'_>>;
}

macro_rules! copied {
    ($($type:ty: $kind:ident, $value:ident => $read:expr;)*) => {
        $(impl FieldValue for $type {
            const TYPE: FieldType = FieldType::$kind;
            type Read<'f> = $type;

            #[inline]
            fn into_value(self) -> Value {
                self.into()
            }

            fn read($value: &Value) -> Option<$type> {
                $read
            }
        })*
    };
}
copied! {
    bool: Bool, value => value.as_bool();
    u8: UInt, value => value.as_u64()?.try_into().ok();
    u16: UInt, value => value.as_u64()?.try_into().ok();
    u32: UInt, value => value.as_u64()?.try_into().ok();
    u64: UInt, value => value.as_u64();
    TcpFlags: UInt, value => value.as_u64()?.try_into().ok().map(TcpFlags);
    f64: Float, value => value.as_f64();
    IpAddr: Text, value => value.as_str()?.parse().ok();
    OptionKinds: List, value => value.as_list().map(OptionKinds::of_list);
}

impl FieldValue for String {
    const TYPE: FieldType = FieldType::Text;
    type Read<'f> = &'f str;

    fn into_value(self) -> Value {
        self.into()
    }

    fn read(value: &Value) -> Option<&str> {
        value.as_str()
    }
}

impl FieldValue for Vec<Value> {
    const TYPE: FieldType = FieldType::List;
    type Read<'f> = &'f [Value];

    fn into_value(self) -> Value {
        self.into()
    }

    fn read(value: &Value) -> Option<&[Value]> {
        value.as_list()
    }
}

/// A field of a chain, declared by [`fields!`](crate::fields).
///
/// The chain writes it with [`Fields::set`](crate::Fields::set), a measurement reads it with
/// [`Flow::get`](crate::Flow::get).
#[derive(Debug)]
pub struct Field<T> {
    chain: &'static ChainFields,
    place: u16,
    kind: PhantomData<fn() -> T>,
}

impl<T> Clone for Field<T> {
    fn clone(&self) -> Field<T> {
        *self
    }
}

impl<T> Copy for Field<T> {}

impl<T> Field<T> {
    #[doc(hidden)]
    pub const fn new(chain: &'static ChainFields, place: u16) -> Field<T> {
        Field { chain, place, kind: PhantomData }
    }

    /// Its key where a record is written.
    pub fn name(self) -> &'static str {
        self.chain.fields[usize::from(self.place)].name
    }

    /// The chain that writes it.
    pub fn chain(self) -> &'static ChainFields {
        self.chain
    }

    /// Its place among the chain's fields.
    pub fn place(self) -> usize {
        self.place.into()
    }
}

/// A chain's name and fields, declared by [`fields!`](crate::fields).
#[derive(Debug, Clone, Copy)]
pub struct ChainFields {
    /// The name that command lines and measurements use.
    pub name: &'static str,
    /// One line on what it looks at.
    pub description: &'static str,
    /// Its fields, in the order in which records have them.
    pub fields: &'static [FieldSpec],
}

/// One field, as its constant declares it.
#[derive(Debug, Clone, Copy)]
pub struct FieldSpec {
    /// Its key in a record.
    pub name: &'static str,
    /// Its type when it is not null.
    pub kind: FieldType,
    /// Its unit, such as `octets`; empty where it has none.
    pub unit: &'static str,
    /// What it says, and what null means where it can be null.
    pub meaning: &'static str,
}

impl From<ChainFields> for ChainInfo {
    fn from(chain: ChainFields) -> ChainInfo {
        let field = |field: &FieldSpec| FieldInfo {
            name: field.name.into(),
            kind: field.kind,
            unit: field.unit.into(),
            meaning: field.meaning.into(),
        };
        ChainInfo {
            name: chain.name.into(),
            description: chain.description.into(),
            fields: chain.fields.iter().map(field).collect(),
        }
    }
}

impl From<ChainFields> for ChainName {
    fn from(chain: ChainFields) -> ChainName {
        ChainName(chain.name.into())
    }
}

/// Declares a chain's name and fields, once for the chain, who reads it and the documentation.
///
/// Each line is a constant: its name, its type, its key in records, its unit if it has one, and its
/// meaning. Use it once in a module.
///
/// ```
/// mod hops {
///     pathspider_plugin_api::fields! {
///         pub CHAIN = "hops": "time to live of the first packets";
///         FORWARD: u8 = "hops_fwd" in "hops": "time to live of the originator's first packet";
///         REVERSE: u8 = "hops_rev" in "hops": "time to live of the other side's first packet; null if none came";
///     }
/// }
/// assert_eq!(hops::REVERSE.name(), "hops_rev");
/// assert_eq!(hops::CHAIN.fields.len(), 2);
/// ```
#[macro_export]
macro_rules! fields {
    (
        $vis:vis $chain:ident = $name:literal: $description:literal;
        $($field:ident: $type:ty = $key:literal $(in $unit:literal)?: $meaning:literal;)*
    ) => {
        #[doc = concat!("The chain `", $name, "`: ", $description, ".")]
        $vis const $chain: $crate::ChainFields = $crate::ChainFields {
            name: $name,
            description: $description,
            fields: &[$($crate::FieldSpec {
                name: $key,
                kind: <$type as $crate::FieldValue>::TYPE,
                unit: concat!("" $(, $unit)?),
                meaning: $meaning,
            }),*],
        };
        $crate::fields!(@constants $vis $chain; $($field: $type, $meaning;)*);
    };
    (@constants $vis:vis $chain:ident;) => {};
    (@constants $vis:vis $chain:ident; $($field:ident: $type:ty, $meaning:literal;)+) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        enum Place {
            $($field,)+
        }

        $(
            #[doc = $meaning]
            $vis const $field: $crate::Field<$type> =
                $crate::Field::new(&$chain, Place::$field as u16);
        )+
    };
    ($($wrong:tt)*) => {
        compile_error!(
            "fields!: the first line is `pub CHAIN = \"name\": \"what it looks at\";`, and each other one \
             `NAME: type = \"key\" in \"unit\": \"meaning\";`, with or without the unit"
        );
    };
}
