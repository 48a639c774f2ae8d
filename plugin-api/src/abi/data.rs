//! The one kind of data that crosses the boundary by value: the self-describing record.
//!
//! Only the storage lives here. What authors do with it is in `value.rs` and `record.rs`.
//!
//! Keys and texts are either borrowed from static memory (a plugin's own constants; libraries are
//! never unloaded, so these live for the whole process) or owned, in which case they carry the
//! functions of the allocator that made them: whoever allocates frees.

use abi_stable::StableAbi;
use abi_stable::std_types::{RCowStr, RVec};

/// A value of a [`Record`]: null, a truth value, a number, a text, bytes, a list or a record.
#[repr(transparent)]
#[derive(StableAbi, Clone, PartialEq)]
pub struct Value(pub(crate) Repr);

/// Closed on purpose: these are JSON's types and bytes. Another variant would be another major
/// version of the ABI; what needs more goes into a record.
#[repr(u8)]
#[derive(StableAbi, Clone, PartialEq)]
pub enum Repr {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Float(f64),
    Text(RCowStr<'static>),
    Bytes(RVec<u8>),
    List(RVec<Value>),
    Map(Record),
}

/// An ordered list of named values: a job's keys, a flow's fields, a connection's result.
///
/// Keys are unique and keep the order in which they were set. A record has tens of keys, so it is
/// a plain vector: looking a key up scans it, and moving it across the boundary costs nothing.
#[repr(transparent)]
#[derive(StableAbi, Clone, Default, PartialEq)]
pub struct Record {
    pub(crate) entries: RVec<Entry>,
}

#[repr(C)]
#[derive(StableAbi, Clone, PartialEq)]
pub struct Entry {
    pub(crate) key: RCowStr<'static>,
    pub(crate) value: Value,
}
