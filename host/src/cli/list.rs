//! `pathspider --list-plugins`.

use std::path::Path;

use serde::Serialize;

use super::exit::{Exit, Failure};
use super::shell;
use pathspider_plugins::{Plugin, Registry, SearchPath};
use pathspider_runtime::say;
use pathspider_runtime::text::visible;

/// What `--json` shows: one object with these keys.
#[derive(Serialize)]
struct Listing<'a> {
    /// Measurements that can be used, by name.
    plugins: Vec<Listed<'a>>,
    /// Observer chains of plugins, also of those without a measurement.
    chains: Vec<ListedChain<'a>>,
    /// Measurements that another one of the same name hides.
    hidden: Vec<Hidden<'a>>,
    /// Files that cannot be used.
    rejected: Vec<Rejected>,
    /// Where plugins were looked for, in this order.
    folders: Vec<String>,
}

#[derive(Serialize)]
struct Listed<'a> {
    name: &'a str,
    version: &'a str,
    description: &'a str,
    contact: &'a str,
    file: String,
    abi: String,
}

#[derive(Serialize)]
struct ListedChain<'a> {
    /// The name that is always clear: `plugin.chain`.
    name: String,
    description: &'a str,
    file: String,
}

#[derive(Serialize)]
struct Hidden<'a> {
    name: &'a str,
    file: String,
    by: String,
}

#[derive(Serialize)]
struct Rejected {
    file: String,
    reason: String,
}

/// Lists the plugins on standard output; without `json`, what cannot be used on standard error.
pub(super) fn plugins(registry: &Registry, path: &SearchPath, json: bool) -> Result<Exit, Failure> {
    let listing = Listing {
        plugins: registry
            .found
            .iter()
            .map(|found| Listed {
                name: &found.info.name,
                version: &found.info.version,
                description: &found.info.description,
                contact: &found.info.contact,
                file: lossy(&found.path),
                abi: found.abi.to_string(),
            })
            .collect(),
        chains: registry.plugins.iter().flat_map(chains).collect(),
        hidden: registry
            .shadowed
            .iter()
            .map(|hidden| Hidden {
                name: &hidden.name,
                file: lossy(&hidden.path),
                by: lossy(&hidden.by),
            })
            .collect(),
        rejected: registry
            .rejected
            .iter()
            .map(|file| Rejected { file: lossy(&file.path), reason: file.error.to_string() })
            .collect(),
        folders: path.folders().iter().map(|folder| lossy(folder)).collect(),
    };
    if json { shell::write_json(&listing) } else { table(&listing) }
}

fn chains(plugin: &Plugin) -> impl Iterator<Item = ListedChain<'_>> {
    plugin.chains.iter().map(|chain| ListedChain {
        name: format!("{}.{}", plugin.file.name(), chain.name),
        description: &chain.description,
        file: lossy(&plugin.file.path),
    })
}

/// A path in JSON, which has no octets: what is not UTF-8 of it is replaced.
fn lossy(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn table(listing: &Listing<'_>) -> Result<Exit, Failure> {
    let rows: Vec<[&str; 3]> =
        listing.plugins.iter().map(|p| [p.name, p.version, p.description]).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let [name_width, version_width, width] = [0, 1, 2].map(|column| width(column).unwrap_or(0));
    let mut lines: String = listing
        .plugins
        .iter()
        .map(|Listed { name, version, description, file, .. }| {
            let file = visible(file, usize::MAX);
            format!("{name:name_width$}  {version:version_width$}  {description:width$}  {file}\n")
        })
        .collect();
    let names: Vec<String> =
        listing.chains.iter().map(|chain| visible(&chain.name, usize::MAX)).collect();
    if let Some(width) = names.iter().map(|name| name.chars().count()).max() {
        lines += "\nObserver chains of plugins:\n";
        for (name, ListedChain { description, file, .. }) in names.iter().zip(&listing.chains) {
            let file = visible(file, usize::MAX);
            lines += &format!("  {name:width$}  {description}  {file}\n");
        }
    }
    for Hidden { name, file, by } in &listing.hidden {
        say!("{name} in {file} is not used: {by} comes first");
    }
    for Rejected { file, reason } in &listing.rejected {
        say!("{file} is rejected: {reason}");
    }
    if rows.is_empty() && listing.chains.is_empty() {
        say!(
            "there is no plugin in {}; a package or `make install` installs them, `cargo install` does not",
            listing.folders.join(", ")
        );
    }
    shell::write(lines.as_bytes())
}
