//! The tables of a page, which have all that its pictures show.

use std::collections::BTreeMap;

use maud::{Markup, html};
use pathspider_records::Class;

use crate::figures::{
    Answers, Aspect, ConditionShare, Failures, Grouped, Inputs, Multipoint, OverTime, RoundTrips,
    Runs, Stability, Stage,
};
use crate::show::{counts, interval, name, number, per_cent, several};
use crate::statistics::Share;

/// The most rows of a table; `--json` has all.
const MOST_ROWS: usize = 1000;

/// A table with these heads; those that begin with `>` are of numbers.
fn table(heads: &[String], rows: impl Iterator<Item = Markup>) -> Markup {
    html! {
        div.scroll tabindex="0" {
            table.sortable {
                thead {
                    tr {
                        @for head in heads {
                            @match head.strip_prefix('>') {
                                Some(head) => th.n scope="col" { (head) },
                                None => th scope="col" { (head) },
                            }
                        }
                    }
                }
                tbody { @for row in rows { tr { (row) } } }
            }
        }
    }
}

fn heads(heads: &[&str]) -> Vec<String> {
    heads.iter().map(|&head| head.to_owned()).collect()
}

/// A cell by whose value its column is sorted.
fn cell(value: f64, shown: &str) -> Markup {
    html! { td.n data-v=(value) { (shown) } }
}

fn count(count: u64) -> Markup {
    cell(count as f64, &number(count))
}

/// A share and its interval, in two cells.
fn share(share: &Share) -> Markup {
    html! {
        (cell(share.share.unwrap_or(-1.0), &per_cent(share.share)))
        td.n data-v=(share.low.unwrap_or(-1.0)) { (interval(share)) }
    }
}

fn text(text: &str) -> Markup {
    html! { td { (name(text)) } }
}

pub(super) fn funnel(stages: &[Stage]) -> Markup {
    let rows = stages.iter().map(|stage| {
        let left = counts(stage.left.iter().map(|(&why, &count)| (why, count)));
        html! { (text(stage.stage)) (count(stage.count)) td { (left) } }
    });
    table(&heads(&["stage", ">records", "left out"]), rows)
}

pub(super) fn aspect(aspect: &Aspect) -> Markup {
    let rows = aspect.conditions.iter().take(MOST_ROWS).map(|of| {
        let class = of.class.name();
        html! {
            (text(&of.condition))
            (count(of.share.cases))
            (share(&of.share))
            td class=[(of.class == Class::Impaired).then_some(class)] { (class) }
        }
    });
    table(&heads(&["condition", ">cases", ">%", ">95 % interval", "class"]), rows)
}

/// The heads of shares by a key.
fn heads_of(first: &str, conditions: Option<&Vec<ConditionShare>>) -> Vec<String> {
    let mut heads = vec![name(first), ">verdicts".to_owned()];
    heads.extend([">impaired %".to_owned(), ">95 % interval".to_owned()]);
    let words = conditions.into_iter().flatten().map(|of| format!(">{} %", name(&of.word)));
    heads.extend(words);
    heads
}

fn row(first: &str, verdicts: u64, impaired: &Share, conditions: &[ConditionShare]) -> Markup {
    html! {
        (text(first)) (count(verdicts)) (share(impaired))
        @for of in conditions { (cell(of.share.share.unwrap_or(-1.0), &per_cent(of.share.share))) }
    }
}

pub(super) fn grouped(grouped: &Grouped) -> Markup {
    let heads = heads_of(&grouped.key, grouped.rows.first().map(|row| &row.conditions));
    let rows = grouped.rows.iter().take(MOST_ROWS);
    table(&heads, rows.map(|of| row(&of.value, of.verdicts, &of.impaired, &of.conditions)))
}

/// What a ranking leaves out.
pub(super) fn notes(grouped: &Grouped, min: u64) -> Markup {
    let verdicts: u64 = grouped.rows.iter().map(|row| row.verdicts).sum();
    let more = grouped.rows.len().saturating_sub(MOST_ROWS) as u64;
    html! {
        (several(verdicts, "verdict", "verdicts")) " of "
        (several(grouped.rows.len() as u64, "value", "values"))
        @if more > 0 { "; the last " (number(more)) " are in --json alone" }
        @if grouped.small.groups > 0 {
            "; left out: " (several(grouped.small.groups, "value", "values")) " of fewer than " (number(min))
            ", with " (several(grouped.small.verdicts, "verdict", "verdicts"))
        }
        @if grouped.without_key > 0 { "; " (several(grouped.without_key, "verdict", "verdicts")) " without the key" }
    }
}

pub(super) fn over_time(over_time: &OverTime) -> Markup {
    let heads = heads_of("from", over_time.steps.first().map(|step| &step.conditions));
    let rows = over_time.steps.iter();
    table(&heads, rows.map(|of| row(&of.from, of.verdicts, &of.impaired, &of.conditions)))
}

