//! Kernel parameters: noted before the first change, given back at the end.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;

/// Every parameter that was touched, in the order of the first touch.
#[derive(Default)]
pub(super) struct Sysctls {
    touched: Vec<Sysctl>,
}

/// One parameter. Its file stays open, so that going to and fro costs one system call.
struct Sysctl {
    key: String,
    file: File,
    before: String,
    /// What was asked for last, in the asker's form.
    asked: String,
    /// What the kernel made of it.
    now: String,
}

/// Why a parameter could not be set.
#[derive(Debug, thiserror::Error)]
pub(super) enum SysctlError {
    #[error("there is no kernel parameter named {0:?}")]
    Name(String),
    #[error(
        "may not set the kernel parameter {key}: {error}; this measurement needs CAP_NET_ADMIN \
         (run as root, or: sudo setcap cap_net_raw,cap_net_admin+ep $(command -v pathspider))"
    )]
    Denied { key: String, error: io::Error },
    #[error("cannot {what} the kernel parameter {key}: {error}")]
    Io { what: &'static str, key: String, error: io::Error },
}

impl SysctlError {
    pub(super) fn is_denied(&self) -> bool {
        matches!(self, SysctlError::Denied { .. })
    }

    fn new(what: &'static str, key: &str, error: io::Error) -> SysctlError {
        let key = key.to_owned();
        match error.raw_os_error() {
            Some(libc::ENOENT) => SysctlError::Name(key),
            Some(libc::EACCES | libc::EPERM | libc::EROFS) => SysctlError::Denied { key, error },
            _ => SysctlError::Io { what, key, error },
        }
    }
}

impl Sysctls {
    /// Sets a parameter; nothing is written where it has the value already.
    pub(super) fn set(&mut self, key: &str, value: &str) -> Result<(), SysctlError> {
        let at = match self.touched.iter().position(|sysctl| sysctl.key == key) {
            Some(at) => at,
            None => {
                self.touched.push(Sysctl::open(key)?);
                self.touched.len() - 1
            }
        };
        let sysctl = &mut self.touched[at];
        if sysctl.asked != value {
            sysctl.write(value)?;
        }
        Ok(())
    }

    /// Gives every parameter its old value, the last touched first.
    pub(super) fn restore(&mut self) -> Vec<String> {
        std::mem::take(&mut self.touched).into_iter().rev().filter_map(Sysctl::restore).collect()
    }
}

impl Sysctl {
    fn open(key: &str) -> Result<Sysctl, SysctlError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if key.is_empty() || !key.chars().all(plain) || key.contains("..") {
            return Err(SysctlError::Name(key.to_owned()));
        }
        let path = format!("/proc/sys/{}", key.replace('.', "/"));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(|error| SysctlError::new("open", key, error))?;
        let mut sysctl = Sysctl {
            key: key.to_owned(),
            file,
            before: String::new(),
            asked: String::new(),
            now: String::new(),
        };
        sysctl.before = sysctl.read().map_err(|error| SysctlError::new("read", key, error))?;
        sysctl.now.clone_from(&sysctl.before);
        sysctl.asked.clone_from(&sysctl.before);
        Ok(sysctl)
    }

    fn read(&self) -> io::Result<String> {
        let mut buffer = [0; 4096];
        let length = self.file.read_at(&mut buffer, 0)?;
        Ok(String::from_utf8_lossy(&buffer[..length]).trim().to_owned())
    }

    fn write(&mut self, value: &str) -> Result<(), SysctlError> {
        self.file
            .write_at(value.as_bytes(), 0)
            .map_err(|error| SysctlError::new("set", &self.key, error))?;
        // The kernel has a form of its own for what it was given: lists are joined by tabs.
        self.now = self.read().map_err(|error| SysctlError::new("read", &self.key, error))?;
        value.clone_into(&mut self.asked);
        Ok(())
    }

    /// Restores it, unless somebody else has set it since: then theirs stays, and is reported.
    fn restore(mut self) -> Option<String> {
        match self.read() {
            Ok(found) if found == self.before => None,
            Ok(found) if found != self.now => Some(format!(
                "{} is {found}, which is not what this run had set ({}): left as it is \
                 (it was {} before the run)",
                self.key, self.now, self.before
            )),
            Ok(_) => {
                let before = self.before.clone();
                self.write(&before).err().map(|error| error.to_string())
            }
            Err(error) => Some(format!("cannot read {} back: {error}", self.key)),
        }
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
}
