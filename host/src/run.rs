//! The life of one run, as a chain of states. Each step consumes the state before it and makes the
//! next one, so none can come too early. Where a step fails, what the states own is given back.
//!
//! | state | what it says | why the next step needs it | step in `docs/architecture.md` |
//! |---|---|---|---|
//! | `Asked` | the plugin has been asked, the input is open, signals are caught | waiting can be ended | 2 |
//! | `Locked` | the outputs are this run's alone, and unchanged | another run, which it waits for, cannot change them | |
//! | `Guarded` | the keeper is forked; there is no thread | a fork after the first thread could stand still | |
//! | `Listening` | threads write messages and take signals | opening may take long | |
//! | `Capturing` | source and raw sockets are open | opening takes privileges | 3 |
//! | `Reduced` | privileges are given up | nothing is written with them | |
//! | `Opened` | the outputs are begun | all that could fail has not | |
//! | `Running`, `Connected`, `Settled` (`stages`) | feeder, observer and merger run; the engine has ended, and the machine is restored; all records are written | | 4–10 |
//! | [`RunEnd`] | what the run came to; the metadata say so | | 11 |

mod asked;
mod capturing;
mod checks;
mod end;
mod finishing;
mod guarded;
mod here;
mod keeping;
mod known;
mod limit;
mod locked;
mod memory;
mod opened;
mod options;
mod parent;
mod pipeline;
mod plan;
mod stages;

use asked::Asked;
pub(crate) use checks::{descriptors, raise_descriptors};
pub use end::{RunEnd, RunError};
pub(crate) use here::look;
pub use keeping::Keep;
pub use options::RunOptions;
use pathspider_observer::check_interface;
use pathspider_runtime::stop::Urgency;
use pathspider_runtime::threads::SingleThread;

/// What a run would be, as its metadata would say, and how many targets at a time. The interface is looked for
/// and the plugin is asked; nothing else is touched.
///
/// # Errors
///
/// The run could not start.
pub fn foresee(options: &RunOptions<'_>) -> Result<serde_json::Value, RunError> {
    if let Some(interface) = &options.interface {
        check_interface(interface)?;
    }
    let (plan, _) = plan::Plan::ask(options)?;
    keeping::foresee(options, &plan)
}

/// Runs a measurement to its end. `announce` is called with each request to stop that a signal made.
///
/// # Errors
///
/// The run could not start, and nothing was sent, or could not even end in order. What goes wrong
/// between is in [`RunEnd`].
pub fn run(
    options: RunOptions<'_>,
    single: SingleThread,
    announce: fn(Urgency),
) -> Result<RunEnd, RunError> {
    memory::in_small_pages();
    Asked::ask(options, announce)?
        .lock()?
        .guard(single)?
        .listen()?
        .capture()?
        .reduce()
        .open()?
        .carry_out()
}
