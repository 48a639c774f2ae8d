//! Owns what happens to packets between the vantage point and the targets, in user space.
//!
//! [`Engine`] is the whole of it and touches no system: packets and the time go in, packets come
//! out, and the same ones for the same input. [`Driver`] joins it to TUN devices and the clock.

mod accurate;
mod action;
mod draw;
mod driver;
mod engine;
mod matching;
mod memory;
mod path;
mod schedule;

pub use driver::Driver;
pub use engine::{Engine, Network, Output, Side};
pub use path::{Path, Router};

/// Time since the emulator began. It is always handed in, never asked for.
pub type Time = std::time::Duration;

#[cfg(test)]
mod tests;
