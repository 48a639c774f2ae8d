//! Records as lines of JSON that a terminal shows as they are: what could move the cursor, or turn the
//! direction of writing, is escaped. Texts in records are others' words.

use std::borrow::Cow;
use std::io;

use pathspider_runtime::text;
use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

/// Appends a record, and the line's end.
///
/// # Errors
///
/// A key is no text, which is none of a record.
pub(super) fn line(lines: &mut Vec<u8>, record: &impl Serialize) -> serde_json::Result<()> {
    record.serialize(&mut Serializer::with_formatter(&mut *lines, Shown))?;
    lines.push(b'\n');
    Ok(())
}

/// Escapes what a terminal would obey in the JSON that was appended from there on.
pub(super) fn escape_from(lines: &mut Vec<u8>, begin: usize) {
    // One pass, which the processor makes by many octets at once, says this of almost all.
    let odd = |octet: &u8| u8::from(*octet >= 0x7f);
    if lines[begin..].iter().fold(0, |found, octet| found | odd(octet)) == 0 {
        return;
    }
    let Ok(written) = std::str::from_utf8(&lines[begin..]) else { return };
    if let Cow::Owned(escaped) = text::json(written) {
        lines.truncate(begin);
        lines.extend_from_slice(escaped.as_bytes());
    }
}

/// The compact form, with hidden characters escaped.
struct Shown;

impl Formatter for Shown {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        writer.write_all(text::json(fragment).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use pathspider_plugin_api::{Record, Value};

    use super::*;

    #[test]
    fn a_terminal_shows_a_record_as_it_is() {
        let theirs = "\u{9b}31m\u{202e}\u{7f}\u{e0041}\u{1b}é\n\"";
        let inner = Record::new().with("k", vec![theirs.to_owned()].into_iter().collect::<Value>());
        let record = Record::new().with("domain", theirs).with(theirs, inner);
        let mut lines = Vec::new();
        line(&mut lines, &record).unwrap();
        let text = std::str::from_utf8(&lines).unwrap();
        assert!(text.trim_end().chars().all(|c| !text::is_hidden(c)), "{text:?}");
        assert!(text.contains("\\u009b31m\\u202e\\u007f\\udb40\\udc41\\u001bé\\n\\\""), "{text}");
        assert_eq!(serde_json::from_slice::<Record>(&lines).unwrap(), record);
    }
}