/// A configuration's number and label.
fn configuration(config: u64, label: Option<&str>) -> Markup {
    html! { td data-v=(config) { (config) " " (name(label.unwrap_or_default())) } }
}

pub(super) fn failures(failures: &[Failures]) -> Markup {
    let rows = failures.iter().map(|of| {
        let reasons = counts(of.reasons.iter().map(|it| (&*it.reason, it.connections)));
        html! {
            (configuration(of.config, of.label.as_deref()))
            (count(of.failed.of)) (count(of.failed.cases)) (share(&of.failed)) (count(of.unobserved))
            td { (reasons) }
        }
    });
    let all = [
        "configuration",
        ">connections",
        ">failed",
        ">%",
        ">95 % interval",
        ">not observed",
        "reasons",
    ];
    table(&heads(&all), rows)
}

pub(super) fn round_trips(round_trips: &[RoundTrips]) -> Markup {
    let mut heads = heads(&["configuration", ">connections"]);
    let first = round_trips.first().map(|of| &of.percentiles);
    heads.extend(first.into_iter().flatten().map(|(per_cent, _)| format!(">{per_cent} %, ms")));
    let rows = round_trips.iter().map(|of| {
        html! {
            (configuration(of.config, of.label.as_deref())) (count(of.connections))
            @for &time in of.percentiles.values() {
                (cell(time as f64, &format!("{:.2}", time as f64 / 1e3)))
            }
        }
    });
    table(&heads, rows)
}

pub(super) fn answers(answers: &Answers) -> Markup {
    let rows = answers.rows().map(|(n, what)| html! { (text(what)) (count(n)) });
    table(&heads(&["what", ">count"]), rows)
}

fn conditions(all: u64, of: &BTreeMap<String, u64>) -> impl Iterator<Item = Markup> {
    of.iter().map(move |(condition, &cases)| {
        html! { (text(condition)) (count(cases)) (share(&Share::of(cases, all))) }
    })
}

pub(super) fn stability(all: &[Stability]) -> Markup {
    let rows = all.iter().flat_map(|of| conditions(of.targets, &of.conditions));
    html! {
        @if !all.is_empty() {
            h3 { "Targets that were measured several times from one place" }
            (table(&heads(&["condition", ">targets", ">%", ">95 % interval"]), rows))
        }
    }
}

pub(super) fn multipoint(all: &[Multipoint]) -> Markup {
    let rows = all.iter().flat_map(|of| conditions(of.targets, &of.conditions));
    let not_comparable: u64 = all.iter().map(|of| of.not_comparable).sum();
    html! {
        @if !all.is_empty() {
            h3 { "Targets that were measured from several places" }
            (table(&heads(&["condition", ">targets", ">%", ">95 % interval"]), rows))
            @if not_comparable > 0 {
                p { (several(not_comparable, "verdict", "verdicts")) " that only one place gives" }
            }
        }
    }
}

pub(super) fn runs(runs: &Runs) -> Markup {
    let all = [
        (runs.runs, "runs"),
        (runs.without_counts, "runs without counts: they go on, or were killed"),
        (runs.packets, "packets of the captures"),
        (runs.dropped_by_kernel, "packets dropped by the kernel"),
        (runs.dropped_by_interface, "packets dropped by the interface"),
        (runs.evicted, "flows that left a full table early"),
        (runs.clock_jumps, "jumps of a clock"),
        (runs.missed_flows, "connections whose packets were not seen"),
        (runs.files_without_metadata, "files without metadata"),
    ];
    html! {
        @if runs.runs > 0 {
            section {
                h2 { "Runs" }
                (table(&heads(&["what", ">count"]), all.iter().map(|&(n, what)| html! { (text(what)) (count(n)) })))
                @if !runs.failures.is_empty() {
                    p { "Connections that failed: " (counts(runs.failures.iter().map(|(why, &n)| (&**why, n)))) }
                }
                @if !runs.ends.is_empty() {
                    p { "How they ended: " (counts(runs.ends.iter().map(|(end, &n)| (&**end, n)))) }
                }
            }
        }
    }
}

pub(super) fn not_read(inputs: &Inputs) -> Markup {
    let rows = inputs.bad.iter().take(MOST_ROWS).map(|of| {
        html! {
            (text(&of.file)) (count(of.count)) td { (of.fault.words(of.count)) }
            td.n { @if let Some(line) = of.line { (line) } } td { (name(&of.reason)) }
        }
    });
    html! {
        @if !inputs.bad.is_empty() {
            section {
                h2 { "What was not read" }
                (table(&heads(&["file", ">count", "what", ">first line", "why"]), rows))
            }
        }
    }
}
