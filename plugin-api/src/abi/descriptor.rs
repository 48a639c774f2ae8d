//! The plain C descriptor: what the host reads before it trusts anything else.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::fmt;

use abi_stable::StableAbi;
use abi_stable::abi_stability::abi_checking::{
    CheckingGlobals, check_layout_compatibility_with_globals,
};
use abi_stable::library::{
    AbiHeaderRef, CheckTypeLayout, IsLayoutChecked, LibHeader, RootModuleResult,
};
use abi_stable::marker_type::ErasedPrefix;
use abi_stable::prefix_type::PrefixRefTrait;
use abi_stable::std_types::ROk;

use super::export::Exports;
use super::tables::ModuleRef;

/// The version of the ABI that this crate speaks.
///
/// Compatibility is with the ABI, never with a compiler, and with a release only in that this
/// crate's major version is the ABI's. The minor version grows with every addition at an end; the
/// major one when anything moves or goes away.
pub const ABI_VERSION: AbiVersion = AbiVersion { major: 2, minor: 0 };

/// The name of the descriptor's symbol.
pub const DESCRIPTOR_SYMBOL: &str = "pathspider_plugin_descriptor";

const MAGIC: [u8; 16] = *b"pathspiderplugin";

/// A version of the ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbiVersion {
    /// Versions with different numbers here do not understand each other.
    pub major: u32,
    /// A host understands plugins up to its own number here.
    pub minor: u32,
}

impl AbiVersion {
    /// Whether a host of this version understands a plugin of that one.
    pub fn understands(self, plugin: AbiVersion) -> bool {
        plugin.major == self.major && plugin.minor <= self.minor
    }
}

impl fmt::Display for AbiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// What a plugin's library exports under [`DESCRIPTOR_SYMBOL`].
///
/// The first four fields never change, in any version.
#[repr(C)]
pub struct Descriptor {
    magic: [u8; 16],
    size: u32,
    abi_major: u32,
    abi_minor: u32,
    root: extern "C" fn() -> *const c_void,
}

/// For the test that pins it.
#[cfg(test)]
pub(super) fn pinned() -> super::Fields {
    super::pinned_fields!(Descriptor { magic, size, abi_major, abi_minor, root })
}

/// Why a descriptor is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The symbol is there, but is not a descriptor.
    Foreign,
    /// It speaks another version of the ABI.
    Version(AbiVersion),
    /// It says that it speaks this version, and its tables are others.
    Layout(AbiVersion),
    /// Its tables cannot be had.
    Rootless(AbiVersion),
}

impl Refusal {
    /// What the person who has such a plugin can do.
    pub fn remedy(&self) -> &'static str {
        match self {
            Refusal::Foreign => "remove it from the folder, or get another build",
            Refusal::Version(plugin) if plugin.major < ABI_VERSION.major => {
                "rebuild the plugin against a current pathspider-plugin-api, or get a newer build"
            }
            Refusal::Layout(_) => "rebuild it against a released pathspider-plugin-api",
            Refusal::Rootless(_) => "rebuild it, or get another build",
            Refusal::Version(_) => {
                "install a newer pathspider, or rebuild the plugin against an older \
                 pathspider-plugin-api"
            }
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Foreign => {
                write!(f, "its {DESCRIPTOR_SYMBOL} is not a pathspider plugin's")
            }
            Refusal::Version(plugin) => {
                write!(f, "it speaks plugin ABI {plugin}, this host {ABI_VERSION}")
            }
            Refusal::Layout(plugin) => write!(
                f,
                "it says that it speaks plugin ABI {plugin}, which this host of {ABI_VERSION} \
                 understands, but its tables have another layout"
            ),
            Refusal::Rootless(plugin) => write!(
                f,
                "it speaks plugin ABI {plugin}, which this host of {ABI_VERSION} understands, but \
                 gives no tables"
            ),
        }
    }
}

impl Descriptor {
    /// The descriptor of a plugin's library; `export_plugin!` makes it.
    pub const fn new<E: Exports>() -> Descriptor {
        Descriptor {
            magic: MAGIC,
            size: size_of::<Descriptor>() as u32,
            abi_major: ABI_VERSION.major,
            abi_minor: ABI_VERSION.minor,
            root: root::<E>,
        }
    }

