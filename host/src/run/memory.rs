//! How the kernel gives a run its memory.

use rustix::thread::disable_transparent_huge_pages;

/// Has the kernel give memory in small pages from now on.
///
/// The allocator asks for huge pages of 2 MiB. A run's threads take what they need for records in many
/// places, so most of a huge page is cleared and never used.
pub(super) fn in_small_pages() {
    // Where the kernel refuses, memory costs more.
    let _ = disable_transparent_huge_pages(true);
}
