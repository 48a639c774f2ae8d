//! What became of a job's connections: how each ended, and what the capture shows of it.

use crate::Record;
use crate::abi::lent::{LentFlow, LentFlows};
use crate::abi::slots::Slot;
use crate::chains::tcp;
use crate::condition::{Condition, Connectivity, Online};
use crate::configuration::ConfigId;
use crate::evidence::Evidence;
use crate::field::{Field, FieldValue};
use crate::job::Job;
use crate::outcome::State;

/// All of a job's connections of one round, in the order of the configurations.
///
/// It is lent for the length of one call.
#[derive(Clone, Copy)]
pub struct Flows<'a>(&'a LentFlows<'a>);

impl<'a> Flows<'a> {
    pub(crate) fn new(lent: &'a LentFlows<'a>) -> Flows<'a> {
        Flows(lent)
    }

    /// The target, with all that its input line says.
    pub fn job(&self) -> &'a Job {
        self.0.job
    }

    /// The round, from 0.
    pub fn round(&self) -> u32 {
        self.0.round
    }

    /// The connection of a configuration.
    ///
    /// # Panics
    ///
    /// The measurement has no such configuration.
    #[track_caller]
    pub fn of(&self, config: impl Into<ConfigId>) -> Flow<'a> {
        let index = config.into().index();
        let flows = self.0.flows.get();
        match flows.get(index) {
            Some(flow) => Flow::new(flow),
            None => panic!("there is no configuration {index}: there are {}", flows.len()),
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Flow<'a>> {
        self.0.flows.get().iter().map(|flow| Flow::new(flow))
    }

    /// Judges each flow that was seen: whether it was sent as its configuration demands; `None` where
    /// the capture lacks the packets that would show it.
    pub fn weigh(&self, as_meant: impl Fn(Flow<'a>) -> Option<bool>) -> Evidence<'a> {
        Evidence::weigh(self.iter(), as_meant)
    }

    /// The same for configurations that data carry ([`Carrier::Data`](crate::Carrier)): before the
    /// handshake is over, their connections are alike. Where the handshake of an experiment failed,
    /// that says nothing of what its data would have had: it counts only where that of the baseline
    /// failed too, and nothing is there. `as_meant` is asked of the others: whether their data were
    /// sent as the configuration demands; `None` where the capture has none.
    ///
    /// Needs the chain `tcp`.
    pub fn weigh_data(&self, as_meant: impl Fn(Flow<'a>) -> Option<bool>) -> Evidence<'a> {
        let has_failed = |flow: Flow<'a>| flow.get(tcp::CONNECTED) == Some(false);
        let is_silent = has_failed(self.of(ConfigId::BASELINE));
        self.weigh(|flow| if has_failed(flow) { is_silent.then_some(true) } else { as_meant(flow) })
    }

    /// The comparison of the baseline with an experiment, by whether the path carried them. `None`
    /// where one of the two was not seen: without evidence there is no verdict.
    pub fn connectivity(
        &self,
        words: Connectivity,
        config: impl Into<ConfigId>,
    ) -> Option<Condition> {
        compared(words, self.of(ConfigId::BASELINE), self.of(config))
    }

    /// The verdict on the only configuration; `None` where its flow was not seen.
    pub fn online(&self, words: Online) -> Option<Condition> {
        self.of(ConfigId::BASELINE).online(words)
    }

    /// See [`Attempt::leave_to_host`](crate::Attempt::leave_to_host).
    #[doc(hidden)]
    pub fn leave_to_host(&self) {
        self.0.leave_to_host();
    }
}

pub(crate) fn compared(words: Connectivity, a: Flow<'_>, b: Flow<'_>) -> Option<Condition> {
    (a.seen() && b.seen()).then(|| words.compared(a.connected(), b.connected()))
}

/// One connection: how it ended, and its flow.
#[derive(Clone, Copy)]
pub struct Flow<'a>(&'a LentFlow<'a>);

impl<'a> Flow<'a> {
    pub(crate) fn new(lent: &'a LentFlow<'a>) -> Flow<'a> {
        Flow(lent)
    }

    /// The configuration's place.
    pub fn config(self) -> ConfigId {
        ConfigId::new(self.0.config as usize)
    }

    /// Whether it is that of this configuration.
    pub fn is(self, config: impl Into<ConfigId>) -> bool {
        self.config() == config.into()
    }

    /// Whether the capture has it. Where it has not, no field has a value, and nothing can be
    /// concluded.
    pub fn seen(self) -> bool {
        self.0.is_seen
    }

    /// How the connection ended.
    pub fn state(self) -> State {
        State::from_number(self.0.state.into()).unwrap_or(State::Failed)
    }

    /// Whether the path carried the connection ([`carriage`](crate::carriage)); by its state, where
    /// nobody has said.
    pub fn connected(self) -> bool {
        self.0.is_carried
    }

    /// What a chain says of it; `None` is null, for what was not seen.
    ///
    /// A field of a chain that [`chains`](crate::Measurement::chains) does not name is a broken
    /// contract: whatever the function gives then, the host reports which field and chain it was.
    pub fn get<T: FieldValue>(self, field: Field<T>) -> Option<T::Read<'a>> {
        let LentFlow { reading, values, .. } = self.0;
        match reading.slots.slot(field.chain(), field.place()) {
            Slot::At(slot) => T::read(values.get().get(slot)?),
            Slot::Open => None,
            Slot::Unasked => {
                reading.note(field.chain(), field.place());
                None
            }
        }
    }

    /// Whether a field is true.
    pub fn has(self, field: Field<bool>) -> bool {
        self.get(field) == Some(true)
    }

    /// The connection's record, as [`post_connect`](crate::Measurement::post_connect) and
    /// [`merge`](crate::Measurement::merge) made it; by default, the keys of its outcome.
    pub fn outcome(self) -> &'a Record {
        self.0.outcome
    }

    /// All fields with their names, as a record has them.
    pub fn fields(self) -> Record {
        let LentFlow { reading, values, .. } = self.0;
        let named = values.get().iter().enumerate();
        named.map(|(slot, value)| (reading.slots.name(slot), value.clone())).collect()
    }

    /// Whether it worked; `None` where it was not seen.
    pub fn online(self, words: Online) -> Option<Condition> {
        self.seen().then(|| words.said(self.connected()))
    }
}
