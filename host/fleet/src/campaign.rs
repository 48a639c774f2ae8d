//! What a campaign's file says. A file of another version, with an unknown key, or with a value that
//! makes no sense is refused, with its line. Nothing is run here, and no folder is known.

mod file;
mod lines;
mod measure;
mod time;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Serialize;

pub(crate) use file::is_name;
pub(crate) use measure::Measure;
pub(crate) use time::Time;

/// The version of campaigns' files that this program reads.
pub(crate) const VERSION: i64 = 1;

/// What is to be measured, how often, and how fast.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Campaign {
    /// Its name: letters, digits, `_` and `-`.
    pub(crate) name: String,
    /// The files of targets.
    pub(crate) targets: Vec<PathBuf>,
    /// The measurements, in their order.
    pub(crate) measures: Vec<Measure>,
    /// Whether names are looked up.
    pub(crate) resolve: bool,
    /// What is said of each record.
    pub(crate) tags: BTreeMap<String, String>,
    /// The pauses and limits, which may change while the campaign goes on.
    pub(crate) courtesy: Courtesy,
    /// When it is measured.
    pub(crate) schedule: Schedule,
    /// The places that measure it, by their names; none: every one whose agent is there.
    pub(crate) vantages: Vec<String>,
    /// Whose records they are.
    pub(crate) owner: Option<String>,
    /// Whom to ask about the connections.
    pub(crate) contact: Option<String>,
}

/// How fast connections begin, and to whom none does.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Courtesy {
    /// Connections a second at the most.
    pub(crate) rate: Option<f64>,
    /// Connections a second to one address at the most.
    pub(crate) per_target_rate: Option<f64>,
    /// The time between connections to one prefix.
    pub(crate) prefix_spacing: Option<Time>,
    /// Targets at the same time.
    pub(crate) workers: Option<u32>,
    /// The files of addresses and prefixes that are never measured.
    pub(crate) blocklists: Vec<PathBuf>,
    /// Whether special-purpose addresses are measured.
    pub(crate) allow_special: bool,
}

/// When a campaign is measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Schedule {
    /// From the begin of one time to the begin of the next one; `None` for once.
    pub(crate) every: Option<Time>,
    /// No time begins after this.
    #[serde(serialize_with = "time::rfc3339")]
    pub(crate) until: Option<SystemTime>,
    /// How many times at the most.
    pub(crate) times: Option<u32>,
}

/// What is wrong with a campaign's file, and where.
#[derive(Debug, PartialEq)]
pub(crate) struct Wrong {
    /// The line, from 1, where it has one.
    pub(crate) line: Option<usize>,
    pub(crate) reason: String,
}

impl Campaign {
    /// Reads the text of a file. Files that it names are beside it, in `folder`.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(crate) fn parse(text: &str, folder: &Path) -> Result<Campaign, Wrong> {
        file::parse(text, folder)
    }

    /// What decides what the records mean: two campaigns that differ in one of these do not belong into
    /// one folder. Each key with its value.
    pub(crate) fn recipe(&self) -> serde_json::Result<BTreeMap<&'static str, serde_json::Value>> {
        // Each by its name, so that a new one is not forgotten here.
        let Campaign {
            name,
            targets,
            measures,
            resolve,
            tags,
            // How fast it goes, whom it leaves out, and who measures.
            courtesy: _,
            vantages: _,
            schedule: Schedule { every, until: _, times: _ },
            // For people.
            owner: _,
            contact: _,
        } = self;
        Ok(BTreeMap::from([
            ("name", serde_json::to_value(name)?),
            ("targets", serde_json::to_value(targets)?),
            ("measure", serde_json::to_value(measures)?),
            ("resolve", serde_json::to_value(resolve)?),
            ("tags", serde_json::to_value(tags)?),
            ("schedule.every", serde_json::to_value(every)?),
        ]))
    }
}

impl Schedule {
    /// How long after its begin a time of the campaign begins, counted from 0; `None` where there is no
    /// such time.
    pub(crate) fn begin(&self, time: u32, first: SystemTime) -> Option<SystemTime> {
        let every = match self.every {
            Some(Time(every)) => every,
            None if time == 0 => Duration::ZERO,
            None => return None,
        };
        if self.times.is_some_and(|times| time >= times) {
            return None;
        }
        let begin = first.checked_add(every.checked_mul(time)?)?;
        // The first one is what was asked for now.
        match self.until {
            Some(until) if time > 0 && begin > until => None,
            _ => Some(begin),
        }
    }

    /// How many times there are; `None` where there is no end.
    pub(crate) fn count(&self, first: SystemTime) -> Option<u64> {
        if self.every.is_some() && self.until.is_none() && self.times.is_none() {
            return None;
        }
        let of_until = self.every.zip(self.until).map(|(Time(every), until)| {
            let after = until.duration_since(first).unwrap_or_default();
            (after.as_nanos() / every.as_nanos().max(1)) as u64 + 1
        });
        match self.every {
            None => Some(1),
            Some(_) => of_until.into_iter().chain(self.times.map(u64::from)).min(),
        }
    }
}
