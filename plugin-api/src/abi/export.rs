//! The plugin's end of the boundary: an author's traits as tables of guarded functions.
#![allow(unsafe_code)]

mod chain;

use std::marker::PhantomData;

use abi_stable::prefix_type::WithMetadata;
use abi_stable::std_types::{RCowStr, ROption, RSlice, RVec};

use super::data::{Record, Value};
use super::describe;
use super::guard::{Answer, guard};
use super::object::Object;
use super::services::Services;
use super::system::SystemLoan;
use super::tables::{
    ChainRef, ConfiguratorRef, ConfiguratorTable, ConnectorRef, ConnectorTable, JobRef,
    MeasurementRef, MeasurementTable, MergerRef, MergerTable, Module, ModuleRef,
};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::measurement::{ConfigId, Measurement, Prepared};
use crate::options::OptionValues;
use crate::outcome::{Outcome, State};
use crate::system::System;

pub use chain::chain;

/// What a library exports; `export_plugin!` implements it.
pub trait Exports: 'static {
    /// The measurements' tables.
    const MEASUREMENTS: &'static [MeasurementRef];
    /// The chains' tables.
    const CHAINS: &'static [ChainRef];

    #[doc(hidden)]
    fn module() -> ModuleRef {
        let module = WithMetadata::new(Module {
            measurements: RSlice::from_slice(Self::MEASUREMENTS),
            chains: RSlice::from_slice(Self::CHAINS),
            canary,
        });
        ModuleRef(Box::leak(Box::new(module)).static_as_prefix())
    }
}

extern "C" fn canary() -> Answer<()> {
    // Without the hook, which would print a message that alarms.
    guard(|| std::panic::resume_unwind(Box::new("on purpose")))
}

/// The table of a measurement.
pub const fn measurement<M: Measurement>() -> MeasurementRef {
    MeasurementRef(Tables::<M>::MEASUREMENT.static_as_prefix())
}

struct Tables<M>(PhantomData<M>);

impl<M: Measurement> Tables<M> {
    const CONFIGURATOR: &'static WithMetadata<ConfiguratorTable> =
        &WithMetadata::new(ConfiguratorTable {
            configurations: configurations::<M>,
            configure: configure::<M>,
        });
    const CONNECTOR: &'static WithMetadata<ConnectorTable> = &WithMetadata::new(ConnectorTable {
        default_port: default_port::<M>,
        pre_connect: pre_connect::<M>,
        connect: connect::<M>,
        post_connect: post_connect::<M>,
    });
    const MERGER: &'static WithMetadata<MergerTable> = &WithMetadata::new(MergerTable {
        chains: chains::<M>,
        merge: merge::<M>,
        combine: combine::<M>,
        rows: rows::<M>,
    });
    const MEASUREMENT: &'static WithMetadata<MeasurementTable> =
        &WithMetadata::new(MeasurementTable {
            describe: describe_measurement::<M>,
            new: new::<M>,
            configurator: ConfiguratorRef(Self::CONFIGURATOR.static_as_prefix()),
            connector: ConnectorRef(Self::CONNECTOR.static_as_prefix()),
            merger: MergerRef(Self::MERGER.static_as_prefix()),
            finish: finish_run::<M>,
        });
}

extern "C" fn describe_measurement<M: Measurement>() -> Answer<Record> {
    guard(|| Ok(describe::measurement_to_record(M::info(), &M::options())))
}

extern "C" fn new<M: Measurement>(options: Record, host: Services) -> Answer<Object> {
    guard(|| M::new(&OptionValues::new(options), Host::from_services(host)).map(Object::new::<M>))
}

/// The author's object behind a pointer of the host's.
fn author<M: Measurement>(object: &Object) -> Result<&M> {
    // SAFETY: the host passes to a measurement's functions only what that table's `new` made.
    unsafe { object.get::<M>() }.ok_or_else(|| Error::contract("the host passed no object"))
}

/// The author's value behind a pointer of the host's; absent for the default one.
fn prepared<T>(object: &Object, f: impl FnOnce(&Prepared) -> Result<T>) -> Result<T> {
    // SAFETY: the host passes here only what `pre_connect` of this library made.
    match unsafe { object.get::<Prepared>() } {
        Some(prepared) => f(prepared),
        None => f(&Prepared::default()),
    }
}

extern "C" fn configurations<M: Measurement>(object: &Object) -> Answer<Value> {
    guard(|| Ok(describe::configurations_to_value(author::<M>(object)?.configurations())))
}

extern "C" fn configure<M: Measurement>(
    object: &Object,
    config: u32,
    mut loan: SystemLoan<'_>,
) -> Answer<()> {
    guard(|| {
        let mut system = System::new(&mut loan);
        author::<M>(object)?.configure(ConfigId::new(config as usize), &mut system)
    })
}

extern "C" fn default_port<M: Measurement>(object: &Object) -> Answer<u16> {
    guard(|| Ok(author::<M>(object)?.default_port()))
}

extern "C" fn pre_connect<M: Measurement>(object: &Object, job: JobRef<'_>) -> Answer<Object> {
    guard(|| {
        let prepared = author::<M>(object)?.pre_connect(job.get())?;
        Ok(if prepared.0.is_none() { Object::none() } else { Object::new(prepared) })
    })
}

extern "C" fn connect<M: Measurement>(
    object: &Object,
    job: JobRef<'_>,
    state: &Object,
    config: u32,
) -> Answer<Record> {
    guard(|| {
        let config = ConfigId::new(config as usize);
        let author = author::<M>(object)?;
        prepared(state, |p| Ok(author.connect(job.get(), p, config)?.into_wire()))
    })
}

extern "C" fn post_connect<M: Measurement>(
    object: &Object,
    job: JobRef<'_>,
    mut outcome: Record,
    state: &Object,
    config: u32,
) -> Answer<Record> {
    guard(|| {
        let number = outcome.remove("spdr_state").and_then(|v| v.as_u64());
        let ended = number
            .and_then(State::from_number)
            .ok_or_else(|| Error::contract("post_connect: the host passed no spdr_state"))?;
        let outcome = Outcome::with_record(ended, outcome);
        let author = author::<M>(object)?;
        prepared(state, |p| {
            author.post_connect(job.get(), outcome, p, ConfigId::new(config as usize))
        })
    })
}

extern "C" fn chains<M: Measurement>(object: &Object) -> Answer<RVec<RCowStr<'static>>> {
    guard(|| {
        let names = author::<M>(object)?.chains();
        Ok(names.into_iter().map(|name| RCowStr::from(name.0)).collect())
    })
}

extern "C" fn merge<M: Measurement>(
    object: &Object,
    flow: ROption<Record>,
    result: Record,
) -> Answer<Record> {
    guard(|| author::<M>(object)?.merge(flow.into_option(), result))
}

extern "C" fn combine<M: Measurement>(
    object: &Object,
    job: JobRef<'_>,
    flows: RSlice<'_, Record>,
) -> Answer<RVec<RCowStr<'static>>> {
    guard(|| {
        let conditions = author::<M>(object)?.combine(job.get(), flows.as_slice())?;
        Ok(conditions.into_iter().map(|c| RCowStr::from(c.into_text())).collect())
    })
}

extern "C" fn rows<M: Measurement>(
    object: &Object,
    job: JobRef<'_>,
    flows: RSlice<'_, Record>,
) -> Answer<RVec<Record>> {
    guard(|| Ok(author::<M>(object)?.rows(job.get(), flows.as_slice())?.into()))
}

extern "C" fn finish_run<M: Measurement>(object: &Object) -> Answer<Record> {
    guard(|| author::<M>(object)?.finish())
}
