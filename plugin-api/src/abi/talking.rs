//! A conversation across the boundary: its object and its table of guarded functions, which stand
//! beside the record that `connect` gives.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::marker::PhantomData;
use std::time::Duration;

use abi_stable::StableAbi;
use abi_stable::prefix_type::WithMetadata;
use abi_stable::std_types::{ROption, RVec};

use super::data::Record;
use super::guard::{Answer, guard};
use super::loaded::answer;
use super::object::Object;
use super::running::{Function, Noted, Origin, Owned};
use super::tables::PacketRef;
use crate::conversation::{Conversation, Ending, Next, Scene, Turn};
use crate::error::{Error, Result};
use crate::outcome::{Outcome, State};
use crate::packet::Packet;

/// Functions of a conversation. One call at a time, on any thread.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = ConversationRef)))]
pub struct ConversationTable {
    /// Its first call.
    pub begin: extern "C" fn(&mut Object, SceneRef<'_>) -> Answer<Said>,
    /// A packet of its flow came.
    pub packet: extern "C" fn(&mut Object, SceneRef<'_>, PacketRef<'_>) -> Answer<Said>,
    /// Its time has come.
    pub timer: extern "C" fn(&mut Object, SceneRef<'_>) -> Answer<Said>,
    /// Its last call: why it ended, as the number of an `Ending`; its outcome with `spdr_state`.
    #[sabi(last_prefix_field)]
    pub end: extern "C" fn(&mut Object, ending: u8) -> Answer<Record>,
}

/// What a conversation wants.
#[repr(C)]
#[derive(StableAbi)]
pub struct Said {
    /// Packets to send, in order.
    packets: RVec<RVec<u8>>,
    /// For how long it waits, where it waits for a time.
    wait_ns: u64,
    /// `NEXT_WAIT`, `NEXT_WAIT_FOR` or `NEXT_DONE`.
    next: u8,
}

pub(crate) const NEXT_WAIT: u8 = 0;
pub(crate) const NEXT_WAIT_FOR: u8 = 1;
pub(crate) const NEXT_DONE: u8 = 2;

pub(crate) const ENDED_DONE: u8 = 0;
pub(crate) const ENDED_TIMEOUT: u8 = 1;
pub(crate) const ENDED_OVERRUN: u8 = 2;

/// A scene, lent for one call. Its fields are read by the plugin's copy of `Scene`, so that struct
/// only grows at the end.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy)]
pub struct SceneRef<'a> {
    scene: *const c_void,
    lifetime: PhantomData<&'a ()>,
}

impl<'a> SceneRef<'a> {
    fn new(scene: &'a Scene) -> SceneRef<'a> {
        SceneRef { scene: std::ptr::from_ref(scene).cast(), lifetime: PhantomData }
    }

    fn get(&self) -> &'a Scene {
        // SAFETY: made by `new` alone, from a reference that lives for 'a; the struct's layout is
        // the same on both sides but for fields at its end, which an older side does not read.
        unsafe { &*self.scene.cast::<Scene>() }
    }
}

/// What `connect` gives.
#[repr(C)]
#[derive(StableAbi)]
pub struct Wanted {
    /// The connection: its kind and settings.
    pub connect: Record,
    /// The conversation, where that is its kind.
    pub conversation: ROption<Talking>,
}

/// A conversation as it crosses.
#[repr(C)]
#[derive(StableAbi)]
pub struct Talking {
    object: Object,
    table: ConversationRef,
}

impl Talking {
    pub(crate) fn new<C: Conversation>(conversation: C) -> Talking {
        let object = Object::alone(conversation);
        Talking { object, table: ConversationRef(Tables::<C>::TABLE.static_as_prefix()) }
    }
}

struct Tables<C>(PhantomData<C>);

impl<C: Conversation> Tables<C> {
    const TABLE: &'static WithMetadata<ConversationTable> = &WithMetadata::new(ConversationTable {
        begin: begin::<C>,
        packet: packet::<C>,
        timer: timer::<C>,
        end: end::<C>,
    });
}

/// The author's conversation behind a pointer of the host's.
fn author<C: Conversation>(object: &mut Object) -> Result<&mut C> {
    // SAFETY: the host passes to a conversation's functions only what `Talking::new` of the same
    // library made, with the table that it made for it.
    unsafe { object.get_mut::<C>() }.ok_or_else(|| Error::contract("the host passed no object"))
}

