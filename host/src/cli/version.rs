//! What `--version` says: the release, the commit, the plugin ABI, and libpcap.

use pathspider_plugin_api::abi::ABI_VERSION;

/// The release, and what it was built from and works with.
pub(super) fn text(commit: Option<&str>) -> String {
    let commit = commit.filter(|commit| !commit.is_empty()).unwrap_or("unknown");
    let libpcap = pathspider_observer::libpcap().unwrap_or_else(|| "within".to_owned());
    format!(
        "{} (commit {commit}, plugin ABI {ABI_VERSION}, libpcap {libpcap})",
        env!("CARGO_PKG_VERSION")
    )
}
