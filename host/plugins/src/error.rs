//! Why a file is not a plugin that this host can use, and what to do about it.

use std::fmt;

use pathspider_plugin_api::abi::{DESCRIPTOR_SYMBOL, Refusal};
use serde::{Deserialize, Serialize};

/// Why a file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{reason}; {remedy}")]
pub struct LoadError {
    /// What was found.
    pub reason: String,
    /// What to do.
    pub remedy: String,
    /// Whether it follows from the file's content alone: then it is so until the file changes.
    pub(super) lasts: bool,
}

impl LoadError {
    /// An error with its remedy.
    pub(super) fn new(reason: impl fmt::Display, remedy: impl fmt::Display) -> LoadError {
        LoadError { reason: reason.to_string(), remedy: remedy.to_string(), lasts: false }
    }

    /// The same error, of a file beside the plugin's.
    pub(super) fn of(self, path: &std::path::Path) -> LoadError {
        LoadError { reason: format!("{}: {}", path.display(), self.reason), ..self }
    }

    /// The same error, which follows from the file's content alone.
    pub(super) fn of_content(mut self) -> LoadError {
        self.lasts = true;
        self
    }

    /// What is at the path is no file at all.
    pub(super) fn not_a_file(what: &str) -> LoadError {
        LoadError::new(
            format_args!("it is not a regular file but {what}"),
            "remove it, or give it a name that does not end in .so",
        )
    }

    /// The file cannot be read, or not be looked at.
    pub(super) fn unreadable(error: &std::io::Error) -> LoadError {
        let what_to_do = match error.kind() {
            std::io::ErrorKind::NotFound => "check its path",
            _ => "check its permissions",
        };
        LoadError::new(format_args!("it cannot be read: {error}"), what_to_do)
    }

    /// The process could not be kept as it is while a plugin was loaded.
    pub(super) fn surroundings(error: &std::io::Error) -> LoadError {
        LoadError::new(
            format_args!("it cannot be loaded without harm: {error}"),
            "raise the limit of open files (ulimit -n); `pathspider check FILE` says whether it closes \
             what is not its own",
        )
    }

    /// The dynamic loader refused it.
    pub(super) fn library(message: &str) -> LoadError {
        LoadError::new(
            format_args!("it cannot be loaded: {message}"),
            "rebuild it, or install the libraries that it needs",
        )
    }

    /// It is a library and no plugin.
    pub(super) fn no_descriptor() -> LoadError {
        LoadError::new(
            format_args!("it is not a pathspider plugin: it exports no {DESCRIPTOR_SYMBOL}"),
            "remove it from the folder; a plugin's crate names its measurements in export_plugin!",
        )
        .of_content()
    }

    /// Its descriptor is not one of this ABI.
    pub(super) fn refused(refusal: Refusal) -> LoadError {
        LoadError::new(refusal, refusal.remedy()).of_content()
    }

    /// It describes itself otherwise than it must.
    pub(super) fn description(what: impl fmt::Display) -> LoadError {
        LoadError::new(what, "rebuild it; `pathspider check FILE` says more")
    }
}
