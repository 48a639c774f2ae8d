//! The settings of a connection, read once from what the plugin asked for.

use std::net::IpAddr;
use std::time::Duration;

use pathspider_plugin_api::{Connect, Error, Record, Setting, Value};

/// The settings of every kind.
const EVERY_KINDS: [Setting; 6] = [
    Setting::Timeout,
    Setting::Target,
    Setting::Port,
    Setting::SourcePort,
    Setting::Dscp,
    Setting::Ttl,
];

/// What a plugin asked for; `None` is the default of each.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Settings<'a> {
    pub(super) timeout: Option<Duration>,
    pub(super) target: Option<IpAddr>,
    pub(super) port: Option<u16>,
    pub(super) source_port: Option<u16>,
    pub(super) dscp: Option<u8>,
    pub(super) ecn: Option<u8>,
    pub(super) ttl: Option<u8>,
    pub(super) mss: Option<u32>,
    pub(super) congestion_control: Option<&'a str>,
    pub(super) mptcp: bool,
    pub(super) fast_open: bool,
    pub(super) alpn: Option<Vec<Vec<u8>>>,
    pub(super) headers: Option<&'a Record>,
    pub(super) query: Option<&'a str>,
}

impl<'a> Settings<'a> {
    /// Reads what a connection was asked to have. `own`: the settings that its kind has beside those
    /// of every kind.
    ///
    /// # Errors
    ///
    /// A setting that this host or the kind does not have, or a value that it cannot have.
    pub(super) fn read(own: &[Setting], connect: &'a Connect) -> Result<Settings<'a>, Error> {
        let mut settings = Settings::default();
        for (name, value) in connect.settings().iter() {
            let setting = Setting::from_name(name)
                .filter(|setting| EVERY_KINDS.contains(setting) || own.contains(setting))
                .ok_or_else(|| {
                    let kind = connect.kind().name();
                    Error::contract(format!("connect: the kind {kind} has no setting {name:?}"))
                })?;
            settings.set(setting, value).ok_or_else(|| {
                let range = range(setting);
                Error::contract(format!("connect: {name} is {value:?}, and may be {range}"))
            })?;
        }
        Ok(settings)
    }

    /// Takes one setting; `None` where it cannot have this value.
    fn set(&mut self, setting: Setting, value: &'a Value) -> Option<()> {
        match setting {
            Setting::Timeout => self.timeout = Some(Duration::from_millis(value.as_u64()?)),
            Setting::Target => self.target = Some(value.as_str()?.parse().ok()?),
            Setting::Port => self.port = Some(up_to(value, u16::MAX)?),
            Setting::SourcePort => self.source_port = Some(up_to(value, u16::MAX)?),
            Setting::Dscp => self.dscp = Some(up_to(value, 63)?),
            Setting::Ecn => self.ecn = Some(up_to(value, 3)?),
            Setting::Ttl => self.ttl = Some(up_to(value, u8::MAX)?),
            Setting::Mss => self.mss = Some(up_to(value, u32::MAX)?),
            Setting::CongestionControl => self.congestion_control = Some(value.as_str()?),
            Setting::Mptcp => self.mptcp = value.as_bool()?,
            Setting::FastOpen => self.fast_open = value.as_bool()?,
            Setting::Alpn => self.alpn = Some(protocols(value)?),
            Setting::Headers => self.headers = Some(value.as_record()?),
            Setting::Query => self.query = Some(value.as_str()?),
            // Connections over sockets send what the kernel makes, and a setting that was added to
            // the contract since has no meaning here yet.
            _ => return None,
        }
        Some(())
    }
}

/// What a setting may be, for messages.
fn range(setting: Setting) -> &'static str {
    match setting {
        Setting::Timeout => "a number of milliseconds",
        Setting::Target => "an address",
        Setting::Port | Setting::SourcePort => "0 to 65535",
        Setting::Dscp => "0 to 63",
        Setting::Ecn => "0 to 3",
        Setting::Ttl => "0 to 255",
        Setting::Mss => "a number of octets",
        Setting::CongestionControl | Setting::Query => "a text",
        Setting::Mptcp | Setting::FastOpen => "true or false",
        Setting::Alpn => "a list of names of 1 to 255 octets",
        Setting::Headers => "names with texts",
        _ => "nothing in this kind of connection",
    }
}

/// A whole number from 0 to `most`.
fn up_to<T: TryFrom<u64> + PartialOrd>(value: &Value, most: T) -> Option<T> {
    T::try_from(value.as_u64()?).ok().filter(|number| *number <= most)
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

    use pathspider_plugin_api::ConnectKind;

    use super::super::kinds::find;
    use super::*;

    fn read(connect: &Connect) -> Result<Settings<'_>, Error> {
        Settings::read(find(connect.kind()).unwrap().settings(), connect)
    }

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
            Setting::Headers => connect.header("X", "y"),
            Setting::Query => connect.query("www.example"),
            other => panic!("no test has the setting {other:?}"),
        }
    }

    #[test]
    fn each_setting_of_the_contract_is_read_for_a_kind_that_has_it() {
        for setting in Setting::ALL.iter().copied().filter(|&s| s != Setting::Packets) {
            let mut kinds = 0;
            for kind in ConnectKind::ALL.into_iter().filter(|&kind| find(kind).is_some()) {
                let connect = with(kind, setting);
                match read(&connect) {
                    Ok(settings) => {
                        assert_ne!(settings, Settings::default(), "{setting:?} is not kept");
                        kinds += 1;
                    }
                    Err(error) => assert!(error.to_string().contains(setting.name()), "{error}"),
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
            (Connect::new(ConnectKind::DnsUdp).ecn(4), "ecn"),
            (Connect::new(ConnectKind::DnsUdp).mss(600), "mss"),
            (Connect::new(ConnectKind::Https).alpn(&["h2", ""]), "alpn"),
        ] {
            let error = read(&connect).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
