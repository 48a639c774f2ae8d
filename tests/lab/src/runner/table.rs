//! Owns the table a person reads: one line for each path, and under a path that differs one line
//! for each thing found there.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::{Comparison, Row};

const HEADINGS: [&str; 4] = ["Path", "What it does", "Expected", "Measured"];

/// More conditions of one path than a cell can show well.
const MANY: usize = 6;

/// Colours, or none.
#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn wrap(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.into() }
    }
}

/// Sets the table. With `colour`, right is green, wrong is red and the headings are bold.
pub fn render(comparison: &Comparison, colour: bool) -> String {
    let paint = Paint(colour);
    let first = comparison.rows.first().filter(|row| row.expected.len() > MANY);
    let lines: Vec<(bool, [String; 4])> =
        comparison.rows.iter().flat_map(|row| lines(&comparison.plugin, row, first)).collect();
    let width = |column: usize| {
        let cells = lines.iter().map(|(_, cells)| cells[column].chars().count());
        cells.chain([HEADINGS[column].len()]).max().unwrap_or(0)
    };
    let widths: [usize; 4] = std::array::from_fn(width);

    let mut out = String::new();
    let heading = aligned(&HEADINGS.map(ToString::to_string), &widths);
    let _ = writeln!(out, "   {}", paint.wrap("1", &heading));
    for (right, cells) in &lines {
        let mark = match (cells[0].is_empty(), right) {
            (true, _) => " ".to_string(),
            (false, true) => paint.wrap("32", "✓"),
            (false, false) => paint.wrap("31;1", "✗"),
        };
        let text = aligned(cells, &widths);
        let text = if *right { text } else { paint.wrap("31", &text) };
        let _ = writeln!(out, " {mark} {text}");
    }
    let wrong = comparison.rows.iter().filter(|row| !row.is_right()).count();
    let verdict = match (comparison.is_right(), comparison.rows.len()) {
        (true, 1) => paint.wrap("32", "✓ the path measured as it is"),
        (true, total) => paint.wrap("32", &format!("✓ all {total} paths measured as they are")),
        (false, total) => paint.wrap("31;1", &format!("✗ {wrong} of {total} paths differ")),
    };
    let _ = writeln!(out, "\n {verdict} ({} targets)", comparison.targets());
    if comparison.strangers > 0 {
        let _ = writeln!(out, " ✗ {} records of targets never asked for", comparison.strangers);
    }
    out
}

/// The lines of one path: cells wider than the page would be are broken after a comma. Where there
/// are many conditions, the first path has them all, and the others what differs.
fn lines(plugin: &str, row: &Row, first: Option<&Row>) -> Vec<(bool, [String; 4])> {
    let right = row.is_right();
    let expected = match first {
        Some(first) if first.truth.name != row.truth.name => wrapped(&unlike(plugin, row, first)),
        _ => wrapped(&words(plugin, &row.expected)),
    };
    let measured = if right {
        vec![format!("all {} targets so", row.targets)]
    } else {
        // The most frequent first: it is what the path "is" when a few targets stray.
        let mut found: Vec<_> = row.found.iter().collect();
        found.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let missing = (row.missing() > 0).then(|| format!("{} × no record", row.missing()));
        found
            .into_iter()
            .flat_map(|(set, count)| wrapped(&format!("{count} × {}", words(plugin, set))))
            .chain(missing)
            .collect()
    };
    (0..expected.len().max(measured.len()))
        .map(|line| {
            let once = |text: &str| if line == 0 { text.to_string() } else { String::new() };
            let cell = |cells: &[String]| cells.get(line).cloned().unwrap_or_default();
            let cells =
                [once(&row.truth.name), once(&row.truth.summary), cell(&expected), cell(&measured)];
            (right, cells)
        })
        .collect()
}

/// Breaks a list so that no line is much longer than two conditions.
fn wrapped(list: &str) -> Vec<String> {
    const WIDE: usize = 46;
    let mut lines = vec![String::new()];
    for part in list.split_inclusive(", ") {
        match lines.last_mut() {
            Some(line) if line.is_empty() || line.len() + part.trim_end().len() <= WIDE => {
                line.push_str(part);
            }
            _ => lines.push(format!("  {part}")),
        }
    }
    lines.iter().map(|line| line.trim_end().to_string()).collect()
}

/// Conditions without the plugin's own name before each.
fn words(plugin: &str, conditions: &BTreeSet<String>) -> String {
    if conditions.is_empty() {
        return "nothing".into();
    }
    let own = format!("{plugin}.");
    let words: Vec<_> = conditions.iter().map(|c| c.strip_prefix(&own).unwrap_or(c)).collect();
    words.join(", ")
}

/// The conditions of a path that another has not.
fn unlike(plugin: &str, row: &Row, other: &Row) -> String {
    let own: BTreeSet<String> = row.expected.difference(&other.expected).cloned().collect();
    let like = &other.truth.name;
    match (own.is_empty(), own.len() == row.expected.len()) {
        (true, _) => format!("as {like}"),
        (_, true) => words(plugin, &own),
        _ => format!("{}, else as {like}", words(plugin, &own)),
    }
}

fn aligned(cells: &[String; 4], widths: &[usize; 4]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        let _ = write!(line, "{cell:width$}   ");
    }
    line.trim_end().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::{Record, Target, compare};
    use crate::truth::Truth;

    #[test]
    fn a_difference_shows_every_thing_found() {
        let truth = Truth::new("drop", "drops").expecting("ecn", &["ecn.connectivity.broken"]);
        let target = Target { truth: &truth, address: [10, 0, 0, 1].into(), port: Some(80) };
        let record = |condition: &str| Record {
            dip: target.address,
            lab_path: "drop".into(),
            conditions: vec![condition.into()],
        };
        let records = [record("ecn.connectivity.works"), record("ecn.connectivity.broken")];
        let text = render(&compare("ecn", [target; 3], &records), false);
        let pad = " ".repeat(47);
        let expected = format!(
            "   Path   What it does   Expected              Measured\n \
             ✗ drop   drops          connectivity.broken   1 × connectivity.broken\n\
             {pad}1 × connectivity.works\n\
             {pad}1 × no record\n\n \
             ✗ 1 of 1 paths differ (3 targets)\n"
        );
        assert_eq!(text, expected);
    }
}
