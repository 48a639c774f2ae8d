//! What keys and columns say of a target, by their names: this program's, and those of the programs
//! that make lists of targets.

/// What a key or column says. Of several that say the same of a target, the first of this list counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Meaning {
    /// This program's address.
    Dip,
    /// masscan's and zgrab2's.
    Ip,
    /// Where an answer to zmap came from.
    Saddr,
    /// As people name it.
    Address,
    /// This program's port.
    Dp,
    /// masscan's.
    Port,
    /// A list with one port: masscan's.
    Ports,
    /// Who a packet went to; in what zmap writes, this end.
    Dport,
    /// Where an answer to zmap came from.
    Sport,
    /// What is in zgrab2's results.
    Data,
    /// This program's name of the target.
    Domain,
    /// As people name it.
    Host,
    /// A place in a list of names.
    Rank,
}

impl Meaning {
    /// How many there are.
    pub(super) const COUNT: usize = Meaning::Rank as usize + 1;

    /// What it is called in messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Meaning::Dip => "dip",
            Meaning::Ip => "ip",
            Meaning::Saddr => "saddr",
            Meaning::Address => "address",
            Meaning::Dp => "dp",
            Meaning::Port => "port",
            Meaning::Ports => "ports",
            Meaning::Dport => "dport",
            Meaning::Sport => "sport",
            Meaning::Data => "data",
            Meaning::Domain => "domain",
            Meaning::Host => "host",
            Meaning::Rank => "rank",
        }
    }

    /// The meaning of a name, in whichever case it is written.
    pub(super) fn of(name: &str) -> Option<Meaning> {
        use Meaning::{
            Address, Data, Dip, Domain, Dp, Dport, Host, Ip, Port, Ports, Rank, Saddr, Sport,
        };
        const BY_LENGTH: [&[(&str, Meaning)]; 9] = [
            &[],
            &[],
            &[("dp", Dp), ("ip", Ip)],
            &[("dip", Dip)],
            &[("port", Port), ("addr", Address), ("host", Host), ("rank", Rank), ("data", Data)],
            &[("saddr", Saddr), ("sport", Sport), ("dport", Dport), ("ports", Ports)],
            &[("domain", Domain)],
            &[("address", Address)],
            &[("hostname", Host)],
        ];
        let names = BY_LENGTH.get(name.len())?;
        names
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, meaning)| *meaning)
    }

    /// Whether it is the address.
    pub(super) fn is_address(self) -> bool {
        matches!(self, Meaning::Dip | Meaning::Ip | Meaning::Saddr | Meaning::Address)
    }

    /// Whether it may say where the target is.
    pub(super) fn tells_target(self) -> bool {
        !matches!(self, Meaning::Data | Meaning::Rank)
    }

    /// Whether it is the name.
    pub(super) fn is_domain(self) -> bool {
        matches!(self, Meaning::Domain | Meaning::Host)
    }

    /// Whether it is the target's port where the address is of this meaning: zmap's lists have the
    /// packets that came, from the target.
    pub(super) fn is_port_of(self, address: Option<Meaning>) -> bool {
        let came = address == Some(Meaning::Saddr);
        match self {
            Meaning::Dp | Meaning::Port | Meaning::Ports => true,
            Meaning::Data => matches!(address, None | Some(Meaning::Ip)),
            Meaning::Dport => !came,
            Meaning::Sport => came,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_either_case() {
        assert_eq!(Meaning::of("SAddr"), Some(Meaning::Saddr));
        assert_eq!(Meaning::of("Hostname"), Some(Meaning::Host));
        assert_eq!(Meaning::of("DIP"), Some(Meaning::Dip));
        for name in ["", "saddr-raw", "sip", "sp", "ports ", "prot"] {
            assert_eq!(Meaning::of(name), None, "{name}");
        }
    }

    #[test]
    fn the_ports_of_packets_that_came_are_the_other_way_round() {
        assert!(Meaning::Sport.is_port_of(Some(Meaning::Saddr)));
        assert!(!Meaning::Dport.is_port_of(Some(Meaning::Saddr)));
        assert!(Meaning::Dport.is_port_of(Some(Meaning::Dip)));
        assert!(!Meaning::Sport.is_port_of(None));
    }
}
