//! One target of a measurement, with everything that its input line said.

use std::net::IpAddr;

use crate::Record;

/// One target: where to connect, and all the keys of its input line.
///
/// A job belongs to the host. Plugins see it by reference, for the length of one call, on any
/// thread.
// Crosses by reference: fields may be appended, never moved or removed (see `abi`).
#[repr(C)]
#[derive(Debug, Clone)]
pub struct Job {
    address: [u8; 16],
    is_ipv6: bool,
    port: u16,
    number: u64,
    record: Record,
}

/// For the test that pins it.
#[cfg(test)]
pub(crate) fn pinned() -> crate::abi::Fields {
    crate::abi::pinned_fields!(Job { address, is_ipv6, port, number, record })
}

impl Job {
    /// A job. `number` counts the lines of the input from 0; `record` holds the keys of its input line
    /// in their order.
    pub fn new(number: u64, target: IpAddr, port: u16, record: Record) -> Job {
        let (address, is_ipv6) = match target {
            IpAddr::V4(a) => (a.to_ipv6_mapped().octets(), false),
            IpAddr::V6(a) => (a.octets(), true),
        };
        Job { address, is_ipv6, port, number, record }
    }

    /// The target's address (`dip`).
    pub fn target(&self) -> IpAddr {
        let address = std::net::Ipv6Addr::from(self.address);
        match address.to_ipv4_mapped() {
            Some(v4) if !self.is_ipv6 => IpAddr::V4(v4),
            _ => IpAddr::V6(address),
        }
    }

    /// The target's port (`dp`), the measurement's default where the line gave none.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The target's name (`domain`), where the line gave one.
    pub fn domain(&self) -> Option<&str> {
        self.record.str("domain")
    }

    /// The job's number: that of its line in the input, from 0. No two jobs of a run have the same.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// All keys of the input line, in their order, unknown ones included.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The keys, given up, with `dp` as it was used.
    pub fn into_record(self) -> Record {
        let mut record = self.record;
        record.set("dp", self.port);
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_keeps_its_family() {
        for text in ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"] {
            let target: IpAddr = text.parse().unwrap();
            assert_eq!(Job::new(0, target, 80, Record::new()).target(), target);
        }
    }
}
