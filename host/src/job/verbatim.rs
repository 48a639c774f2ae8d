//! What an input line said, to the letter: numbers that no machine's number holds, keys that come twice,
//! texts with escapes, names in their own script.
//!
//! Most lines need none of it: a record says them again as they came. Where one does not, the members of
//! the line are kept beside the record, and written in place of the record's.

use std::borrow::Cow;
use std::io;

use pathspider_plugin_api::{Record, Value};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The members of an input line, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verbatim(Vec<Member>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Member {
    /// The key that is meant.
    key: Box<str>,
    /// Key and value as they came; `None` where the record's value counts.
    text: Option<Box<str>>,
}

impl Verbatim {
    /// The members of an object.
    ///
    /// # Errors
    ///
    /// It is none.
    pub(crate) fn of(object: &str) -> serde_json::Result<Verbatim> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Vec<Member>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<Member>, A::Error> {
                let mut members = Vec::new();
                while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
                    let (key, value) = (key.get(), value.get());
                    let text = format!("{key}:{value}").into_boxed_str();
                    members.push(Member { key: decoded(key).into(), text: Some(text) });
                }
                Ok(members)
            }
        }
        let mut deserializer = serde_json::Deserializer::from_str(object);
        let members = deserializer.deserialize_map(Members)?;
        deserializer.end()?;
        Ok(Verbatim(members))
    }

    /// A line whose record says all as it came.
    pub(super) fn of_record(record: &Record) -> Verbatim {
        let member = |(key, _): (&str, _)| Member { key: key.into(), text: None };
        Verbatim(record.iter().map(member).collect())
    }

    /// Has a key come back with this text as its value.
    pub(super) fn say(&mut self, key: &str, value: &str) {
        let text = Some(format!("{}:{}", said(key), said(value)).into_boxed_str());
        match self.0.iter_mut().find(|member| *member.key == *key) {
            Some(member) => member.text = text,
            None => self.0.push(Member { key: key.into(), text }),
        }
    }

    /// Has a key come back as the record says it, where the record has it.
    pub(crate) fn unsay(&mut self, key: &str) {
        let same = self.0.iter_mut().filter(|member| *member.key == *key);
        same.for_each(|member| member.text = None);
    }

    /// Keeps keys that are wanted.
    pub(crate) fn retain(&mut self, is_wanted: impl Fn(&str) -> bool) {
        self.0.retain(|member| is_wanted(&member.key));
    }

    /// Puts the members of these keys together into an object under another key.
    pub(crate) fn put_aside(&mut self, under: &str, is_meant: impl Fn(&str) -> bool) {
        let members = std::mem::take(&mut self.0).into_iter();
        let (aside, rest) = members.partition(|member| is_meant(&member.key));
        self.0 = rest;
        let aside: Vec<Member> = aside;
        let texts: Vec<&str> = aside.iter().filter_map(|member| member.text.as_deref()).collect();
        // Where the record's values count, it has them under that key.
        if !texts.is_empty() {
            let text = format!("{}:{{{}}}", said(under), texts.join(","));
            self.0.push(Member { key: under.into(), text: Some(text.into_boxed_str()) });
        }
    }

    /// Writes a record, with what it says of this line as that came.
    pub(crate) fn write(&self, record: &Record, out: &mut Vec<u8>) {
        let mut comma = false;
        let mut separate = |out: &mut Vec<u8>| {
            out.push(if std::mem::replace(&mut comma, true) { b',' } else { b'{' });
        };
        for (at, member) in self.0.iter().enumerate() {
            let is_first = || !self.0[..at].iter().any(|earlier| earlier.key == member.key);
            match (&member.text, record.get(&member.key)) {
                (Some(text), _) => {
                    separate(out);
                    out.extend_from_slice(text.as_bytes());
                }
                (None, Some(value)) if is_first() => {
                    separate(out);
                    write_member(&member.key, value, out);
                }
                (None, _) => {}
            }
        }
        let is_added = |key: &str| !self.0.iter().any(|member| *member.key == *key);
        for (key, value) in record.iter().filter(|(key, _)| is_added(key)) {
            separate(out);
            write_member(key, value, out);
        }
        if !comma {
            out.push(b'{');
        }
        out.push(b'}');
    }
}