    /// Checks what a symbol points to, and returns it as a descriptor this host can use.
    ///
    /// # Safety
    ///
    /// `symbol` is null, or points to readable memory at least as long as a descriptor, which
    /// lives for the rest of the process. Whatever is in that memory is safe but for a descriptor
    /// that lies: magic and version of this ABI before other contents.
    pub unsafe fn check(symbol: *const c_void) -> Result<&'static Descriptor, Refusal> {
        // SAFETY: the bytes are readable by the caller's promise; the magic and the three numbers
        // are plain data, read before the function pointer is looked at.
        unsafe {
            let descriptor = symbol.cast::<Descriptor>();
            if descriptor.is_null()
                || !descriptor.is_aligned()
                || std::ptr::addr_of!((*descriptor).magic).read() != MAGIC
            {
                return Err(Refusal::Foreign);
            }
            let version = AbiVersion {
                major: std::ptr::addr_of!((*descriptor).abi_major).read(),
                minor: std::ptr::addr_of!((*descriptor).abi_minor).read(),
            };
            if !ABI_VERSION.understands(version) {
                return Err(Refusal::Version(version));
            }
            if (std::ptr::addr_of!((*descriptor).size).read() as usize) < size_of::<Descriptor>() {
                return Err(Refusal::Foreign);
            }
            Ok(&*descriptor)
        }
    }

    /// The version that the plugin speaks.
    pub fn version(&self) -> AbiVersion {
        AbiVersion { major: self.abi_major, minor: self.abi_minor }
    }

    /// Checks the layout of all that the plugin exports against this host's, and returns it.
    ///
    /// # Errors
    ///
    /// There are none, or the layout differs.
    pub(super) fn module(&self) -> Result<ModuleRef, Refusal> {
        let header = (self.root)();
        if header.is_null() {
            return Err(Refusal::Rootless(self.version()));
        }
        // SAFETY: `root` returns the address of a leaked `LibHeader`, which begins with its
        // `AbiHeader`; `AbiHeaderRef` is a transparent reference to one, and `upgrade` checks it
        // before anything behind it is read.
        let header = unsafe { std::mem::transmute::<*const c_void, AbiHeaderRef>(header) };
        // What differs takes pages to say, in terms of `abi_stable`.
        let refuse = || Refusal::Layout(self.version());
        let header = header.upgrade().map_err(|_| refuse())?;
        let IsLayoutChecked::Yes(layout) = header.root_mod_consts().layout() else {
            return Err(refuse());
        };
        // `abi_stable` takes an implementation that has more fields at an end than its interface,
        // and none that has fewer. Here the plugin may be the older side. And it would remember the
        // types of all libraries, and refuse a plugin after one of an older version; here each is
        // compared with the host alone.
        let (interface, implementation) = (layout, <ModuleRef as StableAbi>::LAYOUT);
        let alone = CheckingGlobals::new();
        check_layout_compatibility_with_globals(interface, implementation, &alone)
            .map_err(|_| refuse())?;
        // SAFETY: the layout was checked, and fields that the plugin lacks are asked for: their
        // accessors look at what its table has.
        unsafe { header.init_root_module_with_unchecked_layout() }.map_err(|_| refuse())
    }
}

/// Called once by the host, which keeps what it gets for the rest of the process.
extern "C" fn root<E: Exports>() -> *const c_void {
    extern "C" fn construct<E: Exports>() -> RootModuleResult {
        // SAFETY: a change of the pointee's type alone, as `LibHeader::from_constructor` demands.
        ROk(unsafe { E::module().to_prefix_ref().cast::<ErasedPrefix>() })
    }
    // SAFETY: `construct` returns a module that is cast from a `ModuleRef`.
    let header =
        unsafe { LibHeader::from_constructor::<ModuleRef>(construct::<E>, CheckTypeLayout::Yes) };
    std::ptr::from_ref(Box::leak(Box::new(header))).cast()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version((major, minor): (u32, u32)) -> AbiVersion {
        AbiVersion { major, minor }
    }

    #[test]
    fn a_host_understands_older_minor_versions_of_its_major() {
        let host = version((1, 3));
        for older in [(1, 0), (1, 2), (1, 3)] {
            assert!(host.understands(version(older)), "{older:?}");
        }
        for other in [(1, 4), (2, 0), (2, 3), (0, 3)] {
            assert!(!host.understands(version(other)), "{other:?}");
        }
    }

    #[test]
    fn releases_of_one_major_version_speak_one_major_abi() {
        // `abi_stable` compares the versions of the crate that types come from, by these.
        assert_eq!(env!("CARGO_PKG_VERSION_MAJOR"), ABI_VERSION.major.to_string());
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let old = Refusal::Version(version((0, 9)));
        assert!(old.remedy().contains("rebuild the plugin against a current"));
        let new = Refusal::Version(version((ABI_VERSION.major, ABI_VERSION.minor + 1)));
        assert!(new.remedy().contains("install a newer pathspider"));
        assert!(new.to_string().contains(&format!("this host {ABI_VERSION}")), "{new}");
    }
}
