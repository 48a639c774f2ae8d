//! What is found of the network: interface, capture, settings, routes, firewall, tracked connections,
//! names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::super::source;
use super::finding::Finding;
use crate::job::addresses;
use crate::route::Routes;
use crate::run::look;
use pathspider_observer::{SourceError, SourceOptions, interface, is_recorded, open};
use pathspider_runtime::privileges;

/// Addresses that the default routes lead to, as to any other (RFC 5737, RFC 3849).
const SOMEWHERE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];

/// A name that is always there (RFC 2606).
const NAME: &str = "example.com";

/// How long an answer to it is waited for.
const PATIENCE: Duration = Duration::from_secs(6);

/// A parameter that measurements set.
const PARAMETER: &str = "net.ipv4.tcp_ecn";

/// The interface that packets leave by. `is_named`: the command line names it.
pub(super) fn interface(source: Option<&str>, is_named: bool) -> Finding {
    const SUBJECT: &str = "interface";
    let Some(source) = source else {
        let others = interface::names().join(", ");
        return Finding::bad(
            SUBJECT,
            format!("there is no default route; the interfaces that are up: {others}"),
            "ip route add default via GATEWAY dev IF, or name an interface: pathspider doctor -i IF",
        );
    };
    if is_recorded(source) {
        return Finding::bad(
            SUBJECT,
            format!("{source} is a recorded capture, so nothing can be sent from it"),
            "name an interface: pathspider doctor -i IF",
        );
    }
    let device = source::device(source);
    if let Some(device) = device.filter(|device| !interface::exists(device)) {
        let others = interface::names().join(", ");
        return Finding::bad(
            SUBJECT,
            format!("no interface {device:?}; there are: {others}"),
            "name one of them: pathspider doctor -i IF",
        );
    }
    let addresses = interface::addresses(source);
    let why = if is_named { "" } else { ", the default route's" };
    if addresses.is_empty() {
        Finding::bad(
            SUBJECT,
            format!("{source}{why} has no address"),
            format!("ip address add ADDRESS/LENGTH dev {source}"),
        )
    } else {
        Finding::good(SUBJECT, format!("{source}{why}: {}", addresses.join(", ")))
    }
}

/// Whether packets can be captured there.
pub(super) fn capture(source: Option<&str>) -> Option<Finding> {
    const SUBJECT: &str = "capture";
    let source = source.filter(|source| !is_recorded(source))?;
    let options = SourceOptions { tells_reflected: true, ..SourceOptions::default() };
    let mend = match open(source, &options) {
        Ok(_) => {
            let libpcap = pathspider_observer::libpcap();
            let libpcap = libpcap.map(|version| format!(" (libpcap {version})"));
            let says =
                format!("packets on {source} can be captured{}", libpcap.unwrap_or_default());
            return Some(Finding::good(SUBJECT, says));
        }
        Err(SourceError::NoPrivilege { .. }) => {
            let says = "this program lacks CAP_NET_RAW, which capturing needs";
            return Some(Finding::bad(SUBJECT, says, privileges::grant()));
        }
        Err(SourceError::InterfaceDown { name }) => {
            let says = format!("the interface {name} is down");
            return Some(Finding::bad(SUBJECT, says, format!("ip link set {name} up")));
        }
        Err(error) => (error.to_string(), "name another interface: pathspider doctor -i IF"),
    };
    Some(Finding::bad(SUBJECT, mend.0, mend.1))
}

/// Whether the network's settings can be changed, as some measurements do.
pub(super) fn settings() -> Finding {
    const SUBJECT: &str = "settings";
    if !privileges::may_change_network() {
        return Finding::bad(
            SUBJECT,
            "this program lacks CAP_NET_ADMIN, which measurements take that change settings",
            privileges::grant(),
        );
    }
    match pathspider_system::may_set(PARAMETER) {
        Ok(()) => Finding::good(SUBJECT, "the network's settings can be changed (CAP_NET_ADMIN)"),
        Err(error) => Finding::bad(
            SUBJECT,
            format!("{PARAMETER} cannot be set: {error}"),
            pathspider_system::WRITABLE,
        ),
    }
}

