//! What needs no run, one program: feeding and writing by themselves, and the shape of the sources.

mod feeding;
mod shape;
mod writing;
