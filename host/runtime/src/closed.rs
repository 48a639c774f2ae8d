//! A standard output that was closed. The runtime opens `/dev/null` in its place before `main`, and
//! takes a descriptor that cannot be written for one that takes all: results would go without a word.
#![allow(unsafe_code)]

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether standard output was closed when the program was started, or only to be read.
static WAS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Called by the loader, before the runtime looks.
#[used]
// SAFETY: the loader calls each function of this section once, as one of C's.
#[unsafe(link_section = ".init_array")]
static BEFORE_THE_RUNTIME: extern "C" fn() = look;

extern "C" fn look() {
    // SAFETY: it only asks, also of a descriptor that is not open.
    let flags = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFL) };
    // For a program with file capabilities the C library has opened one to be read by then.
    let is_written = flags != -1 && flags & libc::O_ACCMODE != libc::O_RDONLY;
    WAS_CLOSED.store(!is_written, Ordering::Relaxed);
}

/// Has writing to a standard output that was closed fail, as to a pipe whose reader is gone.
///
/// # Errors
///
/// The system refuses.
pub fn fails() -> io::Result<()> {
    if WAS_CLOSED.load(Ordering::Relaxed) {
        let (_, writer) = io::pipe()?;
        rustix::stdio::dup2_stdout(writer)?;
    }
    Ok(())
}
