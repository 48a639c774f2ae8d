//! Owns the decision whether pathspider is to load plugins that its root would refuse.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// `--insecure-plugins` for a program that lies in somebody's checkout; nothing for one that is
/// installed, or built in folders of root's.
///
/// As root, pathspider takes no plugin from files or folders that others than root can write. In a
/// checkout that belongs to an ordinary user the plugins are such files; but so is the program
/// itself, which root runs here all the same: whoever could change the one could change the other.
pub fn plugin_waiver(program: &Path) -> Option<&'static str> {
    const OTHERS_WRITE: u32 = 0o022;
    const STICKY: u32 = 0o1000;
    let path = program.canonicalize().ok()?;
    let loose = |path: &Path| {
        path.metadata().is_ok_and(|file| {
            let sticky = file.is_dir() && file.mode() & STICKY != 0;
            file.uid() != 0 || (file.mode() & OTHERS_WRITE != 0 && !sticky)
        })
    };
    path.ancestors().any(loose).then_some("--insecure-plugins")
}
