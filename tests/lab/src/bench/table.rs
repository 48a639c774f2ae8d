//! Owns how a benchmark is shown: one Markdown table for each case, which reads as well on a
//! terminal, and one line for each run as it ends.

use std::fmt::Write;

use super::case::Case;
use super::report::{CaseReport, Column, Report, Run, median};

/// What is shown of each program in a case.
fn columns(case: Case) -> &'static [Column] {
    use Column::{
        Answered, Core, Cpu, CpuMillis, Half, Millis, MissedFlows, NineTenths, OfFirst, Peak,
        PerTarget, Rate, Seconds, ServerCpu, Share, Syns, Targets, Tenth, Wrong,
    };
    match case {
        Case::Connect => &[Targets, Rate, Share, Cpu, Peak, MissedFlows, Wrong],
        Case::Syn => &[Targets, Rate, Share, Answered, Cpu, Peak, MissedFlows, Wrong],
        Case::Dead => &[Targets, Seconds, Share, Cpu, Peak, MissedFlows, Wrong],
        Case::Http | Case::Https | Case::Http3 | Case::DnsUdp => {
            &[Targets, Rate, Share, Cpu, ServerCpu, Peak, MissedFlows, Wrong]
        }
        Case::Forged => &[Targets, Rate, Share, Syns, Answered, Cpu, MissedFlows, Wrong],
        Case::Conversations => &[Targets, Rate, OfFirst, Cpu, Peak, MissedFlows, Wrong],
        Case::Stages => &[Targets, Cpu, Core, MissedFlows, Wrong],
        Case::Start => &[Millis, CpuMillis, Wrong],
        Case::Blocking => &[Targets, PerTarget, Cpu, Peak, MissedFlows, Wrong],
        Case::Scale => &[Targets, Seconds, PerTarget, Cpu, Peak, MissedFlows, Wrong],
        Case::Memory | Case::MemoryForged | Case::MemoryQuic => {
            &[Targets, Seconds, Tenth, Half, NineTenths, Peak, MissedFlows, Wrong]
        }
        Case::OneAddress => &[Targets, Seconds, Rate, Cpu, Peak, MissedFlows, Wrong],
    }
}

impl Column {
    fn heading(self) -> &'static str {
        match self {
            Column::Targets => "targets",
            Column::Seconds => "s",
            Column::Millis => "ms",
            Column::Rate => "targets/s",
            Column::PerTarget => "µs/target",
            Column::Share => "of the loop (lowest–highest)",
            Column::OfFirst => "of the first (lowest–highest)",
            Column::Cpu => "CPU µs/target",
            Column::CpuMillis => "CPU ms",
            Column::Core => "of a core",
            Column::ServerCpu => "servers' CPU µs/target",
            Column::Syns => "SYNs/s",
            Column::Answered => "answers got",
            Column::Tenth => "MiB after 10 %",
            Column::Half => "after 50 %",
            Column::NineTenths => "after 90 %",
            Column::Peak => "peak MiB",
            Column::MissedFlows => "flows missed",
            Column::Wrong => "wrong or none",
        }
    }

    fn shown(self, value: f64) -> String {
        const MEBIBYTE: f64 = (1 << 20) as f64;
        match self {
            Column::Share | Column::OfFirst | Column::Core => format!("{:.0} %", value * 100.0),
            // All is all: what is nearly all is not rounded to it.
            Column::Answered => format!("{:.2} %", (value * 1e4).floor() / 100.0),
            Column::Seconds | Column::Millis | Column::CpuMillis => format!("{value:.1}"),
            Column::PerTarget | Column::Cpu | Column::ServerCpu if value < 10.0 => {
                format!("{value:.1}")
            }
            Column::Tenth | Column::Half | Column::NineTenths | Column::Peak => {
                format!("{:.0}", value / MEBIBYTE)
            }
            _ => grouped(value),
        }
    }

    /// A cell: what some runs come to together.
    fn cell(self, runs: &[&Run]) -> String {
        let values: Vec<f64> = runs.iter().filter_map(|run| run.value(self)).collect();
        let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
        let count = values.len();
        let value = match self {
            Column::MissedFlows | Column::Wrong if count > 0 => Some(values.iter().sum()),
            Column::Peak if count > 0 => Some(highest),
            _ => median(values),
        };
        match value {
            None => "–".into(),
            Some(value) if matches!(self, Column::Share | Column::OfFirst) && count > 1 => {
                let percent = |value: f64| format!("{:.0}", value * 100.0);
                format!("{} ({}–{})", self.shown(value), percent(lowest), percent(highest))
            }
            Some(value) => self.shown(value),
        }
    }
}

