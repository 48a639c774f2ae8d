//! The tables of functions that a plugin gives to the host.
//!
//! Each is a prefix type: a later minor version appends fields after the one marked
//! `last_prefix_field`, and the host asks whether an older plugin has them. Every function is
//! guarded (`guard`): it never unwinds, and reports a panic as a failure.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::marker::PhantomData;

use abi_stable::StableAbi;
use abi_stable::library::RootModule;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::{RCowStr, RSlice, RSliceMut, RVec};

use super::data::{Record, Value};
use super::guard::{Answer, Failure};
use super::lent::{LentAttempt, LentFlow, LentFlows};
use super::object::Object;
use super::services::Services;
use super::system::SystemLoan;
use super::talking::Wanted;
use crate::location::Location;
use crate::packet::Packet;

/// All that a plugin exports.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = ModuleRef)))]
pub struct Module {
    /// Its measurements; most plugins have one.
    pub measurements: RSlice<'static, MeasurementRef>,
    /// Its observer chains.
    pub chains: RSlice<'static, ChainRef>,
    /// Panics on purpose, and reports it as every function reports a panic: so a host learns
    /// whether panics are caught in this library as it was built.
    #[sabi(last_prefix_field)]
    pub canary: extern "C" fn() -> Answer<()>,
}

impl RootModule for ModuleRef {
    abi_stable::declare_root_module_statics! {ModuleRef}
    const BASE_NAME: &'static str = "pathspider_plugin";
    const NAME: &'static str = "pathspider_plugin";
    // The descriptor decides on versions; this is `abi_stable`'s own idea of one.
    const VERSION_STRINGS: VersionStrings = VersionStrings::new("2.0.0");
}

/// One measurement.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = MeasurementRef)))]
pub struct MeasurementTable {
    /// Its `Info` and `Options`, as one record. Any thread; no object is needed.
    pub describe: extern "C" fn() -> Answer<Record>,
    /// Makes the object of one run, which the host releases at its end. Main thread, once.
    pub new: extern "C" fn(options: Record, host: Services) -> Answer<Object>,
    /// Its configurations.
    pub configurator: ConfiguratorRef,
    /// Its connections.
    pub connector: ConnectorRef,
    /// Its conclusions.
    pub merger: MergerRef,
    /// Ends the run, and gives what is to be said of it. A thread of its own, once.
    #[sabi(last_prefix_field)]
    pub finish: extern "C" fn(&Object) -> Answer<Record>,
}

