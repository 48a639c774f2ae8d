//! How much of an input was read, for an estimate of what is still to come.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The size of a file, compressed or not, and how much of it was read.
#[derive(Debug, Clone)]
pub(super) struct Extent {
    file: Arc<File>,
    read: Arc<AtomicU64>,
    octets: u64,
}

impl Extent {
    /// A file that counts what is read of it; no extent for what has no size, such as a pipe.
    ///
    /// # Errors
    ///
    /// Its size cannot be asked for.
    pub(super) fn of(file: File) -> io::Result<(Counted<Arc<File>>, Option<Extent>)> {
        let (metadata, file) = (file.metadata()?, Arc::new(file));
        let read = Arc::<AtomicU64>::default();
        let inner = Arc::clone(&file);
        let extent = Extent { file, read: Arc::clone(&read), octets: metadata.len() };
        Ok((Counted { inner, read }, metadata.is_file().then_some(extent)))
    }

    /// Whether not all was read that there was at the begin, for the file is shorter now.
    pub(super) fn is_cut(&self) -> bool {
        let is_shorter = || self.file.metadata().is_ok_and(|file| file.len() < self.octets);
        self.read.load(Ordering::Relaxed) < self.octets && is_shorter()
    }

    /// How many there are in all, if `found` were in the part that was read. `None` before there is
    /// anything to tell it from.
    pub(super) fn estimate(&self, found: u64) -> Option<u64> {
        let read = self.read.load(Ordering::Relaxed);
        let each = self.octets.max(read) as f64 / read as f64;
        (found > 0 && read > 0).then_some((found as f64 * each) as u64)
    }
}

/// A reader that counts what is read of it.
pub(super) struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.read.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_part_that_was_read_tells_of_the_whole() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&[b'x'; 1000]).unwrap();
        let (mut reader, extent) = Extent::of(file.reopen().unwrap()).unwrap();
        let extent = extent.unwrap();
        assert_eq!(extent.estimate(5), None, "nothing was read");
        reader.read_exact(&mut [0; 250]).unwrap();
        assert_eq!((extent.estimate(0), extent.estimate(30)), (None, Some(120)));
        reader.read_to_end(&mut Vec::new()).unwrap();
        assert_eq!(extent.estimate(121), Some(121));
        let null = File::open("/dev/null").unwrap();
        assert!(Extent::of(null).unwrap().1.is_none());
    }

    #[test]
    fn a_file_that_is_cut_while_it_is_read_is_noticed() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&[b'x'; 1000]).unwrap();
        for (cut_to, is_cut) in [(1000, false), (1200, false), (500, true)] {
            let (mut reader, extent) = Extent::of(file.reopen().unwrap()).unwrap();
            reader.read_exact(&mut [0; 250]).unwrap();
            file.as_file().set_len(cut_to).unwrap();
            reader.read_to_end(&mut Vec::new()).unwrap();
            assert_eq!(extent.unwrap().is_cut(), is_cut, "{cut_to}");
            file.as_file().set_len(1000).unwrap();
        }
    }
}
