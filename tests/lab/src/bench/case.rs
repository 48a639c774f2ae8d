//! Owns the cases of the benchmark: what each compares, on how many targets, and how the report
//! describes it.

use std::str::FromStr;

use super::loops::Exchanged;
use crate::error::Error;

/// One comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// Handshakes with live targets.
    Connect,
    /// Handshakes that are forged: a SYN to each target, and what answers it.
    Syn,
    /// The same with one target in twenty dead.
    Dead,
    /// GET requests.
    Http,
    /// GET requests over TLS.
    Https,
    /// GET requests by HTTP/3.
    Http3,
    /// DNS queries over UDP.
    DnsUdp,
    /// Forged packets, beside port scanners.
    Forged,
    /// Conversations on forged packets, beside SYNs that are forged.
    Conversations,
    /// The processor time of each stage.
    Stages,
    /// One target, and none.
    Start,
    /// A plugin that blocks its thread.
    Blocking,
    /// Jobs by the million.
    Scale,
    /// Memory with very many connections in flight.
    Memory,
    /// Memory with very many targets of forged packets in flight, which need no files.
    MemoryForged,
    /// Memory with many connections of QUIC in flight.
    MemoryQuic,
    /// More jobs towards one address and port than there are local ports.
    OneAddress,
}

/// What pathspider measures in a case, and what a bare loop does in its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    pub(super) plugin: &'static str,
    pub(super) arguments: &'static [&'static str],
    /// Words of its `--connect` that are compared; none where nothing is.
    pub(super) modes: &'static [&'static str],
    /// More options of `measure`.
    pub(super) options: &'static [&'static str],
    pub(super) port: u16,
    pub(super) exchanged: Exchanged,
}

const TCP: Measured = Measured {
    plugin: "ecn",
    arguments: &["--connect", "tcp"],
    modes: &[],
    options: &[],
    port: 80,
    exchanged: Exchanged::Connect,
};

