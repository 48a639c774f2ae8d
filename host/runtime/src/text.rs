//! Texts that others chose (plugins, files' names, input), made safe for a terminal.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;

/// The most characters of a path that are shown: the kernel takes no longer ones (PATH_MAX).
const PATH_LIMIT: usize = 4096;

/// Whether a character could move the cursor, begin a line of its own, change the direction of
/// writing, or stand there without being seen: controls, and Unicode's formats and fillers
/// (general category Cf, line and paragraph separators, and Default_Ignorable_Code_Point but for the
/// variation selectors of pictures).
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}'
            | '\u{70f}' | '\u{890}'..='\u{891}' | '\u{8e2}' | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}'
            | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// The text on one line, with every hidden character escaped. At most `limit` characters.
pub fn visible(text: &str, limit: usize) -> String {
    let mut shown = String::with_capacity(text.len().min(limit));
    for (count, c) in text.chars().enumerate() {
        if count == limit {
            shown.push('…');
            break;
        }
        show(c, &mut shown);
    }
    shown
}

/// A character, escaped where it is hidden.
pub fn show(c: char, shown: &mut String) {
    if is_hidden(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
}

/// The word for this many.
pub fn of(count: u64, one: &'static str, more: &'static str) -> &'static str {
    if count == 1 { one } else { more }
}

/// A path, as people are shown it.
pub fn path(path: &Path) -> String {
    visible(&path.to_string_lossy(), PATH_LIMIT)
}

/// JSON of the same meaning, or a part of a text in it, in which no hidden character stands as such.
/// Outside of texts, JSON has none but white space; within, the first controls never stand as such.
pub fn json(text: &str) -> Cow<'_, str> {
    let is_shown = |c: char| c < '\u{7f}' || !is_hidden(c);
    let is_plain = text.is_ascii() && !text.as_bytes().contains(&0x7f);
    if is_plain || text.chars().all(is_shown) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len() + 64);
    for c in text.chars() {
        if !is_shown(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a `String` does not fail.
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(c);
        }
    }
    shown.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_can_leave_its_line() {
        assert_eq!(visible("a\x1b[2J\nb\u{202e}c é", 99), "a\\u{1b}[2J\\nb\\u{202e}c é");
        assert_eq!(visible("abcdef", 3), "abc…");
        assert_eq!(path(Path::new("x\ny.so")), "x\\ny.so");
        for hidden in ['\u{61c}', '\u{ad}', '\u{e0000}', '\u{e0041}', '\u{e007f}', '\u{9b}'] {
            assert!(!visible(&hidden.to_string(), 9).contains(hidden), "{hidden:?}");
        }
    }

    #[test]
    fn json_keeps_its_meaning() {
        let value = serde_json::json!({"a": "x\u{202e}\u{9b}\u{e0041}\n é"});
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        let text = json(&pretty);
        assert!(!text.contains(['\u{202e}', '\u{9b}', '\u{e0041}']), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
        assert_eq!(json("{\"a\":\t\"b\u{7f}\"}\r\n"), "{\"a\":\t\"b\\u007f\"}\r\n");
        assert!(matches!(json("{\"é\":1}\r\n"), Cow::Borrowed(_)));
    }
}
