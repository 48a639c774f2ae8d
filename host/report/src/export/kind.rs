//! The type of a column, as it is declared, or as values have it.

use serde_json::Value;

/// The type of a column's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) of: Simple,
    /// Whether each value is a list of such.
    pub(crate) is_list: bool,
}

/// The type of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Simple {
    Bool,
    Int,
    Float,
    Text,
    /// Octets. Records write them in base64 where they are no text.
    Octets,
    /// A text in RFC 3339.
    Time,
    /// Anything, as its JSON.
    Json,
}

/// One value.
pub(crate) const fn one(of: Simple) -> Kind {
    Kind { of, is_list: false }
}

/// A list of values.
pub(crate) const fn list(of: Simple) -> Kind {
    Kind { of, is_list: true }
}

/// What is known of a column's type from values that were seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Learned {
    of: Option<Simple>,
    is_list: Option<bool>,
}

impl Learned {
    /// What a chain declares of a field; of a list it does not say what is in it.
    pub(crate) fn declared(name: &str) -> Learned {
        let of = match name {
            "bool" => Simple::Bool,
            "uint" => Simple::Int,
            "float" => Simple::Float,
            "text" => Simple::Text,
            "list" => return Learned { of: None, is_list: Some(true) },
            _ => return Learned::default(),
        };
        Learned { of: Some(of), is_list: Some(false) }
    }

    /// Learns from a value.
    pub(crate) fn see(&mut self, value: &Value) {
        let (is_list, values) = match value {
            Value::Null => return,
            Value::Array(list) => (true, &list[..]),
            value => (false, std::slice::from_ref(value)),
        };
        if self.is_list.is_some_and(|before| before != is_list) {
            *self = Learned { of: Some(Simple::Json), is_list: Some(false) };
            return;
        }
        self.is_list = Some(is_list);
        for value in values {
            let of = match value {
                Value::Null => continue,
                Value::Bool(_) => Simple::Bool,
                Value::Number(number) if number.is_i64() => Simple::Int,
                Value::Number(number) if number.is_f64() => Simple::Float,
                Value::String(_) => Simple::Text,
                Value::Object(object) if crate::json::octets(object).is_some() => Simple::Octets,
                _ => Simple::Json,
            };
            self.of = Some(match (self.of, of) {
                (None, of) => of,
                (Some(before), of) if before == of => of,
                (Some(Simple::Int | Simple::Float), Simple::Int | Simple::Float) => Simple::Float,
                (Some(Simple::Text | Simple::Octets), Simple::Text | Simple::Octets) => {
                    Simple::Octets
                }
                _ => Simple::Json,
            });
        }
    }

    /// The type; of what nothing is known of, it is text.
    pub(crate) fn kind(self) -> Kind {
        Kind { of: self.of.unwrap_or(Simple::Text), is_list: self.is_list.unwrap_or(false) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(values: &[Value]) -> Kind {
        let mut learned = Learned::default();
        values.iter().for_each(|value| learned.see(value));
        learned.kind()
    }

    #[test]
    fn values_say_what_a_column_is() {
        assert_eq!(of(&[json!(null), json!(1), json!(-2)]), one(Simple::Int));
        assert_eq!(of(&[json!(1), json!(0.5)]), one(Simple::Float));
        assert_eq!(of(&[json!("x"), json!({"base64": "AA=="})]), one(Simple::Octets));
        assert_eq!(of(&[json!("x"), json!({"x": 1})]), one(Simple::Json));
        assert_eq!(of(&[json!([]), json!([1, null])]), list(Simple::Int));
        assert_eq!(of(&[json!([1]), json!(1)]), one(Simple::Json));
        assert_eq!(of(&[json!([{"x": 1}])]), list(Simple::Json));
        assert_eq!(of(&[json!(u64::MAX)]), one(Simple::Json));
        assert_eq!(of(&[]), one(Simple::Text));
    }

    #[test]
    fn chains_declare_them() {
        assert_eq!(Learned::declared("uint").kind(), one(Simple::Int));
        let mut options = Learned::declared("list");
        options.see(&json!([2, 4]));
        assert_eq!(options.kind(), list(Simple::Int));
        assert_eq!(Learned::declared("of a newer version").kind(), one(Simple::Text));
    }
}
