//! How long the system is up: a clock that all programs of this machine share, and that nobody sets.

use std::fs;
use std::io;
use std::time::Duration;

/// How long the system is up, to some hundredths of a second.
///
/// # Errors
///
/// The kernel does not say.
pub fn read() -> io::Result<Duration> {
    let text = fs::read_to_string("/proc/uptime")?;
    let seconds = text.split_whitespace().next().and_then(|word| word.parse().ok());
    let time = seconds.and_then(|seconds: f64| Duration::try_from_secs_f64(seconds).ok());
    time.ok_or_else(|| io::Error::other("/proc/uptime has no time"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_grows() {
        let before = super::read().unwrap();
        assert!(!before.is_zero() && super::read().unwrap() >= before);
    }
}
