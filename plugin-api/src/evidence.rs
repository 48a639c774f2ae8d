//! What the capture proves of each configuration, before anything is concluded from it.
//!
//! The kernel, a route or a firewall of the machine may send something else than a configuration
//! asked for, and the capture may lack the packet that shows it. [`Evidence`] keeps such flows away
//! from the conclusions, and says which they were.

use crate::carriage;
use crate::chains::{syn, tcp};
use crate::conclusion::Conclusion;
use crate::condition::{Condition, Connectivity};
use crate::configuration::ConfigId;
use crate::connect::ConnectKind;
use crate::flows::{Flow, compared};
use crate::packet::TcpFlags;

/// The connections of one job, and what the capture proves of each.
pub struct Evidence<'f> {
    /// Each with whether it was sent as it was meant.
    judged: Vec<(Flow<'f>, Option<bool>)>,
}

impl<'f> Evidence<'f> {
    pub(crate) fn weigh(
        flows: impl Iterator<Item = Flow<'f>>,
        as_meant: impl Fn(Flow<'f>) -> Option<bool>,
    ) -> Evidence<'f> {
        let judge = |flow: Flow<'f>| (flow, if flow.seen() { as_meant(flow) } else { None });
        Evidence { judged: flows.map(judge).collect() }
    }

    /// The flow of a configuration, if it was sent as it demands. If the baseline was proven to be
    /// sent otherwise, this is `None` for every configuration: nothing is left to compare with.
    pub fn of(&self, config: impl Into<ConfigId>) -> Option<Flow<'f>> {
        let &(flow, applied) = self.judged.get(config.into().index())?;
        let is_sound = self.judged.first()?.1 != Some(false) && applied == Some(true);
        is_sound.then_some(flow)
    }

    /// The comparison of the baseline with this configuration, by whether the path carried them, if
    /// both were sent as they demand.
    pub fn connectivity(
        &self,
        words: Connectivity,
        config: impl Into<ConfigId>,
    ) -> Option<Condition> {
        compared(words, self.of(ConfigId::BASELINE)?, self.of(config)?)
    }

    /// The same by a measure of success of the plugin's own.
    pub fn compared(
        &self,
        words: Connectivity,
        config: impl Into<ConfigId>,
        worked: impl Fn(Flow<'f>) -> bool,
    ) -> Option<Condition> {
        let (a, b) = (self.of(ConfigId::BASELINE)?, self.of(config)?);
        Some(words.compared(worked(a), worked(b)))
    }

    /// The conditions that were drawn from the flows, and after them
    /// [`not_applied`](Condition::not_applied) for each configuration that was sent otherwise, and
    /// [`not_observed`](Condition::not_observed) where the packets that decide were not captured.
    pub fn conclude(&self, drawn: impl IntoIterator<Item = Condition>) -> Conclusion {
        let mut conditions: Vec<Condition> = drawn.into_iter().collect();
        let otherwise = self.judged.iter().filter(|(_, applied)| *applied == Some(false));
        conditions.extend(otherwise.map(|(flow, _)| Condition::not_applied(flow.config())));
        if self.judged.iter().any(|(flow, applied)| flow.seen() && applied.is_none()) {
            conditions.push(Condition::not_observed());
        }
        conditions.into()
    }
}

/// What the capture shows of the SYNs that we sent, repeated ones included. Needs the chain `syn`.
#[derive(Clone, Copy)]
pub struct SentSyns<'f>(Flow<'f>);

impl<'f> SentSyns<'f> {
    /// Those of a flow; `None` where the capture has none.
    pub fn of(flow: Flow<'f>) -> Option<SentSyns<'f>> {
        flow.get(syn::COUNT_FWD).filter(|&count| count > 0).map(|_| SentSyns(flow))
    }

    /// How many there were.
    pub fn count(&self) -> u32 {
        self.0.get(syn::COUNT_FWD).unwrap_or(0)
    }

    /// Whether each had all of these flags.
    pub fn all_have(&self, flags: TcpFlags) -> bool {
        self.0.get(syn::FLAGS_ALL_FWD).is_some_and(|all| all.has(flags))
    }

    /// Whether one had any of these flags.
    pub fn any_has(&self, flags: TcpFlags) -> bool {
        self.0.get(syn::FLAGS_ANY_FWD).is_some_and(|any| any & flags != TcpFlags::NONE)
    }

    /// Whether each had a TCP option of this kind.
    pub fn all_offer(&self, kind: u8) -> bool {
        self.0.get(syn::OPTIONS_ALL_FWD).is_some_and(|kinds| kinds.has(kind))
    }

    /// Whether one had a TCP option of this kind.
    pub fn any_offers(&self, kind: u8) -> bool {
        self.0.get(syn::OPTIONS_ANY_FWD).is_some_and(|kinds| kinds.has(kind))
    }
}

impl Flow<'_> {
    /// Whether the target answered our SYN with a SYN/ACK. Any other answer, such as a RST, may be of
    /// whoever would not let it pass. For forged SYNs, which nobody goes on with; else see
    /// [`connected`](Flow::connected). Needs the chain `tcp`.
    pub fn accepted_syn(self) -> bool {
        self.get(tcp::SYNFLAGS_REV).is_some_and(carriage::accepts)
    }

