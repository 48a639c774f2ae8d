//! A flow's record as a line of output: what `serde_json` would write of it. The fields' names become JSON
//! once for all flows, for a fast source ends very many of them.

use std::ops::Range;

use pathspider_plugin_api::abi::Slots;
use pathspider_plugin_api::{FlowRecord, Record, ValueRef};

use super::told::Line;

/// The fields of a run as members of JSON objects, each with a comma before it.
pub(crate) struct Keys {
    text: Vec<u8>,
    members: Vec<Member>,
}

/// Where the texts of a field stand: its key alone, and with each of the values that most fields have.
struct Member {
    key: Range<usize>,
    null: Range<usize>,
    no: Range<usize>,
    yes: Range<usize>,
}

impl Keys {
    /// Those of the fields behind these slots.
    pub(crate) fn of(slots: &Slots) -> Keys {
        let mut all = Vec::new();
        let mut add = |slot, value: &str| {
            let begin = all.len();
            all.push(b',');
            text(slots.name(slot), &mut all);
            all.push(b':');
            all.extend_from_slice(value.as_bytes());
            begin..all.len()
        };
        let member = |slot| Member {
            key: add(slot, ""),
            null: add(slot, "null"),
            no: add(slot, "false"),
            yes: add(slot, "true"),
        };
        let members = (0..slots.len()).map(member).collect();
        Keys { text: all, members }
    }

    /// The line of a record behind these slots.
    pub(crate) fn line<'a>(&'a self, record: &'a FlowRecord) -> FlowLine<'a> {
        FlowLine { keys: self, record }
    }
}

/// A flow's record, with its keys.
pub(crate) struct FlowLine<'a> {
    keys: &'a Keys,
    record: &'a FlowRecord,
}

impl Line for FlowLine<'_> {
    fn write(&self, lines: &mut Vec<u8>) -> serde_json::Result<()> {
        let Keys { text, members } = self.keys;
        let begin = lines.len();
        for (slot, value) in self.record.by_slot() {
            let Member { key, null, no, yes } = &members[slot];
            let member = match value.view() {
                ValueRef::Null => null,
                ValueRef::Bool(false) => no,
                ValueRef::Bool(true) => yes,
                _ => key,
            };
            lines.extend_from_slice(&text[member.clone()]);
            match value.view() {
                ValueRef::Null | ValueRef::Bool(_) => {}
                ValueRef::UInt(number) => serde_json::to_writer(&mut *lines, &number)?,
                ValueRef::Text(found) => self::text(found, lines),
                _ => serde_json::to_writer(&mut *lines, value)?,
            }
        }
        // The first member has a comma before it too.
        match lines.get_mut(begin) {
            Some(comma) => *comma = b'{',
            None => lines.push(b'{'),
        }
        lines.push(b'}');
        Ok(())
    }

    fn record(&self) -> Option<&Record> {
        None
    }
}

/// A text as JSON. Most have nothing to escape.
fn text(text: &str, lines: &mut Vec<u8>) {
    let is_plain = |&octet: &u8| octet >= b' ' && octet != b'"' && octet != b'\\';
    if text.as_bytes().iter().all(is_plain) {
        lines.push(b'"');
        lines.extend_from_slice(text.as_bytes());
        lines.push(b'"');
    } else {
        // Writing a text to memory does not fail.
        let _ = serde_json::to_writer(lines, text);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use pathspider_plugin_api::{ChainInfo, FieldInfo, FieldType, Value};

    use super::*;

    fn field(name: &str) -> FieldInfo {
        FieldInfo {
            name: name.into(),
            kind: FieldType::Text,
            unit: String::new(),
            meaning: String::new(),
        }
    }

    #[test]
    fn the_octets_are_those_of_serde_json() {
        let map = Record::new().with("a\"b", "c\u{1}");
        let values: Vec<Value> = vec![
            Value::NULL,
            true.into(),
            false.into(),
            0u8.into(),
            u64::MAX.into(),
            (-1i64).into(),
            1.5f64.into(),
            1e300f64.into(),
            f64::NAN.into(),
            "192.0.2.1".into(),
            "".into(),
            "a\\b\"c\n\u{1f}\u{7f}\u{80}é".into(),
            vec![Value::NULL, "x".into()].into(),
            map.into(),
        ];
        let names = (0..values.len()).map(|k| format!("field_{k}"));
        let names = names.chain(["\"".to_owned(), "\u{202e}é\t".to_owned()]);
        let chain = ChainInfo {
            name: "c".into(),
            description: String::new(),
            fields: names.map(|name| field(&name)).collect(),
        };
        let slots = Arc::new(Slots::new([&chain]));
        let keys = Keys::of(&slots);
        let mut record = FlowRecord::of_chains([&chain]);
        let own = slots.len() - chain.fields.len();
        for (place, value) in record.values_mut()[own..].iter_mut().zip(values) {
            *place = value;
        }
        for record in [record, FlowRecord::new(slots)] {
            let mut lines = b"before\n".to_vec();
            keys.line(&record).write(&mut lines).unwrap();
            let expected = format!("before\n{}", serde_json::to_string(&record).unwrap());
            assert_eq!(String::from_utf8(lines).unwrap(), expected);
        }
    }
}
