//! A standard input or output that was closed. The runtime opens `/dev/null` in its place before
//! `main`, and takes a descriptor that cannot be written for one that takes all, and one that cannot be
//! read for an empty one: results, or targets, would go without a word.
#![allow(unsafe_code)]

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether standard output was closed when the program was started, or only to be read.
static WAS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Whether standard input was closed when the program was started, or only to be written.
static INPUT_WAS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Called by the loader, before the runtime looks.
#[used]
// SAFETY: the loader calls each function of this section once, as one of C's.
#[unsafe(link_section = ".init_array")]
static BEFORE_THE_RUNTIME: extern "C" fn() = look;

extern "C" fn look() {
    // For a program with file capabilities the C library has opened what was closed by then: the input
    // to be written, and the output to be read.
    let serves = |descriptor, other| {
        // SAFETY: it only asks, also of a descriptor that is not open.
        let flags = unsafe { libc::fcntl(descriptor, libc::F_GETFL) };
        flags != -1 && flags & libc::O_ACCMODE != other
    };
    WAS_CLOSED.store(!serves(libc::STDOUT_FILENO, libc::O_RDONLY), Ordering::Relaxed);
    INPUT_WAS_CLOSED.store(!serves(libc::STDIN_FILENO, libc::O_WRONLY), Ordering::Relaxed);
}

/// Checks that standard input can be read.
///
/// # Errors
///
/// It was closed.
pub fn check_input() -> io::Result<()> {
    if INPUT_WAS_CLOSED.load(Ordering::Relaxed) {
        Err(io::Error::other("it is closed"))
    } else {
        Ok(())
    }
}

/// Whether standard output was closed.
pub fn is_output() -> bool {
    WAS_CLOSED.load(Ordering::Relaxed)
}

/// Has writing to a standard output that was closed fail, as to a pipe whose reader is gone.
///
/// # Errors
///
/// The system refuses.
pub fn fails() -> io::Result<()> {
    if is_output() {
        let (_, writer) = io::pipe()?;
        rustix::stdio::dup2_stdout(writer)?;
    }
    Ok(())
}
