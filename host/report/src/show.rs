//! Figures as people read them: numbers, shares and intervals in words, and tables of them. Nothing is counted
//! here.

pub(crate) mod comparison;
pub(crate) mod html;
pub(crate) mod report;
mod table;

use pathspider_runtime::text;

pub(crate) use table::Table;

use crate::statistics::Share;

/// The most characters of a name that somebody else chose.
const LONGEST: usize = 60;

/// A name from records, which may hold anything.
pub(crate) fn name(text: &str) -> String {
    text::visible(text, LONGEST)
}

/// A number with its thousands apart.
pub(crate) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// A number with what it counts.
pub(crate) fn several(count: u64, one: &'static str, more: &'static str) -> String {
    format!("{} {}", number(count), text::of(count, one, more))
}

/// A share in per cent; what is not nothing does not look like it.
pub(crate) fn per_cent(share: Option<f64>) -> String {
    let Some(share) = share else { return "–".to_owned() };
    match 100.0 * share {
        small if small > 0.0 && small < 0.005 => "<0.01".to_owned(),
        large if large < 100.0 && large > 99.995 => ">99.99".to_owned(),
        other => format!("{other:.2}"),
    }
}

/// The ends of a share's interval.
pub(crate) fn interval(share: &Share) -> String {
    match share.share {
        None => String::new(),
        Some(_) => format!("{}–{}", per_cent(share.low), per_cent(share.high)),
    }
}

/// Counts with what they count, in one line.
pub(crate) fn counts<'a>(counts: impl IntoIterator<Item = (&'a str, u64)>) -> String {
    let one = |(what, count)| format!("{} {}", number(count), name(what));
    counts.into_iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_at_a_glance() {
        for (value, shown) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(number(value), shown);
        }
        for (share, shown) in [
            (Some(0.0), "0.00"),
            (Some(0.000_01), "<0.01"),
            (Some(0.123_4), "12.34"),
            (Some(0.999_99), ">99.99"),
            (Some(1.0), "100.00"),
            (None, "–"),
        ] {
            assert_eq!(per_cent(share), shown);
        }
        assert_eq!(name("a\x1b[1m"), "a\\u{1b}[1m");
    }
}
