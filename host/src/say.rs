//! Messages for people, on standard error.

use std::fmt::Arguments;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use indicatif::ProgressBar;

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
    let write = || {
        let _ = writeln!(io::stderr(), "pathspider: {message}");
    };
    match &*BAR.lock().unwrap_or_else(PoisonError::into_inner) {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}
