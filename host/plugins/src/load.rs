//! Loads one plugin's file into this process: its descriptor is read and checked before anything
//! else is trusted.
#![allow(unsafe_code)]

use std::error::Error;
use std::ffi::c_void;
use std::fs::File;
use std::mem::ManuallyDrop;
use std::os::fd::IntoRawFd;

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use pathspider_plugin_api::abi::{DESCRIPTOR_SYMBOL, Descriptor, LoadedPlugin};

use super::error::LoadError;

/// Loads the file that is open here, so that it is the one which was judged. `name` is what
/// messages call it.
///
/// What was loaded stays: unloading is never sound, for a plugin may have left threads or
/// thread-local destructors behind. The descriptor stays open too: the dynamic loader knows the
/// library by its number, and would take another file under that number for this one.
///
/// # Errors
///
/// Why it is not a plugin that this host can use.
pub(super) fn load(file: File, name: &str) -> Result<LoadedPlugin, LoadError> {
    let path = format!("/proc/self/fd/{}", file.into_raw_fd());
    // SAFETY: loading runs the library's constructors, which nothing can make safe; `trust` says
    // whose files come here. `RTLD_NOW` finds undefined symbols here.
    let library = unsafe { Library::open(Some(&path), RTLD_NOW | RTLD_LOCAL) }
        .map(ManuallyDrop::new)
        .map_err(|error| LoadError::library(&without_path(&reason(&error), &path)))?;
    // SAFETY: the symbol's type is not trusted: it is taken as an address alone.
    let symbol = unsafe { library.get::<*mut c_void>(DESCRIPTOR_SYMBOL.as_bytes()) };
    let symbol: *const c_void = match symbol {
        Ok(symbol) => symbol.into_raw(),
        Err(_) => return Err(LoadError::no_descriptor()),
    };
    // SAFETY: the address is that of the library's exported object, and the library stays.
    let descriptor = unsafe { Descriptor::check(symbol) }.map_err(LoadError::refused)?;
    LoadedPlugin::new(descriptor, name.to_owned()).map_err(LoadError::refused)
}

/// The innermost reason, which is the dynamic loader's own word.
fn reason(error: &dyn Error) -> String {
    error.source().map_or_else(|| error.to_string(), reason)
}

/// The loader's message without the path, which is not the one that people know.
fn without_path(message: &str, path: &str) -> String {
    let prefix = format!("{path}: ");
    message.replace(&prefix, "")
}
