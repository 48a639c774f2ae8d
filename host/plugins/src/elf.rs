//! What a file's ELF header says, read before the dynamic loader sees the file: the loader's own
//! words for these faults do not say what to do, and a truncated file can kill it.

use std::fs::File;
use std::os::unix::fs::FileExt;

use object::elf::{EM_386, EM_AARCH64, EM_ARM, EM_PPC64, EM_RISCV, EM_S390, EM_X86_64, ET_DYN};
use object::elf::{FileHeader32, FileHeader64, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};
use object::read::{ReadCache, ReadCacheOps, ReadRef};
use object::{Endianness, FileKind};

use super::error::LoadError;

/// Refuses a file that is not a whole shared library for this machine.
///
/// # Errors
///
/// What it is instead.
pub(super) fn check(file: &File, size: u64) -> Result<(), LoadError> {
    if size == 0 {
        return Err(LoadError::new("it is empty", "copy it again").of_content());
    }
    let mut first = [0; 16];
    let read = file.read_at(&mut first, 0).map_err(|error| LoadError::unreadable(&error))?;
    if !first.starts_with(b"\x7fELF") {
        return Err(LoadError::new(
            format_args!("it is no shared library: it begins with {:?}", Begin(&first[..read])),
            "remove it from the folder",
        )
        .of_content());
    }
    let content = ReadCache::new(Content { file, size, at: 0 });
    match FileKind::parse(&content) {
        Ok(FileKind::Elf64) => check_class::<FileHeader64<Endianness>, _>(&content, size, 64),
        Ok(FileKind::Elf32) => check_class::<FileHeader32<Endianness>, _>(&content, size, 32),
        _ => Err(truncated(size)),
    }
}

/// The first octets of a file, as text where they are.
struct Begin<'a>(&'a [u8]);

impl std::fmt::Debug for Begin<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

fn check_class<'d, H: FileHeader<Endian = Endianness>, R: ReadRef<'d>>(
    content: R,
    size: u64,
    bits: u32,
) -> Result<(), LoadError> {
    let header = H::parse(content).map_err(|_| truncated(size))?;
    let endian = header.endian().map_err(|_| truncated(size))?;
    let big = endian == Endianness::Big;
    let machine = header.e_machine(endian);
    if machine != OWN_MACHINE || bits != usize::BITS || big != cfg!(target_endian = "big") {
        let order = if big { ", big-endian" } else { "" };
        return Err(LoadError::new(
            format_args!(
                "it is for another machine: {} ({bits} bits{order}), and this host is for {}",
                name(machine),
                std::env::consts::ARCH
            ),
            format_args!("get a build for {}", std::env::consts::ARCH),
        )
        .of_content());
    }
    if header.e_type(endian) != ET_DYN {
        return Err(LoadError::new(
            "it is no shared library: its ELF type is another",
            "build it with crate-type = [\"cdylib\"]",
        )
        .of_content());
    }
    let segments = header.program_headers(endian, content).map_err(|_| truncated(size))?;
    let mut loaded = segments.iter().filter(|segment| segment.p_type(endian) == PT_LOAD);
    let whole = |segment: &H::ProgramHeader| {
        let (start, length) = segment.file_range(endian);
        start.checked_add(length).is_some_and(|end| end <= size)
    };
    if loaded.all(whole) { Ok(()) } else { Err(truncated(size)) }
}

fn truncated(size: u64) -> LoadError {
    LoadError::new(
        format_args!("it is damaged or cut off: its headers name more than its {size} octets"),
        "copy it again",
    )
}

const OWN_MACHINE: u16 = if cfg!(target_arch = "x86_64") {
    EM_X86_64
} else if cfg!(target_arch = "aarch64") {
    EM_AARCH64
} else if cfg!(target_arch = "x86") {
    EM_386
} else if cfg!(target_arch = "arm") {
    EM_ARM
} else if cfg!(target_arch = "riscv64") {
    EM_RISCV
} else if cfg!(target_arch = "s390x") {
    EM_S390
} else {
    EM_PPC64
};

fn name(machine: u16) -> String {
    let known = match machine {
        EM_X86_64 => "x86_64",
        EM_AARCH64 => "aarch64",
        EM_386 => "x86",
        EM_ARM => "arm",
        EM_RISCV => "riscv",
        EM_S390 => "s390",
        EM_PPC64 => "powerpc64",
        other => return format!("ELF machine {other}"),
    };
    known.to_owned()
}

/// The file by its descriptor, whose own position is nobody's.
struct Content<'f> {
    file: &'f File,
    size: u64,
    at: u64,
}

impl ReadCacheOps for Content<'_> {
    fn len(&mut self) -> Result<u64, ()> {
        Ok(self.size)
    }

    fn seek(&mut self, at: u64) -> Result<u64, ()> {
        self.at = at;
        Ok(at)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ()> {
        let read = self.file.read_at(buffer, self.at).map_err(|_| ())?;
        self.at += read as u64;
        Ok(read)
    }

    fn read_exact(&mut self, buffer: &mut [u8]) -> Result<(), ()> {
        self.file.read_exact_at(buffer, self.at).map_err(|_| ())?;
        self.at += buffer.len() as u64;
        Ok(())
    }
}
