//! The machine's settings, lent across the boundary for the length of one call.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::marker::PhantomData;

use abi_stable::StableAbi;
use abi_stable::prefix_type::WithMetadata;
use abi_stable::std_types::{ROption, RSlice, RStr, RString};

use super::guard::{Answer, guard};
use crate::error::{Error, Result};
use crate::system::SystemChanges;

/// The functions behind `System`; called on the thread of `configure`, within its call.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = SystemRef)))]
pub struct SystemTable {
    /// The present value of a kernel parameter; none where there is no such parameter.
    pub read: extern "C" fn(*mut c_void, key: RStr<'_>) -> Answer<ROption<RString>>,
    /// Sets a kernel parameter.
    pub sysctl: extern "C" fn(*mut c_void, key: RStr<'_>, value: RStr<'_>) -> Answer<()>,
    /// Sets the firewall rules.
    pub firewall: extern "C" fn(*mut c_void, rules: RSlice<'_, RStr<'_>>) -> Answer<()>,
    /// Runs a command, and notes the one that undoes it.
    #[sabi(last_prefix_field)]
    pub run: extern "C" fn(
        *mut c_void,
        apply: RSlice<'_, RStr<'_>>,
        undo: RSlice<'_, RStr<'_>>,
    ) -> Answer<()>,
}

/// A loan of the host's `SystemChanges`.
#[repr(C)]
#[derive(StableAbi)]
pub struct SystemLoan<'a> {
    changes: *mut c_void,
    table: SystemRef,
    lifetime: PhantomData<&'a mut ()>,
}

type Changes<'a> = &'a mut dyn SystemChanges;

impl<'a> SystemLoan<'a> {
    /// Lends; `changes` is borrowed for as long as the loan lives.
    pub(crate) fn new<'b: 'a>(changes: &'a mut Changes<'b>) -> SystemLoan<'a> {
        const TABLE: &WithMetadata<SystemTable> =
            &WithMetadata::new(SystemTable { read, sysctl, firewall, run });
        SystemLoan {
            changes: std::ptr::from_mut(changes).cast(),
            table: SystemRef(TABLE.static_as_prefix()),
            lifetime: PhantomData,
        }
    }
}

/// The lender's end of a call.
///
/// # Safety
///
/// `changes` is the pointer of a `SystemLoan` that is alive, and no other reference to what it
/// points to is in use.
unsafe fn lent<'a>(changes: *mut c_void) -> &'a mut dyn SystemChanges {
    // SAFETY: by the caller's promise it points to the `Changes` that `SystemLoan::new` borrowed.
    unsafe { &mut **changes.cast::<Changes<'a>>() }
}

extern "C" fn read(changes: *mut c_void, key: RStr<'_>) -> Answer<ROption<RString>> {
    // SAFETY: as in `sysctl`; nothing is lent for longer than the call.
    guard(|| Ok(unsafe { lent(changes) }.read(key.as_str())?.map(RString::from).into()))
}

extern "C" fn sysctl(changes: *mut c_void, key: RStr<'_>, value: RStr<'_>) -> Answer<()> {
    // SAFETY: the borrower passes the loan's own pointer, within the loan's life, from a method
    // that borrows it mutably.
    guard(|| unsafe { lent(changes) }.sysctl(key.as_str(), value.as_str()))
}

/// The words of a list, borrowed for the length of the call.
fn words<'a>(list: &'a RSlice<'_, RStr<'_>>) -> Vec<&'a str> {
    list.iter().map(|word| word.as_str()).collect()
}

extern "C" fn firewall(changes: *mut c_void, rules: RSlice<'_, RStr<'_>>) -> Answer<()> {
    // SAFETY: as in `sysctl`.
    guard(|| unsafe { lent(changes) }.firewall(&words(&rules)))
}

extern "C" fn run(
    changes: *mut c_void,
    apply: RSlice<'_, RStr<'_>>,
    undo: RSlice<'_, RStr<'_>>,
) -> Answer<()> {
    // SAFETY: as in `sysctl`.
    guard(|| unsafe { lent(changes) }.run(&words(&apply), &words(&undo)))
}

/// The borrower's end.
impl SystemChanges for SystemLoan<'_> {
    fn read(&self, key: &str) -> Result<Option<String>> {
        let value = (self.table.read())(self.changes, key.into()).into_result();
        Ok(value.map_err(Error::from)?.into_option().map(String::from))
    }

    fn sysctl(&mut self, key: &str, value: &str) -> Result<()> {
        (self.table.sysctl())(self.changes, key.into(), value.into())
            .into_result()
            .map_err(Error::from)
    }

    fn firewall(&mut self, rules: &[&str]) -> Result<()> {
        let rules: Vec<RStr<'_>> = rules.iter().map(|&rule| rule.into()).collect();
        (self.table.firewall())(self.changes, rules.as_slice().into())
            .into_result()
            .map_err(Error::from)
    }

    fn run(&mut self, apply: &[&str], undo: &[&str]) -> Result<()> {
        let apply: Vec<RStr<'_>> = apply.iter().map(|&word| word.into()).collect();
        let undo: Vec<RStr<'_>> = undo.iter().map(|&word| word.into()).collect();
        (self.table.run())(self.changes, apply.as_slice().into(), undo.as_slice().into())
            .into_result()
            .map_err(Error::from)
    }
}
