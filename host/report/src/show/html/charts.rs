//! Pictures of figures, as SVG that takes its colours from the page.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::figures::{Aspect, ConditionShare, Failures, Grouped, OverTime, RoundTrips, Stage};
use crate::show::{number, per_cent};
use crate::statistics::Share;
use pathspider_records::Class;
use pathspider_runtime::text::visible;

/// Pixels: the page scales the picture.
const WIDTH: i32 = 760;
const LABELS: i32 = 230;
const RIGHT: i32 = 170;
const ROW: i32 = 26;
const AXIS: i32 = 40;
const PLOT: i32 = 220;
const FONT: i32 = 13;

/// The most rows of a picture; the table has all.
const MOST_ROWS: usize = 20;

/// The most characters of a label.
const LABEL: usize = 28;

/// Stand-ins that the page's colours take the place of.
const INK: RGBColor = RGBColor(0, 0, 0);
const FAINT: RGBColor = RGBColor(1, 1, 1);
const BAR: RGBColor = RGBColor(2, 2, 2);
const BAD: RGBColor = RGBColor(3, 3, 3);
const COLOURS: [(&str, &str); 4] = [
    ("\"#000000\"", "\"currentColor\""),
    ("\"#010101\"", "\"var(--line)\""),
    ("\"#020202\"", "\"var(--bar)\""),
    ("\"#030303\"", "\"var(--bad)\""),
];

/// A picture.
pub(super) struct Chart {
    svg: String,
}

impl Chart {
    /// Its text.
    pub(super) fn svg(&self) -> &str {
        &self.svg
    }

    /// Draws one of this height. Into memory, which cannot fail: where it did, there is no picture.
    fn draw(height: i32, paint: impl FnOnce(&mut Canvas<'_>) -> Option<()>) -> Option<Chart> {
        let mut svg = String::new();
        {
            let size = (WIDTH.unsigned_abs(), height.unsigned_abs());
            let mut canvas = Canvas { backend: SVGBackend::with_string(&mut svg, size) };
            paint(&mut canvas)?;
            canvas.backend.present().ok()?;
        }
        // Only attributes are of this shape: in texts, quotes are escaped.
        for (stand_in, colour) in COLOURS {
            svg = svg.replace(stand_in, colour);
        }
        Some(Chart { svg })
    }
}

struct Canvas<'s> {
    backend: SVGBackend<'s>,
}

impl Canvas<'_> {
    fn line(&mut self, from: (i32, i32), to: (i32, i32), colour: RGBColor) -> Option<()> {
        self.backend.draw_line(from, to, &colour).ok()
    }

    fn bar(&mut self, from: (i32, i32), to: (i32, i32), colour: RGBColor) -> Option<()> {
        self.backend.draw_rect(from, to, &colour, true).ok()
    }

    fn dot(&mut self, at: (i32, i32), colour: RGBColor) -> Option<()> {
        self.backend.draw_circle(at, 4, &colour, true).ok()
    }

    fn path(&mut self, points: Vec<(i32, i32)>, colour: RGBColor) -> Option<()> {
        self.backend.draw_path(points, &ShapeStyle::from(&colour).stroke_width(2)).ok()
    }

    fn text(&mut self, text: &str, at: (i32, i32), side: HPos) -> Option<()> {
        let style =
            TextStyle::from(("sans-serif", FONT)).color(&INK).pos(Pos::new(side, VPos::Center));
        self.backend.draw_text(&visible(text, LABEL), &style, at).ok()
    }
}

/// A share with its label.
struct Item<'r> {
    label: &'r str,
    share: &'r Share,
    is_bad: bool,
}

/// A dot and its interval for each share.
fn shares(items: &[Item<'_>]) -> Option<Chart> {
    let items = items.get(..items.len().min(MOST_ROWS)).filter(|items| !items.is_empty())?;
    let most = items.iter().filter_map(|item| item.share.high).fold(0.0, f64::max);
    let most = ceiling(most);
    let rows = i32::try_from(items.len()).ok()?;
    let height = rows * ROW + AXIS;
    Chart::draw(height, |canvas| {
        scale(canvas, most, rows * ROW)?;
        for (item, row) in items.iter().zip(0..) {
            let middle = row * ROW + ROW / 2;
            let colour = if item.is_bad { BAD } else { BAR };
            canvas.text(item.label, (LABELS - 10, middle), HPos::Right)?;
            let Share { share: Some(share), low: Some(low), high: Some(high), .. } = *item.share
            else {
                continue;
            };
            canvas.line((across(low, most), middle), (across(high, most), middle), colour)?;
            canvas.dot((across(share, most), middle), colour)?;
            let cases = format!("{} of {}", number(item.share.cases), number(item.share.of));
            canvas.text(&cases, (WIDTH - RIGHT + 8, middle), HPos::Left)?;
        }
        Some(())
    })
}

/// Where a share is, from left to right.
fn across(share: f64, most: f64) -> i32 {
    let width = f64::from(WIDTH - RIGHT - LABELS);
    LABELS + (width * (share / most).clamp(0.0, 1.0)).round() as i32
}

/// The least round share that is no less.
fn ceiling(share: f64) -> f64 {
    let round = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5];
    round.into_iter().find(|&round| share <= round).unwrap_or(1.0)
}

