//! Keeps a file to one run: with a lock that belongs to the open file, and goes with its last copy.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::thread;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::LOOK;

/// How often it is looked again whether a locked file is free: for a second. The keeper of a run that
/// was killed, and a program that it was about to start, have copies of what it had open until they
/// have closed them.
const LOOKS: u32 = 50;

/// Keeps a file to this process for as long as it is open; `None` where it was removed meanwhile.
///
/// # Errors
///
/// Another run has it, and does not let it go.
pub(super) fn locked(file: OwnedFd, regular: bool) -> io::Result<Option<File>> {
    if regular {
        match lock(&file, || thread::sleep(LOOK)) {
            Err(Errno::WOULDBLOCK) => return Err(io::Error::other("another run is writing it")),
            // A file system without locks does without.
            Ok(()) | Err(_) if rustix::fs::fstat(&file)?.st_nlink == 0 => return Ok(None),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(Some(file.into()))
}

/// Locks a file that somebody may be about to let go; `wait` goes between two looks.
fn lock(file: &OwnedFd, mut wait: impl FnMut()) -> Result<(), Errno> {
    let lock = || rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive);
    for _ in 0..LOOKS {
        match lock() {
            Err(Errno::WOULDBLOCK) => wait(),
            other => return other,
        }
    }
    lock()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_let_go_soon_is_waited_for() {
        let path = std::env::temp_dir().join(format!("pathspider-lock-{}", std::process::id()));
        let open = || OwnedFd::from(File::create(&path).unwrap());
        for let_go in [2, LOOKS] {
            let first = open();
            lock(&first, || panic!("nobody has it")).unwrap();
            let mut copies = vec![first.try_clone().unwrap(), first];
            let mut waits = 0;
            let taken = lock(&open(), || {
                waits += 1;
                if waits == 1 || waits == let_go {
                    copies.pop();
                }
            });
            assert_eq!((taken, waits), (Ok(()), let_go));
        }
        let _locked = locked(open(), true).unwrap();
        let mut waits = 0;
        assert_eq!(lock(&open(), || waits += 1), Err(Errno::WOULDBLOCK));
        assert_eq!(waits, LOOKS, "what stays is not waited for longer");
        std::fs::remove_file(path).unwrap();
    }
}
