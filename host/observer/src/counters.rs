//! What the observer counts, so that no loss is silent.

use std::fmt;

use serde::{Serialize, Serializer};

use pathspider_runtime::text::of;

pathspider_plugin_api::variants! {
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
}

impl Malformed {
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

pathspider_plugin_api::variants! {
    /// Why a packet of one of our connections is no part of it: it answers nothing that left us.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Unanswering {
        /// It came from an address of our own: something that we sent was sent back.
        Reflected,
        /// Nothing had left us from that port to there yet.
        Unasked,
        /// A SYN that acknowledges nothing.
        Syn,
        /// A TCP segment that acknowledges nothing that we sent.
        Acknowledgment,
        /// A TCP segment whose sequence number is none that the target could send.
        Sequence,
        /// A datagram that is no response to what we asked, or an ICMP reply to no request of ours.
        Query,
        /// An ICMP error about a packet that we did not send.
        Quote,
        /// A reset of our own system, in answer to one of the above.
        OurReset,
    }
}

impl Unanswering {
    /// The kind's name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Unanswering::Reflected => "reflected",
            Unanswering::Unasked => "unasked",
            Unanswering::Syn => "syn",
            Unanswering::Acknowledgment => "acknowledgment",
            Unanswering::Sequence => "sequence",
            Unanswering::Query => "query",
            Unanswering::Quote => "quote",
            Unanswering::OurReset => "our_reset",
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
    /// Packets of our connections that answer nothing that we sent, by kind; read it with
    /// [`Counters::unanswering`]. Only in a measurement.
    #[serde(serialize_with = "unanswering_by_name")]
    pub(crate) unanswering: [u64; Unanswering::ALL.len()],
    /// Fragments of packets that did not come whole; where flows are merely observed, later fragments
    /// whose first was not seen.
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

/// Kinds of packets that answer nothing by their names.
fn unanswering_by_name<S: Serializer>(
    counts: &[u64; Unanswering::ALL.len()],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    by_name(Unanswering::ALL.map(|kind| (kind.name(), counts[kind as usize])), serializer)
}

/// Counts by the names of their kinds, without those that are zero.
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

    /// The number of packets of a kind that answer nothing that we sent.
    pub fn unanswering(&self, kind: Unanswering) -> u64 {
        self.unanswering[kind as usize]
    }

    /// The number of packets that answer nothing that we sent.
    pub fn unanswering_total(&self) -> u64 {
        self.unanswering.iter().sum()
    }

    /// The kinds of packets that answer nothing that we sent, each with its number, for people.
    pub fn unanswering_kinds(&self) -> String {
        let kinds = Unanswering::ALL.iter().filter(|&&kind| self.unanswering(kind) > 0);
        let kinds = kinds.map(|&kind| format!("{} {}", self.unanswering(kind), kind.name()));
        kinds.collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn count_unanswering(&mut self, kind: Unanswering) {
        self.unanswering[kind as usize] += 1;
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
            unanswering: _,
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
        if self.unanswering_total() > 0 {
            let (total, kinds) = (self.unanswering_total(), self.unanswering_kinds());
            write!(f, ", {total} packets that answer nothing ({kinds})")?;
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
        for kind in Unanswering::ALL {
            counters.count_unanswering(kind);
            assert_eq!(counters.unanswering(kind), 1, "{}", kind.name());
        }
        assert!(counters.to_string().ends_with(", 1 our_reset)"), "{counters}");
        counters.count_malformed(Malformed::Tcp);
        assert!(counters.to_string().contains("10 malformed (1 link, "));
        assert!(counters.to_string().contains("2 tcp"));
    }
}
