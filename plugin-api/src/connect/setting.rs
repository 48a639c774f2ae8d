//! The names of a connection's settings, as they cross the boundary.

/// Declares the settings and their names side by side, so that none can lack its name.
macro_rules! settings {
    ($($(#[$doc:meta])+ $setting:ident = $name:literal,)+) => {
        /// A setting of a connection.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Setting {
            $($(#[$doc])+ $setting,)+
        }

        impl Setting {
            /// All of them.
            pub const ALL: &'static [Setting] = &[$(Setting::$setting,)+];

            /// The name in [`Connect::settings`](crate::Connect::settings), and on the boundary.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Setting::$setting => $name,)+
                }
            }
        }
    };
}

settings! {
    /// The whole connection's time-out in milliseconds.
    Timeout = "timeout_ms",
    /// The address to connect to, in place of the job's.
    Target = "target",
    /// The port to connect to, in place of the job's.
    Port = "port",
    /// The port to connect from.
    SourcePort = "source_port",
    /// The differentiated services code point of all packets.
    Dscp = "dscp",
    /// The ECN field of all packets.
    Ecn = "ecn",
    /// The time to live, or hop limit.
    Ttl = "ttl",
    /// The maximum segment size that the SYN announces.
    Mss = "mss",
    /// The congestion control's name.
    CongestionControl = "congestion_control",
    /// Whether to use Multipath TCP.
    Mptcp = "mptcp",
    /// Whether to use TCP Fast Open.
    FastOpen = "fast_open",
    /// The protocols that TLS offers.
    Alpn = "alpn",
    /// Whether TLS offers version 1.3 alone.
    OnlyTls13 = "only_tls13",
    /// Whether TLS offers Encrypted Client Hello, made up.
    EchGrease = "ech_grease",
    /// The server name of TLS, in place of the job's domain.
    ServerName = "server_name",
    /// Further headers of an HTTP request.
    Headers = "headers",
    /// The name that a DNS query asks for.
    Query = "query",
    /// The version of QUIC.
    Version = "version",
    /// How many octets a datagram has that asks for a version that nobody speaks.
    Padding = "padding",
    /// Whether the bit stays set that QUIC fixes to 1.
    FixedBit = "fixed_bit",
    /// The packets that are sent as they are.
    Packets = "packets",
    /// After how many milliseconds without an answer they are sent again.
    RepeatAfter = "repeat_after_ms",
    /// How often they are sent again at most.
    RepeatTimes = "repeat_times",
    /// Whether they are waited for until a chain calls the flow complete.
    UntilDone = "until_done",
    /// The transport protocol of a conversation, by its IANA number.
    Protocol = "protocol",
    /// The flags of a SYN beside SYN itself.
    TcpFlags = "tcp_flags",
    /// The options of a SYN, octet by octet.
    TcpOptions = "tcp_options",
}

impl Setting {
    /// The setting of that name.
    pub fn from_name(name: &str) -> Option<Setting> {
        Setting::ALL.iter().copied().find(|setting| setting.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::packet::Packet;
    use crate::{Connect, Conversation, Next, Result, Turn};

    #[test]
    fn authors_can_set_each_and_nothing_else() {
        let all = Connect::packets(Vec::new(), Duration::ZERO)
            .dscp(0)
            .ecn(0)
            .ttl(0)
            .mss(0)
            .fast_open()
            .mptcp()
            .congestion_control("")
            .to(std::net::Ipv4Addr::UNSPECIFIED.into())
            .port(0)
            .source_port(0)
            .alpn(&[])
            .only_tls13()
            .ech_grease()
            .server_name("")
            .header("", "")
            .query("")
            .version(0)
            .padding(0)
            .grease_fixed_bit()
            .repeat(Duration::ZERO, 0)
            .until_done()
            .tcp_flags(crate::packet::TcpFlags::NONE)
            .tcp_options(&[]);
        let talk = Connect::conversation(Silent);
        let all = all.settings().iter().chain(talk.settings().iter());
        let set: Vec<Option<Setting>> = all.map(|(name, _)| Setting::from_name(name)).collect();
        for setting in Setting::ALL {
            assert!(set.contains(&Some(*setting)), "Connect has no method for {setting:?}");
        }
        assert!(!set.contains(&None), "{set:?}");
    }

    struct Silent;

    impl Conversation for Silent {
        fn begin(&mut self, _: &mut Turn<'_>) -> Result<Next> {
            Ok(Next::Done)
        }

        fn packet(&mut self, _: &Packet<'_>, _: &mut Turn<'_>) -> Result<Next> {
            Ok(Next::Done)
        }
    }
}
