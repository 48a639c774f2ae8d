//! What a target says of the marks that data arrived with, by Accurate ECN or by ECN of RFC 3168.

use pathspider_plugin_api::chains::accecn::{self, Arrived};
use pathspider_plugin_api::conversation::tcp::EcnMode;
use pathspider_plugin_api::packet::TcpFlags;
use pathspider_plugin_api::packet::ecn::CE;
use pathspider_plugin_api::prelude::*;

use crate::{ACE, BLEACHED, CLASSIC, CONGESTED, COUNTERS, INTACT, REMARKED, SILENT};

/// What the ACE field begins at (RFC 9768, section 3.2.1).
const FIRST_ACE: u8 = 5;

/// What was fed back of a connection whose data were all acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Feedback {
    /// Octets by their mark, of data that left with the other one.
    Counters(Arrived, u8),
    /// Whether packets arrived with CE.
    Ace(bool),
    /// The same, once at least.
    Classic(bool),
    /// Nothing.
    None,
}

impl Feedback {
    /// That of a flow whose data left with this mark; `None` where the capture does not say.
    pub(crate) fn of(flow: Flow<'_>, sent: u8) -> Option<Feedback> {
        let mode = EcnMode::of_answer(flow.get(accecn::ANSWER)?);
        let ace = flow.get(accecn::ACE_BEFORE)?;
        Some(match mode {
            EcnMode::Accurate(_) => match Arrived::before_ce(flow) {
                Some(arrived) => Feedback::Counters(arrived, sent),
                // A field of zero was cleared on the way.
                None if ace == 0 => Feedback::None,
                None => Feedback::Ace(ace != FIRST_ACE),
            },
            EcnMode::Classic => Feedback::Classic(ace & TcpFlags::ECE.ace() != 0),
            EcnMode::None | EcnMode::Reflected => Feedback::None,
        })
    }

    /// What became of the marks.
    pub(crate) fn marked(self) -> Option<Condition> {
        let word = |mark: u8| accecn::MARKS[usize::from(mark & 3)];
        Some(match self {
            Feedback::Counters(arrived, sent) => match arrived.instead_of(sent) {
                None if arrived.has(CE) => CONGESTED,
                None => INTACT,
                Some(0) => BLEACHED,
                Some(mark) => REMARKED.with(word(mark)),
            },
            Feedback::Ace(true) | Feedback::Classic(true) => REMARKED.with(word(CE)),
            Feedback::Ace(false) | Feedback::Classic(false) | Feedback::None => return None,
        })
    }

    /// How the target feeds back.
    pub(crate) fn source(self) -> Condition {
        match self {
            Feedback::Counters(..) => COUNTERS,
            Feedback::Ace(_) => ACE,
            Feedback::Classic(_) => CLASSIC,
            Feedback::None => SILENT,
        }
    }
}
