//! Whether a line says that its target responds (`docs/respond.md`).

use pathspider_plugin_api::{Record, ValueRef};

use super::wrong::{Piece, Wrong};

/// The key.
const RESPONDER: &str = "responder";

/// Whether the target is said to respond. In a row, it is a text, perhaps as spreadsheets write it.
///
/// # Errors
///
/// It says neither yes nor no.
pub(crate) fn responds(record: &Record) -> Result<bool, Wrong> {
    let Some(value) = record.get(RESPONDER) else { return Ok(false) };
    match value.view() {
        ValueRef::Bool(responds) => Ok(responds),
        ValueRef::Null => Ok(false),
        ValueRef::Text(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        ValueRef::Text(text) if text.is_empty() || text.eq_ignore_ascii_case("false") => Ok(false),
        ValueRef::Text(text) => Err(neither(text)),
        _ => Err(neither(&serde_json::to_string(value).unwrap_or_default())),
    }
}

fn neither(value: &str) -> Wrong {
    Wrong::NoTruth { key: RESPONDER, value: Piece::of(value) }
}

#[cfg(test)]
mod tests {
    use pathspider_plugin_api::Value;

    use super::*;

    #[test]
    fn what_is_neither_true_nor_false_is_wrong() {
        let said = |value: Value| responds(&Record::new().with(RESPONDER, value)).ok();
        for (value, expected) in [
            (true.into(), Some(true)),
            ("true".into(), Some(true)),
            ("TRUE".into(), Some(true)),
            (false.into(), Some(false)),
            ("false".into(), Some(false)),
            ("".into(), Some(false)),
            (Value::NULL, Some(false)),
            ("yes".into(), None),
            (1_u64.into(), None),
        ] {
            assert_eq!(said(value), expected);
        }
        assert_eq!(responds(&Record::new()), Ok(false));
    }
}
