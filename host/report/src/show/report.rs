//! A report as tables on a terminal.

use std::fmt::Write as _;

use pathspider_records::Class;
use pathspider_runtime::text::of;

use super::{Table, counts, interval, name, number, per_cent, several};
use crate::figures::{
    Answers, Aspect, ConditionShare, Failures, Grouped, Inputs, Measured, OverTime, Report,
    RoundTrips, Runs,
};
use crate::statistics::Share;

/// How much is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    /// The most rows of a ranking.
    pub(crate) top: usize,
    /// Whether all aspects are shown by keys and over time, and not only those with something impaired.
    pub(crate) is_all: bool,
}

/// The report as text.
pub(crate) fn text(report: &Report, extent: Extent) -> String {
    let mut text = String::new();
    inputs(&report.inputs, &mut text);
    for measured in &report.measurements {
        measurement(measured, extent, &mut text);
    }
    runs(&report.runs, &mut text);
    text
}

// Writing to a `String` does not fail.
macro_rules! put {
    ($text:expr, $($what:tt)*) => {
        let _ = writeln!($text, $($what)*);
    };
}

fn inputs(inputs: &Inputs, text: &mut String) {
    let Inputs { files, records, passed_over, twice, crowded, .. } = *inputs;
    let mut line =
        format!("{} in {}", several(records, "record", "records"), several(files, "file", "files"));
    for (count, what) in [
        (passed_over, of(passed_over, "other file passed over", "other files passed over")),
        (twice, of(twice, "file named twice", "files named twice")),
        (crowded, "counted without their conditions: there are too many different ones"),
    ] {
        if count > 0 {
            let _ = write!(line, ", {} {what}", number(count));
        }
    }
    put!(text, "{line}");
}

fn measurement(measured: &Measured, extent: Extent, text: &mut String) {
    let Measured { records, targets, .. } = *measured;
    let span = match (&measured.from, &measured.to) {
        (Some(from), Some(to)) => format!(", {from} to {to}"),
        _ => String::new(),
    };
    put!(
        text,
        "\n{}: {} of {}{span}\n",
        name(&measured.name),
        several(records, "record", "records"),
        several(targets, "target", "targets")
    );
    funnel(measured, text);
    for aspect in &measured.aspects {
        shares(aspect, text);
    }
    let is_shown = |aspect: &str| {
        extent.is_all
            || measured.aspects.iter().any(|it| it.aspect == aspect && it.impaired.cases > 0)
    };
    for grouped in measured.groups.iter().filter(|grouped| is_shown(&grouped.aspect)) {
        ranking(grouped, extent.top, text);
    }
    for over_time in measured.over_time.iter().filter(|it| is_shown(&it.aspect)) {
        steps(over_time, text);
    }
    for (head, key, rows) in [
        (
            "Targets that were measured several times from one place",
            "targets",
            measured.stability.iter().map(|it| (it.targets, 0, &it.conditions)).collect::<Vec<_>>(),
        ),
        (
            "Targets that were measured from several places",
            "targets",
            measured
                .multipoint
                .iter()
                .map(|it| (it.targets, it.not_comparable, &it.conditions))
                .collect(),
        ),
    ] {
        if rows.is_empty() {
            continue;
        }
        put!(text, "\n  {head}");
        let mut table = Table::new([&*format!(">{key}"), ">%", "95 % interval", "condition"]);
        for (all, not_comparable, conditions) in rows {
            for (condition, &cases) in conditions {
                let share = Share::of(cases, all);
                table.row([
                    number(cases),
                    per_cent(share.share),
                    interval(&share),
                    name(condition),
                ]);
            }
            if not_comparable > 0 {
                let words = "(only one place says something)".to_owned();
                table.row([number(not_comparable), String::new(), String::new(), words]);
            }
        }
        table.write(4, text);
    }
    failures(&measured.failures, text);
    round_trips(&measured.round_trips, text);
    if let Some(of) = &measured.answers {
        answers(of, text);
    }
}

