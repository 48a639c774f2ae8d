//! The chains that `observe` offers, and `--list-chains`.

use super::super::exit::{Exit, Failure};
use super::super::plugin_info::ChainInfo;
use super::super::shell;
use pathspider_observer::chains::Catalogue;

/// Lists the chains on standard output, each followed by its fields.
pub(super) fn list(catalogue: &Catalogue) -> Result<Exit, Failure> {
    let mut text = String::new();
    for entry in catalogue.list() {
        ChainInfo::of(entry).text(&mut text, "");
    }
    shell::write(text.as_bytes())
}
