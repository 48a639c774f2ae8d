//! All plugins on the search path: those that can be used, those hidden by another of the same
//! name, and those rejected. Nothing of them is loaded into this process until it is asked for.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use pathspider_plugin_api::abi::{AbiVersion, MeasurementHandle};
use pathspider_plugin_api::{ChainInfo, Info, Options};

use super::cache::Cache;
use super::error::LoadError;
use super::examine::{Description, examine};
use super::file::{PluginFile, stem};
use super::search::{SearchPath, candidates};
use super::trust::Judged;
use pathspider_observer::chains::Catalogue;
use pathspider_runtime::say;
use pathspider_runtime::text;

/// Files that are examined at the same time.
const EXAMINERS: usize = 4;

/// A measurement that can be used.
#[derive(Clone)]
pub struct Found {
    /// What it is.
    pub info: Info,
    /// Its options.
    pub options: Options,
    /// The file that it is in.
    pub path: PathBuf,
    /// The same, as it was examined.
    pub file: Arc<PluginFile>,
    /// Its place in the file.
    index: usize,
    /// The version of the plugin ABI that it speaks.
    pub abi: AbiVersion,
}

impl Found {
    /// Loads the file into this process.
    ///
    /// # Errors
    ///
    /// It is not any more what it was when it was examined.
    pub fn load(&self) -> Result<Loaded, LoadError> {
        let (handle, info, options) = self.file.measurement(self.index)?;
        if info.name != self.info.name {
            return Err(LoadError::description(format_args!(
                "its measurement was named {:?}, and now {:?}",
                self.info.name, info.name
            )));
        }
        Ok(Loaded { info, options, handle, abi: self.abi, file: Arc::clone(&self.file) })
    }
}

/// A measurement whose file is loaded.
#[derive(Clone)]
pub struct Loaded {
    /// What it is.
    pub info: Info,
    /// Its options.
    pub options: Options,
    /// Makes its object.
    pub handle: MeasurementHandle,
    /// The version of the plugin ABI that it speaks.
    pub abi: AbiVersion,
    /// The file that it is in.
    pub file: Arc<PluginFile>,
}

/// A file that can be used, and the chains that it exports.
pub struct Plugin {
    /// The file.
    pub file: Arc<PluginFile>,
    /// Its chains.
    pub chains: Vec<ChainInfo>,
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
    /// Files that can be used, in the order of the search.
    pub plugins: Vec<Plugin>,
    /// Measurements that another one hides.
    pub shadowed: Vec<Shadowed>,
    /// Files that cannot be used.
    pub rejected: Vec<Rejected>,
}

impl Registry {
    /// Examines every plugin on the search path that is not known from an earlier time, and notes
    /// what it found for the next one.
    pub fn scan(path: &SearchPath) -> Registry {
        Registry::found_on(path, Cache::save)
    }

    /// The same, but notes nothing: no file is written.
    pub fn look(path: &SearchPath) -> Registry {
        Registry::found_on(path, drop)
    }

    fn found_on(path: &SearchPath, afterwards: impl FnOnce(Cache)) -> Registry {
        let trust = path.trust();
        let mut rejected = Vec::new();
        let mut judged = Vec::new();
        for path in path.folders().iter().flat_map(|folder| candidates(folder)) {
            match trust.look_at(&path) {
                Ok(file) => judged.push(file),
                Err(error) => rejected.push(Rejected { path, error }),
            }
        }
        let descriptions = describe(&judged, afterwards);
        let mut registry = Registry { rejected, ..Registry::default() };
        for (file, description) in judged.into_iter().zip(descriptions) {
            let path = file.path.clone();
            let added = description.and_then(|found| registry.add(file, &found));
            if let Err(error) = added {
                registry.rejected.push(Rejected { path, error });
            }
        }
        registry.found.sort_by(|a, b| a.info.name.cmp(&b.info.name));
        registry.rejected.sort_by(|a, b| a.path.cmp(&b.path));
        registry
    }

    fn add(&mut self, judged: Judged, description: &Description) -> Result<(), LoadError> {
        let path = judged.path.clone();
        let measurements = description.measurements()?;
        let chains = description.chains()?;
        let file = Arc::new(PluginFile::new(judged));
        for (index, (info, options)) in measurements.into_iter().enumerate() {
            match self.find(&info.name) {
                Some(other) => {
                    let by = other.path.clone();
                    self.shadowed.push(Shadowed { name: info.name, path: path.clone(), by });
                }
                None => {
                    let (path, file) = (path.clone(), Arc::clone(&file));
                    let abi = description.abi();
                    self.found.push(Found { info, options, path, file, index, abi });
                }
            }
        }
        self.plugins.push(Plugin { file, chains });
        Ok(())
    }

    /// The measurement of a name, in either case: 0.9's were written in capitals.
    pub fn find(&self, name: &str) -> Option<&Found> {
        self.found.iter().find(|found| found.info.name.eq_ignore_ascii_case(name))
    }

    /// The library's chains and those of all plugins, whose files are loaded when one is used; a
    /// plugin's that cannot be had are reported and left out.
    pub fn chains(&self) -> Catalogue {
        let mut chains = Catalogue::library();
        for plugin in &self.plugins {
            let file = Arc::clone(&plugin.file);
            let load = Arc::new(move |index, info: &ChainInfo| file.chain(index, info));
            if let Err(error) = chains.add_later(&plugin.file.name(), &plugin.chains, load) {
                say!("the chains of {} are left out: {error}", plugin.file.path.display());
            }
        }
        chains
    }

    /// The rejected files that are named like the measurement asked for.
    pub fn rejected_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Rejected> {
        self.rejected.iter().filter(|file| stem(&file.path).eq_ignore_ascii_case(name))
    }
}

/// Describes files, from the cache or by examining them, a few at a time.
fn describe(
    files: &[Judged],
    afterwards: impl FnOnce(Cache),
) -> Vec<Result<Description, LoadError>> {
    let mut cache = Cache::open();
    let mut found: Vec<_> = files.iter().map(|file| cache.get(file)).collect();
    let missing: Vec<usize> = (0..files.len()).filter(|&index| found[index].is_none()).collect();
    for (index, description) in examine_all(files, &missing) {
        cache.put(&files[index], &description);
        found[index] = Some(description);
    }
    afterwards(cache);
    let lost = || Err(LoadError::description("its examination failed"));
    found.into_iter().map(|found| found.unwrap_or_else(lost)).collect()
}

fn examine_all(
    files: &[Judged],
    indices: &[usize],
) -> Vec<(usize, Result<Description, LoadError>)> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some(&index) = indices.get(next.fetch_add(1, Ordering::Relaxed)) {
            let file = &files[index];
            let examined = file.open().and_then(|opened| examine(&opened, &text::path(&file.path)));
            done.push((index, examined));
        }
        done
    };
    if indices.len() < 2 {
        return work();
    }
    thread::scope(|scope| {
        let threads: Vec<_> =
            (0..EXAMINERS.min(indices.len())).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    })
}