/// Lines and numbers below rows of this height.
fn scale(canvas: &mut Canvas<'_>, most: f64, height: i32) -> Option<()> {
    for step in 0..=4 {
        let share = most * f64::from(step) / 4.0;
        let at = across(share, most);
        canvas.line((at, 0), (at, height), FAINT)?;
        canvas.text(
            &format!("{} %", trimmed(100.0 * share)),
            (at, height + AXIS / 2),
            HPos::Center,
        )?;
    }
    Some(())
}

/// A number without zeros at its end.
fn trimmed(number: f64) -> String {
    format!("{number:.3}").trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The stages of the funnel as bars.
pub(super) fn funnel(stages: &[Stage]) -> Option<Chart> {
    let most = stages.iter().map(|stage| stage.count).max()?.max(1) as f64;
    let rows = i32::try_from(stages.len()).ok()?;
    Chart::draw(rows * ROW, |canvas| {
        for (stage, row) in stages.iter().zip(0..) {
            let middle = row * ROW + ROW / 2;
            let end = across(stage.count as f64, most);
            canvas.text(stage.stage, (LABELS - 10, middle), HPos::Right)?;
            canvas.bar((LABELS, middle - 8), (end, middle + 8), BAR)?;
            canvas.text(&number(stage.count), (WIDTH - RIGHT + 8, middle), HPos::Left)?;
        }
        Some(())
    })
}

/// The shares of an aspect's conditions.
pub(super) fn aspect(aspect: &Aspect) -> Option<Chart> {
    let item = |of| item_of(of);
    shares(&aspect.conditions.iter().map(item).collect::<Vec<_>>())
}

fn item_of(of: &ConditionShare) -> Item<'_> {
    Item { label: &of.word, share: &of.share, is_bad: of.class == Class::Impaired }
}

/// What is impaired, or where nothing is, the first condition, of each value of a key.
pub(super) fn grouped(grouped: &Grouped) -> Option<Chart> {
    let is_impaired = grouped.rows.iter().any(|row| row.impaired.cases > 0);
    let items = grouped.rows.iter().filter_map(|row| {
        let first = row.conditions.first()?;
        let share = if is_impaired { &row.impaired } else { &first.share };
        Some(Item { label: &row.value, share, is_bad: is_impaired })
    });
    shares(&items.collect::<Vec<_>>())
}

/// How many connections failed in each configuration.
pub(super) fn failures(failures: &[Failures]) -> Option<Chart> {
    let labels: Vec<String> = failures
        .iter()
        .map(|of| format!("{} {}", of.config, of.label.as_deref().unwrap_or_default()))
        .collect();
    let items = failures.iter().zip(&labels);
    let items = items.map(|(of, label)| Item { label, share: &of.failed, is_bad: true });
    shares(&items.collect::<Vec<_>>())
}

/// The same as for groups, from left to right.
pub(super) fn over_time(over_time: &OverTime) -> Option<Chart> {
    let is_impaired = over_time.steps.iter().any(|step| step.impaired.cases > 0);
    let points = over_time.steps.iter().filter_map(|step| {
        let first = step.conditions.first()?;
        Some((&*step.from, if is_impaired { &step.impaired } else { &first.share }))
    });
    let points: Vec<(&str, &Share)> = points.collect();
    let most = ceiling(points.iter().filter_map(|(_, share)| share.high).fold(0.0, f64::max));
    let colour = if is_impaired { BAD } else { BAR };
    let steps = i32::try_from(points.len()).ok()?;
    Chart::draw(PLOT + AXIS, |canvas| {
        let (left, right) = (70, WIDTH - 70);
        let up = |share: f64| PLOT - 10 - (f64::from(PLOT - 30) * share / most).round() as i32;
        let along = |step: i32| left + (right - left) * step / (steps - 1).max(1);
        for step in 0..=4 {
            let share = most * f64::from(step) / 4.0;
            canvas.line((left, up(share)), (right, up(share)), FAINT)?;
            canvas.text(
                &format!("{} %", trimmed(100.0 * share)),
                (left - 8, up(share)),
                HPos::Right,
            )?;
        }
        let mut path = Vec::new();
        for (&(from, share), step) in points.iter().zip(0..) {
            if step % (steps / 5).max(1) == 0 {
                let day = from.get(..13).unwrap_or(from).replace('T', " ");
                canvas.text(&format!("{day} h"), (along(step), PLOT + AXIS / 2), HPos::Center)?;
            }
            let Share { share: Some(share), low: Some(low), high: Some(high), .. } = *share else {
                continue;
            };
            canvas.line((along(step), up(low)), (along(step), up(high)), colour)?;
            canvas.dot((along(step), up(share)), colour)?;
            path.push((along(step), up(share)));
        }
        canvas.path(path, colour)
    })
}

