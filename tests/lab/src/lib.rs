//! Emulated network paths with known truth, for trying and testing pathspider.
//!
//! A lab is a network on this machine, in namespaces that only the lab's own process holds: when it
//! ends, in whatever way, nothing is left, and the machine's own network is never touched.
//!
//! [`kernel::KernelLab`] forwards in the kernel and is fast. Run any command at its vantage point,
//! or measure with [`runner::Measurement`] and [`runner::compare`] what was found with what is known.
//!
//! ```no_run
//! use pathspider_lab::kernel::{KernelLab, standard_groups};
//! use std::process::Command;
//!
//! pathspider_lab::net::prepare()?;
//! let lab = KernelLab::new(standard_groups(10, 10))?;
//! let finished = lab.run(Command::new("ping").args(["-c1", "10.1.0.1"]))?;
//! assert!(finished.status.success());
//! # Ok::<(), pathspider_lab::Error>(())
//! ```

pub mod bench;
pub mod emulated;
pub mod emulator;
mod error;
pub mod kernel;
pub mod net;
pub mod packet;
mod plan;
pub mod runner;
pub mod scenario;
pub mod targets;
mod truth;
pub mod vantage;

pub use error::{Error, Result};
pub use truth::Truth;
