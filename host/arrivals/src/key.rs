//! The key that whoever asks and the responder share: how it is read, and what it proves.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use data_encoding::HEXLOWER;
use ring::{hmac, rand};

use crate::TAG;

/// Characters of a key at the least.
const LEAST: usize = 32;

/// The variable of the environment that names the folder in which the system hands secrets to a service.
pub const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// Octets of a file that are read at the most.
const MOST: u64 = 4_096;

/// What others may do with a file, and what its group may.
const OTHERS: u32 = 0o007;
const GROUP: u32 = 0o070;

/// A key of HMAC-SHA-256 (RFC 2104).
#[derive(Clone)]
pub struct Key(hmac::Key);

/// Why a file gives no key.
#[derive(Debug)]
pub enum KeyError {
    /// It cannot be opened or read.
    Read(io::Error),
    /// It is no file.
    NoFile,
    /// Others can read it, or write to it.
    Open,
    /// It has too few characters.
    Short,
}

impl std::fmt::Display for KeyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            KeyError::Read(error) => write!(f, "cannot be read: {error}"),
            KeyError::NoFile => f.write_str("is no file"),
            KeyError::Open => {
                f.write_str("is open to others than its owner, so it is no secret: chmod 600 it")
            }
            KeyError::Short => write!(f, "has no key: one line of {LEAST} characters or more"),
        }
    }
}

impl std::error::Error for KeyError {}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    /// Of these octets.
    pub fn of(secret: &[u8]) -> Key {
        Key(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// Reads the first line of a file that nobody but its owner can read. `credentials` is the folder in which
    /// the system hands secrets to a service: what is there may be open to the service's own group.
    ///
    /// # Errors
    ///
    /// The file is not there, is open to others, or has no key.
    pub fn read(path: &Path, credentials: Option<&Path>) -> Result<Key, KeyError> {
        // Where it is a pipe without a writer, opening it is not to wait for one.
        let flags = rustix::fs::OFlags::NONBLOCK.bits();
        let file = OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path);
        let file = file.map_err(KeyError::Read)?;
        let status = file.metadata().map_err(KeyError::Read)?;
        if !status.is_file() {
            return Err(KeyError::NoFile);
        }
        let is_handed = credentials.is_some_and(|folder| path.starts_with(folder));
        let closed = if is_handed { OTHERS } else { OTHERS | GROUP };
        if status.mode() & closed != 0 {
            return Err(KeyError::Open);
        }
        let line = first_line(file).map_err(KeyError::Read)?;
        if line.len() < LEAST { Err(KeyError::Short) } else { Ok(Key::of(&line)) }
    }

    /// A new one, as a file has it.
    ///
    /// # Errors
    ///
    /// The system has no random numbers.
    pub fn new_line() -> io::Result<String> {
        let random: [u8; 32] = random()?;
        Ok(HEXLOWER.encode(&random) + "\n")
    }

    /// What proves who made these octets.
    pub(crate) fn tag(&self, octets: &[u8]) -> [u8; TAG] {
        let mut tag = [0; TAG];
        tag.copy_from_slice(hmac::sign(&self.0, octets).as_ref());
        tag
    }

    /// The octets without the tag at their end; `None` where another key made it.
    pub(crate) fn verified<'a>(&self, octets: &'a [u8]) -> Option<&'a [u8]> {
        let (octets, tag) = octets.split_at_checked(octets.len().checked_sub(TAG)?)?;
        hmac::verify(&self.0, octets, tag).ok().map(|()| octets)
    }
}

fn first_line(file: File) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    file.take(MOST).read_to_end(&mut octets)?;
    let line = octets.split(|octet| *octet == b'\n').next().unwrap_or_default();
    Ok(line.trim_ascii().to_vec())
}

/// Random octets.
pub(crate) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let random = rand::generate(&rand::SystemRandom::new());
    random.map(rand::Random::expose).map_err(|_| io::Error::other("no random numbers"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn read(content: &str, mode: u32, is_handed: bool) -> Result<Key, KeyError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        Key::read(&path, is_handed.then_some(folder.path()))
    }

    #[test]
    fn a_file_that_others_can_read_gives_no_key() {
        let line = Key::new_line().unwrap();
        for (mode, is_handed, is_read) in [
            (0o600, false, true),
            (0o400, false, true),
            (0o640, false, false),
            (0o604, false, false),
            (0o620, false, false),
            (0o440, true, true),
            (0o444, true, false),
        ] {
            let key = read(&line, mode, is_handed);
            assert_eq!(key.is_ok(), is_read, "{mode:o}");
            assert!(matches!(key, Ok(_) | Err(KeyError::Open)), "{mode:o}");
        }
        assert!(matches!(read("too short\n", 0o600, false), Err(KeyError::Short)));
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Key::read(folder.path(), None), Err(KeyError::NoFile)));
        assert!(matches!(Key::read(&folder.path().join("no"), None), Err(KeyError::Read(_))));
    }

    #[test]
    fn a_tag_is_of_its_key_and_of_its_octets() {
        let (key, other) = (Key::of(b"one"), Key::of(b"other"));
        let message = [&b"octets"[..], &key.tag(b"octets")].concat();
        assert_eq!(key.verified(&message), Some(&b"octets"[..]));
        assert_eq!(other.verified(&message), None);
        for at in 0..message.len() {
            let mut changed = message.clone();
            changed[at] ^= 1;
            assert_eq!(key.verified(&changed), None, "octet {at}");
        }
        assert_eq!(key.verified(&message[..TAG - 1]), None);
    }
}
