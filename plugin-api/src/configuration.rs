//! A configuration of a measurement: a constant with its label, its hold and its carrier.

use std::borrow::Cow;

/// A configuration's place in the list, 0 for the baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConfigId(u32);

impl ConfigId {
    /// The baseline, A.
    pub const BASELINE: ConfigId = ConfigId(0);

    /// The configuration at this place.
    pub const fn new(index: usize) -> ConfigId {
        ConfigId(if index > u32::MAX as usize { u32::MAX } else { index as u32 })
    }

    /// The place.
    pub fn index(self) -> usize {
        self.0 as usize
    }

    /// The place, as it crosses the boundary.
    pub(crate) fn number(self) -> u32 {
        self.0
    }
}

crate::variants! {
    /// How long a configuration of the system must hold for a connection.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    #[non_exhaustive]
    pub enum Hold {
        /// Until the connection's first packet has been sent. Enough for what the kernel decides then,
        /// such as ECN on the SYN; the next configuration does not wait for slow or dead targets.
        Initiation,
        /// Until the handshake is over, or will never be. For settings that the kernel reads again
        /// whenever it repeats a SYN, such as TCP's timestamps: a target that answers holds it for one
        /// round trip, a dead one for the connection's time-out.
        Handshake,
        /// Until the connection has ended.
        Completion,
    }
}

/// Which packet carries what a configuration is about: the one that is sent along the path again
/// where a measurement is located.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Carrier {
    /// The first one: the SYN, or the first datagram.
    Opening,
    /// One with data, after the handshake: what marks or offers something there.
    Data,
}

/// One configuration of a measurement: a constant, by which its connection is asked for.
///
/// ```
/// use pathspider_plugin_api::{Carrier, Configuration, Hold};
///
/// const PLAIN: Configuration = Configuration::new(0, "no ecn").hold(Hold::Initiation);
/// const ECN: Configuration = Configuration::new(1, "ecn").hold(Hold::Initiation);
/// # assert_eq!((PLAIN.label(), ECN.carried_by()), ("no ecn", Carrier::Opening));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    id: ConfigId,
    label: Cow<'static, str>,
    hold: Hold,
    carrier: Carrier,
}

impl Configuration {
    /// The configuration at this place of the list, 0 for the baseline, with what a person calls it.
    ///
    /// It must hold until each of its connections has ended, and the first packet carries it.
    pub const fn new(place: usize, label: &'static str) -> Configuration {
        Configuration {
            id: ConfigId::new(place),
            label: Cow::Borrowed(label),
            hold: Hold::Completion,
            carrier: Carrier::Opening,
        }
    }

    /// Says how long it must hold.
    pub const fn hold(mut self, hold: Hold) -> Configuration {
        self.hold = hold;
        self
    }

    /// Says which packet carries it.
    pub const fn carrier(mut self, carrier: Carrier) -> Configuration {
        self.carrier = carrier;
        self
    }

    /// Calls it otherwise, where options decide what it is.
    pub fn labelled(mut self, label: String) -> Configuration {
        self.label = label.into();
        self
    }

    /// Its place.
    pub const fn id(&self) -> ConfigId {
        self.id
    }

    /// What a person calls it.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// How long it must hold.
    pub fn held(&self) -> Hold {
        self.hold
    }

    /// Which packet carries it.
    pub fn carried_by(&self) -> Carrier {
        self.carrier
    }
}

impl From<Configuration> for ConfigId {
    fn from(configuration: Configuration) -> ConfigId {
        configuration.id
    }
}

impl From<&Configuration> for ConfigId {
    fn from(configuration: &Configuration) -> ConfigId {
        configuration.id
    }
}

impl PartialEq<Configuration> for ConfigId {
    fn eq(&self, other: &Configuration) -> bool {
        *self == other.id
    }
}
