//! The host's end of the boundary: a plugin's tables as safe handles.
//!
//! A handle comes from a loaded library (`LoadedPlugin`) or from a type linked in (`of`): hosts
//! and tests use both alike.

use std::sync::atomic::{AtomicU64, Ordering};

use abi_stable::std_types::ROption;

use super::data::Record;
use super::describe;
use super::descriptor::{AbiVersion, Descriptor, Refusal};
use super::export;
use super::object::Object;
use super::running::{Function, Noted, Origin, Owned};
use super::services::Services;
use super::system::SystemLoan;
use super::tables::{ChainRef, JobRef, MeasurementRef, ModuleRef};
use crate::chain::{Chain, ChainInfo};
use crate::condition::Condition;
use crate::connect::Connect;
use crate::error::{Error, ErrorKind, Result};
use crate::job::Job;
use crate::measurement::{ChainName, ConfigId, Configuration, Info, Measurement};
use crate::options::{OptionValues, Options};
use crate::outcome::Outcome;
use crate::record::FlowRecord;
use crate::system::SystemChanges;

/// A library whose descriptor and layout were checked. It stays loaded.
#[derive(Clone, Copy)]
pub struct LoadedPlugin {
    module: ModuleRef,
    version: AbiVersion,
    origin: Origin,
}

impl LoadedPlugin {
    /// Checks the layout of a plugin's tables, and takes them. `name` is what messages call it:
    /// its file.
    ///
    /// # Errors
    ///
    /// There are none, or their layout is not that of their version.
    pub fn new(descriptor: &'static Descriptor, name: String) -> Result<LoadedPlugin, Refusal> {
        let (module, version) = (descriptor.module()?, descriptor.version());
        Ok(LoadedPlugin { module, version, origin: Origin::leaked(name) })
    }

    /// Has the plugin panic on purpose, within its guard.
    ///
    /// # Errors
    ///
    /// The guard did not report the panic. A plugin that was built with `panic = "abort"` does
    /// not return from this call: it ends the process.
    pub fn canary(&self) -> Result<()> {
        let _noted = Noted::new(self.origin, Function::Canary);
        match answer((self.module.canary())()) {
            Err(error) if error.kind() == ErrorKind::Panicked => Ok(()),
            _ => Err(Error::contract("canary: the panic was not reported")),
        }
    }

    /// The ABI version that the plugin speaks.
    pub fn version(&self) -> AbiVersion {
        self.version
    }

    /// The measurements that it exports.
    pub fn measurements(&self) -> Vec<MeasurementHandle> {
        let origin = self.origin;
        let tables = self.module.measurements();
        tables.iter().map(|&table| MeasurementHandle { table, origin }).collect()
    }

    /// The chains that it exports.
    pub fn chains(&self) -> Vec<ChainHandle> {
        let origin = self.origin;
        self.module.chains().iter().map(|&table| ChainHandle { table, origin }).collect()
    }
}

/// A kind of measurement, of which no object was made yet.
#[derive(Clone, Copy)]
pub struct MeasurementHandle {
    table: MeasurementRef,
    origin: Origin,
}

impl MeasurementHandle {
    /// A measurement that is linked in.
    pub fn of<M: Measurement>() -> MeasurementHandle {
        MeasurementHandle { table: export::measurement::<M>(), origin: Origin::LINKED }
    }

    /// What it is, and its options.
    pub fn describe(&self) -> Result<(Info, Options)> {
        let _noted = Noted::new(self.origin, Function::Describe);
        describe::measurement_from_record(&answer((self.table.describe())())?)
    }

    /// Makes the object of one run.
    pub fn instantiate(&self, options: OptionValues) -> Result<MeasurementObject> {
        let noted = Noted::new(self.origin, Function::New);
        let object = answer((self.table.new())(options.into_record(), Services::own()))?;
        drop(noted);
        let number = OBJECTS.fetch_add(1, Ordering::Relaxed);
        let object = Owned::new(self.origin, object);
        Ok(MeasurementObject { table: self.table, object, number, origin: self.origin })
    }
}

/// The object of one run. Every method is one of [`Measurement`]'s.
pub struct MeasurementObject {
    table: MeasurementRef,
    object: Owned<Object>,
    number: u64,
    origin: Origin,
}

/// What a plugin prepared for a job. Only the object that made it takes it.
pub struct PreparedHandle {
    state: Owned<Object>,
    maker: u64,
}

/// Numbers the objects of this process, so that none is handed what another one made.
static OBJECTS: AtomicU64 = AtomicU64::new(0);

