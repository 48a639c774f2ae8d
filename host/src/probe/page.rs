//! What a probe found, by target and measurement, and what could not be measured.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use pathspider_plugin_api::{ConditionInfo, Info, Record, Value};
use pathspider_records::names;
use pathspider_runtime::exit::Exit;
use pathspider_runtime::text::visible;
use serde::Serialize;

use super::Host;
use super::finding::{Finding, Rounds, Verdict, was_answered};
use crate::locating::told;
use crate::trace::{Traced, found};

/// Characters of a text of others that are shown.
pub(super) const SHOWN: usize = 200;

/// All that was found so far.
pub(crate) struct Page {
    /// How often each measurement was asked for.
    rounds: u16,
    hosts: Vec<Host>,
    /// By the place of the target among all that were asked for, and its address.
    places: BTreeMap<(usize, String), Place>,
    measurements: Vec<Measurement>,
    troubles: Vec<Trouble>,
}

/// One address of a target.
#[derive(Default)]
struct Place {
    domain: Option<String>,
    /// By the place of the measurement.
    measured: BTreeMap<usize, Measured>,
}

struct Measured {
    /// How many rounds were asked for.
    asked: u16,
    rounds: Rounds,
    /// Of one that was found to be impaired: what a further round says of where.
    located: Option<Record>,
}

/// What is known of a measurement.
struct Measurement {
    name: String,
    /// What it measures, in a few words.
    title: String,
    conditions: Vec<ConditionInfo>,
}

/// Measurements that failed, all for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Trouble {
    pub(super) measurements: Vec<String>,
    pub(crate) why: String,
    /// How it ended.
    #[serde(skip)]
    pub(crate) exit: Exit,
}

/// What a page says, as `--json` writes it.
#[derive(Serialize)]
pub(super) struct Said {
    /// Whether it was stopped before all was measured.
    pub(super) stopped: bool,
    /// Whether anything is impaired.
    pub(super) impaired: bool,
    pub(super) targets: Vec<SaidTarget>,
    pub(super) not_measured: Vec<Trouble>,
}

/// Of one target, or one address of a name.
#[derive(Serialize)]
pub(super) struct SaidTarget {
    /// As it was asked for.
    pub(super) target: String,
    pub(super) domain: Option<String>,
    pub(super) dip: Option<String>,
    pub(super) measurements: Vec<SaidMeasurement>,
}

/// Of one measurement.
#[derive(Serialize)]
pub(super) struct SaidMeasurement {
    pub(super) plugin: String,
    pub(super) title: String,
    pub(super) verdict: Verdict,
    pub(super) rounds: usize,
    pub(super) conditions: Vec<Finding>,
    /// Of what is impaired: where on the path, in sentences.
    #[serde(rename = "where")]
    pub(super) place: Vec<String>,
    /// What each hop said, as in records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) location: Option<Value>,
    /// What to try next, in sentences.
    pub(super) next: Vec<String>,
    /// Why the measurement itself failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    /// The last record.
    #[serde(skip)]
    pub(super) last: Record,
}

impl Page {
    /// Nothing was measured yet.
    pub(crate) fn new(hosts: Vec<Host>, rounds: u16) -> Page {
        let (places, measurements, troubles) = Default::default();
        Page { rounds, hosts, places, measurements, troubles }
    }

    pub(crate) fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// How many rounds the next measurement of these targets has. If a target answered nothing in all
    /// rounds of a measurement, one round of each other measurement shows whether that one is different.
    pub(crate) fn rounds_of(&self, hosts: &[usize]) -> u16 {
        let is_silent = |place: &usize| self.hosts[*place].answers == Some(false);
        if hosts.iter().all(is_silent) { 1 } else { self.rounds }
    }

    /// Adds a record of a measurement with this many rounds. Gives whether its target is one that the user
    /// named.
    pub(crate) fn add(&mut self, info: &Info, asked: u16, record: Record) -> bool {
        let Some(at) = self.hosts.iter().position(|host| host.has(&record)) else { return false };
        let measurement = self.measurement(info);
        self.hosts[at].learn(&record, was_answered(&record));
        let shown = |key| record.str(key).map(|text| visible(text, SHOWN));
        let place = self.places.entry((at, shown("dip").unwrap_or_default())).or_default();
        place.domain = shown("domain").or(place.domain.take());
        let empty = || Measured { asked, rounds: Rounds::default(), located: None };
        place.measured.entry(measurement).or_insert_with(empty).rounds.add(record);
        true
    }

