//! The features that are looked for, and the packets that carry them: SYNs, which every path has to
//! carry and every quote can show.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use pathspider_locate::{Field, Template};
use pathspider_plugin_api::Result;
use pathspider_plugin_api::forge::Packet;
use pathspider_plugin_api::packet::{TcpFlags, ecn, tcp_option};
use serde::{Serialize, Serializer};

/// A feature of packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Feature {
    /// Explicit Congestion Notification: the flags that ask for it, and ECT(0) in the IP header.
    Ecn,
    /// This differentiated services code point.
    Dscp(u8),
    /// TCP's usual options: timestamps, window scaling, selective acknowledgments.
    Options,
    /// A TCP option of this kind.
    Option(u8),
}

/// The kinds of TCP's usual options, with a value each: RFC 7323 and RFC 2018.
const USUAL: [(u8, &[u8]); 3] = [
    (tcp_option::SACK_PERMITTED, &[]),
    (tcp_option::TIMESTAMPS, &[0, 0, 0, 1, 0, 0, 0, 0]),
    (tcp_option::WINDOW_SCALE, &[7]),
];

/// What an option of another kind carries: as one of an experiment does (RFC 6994), a number that says
/// whose it is.
const VALUE: [u8; 2] = [0x50, 0x53];

impl Feature {
    /// Those that are looked for where none is named. 46 is Expedited Forwarding (RFC 3246).
    pub(crate) const USUAL: [Feature; 3] = [Feature::Ecn, Feature::Dscp(46), Feature::Options];

    /// Whether a field of a packet is this feature's.
    pub(super) fn has(self, field: Field) -> bool {
        match self {
            Feature::Ecn => matches!(field, Field::Ecn | Field::TcpFlags),
            Feature::Dscp(_) => field == Field::Dscp,
            Feature::Options => {
                matches!(field, Field::TcpOption(kind) if USUAL.iter().any(|usual| usual.0 == kind))
            }
            Feature::Option(own) => field == Field::TcpOption(own),
        }
    }
}

impl Feature {
    /// Whether a quote that hides these fields hides the feature. Of ECN, the field of the IP header is
    /// what a path changes, and every quote has it.
    pub(super) fn is_hidden(self, hidden: &[Field]) -> bool {
        hidden.iter().any(|field| *field != Field::TcpFlags && self.has(*field))
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Feature::Ecn => f.write_str("ECN"),
            Feature::Dscp(code_point) => write!(f, "DSCP {code_point}"),
            Feature::Options => f.write_str("options"),
            Feature::Option(kind) => write!(f, "option {kind}"),
        }
    }
}

impl Serialize for Feature {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A SYN with these features.
pub(super) fn syn(features: &[Feature], source: IpAddr, target: SocketAddr) -> Result<Template> {
    let mut packet = Packet::to(target.ip()).source(source).identification(1);
    let mut flags = TcpFlags::SYN;
    let mut options: Vec<(u8, &[u8])> = Vec::new();
    for feature in features {
        match *feature {
            Feature::Ecn => {
                packet = packet.ecn(ecn::ECT_0);
                flags = flags.and(TcpFlags::ECE).and(TcpFlags::CWR);
            }
            Feature::Dscp(code_point) => packet = packet.dscp(code_point),
            Feature::Options => options.extend(USUAL),
            Feature::Option(kind) => match USUAL.iter().find(|usual| usual.0 == kind) {
                Some(usual) => options.push(*usual),
                None => options.push((kind, &VALUE)),
            },
        }
    }
    let segment = packet.tcp_syn(target.port()).source_port(1).flags(flags).mss(1460);
    let segment =
        options.iter().fold(segment, |segment, (kind, value)| segment.option(*kind, value));
    Template::new(&segment.bytes()?)
        .ok_or_else(|| pathspider_plugin_api::Error::new("the packet cannot be made"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_syn_has_what_was_asked_for_and_nothing_else() {
        for (source, target) in [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")] {
            let (source, target): (IpAddr, IpAddr) =
                (source.parse().unwrap(), target.parse().unwrap());
            let target = SocketAddr::new(target, 443);
            let plain = syn(&[], source, target).unwrap();
            assert!(plain.is_syn() && plain.traffic_class() == 0 && plain.remote() == target);
            let all = [&Feature::USUAL[..], &[Feature::Option(253)]].concat();
            let marked = syn(&all, source, target).unwrap();
            assert_eq!(marked.traffic_class(), 46 << 2 | ecn::ECT_0);
            // 4 (MSS) + 2 + 10 + 3 + 4, padded.
            assert_eq!(marked.octets().len() - plain.octets().len(), 20);
        }
    }

    #[test]
    fn each_field_is_of_one_feature() {
        let fields =
            [Field::Ecn, Field::Dscp, Field::TcpFlags, Field::TcpOption(tcp_option::TIMESTAMPS)];
        for field in fields {
            let of = Feature::USUAL.iter().filter(|feature| feature.has(field)).count();
            assert_eq!(of, 1, "{field}");
        }
        assert!(Feature::Option(253).has(Field::TcpOption(253)));
        assert!(!Feature::Option(253).has(Field::TcpOption(tcp_option::TIMESTAMPS)));
    }
}
