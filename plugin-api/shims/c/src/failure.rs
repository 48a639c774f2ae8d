//! Why a function of the C file failed: `ps_fail` notes it, and whoever called the function asks.

use std::cell::RefCell;

use pathspider_plugin_api::{Error, Result};

thread_local! {
    static FAILURE: RefCell<Option<Error>> = const { RefCell::new(None) };
}

/// Notes why the function fails that runs on this thread. The first reason counts.
pub(crate) fn fail(error: Error) {
    FAILURE.with_borrow_mut(|failure| {
        failure.get_or_insert(error);
    });
}

/// Calls a function of the C file; what it gave, unless it failed.
pub(crate) fn called<T>(function: impl FnOnce() -> T) -> Result<T> {
    FAILURE.set(None);
    let given = function();
    FAILURE.take().map_or(Ok(given), Err)
}

/// The same for one that gives 0 where it succeeded.
pub(crate) fn succeeded(name: &str, function: impl FnOnce() -> i32) -> Result<()> {
    match called(function)? {
        0 => Ok(()),
        code => Err(Error::new(format_args!("{name} gave {code}, and no reason"))),
    }
}
