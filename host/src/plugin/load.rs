//! Loads one plugin's file: its descriptor is read and checked before anything else is trusted.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::path::Path;

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use pathspider_plugin_api::abi::{DESCRIPTOR_SYMBOL, Descriptor, LoadedPlugin, Refusal};

/// Why a file is not a plugin that this host can use.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It is no regular file.
    #[error("it is not a regular file")]
    NotAFile,
    /// It cannot be loaded at all.
    #[error("it cannot be loaded: {0}")]
    Library(String),
    /// It is a library, and not a plugin.
    #[error("it is not a pathspider plugin: it exports no {DESCRIPTOR_SYMBOL}")]
    NoDescriptor,
    /// It is a plugin that this host does not understand.
    #[error("{0}")]
    Refused(Refusal),
    /// Its layout is not this ABI's, though its version says so.
    #[error("its layout differs from plugin ABI {version}: {difference}", version = pathspider_plugin_api::abi::ABI_VERSION)]
    Layout {
        /// What differs.
        difference: String,
    },
    /// It does not describe itself as it must.
    #[error("{0}")]
    Description(pathspider_plugin_api::Error),
}

/// Loads a file. What was loaded stays: unloading is never sound, for a plugin may have left
/// threads or thread-local destructors behind.
///
/// # Errors
///
/// See [`LoadError`].
pub(super) fn load(path: &Path) -> Result<LoadedPlugin, LoadError> {
    // Opening a FIFO or a device could block for ever.
    if !path.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Err(LoadError::NotAFile);
    }
    let absolute = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    // SAFETY: loading runs the library's constructors, which nothing can make safe; whoever puts
    // a file into the plugin folders trusts it. `RTLD_NOW` finds undefined symbols here.
    let library = unsafe { Library::open(Some(&absolute), RTLD_NOW | RTLD_LOCAL) }
        .map(ManuallyDrop::new)
        .map_err(|error| LoadError::Library(without_path(&error.to_string(), &absolute)))?;
    // SAFETY: the symbol's type is not trusted: it is taken as an address alone.
    let symbol = unsafe { library.get::<*mut c_void>(DESCRIPTOR_SYMBOL.as_bytes()) };
    let symbol: *const c_void = match symbol {
        Ok(symbol) => symbol.into_raw(),
        Err(_) => return Err(LoadError::NoDescriptor),
    };
    // SAFETY: the address is that of the library's exported object, and the library stays.
    let descriptor = unsafe { Descriptor::check(symbol) }.map_err(LoadError::Refused)?;
    LoadedPlugin::new(descriptor).map_err(|difference| LoadError::Layout { difference })
}

/// The loader's message without the path, which stands before it anyway.
fn without_path(message: &str, path: &Path) -> String {
    let prefix = format!("{}: ", path.display());
    message.strip_prefix(&prefix).unwrap_or(message).to_owned()
}
