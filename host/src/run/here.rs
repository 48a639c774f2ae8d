//! What is known of this end of the paths when a run has found nothing.

use std::fs;
use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use pathspider_observer::interface;

use crate::output::Here;

/// Looks, for connections to a target that left by this interface.
pub(crate) fn look(interface: Option<String>, target: Option<IpAddr>) -> Here {
    let leads_here = target.is_some_and(is_own);
    let is_loopback = !leads_here && interface.as_deref().is_some_and(is_loopback);
    let tracked = number("nf_conntrack_count").zip(number("nf_conntrack_max"));
    Here { interface, is_loopback, default: interface::of_default_route(), tracked }
}

fn is_loopback(name: &str) -> bool {
    let mut interfaces = getifaddrs().into_iter().flatten();
    let own = interfaces.find(|interface| interface.interface_name == name);
    own.is_some_and(|interface| interface.flags.contains(InterfaceFlags::IFF_LOOPBACK))
}

/// Whether an address is this machine's.
fn is_own(address: IpAddr) -> bool {
    let own = |interface: nix::ifaddrs::InterfaceAddress| {
        let own = interface.address?;
        let v4 = own.as_sockaddr_in().map(|own| IpAddr::V4(own.ip()));
        v4.or_else(|| own.as_sockaddr_in6().map(|own| IpAddr::V6(own.ip())))
    };
    let mut all = getifaddrs().into_iter().flatten().filter_map(own);
    address.is_loopback() || all.any(|own| own == address)
}

/// A number of the table of tracked connections; `None` where the kernel keeps none.
fn number(name: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/sys/net/netfilter/{name}")).ok()?;
    text.trim().parse().ok()
}
