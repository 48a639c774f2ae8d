//! Reads text in UTF-16, as some systems write it into files, as UTF-8.

use std::io::{self, Cursor, Read};

/// Octets that are read at once.
const CHUNK: usize = 1 << 13;

/// The reader itself, or one that converts what it gives, where that begins with UTF-16's mark. Reads the
/// first two octets.
///
/// # Errors
///
/// They cannot be read.
pub(super) fn by_mark(mut reader: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
    let mut mark = Vec::with_capacity(2);
    (&mut reader).take(2).read_to_end(&mut mark)?;
    let unit: fn([u8; 2]) -> u16 = match mark[..] {
        [0xff, 0xfe] => u16::from_le_bytes,
        [0xfe, 0xff] => u16::from_be_bytes,
        _ => return Ok(Box::new(Cursor::new(mark).chain(reader))),
    };
    Ok(Box::new(Utf16 { reader, unit, rest: Vec::new(), text: Cursor::default() }))
}

struct Utf16 {
    reader: Box<dyn Read + Send>,
    unit: fn([u8; 2]) -> u16,
    /// Octets of a character that is not complete.
    rest: Vec<u8>,
    /// What was converted.
    text: Cursor<Vec<u8>>,
}

impl Utf16 {
    fn convert(&mut self) -> io::Result<()> {
        let read = (&mut self.reader).take(CHUNK as u64).read_to_end(&mut self.rest)?;
        let units: Vec<u16> =
            self.rest.as_chunks::<2>().0.iter().map(|octets| (self.unit)(*octets)).collect();
        let is_half = units.last().is_some_and(|unit| (0xd800..0xdc00).contains(unit));
        // The other half may be still to come.
        let whole = units.len() - usize::from(is_half && read > 0);
        self.rest.drain(..2 * whole);
        let mut text = String::from_utf16_lossy(&units[..whole]);
        if read == 0 && !self.rest.is_empty() {
            // Half of a unit.
            self.rest.clear();
            text.push(char::REPLACEMENT_CHARACTER);
        }
        self.text = Cursor::new(text.into_bytes());
        Ok(())
    }
}

impl Read for Utf16 {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let is_drained = |text: &Cursor<Vec<u8>>| text.position() >= text.get_ref().len() as u64;
        if is_drained(&self.text) {
            self.convert()?;
            if is_drained(&self.text) && !self.rest.is_empty() {
                self.convert()?;
            }
        }
        self.text.read(buffer)
    }
}
