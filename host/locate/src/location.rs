//! What was found of one configuration on one path, and how conditions say it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use pathspider_plugin_api::Class;

use crate::field::{Field, NotRead, Reading, Shown};
use crate::{Shape, Side, Time};

/// One hop, or the range that it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The first that it may be.
    pub first: u8,
    /// The last that it may be.
    pub last: u8,
}

impl Span {
    /// The hop after the last one that is known to be well, up to the first that is not.
    pub(crate) fn after(well: u8, harmed: u8) -> Span {
        Span { first: well + 1, last: harmed }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

impl FromStr for Span {
    type Err = NotRead;

    fn from_str(text: &str) -> Result<Span, NotRead> {
        let hop = |text: &str| text.parse().map_err(|_| NotRead);
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Ok(Span { first: hop(first)?, last: hop(last)? })
    }
}

/// What can be said of where, in the words of conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// A field came to the last of these hops with another value, and not to those before.
    Changed {
        /// Which.
        field: Field,
        /// Where.
        hop: Span,
        /// What it was before.
        from: Reading,
        /// What it was then.
        to: Reading,
    },
    /// Plain packets came to the last of these hops and marked ones did not.
    Dropped(Span),
    /// Marked packets with this many hops to live were refused, and plain ones were not.
    Rejected(Span),
    /// Up to this hop nothing is wrong, and nobody beyond it quotes.
    Beyond(u8),
    /// Flows of the same ends, or packets of one flow, fare differently.
    SomePaths,
    /// What was found before did not come again.
    NotReproduced,
    /// Routers quote too little to show what distinguishes the marked packet.
    Unquoted,
}

impl Finding {
    /// Every kind, as conditions declare it: the words after `location.`, the class, the meaning.
    pub const DECLARED: [(&str, Class, &str); 7] = [
        (
            "changed:<field>:<hop>",
            Class::Impaired,
            "the field was changed on the way to this hop, or to a hop of this range",
        ),
        (
            "dropped:<hop>",
            Class::Impaired,
            "packets of the experiment were lost on the way to this hop, or to a hop of this range; \
             packets of the baseline came there",
        ),
        (
            "rejected:<hop>",
            Class::Impaired,
            "packets of the experiment with this many hops to live were refused, and packets of the \
             baseline were not",
        ),
        (
            "beyond:<hop>",
            Class::Unknown,
            "packets came unharmed to this hop, and no router behind it shows more",
        ),
        (
            "some_paths",
            Class::Unknown,
            "flows to the target, or packets of one flow, fare differently",
        ),
        (
            "not_reproduced",
            Class::Unknown,
            "the search found no harm: what the measurement saw did not come again",
        ),
        ("unquoted", Class::Unknown, "routers quote too little to show the difference"),
    ];

    /// The words after `location.`.
    pub fn words(&self) -> String {
        match self {
            Finding::Changed { field, hop, .. } => format!("changed:{field}:{hop}"),
            Finding::Dropped(hop) => format!("dropped:{hop}"),
            Finding::Rejected(hop) => format!("rejected:{hop}"),
            Finding::Beyond(hop) => format!("beyond:{hop}"),
            Finding::SomePaths => "some_paths".to_owned(),
            Finding::NotReproduced => "not_reproduced".to_owned(),
            Finding::Unquoted => "unquoted".to_owned(),
        }
    }
}

/// What became of one side's packets at a hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// None was sent with this many hops to live.
    Unasked,
    /// Nothing came back.
    Silent,
    /// A router said that it came there.
    Seen {
        /// Who.
        from: IpAddr,
        /// After how long.
        after: Time,
        /// What it quotes.
        shown: Box<Shown>,
    },
    /// The target answered.
    Answered {
        /// After how long.
        after: Time,
    },
    /// It was refused.
    Refused {
        /// Who, as the packet says.
        from: IpAddr,
        /// ICMP's type and code; `None` for a reset.
        icmp: Option<(u8, u8)>,
        /// After how long.
        after: Time,
    },
}

/// What was seen at a hop, of the flow that was looked at first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HopSeen {
    /// Which, counted from 1.
    pub hop: u8,
    /// Of the plain packet.
    pub plain: Fate,
    /// Of the marked packet.
    pub marked: Fate,
}

impl HopSeen {
    /// What became of a side's packets here.
    pub fn fate(&self, side: Side) -> &Fate {
        match side {
            Side::Plain => &self.plain,
            Side::Marked => &self.marked,
        }
    }

    /// After how long the first answer came: a router's, else the target's or whoever refused.
    pub fn after(&self) -> Option<Time> {
        let of_others = || {
            [&self.plain, &self.marked].into_iter().find_map(|fate| match fate {
                Fate::Answered { after } | Fate::Refused { after, .. } => Some(*after),
                _ => None,
            })
        };
        self.router().map(|(_, after)| after).or_else(of_others)
    }

    /// Who answers here, and after how long.
    pub fn router(&self) -> Option<(IpAddr, Time)> {
        [&self.plain, &self.marked].into_iter().find_map(|fate| match fate {
            Fate::Seen { from, after, .. } => Some((*from, *after)),
            _ => None,
        })
    }
}

/// Where on a path a packet fares worse than another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// Whether every hop was asked, or only those that decide.
    pub shape: Shape,
    /// What was found. Empty where all that was seen is well.
    pub findings: Vec<Finding>,
    /// Fields that are changed for plain and marked packets alike, which explains nothing.
    pub alike: Vec<(Field, u8)>,
    /// The hops that were asked, in their order.
    pub hops: Vec<HopSeen>,
    /// The last hop that a marked packet is known to have come to as it was sent.
    pub last_well: Option<u8>,
    /// The hop at which the target answered, where that was seen.
    pub target_at: Option<u8>,
    /// The deepest hop that quoted the marked packet.
    pub quoted_to: Option<u8>,
    /// What could not be known, and why.
    pub unknown: Vec<String>,
    /// Packets that were sent, those that make and end connections among them.
    pub sent: u32,
    /// Of these, probes that came to the target, or may have.
    pub at_target: u32,
    /// Flows, by their source ports, that agree with the first one.
    pub flows: u8,
    /// How long it took.
    pub took: Time,
}
