//! What a trace found, as a table: what packets of each feature were at each hop.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use pathspider_locate::location::Fate;
use pathspider_locate::{Change, Field, Finding, HopSeen, Location, Side};
use pathspider_plugin_api::Carrier;
use serde::{Serialize, Serializer};

use super::features::Feature;
use crate::locating::Told;

/// What distinguishes the packets of a column from plain ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mark {
    /// A feature of a SYN.
    Feature(Feature),
    /// What a measurement's configuration sends otherwise than its baseline, by this name.
    Measured(String),
}

impl Mark {
    /// Whether a field of a packet is this one's.
    fn has(&self, field: Field) -> bool {
        match self {
            Mark::Feature(feature) => feature.has(field),
            Mark::Measured(_) => !field.is_of_translation(),
        }
    }

    /// Whether a quote that hides these fields hides it.
    fn is_hidden(&self, hidden: &[Field]) -> bool {
        match self {
            Mark::Feature(feature) => feature.is_hidden(hidden),
            Mark::Measured(_) => false,
        }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mark::Feature(feature) => feature.fmt(f),
            Mark::Measured(name) => f.write_str(name),
        }
    }
}

impl Serialize for Mark {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What was found on the path to one target.
pub(crate) struct Traced {
    pub(crate) target: SocketAddr,
    pub(crate) marks: Vec<Mark>,
    pub(super) courses: Vec<Course>,
}

/// One search.
pub(super) struct Course {
    pub(super) marks: Vec<Mark>,
    /// Whether packets with the marks came to the target.
    pub(super) arrives: bool,
    pub(super) location: Location,
}

/// A hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) hop: u8,
    pub(super) router: Option<IpAddr>,
    pub(super) after: Option<Duration>,
    pub(super) plain: Cell,
    /// By the place of the mark.
    pub(super) cells: Vec<Cell>,
}

/// What packets of one kind were at a hop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "was", content = "what")]
pub(super) enum Cell {
    /// None was sent with this many hops to live.
    NotSent,
    /// No answer came.
    Silent,
    /// As they were sent.
    Unchanged,
    /// The router quotes too little to show it.
    NotQuoted,
    /// Something else, field by field.
    Changed(Vec<String>),
    /// They came to the target, and it answered.
    Answered,
    /// They were refused: by a reset, or with this type and code of ICMP.
    Refused(String),
}

impl Course {
    /// Whether the target answered the plain packet.
    pub(super) fn is_answered(&self) -> bool {
        let location = &self.location;
        location.target_at.is_some()
            || location.hops.iter().any(|hop| matches!(hop.plain, Fate::Answered { .. }))
    }
}

impl Traced {
    pub(super) fn new(target: SocketAddr, features: &[Feature]) -> Traced {
        let marks = features.iter().copied().map(Mark::Feature).collect();
        Traced { target, marks, courses: Vec::new() }
    }

    /// What a record says of one of its configurations, and whether that configuration's packets came to
    /// the target.
    pub(crate) fn of_record(target: SocketAddr, told: Told, arrives: bool) -> Traced {
        let Told { aspect, carrier, location, .. } = told;
        let name = match carrier {
            Carrier::Data => format!("{aspect} on data"),
            _ => aspect,
        };
        let marks = vec![Mark::Measured(name)];
        let course = Course { marks: marks.clone(), arrives, location };
        Traced { target, marks, courses: vec![course] }
    }

    /// The addresses of its routers.
    pub(crate) fn routers(&self) -> Vec<IpAddr> {
        let mut routers: Vec<IpAddr> = self.rows().iter().filter_map(|row| row.router).collect();
        routers.sort_unstable();
        routers.dedup();
        routers
    }

    /// The sum over all searches.
    pub(super) fn sum(&self, of: impl Fn(&Course) -> u32) -> u32 {
        self.courses.iter().map(of).sum()
    }

    /// How long all searches took.
    pub(super) fn seconds(&self) -> f64 {
        self.courses.iter().map(|course| course.location.took.as_secs_f64()).sum()
    }

    /// The search that tells most of a mark: the last one that has it.
    fn of(&self, mark: &Mark) -> Option<&Course> {
        self.courses.iter().rfind(|course| course.marks.contains(mark))
    }

    /// The hops, from the nearest on.
    pub(super) fn rows(&self) -> Vec<Row> {
        let hops = || self.courses.iter().flat_map(|course| &course.location.hops);
        let most = hops().map(|seen| seen.hop).max().unwrap_or(0);
        let mut rows: Vec<Row> = (1..=most).map(|hop| self.row(hop)).collect();
        // Behind the target there is nothing, and behind the last router only what was tried.
        let is_end =
            |row: &Row| row.plain == Cell::Answered || row.router == Some(self.target.ip());
        if let Some(end) = rows.iter().position(is_end) {
            rows.truncate(end + 1);
        }
        rows
    }

