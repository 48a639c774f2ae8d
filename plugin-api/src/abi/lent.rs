//! What is lent for the length of one call: an attempt, and a job's connections with their flows.
//!
//! Each is a struct that crosses by reference and grows at its end. The host makes them, and the
//! plugin's copy of `Attempt`, `Flows` and `Flow` reads them.
// Crosses by reference: fields may be appended, never moved or removed (see `abi`).
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

use super::data::{Record, Value};
use super::object::Object;
use super::slots::Slots;
use crate::error::{Error, Result};
use crate::field::ChainFields;
use crate::job::Job;
use crate::measurement::Prepared;

/// What one connection is asked for with.
#[repr(C)]
pub struct LentAttempt<'a> {
    pub(crate) job: &'a Job,
    prepared: &'a Object,
    pub(crate) config: u32,
    pub(crate) round: u32,
    /// Connections of the same job and round that were answered.
    pub(crate) earlier: Slice<'a, &'a LentFlow<'a>>,
    /// The callee did what the host can do by itself.
    is_left: AtomicBool,
    reading: &'a Reading<'a>,
    /// Whether it depends on earlier connections.
    depends: bool,
    /// Of the callee: it asked for an earlier connection, and does not depend on any.
    is_presumed: AtomicBool,
}

/// All of a job's connections of one round, in the order of the configurations.
#[repr(C)]
pub struct LentFlows<'a> {
    pub(crate) job: &'a Job,
    pub(crate) round: u32,
    pub(crate) flows: Slice<'a, &'a LentFlow<'a>>,
    /// As in `LentAttempt`.
    is_left: AtomicBool,
    reading: &'a Reading<'a>,
}

/// One connection that has ended, and its flow.
#[repr(C)]
pub struct LentFlow<'a> {
    pub(crate) config: u32,
    /// The number of a `State`.
    pub(crate) state: u8,
    pub(crate) is_carried: bool,
    pub(crate) is_seen: bool,
    pub(crate) outcome: &'a Record,
    /// A value for each slot; none where the flow was not seen.
    pub(crate) values: Slice<'a, Value>,
    pub(crate) reading: &'a Reading<'a>,
}

/// How fields are read in one call, and what was read that cannot be.
#[repr(C)]
pub struct Reading<'a> {
    pub(crate) slots: &'a Slots,
    /// Of the callee: the chain of a field that was read and is not there; null where there is none.
    chain: AtomicPtr<ChainFields>,
    field: AtomicUsize,
}

impl<'a> Reading<'a> {
    pub(crate) fn new(slots: &'a Slots) -> Reading<'a> {
        Reading { slots, chain: AtomicPtr::default(), field: AtomicUsize::new(0) }
    }

    /// Notes a field of a chain that was not asked for.
    pub(crate) fn note(&self, chain: &'static ChainFields, field: usize) {
        self.field.store(field, Ordering::Relaxed);
        self.chain.store(std::ptr::from_ref(chain).cast_mut(), Ordering::Release);
    }

    /// What was noted in this call, as an error of the function. Only the callee may ask.
    pub(crate) fn check(&self, function: &str) -> Result<()> {
        // SAFETY: `note` of this same library stored what lives as long as the process.
        let Some(chain) = (unsafe { self.chain.load(Ordering::Acquire).as_ref() }) else {
            return Ok(());
        };
        let field = chain.fields.get(self.field.load(Ordering::Relaxed));
        let (field, chain) = (field.map_or("", |field| field.name), chain.name);
        Err(Error::contract(format_args!(
            "{function}: it reads {field} of the chain {chain}, which its chains() do not name or \
             which has no such field here"
        )))
    }
}

/// A slice, as it crosses the boundary.
#[repr(C)]
pub struct Slice<'a, T> {
    start: *const T,
    length: usize,
    lifetime: PhantomData<&'a T>,
}

// SAFETY: it is a shared reference to values of this type.
unsafe impl<T: Sync> Sync for Slice<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Send for Slice<'_, T> {}

