//! A line for standard error that a signal's handler makes and writes: without a lock, and without memory
//! of the heap.
#![allow(unsafe_code)]

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::patience::LAST_WORDS;

/// A line that is made without allocating.
pub(crate) struct Line {
    text: [u8; 1024],
    length: usize,
}

impl Line {
    pub(crate) fn new() -> Line {
        Line { text: [0; 1024], length: 0 }
    }

    pub(crate) fn add(&mut self, text: &str) {
        self.add_octets(text.as_bytes());
    }

    fn add_octets(&mut self, octets: &[u8]) {
        for &octet in octets {
            if let Some(place) = self.text.get_mut(self.length) {
                *place = octet;
                self.length += 1;
            }
        }
    }

    pub(crate) fn add_hexadecimal(&mut self, number: usize) {
        self.add("0x");
        let digits = (usize::BITS - number.leading_zeros()).div_ceil(4).max(1);
        for digit in (0..digits).rev() {
            self.add_octets(&[b"0123456789abcdef"[number >> (4 * digit) & 15]]);
        }
    }

    /// Milliseconds, as seconds with their fraction.
    pub(crate) fn add_seconds(&mut self, milliseconds: u64) {
        self.add_decimal(milliseconds / 1000, 1);
        let fraction = milliseconds % 1000;
        if fraction > 0 {
            self.add(".");
            self.add_decimal(fraction, 3);
        }
    }

    fn add_decimal(&mut self, number: u64, least: u32) {
        let digits = number.checked_ilog10().map_or(1, |log| log + 1).max(least);
        for digit in (0..digits).rev() {
            let value = number / 10_u64.pow(digit) % 10;
            self.add_octets(&[b"0123456789"[value as usize]]);
        }
    }

    /// Where nobody takes it for a while, the process ends without it.
    pub(crate) fn write(&self) {
        let patience = Timespec::try_from(LAST_WORDS).ok();
        let stderr = rustix::stdio::stderr();
        if !matches!(poll(&mut [PollFd::new(&stderr, PollFlags::OUT)], patience.as_ref()), Ok(1)) {
            return;
        }
        // SAFETY: the text is as long as is said, and `write` may be called in a handler.
        unsafe { libc::write(libc::STDERR_FILENO, self.text.as_ptr().cast(), self.length) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_at_their_end() {
        let mut line = Line::new();
        line.add_hexadecimal(0xabc);
        line.add_hexadecimal(0);
        line.add_seconds(60_000);
        line.add_seconds(1_050);
        line.add_seconds(0);
        assert_eq!(&line.text[..line.length], b"0xabc0x0601.0500");
        line.add(&"x".repeat(2000));
        assert_eq!(line.length, 1024);
    }
}