    fn row(&self, hop: u8) -> Row {
        let seen = |course: &'_ Course| -> Option<HopSeen> {
            course.location.hops.iter().find(|seen| seen.hop == hop).cloned()
        };
        let all: Vec<HopSeen> = self.courses.iter().filter_map(seen).collect();
        let fates = || all.iter().flat_map(|seen| [&seen.plain, &seen.marked]);
        let router = fates().find_map(|fate| match fate {
            Fate::Seen { from, after, .. } | Fate::Refused { from, after, .. } => {
                Some((*from, *after))
            }
            Fate::Answered { after } => Some((self.target.ip(), *after)),
            Fate::Unasked | Fate::Silent => None,
        });
        let plain = all.first().map_or(Cell::NotSent, |seen| cell(&seen.plain, None));
        let cells = self.marks.iter().map(|mark| {
            let seen = self.of(mark).and_then(seen);
            seen.map_or(Cell::NotSent, |seen| cell(seen.fate(Side::Marked), Some(mark)))
        });
        let cells = cells.collect();
        Row {
            hop,
            router: router.map(|(from, _)| from),
            after: router.map(|(_, t)| t),
            plain,
            cells,
        }
    }

    /// What was found, with the marks that it is about: those of the packet that was sent, or of the
    /// field that is changed.
    pub(super) fn findings(&self) -> Vec<(Vec<Mark>, &Finding)> {
        let mut found: Vec<(Vec<Mark>, &Finding)> = Vec::new();
        for course in &self.courses {
            // Where each mark was looked at by itself, what was found of all says less.
            let is_superseded = course.marks.len() > 1 && self.courses.len() > 1;
            for finding in &course.location.findings {
                let about: Vec<Mark> = match finding {
                    Finding::Changed { field, .. } => {
                        course.marks.iter().filter(|mark| mark.has(*field)).cloned().collect()
                    }
                    Finding::NotReproduced => continue,
                    _ if is_superseded => continue,
                    _ => course.marks.clone(),
                };
                if !found.iter().any(|(_, other)| *other == finding) {
                    found.push((about, finding));
                }
            }
        }
        found
    }

    /// Whether anything is changed, dropped or refused.
    pub(crate) fn is_impaired(&self) -> bool {
        let harms = |finding: &Finding| {
            matches!(finding, Finding::Changed { .. } | Finding::Dropped(_) | Finding::Rejected(_))
        };
        self.findings().iter().any(|(_, finding)| harms(finding))
    }

    /// Whether packets of all marks came to the target.
    pub(crate) fn has_arrived(&self) -> bool {
        self.marks.iter().all(|mark| self.of(mark).is_some_and(|course| course.arrives))
    }

    /// Whether the target answered anything.
    pub(super) fn is_answered(&self) -> bool {
        self.courses.iter().any(|course| course.arrives || course.is_answered())
    }

    /// Whether the target answered packets of the measurement alone, and no copy of the search.
    pub(super) fn is_answered_before(&self) -> bool {
        let is_marked_answered =
            |seen: &HopSeen| matches!(seen.marked, Fate::Answered { .. } | Fate::Refused { .. });
        self.courses.iter().all(|course| {
            let is_measured = course.marks.iter().all(|mark| matches!(mark, Mark::Measured(_)));
            let hops = &course.location.hops;
            is_measured && !course.is_answered() && !hops.iter().any(is_marked_answered)
        })
    }

    /// The marks that a router, at least one, quotes too little to show.
    pub(super) fn hidden(&self) -> Vec<Mark> {
        let rows = self.rows();
        let is_hidden = |place: usize| rows.iter().any(|row| row.cells[place] == Cell::NotQuoted);
        let marks = self.marks.iter().enumerate();
        marks.filter(|(place, _)| is_hidden(*place)).map(|(_, mark)| mark.clone()).collect()
    }

    /// Whether any router said anything.
    pub(super) fn has_routers(&self) -> bool {
        let hops = self.courses.iter().flat_map(|course| &course.location.hops);
        hops.map(|seen| [&seen.plain, &seen.marked])
            .any(|fates| fates.iter().any(|fate| matches!(fate, Fate::Seen { .. })))
    }
}

/// What packets were by their fate, as far as a mark is concerned; of the plain ones, which have none,
/// anything that is changed.
fn cell(fate: &Fate, mark: Option<&Mark>) -> Cell {
    let is_ours = |field: Field| mark.is_none_or(|mark| mark.has(field));
    match fate {
        Fate::Unasked => Cell::NotSent,
        Fate::Silent => Cell::Silent,
        Fate::Answered { .. } => Cell::Answered,
        Fate::Refused { icmp: None, .. } => Cell::Refused("reset".to_owned()),
        Fate::Refused { icmp: Some((kind, code)), .. } => {
            Cell::Refused(format!("ICMP {kind}/{code}"))
        }
        Fate::Seen { shown, .. } => {
            let ours =
                |change: &&Change| is_ours(change.field) && !change.field.is_of_translation();
            let changes: Vec<String> = shown.changes.iter().filter(ours).map(change).collect();
            if !changes.is_empty() {
                Cell::Changed(changes)
            } else if mark.is_some_and(|mark| mark.is_hidden(&shown.hidden)) {
                Cell::NotQuoted
            } else {
                Cell::Unchanged
            }
        }
    }
}

/// `ecn 2→0`.
fn change(change: &Change) -> String {
    format!("{} {}→{}", change.field, change.sent, change.seen)
}
