//! Owns the wait until a namespace takes packets to its IPv6 addresses.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::Namespace;
use crate::error::{Error, Result};

/// `IFA_F_NODAD` of `rtnetlink(7)`: the address is not checked for duplicates.
const UNCHECKED: u32 = 0x02;
/// `RTF_LOCAL` of the kernel's `ipv6_route.h`: packets by this route are for the machine itself.
const LOCAL: u32 = 0x8000_0000;

/// Waits until packets to the addresses that were added with `nodad` are taken. Their interfaces must be up
/// at both ends.
///
/// The kernel makes the route that takes them a moment after it has made the address, on a thread of its
/// own. Until then, it drops what comes.
///
/// # Errors
/// When one is still not in force after a while.
pub fn ready(namespace: &Namespace) -> Result<()> {
    const PATIENCE: Duration = Duration::from_secs(10);
    let begun = Instant::now();
    namespace.enter(|| {
        while let Some(address) = waiting() {
            if begun.elapsed() > PATIENCE {
                let action = format!("take packets to {address} in {}", namespace.label());
                return Err(Error::Io { action, source: std::io::ErrorKind::TimedOut.into() });
            }
            sleep(Duration::from_millis(1));
        }
        Ok(())
    })?
}

/// An address of this thread's namespace that is not in force yet, as the kernel writes it.
fn waiting() -> Option<String> {
    // A kernel without IPv6 has neither.
    let read = |name: &str| fs::read_to_string(format!("/proc/thread-self/net/{name}"));
    let (addresses, routes) = (read("if_inet6").ok()?, read("ipv6_route").ok()?);
    let hex = |text: &str| u32::from_str_radix(text, 16).unwrap_or(0);
    let local: Vec<&str> = routes
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            // The network, its length, source, its length, next hop, metric, two counts, and flags.
            (hex(fields.get(8)?) & LOCAL != 0).then_some(fields[0])
        })
        .collect();
    let mut unchecked = addresses.lines().filter_map(|line| {
        // The address, the interface's number, its length, scope and flags.
        let mut fields = line.split_whitespace();
        let address = fields.next()?;
        (hex(fields.nth(3)?) & UNCHECKED != 0).then_some(address)
    });
    unchecked.find(|address| !local.contains(address)).map(str::to_owned)
}
