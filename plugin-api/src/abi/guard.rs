//! The one guard around every foreign call, and the failure it reports.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

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
    match catch_unwind(AssertUnwindSafe(function)) {
        Ok(Ok(value)) => ROk(value),
        Ok(Err(error)) => RErr(error.into()),
        Err(payload) => RErr(Error::of(ErrorKind::Panicked, panic_message(payload)).into()),
    }
}

/// The text of a panic. The payload is leaked, because dropping it could panic again.
pub(crate) fn panic_message(payload: Box<dyn Any + Send>) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_owned());
    std::mem::forget(payload);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_failure_with_its_message() {
        let answer = guard::<()>(|| panic!("no {}", "luck"));
        let error = Error::from(answer.into_result().err().unwrap());
        assert_eq!(error.kind(), ErrorKind::Panicked);
        assert_eq!(error.message(), "no luck");
    }
}
