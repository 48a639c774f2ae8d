//! What the kernel tells of a process: proc_pid_stat(5), of our children, and of its clock.
#![allow(unsafe_code)]

use std::fs;

/// Has the kernel keep the end of each child until it is asked for. Whoever started us may ignore
/// SIGCHLD, which is inherited: then no child can be waited for, and how a command ended, which had
/// changed the system, would not be known (wait(2)).
pub fn keep_children() {
    // SAFETY: the kernel's own action runs no code of ours.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// How well the system's clock is kept, as the kernel knows it (adjtimex(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// Whether somebody keeps it: an NTP daemon, say.
    pub is_synchronised: bool,
    /// Microseconds that it is wrong at the most, if somebody does.
    pub max_error_us: std::ffi::c_long,
}

impl Clock {
    /// `None` where the kernel does not tell.
    pub fn now() -> Option<Clock> {
        // SAFETY: the struct has numbers alone, and no modes: nothing is changed.
        let (answer, told) = unsafe {
            let mut told: libc::timex = std::mem::zeroed();
            (libc::adjtimex(&raw mut told), told)
        };
        (answer != -1).then_some(Clock {
            is_synchronised: told.status & libc::STA_UNSYNC == 0,
            max_error_us: told.maxerror,
        })
    }
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
    fn the_clock_is_what_the_kernel_says() {
        let clock = Clock::now().unwrap();
        // After 16 s without a word the kernel takes nobody for its keeper (NTP_PHASE_LIMIT).
        assert!(
            clock.max_error_us >= 0 && (!clock.is_synchronised || clock.max_error_us < 16_000_000)
        );
    }

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
