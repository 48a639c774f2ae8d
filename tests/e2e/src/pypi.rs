//! Python with packages of PyPI, installed once for all tests.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::skipped;

/// A python with these packages, in a folder of this name below `folder`; `None`, after saying so, where
/// they cannot be had.
pub fn python_with(folder: &Path, name: &str, packages: &str) -> Option<PathBuf> {
    let install = format!(
        "test -e {name}/whole || {{ rm -rf {name} && python3 -m venv {name} && \
         {name}/bin/pip install --quiet --no-compile {packages} && touch {name}/whole; }}"
    );
    let mut command = Command::new("flock");
    command.args([&format!("{name}.lock"), "sh", "-c", &install]).current_dir(folder);
    let installed = command.output().ok()?;
    if !installed.status.success() {
        skipped(format!("pip: {}", String::from_utf8_lossy(&installed.stderr)));
        return None;
    }
    Some(folder.join(name).join("bin/python"))
}
