//! Room on the disk for what is to be written when it is full.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use super::place::Place;
use super::take;

/// Octets of a block, as stat(2) counts them.
const BLOCK: u64 = 512;

/// Keeps room for a file of this length, which does not become longer by it. File systems that
/// cannot do that (fallocate(2)) do without.
pub(super) fn reserve(file: &File, length: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, 0, length) {
        Err(error @ (Errno::NOSPC | Errno::DQUOT)) => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Whether there is no room.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Writes a file anew in the room that it has. Other than [`super::replace`] it needs none for a
/// second file, but what is there is torn if the machine stops meanwhile.
///
/// # Errors
///
/// There is too little room, and it stays as it was; or what the system says.
pub(super) fn write_within(path: &Path, text: &[u8]) -> io::Result<()> {
    let (file, regular) = take(&Place::find(path)?, false)?;
    let blocks = u64::try_from(rustix::fs::fstat(&file)?.st_blocks).unwrap_or(0);
    if !regular || text.len() as u64 > blocks * BLOCK {
        return Err(io::ErrorKind::StorageFull.into());
    }
    let file = File::from(file);
    file.write_all_at(text, 0)?;
    file.set_len(text.len() as u64)?;
    file.sync_all()
}
