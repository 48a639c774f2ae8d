//! Frames that are given together, so that what their flows need is fetched for all of them at the same
//! time.

use super::Frame;
use crate::link::Link;

/// Frames that are given together at most.
pub const BATCH: usize = 32;

/// Frames that wait to be given, in their order.
pub(super) struct Batch<'a> {
    frames: [Frame<'a>; BATCH],
    count: usize,
}

/// What stands where no frame does.
const NONE: Frame<'_> = Frame {
    time_ns: 0,
    link: Link::RawIp,
    link_number: 0,
    interface: 0,
    bytes: &[],
    wire_length: 0,
};

impl<'a> Batch<'a> {
    pub(super) fn new() -> Batch<'a> {
        Batch { frames: [NONE; BATCH], count: 0 }
    }

    /// Adds a frame, and gives all of them where there is no room for another.
    #[inline]
    pub(super) fn push(&mut self, frame: Frame<'a>, on_frames: &mut impl FnMut(&[Frame<'_>])) {
        self.frames[self.count] = frame;
        self.count += 1;
        if self.count == BATCH {
            self.give(on_frames);
        }
    }

    /// Gives those that wait.
    #[inline]
    pub(super) fn give(&mut self, on_frames: &mut impl FnMut(&[Frame<'_>])) {
        if self.count > 0 {
            on_frames(&self.frames[..self.count]);
            self.count = 0;
        }
    }
}

/// Frames that are copied to be given together: of a live source, for what libpcap shows is valid until
/// the next frame alone.
pub(super) struct Copies {
    octets: Vec<u8>,
    frames: Vec<Copied>,
}

/// Octets that are copied at most, but for one frame: few enough to stay in the processor's cache.
const ROOM: usize = 64 << 10;

/// A frame but for its octets, which end there.
struct Copied {
    time_ns: i64,
    wire_length: u32,
    end: usize,
}

impl Copies {
    pub(super) fn new() -> Copies {
        Copies { octets: Vec::with_capacity(ROOM), frames: Vec::with_capacity(BATCH) }
    }

    /// Copies a frame.
    #[inline]
    pub(super) fn push(&mut self, time_ns: i64, bytes: &[u8], wire_length: u32) {
        self.octets.extend_from_slice(bytes);
        self.frames.push(Copied { time_ns, wire_length, end: self.octets.len() });
    }

    /// Whether they have to be given before another is copied.
    #[inline]
    pub(super) fn is_full(&self, next: &[u8]) -> bool {
        self.frames.len() == BATCH || self.octets.len() + next.len() > ROOM
    }

    /// Gives those that wait, all of them of this link.
    pub(super) fn give(
        &mut self,
        (link, link_number): (Link, u32),
        on_frames: &mut impl FnMut(&[Frame<'_>]),
    ) {
        let (mut batch, mut begin) = (Batch::new(), 0);
        for &Copied { time_ns, wire_length, end } in &self.frames {
            let bytes = &self.octets[begin..end];
            begin = end;
            batch.push(
                Frame { time_ns, link, link_number, interface: 0, bytes, wire_length },
                on_frames,
            );
        }
        batch.give(on_frames);
        self.frames.clear();
        self.octets.clear();
    }
}
