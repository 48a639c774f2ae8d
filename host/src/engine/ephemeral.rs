//! The local ports that the kernel chooses from (ip-sysctl: `ip_local_port_range`, and
//! `ip_local_reserved_ports`, which it leaves out).

use std::fmt;
use std::fs;
use std::ops::RangeInclusive;

const RANGE: &str = "net.ipv4.ip_local_port_range";
const RESERVED: &str = "net.ipv4.ip_local_reserved_ports";

/// The ports, as this network namespace has them set. For people, it says which settings those are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ephemeral {
    range: RangeInclusive<u16>,
    /// How many of them are kept back.
    reserved: usize,
}

impl Ephemeral {
    /// Reads the settings; the kernel's own where they cannot be read.
    pub(crate) fn read() -> Ephemeral {
        let text = |name: &str| {
            let path = format!("/proc/sys/{}", name.replace('.', "/"));
            fs::read_to_string(path).unwrap_or_default()
        };
        Ephemeral::of(&text(RANGE), &text(RESERVED))
    }

    /// From the settings' texts: two numbers, and numbers and ranges with commas between.
    fn of(range: &str, reserved: &str) -> Ephemeral {
        const USUAL: RangeInclusive<u16> = 32_768..=60_999;
        let mut ends = range.split_whitespace().map(str::parse);
        let range = match (ends.next(), ends.next()) {
            (Some(Ok(first)), Some(Ok(last))) => first..=last,
            _ => USUAL,
        };
        let within = |part: &str| {
            let (first, last) = part.trim().split_once('-').unwrap_or((part.trim(), part.trim()));
            let first = first.parse().ok().map(|first: u16| first.max(*range.start()));
            let last = last.parse().ok().map(|last: u16| last.min(*range.end()));
            Some((first?..=last?).len())
        };
        let reserved = reserved.split(',').filter_map(within).sum();
        Ephemeral { range, reserved }
    }

    /// From the first to the last of them, with those that are kept back.
    pub(crate) fn range(&self) -> RangeInclusive<u16> {
        self.range.clone()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.range.len().saturating_sub(self.reserved)
    }
}

impl fmt::Display for Ephemeral {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{RANGE} is {} {}", self.range.start(), self.range.end())?;
        match self.reserved {
            0 => Ok(()),
            reserved => write!(f, "; {RESERVED} keeps {reserved} of them back"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_back_does_not_count() {
        for (range, reserved, count) in [
            ("32768\t60999\n", "\n", 28_232),
            ("50000\t50099\n", "\n", 100),
            ("50000\t50099\n", "80,50000-50009,50098-51000\n", 88),
            ("50000\t50000\n", "50000\n", 0),
            ("50000\t50099\n", "1-65535\n", 0),
            ("", "", 28_232),
        ] {
            assert_eq!(Ephemeral::of(range, reserved).count(), count, "{range:?} {reserved:?}");
        }
    }

    #[test]
    fn the_settings_are_named() {
        let text = Ephemeral::of("50000\t50099", "50000-50009").to_string();
        assert_eq!(
            text,
            "net.ipv4.ip_local_port_range is 50000 50099; net.ipv4.ip_local_reserved_ports keeps 10 \
             of them back"
        );
    }

    #[test]
    fn this_machine_has_some() {
        assert!(Ephemeral::read().count() > 0);
    }
}
