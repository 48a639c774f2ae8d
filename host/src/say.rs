//! Messages for people, on standard error.

use std::fmt::{self, Arguments, Write as _};
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use indicatif::ProgressBar;

use crate::text;

/// Writes a line for people, as `format!` would make it.
macro_rules! say {
    ($($message:tt)*) => {
        $crate::say::line(format_args!($($message)*))
    };
}
pub(crate) use say;

/// The bar on the terminal, above which lines are written.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Has lines written above this bar from now on; `None` when it is gone.
pub(crate) fn show_above(bar: Option<ProgressBar>) {
    *BAR.lock().unwrap_or_else(PoisonError::into_inner) = bar;
}

/// Writes a line. Where standard error is gone there is nobody to tell, and the run goes on.
pub(crate) fn line(message: Arguments<'_>) {
    let mut line = Line(String::from("pathspider: "));
    let _ = line.write_fmt(message);
    line.0.push('\n');
    // At once, so that the lines of several threads do not mix.
    let write = || {
        let _ = io::stderr().write_all(line.0.as_bytes());
    };
    match &*BAR.lock().unwrap_or_else(PoisonError::into_inner) {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// A message in which nothing can pass for another one: parts of it are the words of plugins and
/// of input. Further lines are indented, hidden characters escaped.
struct Line(String);

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '\n' => self.0.push_str("\n    "),
                '\t' => self.0.push(c),
                c => text::show(c, &mut self.0),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_cannot_pass_for_two() {
        let mut line = Line(String::new());
        let theirs = "b\npathspider: c\x1b[1m\u{202e}";
        write!(line, "a {theirs}").unwrap();
        assert_eq!(line.0, "a b\n    pathspider: c\\u{1b}[1m\\u{202e}");
    }
}
