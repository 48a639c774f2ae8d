//! How long flows live, for observing and measuring alike.

use super::place::FlowId;
use super::table::{Flow, FlowTable};
use super::{Settings, nanoseconds};

/// What decides when a flow leaves the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lives {
    /// After how long without a packet a flow ends.
    pub(crate) idle_ns: i64,
    /// How long late packets of one that is over are known as its.
    pub(crate) linger_ns: i64,
    /// Flows in the table at most.
    pub(crate) max_flows: usize,
    over: Over,
}

/// From when on a flow only lingers.
#[derive(Debug, Clone, Copy)]
enum Over {
    /// A chain said that it is complete.
    Complete,
    /// Its connection was answered for.
    Answered,
}

impl Lives {
    /// Of flows that are written when they are complete.
    pub(crate) fn observing(settings: &Settings) -> Lives {
        Lives::new(settings, Over::Complete)
    }

    /// Of flows that connections ask for.
    pub(crate) fn measuring(settings: &Settings) -> Lives {
        Lives::new(settings, Over::Answered)
    }

    fn new(settings: &Settings, over: Over) -> Lives {
        let (idle_ns, linger_ns) = (nanoseconds(settings.idle), nanoseconds(settings.linger));
        Lives { idle_ns, linger_ns, max_flows: settings.max_flows.max(1), over }
    }

    /// When a flow leaves if nothing more is seen of it.
    #[inline]
    pub(crate) fn ends_ns(&self, flow: &Flow) -> i64 {
        let is_over = match self.over {
            Over::Complete => flow.done,
            Over::Answered => flow.state.is_none(),
        };
        if is_over {
            flow.done_ns.saturating_add(self.linger_ns)
        } else {
            flow.last_ns.saturating_add(self.idle_ns)
        }
    }

    /// When a flow is looked at again that had a packet at this time.
    #[inline]
    pub(crate) fn idle_from(&self, time_ns: i64) -> i64 {
        time_ns.saturating_add(self.idle_ns)
    }

    /// When a flow is looked at again that was over at this time.
    #[inline]
    pub(crate) fn linger_from(&self, time_ns: i64) -> i64 {
        time_ns.saturating_add(self.linger_ns)
    }

    /// Whether a flow has to leave before another begins.
    pub(crate) fn is_full(&self, table: &FlowTable) -> bool {
        table.len() >= self.max_flows
    }

    /// The flow that leaves first.
    pub(crate) fn oldest(&self, table: &mut FlowTable) -> Option<FlowId> {
        table.oldest(|flow| self.ends_ns(flow))
    }
}
