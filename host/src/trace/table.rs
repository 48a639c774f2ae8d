//! What a trace found, as a table: what packets of each feature were at each hop.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use pathspider_locate::location::Fate;
use pathspider_locate::{Change, Field, Finding, HopSeen, Location, Side};
use serde::Serialize;

use super::features::Feature;

/// What was found on the path to one target.
pub(crate) struct Traced {
    pub(crate) target: SocketAddr,
    pub(crate) features: Vec<Feature>,
    pub(super) courses: Vec<Course>,
}

/// One search.
pub(super) struct Course {
    pub(super) features: Vec<Feature>,
    /// Whether packets with the features came to the target.
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
    /// By the place of the feature.
    pub(super) cells: Vec<Cell>,
}

/// What packets of one kind were at a hop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "was", content = "what")]
pub(super) enum Cell {
    /// None was sent with so many hops to live.
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
    pub(super) fn new(target: SocketAddr, features: Vec<Feature>) -> Traced {
        Traced { target, features, courses: Vec::new() }
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

    /// The search that tells most of a feature: the last one that has it.
    fn of(&self, feature: Feature) -> Option<&Course> {
        self.courses.iter().rfind(|course| course.features.contains(&feature))
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
        let cells = self.features.iter().map(|feature| {
            let seen = self.of(*feature).and_then(seen);
            seen.map_or(Cell::NotSent, |seen| cell(seen.fate(Side::Marked), Some(*feature)))
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

    /// What was found, with the features that it is about: those of the packet that was sent, or of the
    /// field that is changed.
    pub(super) fn findings(&self) -> Vec<(Vec<Feature>, &Finding)> {
        let mut found: Vec<(Vec<Feature>, &Finding)> = Vec::new();
        for course in &self.courses {
            // Where each feature was looked at by itself, what was found of all says less.
            let is_superseded = course.features.len() > 1 && self.courses.len() > 1;
            for finding in &course.location.findings {
                let about: Vec<Feature> = match finding {
                    Finding::Changed { field, .. } => {
                        let of = course.features.iter().filter(|feature| feature.has(*field));
                        of.copied().collect()
                    }
                    Finding::NotReproduced => continue,
                    _ if is_superseded => continue,
                    _ => course.features.clone(),
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

    /// Whether packets of all features came to the target.
    pub(crate) fn has_arrived(&self) -> bool {
        self.features.iter().all(|feature| self.of(*feature).is_some_and(|course| course.arrives))
    }

    /// Whether the target answered anything.
    pub(super) fn is_answered(&self) -> bool {
        self.courses.iter().any(|course| course.arrives || course.is_answered())
    }

    /// The features that a router, at least one, quotes too little to show.
    pub(super) fn hidden(&self) -> Vec<Feature> {
        let rows = self.rows();
        let is_hidden = |place: usize| rows.iter().any(|row| row.cells[place] == Cell::NotQuoted);
        let features = self.features.iter().enumerate();
        features.filter(|(place, _)| is_hidden(*place)).map(|(_, feature)| *feature).collect()
    }

    /// Whether any router said anything.
    pub(super) fn has_routers(&self) -> bool {
        let hops = self.courses.iter().flat_map(|course| &course.location.hops);
        hops.map(|seen| [&seen.plain, &seen.marked])
            .any(|fates| fates.iter().any(|fate| matches!(fate, Fate::Seen { .. })))
    }
}

/// What packets were by their fate, as far as a feature is concerned; of the plain ones, which have none,
/// anything that is changed.
fn cell(fate: &Fate, feature: Option<Feature>) -> Cell {
    let is_ours = |field: Field| feature.is_none_or(|feature| feature.has(field));
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
            match changes.is_empty() {
                false => Cell::Changed(changes),
                true if feature.is_some_and(|feature| feature.is_hidden(&shown.hidden)) => {
                    Cell::NotQuoted
                }
                true => Cell::Unchanged,
            }
        }
    }
}

/// `ecn 2→0`.
fn change(change: &Change) -> String {
    format!("{} {}→{}", change.field, change.sent, change.seen)
}
