//! What plugins say of themselves, made safe for a terminal.

use pathspider_plugin_api::{ChainInfo, Info, OptionKind, Options};

use super::error::LoadError;
use pathspider_runtime::text::{is_hidden, visible};

/// The most characters of a text that a plugin says of itself.
const LIMIT: usize = 1000;

fn clean(text: &mut String) {
    *text = visible(text, LIMIT);
}

/// Makes a measurement's description safe to print. An option's default stays as it is, for the
/// plugin is given it: whoever prints it escapes it.
///
/// # Errors
///
/// A word that comes back to the plugin has a hidden character: shown otherwise than it is, it would
/// not be understood.
pub(super) fn clean_measurement(
    (mut info, options): (Info, Options),
) -> Result<(Info, Options), LoadError> {
    let Info { name, description, version, contact, conditions, .. } = &mut info;
    [name, description, version, contact].into_iter().for_each(clean);
    for condition in conditions {
        clean(&mut condition.name);
        clean(&mut condition.meaning);
    }
    let mut cleaned = Vec::new();
    for mut option in options.iter().cloned() {
        let words = match &option.kind {
            OptionKind::Choice(words) => words.as_slice(),
            _ => &[],
        };
        if let Some(word) = words.iter().chain([&option.name]).find(|word| word.contains(is_hidden))
        {
            return Err(LoadError::description(format_args!(
                "its option {:?} has a word with invisible characters: {}",
                visible(&option.name, 80),
                visible(word, 80)
            )));
        }
        [&mut option.placeholder, &mut option.help].into_iter().for_each(clean);
        cleaned.push(option);
    }
    Ok((info, cleaned.into_iter().collect()))
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
    fn what_comes_back_to_the_plugin_is_plain() {
        let described = |options| clean_measurement((Info::new("x", "1", "a\x1bb"), options));
        let options = Options::none().text("t", "\r\n", "he\u{9b}lp");
        let (info, options) = described(options).unwrap();
        assert_eq!(info.description, "a\\u{1b}b");
        let option = options.iter().next().unwrap();
        assert_eq!((option.help.as_str(), option.default.as_str()), ("he\\u{9b}lp", Some("\r\n")));
        let error = described(Options::none().choice("c", &["a", "b\x1b[2J"], "")).unwrap_err();
        assert!(error.reason.ends_with("b\\u{1b}[2J"), "{error}");
        assert!(described(Options::none().flag("f\u{202e}", "")).is_err());
    }
}
