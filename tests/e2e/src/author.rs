//! Cargo as an author of measurements calls it, in a workspace of the author's own.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::built;

/// Where what authors build lies. All of them share the libraries that the contract needs, so that these are
/// compiled once.
pub fn authors_target() -> PathBuf {
    built("").join("../authors")
}

/// Cargo in that workspace, with the target folder given, and with nothing of the build that it is called from.
pub fn authors_cargo(workspace: &Path, target: &Path) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.current_dir(workspace).env("CARGO_TARGET_DIR", target);
    for inherited in
        ["RUSTFLAGS", "RUSTC_WORKSPACE_WRAPPER", "CARGO_MANIFEST_DIR", "CARGO_PKG_NAME"]
    {
        cargo.env_remove(inherited);
    }
    // That it is compiled is the point, and not how well; and nobody debugs it.
    cargo.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0").env("CARGO_PROFILE_DEV_DEBUG", "0");
    cargo
}
