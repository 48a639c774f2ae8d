//! The machine's interfaces: which one packets leave by when the command line names none, and
//! their addresses.

use std::fs;

/// The interfaces that are up.
pub fn names() -> Vec<String> {
    let devices = pcap::Device::list().unwrap_or_default();
    devices.into_iter().filter(|device| device.flags.is_up()).map(|device| device.name).collect()
}

/// Whether there is an interface of this name, up or down.
pub fn exists(name: &str) -> bool {
    pcap::Device::list().unwrap_or_default().iter().any(|device| device.name == name)
}

/// The addresses of an interface.
pub fn addresses(name: &str) -> Vec<String> {
    let devices = pcap::Device::list().unwrap_or_default();
    let named = devices.into_iter().filter(|device| device.name == name);
    named.flat_map(|device| device.addresses).map(|address| address.addr.to_string()).collect()
}

/// The interface of the default route, IPv4's before IPv6's, the best metric first.
pub fn of_default_route() -> Option<String> {
    let v4 = fs::read_to_string("/proc/net/route").unwrap_or_default();
    let v6 = fs::read_to_string("/proc/net/ipv6_route").unwrap_or_default();
    from_v4(&v4).or_else(|| from_v6(&v6))
}

/// The flag of a route that refuses packets (`RTF_REJECT`): of no use to send by.
const REJECT: u32 = 0x200;

/// `/proc/net/route`: interface, destination, gateway, flags, references, use, metric, mask, …
fn from_v4(table: &str) -> Option<String> {
    let routes = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (destination, mask) = (fields.get(1)?, fields.get(7)?);
        let flags = u32::from_str_radix(fields.get(3)?, 16).ok()?;
        let is_default = *destination == "00000000" && *mask == "00000000" && flags & REJECT == 0;
        is_default.then(|| Some((fields.get(6)?.parse::<u32>().ok()?, fields[0])))?
    });
    routes.min().map(|(_, name)| name.to_owned())
}

/// `/proc/net/ipv6_route`: destination, its prefix length, source, its prefix length, next hop,
/// metric (hexadecimal), references, use, flags, interface.
fn from_v6(table: &str) -> Option<String> {
    let routes = table.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_default = fields.first()?.bytes().all(|b| b == b'0') && *fields.get(1)? == "00";
        let name = *fields.get(9)?;
        let number = |at: usize| u32::from_str_radix(fields.get(at)?, 16).ok();
        let (metric, flags) = (number(5)?, number(8)?);
        // The kernel keeps an unreachable default route on `lo`.
        (is_default && name != "lo" && flags & REJECT == 0).then_some((metric, name))
    });
    routes.min().map(|(_, name)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_default_route_counts() {
        let table = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n\
            wlan0 00000000 0101A8C0 0003 0 0 600 00000000 0 0 0\n\
            eth0 00000000 0102A8C0 0003 0 0 100 00000000 0 0 0\n\
            eth1 0002A8C0 00000000 0001 0 0 0 00FFFFFF 0 0 0\n";
        assert_eq!(from_v4(table).as_deref(), Some("eth0"));
        assert_eq!(from_v4("Iface\n"), None);
        let refuses = "Iface …\n* 00000000 00000000 0200 0 0 0 00000000 0 0 0\n";
        assert_eq!(from_v4(refuses), None, "an unreachable default route");
    }

    #[test]
    fn ipv6_skips_the_unreachable_route() {
        let zeros = "0".repeat(32);
        let table = format!(
            "{zeros} 00 {zeros} 00 {zeros} ffffffff 1 0 00200200 lo\n\
             {zeros} 00 {zeros} 00 fe80000000000000 00000400 1 0 00000003 eth0\n"
        );
        assert_eq!(from_v6(&table).as_deref(), Some("eth0"));
    }
}
