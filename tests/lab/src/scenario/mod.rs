//! Owns scenarios as written: the TOML types, reading them, and those that ship with the lab. What
//! they mean to a packet is the emulator's business.

mod builtin;
mod idle;
mod load;
mod rule;
mod server;
mod words;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::Deserialize;

use crate::truth::Truth;

pub use builtin::builtin;
pub use load::{find, find_all, read};
pub use rule::{
    Action, Branch, DelayAction, Direction, ForgeResponse, ForgeSegment, IcmpAction, Match,
    NatAction, OptionText, RateAction, ReorderAction, RespondRule, RuleText, TcpFlagsEdit,
};
pub use server::{AccurateEcn, Mirrored, Quic, Server};
pub use words::{Ecn, Flags, Prefix, Protocol, Span};

/// One path, its targets, what happens on it, and what is to be measured there.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Scenario {
    /// A word for it: the file's name, unless given.
    #[serde(default)]
    pub name: String,
    /// What the path does, as the rest of a sentence that begins with "The path".
    pub summary: String,
    /// What decides every "with probability": the same seed gives the same packets.
    #[serde(default)]
    pub seed: u64,
    /// How many routers there are between vantage point and target.
    #[serde(default = "three")]
    pub hops: u8,
    /// Routers that differ from the others.
    #[serde(default, rename = "hop")]
    pub special_hops: Vec<Hop>,
    /// The targets' addresses.
    #[serde(default)]
    pub targets: Targets,
    /// The servers at them.
    #[serde(default)]
    pub server: Server,
    /// What happens on the way, in this order at each hop.
    #[serde(default, rename = "rule")]
    pub rules: Vec<RuleText>,
    /// Scripted answers, tried in this order before a packet reaches the server.
    #[serde(default, rename = "respond")]
    pub responses: Vec<RespondRule>,
    /// What each plugin is to find.
    #[serde(default)]
    pub expect: BTreeMap<String, Expectation>,
    /// Where each plugin's faults are to be located, in conditions of location.
    #[serde(default)]
    pub location: BTreeMap<String, Expectation>,
}

/// The addresses of a scenario.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Targets {
    /// The IPv4 network, /16 to /30; given out by the lab unless stated.
    pub ipv4: Option<String>,
    /// The IPv6 network, /48 to /124; given out by the lab unless stated.
    pub ipv6: Option<String>,
    /// Which versions are measured.
    #[serde(default = "both_versions")]
    pub versions: Vec<Version>,
    /// The port measured; without one the plugin's own default counts.
    pub port: Option<u16>,
}

impl Default for Targets {
    fn default() -> Self {
        Self { ipv4: None, ipv6: None, versions: both_versions(), port: None }
    }
}

/// A version of the Internet Protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Version {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// A router that differs from what the lab makes by itself.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Hop {
    /// Which one, counted from the vantage point, which is not counted.
    pub number: u8,
    /// Its IPv4 address.
    pub ipv4: Option<Ipv4Addr>,
    /// Its IPv6 address.
    pub ipv6: Option<Ipv6Addr>,
    /// Whether it says nothing when a packet's time to live runs out.
    #[serde(default)]
    pub silent: bool,
    /// How many bytes of a packet it quotes when its time to live runs out; as many as may be, if
    /// left out.
    pub quote: Option<usize>,
    /// Whether something follows the quote (RFC 4884).
    #[serde(default)]
    pub extensions: bool,
    /// Whether it speaks in the target's name.
    #[serde(default)]
    pub as_target: bool,
    /// How many such errors it sends a second at the most, to one address.
    pub limit: Option<f64>,
}

/// What one plugin is to find.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Expectation {
    /// The conditions.
    pub conditions: Vec<String>,
    /// The plugin's arguments, where its usual ones do not show the fault.
    pub arguments: Option<Vec<String>>,
    /// What it finds with SYNs that nobody goes on with, where that is something else of the handshake.
    pub syn: Option<Vec<String>>,
}

impl Scenario {
    /// What the runner needs to know of it.
    pub fn truth(&self) -> Truth {
        let expected =
            self.expect.iter().map(|(plugin, e)| (plugin.clone(), e.conditions.clone())).collect();
        Truth { name: self.name.clone(), summary: self.summary.clone(), expected }
    }
}

fn three() -> u8 {
    3
}

fn both_versions() -> Vec<Version> {
    vec![Version::Ipv4, Version::Ipv6]
}
