//! Where on the path a configuration's packets were harmed.

use crate::configuration::ConfigId;

/// What a host that locates found on the path, for [`located`](crate::Measurement::located).
///
/// No host fills it yet, so it says of which configuration it is and no more.
// Crosses by reference: fields may be appended, never moved or removed (see `abi`).
#[repr(C)]
#[derive(Debug, Clone)]
pub struct Location {
    config: u32,
}

/// For the test that pins it.
#[cfg(test)]
pub(crate) fn pinned() -> crate::abi::Fields {
    crate::abi::pinned_fields!(Location { config })
}

impl Location {
    /// That of a configuration; for hosts, and for tests of plugins.
    pub fn new(config: impl Into<ConfigId>) -> Location {
        Location { config: config.into().number() }
    }

    /// The configuration whose carrier was sent along the path.
    pub fn config(&self) -> ConfigId {
        ConfigId::new(self.config as usize)
    }
}
