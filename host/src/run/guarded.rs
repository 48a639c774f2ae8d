//! The third and fourth state of a run: the machine is its own and will be restored whatever
//! happens, at first without threads, then with them.

use super::RunError;
use super::asked::Attention;
use super::locked::{Locked, Ready};
use pathspider_runtime::privileges;
use pathspider_runtime::say;
use pathspider_runtime::threads::{SingleThread, Threads};
use pathspider_system::Machine;

/// The keeper is forked, where there is one. There is no thread yet.
pub(super) struct Guarded<'a> {
    ready: Ready<'a>,
    attention: Attention,
    machine: Machine,
    single: SingleThread,
}

impl<'a> Locked<'a> {
    /// Where the plugin declares to change the machine: waits for the lock, undoes what killed runs
    /// left, and forks the keeper.
    pub(super) fn guard(self, single: SingleThread) -> Result<Guarded<'a>, RunError> {
        let Locked { ready, attention } = self;
        let info = &ready.basis.options.measurement.info;
        if info.changes_system && !privileges::may_change_network() {
            return Err(RunError::NoNetworkPrivilege(info.name.clone()));
        }
        let machine = if info.changes_system {
            Machine::begin(&info.name, &single, &|| attention.is_asked())?
        } else {
            Machine::new()
        };
        Ok(Guarded { ready, attention, machine, single })
    }
}

/// Threads write messages, and turn signals and the end of `--max-runtime` into requests to stop.
pub(super) struct Listening<'a> {
    pub(super) ready: Ready<'a>,
    pub(super) machine: Machine,
    pub(super) threads: Threads,
}

impl<'a> Guarded<'a> {
    /// Starts the first threads. The keeper can only be forked before this.
    pub(super) fn listen(self) -> Result<Listening<'a>, RunError> {
        let Guarded { ready, attention, machine, single } = self;
        let threads = single.end();
        say::begin(threads)
            .and_then(|()| attention.listen(threads))
            .map_err(RunError::no_thread)?;
        Ok(Listening { ready, machine, threads })
    }
}
