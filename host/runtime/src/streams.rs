//! The host's own standard streams, and those that the code of plugins finds.
//!
//! A plugin, or a C library in it, may print to standard output, read standard input, and close either.
//! So before the first one is loaded the host's own move to descriptors of their own. What plugins find
//! then is an empty input, and standard error in place of the output that carries the records.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::io::fcntl_dupfd_cloexec;
use rustix::stdio;

/// The number from which on the host's own descriptors stand, out of the way of those who close all.
const OUT_OF_THE_WAY: i32 = 500;

/// The host's own, once they are apart.
static OWN: OnceLock<Streams> = OnceLock::new();

struct Streams {
    input: Kept,
    output: Kept,
    messages: Kept,
}

/// A descriptor, and what it leads to.
struct Kept {
    fd: OwnedFd,
    identity: Option<(u64, u64)>,
}

impl Kept {
    fn new(fd: BorrowedFd<'_>) -> io::Result<Kept> {
        let high = fcntl_dupfd_cloexec(fd, OUT_OF_THE_WAY);
        // The limit of descriptors may be lower.
        let fd = high.or_else(|_| fcntl_dupfd_cloexec(fd, 3))?;
        let identity = identity(fd.as_fd());
        Ok(Kept { fd, identity })
    }

    /// Whether it still leads where it led.
    fn is_whole(&self) -> bool {
        identity(self.fd.as_fd()) == self.identity
    }
}

fn identity(fd: BorrowedFd<'_>) -> Option<(u64, u64)> {
    let status = rustix::fs::fstat(fd).ok()?;
    Some((status.st_dev, status.st_ino))
}

/// Gives plugins streams of their own, from now on. Once is enough.
///
/// # Errors
///
/// There are no more descriptors.
pub fn set_apart() -> io::Result<()> {
    if OWN.get().is_some() {
        return Ok(());
    }
    let (input, output, messages) =
        (Kept::new(stdio::stdin())?, Kept::new(stdio::stdout())?, Kept::new(stdio::stderr())?);
    let _ = OWN.set(Streams { input, output, messages });
    give()
}

/// What plugins find.
fn give() -> io::Result<()> {
    let Some(own) = OWN.get() else { return Ok(()) };
    stdio::dup2_stdin(File::open("/dev/null")?)?;
    stdio::dup2_stdout(&own.messages.fd)?;
    stdio::dup2_stderr(&own.messages.fd)?;
    Ok(())
}

/// Gives the standard streams again, as a plugin may have closed or replaced them: a file that is opened
/// next would get the number of one that is closed.
///
/// # Errors
///
/// The host's own are not what they were: then nobody knows which others are gone.
pub fn mend() -> io::Result<()> {
    if are_whole() {
        give()
    } else {
        Err(io::Error::other("descriptors that are this program's own were closed"))
    }
}

/// Whether the host's own are what they were.
pub fn are_whole() -> bool {
    let own = OWN.get().map(|own| [&own.input, &own.output, &own.messages]);
    own.into_iter().flatten().all(Kept::is_whole)
}

/// The host's standard output, unbuffered.
pub fn output() -> Output {
    Output
}

/// See [`output`].
#[derive(Debug)]
pub struct Output;

impl Write for Output {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(self, octets)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Output {
    fn as_fd(&self) -> BorrowedFd<'_> {
        OWN.get().map_or(stdio::stdout(), |own| own.output.fd.as_fd())
    }
}

/// The host's standard input, unbuffered.
pub fn input() -> Input {
    Input
}

/// See [`input`].
#[derive(Debug)]
pub struct Input;

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(self, buffer)?)
    }
}

impl AsFd for Input {
    fn as_fd(&self) -> BorrowedFd<'_> {
        OWN.get().map_or(stdio::stdin(), |own| own.input.fd.as_fd())
    }
}

/// Where messages go, unbuffered.
pub(crate) fn messages() -> Messages {
    Messages
}

pub(crate) struct Messages;

impl Write for Messages {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let own = OWN.get().map(|own| own.messages.fd.as_fd());
        match rustix::io::write(own.unwrap_or(stdio::stderr()), octets) {
            Err(rustix::io::Errno::BADF) => Ok(rustix::io::write(stdio::stderr(), octets)?),
            written => Ok(written?),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The path to open for one that was named: where it leads to a standard stream, the host's own.
pub fn path(path: &Path) -> Cow<'_, Path> {
    let Some(own) = OWN.get() else { return Cow::Borrowed(path) };
    let fd = match standard(path) {
        Some(0) => &own.input.fd,
        Some(1) => &own.output.fd,
        Some(2) => &own.messages.fd,
        _ => return Cow::Borrowed(path),
    };
    Cow::Owned(PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd())))
}

/// The descriptor that a path leads to, such as `/dev/stdout` or `/dev/fd/1`.
fn standard(path: &Path) -> Option<i32> {
    /// Links one after the other, as many as the kernel follows.
    const MOST: usize = 40;
    let ours = Path::new("/proc/self/fd").canonicalize().ok()?;
    let mut path = path.to_owned();
    for _ in 0..MOST {
        let folder = path.parent()?.canonicalize().ok()?;
        // A thread's folder shows the same descriptors.
        let is_ours = folder == ours
            || folder.ends_with("fd") && folder.parent()?.parent()?.parent() == ours.parent();
        if is_ours {
            return path.file_name()?.to_str()?.parse().ok();
        }
        path = folder.join(path.read_link().ok()?);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_standard_streams_are_known() {
        for (path, number) in [
            ("/dev/stdin", Some(0)),
            ("/dev/stdout", Some(1)),
            ("/dev/fd/2", Some(2)),
            ("/proc/self/fd/1", Some(1)),
            ("/proc/thread-self/fd/1", Some(1)),
            ("/dev/null", None),
            ("/dev/../dev/stdout", Some(1)),
            ("/nonexistent/stdout", None),
        ] {
            assert_eq!(standard(Path::new(path)), number, "{path}");
        }
    }
}