impl MeasurementObject {
    /// Calls a function of the plugin.
    fn call<T>(
        &self,
        function: Function,
        call: impl FnOnce(&Object) -> super::guard::Answer<T>,
    ) -> Result<T> {
        let _noted = Noted::new(self.origin, function);
        answer(call(self.object.get()))
    }

    /// See [`Measurement::configurations`].
    pub fn configurations(&self) -> Result<Vec<Configuration>> {
        let configurations = self.table.configurator().configurations();
        let value = self.call(Function::Configurations, |object| configurations(object))?;
        describe::configurations_from_value(&value)
    }

    /// See [`Measurement::configure`].
    pub fn configure(&self, config: ConfigId, changes: &mut dyn SystemChanges) -> Result<()> {
        let mut changes = changes;
        let loan = SystemLoan::new(&mut changes);
        let configure = self.table.configurator().configure();
        self.call(Function::Configure, |object| configure(object, number(config), loan))
    }

    /// See [`Measurement::default_port`].
    pub fn default_port(&self) -> Result<u16> {
        let default_port = self.table.connector().default_port();
        self.call(Function::DefaultPort, |object| default_port(object))
    }

    /// See [`Measurement::pre_connect`].
    pub fn pre_connect(&self, job: &Job) -> Result<PreparedHandle> {
        let pre_connect = self.table.connector().pre_connect();
        let state =
            self.call(Function::PreConnect, |object| pre_connect(object, JobRef::new(job)))?;
        Ok(PreparedHandle { state: Owned::new(self.origin, state), maker: self.number })
    }

    /// See [`Measurement::connect`].
    pub fn connect(
        &self,
        job: &Job,
        prepared: &PreparedHandle,
        config: ConfigId,
    ) -> Result<Connect> {
        let connect = self.table.connector().connect();
        let state = self.own(prepared)?;
        let wire = self.call(Function::Connect, |object| {
            connect(object, JobRef::new(job), state, number(config))
        })?;
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
        let post_connect = self.table.connector().post_connect();
        let (outcome, state) = (outcome.into_record(), self.own(prepared)?);
        self.call(Function::PostConnect, |object| {
            post_connect(object, JobRef::new(job), outcome, state, number(config))
        })
    }

    /// The plugin's own state behind a handle.
    fn own<'p>(&self, prepared: &'p PreparedHandle) -> Result<&'p Object> {
        let is_own = prepared.maker == self.number;
        is_own
            .then_some(prepared.state.get())
            .ok_or_else(|| Error::contract("another object's state"))
    }

    /// See [`Measurement::chains`].
    pub fn chains(&self) -> Result<Vec<ChainName>> {
        let chains = self.table.merger().chains();
        let names = self.call(Function::Chains, |object| chains(object))?;
        Ok(names.into_iter().map(|name| ChainName(name.into_owned().into())).collect())
    }

    /// See [`Measurement::merge`].
    pub fn merge(&self, flow: Option<FlowRecord>, result: Record) -> Result<Record> {
        let merge = self.table.merger().merge();
        self.call(Function::Merge, |object| merge(object, ROption::from(flow), result))
    }

    /// See [`Measurement::combine`].
    pub fn combine(&self, job: &Job, flows: &[Record]) -> Result<Vec<Condition>> {
        let combine = self.table.merger().combine();
        let conditions =
            self.call(Function::Combine, |object| combine(object, JobRef::new(job), flows.into()))?;
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
        let rows = self.table.merger().rows();
        self.call(Function::Rows, |object| rows(object, JobRef::new(job), flows.into()))
            .map(Into::into)
    }

    /// See [`Measurement::finish`]; a plugin of ABI 1.0 has nothing to say.
    pub fn finish(&self) -> Result<Record> {
        match self.table.finish() {
            Some(finish) => self.call(Function::Finish, |object| finish(object)),
            None => Ok(Record::new()),
        }
    }
}

/// A kind of chain, of which no object was made yet.
#[derive(Clone, Copy)]
pub struct ChainHandle {
    pub(super) table: ChainRef,
    pub(super) origin: Origin,
}

impl ChainHandle {
    /// A chain that is linked in.
    pub fn of<C: Chain>() -> ChainHandle {
        ChainHandle { table: export::chain::<C>(), origin: Origin::LINKED }
    }

    /// Its name and fields.
    pub fn describe(&self) -> Result<ChainInfo> {
        let _noted = Noted::new(self.origin, Function::ChainDescribe);
        describe::chain_from_record(&answer((self.table.describe())())?)
    }
}

pub(super) fn answer<T>(answer: super::guard::Answer<T>) -> Result<T> {
    answer.into_result().map_err(Error::from)
}

fn number(config: ConfigId) -> u32 {
    u32::try_from(config.index()).unwrap_or(u32::MAX)
}
