//! The host's end of the boundary: a plugin's tables as safe handles.
//!
//! A handle comes from a loaded library (`LoadedPlugin`) or from a type linked in (`of`): hosts
//! and tests use both alike.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use abi_stable::std_types::{RCow, RCowStr, RVec};

use super::data::Record;
use super::describe;
use super::descriptor::{AbiVersion, Descriptor, Refusal};
use super::export;
use super::lent::{LentAttempt, LentFlow, LentFlows, Reading};
use super::object::Object;
use super::running::{Function, Noted, Origin, Owned};
use super::services::Services;
use super::slots::Slots;
use super::system::SystemLoan;
use super::tables::{
    AttemptRef, ChainRef, FlowRef, FlowsRef, LocationRef, MeasurementRef, ModuleRef,
};
use super::talking::{ConversationHandle, Wanted};
use crate::chain::{Chain, ChainInfo};
use crate::conclusion::{Conclusion, Wishes};
use crate::condition::Condition;
use crate::configuration::{ConfigId, Configuration};
use crate::connect::Connect;
use crate::error::{Error, ErrorKind, Result};
use crate::info::{ChainName, Info};
use crate::job::Job;
use crate::location::Location;
use crate::measurement::Measurement;
use crate::options::{OptionValues, Options};
use crate::outcome::Outcome;
use crate::rules;
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

/// A kind of measurement. No object of it is made yet.
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
        let left = AtomicU8::new(0);
        Ok(MeasurementObject { table: self.table, object, number, origin: self.origin, left })
    }
}

/// The object of one run. Every method is one of [`Measurement`]'s.
pub struct MeasurementObject {
    table: MeasurementRef,
    object: Owned<Object>,
    number: u64,
    origin: Origin,
    /// The functions that the plugin leaves to the host, as bits.
    left: AtomicU8,
}

/// What stands where a plugin prepared nothing.
static NO_OBJECT: Object = Object::NONE;

/// A function that the host can do by itself.
#[derive(Clone, Copy)]
enum Optional {
    PreConnect = 1,
    PostConnect = 1 << 1,
    Merge = 1 << 2,
    Rows = 1 << 3,
    Located = 1 << 4,
}

/// What a plugin prepared for a job. Only the object that made it takes it.
pub struct PreparedHandle {
    /// `None` where it prepares nothing.
    state: Option<Owned<Object>>,
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

    fn is_left(&self, function: Optional) -> bool {
        self.left.load(Ordering::Relaxed) & function as u8 != 0
    }

    /// Notes that a function was left to the host.
    fn note(&self, function: Optional, is_left: bool) {
        if is_left {
            self.left.fetch_or(function as u8, Ordering::Relaxed);
        }
    }

    /// See [`Measurement::configurations`].
    pub fn configurations(&self) -> Result<Vec<Configuration>> {
        let configurations = self.table.configurator().configurations();
        let value = self.call(Function::Configurations, |object| configurations(object))?;
        let configurations = describe::configurations_from_value(&value)?;
        rules::check_configurations(&configurations)?;
        Ok(configurations)
    }

    /// See [`Measurement::configure`].
    pub fn configure(&self, config: ConfigId, changes: &mut dyn SystemChanges) -> Result<()> {
        let mut changes = changes;
        let loan = SystemLoan::new(&mut changes);
        let configure = self.table.configurator().configure();
        self.call(Function::Configure, |object| configure(object, config.number(), loan))
    }

    /// See [`Measurement::pre_connect`].
    pub(crate) fn pre_connect(
        &self,
        job: &Job,
        round: u32,
        slots: &Slots,
    ) -> Result<PreparedHandle> {
        if self.is_left(Optional::PreConnect) {
            return Ok(PreparedHandle { state: None, maker: self.number });
        }
        let reading = Reading::new(slots);
        let attempt = LentAttempt::new(job, &NO_OBJECT, (0, round), &reading);
        let pre_connect = self.table.connector().pre_connect();
        let state = self
            .call(Function::PreConnect, |object| pre_connect(object, AttemptRef::new(&attempt)))?;
        self.note(Optional::PreConnect, attempt.is_left());
        let state = Some(Owned::new(self.origin, state));
        Ok(PreparedHandle { state, maker: self.number })
    }