fn funnel(measured: &Measured, text: &mut String) {
    let mut table = Table::new(["", ">", ""]);
    for stage in &measured.funnel {
        let left = counts(stage.left.iter().map(|(&why, &count)| (why, count)));
        let left = if left.is_empty() { left } else { format!("left out: {left}") };
        table.row([stage.stage.to_owned(), number(stage.count), left]);
    }
    table.write(2, text);
}

/// The line under an aspect's name.
fn denominator(aspect: &Aspect) -> String {
    let without: u64 = aspect.without.values().sum();
    let verdicts = several(aspect.verdicts, "verdict", "verdicts");
    match without {
        0 => format!("of {verdicts}"),
        _ => {
            let reasons = counts(aspect.without.iter().map(|(why, &count)| (why.words(), count)));
            format!("of {verdicts}; {} without: {reasons}", number(without))
        }
    }
}

fn shares(aspect: &Aspect, text: &mut String) {
    put!(text, "\n  {} {}", name(&aspect.aspect), denominator(aspect));
    let mut table = Table::new([">cases", ">%", "95 % interval", "condition", ""]);
    /// The most conditions of one aspect: values may be many.
    const MOST: usize = 20;
    for condition in aspect.conditions.iter().take(MOST) {
        let share = &condition.share;
        let class = if condition.class == Class::Impaired { "impaired" } else { "" };
        table.row([
            number(share.cases),
            per_cent(share.share),
            interval(share),
            name(&condition.condition),
            class.to_owned(),
        ]);
    }
    table.write(4, text);
    if let Some(rest) = aspect.conditions.get(MOST..).filter(|rest| !rest.is_empty()) {
        let cases: u64 = rest.iter().map(|condition| condition.share.cases).sum();
        put!(text, "    {} others with {} cases", number(rest.len() as u64), number(cases));
    }
    let impaired = &aspect.impaired;
    if impaired.cases > 0 && impaired.of < aspect.verdicts {
        put!(
            text,
            "    impaired: {} of the {} that say something, {} % ({})",
            number(impaired.cases),
            number(impaired.of),
            per_cent(impaired.share),
            interval(impaired)
        );
    }
}

/// A row of a table of shares, by groups or over time.
struct Shares<'r> {
    first: &'r str,
    verdicts: u64,
    impaired: &'r Share,
    conditions: &'r [ConditionShare],
}

/// A table of shares. The interval is that of what is impaired, or where nothing is, of the first
/// condition.
fn table_of<'r>(first: &str, rows: impl Iterator<Item = Shares<'r>> + Clone) -> Table {
    let is_impaired = rows.clone().any(|row| row.impaired.cases > 0);
    let words = rows.clone().next().map(|row| row.conditions).unwrap_or_default();
    let mut words: Vec<String> =
        words.iter().map(|condition| format!(">{} %", name(&condition.word))).collect();
    if is_impaired {
        words.insert(0, ">impaired %".to_owned());
    }
    words.insert(words.len().min(1), "95 % interval".to_owned());
    let mut table = Table::new([name(first), ">verdicts".to_owned()].into_iter().chain(words));
    for row in rows {
        let conditions = row.conditions.iter().map(|condition| &condition.share);
        let shares = is_impaired.then_some(row.impaired).into_iter().chain(conditions);
        let mut cells = vec![name(row.first), number(row.verdicts)];
        for (at, share) in shares.enumerate() {
            cells.push(per_cent(share.share));
            if at == 0 {
                cells.push(interval(share));
            }
        }
        table.row(cells);
    }
    table
}

fn ranking(grouped: &Grouped, top: usize, text: &mut String) {
    put!(text, "\n  {} by {}", name(&grouped.aspect), name(&grouped.key));
    let rows = grouped.rows.iter().take(top).map(|row| Shares {
        first: &row.value,
        verdicts: row.verdicts,
        impaired: &row.impaired,
        conditions: &row.conditions,
    });
    if !grouped.rows.is_empty() {
        table_of(&grouped.key, rows).write(4, text);
    }
    let more = grouped.rows.len().saturating_sub(top) as u64;
    let mut notes = Vec::new();
    if more > 0 {
        notes.push(format!("{} more (--top)", number(more)));
    }
    if grouped.small.groups > 0 {
        notes.push(format!(
            "{} of fewer cases than --min, with {} verdicts",
            number(grouped.small.groups),
            number(grouped.small.verdicts)
        ));
    }
    if grouped.without_key > 0 {
        notes.push(format!(
            "{} verdicts without {}",
            number(grouped.without_key),
            name(&grouped.key)
        ));
    }
    if !notes.is_empty() {
        put!(text, "    {}", notes.join("; "));
    }
}

