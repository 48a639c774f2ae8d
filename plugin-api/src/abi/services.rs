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
    pub log: extern "C" fn(level: u8, message: RStr<'_>),
    /// Whom to ask about the run's connections.
    pub contact: extern "C" fn() -> RStr<'static>,
    /// The `User-Agent` of HTTP requests.
    #[sabi(last_prefix_field)]
    pub user_agent: extern "C" fn() -> RStr<'static>,
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

/// Whom this process's connections name.
static CALLER: OnceLock<Caller> = OnceLock::new();

/// Whom connections name.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Whom to ask about them.
    pub contact: String,
    /// The `User-Agent` of HTTP requests.
    pub user_agent: String,
}

/// Says whom connections of plugins name, instead of this crate. The first call of the process counts.
pub fn set_caller(caller: Caller) {
    let _ = CALLER.set(caller);
}

extern "C" fn contact() -> RStr<'static> {
    CALLER.get().map_or(env!("CARGO_PKG_REPOSITORY"), |caller| &caller.contact).into()
}

extern "C" fn user_agent() -> RStr<'static> {
    const OWN: &str = concat!(
        env!("CARGO_PKG_NAME"),
        "/",
        env!("CARGO_PKG_VERSION"),
        " (",
        env!("CARGO_PKG_REPOSITORY"),
        ")"
    );
    CALLER.get().map_or(OWN, |caller| &caller.user_agent).into()
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
        const TABLE: &WithMetadata<ServicesTable> =
            &WithMetadata::new(ServicesTable { log, contact, user_agent });
        Services(ServicesRef(TABLE.static_as_prefix()))
    }

    pub(crate) fn contact(&self) -> &'static str {
        (self.0.contact())().as_str()
    }

    pub(crate) fn user_agent(&self) -> &'static str {
        (self.0.user_agent())().as_str()
    }

    pub(crate) fn log(&self, level: Level, message: &str) {
        (self.0.log())(level as u8, message.into());
    }
}
