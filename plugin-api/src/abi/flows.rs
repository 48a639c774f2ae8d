//! The chains of a run, and their state of each flow: one block of memory per flow.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::RefCell;
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use abi_stable::std_types::RSliceMut;

use super::data::Value;
use super::guard::{Answer, Failure};
use super::loaded::{ChainHandle, answer};
use super::object::Object;
use super::running::{Function, Noted, Origin};
use super::slots::Slots;
use super::tables::{FLOW_FAILED, FLOW_TAKEN, PACKET_DONE, PACKET_FAILED, PacketRef};
use crate::error::{Error, Result};
use crate::flow_record::FlowRecord;
use crate::packet::{Layers, Packet};

/// The chains of a run, in order. It belongs to one thread at a time.
pub struct ChainSet {
    /// Distinguishes it from the other sets of this process.
    number: u32,
    chains: Vec<Member>,
    /// The chains that want to see packets with each layer, by the layer's bit. Bit i: chain i.
    wanting: [u32; u32::BITS as usize],
    slots: Arc<Slots>,
    layout: Layout,
    /// Blocks of flows that have ended, for those that begin.
    spare: RefCell<Vec<Block>>,
    /// Where the blocks come from: all of them are freed with the set, so its memory is that of
    /// the most flows that lived at once.
    chunks: RefCell<Vec<Block>>,
}

/// Memory of the set's layout, without a value in it.
struct Block(NonNull<u8>);

// SAFETY: it is memory that nothing else refers to, and any thread may free it.
unsafe impl Send for Block {}

static SETS: AtomicU32 = AtomicU32::new(0);

/// Blocks that are allocated at once.
const CHUNK: usize = 256;

