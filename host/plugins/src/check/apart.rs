//! A network namespace of the child's own: what a plugin does to the network there, nobody sees.
#![allow(unsafe_code)]

use std::fs;

use rustix::process::{getegid, geteuid};
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// Leaves the machine's network for an empty one; `false` where the kernel does not let this user.
pub(super) fn leave() -> bool {
    unshare(UnshareFlags::NEWNET) || as_root_of_oneself()
}

/// An ordinary user may have a network in a user namespace, in which they are root.
fn as_root_of_oneself() -> bool {
    let (user, group) = (geteuid().as_raw(), getegid().as_raw());
    unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNET)
        && fs::write("/proc/self/setgroups", "deny").is_ok()
        && fs::write("/proc/self/uid_map", format!("0 {user} 1")).is_ok()
        && fs::write("/proc/self/gid_map", format!("0 {group} 1")).is_ok()
}

fn unshare(flags: UnshareFlags) -> bool {
    // SAFETY: neither flag makes this thread share less of its memory or descriptors with others,
    // which is what the function warns of; and there is no other thread yet.
    unsafe { unshare_unsafe(flags) }.is_ok()
}
