//! The last state before a run measures: the outputs are begun.

use super::RunError;
use super::asked::Basis;
use super::capturing::Reduced;
use super::end::{RunEnd, not_restored};
use super::guarded::Listening;
use super::keeping::Kept;
use super::locked::Ready;
use super::stages::Stages;
use pathspider_observer::Source;
use pathspider_runtime::ending;
use pathspider_system::Machine;

/// The metadata say that the run has begun. What was to be emptied is empty, and all that could fail
/// without a trace has not.
pub(super) struct Opened<'a> {
    stages: Stages<'a>,
    machine: Machine,
    kept: Kept,
}

impl<'a> Reduced<'a> {
    /// Begins the outputs: the only step before the measuring that changes what was there. A run
    /// that cannot leaves no file that was not there.
    pub(super) fn open(self) -> Result<Opened<'a>, RunError> {
        let Reduced { listening, source, forger, wire, elsewhere } = self;
        let Listening { ready, machine, threads } = listening;
        let Ready { basis, reader, outputs, showing, dialer, beside, .. } = ready;
        let Basis { options, plan, chains, stop, began } = basis;
        let link = source.as_ref().and_then(Source::link_number);
        let (written, kept) = outputs.open(&options, &plan, link)?;
        let last_word = kept.last_word();
        let stages = Stages {
            options,
            plan,
            chains,
            stop,
            began,
            threads,
            reader,
            written,
            showing,
            dialer,
            beside,
            source,
            forger,
            wire,
            elsewhere,
            last_word,
        };
        Ok(Opened { stages, machine, kept })
    }
}

impl Opened<'_> {
    /// Steps 4 to 11: runs the stages to their end, restores the machine, and then writes what came
    /// of the run. A stage that fails leaves nothing of the rest out.
    pub(super) fn carry_out(self) -> Result<RunEnd, RunError> {
        let Opened { stages, mut machine, kept } = self;
        let ended = stages.run(&mut machine);
        let closed = kept.close(restored(machine, ended));
        ending::forget();
        closed
    }
}

/// Restores the machine where the stages did not come so far, and tells what could not be restored.
fn restored(mut machine: Machine, ended: Result<RunEnd, RunError>) -> Result<RunEnd, RunError> {
    machine.restore();
    match machine.take_failed() {
        what if what.is_empty() => ended,
        what => not_restored(what, ended),
    }
}
