//! The chains that `observe` offers, and `--list-chains`.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use super::super::exit::{Exit, Failure};
use crate::chains::Catalogue;

/// Lists the chains on standard output, each followed by its fields.
pub(super) fn list(catalogue: &Catalogue) -> Result<Exit, Failure> {
    let mut text = String::new();
    for entry in catalogue.list() {
        // Writing to a `String` does not fail.
        let _ = writeln!(text, "{}: {}", entry.full_name(), entry.info.description);
        for field in &entry.info.fields {
            let kind = match field.unit.as_str() {
                "" => field.kind.name().to_owned(),
                unit => format!("{}, {unit}", field.kind.name()),
            };
            let _ = writeln!(text, "    {:22} {kind:15} {}", field.name, field.meaning);
        }
    }
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => Ok(Exit::Finished),
        Err(error) => {
            Err(Failure::new(Exit::NoOutput, format!("cannot write to standard output: {error}")))
        }
    }
}