/// A number with a comma between thousands.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// What a run of a case came to, in a line.
pub fn measured(case: Case, run: &Run) -> String {
    let mut line = format!("{:<12} {:>2}  {:<20}", case.name(), run.round, run.program);
    if let Some(why) = &run.missing {
        return line + why;
    }
    for column in columns(case) {
        if let Some(value) = run.value(*column) {
            let heading = column.heading();
            let heading = heading.split(" (").next().unwrap_or(heading);
            let _ = write!(line, " {} {heading},", column.shown(value));
        }
    }
    line.trim_end_matches(',').to_owned()
}

/// The whole benchmark as Markdown.
pub fn markdown(report: &Report) -> String {
    let mut text = format!("{}.\n", report.machine);
    for case in &report.cases {
        let _ = write!(text, "\n{}", section(case));
    }
    text
}

fn section(report: &CaseReport) -> String {
    let case = report.case;
    let columns = columns(case);
    let mut rows = vec![vec!["program".to_owned()]];
    rows[0].extend(columns.iter().map(|column| column.heading().to_owned()));
    for runs in report.programs() {
        let (program, missing) = (&runs[0].program, &runs[0].missing);
        let why = missing.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
        let program = format!("{program}{why}");
        let cells = columns.iter().map(|column| column.cell(&runs));
        rows.push([program].into_iter().chain(cells).collect());
    }
    let rounds = report.runs.iter().map(|run| run.round).max().unwrap_or(0);
    let rounds = if rounds == 1 { "one round".into() } else { format!("{rounds} rounds") };
    format!(
        "### {}\n\n{}\n\n`{}` (`pathspider-lab bench {}`, {rounds}):\n\n{}",
        case.title(),
        wrapped(case.about()),
        report.command,
        case.name(),
        table(&rows)
    )
}

/// Sentences in lines as wide as a page of the documentation.
fn wrapped(text: &str) -> String {
    const WIDTH: usize = 100;
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + 1 + word.len() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.into()),
        }
    }
    lines.join("\n")
}

/// A Markdown table whose columns are aligned; the first row is the headings.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0).max(3)).collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let _ = write!(text, "| {:<1$} |", row[0], widths[0]);
        for (cell, width) in row.iter().zip(&widths).skip(1) {
            let _ = write!(text, " {cell:>width$} |");
        }
        text.push('\n');
        if number == 0 {
            let _ = write!(text, "|{}|", "-".repeat(widths[0] + 2));
            widths[1..].iter().for_each(|width| text += &format!("{}:|", "-".repeat(width + 1)));
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_medians_highest_peaks_and_all_errors() {
        let run = |round, seconds, peak, wrong| Run {
            round,
            program: "pathspider".into(),
            targets: 30_000,
            seconds,
            share_of_loop: Some(1.0 / seconds),
            peak_memory: Some(peak * (1_u64 << 20)),
            wrong: Some(wrong),
            ..Run::default()
        };
        let runs = vec![
            run(1, 2.0, 90, 0),
            run(2, 1.0, 70, 1),
            run(3, 4.0, 80, 2),
            Run::missing("x", "y"),
        ];
        let report = CaseReport { case: Case::Connect, command: "pathspider".into(), runs };
        let text = section(&report);
        let row = text.lines().find(|line| line.starts_with("| pathspider")).unwrap();
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let expected = ["30,000", "15,000", "50 % (25–100)", "–", "90", "–", "3"];
        assert_eq!(cells[2..9], expected);
        assert!(text.contains("| x (y) "), "{text}");
    }

    #[test]
    fn as_many_rows_as_there_are_sizes() {
        let run = |targets| Run { targets, program: "pathspider".into(), ..Run::default() };
        let runs = vec![run(10), run(100), run(10)];
        let text = section(&CaseReport { case: Case::Scale, command: String::new(), runs });
        assert_eq!(text.matches("| pathspider ").count(), 2, "{text}");
    }

    #[test]
    fn nearly_all_is_not_all() {
        assert_eq!(Column::Answered.shown(0.999_999), "99.99 %");
        assert_eq!(Column::Answered.shown(1.0), "100.00 %");
        assert_eq!(grouped(1_234_567.0), "1,234,567");
    }
}
