//! What chains found in one flow: a value for each field, behind the slots of the run.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::abi::slots::{Slot, Slots};
use crate::field::{Field, FieldValue};
use crate::{ChainInfo, Record, Value};

/// The fields that the chains found for one flow. Names appear where a record is made of it.
#[derive(Clone)]
pub struct FlowRecord {
    slots: Arc<Slots>,
    values: Vec<Value>,
    /// Bit i: chain i wrote its fields. The first one is the observer itself.
    written: u64,
}

impl FlowRecord {
    /// A flow before anything is known about it.
    pub fn new(slots: Arc<Slots>) -> FlowRecord {
        // `vec!` would copy a value for each slot, and look each time which kind it is.
        let values = (0..slots.len()).map(|_| Value::NULL).collect();
        FlowRecord { slots, values, written: 1 }
    }

    /// A flow with the fields of these chains, all of them null; for tests.
    pub fn of_chains<'c>(chains: impl IntoIterator<Item = &'c ChainInfo>) -> FlowRecord {
        let mut record = FlowRecord::new(Arc::new(Slots::new(chains)));
        record.written = u64::MAX;
        record
    }

    /// Which field stands where.
    pub fn slots(&self) -> &Arc<Slots> {
        &self.slots
    }

    pub(crate) fn values(&self) -> &[Value] {
        &self.values
    }

    /// All values, in the order of their slots; for tests.
    pub fn values_mut(&mut self) -> &mut [Value] {
        &mut self.values
    }

    /// Forgets all, and keeps the memory for another flow.
    pub fn clear(&mut self) {
        // `fill` would clone a value for each slot, and look each time which kind it is.
        for value in &mut self.values {
            *value = Value::NULL;
        }
        self.written = 1;
    }

    /// The place for the fields of the chain at this place.
    pub(crate) fn of_chain(&mut self, place: usize) -> &mut [Value] {
        &mut self.values[self.slots.of_chain(place)]
    }

    /// Notes that the chain at this place wrote its fields.
    pub(crate) fn wrote(&mut self, place: usize) {
        self.written |= 1 << (place + 1);
    }

    /// The same fields in other slots; those that have none are left out.
    pub fn fitted(self, slots: Arc<Slots>) -> FlowRecord {
        let named = slots.by_name();
        let mut fitted = FlowRecord::new(slots);
        for (name, value) in self.iter() {
            if let Some(&slot) = named.get(name) {
                fitted.values[slot] = value.clone();
                let chain = fitted.slots.chains().find(|(_, slots)| slots.contains(&slot));
                fitted.written |= chain.map_or(0, |(place, _)| 1 << place.min(63));
            }
        }
        fitted
    }

    /// The fields of both; where both have a field, those of `self` that are not null. For tests: what
    /// a chain of the test's own says, beside what the host's chains would.
    pub fn and(self, other: &FlowRecord) -> FlowRecord {
        let mut both = self.clone().fitted(Arc::new(self.slots.joined(&other.slots)));
        let named = both.slots.by_name();
        for (name, value) in other.iter() {
            let slot = named.get(name).copied().filter(|&slot| both.values[slot].is_null());
            if let Some(slot) = slot {
                both.values[slot] = value.clone();
            }
        }
        both.written = u64::MAX;
        both
    }

    /// A field's value; `None` is null, or a chain that was not asked for.
    pub fn get<T: FieldValue>(&self, field: Field<T>) -> Option<T::Read<'_>> {
        match self.slots.slot(field.chain(), field.place()) {
            Slot::At(slot) => T::read(&self.values[slot]),
            Slot::Open | Slot::Unasked => None,
        }
    }

    /// Sets a field; nothing happens where its chain was not asked for.
    pub fn set<T: FieldValue>(&mut self, field: Field<T>, value: impl Into<Option<T>>) {
        if let Slot::At(slot) = self.slots.slot(field.chain(), field.place()) {
            self.values[slot] = value.into().map_or(Value::NULL, T::into_value);
        }
    }

    /// The same, as part of an expression.
    pub fn with<T: FieldValue>(
        mut self,
        field: Field<T>,
        value: impl Into<Option<T>>,
    ) -> FlowRecord {
        self.set(field, value);
        self
    }

    /// The value of the field with this name; `None` where no chain wrote it.
    pub fn value(&self, name: &str) -> Option<&Value> {
        let slot = self.slots.named(name)?;
        let mut chains = self.written_chains();
        chains.any(|slots| slots.contains(&slot)).then(|| &self.values[slot])
    }

    /// The fields that were written with their names, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        let slots = self.written_chains().flatten();
        slots.map(|slot| (self.slots.name(slot), &self.values[slot]))
    }

    /// The values that were written, each with its slot, in their order.
    pub fn by_slot(&self) -> impl Iterator<Item = (usize, &Value)> {
        self.written_chains().flatten().map(|slot| (slot, &self.values[slot]))
    }

    fn written_chains(&self) -> impl Iterator<Item = Range<usize>> {
        written(&self.slots, self.written)
    }

    /// The fields as a record has them.
    pub fn to_record(&self) -> Record {
        self.clone().into_record()
    }

    /// The same, given up.
    pub fn into_record(mut self) -> Record {
        let mut record = Record::with_capacity(self.values.len());
        for slot in written(&self.slots, self.written).flatten() {
            let value = std::mem::replace(&mut self.values[slot], Value::NULL);
            record.push(self.slots.name(slot), value);
        }
        record
    }
}

/// The slots of the chains whose bit is set.
fn written(slots: &Slots, chains: u64) -> impl Iterator<Item = Range<usize>> {
    let is_written = move |place: usize| chains >> place.min(63) & 1 == 1;
    slots.chains().filter(move |(place, _)| is_written(*place)).map(|(_, slots)| slots)
}

impl PartialEq for FlowRecord {
    fn eq(&self, other: &FlowRecord) -> bool {
        self.iter().eq(other.iter())
    }
}

impl fmt::Debug for FlowRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