    /// Notes that a measurement of these targets came to its end. One that it has no record of is not
    /// asked for again.
    pub(crate) fn finish(&mut self, hosts: &[usize]) {
        for &at in hosts {
            let host = &mut self.hosts[at];
            host.is_lost |= host.answers.is_none();
        }
    }

    /// The lines of those of these targets for which a measurement found something impaired.
    pub(crate) fn impaired(&self, info: &Info, hosts: &[usize]) -> Vec<String> {
        let Some(at) = self.measurements.iter().position(|one| one.name == info.name) else {
            return Vec::new();
        };
        let conditions = &self.measurements[at].conditions;
        let is_impaired = |place: &Place| {
            let measured = place.measured.get(&at);
            measured.is_some_and(|Measured { asked, rounds, .. }| {
                rounds.verdict(&rounds.findings(conditions), (*asked).into()) == Verdict::Impaired
            })
        };
        let of_host = |host: &usize| {
            let places = self.places.range((*host, String::new())..(*host + 1, String::new()));
            let impaired = places.filter(|(_, place)| is_impaired(place));
            let lines = impaired.filter_map(|((_, dip), _)| self.hosts[*host].line_of(dip));
            lines.collect::<Vec<String>>()
        };
        hosts.iter().flat_map(of_host).collect()
    }

    /// Adds the record of a round that looked for where.
    pub(crate) fn add_location(&mut self, info: &Info, record: Record) {
        let at = self.hosts.iter().position(|host| host.has(&record));
        let dip = record.str("dip").map(|text| visible(text, SHOWN));
        let (Some(at), Some(dip)) = (at, dip) else { return };
        let measurement = self.measurement(info);
        let place = self.places.get_mut(&(at, dip));
        if let Some(measured) = place.and_then(|place| place.measured.get_mut(&measurement)) {
            measured.located = Some(record);
        }
    }

    /// Notes that a measurement failed.
    pub(crate) fn fail(&mut self, info: &Info, exit: Exit, why: String) {
        let name = visible(&info.name, SHOWN);
        let same = |one: &&mut Trouble| one.why == why && one.exit == exit;
        match self.troubles.iter_mut().find(same) {
            Some(trouble) if trouble.measurements.contains(&name) => {}
            Some(trouble) => trouble.measurements.push(name),
            None => self.troubles.push(Trouble { measurements: vec![name], why, exit }),
        }
    }

    /// The only reason why nothing was measured at all, where it is one.
    pub(crate) fn only_trouble(&self) -> Option<&Trouble> {
        match &self.troubles[..] {
            [only] if self.places.is_empty() => Some(only),
            _ => None,
        }
    }

    fn measurement(&mut self, info: &Info) -> usize {
        if let Some(at) = self.measurements.iter().position(|one| one.name == info.name) {
            return at;
        }
        let title = info.description.split(':').next().unwrap_or_default();
        let (name, title) = (visible(&info.name, SHOWN), visible(title, SHOWN));
        self.measurements.push(Measurement { name, title, conditions: info.conditions.clone() });
        self.measurements.len() - 1
    }

    /// What there is to say. `stopped`: whether not all was measured.
    pub(super) fn said(&self, stopped: bool) -> Said {
        let targets: Vec<SaidTarget> =
            self.hosts.iter().enumerate().flat_map(|(at, host)| self.of_host(at, host)).collect();
        let mut all = targets.iter().flat_map(|target| &target.measurements);
        let impaired = all.any(|one| one.verdict == Verdict::Impaired);
        Said { stopped, impaired, targets, not_measured: self.troubles.clone() }
    }

