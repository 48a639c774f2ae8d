//! Kernel parameters, as a run sets them to and fro.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;

use super::interface::{self, Interface};

/// Every parameter that was touched.
#[derive(Default)]
pub(super) struct Sysctls {
    touched: Vec<Sysctl>,
}

/// One parameter. Its file stays open, so that going to and fro costs one system call.
struct Sysctl {
    key: String,
    file: File,
    /// The interface that it is of.
    interface: Option<Interface>,
    /// As the kernel gave it, but for the end of the line.
    before: String,
    /// What was asked for last, in the asker's form.
    asked: String,
    /// What it was after that.
    actual: String,
    /// What somebody else has set meanwhile.
    theirs: Option<String>,
    /// What was asked for so far, and what it was then. A configurator has few values, which come
    /// again and again.
    known: Vec<(String, String)>,
}

/// What makes parameters writable where they are not, as in most containers.
pub const WRITABLE: &str =
    "mount -o remount,rw /proc/sys (in a container, start it with /proc/sys writable)";

/// Why a parameter could not be set.
#[derive(Debug, thiserror::Error)]
pub(super) enum SysctlError {
    #[error("there is no kernel parameter named {0:?}")]
    Name(String),
    #[error(
        "may not set the kernel parameter {key}: {error}; this measurement needs CAP_NET_ADMIN \
         ({advice})",
        advice = pathspider_runtime::privileges::advice()
    )]
    Denied { key: String, error: io::Error },
    #[error("cannot set the kernel parameter {0}: /proc/sys is read-only. Mend it: {WRITABLE}")]
    ReadOnly(String),
    #[error("cannot {what} the kernel parameter {key}: {error}")]
    Io { what: &'static str, key: String, error: io::Error },
    #[error("{0}")]
    Journal(String),
}

impl SysctlError {
    pub(super) fn is_denied(&self) -> bool {
        matches!(self, SysctlError::Denied { .. } | SysctlError::ReadOnly(_))
    }

    /// Reading needs no privilege that a measurement could declare.
    fn unreadable(key: &str, error: io::Error) -> SysctlError {
        SysctlError::Io { what: "read", key: key.to_owned(), error }
    }

    fn new(what: &'static str, key: &str, error: io::Error) -> SysctlError {
        let key = key.to_owned();
        match error.raw_os_error() {
            Some(libc::ENOENT) => SysctlError::Name(key),
            Some(libc::EACCES | libc::EPERM) => SysctlError::Denied { key, error },
            Some(libc::EROFS) => SysctlError::ReadOnly(key),
            _ => SysctlError::Io { what, key, error },
        }
    }
}

/// What is noted of a parameter before it is set.
pub(super) enum Intent<'a> {
    /// It is touched for the first time.
    Touch { key: &'a str, before: &'a str, interface: Option<&'a Interface> },
    /// Somebody else has given it this value since: it is theirs that it has to get at the end.
    Theirs { key: &'a str, value: &'a str },
    /// It will have this value, or has got it where the kernel gave what was asked another form.
    Value { key: &'a str, value: &'a str },
}

/// The file of a parameter.
pub(super) fn path(key: &str) -> String {
    format!("/proc/sys/{}", key.replace('.', "/"))
}

/// How much is read at first, and how much at most: the kernel takes no longer reads than 4 MiB.
const READ_FIRST: usize = 4096;
const READ_AT_MOST: usize = 2 << 20;

/// The value of a parameter, without the end of its line. The kernel gives numbers and lists to the
/// first read alone, and cuts off what this one has no place for. So a read that was filled is made
/// anew with more place.
///
/// # Errors
///
/// It cannot be read, is no text, or is longer than any parameter of the kernel.
pub(super) fn read(file: &File) -> io::Result<String> {
    let mut first = [0; READ_FIRST];
    let length = file.read_at(&mut first, 0)?;
    if length < READ_FIRST {
        return text(&first[..length]);
    }
    let mut size = READ_FIRST;
    while size < READ_AT_MOST {
        size *= 8;
        let mut buffer = vec![0; size];
        let length = file.read_at(&mut buffer, 0)?;
        if length < size {
            return text(&buffer[..length]);
        }
    }
    Err(io::Error::new(io::ErrorKind::FileTooLarge, "its value is too long"))
}

