//! What a measurement asks the host to do for one connection. How that is done is the host's.

mod setting;
mod settings;
#[cfg(feature = "driver")]
mod syn;

use std::net::IpAddr;
use std::time::Duration;

use crate::abi::{ConversationHandle, Talking};
use crate::carriage::Proof;
use crate::conversation::Conversation;
use crate::error::{Error, Result};
use crate::outcome::{Outcome, State};
use crate::packet::TcpFlags;
use crate::{Record, Value, ValueRef};

pub use setting::Setting;
pub use settings::Settings;
#[cfg(feature = "driver")]
pub use syn::Opening;

/// Declares the kinds with what the contract says of each on one line, so that none can lack it.
macro_rules! kinds {
    ($($(#[$doc:meta])+ $kind:ident = ($name:literal, $port:literal, $proof:ident),)+) => {
        /// The kinds of connection that the host makes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum ConnectKind {
            $($(#[$doc])+ $kind,)+
        }

        impl ConnectKind {
            /// All of them.
            pub const ALL: [ConnectKind; [$($port,)+].len()] = [$(ConnectKind::$kind,)+];

            /// The name in options such as `--connect`, and on the boundary.
            pub const fn name(self) -> &'static str {
                match self {
                    $(ConnectKind::$kind => $name,)+
                }
            }

            /// The port that targets use for it where their line says none.
            pub const fn default_port(self) -> u16 {
                match self {
                    $(ConnectKind::$kind => $port,)+
                }
            }

            /// What proves that a path carried a connection of this kind.
            pub const fn proof(self) -> Proof {
                match self {
                    $(ConnectKind::$kind => Proof::$proof,)+
                }
            }
        }
    };
}

kinds! {
    /// A TCP handshake, then an orderly close.
    Tcp = ("tcp", 80, Handshake),
    /// A TCP handshake and a GET request (HTTP/1.1, RFC 9112).
    Http = ("http", 80, Octets),
    /// A TCP and a TLS handshake and a GET request; certificates are recorded, not checked.
    Https = ("https", 443, Octets),
    /// A DNS query over TCP (RFC 7766).
    DnsTcp = ("dnstcp", 53, Response),
    /// A DNS query over UDP (RFC 1035), sent again while there is no answer.
    DnsUdp = ("dnsudp", 53, Response),
    /// A SYN that nobody goes on with, forged by the host.
    Syn = ("syn", 80, SynAck),
    /// A QUIC handshake (RFC 9000), and a GET request by HTTP/3 (RFC 9114) where that comes out of it;
    /// certificates are recorded, not checked. Or, for a version that nobody speaks, the question which
    /// ones are spoken.
    Quic = ("quic", 443, Octets),
    /// IP packets that the plugin made, sent as they are.
    Packets = ("packets", 80, State),
    /// A conversation of the plugin's: packets that depend on answers.
    Conversation = ("conversation", 80, State),
    /// The plugin made the connection by itself; the host only looks for its flow.
    Done = ("done", 80, State),
    /// There is no connection in this configuration.
    Skip = ("skip", 80, State),
}

/// Where the kind stands on the boundary; no key of a record looks like it.
const KIND_KEY: &str = "connect/kind";

impl ConnectKind {
    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<ConnectKind> {
        ConnectKind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// One connection: its kind, and the settings of its socket.
///
/// Settings are per socket, so that no system setting is touched and connections with different
/// ones can run at the same time. A setting that the kernel cannot honour makes the connection
/// fail, and one that the host does not know, or not for this kind, the job; none is left out
/// silently.
#[derive(Debug)]
pub struct Connect {
    kind: ConnectKind,
    settings: Record,
    conversation: Option<ConversationHandle>,
}

/// A conversation has one connection: the copy of such a connection has none, and is refused.
impl Clone for Connect {
    fn clone(&self) -> Connect {
        Connect { kind: self.kind, settings: self.settings.clone(), conversation: None }
    }
}

impl Connect {
    /// A connection of this kind to the job's target.
    pub fn new(kind: ConnectKind) -> Connect {
        Connect { kind, settings: Record::new(), conversation: None }
    }

    /// A TCP handshake.
    pub fn tcp() -> Connect {
        Connect::new(ConnectKind::Tcp)
    }

    /// An HTTP request.
    pub fn http() -> Connect {
        Connect::new(ConnectKind::Http)
    }

    /// A SYN of the host's making, and no socket: as this machine's would be where nothing asks for ECN,
    /// but for what [`tcp_flags`](Connect::tcp_flags), [`tcp_options`](Connect::tcp_options) and the
    /// settings of the packet say. It is for evidence that a handshake gives. No setting of the system is
    /// behind it, and no local port is used up.
    ///
    /// It is repeated as Linux repeats its own, after a second and five times at the most, always in
    /// the same shape. The connection ends with the first answer, and the host frees the target with a
    /// RST. The path carried it if it was answered with a SYN/ACK.
    ///
    /// The measurement offers it among the kinds of [`Options::connect`](crate::Options::connect), or
    /// declares [`Info::forges`](crate::Info::forges).
    pub fn syn() -> Connect {
        Connect::new(ConnectKind::Syn)
    }

    /// Sets the flags of a [`SYN`](Connect::syn) beside SYN itself.
    pub fn tcp_flags(self, flags: TcpFlags) -> Connect {
        self.set(Setting::TcpFlags, flags.0.into())
    }

    /// Sets the options of a [`SYN`](Connect::syn), octet by octet; they are padded with zeros. Without
    /// it, they are those of an ordinary one: MSS, SACK, timestamps and window scaling. Only that MSS is
    /// what [`mss`](Connect::mss) says.
    pub fn tcp_options(self, octets: &[u8]) -> Connect {
        self.set(Setting::TcpOptions, octets.to_vec().into())
    }

    /// A QUIC handshake, and an HTTP/3 request: `h3` is offered unless [`alpn`](Connect::alpn) says
    /// otherwise, and there is no request where something else came out of it. What the handshake and
    /// the packets came to is in the outcome's `quic_info`.
    pub fn quic() -> Connect {
        Connect::new(ConnectKind::Quic)
    }

    /// IP packets (version 4 or 6 by their first four bits), sent in order; the module
    /// [`forge`](crate::forge) builds them. The measurement has to declare
    /// [`Info::forges`](crate::Info::forges).
    ///
    /// They are sent as they are, but for what a plugin cannot know: an unspecified source address
    /// (`0.0.0.0`, `::`) becomes the one that the route to the target has, and a source port 0 (of
    /// TCP, UDP or UDP-Lite) one that nobody else uses. Checksums are then mended by the difference
    /// (RFC 1624), so a wrong one stays wrong and a UDP checksum of zero stays zero. The kernel
    /// fills in an IPv4 identification and an IPv4 header checksum that are 0. What it would change
    /// is refused: a wrong IPv4 header checksum, a total length that is not the packet's.
    ///
    /// The first packet's addresses, protocol and ports name the flow, which the host watches for
    /// `wait`; a list whose packets are of several flows is refused, two SYNs with different sequence
    /// numbers too. The connection ends with the first answer: [`State::Ok`] for a packet of the flow,
    /// [`State::Failed`] for a TCP reset (`refused`) and for an ICMP error, in the words that a
    /// socket would give. What it *says* is for the chains and the plugin to judge.
    ///
    /// Nothing is sent twice unless [`repeat`](Connect::repeat) says so: then one lost packet decides
    /// over the connection.
    ///
    /// At ports that it chose, the host keeps the kernel from answering: neither a RST nor an ICMP
    /// error is sent for what arrives there. Where the first packet is a SYN and is answered by
    /// anything but a reset, the host sends one RST at the connection's end, which follows the last
    /// of the packets in sequence and frees the target.
    pub fn packets(packets: Vec<Vec<u8>>, wait: Duration) -> Connect {
        // With time-out, repeats and the kind, which stands there when it crosses.
        let settings = Record::with_capacity(6);
        Connect { settings, ..Connect::new(ConnectKind::Packets) }
            .set(Setting::Packets, packets.into_iter().collect::<Value>())
            .timeout(wait)
    }

    /// Sends the packets of [`packets`](Connect::packets) again after this long without an answer, so
    /// many times at the most. Not sooner than after 100 ms; a socket's SYN is repeated after a second.
    pub fn repeat(self, after: Duration, times: u32) -> Connect {
        self.set(Setting::RepeatAfter, milliseconds(after)).set(Setting::RepeatTimes, times.into())
    }

    /// The same after a second, twice, as a socket repeats its SYN and a DNS client its query: then one lost
    /// packet decides over nothing.
    pub fn repeat_as_sockets_do(self) -> Connect {
        self.repeat(Duration::from_secs(1), 2)
    }

    /// Ends the connection of [`packets`](Connect::packets) not with the first answer, but when a chain
    /// calls the flow complete; before that, a reset or an ICMP error ends it. Where no chain of the
    /// measurement does, it ends with its time-out.
    pub fn until_done(self) -> Connect {
        self.set(Setting::UntilDone, true.into())
    }

    /// A conversation: packets that depend on answers, said by a state machine of the plugin's. The
    /// measurement has to declare [`Info::converses`](crate::Info::converses).
    ///
    /// The host gives it a port that nobody else uses and at which the kernel says nothing, shows it
    /// each packet of the target that answers what was sent, and ends it at the connection's time-out.
    /// What it says then is the outcome. Where a TCP connection is still open at its end, the host
    /// frees the target with a RST. One that takes its packets too slowly ends as `overrun`.
    ///
    /// Of the settings, it has [`timeout`](Connect::timeout), [`to`](Connect::to) and
    /// [`port`](Connect::port).
    pub fn conversation(conversation: impl Conversation) -> Connect {
        let protocol = conversation.protocol();
        let talking = Talking::new(conversation);
        let connect =
            Connect::new(ConnectKind::Conversation).set(Setting::Protocol, protocol.into());
        Connect { conversation: Some(ConversationHandle::own(talking)), ..connect }
    }

    /// A connection that the plugin made by itself, and how it ended.
    pub fn done(outcome: Outcome) -> Connect {
        Connect { settings: outcome.into_record(), ..Connect::new(ConnectKind::Done) }
    }

    /// No connection; the reason goes into the record.
    pub fn skip(reason: &str) -> Connect {
        let settings = Record::new().with("spdr_error", reason);
        Connect { settings, ..Connect::new(ConnectKind::Skip) }
    }

    /// No connection, for this machine cannot make it: there is no IPv6, say, or the interface takes no
    /// packets of that size. The record has `pathspider.not_supported:<config>` and the reason, and the
    /// host reports it once in a run. What only this target cannot have is
    /// [`skipped`](Connect::skip). A conversation that finds it out at its begin ends with
    /// [`Outcome::not_supported`].
    pub fn not_supported(reason: &str) -> Connect {
        let settings = Outcome::not_supported(reason).record;
        Connect { settings, ..Connect::new(ConnectKind::Skip) }
    }

    /// A connection of this kind with these settings, both by their names ([`ConnectKind::name`],
    /// [`Setting::name`]): for code in other languages, which has names and values alone. The kinds `done`
    /// and `skip` have the keys of an [`Outcome`] instead of settings.
    ///
    /// # Errors
    ///
    /// There is no such kind or setting, or it takes more than names and values.
    pub fn by_name(kind: &str, settings: Record) -> Result<Connect> {
        let Some(kind) = ConnectKind::from_name(kind) else {
            let what = format_args!("connect: there is no kind of connection {kind:?}");
            return Err(Error::contract(what));
        };
        let unknown = settings.iter().find(|(name, _)| Setting::from_name(name).is_none());
        match kind {
            ConnectKind::Done | ConnectKind::Skip => {}
            ConnectKind::Conversation => {
                return Err(Error::contract("connect: a conversation is more than its settings"));
            }
            _ => {
                if let Some((name, _)) = unknown {
                    let what = format_args!("connect: there is no setting {name:?}");
                    return Err(Error::contract(what));
                }
            }
        }
        Ok(Connect { kind, settings, conversation: None })
    }

    /// Sets the whole connection's time-out; without it, 5 s.
    pub fn timeout(self, timeout: Duration) -> Connect {
        self.set(Setting::Timeout, milliseconds(timeout))
    }

    /// Sets the differentiated services code point, 0–63 (RFC 2474), of all packets sent.
    pub fn dscp(self, code_point: u8) -> Connect {
        self.set(Setting::Dscp, code_point.into())
    }

    /// Sets the ECN field of the packets sent, for UDP and QUIC only: TCP's own is the kernel's.
    pub fn ecn(self, field: u8) -> Connect {
        self.set(Setting::Ecn, field.into())
    }

    /// Sets the time to live, or hop limit.
    pub fn ttl(self, hops: u8) -> Connect {
        self.set(Setting::Ttl, hops.into())
    }

    /// Sets the maximum segment size that the SYN announces, in octets (`TCP_MAXSEG`).
    pub fn mss(self, octets: u16) -> Connect {
        self.set(Setting::Mss, octets.into())
    }

    /// Uses TCP Fast Open (RFC 7413): asks for a cookie, or sends the data on the SYN where the
    /// kernel has one. Not for [`ConnectKind::Tcp`], which has no data.
    pub fn fast_open(self) -> Connect {
        self.set(Setting::FastOpen, true.into())
    }

    /// Uses Multipath TCP (RFC 8684).
    pub fn mptcp(self) -> Connect {
        self.set(Setting::Mptcp, true.into())
    }

    /// Uses the congestion control of this name.
    pub fn congestion_control(self, name: &str) -> Connect {
        self.set(Setting::CongestionControl, name.into())
    }

    /// Connects to another address than the job's.
    pub fn to(self, target: IpAddr) -> Connect {
        self.set(Setting::Target, target.into())
    }

    /// Connects to another port than the job's.
    pub fn port(self, port: u16) -> Connect {
        self.set(Setting::Port, port.into())
    }

    /// Connects from this port.
    pub fn source_port(self, port: u16) -> Connect {
        self.set(Setting::SourcePort, port.into())
    }

    /// Offers these protocols in TLS (ALPN, RFC 7301), the preferred one first.
    pub fn alpn(self, protocols: &[&str]) -> Connect {
        self.set(Setting::Alpn, protocols.iter().copied().collect())
    }

    /// Offers version 1.3 of TLS and no other. A target that speaks only older ones ends the connection.
    pub fn only_tls13(self) -> Connect {
        self.set(Setting::OnlyTls13, true.into())
    }

    /// Offers Encrypted Client Hello (RFC 9849), made up of random octets as section 6.2 has it: no target
    /// can open it, and each goes on as if it were not there. TLS is version 1.3 then, as with
    /// [`only_tls13`](Connect::only_tls13).
    pub fn ech_grease(self) -> Connect {
        self.set(Setting::EchGrease, true.into())
    }

    /// Sends this server name in TLS (RFC 6066, section 3), in place of the job's domain. The HTTP request
    /// has the job's domain all the same.
    pub fn server_name(self, name: &str) -> Connect {
        self.set(Setting::ServerName, name.into())
    }

    /// Adds a header to the HTTP request.
    pub fn header(mut self, name: &str, value: &str) -> Connect {
        let mut headers =
            self.settings.remove(Setting::Headers.name()).unwrap_or_else(|| Record::new().into());
        if let Some(record) = headers.as_record() {
            headers = record.clone().with(name.to_owned(), value).into();
        }
        self.set(Setting::Headers, headers)
    }

    /// Asks this name instead of the job's domain, in a DNS query. Without either, it is
    /// `example.com`.
    pub fn query(self, name: &str) -> Connect {
        self.set(Setting::Query, name.into())
    }

    /// Speaks this version of QUIC: 1 (the default) or 2
    /// ([`VERSION_2`](crate::packet::quic::VERSION_2)). For any other, one datagram asks which versions the
    /// target speaks, and is sent again while there is no answer; that list ends the connection well.
    pub fn version(self, version: u32) -> Connect {
        self.set(Setting::Version, version.into())
    }

    /// Fills the datagram that asks for a version that nobody speaks up to this many octets, header of UDP
    /// not counted, in place of 1,200: servers need not answer one of fewer. Not for versions that are
    /// spoken: their first datagrams have 1,200 always.
    pub fn padding(self, octets: u16) -> Connect {
        self.set(Setting::Padding, octets.into())
    }

    /// Clears the bit that QUIC fixes to 1, in every packet after the target has said that it takes
    /// either (RFC 9287); in all others it stays set.
    pub fn grease_fixed_bit(self) -> Connect {
        self.set(Setting::FixedBit, false.into())
    }

    fn set(mut self, setting: Setting, value: Value) -> Connect {
        self.settings.set(setting.name(), value);
        self
    }

    /// Its kind.
    pub fn kind(&self) -> ConnectKind {
        self.kind
    }

    /// Its settings by name: for hosts, and for tests of plugins.
    pub fn settings(&self) -> &Record {
        &self.settings
    }

    /// The time-out that was set.
    pub fn timeout_set(&self) -> Option<Duration> {
        self.settings.u64(Setting::Timeout.name()).map(Duration::from_millis)
    }

    /// The packets to send, in order.
    pub fn packet_bytes(&self) -> impl Iterator<Item = &[u8]> {
        let list =
            self.settings.get(Setting::Packets.name()).and_then(Value::as_list).unwrap_or(&[]);
        list.iter().filter_map(|packet| match packet.view() {
            ValueRef::Bytes(bytes) => Some(bytes),
            _ => None,
        })
    }

    /// The outcome that the plugin reported with [`Connect::done`] or [`Connect::skip`]; `None` for
    /// a connection that the host makes. If the plugin made the connection and gives no state, the
    /// connection has failed.
    pub fn into_outcome(self) -> Option<Outcome> {
        let Connect { kind, settings: mut record, .. } = self;
        match kind {
            ConnectKind::Done => {
                let state = record.remove("spdr_state").and_then(|state| state.as_u64());
                Some(match state.and_then(State::from_number) {
                    Some(state) => Outcome::with_record(state, record),
                    None => {
                        let failed = Outcome::with_record(State::Failed, record);
                        failed.with("spdr_error", Value::text("plugin: no outcome"))
                    }
                })
            }
            ConnectKind::Skip => Some(Outcome::with_record(State::Skipped, record)),
            _ => None,
        }
    }

    /// Takes the conversation out, for the engine that drives it. Later calls give `None`.
    pub fn take_conversation(&mut self) -> Option<ConversationHandle> {
        self.conversation.take()
    }

    /// For the boundary: the kind's name among the settings, and the conversation beside.
    pub(crate) fn into_wire(self) -> (Record, Option<Talking>) {
        let settings = self.settings.with(KIND_KEY, Value::text(self.kind.name()));
        (settings, self.conversation.map(ConversationHandle::into_talking))
    }

    /// From the boundary: `Err` names a kind that this host does not know.
    pub(crate) fn from_wire(
        mut settings: Record,
        conversation: Option<ConversationHandle>,
    ) -> Result<Connect, String> {
        let kind = settings.remove(KIND_KEY);
        let name = kind.as_ref().and_then(Value::as_str).unwrap_or("");
        match ConnectKind::from_name(name) {
            Some(kind) => Ok(Connect { kind, settings, conversation }),
            None => Err(format!("connect: there is no kind of connection {name:?}")),
        }
    }
}

fn milliseconds(duration: Duration) -> Value {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crosses_the_boundary_unchanged() {
        let connect = Connect::http().dscp(46).timeout(Duration::from_secs(3)).header("X", "y");
        let settings = connect.settings().clone();
        let (wire, conversation) = connect.into_wire();
        assert!(conversation.is_none());
        let back = Connect::from_wire(wire, None).unwrap();
        assert_eq!((back.kind(), back.settings()), (ConnectKind::Http, &settings));
        let pigeon = Record::new().with(KIND_KEY, "carrier pigeon");
        assert!(Connect::from_wire(pigeon, None).is_err());
    }

    #[test]
    fn names_make_the_same_as_methods() {
        let by_method = Connect::http().dscp(46).query("x");
        let settings = by_method.settings().clone();
        let by_name = Connect::by_name("http", settings.clone()).unwrap();
        assert_eq!((by_name.kind(), by_name.settings()), (ConnectKind::Http, &settings));
        let refused = |kind: &str, key: &'static str| {
            let error = Connect::by_name(kind, Record::new().with(key, 1u8)).unwrap_err();
            error.message().to_owned()
        };
        assert_eq!(refused("pigeon", "ttl"), "connect: there is no kind of connection \"pigeon\"");
        assert_eq!(refused("tcp", "tttl"), "connect: there is no setting \"tttl\"");
        assert!(refused("conversation", "protocol").contains("more than its settings"));
        assert!(Connect::by_name("skip", Record::new().with("spdr_error", "x")).is_ok());
    }

    #[test]
    fn a_plugins_own_outcome_comes_back() {
        let outcome = Outcome::new(State::Failed).with("spdr_error", "refused");
        assert_eq!(Connect::done(outcome.clone()).into_outcome(), Some(outcome));
        assert_eq!(Connect::tcp().into_outcome(), None);
        let none = Connect::new(ConnectKind::Done).into_outcome().unwrap();
        assert_eq!((none.state(), none.failure()), (State::Failed, Some("plugin: no outcome")));
    }
}
