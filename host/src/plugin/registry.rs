//! All plugins on the search path: those that can be used, those hidden by another of the same
//! name, and those rejected.

use std::path::{Path, PathBuf};

use pathspider_plugin_api::abi::{AbiVersion, ChainHandle, LoadedPlugin, MeasurementHandle};
use pathspider_plugin_api::{Info, Options};

use super::load::{LoadError, load};
use super::search::{SearchPath, candidates};
use crate::chains::Catalogue;
use crate::crash;
use crate::say::say;

/// A measurement that can be used.
#[derive(Clone)]
pub struct Found {
    /// What it is.
    pub info: Info,
    /// Its options.
    pub options: Options,
    /// Makes its object.
    pub handle: MeasurementHandle,
    /// The file that it is in.
    pub path: PathBuf,
    /// The version of the plugin ABI that it speaks.
    pub abi: AbiVersion,
}

/// A file that was loaded.
pub struct Plugin {
    /// The file.
    pub path: PathBuf,
    /// The chains that it exports.
    pub chains: Vec<ChainHandle>,
}

impl Plugin {
    /// The name that stands before its chains' names: the file's, without `lib` and suffix.
    pub fn name(&self) -> String {
        stem(&self.path)
    }
}

/// A file's name without `lib`, `pathspider_` and suffix.
fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let stem = stem.strip_prefix("lib").unwrap_or(&stem);
    stem.strip_prefix("pathspider_").unwrap_or(stem).to_owned()
}

/// A measurement that is not used, because one of the same name was found before it.
#[derive(Debug)]
pub struct Shadowed {
    /// The name.
    pub name: String,
    /// The file that is not used.
    pub path: PathBuf,
    /// The file that is used instead.
    pub by: PathBuf,
}

/// A file that cannot be used.
#[derive(Debug)]
pub struct Rejected {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub error: LoadError,
}

/// What was found on the search path.
#[derive(Default)]
pub struct Registry {
    /// Measurements, by name.
    pub found: Vec<Found>,
    /// Files that were loaded, in the order of the search.
    pub plugins: Vec<Plugin>,
    /// Measurements that another one hides.
    pub shadowed: Vec<Shadowed>,
    /// Files that cannot be used.
    pub rejected: Vec<Rejected>,
}

impl Registry {
    /// Loads every plugin on the search path.
    pub fn scan(path: &SearchPath) -> Registry {
        let mut registry = Registry::default();
        for file in path.folders().iter().flat_map(|folder| candidates(folder)) {
            if let Err(error) = registry.add(&file) {
                registry.rejected.push(Rejected { path: file, error });
            }
        }
        registry.found.sort_by(|a, b| a.info.name.cmp(&b.info.name));
        registry
    }

    fn add(&mut self, file: &Path) -> Result<(), LoadError> {
        crash::loading(Some(file));
        let loaded = load(file);
        crash::loading(None);
        let loaded: LoadedPlugin = loaded?;
        let described = loaded
            .measurements()
            .into_iter()
            .map(|handle| handle.describe().map(|(info, options)| (handle, info, options)))
            .collect::<Result<Vec<_>, _>>()
            .map_err(LoadError::Description)?;
        for (handle, info, options) in described {
            match self.find(&info.name) {
                Some(other) => {
                    let by = other.path.clone();
                    self.shadowed.push(Shadowed { name: info.name, path: file.to_owned(), by });
                }
                None => {
                    let (path, abi) = (file.to_owned(), loaded.version());
                    self.found.push(Found { info, options, handle, path, abi });
                }
            }
        }
        self.plugins.push(Plugin { path: file.to_owned(), chains: loaded.chains() });
        Ok(())
    }

    /// The measurement of a name, in either case: 0.9's were written in capitals.
    pub fn find(&self, name: &str) -> Option<&Found> {
        self.found.iter().find(|found| found.info.name.eq_ignore_ascii_case(name))
    }

    /// The library's chains and those of all plugins; a plugin's that cannot be had are told and
    /// left out.
    pub fn chains(&self) -> Catalogue {
        let mut chains = Catalogue::library();
        for plugin in &self.plugins {
            if let Err(error) = chains.add(&plugin.name(), plugin.chains.clone()) {
                say!("the chains of {} are left out: {error}", plugin.path.display());
            }
        }
        chains
    }

    /// The rejected files that are named like the measurement asked for.
    pub fn rejected_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Rejected> {
        self.rejected.iter().filter(|file| stem(&file.path).eq_ignore_ascii_case(name))
    }
}
