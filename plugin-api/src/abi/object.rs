//! A pointer to an object of one side, kept by the other.
#![allow(unsafe_code)]

use std::ffi::c_void;

use abi_stable::StableAbi;

/// An object of the side that made it: the other side keeps it, passes it back, and releases it
/// through the maker's own function.
#[repr(C)]
#[derive(StableAbi)]
pub struct Object {
    pointer: *mut c_void,
    release: extern "C" fn(*mut c_void),
}

// SAFETY: `Object::new` takes only types that are `Send` and `Sync`.
unsafe impl Send for Object {}
// SAFETY: as above.
unsafe impl Sync for Object {}

impl Object {
    /// Gives a value away.
    pub(crate) fn new<T: Send + Sync>(value: T) -> Object {
        extern "C" fn release<T>(pointer: *mut c_void) {
            // SAFETY: `pointer` came from `Box::into_raw` of a `Box<T>` in `new::<T>`, and
            // `drop` calls this once.
            let object = unsafe { Box::from_raw(pointer.cast::<T>()) };
            // A destructor that panics must not unwind into the other side.
            let _ = super::guard::guard(|| {
                drop(object);
                Ok(())
            });
        }
        Object { pointer: Box::into_raw(Box::new(value)).cast(), release: release::<T> }
    }

    /// Gives a value away that is called by one thread at a time, by [`get_mut`](Object::get_mut).
    pub(crate) fn alone<T: Send>(value: T) -> Object {
        Object::new(Alone(value))
    }

    /// The value behind the pointer of an object that [`alone`](Object::alone) made.
    ///
    /// # Safety
    ///
    /// The object was made by `Object::alone::<T>` of this same library.
    pub(crate) unsafe fn get_mut<T>(&mut self) -> Option<&mut T> {
        // SAFETY: by the caller's promise it is null, or points to an `Alone<T>` that lives until
        // `drop`, and nothing else refers to it while the object is borrowed mutably.
        unsafe { self.pointer.cast::<Alone<T>>().as_mut() }.map(|alone| &mut alone.0)
    }

    /// No object.
    pub(crate) const NONE: Object = Object { pointer: std::ptr::null_mut(), release: nothing };

    /// The value behind the pointer.
    ///
    /// # Safety
    ///
    /// The object was made by `Object::new::<T>` of this same library, or is `Object::NONE`.
    pub(crate) unsafe fn get<T>(&self) -> Option<&T> {
        // SAFETY: by the caller's promise it is null, or points to a `T` that lives until `drop`.
        unsafe { self.pointer.cast::<T>().as_ref() }
    }
}

extern "C" fn nothing(_: *mut c_void) {}

/// A value that is reached by `&mut Object` alone.
struct Alone<T>(T);
// SAFETY: nothing is done with a reference to it, so several threads may have one.
unsafe impl<T> Sync for Alone<T> {}

impl Drop for Object {
    fn drop(&mut self) {
        (self.release)(self.pointer);
    }
}