/// A value that is no text could be neither noted nor restored.
fn text(octets: &[u8]) -> io::Result<String> {
    let octets = octets.strip_suffix(b"\n").unwrap_or(octets);
    let text = std::str::from_utf8(octets);
    text.map(str::to_owned).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Sets a parameter. An empty value is the end of a line: writing nothing makes no change. The kernel
/// takes lists a page at a time.
pub(super) fn write(file: &File, value: &str) -> io::Result<()> {
    file.write_all_at(if value.is_empty() { b"\n" } else { value.as_bytes() }, 0)
}

/// A value without the tabs that the kernel joins lists by.
pub(super) fn words(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A value for people.
pub(super) fn shown(value: &str) -> String {
    Some(words(value)).filter(|words| !words.is_empty()).unwrap_or_else(|| "empty".to_owned())
}

/// Whether two texts are the same value: the kernel joins lists by tabs.
pub(super) fn same(a: &str, b: &str) -> bool {
    a.split_whitespace().eq(b.split_whitespace())
}

/// The present value of a parameter; `None` where the kernel has no such parameter.
pub(super) fn present(key: &str) -> Result<Option<String>, SysctlError> {
    if !is_name(key) {
        return Ok(None);
    }
    let value = File::open(path(key)).and_then(|file| read(&file));
    there_is(value).map_err(|error| SysctlError::unreadable(key, error))
}

/// What was read of a parameter that may not be there.
fn there_is(value: io::Result<String>) -> io::Result<Option<String>> {
    match value {
        Ok(value) => Ok(Some(value)),
        Err(error) if ABSENT.contains(&error.raw_os_error()) => {
            // Without a /proc, there would be no parameter at all.
            if fs::exists("/proc/sys/net")? { Ok(None) } else { Err(error) }
        }
        Err(error) => Err(error),
    }
}

/// What the kernel says where there is no such parameter: the last one, of a folder of them.
const ABSENT: [Option<i32>; 3] = [Some(libc::ENOENT), Some(libc::ENOTDIR), Some(libc::EISDIR)];

/// Whether it may be a parameter's name: none leaves the kernel's tree.
fn is_name(key: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    !key.is_empty() && key.chars().all(plain) && !key.contains("..")
}

impl Sysctls {
    /// The present value of a parameter; `None` where there is no such parameter. Of one that was
    /// touched, that of the same interface.
    pub(super) fn present(&self, key: &str) -> Result<Option<String>, SysctlError> {
        match self.touched.iter().find(|sysctl| sysctl.key == key) {
            Some(sysctl) => {
                there_is(read(&sysctl.file)).map_err(|error| SysctlError::unreadable(key, error))
            }
            None => present(key),
        }
    }

    /// Sets a parameter; nothing is written where it has the value already. `note` learns of the
    /// first touch, of what somebody else has set since, and of each value before it is given for
    /// the first time.
    pub(super) fn set(
        &mut self,
        key: &str,
        value: &str,
        mut note: impl FnMut(Intent<'_>) -> Result<(), SysctlError>,
    ) -> Result<(), SysctlError> {
        let at = match self.touched.iter().position(|sysctl| sysctl.key == key) {
            Some(at) => at,
            None => {
                self.touched.push(Sysctl::open(key)?);
                self.touched.len() - 1
            }
        };
        let sysctl = &mut self.touched[at];
        let now = sysctl.read()?;
        if !same(&now, &sysctl.actual) {
            if sysctl.theirs.as_deref() != Some(&*now) {
                note(Intent::Theirs { key, value: &now })?;
                sysctl.theirs = Some(now);
            }
        } else if sysctl.asked == value {
            return Ok(());
        }
        if let Some((_, actual)) = sysctl.known.iter().find(|(known, _)| known == value) {
            sysctl.actual.clone_from(actual);
            sysctl.write(value)?;
        } else {
            if sysctl.known.is_empty() {
                let (before, interface) = (&sysctl.before, sysctl.interface.as_ref());
                note(Intent::Touch { key, before, interface })?;
            }
            note(Intent::Value { key, value })?;
            sysctl.write(value)?;
            sysctl.actual = sysctl.read()?;
            sysctl.known.push((value.to_owned(), sysctl.actual.clone()));
            if !same(&sysctl.actual, value) {
                note(Intent::Value { key, value: &sysctl.actual })?;
            }
        }
        value.clone_into(&mut sysctl.asked);
        Ok(())
    }
}

impl Sysctl {
    fn open(key: &str) -> Result<Sysctl, SysctlError> {
        if !is_name(key) {
            return Err(SysctlError::Name(key.to_owned()));
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path(key))
            .map_err(|error| SysctlError::new("open", key, error))?;
        // Before it is read: the file of an interface that has gone cannot be.
        let interface = interface::of(key)
            .map_err(|error| SysctlError::new("know the interface of", key, error))?;
        let mut sysctl = Sysctl {
            key: key.to_owned(),
            file,
            interface,
            before: String::new(),
            asked: String::new(),
            actual: String::new(),
            theirs: None,
            known: Vec::new(),
        };
        sysctl.before = sysctl.read()?;
        sysctl.asked = words(&sysctl.before);
        sysctl.actual.clone_from(&sysctl.before);
        Ok(sysctl)
    }

    fn read(&self) -> Result<String, SysctlError> {
        read(&self.file).map_err(|error| SysctlError::new("read", &self.key, error))
    }

    fn write(&self, value: &str) -> Result<(), SysctlError> {
        write(&self.file, value).map_err(|error| SysctlError::new("set", &self.key, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_the_tree_are_refused() {
        for key in ["", "net/ipv4", "../../etc/passwd", "net..ipv4", "net.ipv4.no_such_thing"] {
            assert!(matches!(Sysctl::open(key), Err(SysctlError::Name(_))), "{key}");
        }
    }

    #[test]
    fn what_is_no_parameter_has_no_value_and_is_no_error() {
        for key in ["", "net/ipv4", "../../etc/passwd", "net.ipv4.no_such_thing", "net.ipv4"] {
            assert!(matches!(present(key), Ok(None)), "{key}");
        }
        let hops = present("net.ipv4.ip_default_ttl").unwrap().unwrap();
        assert!(hops.parse::<u8>().is_ok(), "{hops:?}");
        // It can be written only.
        let error = present("net.ipv4.route.flush").unwrap_err().to_string();
        assert!(error.contains("cannot read the kernel parameter net.ipv4.route.flush"), "{error}");
    }

    #[test]
    fn lists_are_the_same_however_they_are_joined() {
        assert!(same("4096\t131072\t6291456\n", "4096 131072 6291456"));
        assert!(!same("1", "11"));
    }
}
