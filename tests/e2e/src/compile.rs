//! Libraries that tests compile from C: broken in ways that Rust does not offer.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles `tests/e2e/broken/<source>.c` into a shared library, with these definitions.
///
/// # Panics
///
/// The compiler fails.
pub fn compile(source: &str, definitions: &[&str], library: PathBuf) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("broken").join(format!("{source}.c"));
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-Wall"])
        .args(definitions)
        .arg("-o")
        .args([&library, &source])
        .status();
    assert!(compiled.is_ok_and(|status| status.success()), "cc failed on {}", source.display());
    library
}
