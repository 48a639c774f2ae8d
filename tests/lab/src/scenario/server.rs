//! Owns what a scenario says of its servers. Scenarios that say the same share servers.

use serde::Deserialize;

/// The settings of a group of servers on a kernel stack of their own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Server {
    /// Whether it accepts ECN when asked.
    pub ecn: bool,
    /// Whether it accepts TCP timestamps.
    pub timestamps: bool,
    /// Whether it accepts selective acknowledgement.
    pub sack: bool,
    /// Whether it accepts window scaling.
    pub window_scaling: bool,
    /// Whether it accepts TCP Fast Open.
    pub fast_open: bool,
    /// Whether it accepts Multipath TCP.
    pub mptcp: bool,
    /// Whether, and how, it agrees to Accurate ECN; the emulator does it for the kernel.
    pub accurate_ecn: AccurateEcn,
    /// Whether it answers with the DSCP that it was asked with.
    pub reflect_dscp: bool,
    /// Whether it answers with the flow label that it was asked with.
    pub reflect_flow_label: bool,
    /// Whether anyone listens; without, the kernel resets connections and refuses datagrams.
    pub listening: bool,
    /// Whether the HTTPS server speaks TLS 1.3; without, it speaks 1.2 alone.
    pub tls13: bool,
    /// What the HTTPS server offers by ALPN, the preferred one first; none if empty.
    pub alpn: Vec<String>,
    /// Whether the HTTP server changes to HTTP/2 when asked.
    pub h2c: bool,
    /// How the HTTP/3 server speaks QUIC.
    pub quic: Quic,
    /// How long it thinks before each answer, in milliseconds.
    pub slow_millis: u32,
}

/// How a server speaks QUIC (RFC 9000).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Quic {
    /// Whether anyone listens.
    pub listening: bool,
    /// Whether the HTTPS server says that HTTP/3 is spoken (Alt-Svc, RFC 7838).
    pub advertised: bool,
    /// Which marks it tells the client of.
    pub ecn: Mirrored,
    /// Whether it takes packets without the fixed bit (RFC 9287).
    pub grease: bool,
    /// Whether it demands a token first.
    pub retry: bool,
    /// Whether it grants streams for requests.
    pub streams: bool,
}

impl Default for Quic {
    fn default() -> Self {
        Self {
            listening: true,
            advertised: true,
            ecn: Mirrored::All,
            grease: true,
            retry: false,
            streams: true,
        }
    }
}

/// The marks that a server sees, and so tells the client of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mirrored {
    /// All.
    All,
    /// None: it does not mirror.
    None,
    /// Those of datagrams that begin with a packet of the handshake.
    Handshake,
}

/// How a server does Accurate ECN (RFC 9768).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccurateEcn {
    /// Not at all.
    #[default]
    Off,
    /// With counters of packets and, in an option, of octets.
    On,
    /// Without the option.
    NoOption,
    /// It agrees, and counts nothing.
    NoCounts,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            ecn: true,
            timestamps: true,
            sack: true,
            window_scaling: true,
            fast_open: true,
            mptcp: false,
            accurate_ecn: AccurateEcn::default(),
            reflect_dscp: false,
            reflect_flow_label: false,
            listening: true,
            tls13: true,
            alpn: ["h2", "http/1.1"].map(Into::into).into(),
            h2c: false,
            quic: Quic::default(),
            slow_millis: 0,
        }
    }
}

impl Server {
    /// The sysctls that make it so.
    pub(crate) fn sysctls(&self) -> Vec<(&'static str, &'static str)> {
        let switch = |on: bool| if on { "1" } else { "0" };
        vec![
            ("net.ipv4.tcp_ecn", switch(self.ecn)),
            ("net.ipv4.tcp_timestamps", switch(self.timestamps)),
            ("net.ipv4.tcp_sack", switch(self.sack)),
            ("net.ipv4.tcp_window_scaling", switch(self.window_scaling)),
            ("net.ipv4.tcp_reflect_tos", switch(self.reflect_dscp)),
            ("net.ipv6.flowlabel_reflect", switch(self.reflect_flow_label)),
            // A SYN without a label is answered without one then.
            ("net.ipv6.auto_flowlabels", switch(!self.reflect_flow_label)),
            // 2 is the server's half; with 1,024 it holds for every listener without its asking.
            ("net.ipv4.tcp_fastopen", if self.fast_open { "1026" } else { "0" }),
        ]
    }
}
