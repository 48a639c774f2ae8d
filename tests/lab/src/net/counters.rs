//! Owns what the kernel counts and the lab reads: packets at an interface, processor time of threads,
//! memory of a process.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Context, Error, Result};

/// Packets at one interface since it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packets {
    /// Those that came in.
    pub received: u64,
    /// Those that went out.
    pub sent: u64,
}

/// What `device` counted, in the network namespace of the calling thread.
///
/// # Errors
/// When there is no such interface.
pub fn packets(device: &str) -> Result<Packets> {
    let text = fs::read_to_string("/proc/thread-self/net/dev")
        .context(|| format!("read the counters of {device}"))?;
    let numbers =
        text.lines().find_map(|line| line.trim_start().strip_prefix(device)?.strip_prefix(':'));
    let number = |at: usize| numbers?.split_whitespace().nth(at)?.parse().ok();
    // The second number of each half of the line.
    match (number(1), number(9)) {
        (Some(received), Some(sent)) => Ok(Packets { received, sent }),
        _ => Err(Error::invalid(device, "the kernel does not count its packets")),
    }
}

/// Processor time that all living threads of this process had whose name is one of `names`.
///
/// # Errors
/// When the kernel does not say it.
pub fn thread_time(names: &[&str]) -> Result<Duration> {
    let threads =
        thread_times(std::process::id()).context(|| "read the processor time of threads")?;
    let named = threads.iter().filter(|(name, _)| names.contains(&name.as_str()));
    Ok(named.map(|(_, time)| *time).sum())
}

/// The living threads of a process, by their names, with the processor time that each had so far.
///
/// # Errors
/// It has ended, or the kernel does not say it.
pub fn thread_times(process: u32) -> io::Result<Vec<(String, Duration)>> {
    let threads = fs::read_dir(format!("/proc/{process}/task"))?;
    let of = |path: PathBuf| {
        let name = fs::read_to_string(path.join("comm")).ok()?;
        let text = fs::read_to_string(path.join("schedstat")).ok()?;
        let nanoseconds = text.split_whitespace().next()?.parse().ok()?;
        Some((name.trim().to_owned(), Duration::from_nanos(nanoseconds)))
    };
    // One that has ended meanwhile is none any more.
    Ok(threads.flatten().filter_map(|entry| of(entry.path())).collect())
}

/// The memory that a process holds now, in bytes; `None` when it has ended.
pub fn resident_memory(process: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_and_this_process_are_known() {
        assert!(packets("lo").is_ok());
        assert!(packets("l").is_err(), "a part of a name is no name");
        assert!(resident_memory(std::process::id()).is_some_and(|bytes| bytes > 4096));
    }

    #[test]
    fn the_time_of_threads_by_their_name() {
        let name = fs::read_to_string("/proc/thread-self/comm").unwrap();
        // The kernel counts it when the thread leaves the processor.
        std::thread::sleep(Duration::from_millis(1));
        assert!(thread_time(&[name.trim()]).unwrap() > Duration::ZERO);
        assert_eq!(thread_time(&["nobody"]).unwrap(), Duration::ZERO);
    }
}
