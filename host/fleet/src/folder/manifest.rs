//! The manifest of a run: what it was, and the sums of its files. It is written when the run is over.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use data_encoding::HEXLOWER;
use pathspider_records::find::MANIFEST;
use pathspider_runtime::{decompress, files};
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

/// What a run was, and the sums of its files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// The campaign's name.
    pub(crate) campaign: String,
    /// The place that was measured from, where it has a name.
    pub(crate) vantage: Option<String>,
    /// The campaign's time, and its measurement, from 1.
    pub(crate) time: u64,
    pub(crate) measure: u64,
    /// The plugin.
    pub(crate) plugin: String,
    /// Lines of the records' file.
    pub(crate) records: u64,
    /// Whether it ended with errors of single targets (exit status 9).
    pub(crate) has_errors: bool,
    /// Its files, in the order of their names.
    #[serde(default)]
    pub(crate) files: Vec<Listed>,
}

/// A file of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) octets: u64,
    /// Its SHA-256, in hexadecimal digits.
    pub(crate) sha256: String,
}

impl Manifest {
    /// With the sums of all files of this folder.
    pub(super) fn with_files(self, folder: &Path) -> io::Result<Manifest> {
        let mut listed = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let passing = files::is_successor(&name);
            let name = name.to_string_lossy().into_owned();
            if entry.file_type()?.is_file()
                && !passing
                && !name.starts_with('.')
                && name != MANIFEST
            {
                let (octets, sha256) = sum(&entry.path())?;
                listed.push(Listed { name, octets, sha256 });
            }
        }
        listed.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Manifest { files: listed, ..self })
    }

    pub(super) fn text(&self) -> io::Result<Vec<u8>> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        Ok(text)
    }

    pub(super) fn read(path: &Path) -> io::Result<Option<Manifest>> {
        match files::read(path) {
            Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The length of a file, and its SHA-256 in hexadecimal digits.
///
/// # Errors
///
/// What the system says.
pub(crate) fn sum(path: &Path) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let (mut digest, mut octets, mut buffer) = (Context::new(&SHA256), 0, vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((octets, HEXLOWER.encode(digest.finish().as_ref()))),
            read => {
                digest.update(&buffer[..read]);
                octets += read as u64;
            }
        }
    }
}

/// Lines of a file that may be compressed.
///
/// # Errors
///
/// What the system says, or the data are damaged.
pub(crate) fn lines(path: &Path) -> io::Result<u64> {
    let content = decompress::by_content(Box::new(File::open(path)?))?;
    let (mut reader, mut lines) = (BufReader::with_capacity(1 << 16, content), 0);
    loop {
        let octets = reader.fill_buf()?;
        if octets.is_empty() {
            return Ok(lines);
        }
        lines += octets.iter().filter(|&&octet| octet == b'\n').count() as u64;
        let read = octets.len();
        reader.consume(read);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_files() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("b"), "abc").unwrap();
        fs::write(folder.path().join("a"), "").unwrap();
        for passing in [".hidden", "manifest.json.new-7", "b.new-4711"] {
            fs::write(folder.path().join(passing), "x").unwrap();
        }
        let manifest = Manifest {
            campaign: "x".to_owned(),
            vantage: None,
            time: 1,
            measure: 1,
            plugin: "ecn".to_owned(),
            records: 1,
            has_errors: false,
            files: Vec::new(),
        };
        let manifest = manifest.with_files(folder.path()).unwrap();
        let shown: Vec<_> =
            manifest.files.iter().map(|f| (&*f.name, f.octets, &f.sha256[..8])).collect();
        // FIPS 180-4's example, and the empty text.
        assert_eq!(shown, [("a", 0, "e3b0c442"), ("b", 3, "ba7816bf")]);
        let path = folder.path().join(MANIFEST);
        fs::write(&path, manifest.text().unwrap()).unwrap();
        assert_eq!(Manifest::read(&path).unwrap(), Some(manifest));
        assert_eq!(Manifest::read(&folder.path().join("none")).unwrap(), None);
    }
}
