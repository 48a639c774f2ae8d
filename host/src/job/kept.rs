//! The targets of a run that measures them in rounds: written to a file when they are first seen, and
//! read from there in each round that follows.
//!
//! The input is not read again: it may be a pipe, it may change meanwhile, and a name is to be the same
//! address in each round. The file has no name, so it is gone with the run however that ends. In memory
//! a target is eight octets.

use std::env;
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use pathspider_plugin_api::Record;
use serde::{Deserialize, Serialize};

use super::target::Keys;
use super::verbatim::Verbatim;

/// Octets that wait for more before they are written.
const BUFFER: usize = 1 << 16;

/// A target as it is kept.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KeptTarget {
    pub(super) line: u64,
    pub(super) address: Option<IpAddr>,
    pub(super) port: u16,
    record: Record,
    came: Option<Box<Verbatim>>,
}

impl KeptTarget {
    pub(super) fn new(line: u64, address: Option<IpAddr>, port: u16, keys: Keys) -> KeptTarget {
        let Keys { record, came } = keys;
        KeptTarget { line, address, port, record, came }
    }

    pub(super) fn into_keys(self) -> Keys {
        Keys { record: self.record, came: self.came }
    }
}

/// The file.
pub(super) struct KeptTargets {
    folder: PathBuf,
    file: File,
    /// What is not written yet.
    waiting: Vec<u8>,
    /// Octets that are.
    written: u64,
    /// Where each target ends.
    ends: Vec<u64>,
}

impl KeptTargets {
    /// Makes the file, in the folder that TMPDIR names, else in /var/tmp.
    ///
    /// # Errors
    ///
    /// No file can be made there.
    pub(super) fn begin() -> io::Result<KeptTargets> {
        let folder = env::var_os("TMPDIR").map_or_else(|| "/var/tmp".into(), PathBuf::from);
        let file = tempfile::tempfile_in(&folder).map_err(|error| cannot(&folder, &error))?;
        Ok(KeptTargets { folder, file, waiting: Vec::new(), written: 0, ends: Vec::new() })
    }

    /// Keeps the next target.
    ///
    /// # Errors
    ///
    /// The disk is full, and the like.
    pub(super) fn keep(&mut self, target: &KeptTarget) -> io::Result<()> {
        serde_json::to_writer(&mut self.waiting, target)?;
        self.ends.push(self.written + self.waiting.len() as u64);
        if self.waiting.len() >= BUFFER { self.write() } else { Ok(()) }
    }

    /// Writes what waits: to be called when all are kept.
    ///
    /// # Errors
    ///
    /// As for [`keep`](KeptTargets::keep).
    pub(super) fn write(&mut self) -> io::Result<()> {
        let written = self.file.write_all_at(&self.waiting, self.written);
        written.map_err(|error| cannot(&self.folder, &error))?;
        self.written += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }

    /// Reads the target that was kept at this place in their order.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub(super) fn read(&self, place: usize) -> io::Result<KeptTarget> {
        let begin = place.checked_sub(1).map_or(Some(0), |at| self.ends.get(at).copied());
        let (begin, end) = begin
            .zip(self.ends.get(place).copied())
            .ok_or_else(|| io::Error::other("a target of this round was not kept"))?;
        let mut text = vec![0; (end - begin) as usize];
        let read = self.file.read_exact_at(&mut text, begin);
        read.map_err(|error| cannot(&self.folder, &error))?;
        Ok(serde_json::from_slice(&text)?)
    }
}

fn cannot(folder: &Path, error: &io::Error) -> io::Error {
    io::Error::other(format!(
        "its targets cannot be kept for the next round in {}: {error} (TMPDIR names another folder)",
        folder.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::parse_to_the_letter;

    #[test]
    fn targets_come_back_as_they_were_kept_in_any_order() {
        let lines: Vec<String> = (0..5_000)
            .map(|n| format!("{{\"dip\":\"192.0.2.1\",\"rank\":{n},\"big\":1e-401,\"x\":[{n}]}}"))
            .collect();
        let target = |n: usize| {
            let (record, came) = parse_to_the_letter(lines[n].as_bytes()).unwrap();
            let address = Some(IpAddr::from([192, 0, 2, 1])).filter(|_| n.is_multiple_of(2));
            KeptTarget::new(n as u64, address, 80, Keys { record, came })
        };
        let mut kept = KeptTargets::begin().unwrap();
        (0..lines.len()).for_each(|n| kept.keep(&target(n)).unwrap());
        kept.write().unwrap();
        for n in (0..lines.len()).rev().chain([7, 4_999, 0]) {
            let (read, expected) = (kept.read(n).unwrap(), target(n));
            assert_eq!((read.line, read.address, read.port), (n as u64, expected.address, 80));
            let (read, expected) = (read.into_keys(), expected.into_keys());
            assert_eq!((read.record, read.came), (expected.record, expected.came), "{n}");
        }
        assert!(kept.read(lines.len()).is_err());
    }

    #[test]
    fn a_folder_that_takes_no_file_is_named() {
        let error = tempfile::tempfile_in("/nonexistent").unwrap_err();
        let text = cannot(Path::new("/nonexistent"), &error).to_string();
        assert!(
            text.contains("in /nonexistent: No such file") && text.contains("TMPDIR"),
            "{text}"
        );
    }
}
