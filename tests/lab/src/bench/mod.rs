//! Owns the benchmark: pathspider, a bare loop and other programs on the same targets, in turn, in
//! the same network, so that what the machine does besides touches all of them.

mod case;
mod contest;
mod emulator;
mod loops;
mod machine;
mod others;
mod page;
mod report;
mod table;
mod watch;

use std::path::PathBuf;

use crate::error::Result;
use contest::Contest;

pub use case::Case;
pub use emulator::{EmulatorSpeed, emulator_speed};
pub use loops::{Exchanged, LoopResult, bare_loop};
pub use machine::Machine;
pub use page::{readable, rewrite};
pub use report::{CaseReport, Report, Run};
pub use table::{markdown, measured};

/// How often a case is measured where nobody says: the median of fewer would be a matter of luck,
/// but those that take minutes have time to even themselves out.
const ROUNDS: usize = 5;
const LONG_ROUNDS: usize = 1;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The pathspider to run.
    pub pathspider: PathBuf,
    /// The cases, in this order.
    pub cases: Vec<Case>,
    /// Targets of each case; its own number if left out.
    pub targets: Option<u32>,
    /// Rounds of each case; every program has its turn in each. What takes minutes has one.
    pub rounds: Option<usize>,
    /// Targets in flight, in pathspider and in the bare loop; the case's own number if left out.
    pub workers: Option<usize>,
    /// Whether programs that are not the project's own are run where they are installed.
    pub others: bool,
}

/// Makes the networks and measures all cases; `progress` hears of each run as it ends.
///
/// # Errors
/// When a network cannot be made or pathspider fails. Of another program's failure the report tells.
pub fn run(settings: &Settings, mut progress: impl FnMut(Case, &Run)) -> Result<Report> {
    let machine = Machine::this();
    let mut cases = Vec::new();
    for &case in &settings.cases {
        let contest = Contest::new(case, settings)?;
        let mut runs = Vec::new();
        let rounds = if case.is_long() { LONG_ROUNDS } else { settings.rounds.unwrap_or(ROUNDS) };
        for round in 1..=rounds {
            contest.round(|run| {
                let run = Run { round, ..run };
                progress(case, &run);
                runs.push(run);
            })?;
        }
        cases.push(CaseReport { case, command: contest.command(), runs });
    }
    Ok(Report { machine, cases })
}
