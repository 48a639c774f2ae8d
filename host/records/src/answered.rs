//! From how far a target's answers came: a hint at who answered.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::scalar::{Scalar, Text};

/// The hint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answered {
    /// The TTLs of the first answers.
    pub ttl: Vec<u8>,
    /// How many routers these imply, the fewest first.
    pub hops: Vec<u8>,
    /// The lowest and the highest TTL of the target's other packets.
    pub other_ttl: Vec<u8>,
    /// Where that is far from it, over how many routers other targets of the prefix answered.
    pub prefix_hops: Vec<u8>,
}

impl Answered {
    /// Whether the target answered from much nearer or farther than others of its prefix.
    pub fn is_out_of_place(&self) -> bool {
        !self.prefix_hops.is_empty()
    }

    /// Whether other packets had another TTL than the first answers: another box may have answered.
    pub fn is_apart(&self) -> bool {
        self.other_ttl.iter().any(|ttl| !self.ttl.contains(ttl))
    }
}

/// A value that is a hint, or somebody else's and anything.
pub(crate) struct Hint(pub(crate) Option<Answered>);

/// A list of small numbers, or anything else.
struct Numbers(Option<Vec<u8>>);

/// What single values are where they are none of what is looked for.
macro_rules! nothing_of_single_values {
    ($nothing:expr) => {
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok($nothing)
        }

        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok($nothing)
        }

        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok($nothing)
        }

        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok($nothing)
        }

        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok($nothing)
        }

        fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
            Ok($nothing)
        }
    };
}

impl<'de> Deserialize<'de> for Hint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Hint, D::Error> {
        struct AnyValue;
        impl<'de> Visitor<'de> for AnyValue {
            type Value = Hint;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            nothing_of_single_values!(Hint(None));

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Hint, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Hint(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Hint, A::Error> {
                let (mut hint, mut is_one) = (Answered::default(), true);
                while let Some(Text(key)) = object.next_key()? {
                    let numbers = match &*key {
                        "ttl" => &mut hint.ttl,
                        "hops" => &mut hint.hops,
                        "other_ttl" => &mut hint.other_ttl,
                        "prefix_hops" => &mut hint.prefix_hops,
                        _ => {
                            object.next_value::<IgnoredAny>()?;
                            continue;
                        }
                    };
                    let Numbers(found) = object.next_value()?;
                    is_one &= found.is_some();
                    *numbers = found.unwrap_or_default();
                }
                is_one &= !hint.ttl.is_empty();
                Ok(Hint(is_one.then_some(hint)))
            }
        }
        deserializer.deserialize_any(AnyValue)
    }
}

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Numbers, D::Error> {
        struct AnyValue;
        impl<'de> Visitor<'de> for AnyValue {
            type Value = Numbers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            nothing_of_single_values!(Numbers(None));

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Numbers, A::Error> {
                let mut numbers = Some(Vec::new());
                while let Some(number) = list.next_element::<Scalar<'de>>()? {
                    let number = number.as_u64().and_then(|number| u8::try_from(number).ok());
                    numbers = numbers.zip(number).map(|(mut numbers, number)| {
                        numbers.push(number);
                        numbers
                    });
                }
                Ok(Numbers(numbers))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Numbers, A::Error> {
                while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Numbers(None))
            }
        }
        deserializer.deserialize_any(AnyValue)
    }
}