fn steps(over_time: &OverTime, text: &mut String) {
    let hours = of(over_time.hours, "hour", "hours");
    put!(text, "\n  {} in steps of {} {hours}", name(&over_time.aspect), over_time.hours);
    let rows = over_time.steps.iter().map(|step| Shares {
        first: &step.from,
        verdicts: step.verdicts,
        impaired: &step.impaired,
        conditions: &step.conditions,
    });
    table_of("from", rows).write(4, text);
}

/// A configuration's number and label.
fn configuration(config: u64, label: Option<&str>) -> String {
    match label {
        Some(label) => format!("{config} {}", name(label)),
        None => config.to_string(),
    }
}

fn failures(failures: &[Failures], text: &mut String) {
    if failures.is_empty() {
        return;
    }
    put!(text, "\n  Connections");
    let heads = ["configuration", ">connections", ">failed", ">%", ">not observed", "reasons"];
    let mut table = Table::new(heads);
    for of in failures {
        let reasons = of.reasons.iter().map(|it| (&*it.reason, it.connections));
        table.row([
            configuration(of.config, of.label.as_deref()),
            number(of.failed.of),
            number(of.failed.cases),
            per_cent(of.failed.share),
            number(of.unobserved),
            counts(reasons),
        ]);
    }
    table.write(4, text);
}

fn round_trips(round_trips: &[RoundTrips], text: &mut String) {
    let Some(first) = round_trips.first() else { return };
    put!(text, "\n  Round trips of handshakes, in milliseconds");
    let percentiles = first.percentiles.keys().map(|per_cent| format!(">{per_cent} %"));
    let heads = ["configuration".to_owned(), ">connections".to_owned()];
    let mut table = Table::new(heads.into_iter().chain(percentiles));
    for of in round_trips {
        let times = of.percentiles.values().map(|&time| format!("{:.2}", time as f64 / 1e3));
        let first = [configuration(of.config, of.label.as_deref()), number(of.connections)];
        table.row(first.into_iter().chain(times));
    }
    table.write(4, text);
}

fn answers(answers: &Answers, text: &mut String) {
    put!(text, "\n  Who answered (hints, no verdicts)");
    let mut table = Table::new([">", ""]);
    for (count, what) in answers.rows() {
        table.row([number(count), what.to_owned()]);
    }
    table.write(4, text);
}

fn runs(runs: &Runs, text: &mut String) {
    if runs.runs == 0 {
        return;
    }
    let read = several(runs.runs, "run", "runs");
    put!(text, "\n{read}; the captures had {} packets", number(runs.packets));
    for (count, what) in [
        (runs.dropped_by_kernel, "packets dropped by the kernel"),
        (runs.dropped_by_interface, "packets dropped by the interface"),
        (runs.evicted, "flows that left a full table early"),
        (runs.clock_jumps, "jumps of a clock"),
        (runs.missed_flows, "connections whose packets were not seen"),
        (runs.without_counts, "runs without counts: they go on, or were killed"),
        (runs.files_without_metadata, "files without metadata"),
    ] {
        if count > 0 {
            put!(text, "  {} {what}", number(count));
        }
    }
    if !runs.failures.is_empty() {
        let failures = runs.failures.iter().map(|(reason, &count)| (&**reason, count));
        put!(text, "  connections that failed: {}", counts(failures));
    }
    let others = runs.ends.iter().filter(|(end, _)| *end != "finished");
    let others = counts(others.map(|(end, &count)| (&**end, count)));
    if !others.is_empty() {
        put!(text, "  ended before their input did: {others}");
    }
}
