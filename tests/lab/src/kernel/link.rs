//! Owns the links of the kernel lab: a veth pair between a namespace and the router, its addresses,
//! and the wait until it carries packets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::net::{Namespace, ip};

/// A veth pair between a namespace and the router, numbered so that its addresses are its own.
pub(super) struct Link<'a> {
    pub(super) number: u8,
    pub(super) near: &'a Namespace,
    pub(super) near_name: &'a str,
    pub(super) router: &'a Namespace,
}

impl Link<'_> {
    /// The addresses at the end away from the router.
    pub(super) fn near_addresses(&self) -> [IpAddr; 2] {
        self.addresses(2)
    }

    fn addresses(&self, host: u8) -> [IpAddr; 2] {
        let ipv6 = Ipv6Addr::new(0xfd00, 0, self.number.into(), 0, 0, 0, 0, host.into());
        [Ipv4Addr::new(10, 0, self.number, host).into(), ipv6.into()]
    }

    pub(super) fn make(&self) -> Result<()> {
        let Self { number, near, near_name, router } = self;
        let [near4, near6] = self.near_addresses();
        let [router4, router6] = self.addresses(1);
        ip(
            near,
            &format!(
                "link add {near_name} type veth peer name router{number} netns {router_path}\n\
                 addr add {near4}/24 dev {near_name}\n\
                 addr add {near6}/64 dev {near_name} nodad\n\
                 link set {near_name} up\n",
                router_path = router.path(),
            ),
        )?;
        ip(
            router,
            &format!(
                "addr add {router4}/24 dev router{number}\n\
                 addr add {router6}/64 dev router{number} nodad\n\
                 link set router{number} up\n"
            ),
        )?;
        ip(near, &format!("route add default via {router4}\nroute add default via {router6}\n"))
    }
}

/// Waits until every one of `addresses` accepts a connection on `port` from `namespace`.
///
/// The kernel brings a new link up a moment after it is asked to, and drops what is sent until
/// then; a measurement must not begin in that moment.
pub(super) fn wait_ready(
    namespace: &Namespace,
    addresses: impl IntoIterator<Item = IpAddr>,
    port: u16,
) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    for address in addresses {
        let address = SocketAddr::from((address, port));
        let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(50));
        while let Err(source) = namespace.enter(connect)? {
            if Instant::now() > deadline {
                return Err(Error::Io { action: format!("reach the lab's own {address}"), source });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    Ok(())
}