    /// What one connection is asked for with.
    pub(crate) fn attempt<'a>(
        &self,
        job: &'a Job,
        prepared: &'a PreparedHandle,
        (config, round): (ConfigId, u32),
        reading: &'a Reading<'a>,
    ) -> Result<LentAttempt<'a>> {
        if prepared.maker != self.number {
            return Err(Error::contract("another object's state"));
        }
        let state = prepared.state.as_ref().map_or(&NO_OBJECT, Owned::get);
        Ok(LentAttempt::new(job, state, (config.number(), round), reading))
    }

    /// See [`Measurement::connect`].
    pub(crate) fn connect(&self, attempt: &LentAttempt<'_>) -> Result<Connect> {
        let connect = self.table.connector().connect();
        let Wanted { connect, conversation } =
            self.call(Function::Connect, |object| connect(object, AttemptRef::new(attempt)))?;
        let conversation = conversation.into_option();
        let conversation = conversation.map(|one| ConversationHandle::new(one, self.origin));
        Connect::from_wire(connect, conversation).map_err(Error::contract)
    }

    /// See [`Measurement::post_connect`].
    pub(crate) fn post_connect(
        &self,
        attempt: &LentAttempt<'_>,
        outcome: Outcome,
    ) -> Result<Record> {
        let outcome = outcome.into_record();
        if self.is_left(Optional::PostConnect) {
            return Ok(outcome);
        }
        let post_connect = self.table.connector().post_connect();
        let result = self.call(Function::PostConnect, |object| {
            post_connect(object, AttemptRef::new(attempt), outcome)
        })?;
        self.note(Optional::PostConnect, attempt.is_left());
        Ok(result)
    }

    /// See [`Measurement::chains`].
    pub fn chains(&self) -> Result<Vec<ChainName>> {
        let chains = self.table.merger().chains();
        let names = self.call(Function::Chains, |object| chains(object))?;
        Ok(names.into_iter().map(|name| ChainName(text(name))).collect())
    }

    /// Whether the host joins results and flows by itself.
    pub(crate) fn leaves_merge(&self) -> bool {
        self.is_left(Optional::Merge)
    }

    /// See [`Measurement::merge`].
    pub(crate) fn merge(
        &self,
        attempt: &LentAttempt<'_>,
        flow: &LentFlow<'_>,
        result: Record,
    ) -> Result<Record> {
        let merge = self.table.merger().merge();
        let merged = self.call(Function::Merge, |object| {
            merge(object, AttemptRef::new(attempt), FlowRef::new(flow), result)
        })?;
        self.note(Optional::Merge, attempt.is_left());
        Ok(merged)
    }

    /// See [`Measurement::combine`].
    pub(crate) fn combine(&self, flows: &LentFlows<'_>) -> Result<Conclusion> {
        let combine = self.table.merger().combine();
        let concluded =
            self.call(Function::Combine, |object| combine(object, FlowsRef::new(flows)))?;
        Ok(Conclusion {
            conditions: received(concluded.conditions),
            wishes: Wishes(concluded.wishes),
        })
    }

    /// See [`Measurement::rows`].
    pub(crate) fn rows(&self, flows: &LentFlows<'_>) -> Result<Vec<Record>> {
        if self.is_left(Optional::Rows) {
            return Ok(Vec::new());
        }
        let rows = self.table.merger().rows();
        let rows = self.call(Function::Rows, |object| rows(object, FlowsRef::new(flows)))?;
        self.note(Optional::Rows, flows.is_left());
        Ok(rows.into())
    }

    /// See [`Measurement::located`].
    pub(crate) fn located(
        &self,
        flows: &LentFlows<'_>,
        location: &Location,
    ) -> Result<Vec<Condition>> {
        if self.is_left(Optional::Located) {
            return Ok(Vec::new());
        }
        let located = self.table.merger().located();
        let conditions = self.call(Function::Located, |object| {
            located(object, FlowsRef::new(flows), LocationRef::new(location))
        })?;
        self.note(Optional::Located, flows.is_left());
        Ok(received(conditions))
    }

    /// See [`Measurement::finish`].
    pub fn finish(&self) -> Result<Record> {
        let finish = self.table.finish();
        self.call(Function::Finish, |object| finish(object))
    }
}

/// Conditions of a plugin.
fn received(conditions: RVec<RCowStr<'static>>) -> Vec<Condition> {
    conditions.into_iter().map(|condition| Condition::received(text(condition))).collect()
}

/// A text stays the plugin's: borrowed if it is a constant of its own.
fn text(text: RCowStr<'static>) -> Cow<'static, str> {
    match text {
        RCow::Borrowed(text) => text.as_str().into(),
        RCow::Owned(text) => String::from(text).into(),
    }
}

/// A kind of chain. No object of it is made yet.
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
