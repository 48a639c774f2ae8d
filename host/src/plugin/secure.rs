//! Whether this program has privileges that need guarding.
#![allow(unsafe_code)]

/// Where a program's privileges come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Privileges {
    /// It has none.
    None,
    /// Its user is root.
    OfRoot,
    /// Its file has capabilities or a set-user bit, so its user is not to decide what it loads.
    OfItsFile,
    /// Its user has capabilities of their own (`AmbientCapabilities` of systemd, say).
    OfItsUser,
}

impl Privileges {
    /// This program's.
    pub(crate) fn own() -> Privileges {
        if has_privileges_of_its_own() {
            return Privileges::OfItsFile;
        }
        if rustix::process::geteuid().is_root() {
            return if maps_one_user() { Privileges::None } else { Privileges::OfRoot };
        }
        match rustix::thread::capabilities(None) {
            Ok(sets) if sets.permitted.is_empty() => Privileges::None,
            _ => Privileges::OfItsUser,
        }
    }
}

/// Whether the program was started with privileges of its own, by file capabilities or a set-user
/// bit (`AT_SECURE` of getauxval(3)).
pub(crate) fn has_privileges_of_its_own() -> bool {
    // SAFETY: it only reads a value that the kernel gave the process at its start.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// Whether this is a user namespace with a single user: its root is that user and nobody more, and
/// the machine's own root is not even known in it (user_namespaces(7)).
fn maps_one_user() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let mut lines = map.lines();
    let first = lines.next().and_then(|line| line.split_whitespace().nth(2));
    first == Some("1") && lines.next().is_none()
}
