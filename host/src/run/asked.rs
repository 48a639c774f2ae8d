//! The first state of a run: the plugin has been asked, and nothing is touched.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use pathspider_plugin_api::abi::ChainSet;

use super::checks::check_files;
use super::limit::Limit;
use super::plan::Plan;
use super::{RunError, RunOptions};
use crate::job::JobReader;
use pathspider_runtime::crash;
use pathspider_runtime::stop::{Caught, Stop, Urgency};
use pathspider_runtime::threads::Threads;

/// What all states of a run have.
pub(super) struct Basis<'a> {
    pub(super) options: RunOptions<'a>,
    pub(super) plan: Plan,
    /// The chains that look at the packets.
    pub(super) chains: ChainSet,
    pub(super) stop: Arc<Stop>,
    pub(super) began: Instant,
}

/// The plugin has been asked, the input is open, and signals are requests to stop (step 2).
pub(super) struct Asked<'a> {
    pub(super) basis: Basis<'a>,
    pub(super) attention: Attention,
    pub(super) reader: JobReader,
}

impl<'a> Asked<'a> {
    /// Asks the plugin, then catches signals.
    pub(super) fn ask(
        options: RunOptions<'a>,
        announce: fn(Urgency),
    ) -> Result<Asked<'a>, RunError> {
        let began = Instant::now();
        let (plan, chains) = Plan::ask(&options)?;
        // Not earlier: a plugin that stays in these functions is ended by any signal.
        let stop = Stop::new();
        let attention =
            Attention::begin(&stop, Limit::new(began, options.max_runtime), announce)
                .map_err(|error| RunError::System(format!("cannot handle signals: {error}")))?;
        if let Some(parent) = options.parent {
            let watched = super::parent::stop_with(parent, &stop);
            watched.map_err(|error| RunError::System(format!("cannot watch --parent: {error}")))?;
        }
        let reader = JobReader::open(&options.input, options.format)?;
        check_files(&options)?;
        crash::loaded(options.plugins.iter().map(|plugin| plugin.file.path.as_path()));
        Ok(Asked { basis: Basis { options, plan, chains, stop, began }, attention, reader })
    }
}

/// What may end a run before it measures: signals, and `--max-runtime`. While there are no threads,
/// whoever reads or waits for long looks here.
pub(super) struct Attention {
    signals: RefCell<Caught>,
    limit: Limit,
    stop: Arc<Stop>,
}

impl Attention {
    fn begin(stop: &Arc<Stop>, limit: Limit, announce: fn(Urgency)) -> io::Result<Attention> {
        let signals = Caught::new(Arc::clone(stop), announce)?;
        Ok(Attention { signals: RefCell::new(signals), limit, stop: Arc::clone(stop) })
    }

    /// Looks whether the run was told to stop.
    pub(super) fn is_asked(&self) -> bool {
        self.signals.borrow_mut().look();
        self.limit.look(&self.stop);
        self.stop.is_asked()
    }

    /// Has threads look from now on.
    pub(super) fn listen(self, threads: Threads) -> io::Result<()> {
        let Attention { signals, limit, stop } = self;
        signals.into_inner().listen(threads)?;
        limit.start(threads, stop)
    }
}
