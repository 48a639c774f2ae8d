//! What is lent for the length of one call: an attempt, and a job's connections with their flows.
//!
//! Each is a struct that crosses by reference and grows at its end. The host makes them, and the
//! plugin's copy of `Attempt`, `Flows` and `Flow` reads them.
// Crosses by reference: fields may be appended, never moved or removed (see `abi`).
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};

use super::data::Record;
use super::object::Object;
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
}

/// All of a job's connections of one round, in the order of the configurations.
#[repr(C)]
pub struct LentFlows<'a> {
    pub(crate) job: &'a Job,
    pub(crate) round: u32,
    pub(crate) flows: Slice<'a, &'a LentFlow<'a>>,
    /// As in `LentAttempt`.
    is_left: AtomicBool,
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
    pub(crate) fields: &'a Record,
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
    pub(crate) fn new(job: &'a Job, prepared: &'a Object, config: u32, round: u32) -> Self {
        let earlier = Slice::new(&[]);
        LentAttempt { job, prepared, config, round, earlier, is_left: AtomicBool::new(false) }
    }

    /// The same after these connections of the job were answered.
    #[cfg(feature = "driver")]
    pub(crate) fn after(self, earlier: &'a [&'a LentFlow<'a>]) -> Self {
        LentAttempt { earlier: Slice::new(earlier), ..self }
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
    pub(crate) fn new(job: &'a Job, round: u32, flows: &'a [&'a LentFlow<'a>]) -> Self {
        LentFlows { job, round, flows: Slice::new(flows), is_left: AtomicBool::new(false) }
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
pub(super) fn pinned() -> [super::Fields; 4] {
    type Flows<'a> = Slice<'a, &'a LentFlow<'a>>;
    [
        super::pinned_fields!(LentAttempt { job, prepared, config, round, earlier, is_left }),
        super::pinned_fields!(LentFlows { job, round, flows, is_left }),
        super::pinned_fields!(LentFlow { config, state, is_carried, is_seen, outcome, fields }),
        super::pinned_fields!(Flows { start, length, lifetime }),
    ]
}