    /// What there is to say of each address of a target.
    fn of_host(&self, at: usize, host: &Host) -> Vec<SaidTarget> {
        let places = self.places.range((at, String::new())..(at + 1, String::new()));
        let mut said: Vec<SaidTarget> = places
            .map(|((_, dip), place)| SaidTarget {
                target: host.shown.clone(),
                domain: place.domain.clone(),
                dip: (!dip.is_empty()).then(|| dip.clone()),
                measurements: self.of_place(host, place),
            })
            .collect();
        if said.is_empty() {
            let (domain, dip, measurements) = Default::default();
            said.push(SaidTarget { target: host.shown.clone(), domain, dip, measurements });
        }
        said
    }

    fn of_place(&self, host: &Host, place: &Place) -> Vec<SaidMeasurement> {
        let of = |(&at, measured): (&usize, &Measured)| {
            let Measurement { name, title, conditions } = &self.measurements[at];
            let Measured { asked, rounds, located } = measured;
            let findings = rounds.findings(conditions);
            let verdict = rounds.verdict(&findings, (*asked).into());
            SaidMeasurement {
                plugin: name.clone(),
                title: title.clone(),
                verdict,
                rounds: rounds.count(),
                place: located.as_ref().map(places).unwrap_or_default(),
                location: located.as_ref().and_then(|record| record.get(names::LOCATION).cloned()),
                next: next(host, name, verdict, &findings, &rounds.last),
                conditions: findings,
                error: rounds.error.clone(),
                last: rounds.last.clone(),
            }
        };
        place.measured.iter().map(of).collect()
    }

    /// The exit status. `stopped`: whether not all was measured.
    pub(crate) fn exit(&self, stopped: bool) -> Exit {
        let said = self.said(stopped);
        let has_verdict = |target: &SaidTarget| {
            let mut all = target.measurements.iter();
            all.any(|one| matches!(one.verdict, Verdict::Good | Verdict::Impaired))
        };
        match said {
            Said { stopped: true, .. } => Exit::Stopped,
            Said { impaired: true, .. } => Exit::Impaired,
            _ if said.not_measured.is_empty() && said.targets.iter().all(has_verdict) => {
                Exit::Finished
            }
            _ => Exit::FinishedWithErrors,
        }
    }
}

/// Where packets are harmed, a sentence each.
fn places(record: &Record) -> Vec<String> {
    let located = told(record);
    if located.is_empty() {
        return vec!["It was not impaired any more when the path was searched for where.".into()];
    }
    let target = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let mut said: Vec<String> = Vec::new();
    let mut unknown: Vec<String> = Vec::new();
    for one in located {
        let not_known = one.location.unknown.iter().map(|what| format!("Not known: {what}."));
        unknown.extend(not_known);
        for sentence in found(&Traced::of_record(target, one, false)) {
            if !said.contains(&sentence) {
                said.push(sentence);
            }
        }
    }
    if said.is_empty() {
        unknown.dedup();
        said = unknown;
    }
    if said.is_empty() {
        said.push("This time its packets came to the target as they were sent.".to_owned());
    }
    said
}

/// What to try next.
fn next(
    host: &Host,
    plugin: &str,
    verdict: Verdict,
    findings: &[Finding],
    last: &Record,
) -> Vec<String> {
    let shown = &host.shown;
    let has = |end: &str| findings.iter().any(|one| one.conditions[0].ends_with(end));
    let differs = findings.iter().any(|one| one.rounds < one.of);
    let sentence = match verdict {
        Verdict::Good | Verdict::NotApplicable => return Vec::new(),
        Verdict::Impaired => format!(
            "`pathspider trace --with {plugin} {shown}` shows each hop; `pathspider {plugin} {shown}` \
             shows both connections again; measured from another network, a fault that stays is near \
             the target"
        ),
        Verdict::Unknown if differs => format!(
            "`pathspider probe --rounds 10 {shown}` shows how often: the path loses packets, or has \
             several branches"
        ),
        Verdict::Unknown if has(".offline") => {
            let port = last.u64("dp").map(|port| format!(" on port {port}")).unwrap_or_default();
            format!(
                "does anything listen there{port}? `pathspider probe HOST:PORT` asks for another \
                 service"
            )
        }
        Verdict::Unknown => format!("`pathspider {plugin} {shown}` shows each connection"),
    };
    vec![sentence]
}
