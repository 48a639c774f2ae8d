//! The lists of options, octet by octet.

use std::fmt::Write;

use pathspider_plugin_api::packet::tcp_option::{
    self, MSS_LENGTH, NOP, SACK_PERMITTED, SACK_PERMITTED_LENGTH,
};

pathspider_plugin_api::variants! {
    /// Which segments of ours have the options.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Place {
        /// The SYN.
        Syn,
        /// Segments with data.
        Data,
    }
}

impl Place {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Place::Syn => "syn",
            Place::Data => "data",
        }
    }
}

pathspider_plugin_api::variants! {
    /// What is unusual about a list.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Form {
        /// An option of one of the two kinds for experiments (RFC 4727, RFC 6994).
        Exp253,
        Exp254,
        /// One such option that fills the header.
        Long,
        /// The usual ones, behind so many NOPs that they fill the header.
        Sled,
    }
}

impl Form {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Form::Exp253 => "exp253",
            Form::Exp254 => "exp254",
            Form::Long => "long",
            Form::Sled => "sled",
        }
    }
}

/// Octets of options that a header has at most.
pub(crate) const MOST: usize = tcp_option::ROOM;

/// The kinds for experiments.
pub(crate) const KINDS: [u8; 2] = tcp_option::EXPERIMENTS;
/// The experiment (RFC 6994, section 3): nobody's.
pub(crate) const EXPERIMENT: [u8; 2] = [0x70, 0x73];

/// What an ordinary SYN has: an MSS that all paths carry, and SACK.
const USUAL: [u8; 6] =
    [tcp_option::MSS, MSS_LENGTH, 0x04, 0xc4, SACK_PERMITTED, SACK_PERMITTED_LENGTH];

/// The options in a place; without a form, those of the baseline, which are as long as one short option.
pub(crate) fn list(place: Place, form: Option<Form>) -> Vec<u8> {
    let usual: &[u8] = if place == Place::Syn { &USUAL } else { &[] };
    if form == Some(Form::Sled) {
        // On data there is nothing usual: an option nobody knows takes its place.
        let last = if place == Place::Syn { usual.to_vec() } else { experiment(KINDS[0], 4) };
        let mut list = vec![NOP; MOST - last.len()];
        list.extend(last);
        return list;
    }
    let mut list = usual.to_vec();
    list.resize(usual.len().next_multiple_of(4), NOP);
    list.extend(match form {
        Some(Form::Exp253) => experiment(KINDS[0], 4),
        Some(Form::Exp254) => experiment(KINDS[1], 4),
        Some(Form::Long) => experiment(KINDS[0], MOST - list.len()),
        _ => vec![NOP; 4],
    });
    list
}

/// An option for experiments that has this many octets.
fn experiment(kind: u8, octets: usize) -> Vec<u8> {
    let mut option = vec![kind, octets as u8];
    option.extend(EXPERIMENT);
    option.resize(octets, 0);
    option
}

/// Octets in hexadecimal.
pub(crate) fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().fold(String::with_capacity(octets.len() * 2), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}
