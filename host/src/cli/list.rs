//! `pathspider --list-plugins`.

use std::io::{self, Write};

use super::exit::{Exit, Failure};
use crate::plugin::{Registry, SearchPath};
use crate::say::say;

/// Lists the plugins on standard output, and what cannot be used on standard error.
pub(super) fn plugins(registry: &Registry, path: &SearchPath) -> Result<Exit, Failure> {
    let mut table = String::new();
    let rows: Vec<[String; 4]> = registry
        .found
        .iter()
        .map(|found| {
            let info = &found.info;
            let path = found.path.display().to_string();
            [info.name.clone(), info.version.clone(), info.description.clone(), path]
        })
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths = [0, 1, 2].map(|column| width(column).unwrap_or(0));
    for [name, version, description, path] in &rows {
        let [name_width, version_width, description_width] = widths;
        table += &format!(
            "{name:name_width$}  {version:version_width$}  {description:description_width$}  {path}\n"
        );
    }
    for shadowed in &registry.shadowed {
        say!(
            "{} in {} is not used: {} comes first",
            shadowed.name,
            shadowed.path.display(),
            shadowed.by.display()
        );
    }
    for rejected in &registry.rejected {
        say!("{} is rejected: {}", rejected.path.display(), rejected.error);
    }
    if rows.is_empty() {
        let folders: Vec<String> =
            path.folders().iter().map(|folder| folder.display().to_string()).collect();
        say!("there is no plugin in {}", folders.join(", "));
    }
    match io::stdout().write_all(table.as_bytes()) {
        Ok(()) => Ok(Exit::Finished),
        Err(error) => {
            Err(Failure::new(Exit::NoOutput, format!("cannot write to standard output: {error}")))
        }
    }
}
