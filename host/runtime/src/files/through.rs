//! Reads a whole file, which may be long, for as long as the run is not told to stop.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use crate::stop::Asked;

/// What is read at once. Before each, it is asked whether to go on.
const PIECE: usize = 1 << 20;

/// A file on its way through.
pub struct Through<'f> {
    file: &'f File,
    is_asked: Asked<'f>,
    was_told: &'f Cell<bool>,
}

/// Has `read` read a file from its begin.
///
/// # Errors
///
/// What `read` says; `Interrupted` where it was told to stop.
pub fn read_through<T>(
    mut file: &File,
    is_asked: Asked<'_>,
    read: impl FnOnce(BufReader<Through<'_>>) -> io::Result<T>,
) -> io::Result<T> {
    file.seek(SeekFrom::Start(0))?;
    let was_told = Cell::new(false);
    let through = Through { file, is_asked, was_told: &was_told };
    let result = read(BufReader::with_capacity(PIECE, through));
    if was_told.get() {
        // Whatever the end that it saw looked like.
        Err(io::Error::new(io::ErrorKind::Interrupted, "stopped while it was read"))
    } else {
        result
    }
}

impl Read for Through<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if (self.is_asked)() {
            self.was_told.set(true);
            // What is `Interrupted`, readers try again.
            return Err(io::Error::other("told to stop"));
        }
        self.file.read(buffer)
    }
}

impl Seek for Through<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_asked_for_each_piece() {
        let path = std::env::temp_dir().join(format!("pathspider-through-{}", std::process::id()));
        std::fs::write(&path, vec![b'x'; 4 * PIECE]).unwrap();
        let file = File::open(&path).unwrap();
        for told_at in [1, 3] {
            let (asked, length) = (Cell::new(0), Cell::new(0));
            let is_asked = || {
                asked.set(asked.get() + 1);
                asked.get() >= told_at
            };
            let error = read_through(&file, &is_asked, |mut reader| {
                let mut octet = [0];
                while reader.read(&mut octet).is_ok_and(|read| read > 0) {
                    length.set(length.get() + 1);
                }
                Ok(())
            });
            assert_eq!(error.unwrap_err().kind(), io::ErrorKind::Interrupted);
            assert_eq!((asked.get(), length.get()), (told_at, (told_at - 1) * PIECE));
        }
        std::fs::remove_file(path).unwrap();
    }
}
