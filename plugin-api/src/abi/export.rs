//! The plugin's end of the boundary: an author's traits as tables of guarded functions.
//! The host's end is in `loaded`.
#![allow(unsafe_code)]

mod chain;

use std::marker::PhantomData;

use abi_stable::prefix_type::WithMetadata;
use abi_stable::std_types::{RCowStr, RSlice, RVec};

use super::data::{Record, Value};
use super::describe;
use super::guard::{Answer, guard};
use super::object::Object;
use super::services::Services;
use super::system::SystemLoan;
use super::tables::{
    AttemptRef, ChainRef, Concluded, ConfiguratorRef, ConfiguratorTable, ConnectorRef,
    ConnectorTable, FlowRef, FlowsRef, LocationRef, MeasurementRef, MeasurementTable, MergerRef,
    MergerTable, Module, ModuleRef,
};
use super::talking::Wanted;
use crate::attempt::Attempt;
use crate::condition::Condition;
use crate::configuration::ConfigId;
use crate::error::{Error, Result};
use crate::flows::{Flow, Flows};
use crate::host::Host;
use crate::measurement::Measurement;
use crate::options::OptionValues;
use crate::outcome::{Outcome, State};
use crate::system::System;

pub use chain::{NUMBERED, Numbered, chain, numbered};

/// What a library exports; `export_plugin!` implements it.
pub trait Exports: 'static {
    /// The measurements' tables.
    const MEASUREMENTS: &'static [MeasurementRef];
    /// The chains' tables.
    const CHAINS: &'static [ChainRef];

    /// Those of the chains that there are: all, but where only the running library knows.
    #[doc(hidden)]
    fn chains() -> &'static [ChainRef] {
        Self::CHAINS
    }

    #[doc(hidden)]
    fn module() -> ModuleRef {
        let module = WithMetadata::new(Module {
            measurements: RSlice::from_slice(Self::MEASUREMENTS),
            chains: RSlice::from_slice(Self::chains()),
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
        pre_connect: pre_connect::<M>,
        connect: connect::<M>,
        post_connect: post_connect::<M>,
    });
    const MERGER: &'static WithMetadata<MergerTable> = &WithMetadata::new(MergerTable {
        chains: chains::<M>,
        merge: merge::<M>,
        combine: combine::<M>,
        rows: rows::<M>,
        located: located::<M>,
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
    guard(|| M::describe().map(|(info, options)| describe::measurement_to_record(info, &options)))
}

extern "C" fn new<M: Measurement>(options: Record, host: Services) -> Answer<Object> {
    guard(|| M::new(&OptionValues::new(options), Host::from_services(host)).map(Object::new::<M>))
}

/// What a function gave. What it asked for and cannot have goes before its own error, which may come from
/// that.
fn checked<T>(given: Result<T>, asked: Result<()>) -> Result<T> {
    asked.and(given)
}

/// The author's object behind a pointer of the host's.
fn author<M: Measurement>(object: &Object) -> Result<&M> {
    // SAFETY: the host passes to a measurement's functions only what that table's `new` made.
    unsafe { object.get::<M>() }.ok_or_else(|| Error::contract("the host passed no object"))
}

extern "C" fn configurations<M: Measurement>(object: &Object) -> Answer<Value> {
    guard(|| describe::configurations_to_value(author::<M>(object)?.configurations()))
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

extern "C" fn pre_connect<M: Measurement>(
    object: &Object,
    attempt: AttemptRef<'_>,
) -> Answer<Object> {
    guard(|| {
        let lent = attempt.get();
        let prepared = author::<M>(object)?.pre_connect(&Attempt::new(lent));
        let prepared = checked(prepared, lent.check("pre_connect"))?;
        Ok(if prepared.0.is_none() { Object::NONE } else { Object::new(prepared) })
    })
}

extern "C" fn connect<M: Measurement>(object: &Object, attempt: AttemptRef<'_>) -> Answer<Wanted> {
    guard(|| {
        let lent = attempt.get();
        let connect = author::<M>(object)?.connect(&Attempt::new(lent));
        let connect = checked(connect, lent.check("connect"))?;
        let (connect, conversation) = connect.into_wire();
        Ok(Wanted { connect, conversation: conversation.into() })
    })
}

extern "C" fn post_connect<M: Measurement>(
    object: &Object,
    attempt: AttemptRef<'_>,
    mut outcome: Record,
) -> Answer<Record> {
    guard(|| {
        let number = outcome.remove("spdr_state").and_then(|v| v.as_u64());
        let ended = number
            .and_then(State::from_number)
            .ok_or_else(|| Error::contract("post_connect: the host passed no spdr_state"))?;
        let (lent, outcome) = (attempt.get(), Outcome::with_record(ended, outcome));
        let result = author::<M>(object)?.post_connect(&Attempt::new(lent), outcome);
        checked(result, lent.check("post_connect"))
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
    attempt: AttemptRef<'_>,
    flow: FlowRef<'_>,
    result: Record,
) -> Answer<Record> {
    guard(|| {
        let lent = attempt.get();
        let flow = Flow::new(flow.get());
        let merged = author::<M>(object)?.merge(&Attempt::new(lent), flow, result);
        checked(merged, lent.check("merge"))
    })
}

extern "C" fn combine<M: Measurement>(object: &Object, flows: FlowsRef<'_>) -> Answer<Concluded> {
    guard(|| {
        let lent = flows.get();
        let conclusion = author::<M>(object)?.combine(&Flows::new(lent));
        let conclusion = checked(conclusion, lent.reading().check("combine"))?;
        Ok(Concluded {
            conditions: texts(conclusion.conditions),
            wishes: conclusion.wishes.0,
            more: Record::new(),
        })
    })
}

extern "C" fn rows<M: Measurement>(object: &Object, flows: FlowsRef<'_>) -> Answer<RVec<Record>> {
    guard(|| {
        let lent = flows.get();
        let rows = author::<M>(object)?.rows(&Flows::new(lent));
        let rows = checked(rows, lent.reading().check("rows"))?;
        Ok(rows.into())
    })
}

extern "C" fn located<M: Measurement>(
    object: &Object,
    flows: FlowsRef<'_>,
    location: LocationRef<'_>,
) -> Answer<RVec<RCowStr<'static>>> {
    guard(|| {
        let lent = flows.get();
        let conditions = author::<M>(object)?.located(&Flows::new(lent), location.get());
        let conditions = checked(conditions, lent.reading().check("located"))?;
        Ok(texts(conditions))
    })
}

fn texts(conditions: Vec<Condition>) -> RVec<RCowStr<'static>> {
    conditions.into_iter().map(|condition| RCowStr::from(condition.into_text())).collect()
}

extern "C" fn finish_run<M: Measurement>(object: &Object) -> Answer<Record> {
    guard(|| author::<M>(object)?.finish())
}
