//! Where the packets of a connection would go. Courtesy and pace are owed to the address that is
//! sent to, which need not be the job's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use pathspider_plugin_api::{Connect, ConnectKind, Job, Setting};

use crate::job::{Courtesy, Refusal};

/// An address that the connection would send to and must not, and why.
pub(super) fn refused(
    job: &Job,
    connect: &Connect,
    courtesy: &Courtesy,
) -> Option<(IpAddr, Refusal)> {
    let refused = |address| courtesy.refuses(address).map(|refusal| (address, refusal));
    elsewhere(job, connect).into_iter().find_map(refused)
}

/// An address that a packet names beside its destination and that must not be sent to, and why.
pub(super) fn refused_by(packet: &[u8], courtesy: &Courtesy) -> Option<(IpAddr, Refusal)> {
    let (mut own, mut refused) = (None, None);
    each(packet, |address| {
        let own = *own.get_or_insert(address);
        if address != own && refused.is_none() {
            refused = courtesy.refuses(address).map(|refusal| (address, refusal));
        }
    });
    refused
}

/// The addresses that the connection would send to, each of them once. The job's own is left out,
/// for it was let through when it was read; a job that has a name only has none.
pub(in crate::engine) fn elsewhere(job: &Job, connect: &Connect) -> Vec<IpAddr> {
    let mut others = Vec::new();
    let own = Some(job.target()).filter(|address| !address.is_unspecified());
    let mut add = |address: IpAddr| {
        if own != Some(address) && !others.contains(&address) {
            others.push(address);
        }
    };
    match connect.kind() {
        ConnectKind::Done | ConnectKind::Skip => {}
        ConnectKind::Packets => connect.packet_bytes().for_each(|packet| each(packet, &mut add)),
        _ => {
            // A setting that is no address is refused when the connection begins.
            let set = connect.settings().str(Setting::Target.name()).map(str::parse);
            set.unwrap_or(Ok(job.target())).into_iter().for_each(add);
        }
    }
    others
}

/// The octets of an IPv4 header without options, and of IPv6's fixed one.
const IPV4: usize = 20;
const IPV6: usize = 40;

/// Calls for each address that an IP packet is to go to: its destination, and what its source route
/// names (RFC 791, section 3.1; RFC 8200, section 4.4). What is malformed has none from there on.
fn each(packet: &[u8], mut call: impl FnMut(IpAddr)) {
    match packet.first().map(|octet| octet >> 4) {
        Some(4) if packet.len() >= IPV4 => {
            call(v4(&packet[16..IPV4]));
            let end = (usize::from(packet[0] & 0xf) * 4).min(packet.len());
            routed_v4(packet.get(IPV4..end).unwrap_or_default(), call);
        }
        Some(6) if packet.len() >= IPV6 => {
            call(v6(&packet[24..IPV6]));
            routed_v6(packet[6], &packet[IPV6..], call);
        }
        _ => {}
    }
}

/// The addresses of loose and strict source routes.
fn routed_v4(mut options: &[u8], mut call: impl FnMut(IpAddr)) {
    const END: u8 = 0;
    const NOTHING: u8 = 1;
    const LOOSE: u8 = 131;
    const STRICT: u8 = 137;
    while let Some(&kind) = options.first().filter(|&&kind| kind != END) {
        let length = match (kind, options.get(1)) {
            (NOTHING, _) => 1,
            (_, Some(&length)) if length >= 2 => usize::from(length),
            _ => return,
        };
        let Some((option, rest)) = options.split_at_checked(length) else { return };
        if matches!(kind, LOOSE | STRICT) {
            option.get(3..).unwrap_or_default().chunks_exact(4).map(v4).for_each(&mut call);
        }
        options = rest;
    }
}

