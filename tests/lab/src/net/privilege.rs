//! Owns the right to make namespaces: root has it; others get it in a user namespace of their own
//! where the kernel allows one.

use std::fs;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};

use crate::error::{Context, Error, Result};

/// Makes sure this process may make network namespaces, entering a user namespace if it must, and
/// ends what the commands of a killed lab left running.
///
/// Call it first in `main`: the kernel refuses a user namespace to a process with several threads.
///
/// # Errors
/// [`Error::Privilege`] with the reason when neither way is open.
pub fn prepare() -> Result<()> {
    super::leftovers::end();
    if may_make_namespaces() {
        return Ok(());
    }
    let (uid, gid) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER).map_err(|errno| Error::Privilege(explain(errno)))?;
    // An unprivileged process may map its groups only after giving up setgroups.
    fs::write("/proc/self/setgroups", "deny").context(|| "give up setgroups")?;
    fs::write("/proc/self/uid_map", format!("0 {uid} 1")).context(|| "map the user to root")?;
    fs::write("/proc/self/gid_map", format!("0 {gid} 1")).context(|| "map the group to root")?;
    if may_make_namespaces() { Ok(()) } else { Err(Error::Privilege(explain(Errno::EPERM))) }
}

/// Whether a network namespace can be made from here; the try leaves nothing behind.
pub(crate) fn may_make_namespaces() -> bool {
    std::thread::spawn(|| unshare(CloneFlags::CLONE_NEWNET).is_ok()).join().unwrap_or(false)
}

/// Says why making a namespace failed and what would help.
pub(super) fn explain(errno: Errno) -> String {
    let setting = |name: &str| fs::read_to_string(format!("/proc/sys/{name}")).unwrap_or_default();
    let reason = if setting("kernel/unprivileged_userns_clone").trim() == "0" {
        "user namespaces are switched off (kernel.unprivileged_userns_clone is 0)"
    } else if setting("user/max_user_namespaces").trim() == "0" {
        "user namespaces are switched off (user.max_user_namespaces is 0)"
    } else if setting("kernel/apparmor_restrict_unprivileged_userns").trim() == "1" {
        "AppArmor restricts user namespaces (kernel.apparmor_restrict_unprivileged_userns is 1)"
    } else if errno == Errno::EINVAL {
        "a process with several threads cannot enter a user namespace; use the program \
         `pathspider-lab`, which does so at its start"
    } else if errno == Errno::ENOSPC || errno == Errno::EUSERS {
        "the limit on namespaces is reached (see /proc/sys/user)"
    } else {
        "this user is not root and the kernel refuses a user namespace"
    };
    format!("{reason} ({errno}); run it as root")
}