/// The distributions of round trips: the baseline, and the others.
pub(super) fn round_trips(round_trips: &[RoundTrips]) -> Option<Chart> {
    let times = round_trips.iter().flat_map(|of| &of.distribution).map(|&(time, _)| time.max(1));
    let (least, most) = (times.clone().min()? as f64, times.max()? as f64);
    let span = (most / least).ln().max(0.1);
    Chart::draw(PLOT + AXIS, |canvas| {
        let (left, right) = (70, WIDTH - RIGHT);
        let along =
            |time: f64| left + (f64::from(right - left) * (time / least).ln() / span) as i32;
        let up = |share: f64| PLOT - 10 - (f64::from(PLOT - 30) * share).round() as i32;
        for step in 0..=4 {
            let share = f64::from(step) / 4.0;
            canvas.line((left, up(share)), (right, up(share)), FAINT)?;
            canvas.text(&per_cent(Some(share)), (left - 8, up(share)), HPos::Right)?;
            let time = least * (span * share).exp();
            let label = format!("{} ms", trimmed((time / 10.0).round() / 100.0));
            canvas.text(&label, (along(time), PLOT + AXIS / 2), HPos::Center)?;
        }
        for (of, number) in round_trips.iter().zip(0..) {
            let colour = if of.config == 0 { BAR } else { BAD };
            let points = of.distribution.iter();
            let points = points.map(|&(time, share)| (along(time.max(1) as f64), up(share)));
            canvas.path(points.collect(), colour)?;
            let label = format!("{} {}", of.config, of.label.as_deref().unwrap_or_default());
            let beside = (right + 8, 20 + number * ROW);
            canvas.bar((right + 8, beside.1 - 6), (right + 18, beside.1 + 6), colour)?;
            canvas.text(&label, (right + 24, beside.1), HPos::Left)?;
        }
        Some(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grouped_of(values: impl Iterator<Item = String>) -> Grouped {
        let row = |value: String| crate::figures::Row {
            value,
            verdicts: 100,
            conditions: vec![ConditionShare {
                condition: "x.y.works".to_owned(),
                word: "works".to_owned(),
                class: Class::Good,
                share: Share::of(90, 100),
            }],
            impaired: Share::of(10, 100),
        };
        Grouped {
            key: "key".to_owned(),
            aspect: "x.y".to_owned(),
            rows: values.map(row).collect(),
            small: Default::default(),
            without_key: 0,
        }
    }

    #[test]
    fn pictures_of_none_of_one_and_of_many() {
        assert!(grouped(&grouped_of(std::iter::empty())).is_none());
        for groups in [1, 50] {
            let chart = grouped(&grouped_of((0..groups).map(|n| n.to_string()))).unwrap();
            let dots = chart.svg().matches("<circle").count();
            assert_eq!(dots, (groups as usize).min(MOST_ROWS));
            assert!(!chart.svg().contains("#0"), "a colour that the page does not know");
        }
    }

    #[test]
    fn labels_are_cut_and_escaped() {
        let hostile = "</svg><script>alert(1)</script>\"#020202\"\u{1b}".to_owned();
        let svg = grouped(&grouped_of(std::iter::once(hostile))).unwrap();
        assert!(!svg.svg().contains("<script"), "{}", svg.svg());
        assert!(!svg.svg().contains('\u{1b}'));
        assert_eq!(svg.svg().matches("</svg>").count(), 1);
        let long = grouped(&grouped_of(std::iter::once("x".repeat(500)))).unwrap();
        assert!(long.svg().contains(&format!("{}…", "x".repeat(LABEL))));
    }

    #[test]
    fn scales_are_round() {
        for (share, expected) in [(0.0, 0.001), (0.03, 0.05), (0.5, 0.5), (0.51, 1.0), (1.0, 1.0)] {
            assert_eq!(ceiling(share), expected);
        }
        assert_eq!(
            (trimmed(12.5), trimmed(100.0), trimmed(0.025)),
            ("12.5".into(), "100".into(), "0.025".into())
        );
    }
}
