//! Exports the descriptor of a plugin that speaks ABI 2.7, and nothing that a host of today could
//! understand.

/// The first fields of a descriptor, which no version changes.
#[repr(C)]
pub struct Descriptor {
    magic: [u8; 16],
    size: u32,
    abi_major: u32,
    abi_minor: u32,
    rest: [u64; 4],
}

/// The symbol that hosts look for.
// The name is the contract's.
#[allow(unsafe_code)]
#[allow(non_upper_case_globals)]
#[unsafe(no_mangle)]
pub static pathspider_plugin_descriptor: Descriptor = Descriptor {
    magic: *b"pathspiderplugin",
    size: size_of::<Descriptor>() as u32,
    abi_major: 2,
    abi_minor: 7,
    rest: [u64::MAX; 4],
};
