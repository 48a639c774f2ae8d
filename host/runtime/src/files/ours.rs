//! Whether a file that is written is still the one that its name leads to, and as long as what was
//! written: others can remove, move, replace, cut and lengthen it.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

/// A file that is ours alone.
pub(super) struct Ours {
    file: File,
    path: PathBuf,
}

impl Ours {
    /// Has writing go to the file's end, wherever that is: what follows a cut of somebody else's is no
    /// hole then, and never makes the file as long again as it should be.
    pub(super) fn new(file: File, path: PathBuf) -> io::Result<Ours> {
        fcntl_setfl(&file, fcntl_getfl(&file)? | OFlags::APPEND)?;
        Ok(Ours { file, path })
    }

    pub(super) fn try_clone(&self) -> io::Result<Ours> {
        Ok(Ours { file: self.file.try_clone()?, path: self.path.clone() })
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Checks that it has this length.
    ///
    /// # Errors
    ///
    /// Somebody else has changed it.
    pub(super) fn is_as_long_as(&self, length: u64) -> io::Result<()> {
        match self.file.metadata()?.len() {
            is if is == length => Ok(()),
            is => Err(changed(is, length)),
        }
    }

    /// Checks that it has at least this length, for it may grow meanwhile, and that its name leads to
    /// it.
    ///
    /// # Errors
    ///
    /// Somebody else has changed it, or its name.
    pub(super) fn is_in_place(&self, length: u64) -> io::Result<()> {
        let own = self.file.metadata()?;
        if own.nlink() == 0 {
            return Err(io::Error::other("somebody has removed it"));
        }
        let identity = |file: &Metadata| (file.dev(), file.ino());
        match fs::metadata(&self.path) {
            Ok(named) if identity(&named) == identity(&own) => {}
            // A name that cannot be looked up now says nothing.
            Err(error) if error.kind() != io::ErrorKind::NotFound => {}
            _ => return Err(io::Error::other("somebody has moved or replaced it")),
        }
        if own.len() < length { Err(changed(own.len(), length)) } else { Ok(()) }
    }
}

fn changed(is: u64, length: u64) -> io::Error {
    io::Error::other(format!(
        "somebody has changed it: it has {is} octets, and {length} were written"
    ))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A file with four octets.
    fn ours(name: &str) -> (PathBuf, Ours) {
        let path =
            std::env::temp_dir().join(format!("pathspider-{}-ours-{name}", std::process::id()));
        fs::write(&path, "1\n2\n").unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let ours = Ours::new(file, path.clone()).unwrap();
        ours.is_as_long_as(4).unwrap();
        ours.is_in_place(4).unwrap();
        (path, ours)
    }

    fn reason(checked: io::Result<()>) -> String {
        checked.unwrap_err().to_string()
    }

    #[test]
    fn what_others_do_to_a_name_is_noticed() {
        let (path, ours) = self::ours("name");
        let other = path.with_extension("other");
        fs::rename(&path, &other).unwrap();
        assert!(reason(ours.is_in_place(4)).contains("moved"));
        fs::copy(&other, &path).unwrap();
        assert!(reason(ours.is_in_place(4)).contains("replaced"));
        fs::rename(&other, &path).unwrap();
        ours.is_in_place(4).unwrap();
        fs::hard_link(&path, &other).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(reason(ours.is_in_place(4)).contains("moved"), "it has another name");
        fs::remove_file(&other).unwrap();
        assert!(reason(ours.is_in_place(4)).contains("removed"));
    }

    #[test]
    fn what_others_do_to_a_length_is_noticed_for_good() {
        let (path, ours) = self::ours("length");
        let theirs = File::options().append(true).open(&path).unwrap();
        theirs.set_len(2).unwrap();
        let reason = reason(ours.is_as_long_as(4));
        assert!(reason.contains("it has 2 octets, and 4 were written"), "{reason}");
        assert!(ours.is_in_place(4).is_err());
        // What is written after the cut leaves no hole, and does not hide it.
        ours.file().write_all(b"3\n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"1\n3\n");
        assert!(ours.is_as_long_as(6).is_err());
        (&theirs).write_all(b"theirs\n").unwrap();
        assert!(ours.is_as_long_as(6).is_err(), "longer");
        fs::remove_file(path).unwrap();
    }
}
