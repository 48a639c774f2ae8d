//! A report as one page: nothing is loaded from anywhere, and all that records say is escaped. It is
//! read without its script, which only sorts and filters tables.

mod charts;
mod tables;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{counts, interval, name, number, per_cent, several};
use crate::figures::{Aspect, Measured, Report};
use charts::Chart;

/// How the page looks: light and dark, on paper, and as narrow as a telephone.
const STYLE: &str = include_str!("html/style.css");

/// Sorts and filters tables.
const SCRIPT: &str = include_str!("html/script.js");

/// Nothing is fetched, whatever a record says.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/// The report as a page.
pub(crate) fn page(report: &Report) -> String {
    let names: Vec<String> = report.measurements.iter().map(|of| name(&of.name)).collect();
    let title = format!("pathspider report: {}", names.join(", "));
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { "pathspider report" }
                    p { (several(report.inputs.records, "record", "records")) " in " (several(report.inputs.files, "file", "files")) }
                    (command(&report.command, None))
                    @if names.len() > 1 { (contents(&names)) }
                }
                main {
                    @if report.measurements.is_empty() { p { "There is nothing to show: no record was read." } }
                    @for (at, measured) in report.measurements.iter().enumerate() {
                        (measurement(report, measured, at))
                    }
                    (tables::runs(&report.runs))
                    (tables::not_read(&report.inputs))
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

fn contents(names: &[String]) -> Markup {
    html! {
        nav aria-label="Measurements" {
            ul { @for (at, name) in names.iter().enumerate() { li { a href={"#m" (at)} { (name) } } } }
        }
    }
}

/// The command that gives the figures of a picture, perhaps by a key.
fn command(command: &[String], key: Option<&str>) -> Markup {
    let mut words = command.to_vec();
    if let Some(key) = key.filter(|key| !words.iter().any(|word| word == key)) {
        words.extend(["--by".to_owned(), key.to_owned()]);
    }
    let words: Vec<String> = words.iter().map(|word| quoted(&name(word))).collect();
    html! { p.command { code { (words.join(" ")) } } }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn measurement(report: &Report, measured: &Measured, at: usize) -> Markup {
    html! {
        section id={"m" (at)} {
            h2 { (name(&measured.name)) }
            p {
                (several(measured.records, "record", "records")) " of " (several(measured.targets, "target", "targets"))
                @if let (Some(from), Some(to)) = (&measured.from, &measured.to) {
                    ", " (from) " to " (to)
                }
            }
            h3 { "From what was read to a verdict" }
            (figure(charts::funnel(&measured.funnel), "Records left at each stage", html! {}))
            (tables::funnel(&measured.funnel))
            (command(&report.command, None))
            h3 { "Shares of conditions" }
            @for aspect in &measured.aspects {
                h4 { (name(&aspect.aspect)) }
                (figure(charts::aspect(aspect), &format!("Shares of {}", aspect.aspect), denominator(aspect)))
                (tables::aspect(aspect))
                (command(&report.command, None))
            }
            @for grouped in &measured.groups {
                h3 { (name(&grouped.aspect)) " by " (name(&grouped.key)) }
                (figure(
                    charts::grouped(grouped),
                    &format!("{} by {}", grouped.aspect, grouped.key),
                    tables::notes(grouped, report.min),
                ))
                (tables::grouped(grouped))
                (command(&report.command, Some(&grouped.key)))
            }
            @for over_time in &measured.over_time {
                h3 { (name(&over_time.aspect)) " over time" }
                (figure(
                    charts::over_time(over_time),
                    &format!("{} over time", over_time.aspect),
                    html! { "in steps of " (over_time.hours) " hours" },
                ))
                (tables::over_time(over_time))
                (command(&report.command, None))
            }
            @if !measured.failures.is_empty() {
                h3 { "Connections" }
                (figure(charts::failures(&measured.failures), "Connections that failed", html! {}))
                (tables::failures(&measured.failures))
                (command(&report.command, None))
            }
            @if !measured.round_trips.is_empty() {
                h3 { "Round trips of handshakes" }
                (figure(charts::round_trips(&measured.round_trips), "Distribution of round trips", html! {}))
                (tables::round_trips(&measured.round_trips))
                (command(&report.command, None))
            }
            @if let Some(answers) = &measured.answers {
                h3 { "Who answered" }
                p { "Hints by the TTLs of answers, and no verdicts." }
                (tables::answers(answers))
                (command(&report.command, Some("answered_from.hops")))
            }
            (tables::stability(&measured.stability))
            (tables::multipoint(&measured.multipoint))
        }
    }
}

/// A picture, where there is something to see.
fn figure(chart: Option<Chart>, says: &str, caption: Markup) -> Markup {
    html! {
        figure {
            @if let Some(chart) = chart {
                div.picture tabindex="0" role="img" aria-label=(name(says)) { (PreEscaped(chart.svg())) }
            }
            figcaption { (caption) }
        }
    }
}

/// What an aspect's shares are of, and who is left out.
fn denominator(aspect: &Aspect) -> Markup {
    let without: u64 = aspect.without.values().sum();
    html! {
        "of " (several(aspect.verdicts, "verdict", "verdicts"))
        @if without > 0 {
            "; " (number(without)) " without: "
            (counts(aspect.without.iter().map(|(why, &count)| (why.words(), count))))
        }
        @if aspect.impaired.cases > 0 {
            "; impaired: " (number(aspect.impaired.cases)) " of the " (number(aspect.impaired.of))
            " that say something, " (per_cent(aspect.impaired.share)) " % ("
            (interval(&aspect.impaired)) ")"
        }
    }
}
