//! What is found of the plugins, and of the program that reads records.

use super::super::beside;
use super::finding::Finding;
use pathspider_plugins::{Registry, SearchPath, Trust};
use pathspider_runtime::text;

/// The plugins that can be used, those that are rejected, and the report program.
pub(super) fn all(path: &SearchPath) -> Vec<Finding> {
    const SUBJECT: &str = "plugins";
    let registry = Registry::look(path);
    let folders: Vec<String> = path.folders().iter().map(|folder| text::path(folder)).collect();
    let names: Vec<&str> = registry.found.iter().map(|found| found.info.name.as_str()).collect();
    let mut findings = vec![if names.is_empty() {
        Finding::bad(
            SUBJECT,
            format!("there is none in {}", folders.join(", ")),
            "make build && make install, or name their folder: --plugin-dir DIR",
        )
    } else {
        Finding::good(SUBJECT, format!("{} ({})", names.join(", "), trust(path.trust())))
    }];
    findings.extend(registry.rejected.iter().map(|file| {
        let says = format!("{} is rejected: {}", text::path(&file.path), file.error.reason);
        Finding::bad(SUBJECT, says, &file.error.remedy)
    }));
    findings.extend(registry.shadowed.iter().map(|hidden| {
        let (file, by) = (text::path(&hidden.path), text::path(&hidden.by));
        Finding::good(SUBJECT, format!("{} of {file} is hidden by {by}", hidden.name))
    }));
    findings.push(report());
    findings
}

fn trust(trust: Trust) -> String {
    match trust {
        Trust::Owners { beside_root: None } => "only files of root are taken".to_owned(),
        Trust::Owners { beside_root: Some(user) } => {
            format!("only files of root and of user {user} are taken")
        }
        Trust::Anyone => "anybody's files are taken".to_owned(),
    }
}

/// Whether the program is there that `report`, `diff` and `export` are.
fn report() -> Finding {
    const SUBJECT: &str = "report";
    match beside::missing() {
        None => Finding::good(SUBJECT, "the program that reads records is there"),
        Some(file) => Finding::bad(
            SUBJECT,
            format!("{} is missing, which report, diff and export are", text::path(&file)),
            "make build && make install",
        ),
    }
}