/// Runs one call of a conversation.
fn said<C: Conversation>(
    object: &mut Object,
    scene: SceneRef<'_>,
    call: impl FnOnce(&mut C, &mut Turn<'_>) -> Result<Next>,
) -> Answer<Said> {
    guard(|| {
        let mut turn = Turn::new(scene.get());
        let next = call(author(object)?, &mut turn)?;
        let packets = turn.into_packets().into_iter().map(RVec::from).collect();
        let (next, wait_ns) = match next {
            Next::Wait => (NEXT_WAIT, 0),
            Next::WaitFor(time) => {
                (NEXT_WAIT_FOR, u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
            }
            Next::Done => (NEXT_DONE, 0),
        };
        Ok(Said { packets, wait_ns, next })
    })
}

extern "C" fn begin<C: Conversation>(object: &mut Object, scene: SceneRef<'_>) -> Answer<Said> {
    said::<C>(object, scene, |conversation, turn| conversation.begin(turn))
}

extern "C" fn packet<C: Conversation>(
    object: &mut Object,
    scene: SceneRef<'_>,
    packet: PacketRef<'_>,
) -> Answer<Said> {
    said::<C>(object, scene, |conversation, turn| conversation.packet(packet.get(), turn))
}

extern "C" fn timer<C: Conversation>(object: &mut Object, scene: SceneRef<'_>) -> Answer<Said> {
    said::<C>(object, scene, |conversation, turn| conversation.timer(turn))
}

extern "C" fn end<C: Conversation>(object: &mut Object, ending: u8) -> Answer<Record> {
    guard(|| {
        let ending = match ending {
            ENDED_DONE => Ending::Done,
            ENDED_TIMEOUT => Ending::Timeout,
            ENDED_OVERRUN => Ending::Overrun,
            other => return Err(Error::contract(format!("the host passed no ending: {other}"))),
        };
        Ok(author::<C>(object)?.end(ending).into_record())
    })
}

/// The host's end of a conversation: each method is one of [`Conversation`]'s.
pub struct ConversationHandle {
    // The object is released as the plugin's function `drop`.
    talking: Owned<Talking>,
    origin: Origin,
}

/// What a conversation asked for.
#[derive(Debug)]
pub struct Asked {
    /// Packets to send, in order.
    pub packets: Vec<Vec<u8>>,
    /// What it waits for then.
    pub next: Next,
}

impl std::fmt::Debug for ConversationHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a conversation of {}", self.origin.name())
    }
}

impl ConversationHandle {
    /// One that came across the boundary.
    pub(crate) fn new(talking: Talking, origin: Origin) -> ConversationHandle {
        ConversationHandle { talking: Owned::new(origin, talking), origin }
    }

    /// One that was made here.
    pub(crate) fn own(talking: Talking) -> ConversationHandle {
        ConversationHandle::new(talking, Origin::LINKED)
    }

    pub(crate) fn into_talking(self) -> Talking {
        self.talking.into_inner()
    }

    fn call(
        &mut self,
        function: Function,
        call: impl FnOnce(&mut Talking) -> Answer<Said>,
    ) -> Result<Asked> {
        let noted = Noted::new(self.origin, function);
        let said = answer(call(self.talking.get_mut()))?;
        drop(noted);
        let next = match said.next {
            NEXT_WAIT => Next::Wait,
            NEXT_WAIT_FOR => Next::WaitFor(Duration::from_nanos(said.wait_ns)),
            NEXT_DONE => Next::Done,
            other => {
                return Err(Error::contract(format!("{}: no such next: {other}", function.name())));
            }
        };
        Ok(Asked { packets: said.packets.into_iter().map(Into::into).collect(), next })
    }

    /// See [`Conversation::begin`].
    ///
    /// # Errors
    ///
    /// Here and in the others: the plugin's, or what it broke.
    pub fn begin(&mut self, scene: &Scene) -> Result<Asked> {
        self.call(Function::ConversationBegin, |Talking { object, table }| {
            (table.begin())(object, SceneRef::new(scene))
        })
    }

    /// See [`Conversation::packet`].
    ///
    /// # Errors
    ///
    /// As for `begin`.
    pub fn packet(&mut self, scene: &Scene, packet: &Packet<'_>) -> Result<Asked> {
        self.call(Function::ConversationPacket, |Talking { object, table }| {
            (table.packet())(object, SceneRef::new(scene), PacketRef::new(packet))
        })
    }

    /// See [`Conversation::timer`].
    ///
    /// # Errors
    ///
    /// As for `begin`.
    pub fn timer(&mut self, scene: &Scene) -> Result<Asked> {
        self.call(Function::ConversationTimer, |Talking { object, table }| {
            (table.timer())(object, SceneRef::new(scene))
        })
    }

    /// See [`Conversation::end`].
    ///
    /// # Errors
    ///
    /// As for `begin`.
    pub fn end(mut self, ending: Ending) -> Result<Outcome> {
        let number = match ending {
            Ending::Done => ENDED_DONE,
            Ending::Timeout => ENDED_TIMEOUT,
            Ending::Overrun => ENDED_OVERRUN,
        };
        let _noted = Noted::new(self.origin, Function::ConversationEnd);
        let Talking { object, table } = self.talking.get_mut();
        let mut record = answer((table.end())(object, number))?;
        let state = record.remove("spdr_state").and_then(|state| state.as_u64());
        let state = state.and_then(State::from_number);
        let state = state.ok_or_else(|| Error::contract("end of a conversation: no spdr_state"))?;
        Ok(Outcome::with_record(state, record))
    }
}
