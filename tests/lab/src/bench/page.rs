//! Owns the part of a page that the benchmark writes: what lies between two comments.

use std::fs;
use std::path::Path;

use crate::error::{Context, Error, Result};

const BEGIN: &str = "<!-- bench:begin -->\n";
const END: &str = "<!-- bench:end -->\n";

/// Checks that [`rewrite`] can replace a part of `page`.
///
/// # Errors
/// When the page cannot be read, or has not both comments, each once and in their order.
pub fn readable(page: &Path) -> Result<()> {
    rewritten(page, "").map(drop)
}

/// Replaces what lies between the two comments in `page` by `text`.
///
/// # Errors
/// When the page cannot be read or written, or has not both comments, each once and in their order.
pub fn rewrite(page: &Path, text: &str) -> Result<()> {
    let new = rewritten(page, text)?;
    fs::write(page, new).context(|| format!("write {}", page.display()))
}

fn rewritten(page: &Path, text: &str) -> Result<String> {
    let old = fs::read_to_string(page).context(|| format!("read {}", page.display()))?;
    replaced(&old, text).ok_or_else(|| {
        let message = format!("has not {} and then {}, once each", BEGIN.trim(), END.trim());
        Error::invalid(page.display().to_string(), message)
    })
}

fn replaced(page: &str, text: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    let again = [before, rest].iter().any(|part| part.contains(BEGIN)) || after.contains(END);
    (!again).then(|| format!("{before}{BEGIN}\n{}\n\n{END}{after}", text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_between_changes() {
        let page = format!("a\n{BEGIN}old\n{END}b\n");
        let new = replaced(&page, "new\n").unwrap();
        assert_eq!(new, format!("a\n{BEGIN}\nnew\n\n{END}b\n"));
        assert_eq!(replaced(&new, "new").unwrap(), new);
    }

    #[test]
    fn a_page_without_both_stays() {
        assert_eq!(replaced(&format!("{END}{BEGIN}"), "new"), None);
        assert_eq!(replaced(&format!("{BEGIN}{BEGIN}{END}"), "new"), None);
    }
}
