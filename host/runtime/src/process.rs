//! What the kernel tells of a process: proc_pid_stat(5), and of our children.
#![allow(unsafe_code)]

use std::fs;

/// Has the kernel keep the end of each child until it is asked for. Whoever started us may ignore
/// SIGCHLD, which is inherited: then no child can be waited for, and how a command ended, which had
/// changed the system, would not be known (wait(2)).
pub fn keep_children() {
    // SAFETY: the kernel's own action runs no code of ours.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// The fields that follow a process's name, from its state on; `None` where it is gone.
pub fn stat(pid: i32) -> Option<Stat> {
    Stat::parse(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// Of one process.
#[derive(Debug, PartialEq, Eq)]
pub struct Stat {
    /// Whether it runs no more, and waits to be buried.
    pub is_dead: bool,
    /// Its parent's number.
    pub parent: i32,
    /// In clock ticks since the boot.
    pub start: u64,
}

impl Stat {
    /// `pid (name) state ppid …`, where the name may be anything.
    fn parse(text: &[u8]) -> Option<Stat> {
        let after = text.iter().rposition(|&octet| octet == b')')? + 1;
        let fields = std::str::from_utf8(&text[after..]).ok()?;
        let mut fields = fields.split_ascii_whitespace();
        let is_dead = matches!(fields.next()?, "Z" | "X");
        let parent = fields.next()?.parse().ok()?;
        let start = fields.nth(17)?.parse().ok()?;
        Some(Stat { is_dead, parent, start })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_of_any_name() {
        let text = b"7 (x) 1 2) \xff) S 42 7 7 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 9876 1 1";
        assert_eq!(Stat::parse(text), Some(Stat { is_dead: false, parent: 42, start: 9876 }));
        assert_eq!(Stat::parse(b"7 (x"), None);
        let own = stat(std::process::id() as i32).unwrap();
        assert_eq!(own.parent, std::os::unix::process::parent_id() as i32);
        assert_eq!(stat(-1), None);
    }
}