impl<'a, T> Slice<'a, T> {
    pub(crate) fn new(slice: &'a [T]) -> Slice<'a, T> {
        Slice { start: slice.as_ptr(), length: slice.len(), lifetime: PhantomData }
    }

    pub(crate) fn get(&self) -> &'a [T] {
        // SAFETY: made by `new` alone, from a slice that lives for 'a.
        unsafe { std::slice::from_raw_parts(self.start, self.length) }
    }
}

impl<'a> LentAttempt<'a> {
    pub(crate) fn new(
        job: &'a Job,
        prepared: &'a Object,
        (config, round): (u32, u32),
        reading: &'a Reading<'a>,
    ) -> LentAttempt<'a> {
        let (earlier, depends) = (Slice::new(&[]), false);
        let (is_left, is_presumed) = (AtomicBool::new(false), AtomicBool::new(false));
        LentAttempt {
            job,
            prepared,
            config,
            round,
            earlier,
            is_left,
            reading,
            depends,
            is_presumed,
        }
    }

    /// The same of a measurement that depends on earlier connections, after these of the job were
    /// answered.
    pub(crate) fn after(self, earlier: &'a [&'a LentFlow<'a>]) -> Self {
        LentAttempt { earlier: Slice::new(earlier), depends: true, ..self }
    }

    /// The connection of this configuration, where it was answered.
    pub(crate) fn earlier(&self, config: u32) -> Option<&'a LentFlow<'a>> {
        if !self.depends {
            self.is_presumed.store(true, Ordering::Relaxed);
        }
        self.earlier.get().iter().copied().find(|flow| flow.config == config)
    }

    /// What was asked for in this call and cannot be had, as an error of the function. Only the callee
    /// may ask.
    pub(crate) fn check(&self, function: &str) -> Result<()> {
        self.reading.check(function)?;
        if self.is_presumed.load(Ordering::Relaxed) {
            return Err(Error::contract(format_args!(
                "{function}: it asks for an earlier connection (Attempt::earlier), which `connect` \
                 alone may, and of a measurement that declares Info::depends"
            )));
        }
        Ok(())
    }

    /// What the plugin prepared for the job.
    pub(crate) fn prepared(&self) -> Option<&'a Prepared> {
        // SAFETY: the host lends here only what `pre_connect` of the same library made, or none.
        unsafe { self.prepared.get::<Prepared>() }
    }

    pub(crate) fn leave_to_host(&self) {
        self.is_left.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_left(&self) -> bool {
        self.is_left.load(Ordering::Relaxed)
    }
}

impl<'a> LentFlows<'a> {
    pub(crate) fn new(
        job: &'a Job,
        round: u32,
        flows: &'a [&'a LentFlow<'a>],
        reading: &'a Reading<'a>,
    ) -> LentFlows<'a> {
        let is_left = AtomicBool::new(false);
        LentFlows { job, round, flows: Slice::new(flows), is_left, reading }
    }

    pub(crate) fn reading(&self) -> &'a Reading<'a> {
        self.reading
    }

    pub(crate) fn leave_to_host(&self) {
        self.is_left.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_left(&self) -> bool {
        self.is_left.load(Ordering::Relaxed)
    }
}

/// For the test that pins them.
#[cfg(test)]
pub(super) fn pinned() -> [super::Fields; 5] {
    type Flows<'a> = Slice<'a, &'a LentFlow<'a>>;
    [
        super::pinned_fields!(LentAttempt {
            job,
            prepared,
            config,
            round,
            earlier,
            is_left,
            reading,
            depends,
            is_presumed
        }),
        super::pinned_fields!(LentFlows { job, round, flows, is_left, reading }),
        super::pinned_fields!(LentFlow {
            config,
            state,
            is_carried,
            is_seen,
            outcome,
            values,
            reading
        }),
        super::pinned_fields!(Reading { slots, chain, field }),
        super::pinned_fields!(Flows { start, length, lifetime }),
    ]
}
