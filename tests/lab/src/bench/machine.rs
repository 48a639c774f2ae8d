//! Owns what is said of the machine that a benchmark ran on.

use std::fmt;
use std::fs;

use serde::Serialize;

/// A machine.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Processors that the lab may use.
    pub cores: usize,
    /// What the processors call themselves.
    pub processor: String,
    /// Memory in bytes.
    pub memory: u64,
    /// The kernel's release.
    pub kernel: String,
    /// Tasks that wanted to run in the minute before.
    pub load: f64,
}

impl Machine {
    /// This one, as far as its kernel tells.
    pub fn this() -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let after = |text: &str, word: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(word));
            let value = line.map(|rest| rest.trim_start_matches([' ', '\t', ':']).trim());
            value.unwrap_or("unknown").to_owned()
        };
        let kibibytes = after(&text("/proc/meminfo"), "MemTotal");
        let kibibytes = kibibytes.split_whitespace().next().and_then(|word| word.parse().ok());
        let release = text("/proc/sys/kernel/osrelease");
        let load = text("/proc/loadavg");
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            processor: after(&text("/proc/cpuinfo"), "model name"),
            memory: kibibytes.unwrap_or(0_u64) * 1024,
            // What follows names a distribution's build, or a machine.
            kernel: release.split(['-', '+']).next().unwrap_or_default().trim().to_owned(),
            load: load.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0.0),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cores, processor, memory, kernel, load } = self;
        let plural = if *cores == 1 { "" } else { "s" };
        let gibibytes = *memory as f64 / f64::from(1 << 30);
        write!(
            f,
            "{cores} core{plural} ({processor}), {gibibytes:.0} GiB, Linux {kernel}, a load of \
             {load:.1} before it began"
        )
    }
}
