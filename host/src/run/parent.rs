//! The end of the process that started this one, where the run is not to outlive it.

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use pathspider_runtime::say;
use pathspider_runtime::stop::Stop;

/// Has the kernel send SIGTERM when the parent is gone, which has to be the process of this number: from
/// then on it is a signal like any other. It may be gone already.
///
/// # Errors
///
/// The kernel refuses.
pub(super) fn stop_with(parent: u32, stop: &Stop) -> std::io::Result<()> {
    set_parent_process_death_signal(Some(Signal::TERM))?;
    let is_there = getppid().map(Pid::as_raw_nonzero).map(i32::from);
    if is_there != i32::try_from(parent).ok() {
        stop.finish("the end of the process that started it");
        say!("the process of --parent {parent} is gone: nothing is measured");
    }
    Ok(())
}