/// Whether routes lead out, for each version of IP.
pub(super) fn routes(interface: Option<&str>) -> Finding {
    const SUBJECT: &str = "route";
    let routes = Routes::new(interface);
    let by = interface.map(|name| format!(" by {name}")).unwrap_or_default();
    let [v4, v6] = SOMEWHERE.map(|address| routes.way(address).ok().map(|way| way.source));
    let is = |version: &str, source: IpAddr| format!("{version} from {source}{by}");
    match (v4, v6) {
        (None, None) => Finding::bad(
            SUBJECT,
            format!("no route leads to the Internet{by}, neither of IPv4 nor of IPv6"),
            format!("ip route add default via GATEWAY dev {}", interface.unwrap_or("IF")),
        ),
        (Some(v4), Some(v6)) => {
            Finding::good(SUBJECT, format!("{}; {}", is("IPv4", v4), is("IPv6", v6)))
        }
        (Some(v4), None) => Finding::good(
            SUBJECT,
            format!("{}; none of IPv6, so such targets cannot be reached", is("IPv4", v4)),
        ),
        (None, Some(v6)) => Finding::good(
            SUBJECT,
            format!("{}; none of IPv4, so such targets cannot be reached", is("IPv6", v6)),
        ),
    }
}

/// Whether measurements can have firewall rules of their own.
pub(super) fn firewall() -> Finding {
    const SUBJECT: &str = "firewall";
    match pathspider_system::has_firewall_table() {
        Ok(false) => Finding::good(SUBJECT, "nft answers, and no table of an earlier run is left"),
        Ok(true) if pathspider_system::left().at_work > 0 => {
            Finding::good(SUBJECT, "nft answers; a run under way has its table")
        }
        Ok(true) => Finding::bad(
            SUBJECT,
            "there is a table inet pathspider, and no current run has made it",
            "pathspider restore; if the table stays: nft delete table inet pathspider",
        ),
        Err(error) if error.message().contains("not permitted") => {
            Finding::bad(SUBJECT, error.message(), privileges::grant())
        }
        Err(error) => Finding::bad(SUBJECT, error.message(), "apt-get install nftables"),
    }
}

/// Whether the kernel's table of tracked connections has room.
pub(super) fn conntrack(device: Option<String>) -> Finding {
    const SUBJECT: &str = "conntrack";
    let here = look(device, None);
    if let Some((tracked, most)) = here.full_table() {
        return Finding::bad(
            SUBJECT,
            format!("the table of tracked connections is full: {tracked} of {most}"),
            format!("sysctl -w net.netfilter.nf_conntrack_max={}", most.saturating_mul(4)),
        );
    }
    match here.tracked {
        Some((tracked, most)) => {
            Finding::good(SUBJECT, format!("{tracked} of {most} connections are tracked"))
        }
        None => Finding::good(SUBJECT, "the kernel tracks no connections"),
    }
}

/// Whether names can be looked up, as `--resolve` does.
pub(super) fn resolver() -> Finding {
    const SUBJECT: &str = "resolver";
    let (answer, answered) = mpsc::channel();
    // The system's resolver cannot be told to stop: the thread ends with the process.
    let started = thread::Builder::new().name("resolver".into()).spawn(move || {
        let _ = answer.send(addresses(NAME));
    });
    let mend =
        "check the servers in /etc/resolv.conf (getent hosts example.com shows when they answer)";
    match started.map(|_| answered.recv_timeout(PATIENCE)) {
        Ok(Ok(Ok(found))) => {
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            Finding::good(SUBJECT, format!("{NAME} is {}", found.join(", ")))
        }
        Ok(Ok(Err(why))) => Finding::bad(SUBJECT, why, mend),
        Ok(Err(_)) => {
            let says = format!("{NAME} was not answered within {} seconds", PATIENCE.as_secs());
            Finding::bad(SUBJECT, says, mend)
        }
        Err(error) => Finding::bad(SUBJECT, format!("cannot start a thread: {error}"), "ulimit -u"),
    }
}
