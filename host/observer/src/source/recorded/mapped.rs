//! The octets of a capture file in memory without a copy of them: the kernel's copy is most of the work where
//! packets are captured whole, for no more than their headers is looked at.
//!
//! Who cuts a file kills whoever has it mapped. So a file is mapped under a lease alone (`fcntl(2)`): nobody
//! has it open for writing then, and who wants to waits until the lease is given back. Where there
//! is no lease, and from where the kernel asks for it back, the file is read instead.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::ptr::NonNull;

/// Octets that are mapped at once.
const WINDOW: usize = 4 << 20;

/// What is mapped begins with a page, whatever its size on this machine.
const PAGE: u64 = 64 << 10;

/// `F_SETSIG` of `fcntl(2)`.
const SET_SIGNAL: c_int = 10;

/// A file that is mapped, a window after the other.
pub(super) struct Mapped {
    file: File,
    length: u64,
    /// The window, and where in it the octets begin that were asked for.
    window: Option<(Map, usize)>,
}

impl Mapped {
    /// Leases a file, unless it is so short that one read is cheaper.
    ///
    /// # Errors
    ///
    /// The file, where it has to be read instead.
    pub(super) fn lease(file: File) -> Result<Mapped, File> {
        let length = |file: &File| {
            let metadata = file.metadata().ok().filter(|metadata| metadata.is_file())?;
            Some(metadata.len()).filter(|&length| length > WINDOW as u64)
        };
        if length(&file).is_none() || !take(&file) {
            return Err(file);
        }
        // Only now nobody changes it.
        match length(&file) {
            Some(length) => Ok(Mapped { file, length, window: None }),
            None => {
                give_back(&file);
                Err(file)
            }
        }
    }

    /// Maps what follows `offset` in place of what was mapped, at least so many octets if the file has them;
    /// `None` where the file has to be read from there on.
    pub(super) fn map(&mut self, offset: u64, least: usize) -> Option<&[u8]> {
        self.window = None;
        if !is_held(&self.file) {
            return None;
        }
        let begin = offset / PAGE * PAGE;
        let before = (offset - begin) as usize;
        let length = (self.length - begin).min((before + least.max(WINDOW)) as u64) as usize;
        if length > before {
            self.window = Some((Map::new(&self.file, begin, length)?, before));
        }
        Some(self.octets())
    }

    /// What is mapped.
    #[inline]
    pub(super) fn octets(&self) -> &[u8] {
        self.window.as_ref().map_or(&[], |(map, before)| &map.octets()[*before..])
    }

    /// The file, to be read from there on.
    pub(super) fn into_file(mut self, offset: u64) -> io::Result<File> {
        self.window = None;
        give_back(&self.file);
        self.file.seek(SeekFrom::Start(offset))?;
        Ok(self.file)
    }
}

/// A part of a leased file in memory.
struct Map {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: it is memory that is only read, and any thread may give it back.
unsafe impl Send for Map {}

impl Map {
    /// `None` also where the file cannot be read: then reading it says why.
    fn new(file: &File, offset: u64, length: usize) -> Option<Map> {
        let (protection, flags) = (libc::PROT_READ, libc::MAP_SHARED);
        let offset = libc::off_t::try_from(offset).ok()?;
        // SAFETY: a new mapping at a place of the kernel's choice touches no memory that is there.
        let start = unsafe {
            libc::mmap(std::ptr::null_mut(), length, protection, flags, file.as_raw_fd(), offset)
        };
        if start == libc::MAP_FAILED {
            return None;
        }
        let map = Map { start: NonNull::new(start.cast())?, length };
        // SAFETY: it is all of the mapping.
        let there = unsafe { libc::madvise(start, length, libc::MADV_POPULATE_READ) };
        (there == 0).then_some(map)
    }

    #[inline]
    fn octets(&self) -> &[u8] {
        // SAFETY: these pages are mapped until `drop`, and while the lease is held nobody writes to the
        // file or cuts it.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: it is all of the mapping, and nothing borrows from it any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
    }
}

/// Takes a lease on a file. The signal by which the kernel asks for it back is one that does nothing;
/// `is_held` looks for it.
fn take(file: &File) -> bool {
    control(file, libc::F_SETLEASE, libc::F_RDLCK) == 0
        && control(file, SET_SIGNAL, libc::SIGURG) == 0
        && is_held(file)
}

fn give_back(file: &File) {
    control(file, libc::F_SETLEASE, libc::F_UNLCK);
}

/// Whether the lease is there, and nobody waits for its end.
fn is_held(file: &File) -> bool {
    control(file, libc::F_GETLEASE, 0) == libc::F_RDLCK
}

fn control(file: &File, command: c_int, argument: c_int) -> c_int {
    // SAFETY: these commands take a number, and the descriptor is open.
    unsafe { libc::fcntl(file.as_raw_fd(), command, argument) }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::path::PathBuf;
    use std::time::{Duration, Instant};

    use super::*;

    const LENGTH: usize = 2 * WINDOW + 12_345;

    fn file() -> (tempfile::TempDir, PathBuf, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let octets: Vec<u8> = (0..LENGTH).map(|k| (k % 251) as u8).collect();
        fs::write(&path, &octets).unwrap();
        (folder, path, octets)
    }

    fn lease(path: &PathBuf) -> Option<Mapped> {
        Mapped::lease(File::open(path).unwrap()).ok()
    }

    #[test]
    fn windows_have_the_octets_of_the_file() {
        let (_folder, path, octets) = file();
        let Some(mut mapped) = lease(&path) else { return };
        for (offset, least) in [(0, 1), (5, 3 * WINDOW), (WINDOW + 1, 7), (LENGTH - 1, 99)] {
            let window = mapped.map(offset as u64, least).unwrap().to_vec();
            assert!(window.len() >= least.min(LENGTH - offset));
            assert_eq!(window, octets[offset..offset + window.len()]);
        }
        assert_eq!(mapped.map(LENGTH as u64, 1), Some(&[][..]));
        let mut rest = Vec::new();
        mapped.into_file(WINDOW as u64).unwrap().read_to_end(&mut rest).unwrap();
        assert_eq!(rest, octets[WINDOW..]);
    }

    #[test]
    fn a_file_that_somebody_writes_is_read() {
        let (_folder, path, _) = file();
        let writer = fs::OpenOptions::new().append(true).open(&path).unwrap();
        assert!(lease(&path).is_none());
        drop(writer);
        let short = path.with_extension("short");
        fs::write(&short, b"few").unwrap();
        assert!(lease(&short).is_none());
    }

    #[test]
    fn who_wants_to_write_gets_the_file() {
        let (_folder, path, octets) = file();
        let Some(mut mapped) = lease(&path) else { return };
        assert!(mapped.map(0, 1).is_some());
        let theirs = path.clone();
        let writer = std::thread::spawn(move || fs::write(theirs, b"cut").unwrap());
        let begun = Instant::now();
        while mapped.map(0, 1).is_some_and(|window| window[..10] == octets[..10]) {
            assert!(begun.elapsed() < Duration::from_secs(20), "nobody asked for it");
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(mapped.map(0, 1).is_none());
        let mut file = mapped.into_file(0).unwrap();
        writer.join().unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "cut");
    }
}