/// A chain's functions, looked up once, and where its state stands in a flow's block.
struct Member {
    origin: Origin,
    object: Object,
    offset: usize,
    new_flow: unsafe extern "C" fn(&Object, PacketRef<'_>, *mut c_void) -> u8,
    packet: unsafe extern "C" fn(&Object, *mut c_void, PacketRef<'_>) -> u8,
    finish: unsafe extern "C" fn(&Object, *mut c_void, RSliceMut<'_, Value>) -> Answer<()>,
    drop_flow: unsafe extern "C" fn(*mut c_void),
    last_failure: extern "C" fn() -> Failure,
}

/// All chains' state of one flow.
///
/// It goes back to the set that made it, by [`ChainSet::finish`]; one that is merely dropped leaks
/// its memory, which is safe.
pub struct FlowState {
    /// The set that made it, which alone knows what is in the block.
    set: u32,
    block: NonNull<u8>,
    /// Bit i: chain i has a state in the block.
    taken: u32,
    /// Bit i: chain i failed on this flow, and is not called again for it.
    failed: u32,
    /// The first failure's message; boxed, because almost no flow has one.
    failure: Option<Box<Error>>,
}

// SAFETY: `Chain::Flow` is `Send`, and a `FlowState` has one owner.
unsafe impl Send for FlowState {}

impl ChainSet {
    /// Makes the chains' objects.
    ///
    /// # Errors
    ///
    /// A chain cannot be described or made, there are more than 32, or a plugin states an impossible
    /// layout.
    pub fn new(handles: &[ChainHandle]) -> Result<ChainSet> {
        if handles.len() > 32 {
            return Err(Error::new("more than 32 chains"));
        }
        let mut layout = Layout::new::<()>();
        let infos = handles.iter().map(ChainHandle::describe).collect::<Result<Vec<_>>>()?;
        let mut chains = Vec::with_capacity(handles.len());
        let mut wanting = [0; u32::BITS as usize];
        for (index, handle) in handles.iter().enumerate() {
            let table = handle.table;
            for layer in bits(table.layers()) {
                wanting[layer] |= 1 << index;
            }
            let state = Layout::from_size_align(table.flow_size(), table.flow_align())
                .map_err(|_| Error::contract("a chain states an impossible layout"))?;
            let (extended, offset) = layout
                .extend(state)
                .map_err(|_| Error::contract("the chains' state of a flow is too large"))?;
            layout = extended;
            let noted = Noted::new(handle.origin, Function::ChainNew);
            let object = answer((table.new())())?;
            drop(noted);
            chains.push(Member {
                origin: handle.origin,
                object,
                offset,
                new_flow: table.new_flow(),
                packet: table.packet(),
                finish: table.finish(),
                drop_flow: table.drop_flow(),
                last_failure: table.last_failure(),
            });
        }
        Ok(ChainSet {
            number: SETS.fetch_add(1, Ordering::Relaxed),
            chains,
            wanting,
            slots: Arc::new(Slots::new(&infos)),
            layout: layout.pad_to_align(),
            spare: RefCell::default(),
            chunks: RefCell::default(),
        })
    }

    /// The number of chains.
    pub fn len(&self) -> usize {
        self.chains.len()
    }

    /// Whether there is no chain.
    pub fn is_empty(&self) -> bool {
        self.chains.is_empty()
    }

    /// Which field stands in which slot of a flow's record.
    pub fn slots(&self) -> &Arc<Slots> {
        &self.slots
    }

    /// Octets of memory that each flow takes for its chains' state.
    pub fn flow_size(&self) -> usize {
        self.layout.size()
    }

    /// Fetches a flow's state into the cache, for a host that knows which packets come next.
    #[inline]
    pub fn touch(&self, flow: &FlowState) {
        const CACHE_LINE: usize = 64;
        if flow.set != self.number {
            return;
        }
        for offset in (0..self.layout.size()).step_by(CACHE_LINE) {
            // SAFETY: the block has the set's layout, so the octet is within it; it need not be
            // initialised, and nothing is concluded from it.
            unsafe {
                let octet = flow.block.add(offset).as_ptr().cast::<MaybeUninit<u8>>();
                octet.read_volatile();
            }
        }
    }

    /// Begins a flow with its first packet, which is *not* yet shown to the chains.
    pub fn new_flow(&self, packet: &Packet<'_>) -> FlowState {
        let mut flow = FlowState {
            set: self.number,
            block: self.allocate(),
            taken: 0,
            failed: 0,
            failure: None,
        };
        let noted = Noted::new(Origin::LINKED, Function::ChainNewFlow);
        for (index, chain) in self.chains.iter().enumerate() {
            noted.change(chain.origin, Function::ChainNewFlow);
            // SAFETY: the block has the set's layout, so at `offset` there is room for this
            // chain's state, aligned, with no value in it.
            let code = unsafe {
                let place = flow.block.add(chain.offset).as_ptr().cast();
                (chain.new_flow)(&chain.object, PacketRef::new(packet), place)
            };
            match code {
                FLOW_TAKEN => flow.taken |= 1 << index,
                FLOW_FAILED => flow.fail(index, chain),
                _ => {}
            }
        }
        flow
    }

    /// Shows a packet to every chain that wants it; `true` when one says that the flow is
    /// complete.
    ///
    /// # Panics
    ///
    /// Here and in the other methods that take a flow: another set made it, a bug of the host.
    #[inline]
    pub fn packet(&self, flow: &mut FlowState, packet: &Packet<'_>) -> bool {
        assert_eq!(flow.set, self.number, "another set's flow");
        let mut done = false;
        let mut origin = Origin::LINKED;
        let noted = Noted::new(origin, Function::ChainPacket);
        for index in bits(flow.taken & !flow.failed & self.wanting(packet.layers())) {
            let chain = &self.chains[index];
            // Of several chains of one plugin, the first is noted.
            if !chain.origin.is(origin) {
                origin = chain.origin;
                noted.change(origin, Function::ChainPacket);
            }
            // SAFETY: `taken` says that the chain's state is there; `flow` is borrowed mutably.
            let code = unsafe {
                let state = flow.block.add(chain.offset).as_ptr().cast();
                (chain.packet)(&chain.object, state, PacketRef::new(packet))
            };
            match code {
                PACKET_DONE => done = true,
                PACKET_FAILED => flow.fail(index, chain),
                _ => {}
            }
        }
        done
    }

    /// Ends a flow: every chain writes its fields into a record of this set's slots.
    ///
    /// # Errors
    ///
    /// The first failure of a chain on this flow. The other chains' fields are in the record.
    pub fn finish(&self, mut flow: FlowState, record: &mut FlowRecord) -> Result<()> {
        assert_eq!(flow.set, self.number, "another set's flow");
        let noted = Noted::new(Origin::LINKED, Function::ChainFinish);
        for (index, chain) in self.chains.iter().enumerate() {
            noted.change(chain.origin, Function::ChainFinish);
            if flow.taken & 1 << index == 0 {
                continue;
            }
            // SAFETY: the state is there, and is taken as gone after this.
            let failure = unsafe {
                let state: *mut c_void = flow.block.add(chain.offset).as_ptr().cast();
                if flow.failed & 1 << index != 0 {
                    (chain.drop_flow)(state);
                    continue;
                }
                let values = RSliceMut::from_mut_slice(record.of_chain(index));
                answer((chain.finish)(&chain.object, state, values)).err()
            };
            match failure {
                Some(error) => drop(flow.failure.get_or_insert_with(|| Box::new(error))),
                None => record.wrote(index),
            }
        }
        self.release(flow.block);
        flow.failure.take().map_or(Ok(()), |error| Err(*error))
    }

    /// The chains that want to see packets with one of these layers. Bit i: chain i.
    #[inline]
    fn wanting(&self, layers: Layers) -> u32 {
        bits(layers.0).fold(0, |chains, layer| chains | self.wanting[layer])
    }

    fn allocate(&self) -> NonNull<u8> {
        if self.layout.size() == 0 {
            return NonNull::<u128>::dangling().cast();
        }
        if let Some(Block(block)) = self.spare.borrow_mut().pop() {
            return block;
        }
        self.allocate_chunk()
    }

    /// Allocates many blocks at once: flows that live at the same time then lie close together,
    /// which costs fewer misses of the processor's address cache than blocks all over the heap.
    #[cold]
    fn allocate_chunk(&self) -> NonNull<u8> {
        let size = self.layout.size();
        let Some(chunk) = self.chunk_layout() else { handle_alloc_error(self.layout) };
        // SAFETY: the size is not zero.
        let start = unsafe { alloc(chunk) };
        let start = NonNull::new(start).unwrap_or_else(|| handle_alloc_error(chunk));
        self.chunks.borrow_mut().push(Block(start));
        let mut spare = self.spare.borrow_mut();
        // SAFETY: block `index` lies within the chunk, which has room for `CHUNK` of them.
        spare.extend((1..CHUNK).rev().map(|index| Block(unsafe { start.add(index * size) })));
        start
    }

    /// Blocks one after the other; their size is a multiple of their alignment.
    fn chunk_layout(&self) -> Option<Layout> {
        let size = self.layout.size().checked_mul(CHUNK)?;
        Layout::from_size_align(size, self.layout.align()).ok()
    }

    fn release(&self, block: NonNull<u8>) {
        if self.layout.size() != 0 {
            self.spare.borrow_mut().push(Block(block));
        }
    }
}

/// The places of the bits that are set, the lowest first.
#[inline]
fn bits(mut set: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lowest = (set != 0).then(|| set.trailing_zeros() as usize);
        set &= set.wrapping_sub(1);
        lowest
    })
}

impl Drop for ChainSet {
    fn drop(&mut self) {
        let Some(chunk) = self.chunk_layout() else { return };
        for Block(start) in std::mem::take(self.chunks.get_mut()) {
            // SAFETY: `allocate_chunk` made it, with this layout. Flows that were not given back
            // cannot be used without the set.
            unsafe { dealloc(start.as_ptr(), chunk) };
        }
    }
}

impl FlowState {
    #[cold]
    fn fail(&mut self, index: usize, chain: &Member) {
        self.failed |= 1 << index;
        let failure = (chain.last_failure)();
        self.failure.get_or_insert_with(|| Box::new(failure.into()));
    }
}
