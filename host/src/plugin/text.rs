//! Texts of plugins, made safe for a terminal.

use pathspider_plugin_api::{ChainInfo, Info, Options};

/// The text on one line: control characters, which could move the cursor or begin a line of their
/// own, and those that change the direction of writing are escaped. At most `limit` characters.
pub(crate) fn visible(text: &str, limit: usize) -> String {
    let mut shown = String::with_capacity(text.len().min(limit));
    for (count, c) in text.chars().enumerate() {
        if count == limit {
            shown.push('…');
            break;
        }
        let hidden = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}');
        if c.is_control() || hidden {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// The most characters of a text that a plugin says of itself.
const LIMIT: usize = 1000;

fn clean(text: &mut String) {
    *text = visible(text, LIMIT);
}

/// Makes a measurement's description safe to print.
pub(super) fn clean_measurement((mut info, options): (Info, Options)) -> (Info, Options) {
    let Info { name, description, version, contact, conditions, .. } = &mut info;
    [name, description, version, contact].into_iter().for_each(clean);
    for condition in conditions {
        clean(&mut condition.name);
        clean(&mut condition.meaning);
    }
    let options = options.iter().cloned().map(|mut option| {
        [&mut option.name, &mut option.placeholder, &mut option.help].into_iter().for_each(clean);
        option
    });
    let options = options.collect();
    (info, options)
}

/// Makes a chain's description safe to print.
pub(super) fn clean_chain(mut info: ChainInfo) -> ChainInfo {
    clean(&mut info.name);
    clean(&mut info.description);
    for field in &mut info.fields {
        [&mut field.name, &mut field.unit, &mut field.meaning].into_iter().for_each(clean);
    }
    info
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_can_leave_its_line() {
        assert_eq!(visible("a\x1b[2J\nb\u{202e}c é", 99), "a\\u{1b}[2J\\nb\\u{202e}c é");
        assert_eq!(visible("abcdef", 3), "abc…");
    }
}
