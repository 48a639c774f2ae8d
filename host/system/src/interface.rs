//! The interface that a kernel parameter is of: its number tells it from another one of its name.

use std::io;

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::netdevice::{index_to_name, name_to_index};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use serde::{Deserialize, Serialize};

/// The folders of parameters that have a folder for each interface.
const FOLDERS: [&str; 5] =
    ["net.ipv4.conf.", "net.ipv4.neigh.", "net.ipv6.conf.", "net.ipv6.neigh.", "net.mpls.conf."];

/// The names in them that are no interfaces.
const NONE: [&str; 2] = ["all", "default"];

/// An interface, as it was when a parameter of it was touched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Interface {
    name: String,
    index: u32,
}

/// The interface of a parameter; `None` where it is of none.
///
/// # Errors
///
/// There is none of that name, or the kernel does not tell.
pub(super) fn of(key: &str) -> io::Result<Option<Interface>> {
    let below = FOLDERS.iter().find_map(|folder| key.strip_prefix(folder));
    let Some((name, _)) = below.and_then(|below| below.split_once('.')) else { return Ok(None) };
    if NONE.contains(&name) {
        return Ok(None);
    }
    let index = name_to_index(socket()?, name).map_err(|errno| match errno {
        Errno::NODEV => io::Error::from_raw_os_error(libc::ENOENT),
        errno => errno.into(),
    })?;
    Ok(Some(Interface { name: name.to_owned(), index }))
}

impl Interface {
    /// The file of a parameter of it as it is named now; `None` where it has gone.
    ///
    /// # Errors
    ///
    /// The kernel does not tell.
    pub(super) fn path(&self, key: &str) -> io::Result<Option<String>> {
        let name = match index_to_name(socket()?, self.index) {
            Ok(name) => name,
            Err(Errno::NODEV | Errno::NXIO) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        let folder = FOLDERS.iter().find(|folder| key.starts_with(**folder));
        let parameter = folder.and_then(|folder| {
            key.strip_prefix(folder)?.strip_prefix(&*self.name)?.strip_prefix('.')
        });
        // The name of an interface may have dots, as that of a VLAN does.
        Ok(folder.zip(parameter).map(|(folder, parameter)| {
            format!("/proc/sys/{}{name}/{}", folder.replace('.', "/"), parameter.replace('.', "/"))
        }))
    }
}

fn socket() -> io::Result<OwnedFd> {
    Ok(socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_of_an_interface_follows_it() {
        let key = "net.ipv4.conf.lo.rp_filter";
        let found = of(key).unwrap().unwrap();
        assert_eq!(found, Interface { name: "lo".into(), index: 1 });
        let path = found.path(key).unwrap();
        assert_eq!(path.as_deref(), Some("/proc/sys/net/ipv4/conf/lo/rp_filter"));
        let renamed = Interface { name: "eth0".into(), index: 1 };
        assert_eq!(renamed.path("net.ipv4.conf.eth0.rp_filter").unwrap(), path);
        let gone = Interface { index: 1_000_000_000, ..found };
        assert_eq!(gone.path(key).unwrap(), None);
        for key in ["net.ipv4.conf.all.rp_filter", "net.ipv6.neigh.default.mcast_solicit", "a.b"] {
            assert_eq!(of(key).unwrap(), None, "{key}");
        }
        assert_eq!(of("net.ipv6.conf.none0.mtu").unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
