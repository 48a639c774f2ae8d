//! Who is sent nothing: those who asked for it (blocklists), and special-purpose addresses.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use pathspider_plugin_api::rules;

use super::prefixes::Prefixes;
use super::special::{Special, embedded};

/// Prefixes that are not to be measured.
#[derive(Default)]
pub struct Blocklist {
    prefixes: Prefixes,
    /// The files that it was read from.
    files: Vec<PathBuf>,
}

/// A blocklist cannot be used. A run without it could measure who asked not to be.
#[derive(Debug, thiserror::Error)]
pub enum BlocklistError {
    /// It cannot be read.
    #[error("cannot read the blocklist {}: {error}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        error: std::io::Error,
    },
    /// One of its lines says something else.
    #[error("{}:{line}: {text:?} is neither an IP address nor a prefix such as 192.0.2.0/24", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: u64,
        /// What stands there.
        text: String,
    },
}

impl Blocklist {
    /// Reads files with an address or prefix on each line; `#` begins a comment.
    ///
    /// # Errors
    ///
    /// One of them cannot be read, or has a line of another kind.
    pub fn read(paths: &[PathBuf]) -> Result<Blocklist, BlocklistError> {
        let mut all = Vec::new();
        for path in paths {
            read(path, &mut all)?;
        }
        Ok(Blocklist { prefixes: all.into_iter().collect(), files: paths.to_vec() })
    }
}

fn read(path: &Path, all: &mut Vec<IpNet>) -> Result<(), BlocklistError> {
    let fail = |error| BlocklistError::Read { path: path.to_owned(), error };
    let file = File::open(path).map_err(fail)?;
    for (number, line) in (1..).zip(BufReader::new(file).lines()) {
        let line = line.map_err(fail)?;
        let text = line.split('#').next().unwrap_or_default().trim();
        let prefix = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        match prefix {
            _ if text.is_empty() => {}
            Ok(prefix) => all.push(prefix),
            Err(_) => {
                let (path, text) = (path.to_owned(), text.to_owned());
                return Err(BlocklistError::Line { path, line: number, text });
            }
        }
    }
    Ok(())
}

/// Why an address is sent nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// A blocklist has it.
    Blocklist,
    /// It is a special-purpose address.
    Special,
}

impl Refusal {
    /// The word in records, as the reason of a connection that was not made.
    pub fn word(self) -> &'static str {
        match self {
            Refusal::Blocklist => rules::BLOCKLISTED,
            Refusal::Special => rules::SPECIAL_ADDRESS,
        }
    }
}

/// Who is sent nothing. Asked of each target when it is read, and of each other address before a
/// packet leaves for it.
pub struct Courtesy {
    blocklist: Blocklist,
    special: Option<Special>,
}

impl Default for Courtesy {
    fn default() -> Courtesy {
        Courtesy::new(Blocklist::default(), false)
    }
}

impl Courtesy {
    /// Refuses what the blocklist has, and special-purpose addresses unless they are allowed.
    pub fn new(blocklist: Blocklist, allow_special: bool) -> Courtesy {
        Courtesy { blocklist, special: (!allow_special).then(Special::new) }
    }

    /// The files that the blocklist was read from.
    pub(crate) fn files(&self) -> &[PathBuf] {
        &self.blocklist.files
    }

    /// Why an address is sent nothing, if so. The unspecified address is no host's: the kernel
    /// would take it for this machine.
    pub fn refuses(&self, address: IpAddr) -> Option<Refusal> {
        let inner = embedded(address);
        let any = |has: &dyn Fn(IpAddr) -> bool| has(address) || inner.is_some_and(has);
        if any(&|address| self.blocklist.prefixes.covers(address)) {
            return Some(Refusal::Blocklist);
        }
        if any(&|address| address.is_unspecified()) {
            return Some(Refusal::Special);
        }
        let special = self.special.as_ref()?;
        any(&|address| special.has(address)).then_some(Refusal::Special)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("pathspider-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn blocklists_hold_what_they_say() {
        let a = file("block-a", "# asked on 1 May\n\n8.8.8.0/24 # all of it\n9.9.9.9\n");
        let b = file("block-b", "2001:4860::/32\n1.2.3.4/16\n");
        let courtesy = Courtesy::new(Blocklist::read(&[a, b]).unwrap(), false);
        let refuses = |text: &str| courtesy.refuses(text.parse().unwrap());
        for text in [
            "8.8.8.255",
            "9.9.9.9",
            "2001:4860::1",
            "1.2.255.1",
            "64:ff9b::8.8.8.8",
            "::ffff:8.8.8.8",
        ] {
            assert_eq!(refuses(text), Some(Refusal::Blocklist), "{text}");
        }
        for text in ["8.8.9.0", "9.9.9.8", "2001:4861::1", "64:ff9b::8.8.9.8"] {
            assert_eq!(refuses(text), None, "{text}");
        }
        for text in ["10.0.0.1", "64:ff9b::10.0.0.1"] {
            assert_eq!(refuses(text), Some(Refusal::Special), "{text}");
        }
        let waived = Courtesy::new(Blocklist::default(), true);
        assert_eq!(waived.refuses("10.0.0.1".parse().unwrap()), None);
        for nobody in ["0.0.0.0", "::", "::ffff:0.0.0.0"] {
            assert_eq!(waived.refuses(nobody.parse().unwrap()), Some(Refusal::Special), "{nobody}");
        }
    }

    #[test]
    fn errors_name_file_and_line() {
        let path = file("block-c", "8.8.8.0/24\n8.8.8.0/33\n");
        let error = Blocklist::read(std::slice::from_ref(&path)).err().unwrap().to_string();
        assert!(error.starts_with(&format!("{}:2: \"8.8.8.0/33\"", path.display())), "{error}");
        let error = Blocklist::read(&["/nonexistent/list".into()]).err().unwrap().to_string();
        assert!(error.contains("/nonexistent/list: No such file"), "{error}");
    }
}
