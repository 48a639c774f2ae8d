//! How the program behaves as a process: its messages, signals, privileges and files, and what it
//! says when it crashes or stands still.
//!
//! Of measurements it knows only which function of a plugin a thread is in.
//!
//! Each module owns one of these; they take what they need as arguments.

// Standard error may be gone, and `eprintln!` panics then: see `say`.
#![warn(clippy::print_stderr)]

pub mod apart;
pub mod asking;
pub mod closed;
pub mod crash;
pub mod decompress;
pub mod ending;
pub mod exit;
pub mod files;
mod line;
pub mod patience;
pub mod privileges;
pub mod process;
pub mod say;
pub mod stop;
pub mod streams;
pub mod surroundings;
pub mod survivor;
pub mod text;
pub mod threads;
pub mod uptime;
pub mod watchdog;
pub mod witness;
