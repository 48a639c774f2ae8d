//! The stages of a run by themselves, one program: feeding and writing.

mod feeding;
mod writing;
