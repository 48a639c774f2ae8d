//! Exit statuses, and the failures that lead to them.

pub(crate) use pathspider_program::{Exit, Failure};
