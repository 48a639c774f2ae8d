//! Which line of a campaign's file something is in.

/// The text of a file.
pub(super) struct Lines<'a>(&'a str);

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Lines<'a> {
        Lines(text)
    }

    pub(super) fn text(&self) -> &'a str {
        self.0
    }

    /// The line of an octet, counted from 1.
    pub(super) fn of(&self, octet: usize) -> usize {
        let before = self.0.as_bytes().iter().take(octet);
        before.filter(|&&octet| octet == b'\n').count() + 1
    }
}
