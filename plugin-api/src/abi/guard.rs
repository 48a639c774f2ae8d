//! The one guard around every foreign call, and the failure it reports.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use abi_stable::StableAbi;
use abi_stable::std_types::{RErr, ROk, RResult, RString};

use crate::error::{Error, ErrorKind};

/// An [`Error`] in C's terms.
#[repr(C)]
#[derive(StableAbi)]
pub struct Failure {
    kind: u8,
    message: RString,
}

#[cfg(test)]
impl Failure {
    pub(super) fn kind(&self) -> u8 {
        self.kind
    }
}

/// What every function of the boundary returns.
pub type Answer<T> = RResult<T, Failure>;

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let kind = match error.kind() {
            ErrorKind::Declined => 0,
            ErrorKind::Panicked => 1,
            ErrorKind::Contract => 2,
        };
        Failure { kind, message: error.message().into() }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        let kind = match failure.kind {
            0 => ErrorKind::Declined,
            1 => ErrorKind::Panicked,
            _ => ErrorKind::Contract,
        };
        Error::of(kind, failure.message)
    }
}

/// Runs one side's code for the other: a panic becomes a failure.
///
/// It must run in the code of the side that may panic, for a panic of another copy of `std`
/// cannot be caught. `AssertUnwindSafe` holds because an object whose function panicked is only
/// asked again where the plugin's own types are still valid: Rust gives no weaker promise.
pub(crate) fn guard<T>(function: impl FnOnce() -> Result<T, Error>) -> Answer<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(place_hook);
    let outer = GUARDED.replace(true);
    let answer = guard_quickly(function);
    GUARDED.set(outer);
    answer
}

/// The same for what is called with every packet: without a note of the thread that it is guarded, so
/// that a panic's text is written to standard error too.
pub(crate) fn guard_quickly<T>(function: impl FnOnce() -> Result<T, Error>) -> Answer<T> {
    match catch_unwind(AssertUnwindSafe(function)) {
        Ok(Ok(value)) => ROk(value),
        Ok(Err(error)) => RErr(error.into()),
        Err(payload) => RErr(Error::of(ErrorKind::Panicked, panic_message(payload)).into()),
    }
}

thread_local! {
    /// Whether a panic of this thread is caught by a guard that reports it.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
    /// Where this thread's last panic was.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Notes where panics are. What a guard reports is not written to standard error too, unless somebody asks
/// for the functions that led there; and nothing is written there that could move a cursor.
fn place_hook() {
    let before = take_hook();
    set_hook(Box::new(move |info| {
        PLACE.set(info.location().map(ToString::to_string));
        let wants_backtrace = || std::env::var_os("RUST_BACKTRACE").is_some_and(|v| v != "0");
        if GUARDED.get() && !wants_backtrace() {
            return;
        }
        let text = text(info.payload());
        if text.is_none_or(|text| text.chars().all(is_plain)) {
            before(info)
        } else {
            let text: String = text.into_iter().flat_map(str::chars).flat_map(shown).collect();
            let place = PLACE.with_borrow(|place| place.clone().unwrap_or_default());
            let line = format!("a thread panicked at {place}: {text}\n");
            // Where standard error is gone there is nobody to tell.
            let _ = std::io::stderr().write_all(line.as_bytes());
        }
    }));
}

/// Whether a character is shown as itself, and does nothing else.
fn is_plain(c: char) -> bool {
    matches!(c, '\n' | '\t' | '\'' | '"' | '\\') || c.escape_debug().count() == 1
}

fn shown(c: char) -> impl Iterator<Item = char> {
    let escaped = (!is_plain(c)).then(|| c.escape_debug());
    escaped.into_iter().flatten().chain(Some(c).filter(|&c| is_plain(c)))
}

/// The text of a panic.
fn text(payload: &(dyn Any + Send)) -> Option<&str> {
    let owned = || payload.downcast_ref::<String>().map(String::as_str);
    payload.downcast_ref::<&str>().copied().or_else(owned)
}

/// The text of a panic and where it was. The payload is leaked, because dropping it could panic again.
fn panic_message(payload: Box<dyn Any + Send>) -> String {
    let said = text(&*payload).unwrap_or("without a message").to_owned();
    std::mem::forget(payload);
    match PLACE.take() {
        Some(place) => format!("{said} ({place})"),
        None => said,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_failure_with_its_message() {
        let answer = guard::<()>(|| panic!("no {}", "luck"));
        let error = Error::from(answer.into_result().err().unwrap());
        assert_eq!(error.kind(), ErrorKind::Panicked);
        let (message, place) = error.message().split_once(" (").unwrap();
        assert_eq!(message, "no luck");
        assert!(place.contains("guard.rs:") && place.ends_with(')'), "{place}");
    }
}
