//! What the observer counts, so that no loss is silent.

use std::fmt;

use serde::{Serialize, Serializer};

use pathspider_runtime::text::of;

/// Why a packet that says it is IP could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// The link header is cut short.
    Link,
    /// The IP header is too short, or of another version than 4 and 6.
    IpHeader,
    /// The IP packet claims more octets than the frame had, or fewer than its header.
    IpLength,
    /// An IPv6 extension header is cut short or reaches beyond the packet.
    Extension,
    /// The first fragment does not hold the transport header (RFC 1858, RFC 7112).
    Fragment,
    /// The TCP header is too short or reaches beyond the packet.
    Tcp,
    /// The UDP header is too short or claims more octets than the packet has.
    Udp,
    /// The header of another transport protocol is too short.
    Transport,
    /// The capture's snap length cut the packet within its headers.
    CutShort,
}

impl Malformed {
    /// All kinds, in the order in which they are reported.
    pub const ALL: [Malformed; 9] = [
        Malformed::Link,
        Malformed::IpHeader,
        Malformed::IpLength,
        Malformed::Extension,
        Malformed::Fragment,
        Malformed::Tcp,
        Malformed::Udp,
        Malformed::Transport,
        Malformed::CutShort,
    ];

    /// The kind's name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Malformed::Link => "link",
            Malformed::IpHeader => "ip_header",
            Malformed::IpLength => "ip_length",
            Malformed::Extension => "extension",
            Malformed::Fragment => "fragment",
            Malformed::Tcp => "tcp",
            Malformed::Udp => "udp",
            Malformed::Transport => "transport",
            Malformed::CutShort => "cut_short",
        }
    }
}

/// Numbers of packets and flows since the source was opened, by their keys in the metadata.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Packets that the source gave.
    pub packets: u64,
    /// Packets that the kernel dropped because the observer was too slow.
    #[serde(rename = "dropped_by_kernel")]
    pub kernel_dropped: u64,
    /// Packets that the interface or its driver dropped.
    #[serde(rename = "dropped_by_interface")]
    pub interface_dropped: u64,
    /// Frames that carry no IP.
    pub non_ip: u64,
    /// Frames of interfaces whose link type cannot be read, or that the capture does not describe.
    pub foreign: u64,
    /// Malformed packets, by kind; read it with [`Counters::malformed`].
    #[serde(serialize_with = "malformed_by_name")]
    pub(crate) malformed: [u64; Malformed::ALL.len()],
    /// Flows begun.
    pub flows: u64,
    /// Well-formed packets that belong to nothing we look at.
    pub ignored: u64,
    /// Packets of a connection that was already answered for.
    pub late: u64,
    /// Later fragments whose first fragment was not seen.
    pub orphaned: u64,
    /// Flows that left the table early because it was full.
    pub evicted: u64,
    /// How often a clock of a capture jumped, or was found to differ from another one's. Packets got
    /// the time that went on.
    pub clock_jumps: u64,
}

/// Kinds of malformed packets by their names.
fn malformed_by_name<S: Serializer>(
    counts: &[u64; Malformed::ALL.len()],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    by_name(Malformed::ALL.map(|kind| (kind.name(), counts[kind as usize])), serializer)
}

/// Counts by the names of their kinds, those of which there are any.
fn by_name<S: Serializer, const N: usize>(
    counts: [(&'static str, u64); N],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(counts.into_iter().filter(|&(_, count)| count > 0))
}

impl Counters {
    /// The number of packets that were to be captured and were not.
    pub fn lost(&self) -> u64 {
        self.kernel_dropped + self.interface_dropped
    }

    /// The number of malformed packets of a kind.
    pub fn malformed(&self, kind: Malformed) -> u64 {
        self.malformed[kind as usize]
    }

    /// The number of malformed packets of all kinds.
    pub fn malformed_total(&self) -> u64 {
        self.malformed.iter().sum()
    }

    pub(crate) fn count_malformed(&mut self, kind: Malformed) {
        self.malformed[kind as usize] += 1;
    }
}

impl fmt::Display for Counters {
    /// One line, for people: kinds of malformed packets only where there are any.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Each by its name, so that a new one is not forgotten here.
        let Counters {
            packets,
            kernel_dropped,
            interface_dropped,
            non_ip,
            foreign,
            malformed: _,
            flows,
            ignored,
            late,
            orphaned,
            evicted,
            clock_jumps,
        } = self;
        write!(
            f,
            "{packets} packets, {kernel_dropped} dropped by the kernel, {interface_dropped} by the \
             interface, {non_ip} not IP, {} malformed",
            self.malformed_total(),
        )?;
        let kinds = Malformed::ALL.iter().filter(|&&k| self.malformed(k) > 0);
        for (index, &kind) in kinds.clone().enumerate() {
            let before = if index == 0 { " (" } else { ", " };
            write!(f, "{before}{} {}", self.malformed(kind), kind.name())?;
        }
        if kinds.count() > 0 {
            f.write_str(")")?;
        }
        write!(
            f,
            "; {flows} flows, {ignored} packets ignored, {late} late, {orphaned} fragments orphaned, \
             {evicted} flows evicted"
        )?;
        if *foreign > 0 {
            write!(f, ", {foreign} of other interfaces")?;
        }
        if *clock_jumps > 0 {
            let jumps = of(*clock_jumps, "jump", "jumps");
            write!(f, ", {clock_jumps} {jumps} of the capture's clocks evened out")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_their_own_places_and_names() {
        let mut counters = Counters::default();
        for kind in Malformed::ALL {
            counters.count_malformed(kind);
            assert_eq!(counters.malformed(kind), 1, "{}", kind.name());
        }
        counters.count_malformed(Malformed::Tcp);
        assert!(counters.to_string().contains("10 malformed (1 link, "));
        assert!(counters.to_string().contains("2 tcp"));
    }
}
