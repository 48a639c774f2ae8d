//! What a trace found, for people: a table and sentences. And for programs.

use std::collections::HashMap;
use std::fmt::Write;
use std::net::IpAddr;

use pathspider_asn::Databases;
use pathspider_locate::{Field, Finding, Reading, Span};
use pathspider_runtime::text::{of, visible};
use serde::Serialize;

use super::table::{Cell, Mark, Row, Traced};

/// Characters of a text of others that are shown.
const SHOWN: usize = 120;

/// Whether what is to be seen is shown in colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colours {
    Plain,
    Terminal,
}

/// What is known of addresses beside what was found.
#[derive(Default)]
pub(crate) struct Surroundings {
    pub(crate) networks: Databases,
    pub(crate) names: HashMap<IpAddr, String>,
}

impl Surroundings {
    fn asn(&self, address: IpAddr) -> Option<u32> {
        self.networks.find(address).asn
    }

    fn router(&self, address: IpAddr) -> String {
        let mut text = match self.names.get(&address) {
            Some(name) => format!("{} ({address})", visible(name, SHOWN)),
            None => address.to_string(),
        };
        if let Some(asn) = self.asn(address) {
            let _ = write!(text, " AS{asn}");
        }
        text
    }
}

/// As `--json` writes it.
#[derive(Serialize)]
struct Said<'a> {
    target: &'a str,
    dip: IpAddr,
    dp: u16,
    impaired: bool,
    arrived: bool,
    hops: Vec<SaidHop>,
    findings: Vec<SaidFinding>,
    /// The verdict, in sentences.
    sentences: Vec<String>,
    packets: u32,
    packets_at_target: u32,
    seconds: f64,
}

#[derive(Serialize)]
struct SaidHop {
    hop: u8,
    router: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    asn: Option<u32>,
    rtt_ms: Option<f64>,
    plain: Cell,
    features: Vec<SaidCell>,
}

#[derive(Serialize)]
struct SaidCell {
    feature: Mark,
    #[serde(flatten)]
    cell: Cell,
}

#[derive(Serialize)]
struct SaidFinding {
    features: Vec<Mark>,
    /// As conditions say it: `changed:ecn:4`.
    finding: String,
}

/// For programs. `target`: as it was asked for.
pub(crate) fn json<'a>(
    traced: &'a Traced,
    target: &'a str,
    around: &'a Surroundings,
) -> impl Serialize + 'a {
    let hop = |row: Row| SaidHop {
        hop: row.hop,
        name: row.router.and_then(|address| around.names.get(&address).cloned()),
        asn: row.router.and_then(|address| around.asn(address)),
        router: row.router,
        rtt_ms: row.after.map(|after| (after.as_secs_f64() * 1e6).round() / 1e3),
        plain: row.plain,
        features: traced
            .marks
            .iter()
            .zip(row.cells)
            .map(|(mark, cell)| SaidCell { feature: mark.clone(), cell })
            .collect(),
    };
    let findings = traced.findings().into_iter();
    Said {
        target,
        dip: traced.target.ip(),
        dp: traced.target.port(),
        impaired: traced.is_impaired(),
        arrived: traced.has_arrived(),
        hops: traced.rows().into_iter().map(hop).collect(),
        findings: findings
            .map(|(marks, finding)| SaidFinding { features: marks, finding: finding.words() })
            .collect(),
        sentences: sentences(traced),
        packets: traced.sum(|course| course.location.sent),
        packets_at_target: traced.sum(|course| course.location.at_target),
        seconds: traced.seconds(),
    }
}