fn write_member(key: &str, value: &Value, out: &mut Vec<u8>) {
    // Into memory, and every key of a record is a text: neither can fail.
    let _ = serde_json::to_writer(&mut *out, key);
    out.push(b':');
    let _ = serde_json::to_writer(out, value);
}

/// A text as JSON says it.
fn said(text: &str) -> String {
    // Texts can be written.
    serde_json::to_string(text).unwrap_or_default()
}

/// The text that a JSON text says.
pub(super) fn decoded(json: &str) -> Cow<'_, str> {
    let inner = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(json);
    if inner.contains('\\') {
        // Half of a surrogate pair is no text; then it is what stands there.
        serde_json::from_str::<String>(json).map_or(inner.into(), Cow::Owned)
    } else {
        inner.into()
    }
}

/// A JSON value, and whether a record says it again to the letter.
pub(super) fn value(json: &str) -> (Value, bool) {
    let digits = |text: &str| text.len() < 19 && text.bytes().all(|b| b.is_ascii_digit());
    match json.as_bytes()[0] {
        b'"' => {
            let same = !json.contains('\\');
            (decoded(json).into_owned().into(), same)
        }
        b'0'..=b'9' if digits(json) => (json.parse::<u64>().ok().into(), true),
        b'n' => (Value::NULL, true),
        b't' => (true.into(), true),
        b'f' => (false.into(), true),
        _ => match serde_json::from_str::<Value>(json) {
            Ok(value) => {
                let same = says_again(&value, json);
                (value, same)
            }
            // No value holds it: a number beyond all, half a surrogate pair, lists that are too deep.
            Err(_) => (json.into(), false),
        },
    }
}

/// Whether a value is written as it came.
fn says_again(value: &Value, json: &str) -> bool {
    struct Compare<'a>(&'a [u8]);
    impl io::Write for Compare<'_> {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0 = self.0.strip_prefix(text).ok_or(io::ErrorKind::InvalidData)?;
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut rest = Compare(json.as_bytes());
    serde_json::to_writer(&mut rest, value).is_ok() && rest.0.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line, as it comes back with a key more.
    fn back(line: &str) -> String {
        let record: Record = serde_json::from_str(r#"{"new":1}"#).unwrap();
        let mut out = Vec::new();
        Verbatim::of(line).unwrap().write(&record, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_comes_back_to_the_letter() {
        for members in [
            r#""id":123456789012345678901234567890,"n":1e2,"f":1.10,"z":-0,"t":1e-401,"e":1E5"#,
            r#""a":1,"b":2,"a":3"#,
            r#""\u0061":"\/\u00e9é","b":[1.0, {"c" : -0.0}]"#,
            r#""half":"\ud800","huge":1e999,"q":"\"\\""#,
        ] {
            assert_eq!(back(&format!("{{ {members} }}")), format!("{{{members},\"new\":1}}"));
        }
        assert_eq!(back("{}"), r#"{"new":1}"#);
    }

    #[test]
    fn a_key_that_is_said_anew_keeps_its_place() {
        let mut verbatim = Verbatim::of(r#"{"a":1.0,"b":2.0,"a":3.0,"c":4.0}"#).unwrap();
        verbatim.unsay("a");
        verbatim.unsay("c");
        verbatim.say("d", "\"é");
        let record = Record::new().with("x", 9u8).with("a", 7u8);
        let mut out = Vec::new();
        verbatim.write(&record, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, r#"{"a":7,"b":2.0,"d":"\"é","x":9}"#);
    }

    #[test]
    fn it_is_known_what_a_record_says_again() {
        for json in
            ["0", "17", "\"é\"", "null", "true", "-5", "1.5", "18446744073709551615", "[1,{}]"]
        {
            let (value, same) = value(json);
            assert!(same, "{json}");
            assert_eq!(serde_json::to_string(&value).unwrap(), json);
        }
        for json in
            ["-0", "1.0e0", "1e2", "1.10", "18446744073709551616", "1e400", "\"\\u0061\"", "[1, 2]"]
        {
            assert!(!value(json).1, "{json}");
        }
        assert_eq!(value("\"\\u0061\"").0.as_str(), Some("a"), "what a plugin sees");
        assert_eq!(value("1e400").0.as_str(), Some("1e400"));
    }
}
