//! The servers of `/etc/resolv.conf`: their addresses, how to ask them, and who was silent lately.

use std::fs;
use std::io;
use std::net::{SocketAddr, SocketAddrV6};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use resolv_conf::{Config, ScopedIp};

const PORT: u16 = 53;

/// How long a server that did not answer is asked after the others.
const SET_BACK: Duration = Duration::from_secs(10);

/// A server may be asked so often at least before it counts as silent: datagrams get lost.
const ATTEMPTS: usize = 3;

/// The servers, and how to ask them.
pub(crate) struct Servers {
    servers: Vec<Server>,
    /// How long to wait for a server at most before the next one is asked.
    pub(crate) patience: Duration,
    /// How often a silent server is asked for one name.
    pub(crate) attempts: usize,
    /// Whether queries have an EDNS record.
    pub(crate) edns: bool,
    /// Whether all is asked over TCP.
    pub(crate) over_tcp: bool,
    /// Whether each name begins with another server, and which is next.
    rotation: Option<AtomicUsize>,
    began: Instant,
}

struct Server {
    address: SocketAddr,
    /// Milliseconds from `began` until which it is set back.
    set_back: AtomicU64,
}

impl Servers {
    /// Those that the system uses.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or names no server.
    pub(crate) fn of_the_system() -> io::Result<Servers> {
        const PATH: &str = "/etc/resolv.conf";
        let text = fs::read(PATH).map_err(|e| io::Error::new(e.kind(), format!("{PATH}: {e}")))?;
        let servers = Servers::read(&text);
        if servers.servers.is_empty() {
            Err(io::Error::other(format!("{PATH} names no server")))
        } else {
            Ok(servers)
        }
    }

    /// Those of such a file; lines that cannot be read are passed over, as the system does.
    pub(crate) fn read(text: &[u8]) -> Servers {
        let (config, _) = Config::parse_with_errors(text);
        let addresses = config.nameservers.iter().map(address);
        Servers {
            patience: Duration::from_secs(config.timeout.max(1).into()),
            attempts: ATTEMPTS.max(config.attempts as usize),
            edns: config.edns0,
            over_tcp: config.use_vc,
            rotation: config.rotate.then(AtomicUsize::default),
            ..Servers::new(addresses)
        }
    }

    /// These, with the settings that count without any.
    pub(crate) fn new(addresses: impl Iterator<Item = SocketAddr>) -> Servers {
        let server = |address| Server { address, set_back: AtomicU64::new(0) };
        Servers {
            servers: addresses.map(server).collect(),
            patience: Duration::from_secs(5),
            attempts: ATTEMPTS,
            edns: false,
            over_tcp: false,
            rotation: None,
            began: Instant::now(),
        }
    }

    /// The numbers of all servers, in the order in which to ask them.
    pub(crate) fn order(&self, now: Instant) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.servers.len()).collect();
        if let Some(next) = self.rotation.as_ref().filter(|_| !order.is_empty()) {
            let first = next.fetch_add(1, Ordering::Relaxed) % order.len();
            order.rotate_left(first);
        }
        let now = self.since_began(now);
        order.sort_by_key(|&at| self.servers[at].set_back.load(Ordering::Relaxed) > now);
        order
    }

    /// A server's address.
    pub(crate) fn address(&self, at: usize) -> SocketAddr {
        self.servers[at].address
    }

    /// Notes that a server answered.
    pub(crate) fn answered(&self, at: usize) {
        self.servers[at].set_back.store(0, Ordering::Relaxed);
    }

    /// Notes that a server did not answer.
    pub(crate) fn was_silent(&self, at: usize, now: Instant) {
        let until = self.since_began(now + SET_BACK);
        self.servers[at].set_back.store(until, Ordering::Relaxed);
    }

    fn since_began(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.began).as_millis() as u64
    }
}

/// Where a server is asked. A link-local address is of an interface: `fe80::1%eth0`.
fn address(server: &ScopedIp) -> SocketAddr {
    match server {
        ScopedIp::V4(ip) => (*ip, PORT).into(),
        ScopedIp::V6(ip, zone) => {
            let scope = zone.as_deref().and_then(scope).unwrap_or(0);
            SocketAddrV6::new(*ip, PORT, 0, scope).into()
        }
    }
}

/// The number of an interface, by its name or number.
fn scope(zone: &str) -> Option<u32> {
    if let Ok(number) = zone.parse() {
        return Some(number);
    }
    let text = fs::read_to_string(format!("/sys/class/net/{zone}/ifindex")).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_file_is_read() {
        let text = b"nameserver 192.0.2.1\nsearch example.org\nnameserver 2001:db8::1\n\
                     nameserver fe80::1%lo\noptions timeout:2 attempts:4 edns0 use-vc\nwhat ever\n";
        let servers = Servers::read(text);
        let addresses: Vec<String> = (0..3).map(|at| servers.address(at).to_string()).collect();
        assert_eq!(addresses, ["192.0.2.1:53", "[2001:db8::1]:53", "[fe80::1%1]:53"]);
        assert_eq!((servers.patience, servers.attempts), (Duration::from_secs(2), 4));
        assert!(servers.edns && servers.over_tcp);
    }

    #[test]
    fn a_silent_server_is_asked_last_for_a_while() {
        let servers = Servers::read(b"nameserver 192.0.2.1\nnameserver 192.0.2.2\n");
        let now = Instant::now();
        assert_eq!(servers.order(now), [0, 1]);
        servers.was_silent(0, now);
        assert_eq!(servers.order(now), [1, 0]);
        assert_eq!(servers.order(now + SET_BACK), [0, 1]);
        servers.answered(0);
        assert_eq!(servers.order(now), [0, 1]);
    }

    #[test]
    fn each_name_begins_elsewhere_when_told_to_rotate() {
        let servers =
            Servers::read(b"nameserver 192.0.2.1\nnameserver 192.0.2.2\noptions rotate\n");
        let now = Instant::now();
        let orders = [servers.order(now), servers.order(now), servers.order(now)];
        assert_eq!(orders, [[0, 1], [1, 0], [0, 1]]);
    }
}