/// For people. `target`: as it was asked for, made safe.
pub(crate) fn text(
    traced: &Traced,
    target: &str,
    around: &Surroundings,
    colours: Colours,
) -> String {
    let mut text = target.to_owned();
    if target != traced.target.ip().to_string() {
        let _ = write!(text, " at {}", traced.target.ip());
    }
    let _ = writeln!(text, ", port {}", traced.target.port());
    let rows = traced.rows();
    let mut table = vec![vec!["hop".to_owned(), "router".into(), "time".into(), "plain".into()]];
    table[0].extend(traced.marks.iter().map(Mark::to_string));
    for row in &rows {
        let router = row.router.map_or_else(|| "*".to_owned(), |at| around.router(at));
        let after = row.after.map(|after| format!("{:.1} ms", after.as_secs_f64() * 1e3));
        let mut cells = vec![row.hop.to_string(), router, after.unwrap_or_default()];
        cells.extend([&row.plain].into_iter().chain(&row.cells).map(cell_text));
        table.push(cells);
    }
    let count = table[0].len();
    let width = |column: usize| {
        let lengths = table.iter().map(|cells| cells[column].chars().count());
        lengths.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    for (number, cells) in table.iter().enumerate() {
        let mut line = String::new();
        for (column, (cell, width)) in cells.iter().zip(&widths).enumerate() {
            let padded = match column {
                0 | 2 => format!("{cell:>width$}"),
                _ => format!("{cell:<width$}"),
            };
            let row = number.checked_sub(1).map(|at| &rows[at]);
            let of = row.and_then(|row| match column.checked_sub(3) {
                Some(0) => Some(&row.plain),
                Some(place) => row.cells.get(place - 1),
                None => None,
            });
            let colour = of.and_then(colour).filter(|_| colours == Colours::Terminal);
            let _ = match colour {
                Some(colour) => write!(line, "  \u{1b}[{colour}m{padded}\u{1b}[0m"),
                None => write!(line, "  {padded}"),
            };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    for sentence in sentences(traced) {
        let _ = writeln!(text, "{sentence}");
    }
    let (sent, at_target) =
        (traced.sum(|one| one.location.sent), traced.sum(|one| one.location.at_target));
    let _ = writeln!(
        text,
        "{sent} {} in {:.1} s, {at_target} of them to the target",
        of(sent.into(), "packet", "packets"),
        traced.seconds()
    );
    text
}

/// The verdict.
fn sentences(traced: &Traced) -> Vec<String> {
    let mut said = found(traced);
    for course in &traced.courses {
        for (field, hop) in &course.location.alike {
            let text = format!("Before hop {hop} {} is changed in all packets.", name_of(*field));
            if !field.is_of_translation() && !said.contains(&text) {
                said.push(text);
            }
        }
    }
    if !traced.has_routers() {
        said.push("No router on the path answered, so the place is unknown.".to_owned());
    }
    said.push(match (traced.is_answered(), traced.has_arrived()) {
        (false, _) => "The target answered nothing: it is offline, or a firewall is silent.".into(),
        (true, true) if traced.is_answered_before() => format!(
            "{} came to the target in the measurement. It answered none of the copies that were sent to \
             trace the path.",
            listed(&traced.marks)
        ),
        (true, true) if traced.is_impaired() => "All packets came to the target.".to_owned(),
        (true, true) => format!(
            "{} came to the target, and no change on the way was seen.",
            listed(&traced.marks)
        ),
        (true, false) => "The target answered some of these packets, and not all.".to_owned(),
    });
    let hidden = traced.hidden();
    if !hidden.is_empty() {
        said.push(format!("Some routers quote too little to show {}.", listed(&hidden)));
    }
    said.push("Not shown: the way back, and what is behind the last router that quotes.".into());
    said
}

/// What was found, a sentence each.
pub(crate) fn found(traced: &Traced) -> Vec<String> {
    let said = |(marks, finding): (Vec<Mark>, &Finding)| {
        let flows = traced.courses.iter().find(|one| one.location.findings.contains(finding));
        sentence(&marks, finding, flows.map_or(1, |course| course.location.flows))
    };
    traced.findings().into_iter().map(said).collect()
}

fn cell_text(cell: &Cell) -> String {
    match cell {
        Cell::NotSent => String::new(),
        Cell::Silent => "*".to_owned(),
        Cell::Unchanged => "ok".to_owned(),
        Cell::NotQuoted => "not quoted".to_owned(),
        Cell::Changed(changes) => visible(&changes.join(", "), SHOWN),
        Cell::Answered => "answered".to_owned(),
        Cell::Refused(how) => how.clone(),
    }
}

/// The number of its colour on a terminal.
fn colour(cell: &Cell) -> Option<u8> {
    match cell {
        Cell::Unchanged | Cell::Answered => Some(32),
        Cell::Changed(_) | Cell::Refused(_) => Some(31),
        Cell::NotQuoted | Cell::Silent => Some(33),
        Cell::NotSent => None,
    }
}

fn listed(marks: &[Mark]) -> String {
    let names: Vec<String> = marks.iter().map(Mark::to_string).collect();
    match names.split_last() {
        Some((last, before)) if !before.is_empty() => format!("{} and {last}", before.join(", ")),
        _ => names.concat(),
    }
}

/// A field, in a sentence.
fn name_of(field: Field) -> String {
    match field {
        Field::Ecn => "the ECN field".to_owned(),
        Field::Dscp => "the DSCP".to_owned(),
        Field::IpFlags => "IP's flags".to_owned(),
        Field::FlowLabel => "the flow label".to_owned(),
        Field::TcpFlags => "TCP's flags".to_owned(),
        Field::TcpOption(kind) => format!("the TCP option {kind}"),
        Field::Mss => "the maximum segment size".to_owned(),
        Field::Ports => "the ports".to_owned(),
        Field::Addresses => "the addresses".to_owned(),
        Field::Checksum => "the checksum".to_owned(),
        Field::Extension(number) => format!("the extension header {number}"),
        Field::UdpLength => "the datagram's length".to_owned(),
        Field::Surplus => "what follows the datagram".to_owned(),
        Field::Data => "the data".to_owned(),
    }
}

/// Where: `between hops 4 and 5`.
fn place(span: Span) -> String {
    match span.first {
        1 => format!("between this machine and hop {}", span.last),
        first => format!("between hops {} and {}", first - 1, span.last),
    }
}

fn sentence(marks: &[Mark], finding: &Finding, flows: u8) -> String {
    let packets = || format!("packets with {}", listed(marks));
    let times = match flows {
        0 | 1 => String::new(),
        flows => format!(" ({flows} of 3 flows)"),
    };
    match finding {
        Finding::Changed { field, hop, from, to } => {
            let name = name_of(*field);
            let how = match (from, to) {
                (_, Reading::Absent) => "is removed".to_owned(),
                (Reading::Absent, _) => "is added".to_owned(),
                (_, Reading::Number(0)) => "is cleared".to_owned(),
                (from, to) => format!("is changed from {from} to {to}"),
            };
            capital(&format!("{name} {how} {}{times}.", place(*hop)))
        }
        Finding::Dropped(hop) => {
            capital(&format!("{} are dropped {}{times}.", packets(), place(*hop)))
        }
        Finding::Rejected(hop) => {
            capital(&format!("{} are refused {}{times}.", packets(), place(*hop)))
        }
        Finding::Beyond(hop) => capital(&format!(
            "{} come to hop {hop} as they were sent; no router behind it tells more.",
            packets()
        )),
        Finding::SomePaths => capital(&format!(
            "{} fare differently from flow to flow: the path has branches.",
            packets()
        )),
        Finding::NotReproduced => capital(&format!("{} came to the target this time.", packets())),
        Finding::Unquoted => {
            format!("Routers quote too little to show {}.", listed(marks))
        }
    }
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(char::to_uppercase);
    first.into_iter().flatten().chain(characters).collect()
}

#[cfg(test)]
mod tests {
    use pathspider_locate::location::{Fate, HopSeen};
    use pathspider_locate::{Location, Shape, Time};
    use pathspider_plugin_api::Carrier;

    use super::*;
    use crate::locating::Told;

    /// What is said of data that came to the target in a measurement, where copies fared like this there.
    fn said(plain: Fate) -> Vec<String> {
        let location = Location {
            shape: Shape::Every,
            findings: Vec::new(),
            alike: Vec::new(),
            hops: vec![HopSeen { hop: 1, plain, marked: Fate::Unasked }],
            last_well: None,
            target_at: None,
            quoted_to: None,
            unknown: Vec::new(),
            sent: 3,
            at_target: 3,
            flows: 1,
            took: Time::ZERO,
        };
        let (aspect, carrier) = ("ech".to_owned(), Carrier::Data);
        let told = Told { config: 1, aspect, carrier, location };
        sentences(&Traced::of_record(([192, 0, 2, 1], 443).into(), told, true))
    }

    #[test]
    fn sentences_do_not_claim_what_the_table_does_not_show() {
        let silent = said(Fate::Silent);
        let of_measurement = "ech on data came to the target in the measurement.";
        assert!(silent.iter().any(|one| one.starts_with(of_measurement)), "{silent:?}");
        assert!(silent.iter().all(|one| !one.contains("no change on the way")), "{silent:?}");
        let answered = said(Fate::Answered { after: Time::ZERO });
        let both = "ech on data came to the target, and no change on the way was seen.";
        assert!(answered.contains(&both.to_owned()), "{answered:?}");
    }
}
