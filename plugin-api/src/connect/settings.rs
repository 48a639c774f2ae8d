//! The settings of a connection: which kind has which, what values they can have, and how hosts and the
//! testing kit read them.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::packet::protocol::{TCP, UDP, UDP_LITE};
use crate::packet::quic::{VERSION_1, VERSION_2};
use crate::packet::{TcpFlags, tcp_option};
use crate::{Connect, ConnectKind, Error, Record, Setting, Value};

/// The settings of every kind; the first three are no socket's.
const EVERY_KINDS: [Setting; 6] = [
    Setting::Timeout,
    Setting::Target,
    Setting::Port,
    Setting::SourcePort,
    Setting::Dscp,
    Setting::Ttl,
];

/// The settings that a kind has beside those of every kind; `None` for one whose settings are read
/// elsewhere.
fn own(kind: ConnectKind) -> Option<&'static [Setting]> {
    use Setting::{
        Alpn, CongestionControl, EchGrease, Ecn, FastOpen, FixedBit, Headers, Mptcp, Mss,
        OnlyTls13, Padding, Protocol, Query, ServerName, TcpFlags, TcpOptions, Version,
    };
    Some(match kind {
        // Not Fast Open, which needs data to send.
        ConnectKind::Tcp => &[Mss, CongestionControl, Mptcp],
        ConnectKind::Http => &[Mss, CongestionControl, Mptcp, FastOpen, Headers],
        ConnectKind::Https => &[
            Mss,
            CongestionControl,
            Mptcp,
            FastOpen,
            Headers,
            Alpn,
            OnlyTls13,
            EchGrease,
            ServerName,
        ],
        ConnectKind::DnsTcp => &[Mss, CongestionControl, Mptcp, FastOpen, Query],
        ConnectKind::DnsUdp => &[Ecn, Query],
        ConnectKind::Syn => &[Mss, Ecn, TcpFlags, TcpOptions],
        ConnectKind::Quic => &[Ecn, Headers, Alpn, Version, Padding, FixedBit],
        ConnectKind::Conversation => &[Protocol],
        _ => return None,
    })
}

/// The settings of every kind, as far as it has a socket or a packet of the host's.
fn every(kind: ConnectKind) -> &'static [Setting] {
    match kind {
        ConnectKind::Conversation => &EVERY_KINDS[..3],
        _ => &EVERY_KINDS,
    }
}

/// The sizes of a segment that Linux takes (`TCP_MIN_MSS`, `MAX_TCP_WINDOW`).
const SEGMENTS: RangeInclusive<u64> = 88..=32_767;

/// What a plugin asked for; `None` is the default of each.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings<'a> {
    /// How long the whole connection may take.
    pub timeout: Option<Duration>,
    /// The address to connect to, in place of the job's.
    pub target: Option<IpAddr>,
    /// The port to connect to, in place of the job's.
    pub port: Option<u16>,
    /// The port to connect from.
    pub source_port: Option<u16>,
    /// The differentiated services code point.
    pub dscp: Option<u8>,
    /// The ECN field.
    pub ecn: Option<u8>,
    /// The time to live, or hop limit.
    pub ttl: Option<u8>,
    /// The maximum segment size that the SYN announces.
    pub mss: Option<u32>,
    /// The congestion control's name.
    pub congestion_control: Option<&'a str>,
    /// Whether to use Multipath TCP.
    pub mptcp: bool,
    /// Whether to use TCP Fast Open.
    pub fast_open: bool,
    /// The protocols that TLS offers.
    pub alpn: Option<Vec<Vec<u8>>>,
    /// Whether TLS offers version 1.3 alone.
    pub only_tls13: bool,
    /// Whether TLS offers Encrypted Client Hello, made up.
    pub ech_grease: bool,
    /// The server name of TLS, in place of the job's domain.
    pub server_name: Option<&'a str>,
    /// Further headers of an HTTP request.
    pub headers: Option<&'a Record>,
    /// The name that a DNS query asks for.
    pub query: Option<&'a str>,
    /// The version of QUIC.
    pub version: Option<u32>,
    /// How many octets a datagram has that asks for a version that nobody speaks.
    pub padding: Option<u16>,
    /// Whether the bit stays set that QUIC fixes to 1.
    pub fixed_bit: Option<bool>,
    /// The transport protocol of a conversation.
    pub protocol: Option<u8>,
    /// The flags of a SYN beside SYN itself.
    pub tcp_flags: Option<TcpFlags>,
    /// The options of a SYN.
    pub tcp_options: Option<&'a [u8]>,
}

