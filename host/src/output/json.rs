//! Records as JSON, by the rules of `serde_json`, without its generality.
//!
//! A flow record has tens of short keys and numbers, and there are as many records as flows: this
//! takes a third of the time. A test holds both against each other.

use pathspider_plugin_api::{Record, Value, ValueRef};

/// Appends a record as one JSON object.
pub(crate) fn write(record: &Record, json: &mut Vec<u8>) {
    json.push(b'{');
    for (index, (key, value)) in record.iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        text(key, json);
        json.push(b':');
        self::value(value, json);
    }
    json.push(b'}');
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
        ValueRef::Map(record) => write(record, json),
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
    let plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
    if text.bytes().all(plain) {
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
        write(&record, &mut json);
        let theirs = serde_json::to_string(&record).unwrap();
        assert_eq!(String::from_utf8(json).unwrap(), theirs);
    }
}
