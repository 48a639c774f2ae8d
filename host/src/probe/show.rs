//! The page of a probe, as text for people and as JSON for programs.

use std::fmt::Write;

use pathspider_plugin_api::Class;
use pathspider_runtime::text::{of, visible};
use serde::Serialize;

use super::Page;
use super::finding::{Finding, Verdict, flows};
use super::page::{SHOWN, Said, SaidMeasurement, SaidTarget};
use crate::output::{connection, sign};

/// The page as one JSON object. `stopped`: whether not all was measured.
pub(crate) fn json(page: &Page, stopped: bool) -> impl Serialize {
    page.said(stopped)
}

/// The page as a text. `stopped`: whether not all was measured.
pub(crate) fn text(page: &Page, stopped: bool) -> String {
    let said = page.said(stopped);
    let mut text = String::new();
    let all = said.targets.iter().flat_map(|target| &target.measurements);
    let width = all.map(|one| one.plugin.chars().count()).max().unwrap_or(0);
    for one in &said.targets {
        target(one, width, &mut text);
        text.push('\n');
    }
    end(&said, &mut text);
    text
}

fn target(said: &SaidTarget, width: usize, text: &mut String) {
    let at = said.dip.as_ref().filter(|dip| said.target != **dip);
    let at = at.map(|dip| format!(" at {dip}")).unwrap_or_default();
    let _ = writeln!(text, "{}{at}", said.target);
    let (applicable, others): (Vec<_>, Vec<_>) =
        said.measurements.iter().partition(|one| one.verdict != Verdict::NotApplicable);
    for one in applicable {
        measurement(one, width, text);
    }
    if !others.is_empty() {
        let names: Vec<&str> = others.iter().map(|one| one.plugin.as_str()).collect();
        let _ = writeln!(text, "    not for this target: {}", names.join(", "));
    }
    if said.measurements.is_empty() {
        text.push_str("  ? nothing was measured\n");
    }
}

fn measurement(said: &SaidMeasurement, width: usize, text: &mut String) {
    let sign = match said.verdict {
        Verdict::Good => '✓',
        Verdict::Impaired => '✗',
        Verdict::Unknown | Verdict::NotApplicable => '?',
    };
    let _ = writeln!(text, "  {sign} {:<width$}  {}", said.plugin, said.title);
    let tells = |one: &&Finding| one.class != Class::Unknown;
    let is_good = said.verdict == Verdict::Good;
    for one in said.conditions.iter().filter(|one| !is_good || tells(one)) {
        finding(one, said.rounds, text);
    }
    if let Some(error) = &said.error {
        let _ = writeln!(text, "      the measurement failed: {}", visible(error, SHOWN));
    } else if said.conditions.is_empty() {
        text.push_str("      ? nothing can be concluded\n");
    }
    if !is_good {
        for flow in flows(&said.last) {
            let number = flow.u64("config").and_then(|number| u8::try_from(number).ok());
            let letter = number.filter(|number| *number < 26).map(|n| char::from(b'A' + n));
            let _ = writeln!(text, "      {}: {}", letter.unwrap_or('…'), connection(flow));
        }
    }
    for sentence in &said.place {
        let _ = writeln!(text, "      where: {}", visible(sentence, 4 * SHOWN));
    }
    for sentence in &said.next {
        let _ = writeln!(text, "      next: {sentence}");
    }
}

/// A condition, or several, with what it means. `rounds`: how many there were.
fn finding(said: &Finding, rounds: usize, text: &mut String) {
    let names = visible(&said.conditions.join(", "), SHOWN);
    let _ = write!(text, "      {} {names}", sign(said.class));
    if !said.meaning.is_empty() {
        let _ = write!(text, ": {}", visible(&said.meaning, SHOWN));
    }
    if said.rounds < rounds {
        let _ = write!(text, " (in {} of {rounds} rounds)", said.rounds);
    }
    text.push('\n');
}

/// What could not be measured, and what all comes to.
fn end(said: &Said, text: &mut String) {
    for trouble in &said.not_measured {
        let names = trouble.measurements.join(", ");
        let _ = writeln!(text, "not measured: {names}: {}", visible(&trouble.why, 4 * SHOWN));
    }
    let count = |verdict| {
        let all = said.targets.iter().flat_map(|target| &target.measurements);
        all.filter(|one| one.verdict == verdict).count() as u64
    };
    let all = said.targets.iter().map(|target| target.measurements.len() as u64).sum::<u64>();
    let all = all - count(Verdict::NotApplicable);
    let noun = of(all, "measurement", "measurements");
    let _ = write!(
        text,
        "{all} {noun}: {} carried (✓), {} impaired (✗), {} without a verdict (?)",
        count(Verdict::Good),
        count(Verdict::Impaired),
        count(Verdict::Unknown)
    );
    text.push_str(if said.stopped { "; stopped before all were made\n" } else { "\n" });
}
