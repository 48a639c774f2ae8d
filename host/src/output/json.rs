//! Records as JSON, by the rules of `serde_json`, without its generality.
//!
//! A flow record has tens of short keys and numbers, and there are as many records as flows: this
//! takes a third of the time. A test holds both against each other.

use pathspider_plugin_api::{Record, Value, ValueRef};

/// Writes records, and remembers the keys of the last: those of the next are mostly the same.
#[derive(Default)]
pub(crate) struct Writer {
    /// Each key, and `,"key":`.
    keys: Vec<(String, Vec<u8>)>,
}

impl Writer {
    /// Appends a record as one JSON object.
    pub(crate) fn write(&mut self, record: &Record, json: &mut Vec<u8>) {
        json.push(b'{');
        for (index, (key, value)) in record.iter().enumerate() {
            let known = self.keys.get(index).is_some_and(|(known, _)| known == key);
            if !known {
                self.learn(index, key);
            }
            let start = usize::from(index == 0);
            json.extend_from_slice(&self.keys[index].1[start..]);
            self::value(value, json);
        }
        json.push(b'}');
    }

    #[cold]
    fn learn(&mut self, index: usize, key: &str) {
        let mut json = vec![b','];
        text(key, &mut json);
        json.push(b':');
        self.keys.truncate(index);
        self.keys.push((key.to_owned(), json));
    }
}

/// Appends a record that stands within another.
fn inner(record: &Record, json: &mut Vec<u8>) {
    Writer::default().write(record, json);
}

fn value(value: &Value, json: &mut Vec<u8>) {
    match value.view() {
        ValueRef::Null => json.extend_from_slice(b"null"),
        ValueRef::Bool(true) => json.extend_from_slice(b"true"),
        ValueRef::Bool(false) => json.extend_from_slice(b"false"),
        ValueRef::UInt(n) => unsigned(n, json),
        ValueRef::Int(n) if n >= 0 => unsigned(n.unsigned_abs(), json),
        ValueRef::Int(n) => {
            json.push(b'-');
            unsigned(n.unsigned_abs(), json);
        }
        ValueRef::Text(t) => text(t, json),
        ValueRef::List(list) => {
            json.push(b'[');
            for (index, item) in list.iter().enumerate() {
                if index > 0 {
                    json.push(b',');
                }
                self::value(item, json);
            }
            json.push(b']');
        }
        ValueRef::Map(record) => inner(record, json),
        ValueRef::Float(_) | ValueRef::Bytes(_) => by_serde(value, json),
    }
}

/// What is rare, or hard: shortest decimal fractions, octets that need not be text.
fn by_serde(value: &Value, json: &mut Vec<u8>) {
    let before = json.len();
    if serde_json::to_writer(&mut *json, value).is_err() {
        // Memory does not fail to be written, and no value here is one that JSON has not.
        json.truncate(before);
        json.extend_from_slice(b"null");
    }
}

fn text(text: &str, json: &mut Vec<u8>) {
    json.push(b'"');
    // Without an early end, so that it is done for many octets at once.
    let special = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    if !text.bytes().fold(false, |any, byte| any | special(byte)) {
        json.extend_from_slice(text.as_bytes());
    } else {
        text.bytes().for_each(|byte| escaped(byte, json));
    }
    json.push(b'"');
}

fn escaped(byte: u8, json: &mut Vec<u8>) {
    let letter = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        0..0x20 => {
            json.extend_from_slice(b"\\u00");
            for digit in [byte >> 4, byte & 15] {
                json.push(b"0123456789abcdef"[usize::from(digit)]);
            }
            return;
        }
        _ => return json.push(byte),
    };
    json.extend([b'\\', letter]);
}

fn unsigned(mut number: u64, json: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    json.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_serde_json_writes() {
        let record = Record::new()
            .with("null", Value::NULL)
            .with("bools", [true, false].into_iter().collect::<Value>())
            .with("numbers", [0, 9, 10, u64::MAX].into_iter().collect::<Value>())
            .with("signed", [0, -1, i64::MIN, i64::MAX].into_iter().collect::<Value>())
            .with("floats", [0.1, -1e300, 1_492_554_904.905_206].into_iter().collect::<Value>())
            .with("infinite", f64::INFINITY)
            .with("bytes", vec![0u8, 0x80, 0xff])
            .with("key \"\\\u{1}é", "\u{0}\u{8}\u{c}\n\r\t\u{1f}\u{7f} é \u{2028} 🦀 / <")
            .with("empty", Value::from(Vec::<Value>::new()))
            .with("map", Record::new().with("inner", Record::new()));
        let mut json = Vec::new();
        let mut writer = Writer::default();
        let other = Record::new().with("null", 1u8).with("x", 2u8);
        for record in [&record, &other, &record, &Record::new()] {
            json.clear();
            writer.write(record, &mut json);
            let theirs = serde_json::to_string(record).unwrap();
            assert_eq!(String::from_utf8_lossy(&json), theirs);
        }
    }
}
