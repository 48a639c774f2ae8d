//! Which flows over UDP ended a moment ago. The kernel gives their ports again at once, and nothing
//! in a datagram shows that it begins another flow.

use std::cell::RefCell;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use pathspider_plugin_api::packet::protocol;

use super::Flow;

/// How long a flow is remembered at the least: longer than the observer waits for late packets of
/// one that has ended.
const SPAN: Duration = Duration::from_secs(1);

/// Our end and the target's.
type Ends = (SocketAddr, SocketAddr);

/// The flows that ended in this span of time, and in the one before.
pub(in crate::engine) struct Recent(RefCell<Spans>);

struct Spans {
    since: Instant,
    this: HashSet<Ends, RandomState>,
    former: HashSet<Ends, RandomState>,
}

impl Recent {
    /// None has ended so far.
    pub(super) fn new(now: Instant) -> Recent {
        let (this, former) = (HashSet::default(), HashSet::default());
        Recent(RefCell::new(Spans { since: now, this, former }))
    }

    /// A flow has ended. Of TCP, a SYN shows where the next one begins.
    pub(super) fn note(&self, flow: &Flow, now: Instant) {
        if let (protocol::UDP, Some(local)) = (flow.protocol, flow.local) {
            self.0.borrow_mut().at(now).this.insert((local, flow.remote));
        }
    }

    /// Whether a flow with these ends ended a moment ago.
    pub(super) fn has(&self, ends: Ends, now: Instant) -> bool {
        let mut spans = self.0.borrow_mut();
        let Spans { this, former, .. } = spans.at(now);
        this.contains(&ends) || former.contains(&ends)
    }
}

impl Spans {
    /// Forgets what has been over for long enough.
    fn at(&mut self, now: Instant) -> &mut Spans {
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed >= SPAN {
            std::mem::swap(&mut self.this, &mut self.former);
            self.this.clear();
            if elapsed >= 2 * SPAN {
                self.former.clear();
            }
            self.since = now;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn flow(protocol: u8, port: u16) -> Flow {
        let end = |port| SocketAddr::from(([192, 0, 2, 1], port));
        let started = SystemTime::UNIX_EPOCH;
        Flow { protocol, local: Some(end(port)), remote: end(53), started }
    }

    #[test]
    fn a_flow_is_remembered_for_a_span_and_no_longer_than_two() {
        let begin = Instant::now();
        let recent = Recent::new(begin);
        let ended = flow(protocol::UDP, 4000);
        let has = |after| {
            recent.has((ended.local.unwrap(), ended.remote), begin + Duration::from_millis(after))
        };
        assert!(!has(0));
        recent.note(&ended, begin + Duration::from_millis(900));
        assert!(has(900) && has(1000) && has(1900));
        assert!(!has(2900));
        recent.note(&ended, begin + Duration::from_millis(2950));
        assert!(has(2950));
        assert!(!has(9000), "nobody looked for long");
    }

    #[test]
    fn only_of_udp_and_only_the_same_ends() {
        let now = Instant::now();
        let recent = Recent::new(now);
        recent.note(&flow(protocol::TCP, 4000), now);
        recent.note(&flow(protocol::UDP, 4001), now);
        let has = |port| {
            let Flow { local, remote, .. } = flow(protocol::UDP, port);
            recent.has((local.unwrap(), remote), now)
        };
        assert!(!has(4000) && has(4001) && !has(4002));
    }
}
