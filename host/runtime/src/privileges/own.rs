//! Whether this program has privileges that need guarding.
#![allow(unsafe_code)]

/// Where a program's privileges come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privileges {
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
    pub fn own() -> Privileges {
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
pub fn has_privileges_of_its_own() -> bool {
    // SAFETY: it only reads a value that the kernel gave the process at its start.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// Whether this is a user namespace with a single user, who is not root outside of it: its root is
/// that user and nobody more, and the machine's own root is not even known in it
/// (user_namespaces(7)).
fn maps_one_user() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    is_one_ordinary_user(&map)
}

/// Whether such a map has one line, of one user who is not root in the namespace around it.
fn is_one_ordinary_user(map: &str) -> bool {
    let mut lines = map.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let one = matches!(lines.next().as_deref(), Some([_, outside, "1"]) if *outside != "0");
    one && lines.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_of_root_alone_has_roots_privileges() {
        assert!(is_one_ordinary_user("         0       1000          1\n"));
        assert!(!is_one_ordinary_user("         0          0          1\n"));
        assert!(!is_one_ordinary_user("         0          0 4294967295\n"));
        assert!(!is_one_ordinary_user("0 1000 1\n1 100000 65536\n"));
        assert!(!is_one_ordinary_user(""));
    }
}