    /// Whether a handshake was made, as far as it can be: where [nobody goes on](crate::Connect::syn)
    /// with the SYN, it was [accepted](Flow::accepted_syn). Needs the chain `tcp`.
    pub fn shook_hands(self) -> bool {
        let is_syn = || self.outcome().str(carriage::KIND) == Some(ConnectKind::Syn.name());
        self.has(tcp::CONNECTED) || self.accepted_syn() && is_syn()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chains::tcp;
    use crate::packet::OptionKinds;
    use crate::testing::{self, flow};
    use crate::{Configuration, State, conditions};

    const B: Configuration = Configuration::new(1, "b");
    conditions! {
        WORDS: connectivity("x");
    }

    fn weighed(judged: [Option<bool>; 2]) -> (bool, bool, Vec<String>) {
        let flows = [flow(State::Ok), flow(State::Ok)];
        testing::with_flows(&flows, |flows| {
            let evidence = flows.weigh(|flow| judged[flow.config().index()]);
            let conclusion = evidence.conclude(evidence.connectivity(WORDS, B));
            let text = conclusion.conditions().iter().map(ToString::to_string).collect();
            (evidence.of(ConfigId::BASELINE).is_some(), evidence.of(B).is_some(), text)
        })
    }

    #[test]
    fn only_what_was_sent_as_meant_counts() {
        assert_eq!(CONDITIONS.len(), 1);
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
    fn a_handshake_that_failed_says_nothing_of_data_unless_it_failed_in_both() {
        let of = |connected, meant| (connected, meant);
        let weighed = |flows: [(bool, Option<bool>); 2]| {
            let [a, b] = flows.map(|(connected, _)| {
                let state = if connected { State::Ok } else { State::Timeout };
                flow(state).with(tcp::CONNECTED, connected)
            });
            testing::with_flows(&[a, b], |lent| {
                let evidence = lent.weigh_data(|flow| flows[flow.config().index()].1);
                let conclusion = evidence.conclude(evidence.connectivity(WORDS, B));
                let texts: Vec<_> =
                    conclusion.conditions().iter().map(ToString::to_string).collect();
                texts.join(" ").replace("x.connectivity.", "")
            })
        };
        let yes = Some(true);
        assert_eq!(weighed([of(true, yes), of(true, yes)]), "works");
        assert_eq!(weighed([of(false, None), of(false, None)]), "offline");
        assert_eq!(weighed([of(true, yes), of(false, None)]), "pathspider.not_observed");
        // Also where the plugin would say of a flow without data that it was sent as meant.
        assert_eq!(weighed([of(true, yes), of(false, yes)]), "pathspider.not_observed");
        assert_eq!(weighed([of(false, None), of(true, yes)]), "transient");
        assert_eq!(weighed([of(true, yes), of(true, None)]), "pathspider.not_observed");
        assert_eq!(weighed([of(true, yes), of(true, Some(false))]), "pathspider.not_applied:1");
    }

    #[test]
    fn a_flow_that_was_missed_is_the_hosts_to_report() {
        let flows = [flow(State::Ok), testing::missed(State::Ok)];
        testing::with_flows(&flows, |flows| {
            let evidence = flows.weigh(|_| Some(true));
            assert!(evidence.of(B).is_none());
            assert!(evidence.conclude(None).conditions().is_empty());
        });
    }

    #[test]
    fn connectivity_needs_both_flows_and_goes_by_what_was_carried() {
        let verdict = |a, b| {
            let said = testing::with_flows(&[a, b], |flows| flows.connectivity(WORDS, B));
            said.map(|condition| {
                condition.as_str().trim_start_matches("x.connectivity.").to_owned()
            })
        };
        let (ok, failed) = (|| flow(State::Ok), || flow(State::Timeout));
        assert_eq!(verdict(ok(), ok()).as_deref(), Some("works"));
        assert_eq!(verdict(ok(), failed()).as_deref(), Some("broken"));
        assert_eq!(verdict(failed(), ok()).as_deref(), Some("transient"));
        assert_eq!(verdict(failed(), failed()).as_deref(), Some("offline"));
        assert_eq!(verdict(ok(), testing::missed(State::Failed)), None);
        let carried = failed().outcome(crate::carriage::CARRIED, true);
        assert_eq!(verdict(ok(), carried).as_deref(), Some("works"));
        let lost = ok().outcome(crate::carriage::CARRIED, false);
        assert_eq!(verdict(ok(), lost).as_deref(), Some("broken"));
    }

    #[test]
    fn syns_are_read_as_the_chain_writes_them() {
        let flags = TcpFlags;
        let kinds = |kinds: &[u8]| kinds.iter().copied().collect::<OptionKinds>();
        let flow = |count: u32| {
            flow(State::Ok)
                .with(syn::COUNT_FWD, count)
                .with(syn::FLAGS_ALL_FWD, flags(0x02))
                .with(syn::FLAGS_ANY_FWD, flags(0x42))
                .with(syn::OPTIONS_ALL_FWD, kinds(&[2]))
                .with(syn::OPTIONS_ANY_FWD, kinds(&[2, 8]))
        };
        testing::with_flows(&[flow(2), flow(0)], |flows| {
            let syns = SentSyns::of(flows.of(ConfigId::BASELINE)).unwrap();
            assert_eq!(syns.count(), 2);
            assert!(syns.any_has(TcpFlags::ECE | TcpFlags::CWR) && !syns.all_have(TcpFlags::ECE));
            assert!(syns.all_offer(2) && syns.any_offers(8) && !syns.all_offer(8));
            assert!(SentSyns::of(flows.of(B)).is_none());
        });
    }
}
