//! Whether this program has more privileges than its user.
#![allow(unsafe_code)]

/// Whether the program was started with privileges of its own, by file capabilities or a set-user
/// bit (`AT_SECURE` of getauxval(3)).
pub(crate) fn has_privileges_of_its_own() -> bool {
    // SAFETY: it only reads a value that the kernel gave the process at its start.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}
