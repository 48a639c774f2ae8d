//! A comparison as tables on a terminal.

use std::fmt::Write as _;

use super::{Table, name, number, per_cent, several};
use crate::compare::{Compared, Comparison, Pairs};
use crate::statistics::{Change, Test};

/// The most transitions of an aspect that are shown.
const MOST_TRANSITIONS: usize = 20;

// Writing to a `String` does not fail.
macro_rules! put {
    ($text:expr, $($what:tt)*) => {
        let _ = writeln!($text, $($what)*);
    };
}

/// The comparison as text; `top` is the most rows of a ranking.
pub(crate) fn text(comparison: &Comparison, top: usize) -> String {
    let mut text = String::new();
    for compared in &comparison.measurements {
        measurement(compared, &comparison.key, top, &mut text);
    }
    text
}

fn measurement(compared: &Compared, key: &str, top: usize, text: &mut String) {
    let [a, b] = compared.only.map(number);
    let before = if text.is_empty() { "" } else { "\n" };
    put!(
        text,
        "{before}{}: {} in both, {a} only in A, {b} only in B",
        name(&compared.name),
        several(compared.both, "target", "targets")
    );
    for pairs in &compared.aspects {
        aspect(pairs, key, top, text);
    }
}

fn aspect(pairs: &Pairs, key: &str, top: usize, text: &mut String) {
    let [a, b] = pairs.verdict_only.map(number);
    put!(
        text,
        "\n  {} of {} with a verdict in both ({a} only in A, {b} only in B): {} changed",
        name(&pairs.aspect),
        several(pairs.pairs, "target", "targets"),
        number(pairs.changed)
    );
    let mut table = Table::new([">A", ">A %", ">B", ">B %", ">lost", ">gained", "p", "condition"]);
    for both in &pairs.conditions {
        table.row([
            number(both.first.cases),
            per_cent(both.first.share),
            number(both.second.cases),
            per_cent(both.second.share),
            number(both.change.lost),
            number(both.change.gained),
            p(&both.change),
            name(&both.condition),
        ]);
    }
    table.write(4, text);
    if pairs.changed == 0 {
        return;
    }
    let mut table = Table::new([">targets", "from", "to"]);
    for transition in pairs.transitions.iter().take(MOST_TRANSITIONS) {
        table.row([number(transition.targets), name(&transition.from), name(&transition.to)]);
    }
    put!(text, "");
    table.write(4, text);
    groups(pairs, key, top, text);
}

fn groups(pairs: &Pairs, key: &str, top: usize, text: &mut String) {
    let changed = pairs.groups.iter().filter(|group| group.changed > 0);
    let heads = [&*name(key), ">pairs", ">changed", ">impaired in A", ">in B", "p"];
    let mut table = Table::new(heads);
    let mut rows = 0;
    for group in changed.take(top) {
        rows += 1;
        table.row([
            name(&group.value),
            number(group.pairs),
            number(group.changed),
            number(group.impaired.lost),
            number(group.impaired.gained),
            p(&group.impaired),
        ]);
    }
    if rows > 0 {
        put!(text, "\n    Changes by {}; impaired only in A, and only in B", name(key));
        table.write(4, text);
    }
    let [values, of_them] = pairs.small;
    if values > 0 {
        put!(
            text,
            "    {} of {} with fewer pairs than --min, {} in all",
            several(values, "value", "values"),
            name(key),
            number(of_them)
        );
    }
}

/// A probability and the test that it is of.
fn p(change: &Change) -> String {
    let Some(p) = change.p else { return String::new() };
    let test = match change.test {
        Test::Exact => " exact",
        Test::Mcnemar => "",
    };
    match p {
        p if p < 0.0001 => format!("<0.0001{test}"),
        p => format!("{p:.4}{test}"),
    }
}
