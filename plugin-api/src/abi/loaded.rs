//! The host's end of the boundary: a plugin's tables as safe handles.
//!
//! A handle comes from a loaded library (`LoadedPlugin`) or from a type linked in (`of`): hosts
//! and tests use both alike.

use std::sync::atomic::{AtomicU64, Ordering};

use abi_stable::std_types::ROption;

use super::calls::Call;
use super::data::Record;
use super::describe;
use super::descriptor::{AbiVersion, Descriptor};
use super::export;
use super::object::Object;
use super::services::Services;
use super::system::SystemLoan;
use super::tables::{ChainRef, JobRef, MeasurementRef, ModuleRef};
use crate::chain::{Chain, ChainInfo};
use crate::condition::Condition;
use crate::connect::Connect;
use crate::error::{Error, Result};
use crate::job::Job;
use crate::measurement::{ChainName, ConfigId, Configuration, Info, Measurement};
use crate::options::{OptionValues, Options};
use crate::outcome::Outcome;
use crate::record::FlowRecord;
use crate::system::SystemChanges;

/// A library whose descriptor and layout were checked. It stays loaded.
pub struct LoadedPlugin {
    module: ModuleRef,
    version: AbiVersion,
}

impl LoadedPlugin {
    /// Checks the layout of a plugin's tables, and takes them.
    ///
    /// # Errors
    ///
    /// What differs from this host's layout.
    pub fn new(descriptor: &'static Descriptor) -> Result<LoadedPlugin, String> {
        Ok(LoadedPlugin { module: descriptor.module()?, version: descriptor.version() })
    }

    /// The ABI version that the plugin speaks.
    pub fn version(&self) -> AbiVersion {
        self.version
    }

    /// The measurements that it exports.
    pub fn measurements(&self) -> Vec<MeasurementHandle> {
        self.module.measurements().iter().map(|&table| MeasurementHandle { table }).collect()
    }

    /// The chains that it exports.
    pub fn chains(&self) -> Vec<ChainHandle> {
        self.module.chains().iter().map(|&table| ChainHandle { table }).collect()
    }
}

/// A kind of measurement, of which no object was made yet.
#[derive(Clone, Copy)]
pub struct MeasurementHandle {
    table: MeasurementRef,
}

impl MeasurementHandle {
    /// A measurement that is linked in.
    pub fn of<M: Measurement>() -> MeasurementHandle {
        MeasurementHandle { table: export::measurement::<M>() }
    }

    /// What it is, and its options.
    pub fn describe(&self) -> Result<(Info, Options)> {
        let _call = Call::of(&"info");
        describe::measurement_from_record(&answer((self.table.describe())())?)
    }

    /// Makes the object of one run.
    pub fn instantiate(&self, options: OptionValues) -> Result<MeasurementObject> {
        let _call = Call::of(&"new");
        let object = answer((self.table.new())(options.into_record(), Services::own()))?;
        let number = OBJECTS.fetch_add(1, Ordering::Relaxed);
        Ok(MeasurementObject { table: self.table, object, number })
    }
}

/// The object of one run. Every method is one of [`Measurement`]'s.
pub struct MeasurementObject {
    table: MeasurementRef,
    object: Object,
    number: u64,
}

/// What a plugin prepared for a job. Only the object that made it takes it.
pub struct PreparedHandle {
    state: Object,
    maker: u64,
}

/// Numbers the objects of this process, so that none is handed what another one made.
static OBJECTS: AtomicU64 = AtomicU64::new(0);

impl MeasurementObject {
    /// See [`Measurement::configurations`].
    pub fn configurations(&self) -> Result<Vec<Configuration>> {
        let _call = Call::of(&"configurations");
        let value = answer((self.table.configurator().configurations())(&self.object))?;
        describe::configurations_from_value(&value)
    }

    /// See [`Measurement::configure`].
    pub fn configure(&self, config: ConfigId, changes: &mut dyn SystemChanges) -> Result<()> {
        let _call = Call::of(&"configure");
        let mut changes = changes;
        let loan = SystemLoan::new(&mut changes);
        answer((self.table.configurator().configure())(&self.object, number(config), loan))
    }