impl<'a> Settings<'a> {
    /// Reads what a connection was asked to have that the host makes by itself.
    ///
    /// # Errors
    ///
    /// A kind that this host does not make over sockets, a setting that the kind does not have, or a
    /// value that the setting cannot have.
    pub fn read(connect: &'a Connect) -> Result<Settings<'a>, Error> {
        let kind = connect.kind();
        let own = own(kind).ok_or_else(|| {
            let name = kind.name();
            Error::contract(format!("connect: this host makes no connections of kind {name}"))
        })?;
        let every = every(kind);
        let mut settings = Settings::default();
        for (name, value) in connect.settings().iter() {
            let setting = Setting::from_name(name)
                .filter(|setting| every.contains(setting) || own.contains(setting))
                .ok_or_else(|| {
                    let kind = kind.name();
                    let has = every.iter().chain(own).map(|setting| setting.name());
                    let has = has.collect::<Vec<_>>().join(", ");
                    Error::contract(format!(
                        "connect: the kind {kind} has no setting {name:?}; it has {has}"
                    ))
                })?;
            settings.set(setting, value).map_err(|range| {
                Error::contract(format!("connect: {name} is {value:?}, and may be {range}"))
            })?;
        }
        if settings.padding.is_some() && settings.asks_for_versions().is_none() {
            let version = settings.version.unwrap_or(VERSION_1);
            return Err(Error::contract(format!(
                "connect: padding is for versions that nobody speaks, and version is {version}"
            )));
        }
        Ok(settings)
    }

    /// The version of QUIC that is not spoken here, so that the target is asked which ones it speaks.
    pub fn asks_for_versions(&self) -> Option<u32> {
        self.version.filter(|version| ![VERSION_1, VERSION_2].contains(version))
    }

    /// Takes one setting.
    ///
    /// # Errors
    ///
    /// The values that it can have.
    fn set(&mut self, setting: Setting, value: &'a Value) -> Result<(), &'static str> {
        match setting {
            Setting::Timeout => {
                let takes = "whole milliseconds, from 1 on";
                let time = number(value, 1..=u64::MAX).ok_or(takes)?;
                self.timeout = Some(Duration::from_millis(time));
            }
            Setting::Target => {
                let address = value.as_str().and_then(|text| text.parse().ok());
                self.target = Some(address.ok_or("an IP address")?);
            }
            Setting::Port => self.port = Some(number(value, PORTS).ok_or("0 to 65535")?),
            Setting::SourcePort => {
                self.source_port = Some(number(value, PORTS).ok_or("0 to 65535")?);
            }
            Setting::Dscp => self.dscp = Some(number(value, 0..=63).ok_or("0 to 63")?),
            Setting::Ecn => self.ecn = Some(number(value, 0..=3).ok_or("0 to 3")?),
            // A packet of no hops is sent by no kernel.
            Setting::Ttl => self.ttl = Some(number(value, 1..=255).ok_or("1 to 255")?),
            Setting::Mss => self.mss = Some(number(value, SEGMENTS).ok_or("88 to 32767")?),
            Setting::CongestionControl => {
                self.congestion_control = Some(value.as_str().ok_or("a name")?);
            }
            Setting::Mptcp => self.mptcp = value.as_bool().ok_or("true or false")?,
            Setting::FastOpen => self.fast_open = value.as_bool().ok_or("true or false")?,
            Setting::Alpn => {
                let takes = "a list of names of 1 to 255 octets";
                self.alpn = Some(protocols(value).ok_or(takes)?);
            }
            Setting::OnlyTls13 => self.only_tls13 = value.as_bool().ok_or("true or false")?,
            Setting::EchGrease => self.ech_grease = value.as_bool().ok_or("true or false")?,
            Setting::ServerName => self.server_name = Some(value.as_str().ok_or("a domain name")?),
            Setting::Headers => self.headers = Some(value.as_record().ok_or("names with values")?),
            Setting::Query => self.query = Some(value.as_str().ok_or("a domain name")?),
            Setting::Version => {
                let takes = "a version's number, from 1 on";
                self.version = Some(number(value, 1..=u32::MAX.into()).ok_or(takes)?);
            }
            Setting::Padding => {
                self.padding = Some(number(value, PADDINGS).ok_or("64 to 65507")?);
            }
            Setting::FixedBit => self.fixed_bit = Some(value.as_bool().ok_or("true or false")?),
            Setting::Protocol => {
                let takes = "the number of TCP, UDP or UDP-Lite";
                let known = |number: &u8| [TCP, UDP, UDP_LITE].contains(number);
                self.protocol = Some(number(value, 0..=255).filter(known).ok_or(takes)?);
            }
            Setting::TcpFlags => {
                let takes = "flags of TCP beside SYN";
                self.tcp_flags = Some(TcpFlags(number(value, FLAGS).ok_or(takes)?));
            }
            Setting::TcpOptions => {
                let takes = "at most 40 octets";
                let octets = value.as_bytes().filter(|octets| octets.len() <= tcp_option::ROOM);
                self.tcp_options = Some(octets.ok_or(takes)?);
            }
            // No kind that is read here has them.
            Setting::Packets | Setting::RepeatAfter | Setting::RepeatTimes | Setting::UntilDone => {
                return Err("nothing here");
            }
        }
        Ok(())
    }
}

/// From a whole header of QUIC on, up to what a datagram of IPv4 has room for.
const PADDINGS: RangeInclusive<u64> = 64..=65_507;

const PORTS: RangeInclusive<u64> = 0..=65_535;

/// All nine flags of TCP (RFC 9293, section 3.1; AE is RFC 9768's).
const FLAGS: RangeInclusive<u64> = 0..=0x1ff;

/// A whole number in a range.
fn number<T: TryFrom<u64>>(value: &Value, range: RangeInclusive<u64>) -> Option<T> {
    value.as_u64().filter(|number| range.contains(number)).and_then(|n| T::try_from(n).ok())
}

/// A list of protocols: texts of 1 to 255 octets (RFC 7301, section 3.1).
fn protocols(list: &Value) -> Option<Vec<Vec<u8>>> {
    let protocol = |value: &Value| {
        value.as_bytes().filter(|name| (1..=255).contains(&name.len())).map(<[u8]>::to_vec)
    };
    list.as_list()?.iter().map(protocol).collect()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;
    use crate::packet::quic::RESERVED_VERSION;

    /// A connection with this setting alone.
    fn with(kind: ConnectKind, setting: Setting) -> Connect {
        let connect = Connect::new(kind);
        match setting {
            Setting::Timeout => connect.timeout(Duration::from_secs(3)),
            Setting::Target => connect.to(Ipv6Addr::LOCALHOST.into()),
            Setting::Port => connect.port(8080),
            Setting::SourcePort => connect.source_port(4000),
            Setting::Dscp => connect.dscp(46),
            Setting::Ecn => connect.ecn(1),
            Setting::Ttl => connect.ttl(9),
            Setting::Mss => connect.mss(600),
            Setting::CongestionControl => connect.congestion_control("reno"),
            Setting::Mptcp => connect.mptcp(),
            Setting::FastOpen => connect.fast_open(),
            Setting::Alpn => connect.alpn(&["h2"]),
            Setting::OnlyTls13 => connect.only_tls13(),
            Setting::EchGrease => connect.ech_grease(),
            Setting::ServerName => connect.server_name("www.example"),
            Setting::Headers => connect.header("X", "y"),
            Setting::Query => connect.query("www.example"),
            Setting::TcpFlags => connect.tcp_flags(TcpFlags::ECE),
            Setting::TcpOptions => connect.tcp_options(&[1]),
            Setting::Version => connect.version(VERSION_2),
            Setting::Padding => connect.version(RESERVED_VERSION).padding(1000),
            Setting::FixedBit => connect.grease_fixed_bit(),
            Setting::Packets
            | Setting::Protocol
            | Setting::RepeatAfter
            | Setting::RepeatTimes
            | Setting::UntilDone => panic!("it is read elsewhere"),
        }
    }

    #[test]
    fn each_setting_of_the_contract_is_read_for_a_kind_that_has_it() {
        use Setting::{Packets, Protocol, RepeatAfter, RepeatTimes, UntilDone};
        // What only packets have is read in `packets`; a conversation's protocol is its own word.
        let elsewhere = [Packets, Protocol, RepeatAfter, RepeatTimes, UntilDone];
        for setting in Setting::ALL.iter().copied().filter(|s| !elsewhere.contains(s)) {
            let mut kinds = 0;
            for kind in ConnectKind::ALL.into_iter().filter(|&kind| own(kind).is_some()) {
                let connect = with(kind, setting);
                match Settings::read(&connect) {
                    Ok(settings) => {
                        assert_ne!(settings, Settings::default(), "{setting:?} is not kept");
                        kinds += 1;
                    }
                    Err(error) => {
                        // Padding goes with a version, which a kind may lack first.
                        let said = error.to_string();
                        let is_lacking = [setting.name(), Setting::Version.name()]
                            .into_iter()
                            .any(|name| said.contains(name));
                        assert!(is_lacking, "{said}");
                    }
                }
            }
            assert!(kinds > 0, "no kind has the setting {setting:?}");
        }
    }

    #[test]
    fn settings_of_other_kinds_and_values_out_of_range_are_refused_by_name() {
        for (connect, name) in [
            (Connect::tcp().fast_open(), "fast_open"),
            (Connect::http().ecn(1), "ecn"),
            (Connect::http().query("a.example"), "query"),
            (Connect::http().dscp(64), "dscp"),
            (Connect::http().ttl(0), "ttl"),
            (Connect::tcp().mss(87), "mss"),
            (Connect::tcp().timeout(Duration::from_micros(1)), "timeout_ms"),
            (Connect::new(ConnectKind::DnsUdp).ecn(4), "ecn"),
            (Connect::new(ConnectKind::DnsUdp).mss(600), "mss"),
            (Connect::syn().tcp_options(&[1; 41]), "tcp_options"),
            (Connect::syn().tcp_flags(TcpFlags(0x200)), "tcp_flags"),
            (Connect::tcp().tcp_options(&[]), "tcp_options"),
            (Connect::syn().fast_open(), "fast_open"),
            (Connect::new(ConnectKind::Https).alpn(&["h2", ""]), "alpn"),
            (Connect::http().ech_grease(), "ech_grease"),
            (Connect::quic().server_name("www.example"), "server_name"),
            (Connect::quic().version(0), "version"),
            (Connect::quic().padding(1000), "padding"),
            (Connect::quic().version(RESERVED_VERSION).padding(63), "padding"),
            (Connect::quic().mss(600), "mss"),
            (Connect::tcp().grease_fixed_bit(), "fixed_bit"),
        ] {
            let error = Settings::read(&connect).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
