//! The arguments that decide for which targets the program searches where the path harms packets.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, ValueEnum};
use pathspider_locate::{Settings, Shape};

use super::targets::{rate, time};
use crate::locating::{Locating, When};

/// Octets of a packet that a copy needs: more than any path carries.
const SNAPLEN: u32 = 2_048;

/// What the option means without a word.
const ALONE: &str = "broken";

const OPTION: &str = "--locate";

/// The words with the option's own where it stands alone, so that what follows it is not taken for it.
pub(super) fn spelled_out(words: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut words = words.into_iter().peekable();
    let mut spelled = Vec::new();
    while let Some(word) = words.next() {
        let is_said =
            |next: &OsString| next.to_str().is_some_and(|next| When::from_str(next, false).is_ok());
        if word == OPTION && !words.peek().is_some_and(is_said) {
            spelled.push(format!("{OPTION}={ALONE}").into())
        } else {
            spelled.push(word)
        }
    }
    spelled
}

/// Whether it stands alone among these options, as [`spelled_out`] writes it.
pub(super) fn is_alone(options: &[OsString]) -> bool {
    options.iter().any(|option| *option == *format!("{OPTION}={ALONE}"))
}

/// What is wrong with a word that stands where the option has its own.
pub(super) fn no_when(word: &str) -> String {
    let words: Vec<String> = When::value_variants()
        .iter()
        .filter_map(|when| Some(when.to_possible_value()?.get_name().to_owned()))
        .collect();
    format!(
        "{word:?} is no plugin, and no value of {OPTION}, which takes {}; see pathspider help measure",
        words.join(", ")
    )
}

/// Where on the path.
#[derive(Debug, Args)]
#[command(next_help_heading = "Where on the path")]
pub(super) struct LocatingOptions {
    /// Find where on the path packets are changed, dropped or refused, by copies of them with few hops to
    /// live. WHEN names the targets: those whose connectivity is impaired (broken, the default), those
    /// with any impaired condition (changed), or all (always)
    #[arg(long, value_name = "WHEN", value_enum, num_args = 0..=1, default_missing_value = ALONE)]
    locate: Option<When>,

    /// Search the paths of at most N targets
    #[arg(long, value_name = "N", default_value_t = 1000,
          value_parser = clap::value_parser!(u64).range(1..))]
    locate_max: u64,

    /// Send at most N packets a second for --locate. A single router is asked once a second in the long
    /// run, whatever N is
    #[arg(long, value_name = "N", default_value_t = 100.0, value_parser = rate)]
    locate_rate: f64,

    /// Ask every hop up to the target, instead of only the hops that decide
    #[arg(long)]
    locate_every_hop: bool,

    /// End a search after this time with what it knows. Time that it waits for its turn at a router is
    /// not counted
    #[arg(long, value_name = "TIME", default_value = "120", value_parser = time)]
    locate_time: Duration,
}

impl LocatingOptions {
    /// What is asked; nothing unless it is.
    pub(super) fn locating(&self) -> Option<Locating> {
        let (most, rate) = (self.locate_max, self.locate_rate);
        let shape = if self.locate_every_hop { Shape::Every } else { Shape::Halves };
        let settings = Settings { shape, longest: self.locate_time, ..Settings::default() };
        self.locate.map(|when| Locating { when, most, rate, settings })
    }

    /// Octets that are captured of each packet at the least.
    pub(super) fn least_snaplen(&self) -> u32 {
        if self.locate.is_some() { SNAPLEN } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alone_it_takes_nothing_of_what_follows() {
        let spelled = |words: &[&str]| {
            let words = spelled_out(words.iter().map(OsString::from));
            words
                .iter()
                .map(|word| word.to_string_lossy().into_owned())
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(spelled(&["measure", "--locate", "ecn"]), "measure --locate=broken ecn");
        assert_eq!(spelled(&["measure", "ecn", "--locate"]), "measure ecn --locate=broken");
        assert_eq!(spelled(&["--locate", "always", "ecn"]), "--locate always ecn");
        assert_eq!(spelled(&["--locate=changed", "ecn"]), "--locate=changed ecn");
    }
}
