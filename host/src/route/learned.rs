//! What the kernel has learned of a target (tcp_metrics(8)): its Fast Open cookie, round trip time and
//! segment size. It is made to forget that between two rounds, or the next one would be another
//! measurement: a SYN that is to ask for a cookie would carry data with the former one.
//!
//! It takes CAP_NET_ADMIN, which runs have whose measurement changes the machine's settings.

use std::cell::Cell;
use std::io::{self, Read};
use std::net::IpAddr;

use socket2::{Domain, Socket, Type};

use super::kernel::{MESSAGE, add, octets};

/// Octets of the header of generic netlink (`genlmsghdr`).
const GENERIC: usize = 4;

/// Who knows the numbers of the families (`GENL_ID_CTRL`, `CTRL_CMD_GETFAMILY`), by their names
/// (`CTRL_ATTR_FAMILY_NAME`, `CTRL_ATTR_FAMILY_ID`).
const CONTROLLER: u16 = 16;
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;

/// `linux/tcp_metrics.h`: the family, its command that deletes, and its attributes of addresses.
const METRICS: &[u8] = b"tcp_metrics\0";
const DELETE: u8 = 2;
const IPV4: u16 = 1;
const IPV6: u16 = 2;

/// What the kernel has learned, to be forgotten.
pub(crate) struct Learned {
    socket: Socket,
    family: u16,
    serial: Cell<u32>,
}

impl Learned {
    /// Asks where the kernel keeps it.
    ///
    /// # Errors
    ///
    /// It keeps none.
    pub(crate) fn open() -> io::Result<Learned> {
        let kind = Type::RAW.nonblocking().cloexec();
        // The protocol is NETLINK_GENERIC.
        let socket = Socket::new(Domain::from(libc::AF_NETLINK), kind, Some(16.into()))?;
        let mut learned = Learned { socket, family: CONTROLLER, serial: Cell::new(0) };
        let body = learned.ask(GET_FAMILY, FAMILY_NAME, METRICS, 0)?;
        let family = attribute(&body, FAMILY_ID).and_then(|value| octets(value, 0));
        let family = family.map(u16::from_ne_bytes);
        learned.family = family.ok_or_else(|| io::Error::other("it has no number"))?;
        Ok(learned)
    }

    /// Forgets what was learned of an address, if anything was.
    ///
    /// # Errors
    ///
    /// The privilege is missing.
    pub(crate) fn forget(&self, address: IpAddr) -> io::Result<()> {
        let acknowledged = libc::NLM_F_ACK as u16;
        let answer = match address {
            IpAddr::V4(v4) => self.ask(DELETE, IPV4, &v4.octets(), acknowledged),
            IpAddr::V6(v6) => self.ask(DELETE, IPV6, &v6.octets(), acknowledged),
        };
        match answer {
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            answer => answer.map(drop),
        }
    }

    /// Asks with one attribute; the attributes of the answer. The kernel answers before this returns.
    fn ask(&self, command: u8, kind: u16, value: &[u8], flags: u16) -> io::Result<Vec<u8>> {
        self.serial.set(self.serial.get().wrapping_add(1));
        let serial = self.serial.get();
        let mut message = Vec::with_capacity(64);
        message.extend(0u32.to_ne_bytes());
        message.extend(self.family.to_ne_bytes());
        message.extend((libc::NLM_F_REQUEST as u16 | flags).to_ne_bytes());
        message.extend(serial.to_ne_bytes());
        message.extend(0u32.to_ne_bytes());
        message.extend([command, 1, 0, 0]);
        add(&mut message, kind, value);
        let length = message.len() as u32;
        message[..4].copy_from_slice(&length.to_ne_bytes());
        self.socket.send(&message)?;
        let mut buffer = [0; 4096];
        loop {
            let length = (&self.socket).read(&mut buffer)?;
            if let Some(answer) = read(&buffer[..length], serial) {
                return answer;
            }
        }
    }
}

/// Reads an answer; `None` for one to another question.
fn read(message: &[u8], serial: u32) -> Option<io::Result<Vec<u8>>> {
    if octets(message, 8).map(u32::from_ne_bytes)? != serial {
        return None;
    }
    let kind = u16::from_ne_bytes(octets(message, 4)?);
    let body = message.get(MESSAGE..)?;
    if i32::from(kind) != libc::NLMSG_ERROR {
        return Some(Ok(body.get(GENERIC..)?.to_vec()));
    }
    match i32::from_ne_bytes(octets(body, 0)?) {
        0 => Some(Ok(Vec::new())),
        number => Some(Err(io::Error::from_raw_os_error(number.wrapping_neg()))),
    }
}

/// The value of an attribute.
fn attribute(mut rest: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16::from_ne_bytes(octets(rest, 0)?));
        let value = rest.get(4..length)?;
        if u16::from_ne_bytes(octets(rest, 2)?) == wanted {
            return Some(value);
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[test]
    fn nothing_is_forgotten_of_who_is_not_known() {
        let learned = Learned::open().unwrap();
        let unknown: [IpAddr; 2] = [
            Ipv4Addr::new(192, 0, 2, 77).into(),
            Ipv6Addr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 77]).into(),
        ];
        for address in unknown {
            match learned.forget(address) {
                Ok(()) => {}
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}"),
            }
        }
    }

    #[test]
    fn an_answer_that_is_cut_has_no_attribute() {
        let mut body = Vec::new();
        add(&mut body, FAMILY_NAME, METRICS);
        add(&mut body, FAMILY_ID, &27u16.to_ne_bytes());
        assert_eq!(attribute(&body, FAMILY_ID), Some(&27u16.to_ne_bytes()[..]));
        for length in 0..body.len() {
            assert_eq!(attribute(&body[..length], FAMILY_ID), None, "{length} octets");
        }
        assert_eq!(attribute(&body, 9), None);
    }
}
