//! Frames of an output: each is good as a whole or not at all.

use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use super::super::codec::Compression;
use super::{Lines, no_record};
use crate::job::Done;
use pathspider_runtime::files::{TORN, Through};

/// Reads frames until one is torn; gives the octets of those before it.
pub(super) fn frames(
    reader: BufReader<Through<'_>>,
    compression: Compression,
    done: &mut Done,
) -> io::Result<u64> {
    let mut reader = Counting { inner: reader, count: 0 };
    let mut good = 0;
    let mut frame = Vec::new();
    while !reader.fill_buf()?.is_empty() {
        let damaged =
            |what: String| io::Error::other(format!("it is damaged at octet {good}: {what}"));
        if let Err(error) = compression.decode(&mut reader, &mut frame) {
            let mut rest = Vec::new();
            reader.inner.seek(SeekFrom::Start(good))?;
            reader.inner.take(TORN + 1).read_to_end(&mut rest)?;
            if rest.len() as u64 > TORN {
                return Err(damaged(error.to_string()));
            }
            // Nothing comes after what a kill has torn.
            if let Some(next) = next_frame(&rest, compression) {
                let next = good + next as u64;
                return Err(damaged(format!("{error}; records follow at octet {next}")));
            }
            break;
        }
        read_frame(&frame, done).map_err(|error| damaged(error.to_string()))?;
        good = reader.count;
    }
    Ok(good)
}

/// Reads what a frame has, which is whole lines.
fn read_frame(frame: &[u8], done: &mut Done) -> io::Result<()> {
    let mut lines = Lines::new(done);
    lines.read(frame)?;
    match lines.bad {
        Some(bad) => Err(no_record(bad)),
        None => {
            lines.end(true);
            Ok(())
        }
    }
}

/// Where a frame of records begins that is whole, after the first octet.
fn next_frame(octets: &[u8], compression: Compression) -> Option<usize> {
    let magic = compression.magic();
    let mut begins = (1..octets.len()).filter(|&at| octets[at..].starts_with(magic));
    let mut frame = Vec::new();
    begins.find(|&at| {
        let mut targets = Done::new(false, false);
        let read = compression.decode(&octets[at..], &mut frame);
        read.and_then(|()| read_frame(&frame, &mut targets)).is_ok() && targets.count() > 0
    })
}

/// Counts what was used of a reader.
struct Counting<R> {
    inner: R,
    count: u64,
}

impl<R: BufRead> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.count += length as u64;
        Ok(length)
    }
}

impl<R: BufRead> BufRead for Counting<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.count += amount as u64;
        self.inner.consume(amount);
    }
}