/// Functions of the configurator.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = ConfiguratorRef)))]
pub struct ConfiguratorTable {
    /// The configurations in their order, as a list of records with `label`, `hold` and `carrier`.
    /// Main thread, once.
    pub configurations: extern "C" fn(&Object) -> Answer<Value>,
    /// Brings the system into a configuration. Engine thread; never two calls at once.
    #[sabi(last_prefix_field)]
    pub configure: extern "C" fn(&Object, config: u32, SystemLoan<'_>) -> Answer<()>,
}

/// Functions around a connection. They may be called several at once.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = ConnectorRef)))]
pub struct ConnectorTable {
    /// Prepares a job; the host releases the object after the job's last call. Engine thread, or a
    /// worker's where the plugin declares to block; so is `connect`.
    pub pre_connect: extern "C" fn(&Object, AttemptRef<'_>) -> Answer<Object>,
    /// Says which connection to make.
    pub connect: extern "C" fn(&Object, AttemptRef<'_>) -> Answer<Wanted>,
    /// Turns a connection's end (its record, with `spdr_state`) into its result. Merger thread.
    #[sabi(last_prefix_field)]
    pub post_connect: extern "C" fn(&Object, AttemptRef<'_>, outcome: Record) -> Answer<Record>,
}

/// Functions of the merger. Merger thread.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = MergerRef)))]
pub struct MergerTable {
    /// The names of the chains whose fields are read. Main thread, once.
    pub chains: extern "C" fn(&Object) -> Answer<RVec<RCowStr<'static>>>,
    /// Joins a result with its flow.
    pub merge:
        extern "C" fn(&Object, AttemptRef<'_>, FlowRef<'_>, result: Record) -> Answer<Record>,
    /// Concludes from all of a job's connections.
    pub combine: extern "C" fn(&Object, FlowsRef<'_>) -> Answer<Concluded>,
    /// Further keys of the job's record, one record for each.
    pub rows: extern "C" fn(&Object, FlowsRef<'_>) -> Answer<RVec<Record>>,
    /// Concludes from where on the path a configuration's packets were harmed.
    #[sabi(last_prefix_field)]
    pub located:
        extern "C" fn(&Object, FlowsRef<'_>, LocationRef<'_>) -> Answer<RVec<RCowStr<'static>>>,
}

/// What `combine` gives.
#[repr(C)]
#[derive(StableAbi)]
pub struct Concluded {
    /// The conditions' texts.
    pub conditions: RVec<RCowStr<'static>>,
    /// What is wished of the host, as the bits of `Wishes`.
    pub wishes: u32,
    /// For what later versions say besides.
    pub more: Record,
}

/// One observer chain. Observer thread, one call at a time; a chain's object stays on it.
///
/// The state of a flow lives in memory that the host gives (`flow_size` octets, aligned to
/// `flow_align`), so that all chains' state of a flow is one block. The plugin makes the state in
/// it (`new_flow`) and ends it there (`finish` or `drop_flow`); the host frees the memory.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = ChainRef)))]
pub struct ChainTable {
    /// Its `ChainInfo`, as a record. Any thread; no object is needed.
    pub describe: extern "C" fn() -> Answer<Record>,
    /// Makes the chain's object.
    pub new: extern "C" fn() -> Answer<Object>,
    /// The layers it wants to see, as the bits of `Layers`.
    pub layers: u32,
    /// Octets of a flow's state.
    pub flow_size: usize,
    /// Alignment of a flow's state.
    pub flow_align: usize,
    /// Begins a flow in `place`: `FLOW_IGNORED`, `FLOW_TAKEN` or `FLOW_FAILED`.
    pub new_flow: unsafe extern "C" fn(&Object, PacketRef<'_>, place: *mut c_void) -> u8,
    /// Shows a packet: `PACKET_MORE`, `PACKET_DONE` or `PACKET_FAILED`.
    pub packet: unsafe extern "C" fn(&Object, flow: *mut c_void, PacketRef<'_>) -> u8,
    /// Ends a flow and writes its fields, one value for each in the order of its description; what it
    /// leaves is null. The state is gone afterwards, also on failure.
    pub finish: unsafe extern "C" fn(
        &Object,
        flow: *mut c_void,
        values: RSliceMut<'_, Value>,
    ) -> Answer<()>,
    /// Ends a flow without a word.
    pub drop_flow: unsafe extern "C" fn(flow: *mut c_void),
    /// Why the last call on this thread failed.
    #[sabi(last_prefix_field)]
    pub last_failure: extern "C" fn() -> Failure,
}

/// `new_flow`: the chain ignores the flow; nothing was made in `place`.
pub(crate) const FLOW_IGNORED: u8 = 0;
/// `new_flow`: the state is in `place`.
pub(crate) const FLOW_TAKEN: u8 = 1;
/// `new_flow`: a failure; nothing was made in `place`.
pub(crate) const FLOW_FAILED: u8 = 2;
/// `packet`: more packets may tell more.
pub(crate) const PACKET_MORE: u8 = 0;
/// `packet`: the flow is complete.
pub(crate) const PACKET_DONE: u8 = 1;
/// `packet`: a failure; the state is still there, and is not to be shown more packets.
pub(crate) const PACKET_FAILED: u8 = 2;

/// Declares a reference to a struct that is lent for one call. Its fields are read by the other
/// side's copy of the struct, so that it only grows at its end.
macro_rules! lent {
    ($($(#[$doc:meta])+ $name:ident: $target:ident $(<$inner:lifetime>)?;)+) => {
        $(
            $(#[$doc])+
            #[repr(transparent)]
            #[derive(StableAbi, Clone, Copy)]
            pub struct $name<'a> {
                pointer: *const c_void,
                lifetime: PhantomData<&'a ()>,
            }

            impl<'a> $name<'a> {
                #[inline]
                pub(crate) fn new<'b: 'a>(lent: &'a lent!(@type $target 'b $($inner)?)) -> Self {
                    $name { pointer: std::ptr::from_ref(lent).cast(), lifetime: PhantomData }
                }

                #[inline]
                pub(crate) fn get(&self) -> &'a lent!(@type $target 'a $($inner)?) {
                    // SAFETY: made by `new` alone, from a reference that lives for 'a to what lives
                    // longer; the struct's layout is the same on both sides but for fields at its
                    // end, which an older side does not read.
                    unsafe { &*self.pointer.cast() }
                }
            }
        )+
    };
    (@type $target:ident $outer:lifetime) => { $target };
    (@type $target:ident $outer:lifetime $inner:lifetime) => { $target<$outer> };
}

lent! {
    /// What one connection is asked for with.
    AttemptRef: LentAttempt<'a>;
    /// A job's connections.
    FlowsRef: LentFlows<'a>;
    /// One connection that has ended.
    FlowRef: LentFlow<'a>;
    /// Where on the path packets were harmed.
    LocationRef: Location;
    /// A packet.
    PacketRef: Packet<'a>;
}
