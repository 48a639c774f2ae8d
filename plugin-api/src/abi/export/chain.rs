//! A chain as a table of guarded functions. Its functions answer one octet each, for they are called
//! with every packet.

use std::cell::RefCell;
use std::ffi::c_void;
use std::marker::PhantomData;

use abi_stable::prefix_type::WithMetadata;
use abi_stable::std_types::RSliceMut;

use crate::abi::data::{Record, Value};
use crate::abi::describe;
use crate::abi::guard::{Answer, Failure, guard, guard_quickly};
use crate::abi::object::Object;
use crate::abi::tables::{
    ChainRef, ChainTable, FLOW_FAILED, FLOW_IGNORED, FLOW_TAKEN, PACKET_DONE, PACKET_FAILED,
    PACKET_MORE, PacketRef,
};
use crate::chain::{Chain, Fields, Verdict};
use crate::error::{Error, Result};
use crate::packet::{Layers, Packet};

/// The table of a chain.
pub const fn chain<C: Chain>() -> ChainRef {
    ChainRef(ChainTables::<C>::TABLE.static_as_prefix())
}

/// Chains that are one type with a number: those of a library that learns only when it runs how many it has.
pub trait Numbered {
    /// The chain of this number.
    type Chain<const N: usize>: Chain;
}

/// How many chains [`numbered`] gives.
pub const NUMBERED: usize = 8;

/// The tables of chains that have numbers.
pub const fn numbered<C: Numbered>() -> [ChainRef; NUMBERED] {
    [
        chain::<C::Chain<0>>(),
        chain::<C::Chain<1>>(),
        chain::<C::Chain<2>>(),
        chain::<C::Chain<3>>(),
        chain::<C::Chain<4>>(),
        chain::<C::Chain<5>>(),
        chain::<C::Chain<6>>(),
        chain::<C::Chain<7>>(),
    ]
}

thread_local! {
    static LAST_FAILURE: RefCell<Option<Failure>> = const { RefCell::new(None) };
}

extern "C" fn last_failure() -> Failure {
    guard(|| {
        let failure = LAST_FAILURE.with(|last| last.borrow_mut().take());
        Ok(failure.unwrap_or_else(|| Error::contract("no chain function failed").into()))
    })
    .into_result()
    .unwrap_or_else(|failure| failure)
}

/// Runs a chain's function whose answer is one octet; a panic is kept for `last_failure`.
#[inline]
fn guard_code(failed: u8, function: impl FnOnce() -> Result<u8>) -> u8 {
    match guard_quickly(function).into_result() {
        Ok(code) => code,
        Err(failure) => {
            LAST_FAILURE.with(|last| *last.borrow_mut() = Some(failure));
            failed
        }
    }
}

struct ChainTables<C>(PhantomData<C>);

impl<C: Chain> ChainTables<C> {
    const TABLE: &'static WithMetadata<ChainTable> = &WithMetadata::new(ChainTable {
        describe: describe_chain::<C>,
        new: new_chain::<C>,
        layers: C::LAYERS.0,
        flow_size: size_of::<C::Flow>(),
        flow_align: align_of::<C::Flow>(),
        new_flow: new_flow::<C>,
        packet: packet::<C>,
        finish: finish::<C>,
        drop_flow: drop_flow::<C>,
        last_failure,
    });
}

/// A chain that only the observer's thread calls, so that `Object` may carry it.
struct OneThread<C> {
    chain: C,
    name: String,
}
// SAFETY: the contract has one thread call a chain's functions, one at a time.
unsafe impl<C: Chain> Sync for OneThread<C> {}

extern "C" fn describe_chain<C: Chain>() -> Answer<Record> {
    guard(|| Ok(describe::chain_to_record(C::info())))
}

extern "C" fn new_chain<C: Chain>() -> Answer<Object> {
    guard(|| Ok(Object::new(OneThread { chain: C::default(), name: C::info().name })))
}

