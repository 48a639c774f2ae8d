//! What the host offers to plugins: a table that grows at the end.

use std::sync::OnceLock;

use abi_stable::StableAbi;
use abi_stable::prefix_type::WithMetadata;
use abi_stable::std_types::RStr;

use crate::host::Level;

/// The host's functions. Any thread may call them.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = ServicesRef)))]
pub struct ServicesTable {
    /// Writes a message to the host's log.
    #[sabi(last_prefix_field)]
    pub log: extern "C" fn(level: u8, message: RStr<'_>),
}

/// The host's functions, as a plugin keeps them.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy)]
pub struct Services(ServicesRef);

static LOG: OnceLock<fn(Level, &str)> = OnceLock::new();

/// Says where the messages of plugins go, instead of plainly to standard error. The first call of
/// the process counts.
pub fn set_log(log: fn(Level, &str)) {
    let _ = LOG.set(log);
}

extern "C" fn log(level: u8, message: RStr<'_>) {
    let level = match level {
        0 => Level::Debug,
        1 => Level::Info,
        _ => Level::Warning,
    };
    let _ = super::guard::guard(|| {
        match LOG.get() {
            Some(log) => log(level, message.as_str()),
            None => eprintln!("{message}"),
        }
        Ok(())
    });
}

impl Services {
    /// This process's services.
    pub(crate) fn own() -> Services {
        const TABLE: &WithMetadata<ServicesTable> = &WithMetadata::new(ServicesTable { log });
        Services(ServicesRef(TABLE.static_as_prefix()))
    }

    pub(crate) fn log(&self, level: Level, message: &str) {
        (self.0.log())(level as u8, message.into());
    }
}
