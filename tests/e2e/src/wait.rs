//! Waiting for what a program under test has done, however slow the machine is.

use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// So long that only what never comes is waited for in vain.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something is so.
///
/// # Panics
///
/// It is not so within a minute.
pub fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        sleep(Duration::from_millis(20));
    }
}

/// Waits until a program has handlers for SIGINT, SIGTERM and the like: before, they would kill it.
///
/// # Panics
///
/// It has none within a minute.
pub fn wait_for_handlers(program: &Child) {
    // `SigCgt` of proc_pid_status(5): the lowest bit is signal 1; SIGTERM is 15.
    wait_until("it handles signals", || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", program.id()));
        let status = status.unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        mask.is_some_and(|mask| {
            u64::from_str_radix(mask.trim(), 16).is_ok_and(|mask| mask >> 14 & 1 == 1)
        })
    });
}
