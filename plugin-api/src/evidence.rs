//! What the capture proves of each configuration, before anything is concluded from it.
//!
//! The kernel, a route or a firewall of the machine may send something else than a configuration
//! asked for, and the capture may lack the packet that shows it. [`Evidence`] keeps flows of
//! which that is so away from the conclusions, and says which they were.

use crate::condition::{Condition, observed};
use crate::measurement::ConfigId;
use crate::packet::TcpFlags;
use crate::{Record, Value};

/// The merged records of one job, and what the capture proves of each.
#[derive(Debug)]
pub struct Evidence<'f> {
    flows: &'f [Record],
    applied: Vec<Option<bool>>,
}

impl<'f> Evidence<'f> {
    /// Judges each flow that was observed: whether it was sent as its configuration demands;
    /// `None` where the capture lacks the packets that would show it.
    pub fn weigh(
        flows: &'f [Record],
        as_meant: impl Fn(ConfigId, &'f Record) -> Option<bool>,
    ) -> Evidence<'f> {
        let judge = |(index, flow)| {
            if observed(flow) { as_meant(ConfigId::new(index), flow) } else { None }
        };
        Evidence { flows, applied: flows.iter().enumerate().map(judge).collect() }
    }

    /// The flow of a configuration, if it was sent as it demands. A baseline that was not takes
    /// all others with it, for nobody knows what else was not as it should be.
    pub fn flow(&self, config: ConfigId) -> Option<&'f Record> {
        let applied = |index: usize| self.applied.get(index).copied().flatten();
        let sound = applied(0) != Some(false) && applied(config.index()) == Some(true);
        self.flows.get(config.index()).filter(|_| sound)
    }

    /// [`Condition::connectivity`] of the baseline and this configuration, if both were sent as
    /// they demand.
    pub fn connectivity(&self, prefix: &str, config: ConfigId) -> Option<Condition> {
        Condition::connectivity(prefix, self.flow(ConfigId::BASELINE)?, self.flow(config)?)
    }

    /// The conditions that were drawn from the flows, and after them
    /// [`not_applied`](Condition::not_applied) for each configuration that was sent otherwise, and
    /// [`not_observed`](Condition::not_observed) where the packets that decide were not captured.
    pub fn conclude(&self, drawn: impl IntoIterator<Item = Condition>) -> Vec<Condition> {
        let mut conditions: Vec<Condition> = drawn.into_iter().collect();
        let otherwise = |(index, applied): (usize, &Option<bool>)| {
            (*applied == Some(false)).then(|| Condition::not_applied(ConfigId::new(index)))
        };
        conditions.extend(self.applied.iter().enumerate().filter_map(otherwise));
        let mut judged = self.flows.iter().zip(&self.applied);
        if judged.any(|(flow, applied)| observed(flow) && applied.is_none()) {
            conditions.push(Condition::not_observed());
        }
        conditions
    }
}

/// What the capture shows of the SYNs that we sent, repeated ones included. Needs the chain `syn`.
#[derive(Debug, Clone, Copy)]
pub struct SentSyns<'f> {
    flow: &'f Record,
    count: u64,
}

impl<'f> SentSyns<'f> {
    /// Those of a flow; `None` where the capture has none.
    pub fn of(flow: &'f Record) -> Option<SentSyns<'f>> {
        let count = flow.u64("syn_count_fwd").filter(|&count| count > 0)?;
        Some(SentSyns { flow, count })
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whether each had all of these flags.
    pub fn all_have(&self, flags: TcpFlags) -> bool {
        self.flags("syn_flags_all_fwd").has(flags)
    }

    /// Whether one had any of these flags.
    pub fn any_has(&self, flags: TcpFlags) -> bool {
        self.flags("syn_flags_any_fwd") & flags != TcpFlags::NONE
    }

    /// Whether each had a TCP option of this kind.
    pub fn all_offer(&self, kind: u8) -> bool {
        self.lists("syn_options_all_fwd", kind)
    }

    /// Whether one had a TCP option of this kind.
    pub fn any_offers(&self, kind: u8) -> bool {
        self.lists("syn_options_any_fwd", kind)
    }

    fn flags(&self, key: &str) -> TcpFlags {
        TcpFlags(self.flow.u64(key).and_then(|bits| u16::try_from(bits).ok()).unwrap_or(0))
    }

    fn lists(&self, key: &str, kind: u8) -> bool {
        let kinds = self.flow.get(key).and_then(Value::as_list).unwrap_or(&[]);
        kinds.iter().any(|other| other.as_u64() == Some(kind.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::flow;
    use crate::{ConfigId, State};

    const B: ConfigId = ConfigId::new(1);

    fn weighed(judged: [Option<bool>; 2]) -> (bool, bool, Vec<String>) {
        let flows = [flow(State::Ok), flow(State::Ok)];
        let evidence = Evidence::weigh(&flows, |config, _| judged[config.index()]);
        let conditions = evidence.conclude(evidence.connectivity("x", B));
        let found = |config| evidence.flow(config).is_some();
        let text = conditions.iter().map(ToString::to_string).collect();
        (found(ConfigId::BASELINE), found(B), text)
    }

    #[test]
    fn only_what_was_sent_as_meant_counts() {
        let yes = Some(true);
        let no = Some(false);
        let works = || vec!["x.connectivity.works".to_owned()];
        let not_applied = |config| vec![format!("pathspider.not_applied:{config}")];
        let unseen = || vec!["pathspider.not_observed".to_owned()];
        assert_eq!(weighed([yes, yes]), (true, true, works()));
        assert_eq!(weighed([yes, no]), (true, false, not_applied(1)));
        assert_eq!(weighed([no, yes]), (false, false, not_applied(0)));
        assert_eq!(weighed([yes, None]), (true, false, unseen()));
        assert_eq!(weighed([None, yes]), (false, true, unseen()));
    }

    #[test]
    fn a_flow_that_was_missed_is_the_hosts_to_tell() {
        let flows = [flow(State::Ok), flow(State::Ok).with("observed", false)];
        let evidence = Evidence::weigh(&flows, |_, _| Some(true));
        assert!(evidence.flow(B).is_none());
        assert!(evidence.conclude(None).is_empty());
    }

    #[test]
    fn syns_are_read_as_the_chain_writes_them() {
        let flow = flow(State::Ok)
            .with("syn_count_fwd", 2u8)
            .with("syn_flags_all_fwd", 0x02u16)
            .with("syn_flags_any_fwd", 0x42u16)
            .with("syn_options_all_fwd", [2u8].into_iter().collect::<Value>())
            .with("syn_options_any_fwd", [2u8, 8].into_iter().collect::<Value>());
        let syns = SentSyns::of(&flow).unwrap();
        assert_eq!(syns.count(), 2);
        assert!(syns.any_has(TcpFlags::ECE | TcpFlags::CWR) && !syns.all_have(TcpFlags::ECE));
        assert!(syns.all_offer(2) && syns.any_offers(8) && !syns.all_offer(8));
        assert!(SentSyns::of(&flow.with("syn_count_fwd", 0u8)).is_none());
    }
}
