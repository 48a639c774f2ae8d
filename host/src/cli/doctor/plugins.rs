//! What is found of the plugins, and of the programs beside this one.

use std::path::PathBuf;

use super::super::beside;
use super::finding::Finding;
use pathspider_plugins::{Registry, SearchPath, Trust};
use pathspider_runtime::text;

/// The plugins that can be used, those that are rejected, and the other programs.
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
    findings.extend(beside::programs().into_iter().map(program));
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

/// Whether the program is there that these commands are.
fn program((commands, missing): (Vec<&'static str>, Option<PathBuf>)) -> Finding {
    let subject = commands.first().copied().unwrap_or_default();
    let what = match commands.split_last() {
        Some((last, before)) if !before.is_empty() => {
            format!("{} and {last}", before.join(", "))
        }
        _ => subject.to_owned(),
    };
    match missing {
        None => Finding::good(subject, format!("the program of {what} is there")),
        Some(file) => Finding::bad(
            subject,
            format!("{} is missing, the program of {what}", text::path(&file)),
            "make build && make install",
        ),
    }
}