/// The addresses of routing headers of all types that have a list of addresses. If a header has no segments
/// left, nobody follows it (RFC 8200, section 4.4).
fn routed_v6(mut kind: u8, mut rest: &[u8], mut call: impl FnMut(IpAddr)) {
    const HOP_BY_HOP: u8 = 0;
    const ROUTING: u8 = 43;
    const OPTIONS: u8 = 60;
    while matches!(kind, HOP_BY_HOP | ROUTING | OPTIONS)
        && let &[next, length, ..] = rest
        && let Some((header, after)) = rest.split_at_checked(usize::from(length) * 8 + 8)
    {
        if kind == ROUTING && header[3] > 0 {
            header[8..].chunks_exact(16).map(v6).for_each(&mut call);
        }
        (kind, rest) = (next, after);
    }
}

fn v4(octets: &[u8]) -> IpAddr {
    <[u8; 4]>::try_from(octets).map_or(Ipv4Addr::UNSPECIFIED, Ipv4Addr::from).into()
}

fn v6(octets: &[u8]) -> IpAddr {
    <[u8; 16]>::try_from(octets).map_or(Ipv6Addr::UNSPECIFIED, Ipv6Addr::from).into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pathspider_plugin_api::{Record, forge};

    use super::*;

    fn job() -> Job {
        Job::new(0, "192.0.2.1".parse().unwrap(), 80, Record::new())
    }

    fn found(connect: &Connect) -> Vec<String> {
        elsewhere(&job(), connect).iter().map(ToString::to_string).collect()
    }

    fn packets(packets: &[&[u8]]) -> Connect {
        Connect::packets(packets.iter().map(|p| p.to_vec()).collect(), Duration::from_secs(1))
    }

    #[test]
    fn what_goes_to_the_target_goes_nowhere_else() {
        let syn = |to: &str| forge::Packet::to(to.parse().unwrap()).tcp_syn(80).bytes().unwrap();
        assert!(found(&Connect::tcp()).is_empty());
        assert!(found(&Connect::tcp().to("192.0.2.1".parse().unwrap()).port(81)).is_empty());
        assert!(found(&packets(&[&syn("192.0.2.1")])).is_empty());
        assert_eq!(found(&Connect::http().to("2001:db8::9".parse().unwrap())), ["2001:db8::9"]);
        let [a, b] = [syn("198.51.100.2"), syn("2001:db8::2")];
        let connect = packets(&[&syn("192.0.2.1"), &a, &a, &b]);
        assert_eq!(found(&connect), ["198.51.100.2", "2001:db8::2"]);
    }

    #[test]
    fn a_name_has_no_address_of_its_own() {
        let job = Job::new(0, Ipv6Addr::UNSPECIFIED.into(), 80, Record::new());
        let refused = refused(&job, &Connect::tcp(), &Courtesy::default());
        assert_eq!(refused, Some((job.target(), Refusal::Special)));
    }

    #[test]
    fn source_routes_are_followed() {
        let mut v4 = forge::Packet::to("192.0.2.1".parse().unwrap()).tcp_syn(80).bytes().unwrap();
        // Three octets of a loose source route, one address, and the end of the list.
        v4.splice(20..20, [1, 131, 7, 4, 198, 51, 100, 9]);
        v4[0] = 0x47;
        assert_eq!(found(&packets(&[&v4])), ["198.51.100.9"]);
        v4[22] = 0;
        assert!(found(&packets(&[&v4])).is_empty(), "a length that cannot be");
        let mut v6 = forge::Packet::to("2001:db8::1".parse().unwrap()).tcp_syn(80).bytes().unwrap();
        let waypoint: Ipv6Addr = "2001:db8::77".parse().unwrap();
        let routing = [&[6, 2, 0, 1, 0, 0, 0, 0], &waypoint.octets()[..]].concat();
        v6.splice(40..40, [&[43, 0, 1, 4, 0, 0, 0, 0], &routing[..]].concat());
        v6[6] = 0;
        assert_eq!(found(&packets(&[&v6])), ["2001:db8::1", "2001:db8::77"]);
        v6[51] = 0;
        assert_eq!(found(&packets(&[&v6])), ["2001:db8::1"], "no segments are left");
        v6.truncate(60);
        assert_eq!(found(&packets(&[&v6])), ["2001:db8::1"]);
    }
}
