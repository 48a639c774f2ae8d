//! Messages for people, on standard error.

use std::fmt::Arguments;
use std::io::{self, Write};

/// Writes a line for people, as `format!` would make it.
macro_rules! say {
    ($($message:tt)*) => {
        $crate::say::line(format_args!($($message)*))
    };
}
pub(crate) use say;

/// Writes a line. Where standard error is gone there is nobody to tell, and the run goes on.
pub(crate) fn line(message: Arguments<'_>) {
    let _ = writeln!(io::stderr(), "pathspider: {message}");
}