#[inline]
fn author_chain<C: Chain>(object: &Object) -> Result<&C> {
    Ok(&one_thread(object)?.chain)
}

#[inline]
fn one_thread<C: Chain>(object: &Object) -> Result<&OneThread<C>> {
    // SAFETY: the host passes to a chain's functions only what that table's `new` made.
    let chain = unsafe { object.get::<OneThread<C>>() };
    chain.ok_or_else(|| Error::contract("the host passed no chain"))
}

unsafe extern "C" fn new_flow<C: Chain>(
    object: &Object,
    packet: PacketRef<'_>,
    place: *mut c_void,
) -> u8 {
    guard_code(FLOW_FAILED, || {
        match author_chain::<C>(object)?.new_flow(packet.get()) {
            Some(flow) => {
                // SAFETY: the host gives memory of the size and alignment that the table states, with
                // no value in it.
                unsafe { place.cast::<C::Flow>().write(flow) };
                Ok(FLOW_TAKEN)
            }
            None => Ok(FLOW_IGNORED),
        }
    })
}

unsafe extern "C" fn packet<C: Chain>(
    object: &Object,
    flow: *mut c_void,
    packet: PacketRef<'_>,
) -> u8 {
    guard_code(PACKET_FAILED, || {
        let chain = author_chain::<C>(object)?;
        // SAFETY: the host passes the place where `new_flow` made a state, which nothing else
        // refers to during the call.
        let flow = unsafe { &mut *flow.cast::<C::Flow>() };
        Ok(match show(chain, flow, packet.get()) {
            Verdict::Continue => PACKET_MORE,
            Verdict::Done => PACKET_DONE,
        })
    })
}

/// Calls the functions for the layers that the packet has and the chain wants.
#[inline]
fn show<C: Chain>(chain: &C, flow: &mut C::Flow, packet: &Packet<'_>) -> Verdict {
    let has = |layer: Layers| C::LAYERS.intersects(layer) && packet.layers().intersects(layer);
    let mut done = false;
    let mut note = |verdict: Verdict| done |= verdict == Verdict::Done;
    if has(Layers::IP4) {
        note(chain.ip4(flow, &packet.ip(), packet));
    }
    if has(Layers::IP6) {
        note(chain.ip6(flow, &packet.ip(), packet));
    }
    if has(Layers::TCP)
        && let Some(tcp) = packet.tcp()
    {
        note(chain.tcp(flow, &tcp, packet));
    }
    if has(Layers::UDP)
        && let Some(udp) = packet.udp()
    {
        note(chain.udp(flow, &udp, packet));
    }
    if let Some(icmp) = packet.icmp() {
        if has(Layers::ICMP4) {
            note(chain.icmp4(flow, &icmp, packet));
        }
        if has(Layers::ICMP6) {
            note(chain.icmp6(flow, &icmp, packet));
        }
    }
    if has(Layers::L4) {
        note(chain.l4(flow, packet));
    }
    Verdict::done_if(done)
}

unsafe extern "C" fn finish<C: Chain>(
    object: &Object,
    flow: *mut c_void,
    mut values: RSliceMut<'_, Value>,
) -> Answer<()> {
    guard(|| {
        // SAFETY: the host passes the place where `new_flow` made a state, and takes it as gone.
        let flow = unsafe { flow.cast::<C::Flow>().read() };
        let OneThread { chain, name } = one_thread::<C>(object)?;
        let mut fields = Fields::new(name, values.as_mut_slice());
        chain.finish(flow, &mut fields);
        match fields.foreign() {
            Some(field) => {
                let what = format_args!("finish: it sets {field}, which is no field of {name}");
                Err(Error::contract(what))
            }
            None => Ok(()),
        }
    })
}

unsafe extern "C" fn drop_flow<C: Chain>(flow: *mut c_void) {
    let _ = guard(|| {
        // SAFETY: as in `finish`.
        drop(unsafe { flow.cast::<C::Flow>().read() });
        Ok(())
    });
}