    /// See [`Measurement::default_port`].
    pub fn default_port(&self) -> Result<u16> {
        let _call = Call::of(&"default_port");
        answer((self.table.connector().default_port())(&self.object))
    }

    /// See [`Measurement::pre_connect`].
    pub fn pre_connect(&self, job: &Job) -> Result<PreparedHandle> {
        let _call = Call::of(&"pre_connect");
        let state = answer((self.table.connector().pre_connect())(&self.object, JobRef::new(job)))?;
        Ok(PreparedHandle { state, maker: self.number })
    }

    /// See [`Measurement::connect`].
    pub fn connect(
        &self,
        job: &Job,
        prepared: &PreparedHandle,
        config: ConfigId,
    ) -> Result<Connect> {
        let _call = Call::of(&"connect");
        let connect = self.table.connector().connect();
        let state = self.own(prepared)?;
        let wire = answer(connect(&self.object, JobRef::new(job), state, number(config)))?;
        Connect::from_wire(wire).map_err(Error::contract)
    }

    /// See [`Measurement::post_connect`].
    pub fn post_connect(
        &self,
        job: &Job,
        outcome: Outcome,
        prepared: &PreparedHandle,
        config: ConfigId,
    ) -> Result<Record> {
        let _call = Call::of(&"post_connect");
        answer((self.table.connector().post_connect())(
            &self.object,
            JobRef::new(job),
            outcome.into_record(),
            self.own(prepared)?,
            number(config),
        ))
    }

    /// The plugin's own state behind a handle.
    fn own<'p>(&self, prepared: &'p PreparedHandle) -> Result<&'p Object> {
        let is_own = prepared.maker == self.number;
        is_own.then_some(&prepared.state).ok_or_else(|| Error::contract("another object's state"))
    }

    /// See [`Measurement::chains`].
    pub fn chains(&self) -> Result<Vec<ChainName>> {
        let _call = Call::of(&"chains");
        let names = answer((self.table.merger().chains())(&self.object))?;
        Ok(names.into_iter().map(|name| ChainName(name.into_owned().into())).collect())
    }

    /// See [`Measurement::merge`].
    pub fn merge(&self, flow: Option<FlowRecord>, result: Record) -> Result<Record> {
        let _call = Call::of(&"merge");
        answer((self.table.merger().merge())(&self.object, ROption::from(flow), result))
    }

    /// See [`Measurement::combine`].
    pub fn combine(&self, job: &Job, flows: &[Record]) -> Result<Vec<Condition>> {
        let _call = Call::of(&"combine");
        let combine = self.table.merger().combine();
        let conditions = answer(combine(&self.object, JobRef::new(job), flows.into()))?;
        // The text stays the plugin's: borrowed if it is a constant of its own.
        Ok(conditions
            .into_iter()
            .map(|text| match text {
                abi_stable::std_types::RCow::Borrowed(text) => Condition::new(text.as_str()),
                abi_stable::std_types::RCow::Owned(text) => Condition::new(String::from(text)),
            })
            .collect())
    }

    /// See [`Measurement::rows`].
    pub fn rows(&self, job: &Job, flows: &[Record]) -> Result<Vec<Record>> {
        let _call = Call::of(&"rows");
        let rows = self.table.merger().rows();
        answer(rows(&self.object, JobRef::new(job), flows.into())).map(Into::into)
    }
}

/// A kind of chain, of which no object was made yet.
#[derive(Clone, Copy)]
pub struct ChainHandle {
    pub(super) table: ChainRef,
}

impl ChainHandle {
    /// A chain that is linked in.
    pub fn of<C: Chain>() -> ChainHandle {
        ChainHandle { table: export::chain::<C>() }
    }

    /// Its name and fields.
    pub fn describe(&self) -> Result<ChainInfo> {
        describe::chain_from_record(&answer((self.table.describe())())?)
    }
}

pub(super) fn answer<T>(answer: super::guard::Answer<T>) -> Result<T> {
    answer.into_result().map_err(Error::from)
}

fn number(config: ConfigId) -> u32 {
    u32::try_from(config.index()).unwrap_or(u32::MAX)
}