impl Case {
    /// All of them, in the order in which they run.
    pub const ALL: [Case; 17] = [
        Case::Connect,
        Case::Syn,
        Case::Dead,
        Case::Http,
        Case::Https,
        Case::Http3,
        Case::DnsUdp,
        Case::Forged,
        Case::Conversations,
        Case::Stages,
        Case::Start,
        Case::Blocking,
        Case::Scale,
        Case::Memory,
        Case::MemoryForged,
        Case::MemoryQuic,
        Case::OneAddress,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Case::Connect => "connect",
            Case::Syn => "syn",
            Case::Dead => "dead",
            Case::Http => "http",
            Case::Https => "https",
            Case::Http3 => "http3",
            Case::DnsUdp => "dnsudp",
            Case::Forged => "forged",
            Case::Conversations => "conversations",
            Case::Stages => "stages",
            Case::Start => "start",
            Case::Blocking => "blocking",
            Case::Scale => "scale",
            Case::Memory => "memory",
            Case::MemoryForged => "memory-forged",
            Case::MemoryQuic => "memory-quic",
            Case::OneAddress => "one-address",
        }
    }

    /// Its heading.
    pub(super) fn title(self) -> &'static str {
        match self {
            Case::Connect => "Handshakes",
            Case::Syn => "Forged handshakes",
            Case::Dead => "Dead targets",
            Case::Http => "HTTP",
            Case::Https => "HTTPS",
            Case::Http3 => "HTTP/3",
            Case::DnsUdp => "DNS over UDP",
            Case::Forged => "Forged packets",
            Case::Conversations => "Conversations",
            Case::Stages => "Stages",
            Case::Start => "Start",
            Case::Blocking => "Plugins that block",
            Case::Scale => "Many targets",
            Case::Memory => "Memory",
            Case::MemoryForged => "Memory, forged packets",
            Case::MemoryQuic => "Memory, QUIC",
            Case::OneAddress => "One address",
        }
    }

    /// What it does, in sentences.
    pub(super) fn about(self) -> &'static str {
        match self {
            Case::Connect => {
                "Two handshakes with each of the targets, all of them alive. PATHspider gets fewer \
                 targets."
            }
            Case::Syn => {
                "The same two handshakes, but only the SYN is sent and its answer awaited. The bare loop \
                 makes two ordinary connections."
            }
            Case::Dead => {
                "One target in twenty is dead: nothing comes back from it. The dead targets are \
                 spread evenly among the others. The bare loop gets only the living ones. A target \
                 is known to be dead only after the time-out of 5 s, so the share is computed from \
                 the time less one time-out."
            }
            Case::Http => {
                "Two requests to each of the targets, each on a connection of its own. The bare \
                 loop connects, sends the same request, reads the whole response and closes."
            }
            Case::Https => {
                "The same over TLS. Neither side resumes a session, and none verifies a \
                 certificate. The servers' part of the handshakes costs this machine as much \
                 again; it is the same for both."
            }
            Case::Http3 => {
                "Two handshakes of QUIC with each of the targets, and a GET request by HTTP/3 on \
                 each. The bare loop is a client of the same library, with one socket for all. \
                 Handshakes are made by the processors of this machine, at both ends."
            }
            Case::DnsUdp => {
                "Two queries to each of the targets, each from a socket of its own: connect, send, \
                 await the answer, close."
            }
            Case::Forged => {
                "A SYN without and one with the reserved flag to each of the targets, and a RST \
                 after each answer. The bare loop makes two ordinary connections. The scanners \
                 send one SYN to each target, as fast as they can and again as fast as pathspider \
                 did, and wait for 2 s. SYNs/s are counted at the interface while they are being sent."
            }
            Case::Conversations => {
                "Five connections to each of the targets, with TCP options that nobody knows on their \
                 SYNs. First only the SYNs are forged. Then each connection is a conversation: the \
                 plugin makes every segment, opens and closes the connection, and sends a request on the \
                 first one."
            }
            Case::Stages => {
                "The processor time of each thread of a run of handshakes, and which part of a core it \
                 would take at 10,000 targets a second. The main thread is the engine; its time has the \
                 program's start in it."
            }
            Case::Start => {
                "A run with a single target, and the list of the plugins that are installed. The run \
                 waits a fiftieth of a second for late packets."
            }
            Case::Blocking => {
                "The plugin connects by itself and blocks a thread until it is connected. It runs \
                 with 50 and with 500 threads. With ten times as many threads, a job must not take \
                 more time."
            }
            Case::Scale => {
                "Each job from standard input has another live target. A job's time and processor \
                 time must not grow with the number of jobs. Memory may grow only by what the \
                 filter of duplicates needs, some 5 octets a target."
            }
            Case::Memory => {
                "Very many targets, with 50,000 of them in flight or as many as the limit of open \
                 files allows. The table has the resident memory after 10, 50 and 90 % of the time. \
                 It must not grow, and must stay below 300 MB."
            }
            Case::MemoryForged => {
                "The same with forged packets, which need no open files: 50,000 targets in flight \
                 wherever it runs."
            }
            Case::MemoryQuic => "The same with connections of QUIC, 5,000 targets in flight.",
            Case::OneAddress => {
                "All jobs go to one address and port, with two connections each. There are more \
                 connections than local ports, and the kernel keeps a used port back for a minute. \
                 Every job must get its verdict all the same."
            }
        }
    }

    /// Whether it takes minutes.
    pub fn is_long(self) -> bool {
        matches!(
            self,
            Case::Scale | Case::Memory | Case::MemoryForged | Case::MemoryQuic | Case::OneAddress
        )
    }

    /// How many targets it has where nobody says.
    pub fn targets(self) -> u32 {
        match self {
            // So many that the start and the end, which have a case of their own, do not count.
            Case::Connect | Case::Syn | Case::Stages | Case::Http | Case::DnsUdp => 60_000,
            Case::Dead => 20_000,
            Case::Start => 1,
            // So many that starting the threads does not count.
            Case::Blocking => 100_000,
            Case::Https | Case::Conversations => 10_000,
            Case::Http3 => 5_000,
            Case::MemoryQuic => 20_000,
            // All hosts of a /16 but the first and the last.
            Case::Forged => 65_534,
            Case::Scale | Case::Memory | Case::MemoryForged => 1_000_000,
            Case::OneAddress => 150_000,
        }
    }

    /// How many targets are measured at the same time where nobody says; several are compared.
    pub(super) fn workers(self) -> &'static [usize] {
        match self {
            Case::Blocking => &[50, 500],
            Case::Memory | Case::MemoryForged => &[50_000],
            Case::MemoryQuic => &[5000],
            // More handshakes at once last longer than a target is waited for, where one machine makes both
            // ends of them.
            Case::Http3 => &[100],
            _ => &[1000],
        }
    }

    /// Whether each of them needs an open file.
    pub(super) fn needs_files(self) -> bool {
        !matches!(self, Case::Syn | Case::Forged | Case::Conversations | Case::MemoryForged)
    }

    pub(super) fn measured(self) -> Measured {
        match self {
            Case::Connect
            | Case::Dead
            | Case::Stages
            | Case::Start
            | Case::Scale
            | Case::Memory => TCP,
            Case::Syn => Measured { arguments: &["--connect", "syn"], ..TCP },
            Case::OneAddress => Measured { options: &["--duplicates"], ..TCP },
            Case::Http => {
                Measured { arguments: &["--connect", "http"], exchanged: Exchanged::Http, ..TCP }
            }
            Case::Https => Measured {
                arguments: &["--connect", "https"],
                port: 443,
                exchanged: Exchanged::Https,
                ..TCP
            },
            Case::Http3 | Case::MemoryQuic => Measured {
                plugin: "dscp",
                // Long enough for a machine that makes both ends of 5,000 handshakes at once.
                arguments: &["--connect", "quic", "--timeout", "60"],
                port: 443,
                exchanged: Exchanged::Http3,
                ..TCP
            },
            Case::DnsUdp => Measured {
                plugin: "dscp",
                arguments: &["--connect", "dnsudp"],
                port: 53,
                exchanged: Exchanged::DnsUdp,
                ..TCP
            },
            Case::Forged | Case::MemoryForged => {
                Measured { plugin: "evilbit", arguments: &[], ..TCP }
            }
            Case::Conversations => Measured {
                plugin: "tcpext",
                arguments: &["--on", "syn"],
                modes: &["syn", "conversation"],
                ..TCP
            },
            Case::Blocking => Measured { plugin: "blocker", arguments: &[], ..TCP },
        }
    }
}

impl FromStr for Case {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let found = Case::ALL.into_iter().find(|case| case.name() == name);
        found.ok_or_else(|| {
            let names = Case::ALL.map(Case::name).join(", ");
            Error::invalid(format!("the case {name}"), format!("there are {names}"))
        })
    }
}
