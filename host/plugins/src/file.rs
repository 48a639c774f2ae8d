//! A plugin's file: what it exports is known, and it is loaded into this process when it is needed.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use pathspider_plugin_api::abi::{ChainHandle, LoadedPlugin, MeasurementHandle};
use pathspider_plugin_api::{ChainInfo, Error, Info, Options};
use ring::digest::{Context, SHA256};

use super::child::EXAMINATION_LIMIT;
use super::error::LoadError;
use super::load::load;
use super::text::clean_measurement;
use super::trust::{Judged, Opened};
use pathspider_runtime::asking::Asking;
use pathspider_runtime::{crash, surroundings, text};

/// A file that was examined.
pub struct PluginFile {
    /// Where it was found.
    pub path: PathBuf,
    judged: Judged,
    /// Open once it was needed: its digest is that of what is loaded.
    opened: OnceLock<Result<Opened, LoadError>>,
    loaded: OnceLock<Result<LoadedPlugin, LoadError>>,
    digest: OnceLock<String>,
}

impl PluginFile {
    pub(super) fn new(judged: Judged) -> PluginFile {
        let path = judged.path.clone();
        let (opened, loaded, digest) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        PluginFile { path, judged, opened, loaded, digest }
    }

    fn opened(&self) -> Result<&Opened, LoadError> {
        self.opened.get_or_init(|| self.judged.open()).as_ref().map_err(LoadError::clone)
    }

    /// The name that stands before its chains' names: the file's, without `lib` and suffix.
    pub fn name(&self) -> String {
        stem(&self.path)
    }

    /// The SHA-256 of the file's content, in hexadecimal; of a plugin with a source beside it, that of the
    /// library and then the source.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn digest(&self) -> io::Result<&str> {
        if let Some(digest) = self.digest.get() {
            return Ok(digest);
        }
        let opened = self.opened().map_err(io::Error::other)?;
        let source = opened.source.as_ref().map(|(file, _)| file);
        let digest = digest([&opened.file].into_iter().chain(source))?;
        Ok(self.digest.get_or_init(|| digest))
    }

    /// Whether it was loaded into this process.
    pub fn is_loaded(&self) -> bool {
        matches!(self.loaded.get(), Some(Ok(_)))
    }

    /// Loads it into this process, once.
    fn load(&self) -> Result<&LoadedPlugin, LoadError> {
        let load = || {
            let file = self.opened()?.file.try_clone().map_err(|e| LoadError::unreadable(&e))?;
            let name = text::path(&self.path);
            surroundings::keep().map_err(|error| LoadError::surroundings(&error))?;
            let asking = Asking::within(EXAMINATION_LIMIT);
            crash::loading(Some(&self.path));
            let loaded = load(file, &name);
            crash::loading(None);
            drop(asking);
            surroundings::restore(&name).map_err(|error| LoadError::surroundings(&error))?;
            loaded
        };
        self.loaded.get_or_init(load).as_ref().map_err(LoadError::clone)
    }

    /// A measurement of the file, ready to be used.
    ///
    /// # Errors
    ///
    /// The file cannot be loaded, or describes itself otherwise than when it was examined.
    pub(super) fn measurement(
        &self,
        index: usize,
    ) -> Result<(MeasurementHandle, Info, Options), LoadError> {
        let handle = self.load()?.measurements().into_iter().nth(index);
        let handle = handle.ok_or_else(changed)?;
        let described = handle.describe().map_err(|e| LoadError::description(&e))?;
        let (info, options) = clean_measurement(described)?;
        Ok((handle, info, options))
    }

    /// A chain of the file, ready to be used.
    ///
    /// # Errors
    ///
    /// As for a measurement.
    pub(super) fn chain(&self, index: usize, known: &ChainInfo) -> Result<ChainHandle, Error> {
        let chain = self.load().map_err(Error::new)?.chains().into_iter().nth(index);
        let chain = chain.ok_or_else(|| Error::new(changed()))?;
        let info = chain.describe()?;
        if info.name == known.name && info.fields.len() == known.fields.len() {
            Ok(chain)
        } else {
            Err(Error::new(changed()))
        }
    }
}

fn changed() -> LoadError {
    LoadError::description("it describes itself otherwise each time")
}

/// A file's name without `lib`, `pathspider_` and suffix.
pub(super) fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let stem = stem.strip_prefix("lib").unwrap_or(&stem);
    text::visible(stem.strip_prefix("pathspider_").unwrap_or(stem), 255)
}

/// That of these files, one after the other.
fn digest<'f>(files: impl Iterator<Item = &'f File>) -> io::Result<String> {
    let mut hash = Context::new(&SHA256);
    let mut buffer = vec![0; 1 << 16];
    for file in files {
        let mut at = 0;
        loop {
            let read = match file.read_at(&mut buffer, at) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            hash.update(&buffer[..read]);
            at += read as u64;
        }
    }
    Ok(hash.finish().as_ref().iter().map(|octet| format!("{octet:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_sha256sum() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let of = |file: &File| digest([file].into_iter()).unwrap();
        assert_eq!(of(&File::open(file.path()).unwrap()), expected);
        // A source follows its library: as `cat NAME.so NAME.py | sha256sum` says it.
        let (head, tail) = (tempfile::NamedTempFile::new().unwrap(), file);
        std::fs::write(head.path(), "a").unwrap();
        std::fs::write(tail.path(), "bc").unwrap();
        let files = [head.path(), tail.path()].map(|path| File::open(path).unwrap());
        assert_eq!(digest(files.iter()).unwrap(), expected);
    }
}
