//! check
use super::child::Reporter;
use std::fs::File;
pub(crate) fn inside(_: File, _: &str, _: &str, _: u64, _: &mut Reporter) -> bool {
    false
}
