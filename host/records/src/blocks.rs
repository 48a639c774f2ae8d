//! A file's text in blocks of whole lines, so that several threads can read one file.

use std::io::{self, Read};

use memchr::{memchr, memchr_iter, memrchr};

/// Octets of a block, unless a line is longer.
const BLOCK: usize = 1 << 20;

/// Memory of a block that is used again. What a long line took is given back.
const KEPT: usize = 2 * BLOCK;

/// A line longer than this is no record; it bounds the memory that damaged input can take.
pub(crate) const LONGEST_LINE: usize = 64 << 20;

/// Whole lines of a file.
#[derive(Debug)]
pub(crate) struct Block {
    /// The number of the first line.
    pub(crate) first: u64,
    /// The lines; the last one of a file may lack its end.
    pub(crate) text: Vec<u8>,
}

/// A block; `None` at the end. With an error there is what was read before it.
pub(crate) type Next = (Option<Block>, io::Result<()>);

/// Cuts a text into blocks.
pub(crate) struct Blocks<R> {
    reader: R,
    /// What was read beyond the end of the last block.
    rest: Vec<u8>,
    /// A block that was looked at, and is the next one all the same.
    looked_at: Option<Next>,
    next: u64,
    is_over: bool,
}

impl<R: Read> Blocks<R> {
    pub(crate) fn new(reader: R) -> Blocks<R> {
        Blocks { reader, rest: Vec::new(), looked_at: None, next: 1, is_over: false }
    }

    /// The next block, which stays the next one.
    pub(crate) fn look(&mut self) -> Option<&Block> {
        let next = self.looked_at.take().unwrap_or_else(|| self.read(Vec::new()));
        self.looked_at.insert(next).0.as_ref()
    }

    /// The next block, in the memory of one that is done with.
    pub(crate) fn next(&mut self, memory: Vec<u8>) -> Next {
        self.looked_at.take().unwrap_or_else(|| self.read(memory))
    }

    fn read(&mut self, memory: Vec<u8>) -> Next {
        let mut text = if memory.capacity() > KEPT { Vec::new() } else { memory };
        text.clear();
        text.append(&mut self.rest);
        let mut said = Ok(());
        while !self.is_over {
            let before = text.len();
            // What the last block left is part of this one, so that all have the same size.
            let more = BLOCK.saturating_sub(before).max(BLOCK / 2);
            text.reserve(more);
            match (&mut self.reader).take(more as u64).read_to_end(&mut text) {
                Ok(0) => self.is_over = true,
                Ok(_) => {}
                Err(error) => {
                    self.is_over = true;
                    said = Err(error);
                }
            }
            // What follows the last line's end belongs to the next block.
            if let Some(at) = memrchr(b'\n', &text[before..]) {
                if !self.is_over {
                    let end = before + at + 1;
                    self.rest.extend_from_slice(&text[end..]);
                    text.truncate(end);
                }
                break;
            }
            // The line is too long to be kept: its begin says so to whoever reads the block.
            if text.len() > LONGEST_LINE {
                text.truncate(LONGEST_LINE + 1);
            }
        }
        if text.is_empty() {
            return (None, said);
        }
        let first = self.next;
        self.next += memchr_iter(b'\n', &text).count() as u64;
        (Some(Block { first, text }), said)
    }
}

impl Block {
    /// The lines with their numbers and whether they have an end; empty ones are left out.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (u64, &[u8], bool)> {
        let mut rest = &self.text[..];
        let lines = std::iter::from_fn(move || {
            let end = memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
            let (line, after) = rest.split_at(end);
            rest = after;
            (!line.is_empty()).then_some(line)
        });
        let numbered = lines
            .zip(self.first..)
            .map(|(line, number)| (number, line.trim_ascii(), line.ends_with(b"\n")));
        numbered.filter(|(_, line, _)| !line.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives an octet at a time, and at last an error.
    struct Slow<'a>(&'a [u8], bool);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.split_first() {
                Some((&octet, rest)) => {
                    buffer[0] = octet;
                    self.0 = rest;
                    Ok(1)
                }
                None if self.1 => Err(io::Error::other("torn")),
                None => Ok(0),
            }
        }
    }

    fn all(reader: impl Read) -> (Vec<(u64, String, bool)>, bool) {
        let (mut blocks, mut found, mut failed) = (Blocks::new(reader), Vec::new(), false);
        let mut memory = Vec::new();
        loop {
            let (block, said) = blocks.next(std::mem::take(&mut memory));
            failed |= said.is_err();
            let Some(block) = block else { return (found, failed) };
            let text = |line: &[u8]| String::from_utf8(line.to_vec()).unwrap();
            found.extend(block.lines().map(|(number, line, ended)| (number, text(line), ended)));
            memory = block.text;
        }
    }

    #[test]
    fn lines_keep_their_numbers_and_what_was_read_before_a_failure() {
        let line = |number, text: &str, ended| (number, text.to_owned(), ended);
        let (lines, failed) = all(Slow(b"a\n\n b \r\nc", false));
        assert_eq!(lines, [line(1, "a", true), line(3, "b", true), line(4, "c", false)]);
        assert!(!failed);
        let (lines, failed) = all(Slow(b"a\nb", true));
        assert_eq!(lines, [line(1, "a", true), line(2, "b", false)]);
        assert!(failed);
        assert_eq!(all(&b""[..]), (Vec::new(), false));
    }

    #[test]
    fn blocks_end_with_lines() {
        let text: String = (0..400_000).map(|number| format!("{number}\n")).collect();
        let (lines, _) = all(text.as_bytes());
        assert_eq!(lines.len(), 400_000);
        assert!(
            lines.iter().all(|(number, line, ended)| *ended && *line == (number - 1).to_string())
        );
    }

    #[test]
    fn a_line_without_end_takes_bounded_memory() {
        let endless = io::repeat(b'x').take(LONGEST_LINE as u64 * 3).chain(&b"\nb\n"[..]);
        let mut blocks = Blocks::new(endless);
        assert!(blocks.look().is_some());
        let (block, _) = blocks.next(Vec::new());
        let lengths: Vec<usize> = block.unwrap().lines().map(|(_, line, _)| line.len()).collect();
        assert!(lengths[0] > LONGEST_LINE && lengths[0] <= LONGEST_LINE + BLOCK + 2, "{lengths:?}");
    }
}
