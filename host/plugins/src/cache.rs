//! What examinations found, kept for the next time.
//!
//! An entry holds for a file of the same path, device, inode, size and times, and for this build
//! of this program. Each build has a file of its own: where two take turns, neither examines anew what it knows.
//! A rejection is kept only where it follows from the file's content: a library
//! that was lacking may come, and what a busy machine did to a plugin once is not its fault. Errors of the cache are nobody's concern: without it, everything is examined.
//!
//! It says which file is loaded and what is listed, so nobody may write it but whom it serves: it
//! lies in a folder, and is a file, of this user's own, and no one else can write to either or to
//! the folders above (`trust`). A program with privileges of its own has none, for its user
//! chooses the environment and so the place.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, DirBuilder, DirEntry, File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use pathspider_plugin_api::abi::ABI_VERSION;
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};

use super::error::LoadError;
use super::examine::Description;
use super::trust::{Identity, Judged, Trust};
use pathspider_runtime::privileges::has_privileges_of_its_own;

/// Octets of a cache that is read.
const SIZE_LIMIT: u64 = 64 << 20;
/// What the names of caches begin with; the build follows, as a number.
const NAME: &str = "plugins-";
/// How many builds' caches are kept.
const BUILDS: usize = 8;

/// The examinations of earlier times.
#[derive(Default)]
pub(super) struct Cache {
    folder: Option<PathBuf>,
    content: Content,
    changed: bool,
}

#[derive(Default, Serialize, Deserialize)]
struct Content {
    host: String,
    files: BTreeMap<String, Entry>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Entry {
    identity: Identity,
    found: Result<Description, LoadError>,
}

impl Cache {
    /// The cache of this user.
    pub(super) fn open() -> Cache {
        Cache::open_in(folder())
    }

    fn open_in(folder: Option<PathBuf>) -> Cache {
        Cache::of(host(), folder)
    }

    /// The cache of this build.
    fn of(host: String, folder: Option<PathBuf>) -> Cache {
        let read = folder.as_deref().and_then(|folder| read(&folder.join(file(&host))).ok());
        let content = read.filter(|content| content.host == host);
        let content = content.unwrap_or_else(|| Content { host, files: BTreeMap::new() });
        Cache { folder, content, changed: false }
    }

    /// What was found in this file, if it is the same still.
    pub(super) fn get(&self, file: &Judged) -> Option<Result<Description, LoadError>> {
        let entry = self.content.files.get(file.real.to_str()?)?;
        (entry.identity == file.identity).then(|| entry.found.clone())
    }

    /// Notes what was found.
    pub(super) fn put(&mut self, file: &Judged, found: &Result<Description, LoadError>) {
        // A path that is not UTF-8 is examined each time.
        let Some(path) = file.real.to_str() else { return };
        if found.as_ref().is_err_and(|error| !error.lasts) {
            return;
        }
        let entry = Entry { identity: file.identity.clone(), found: found.clone() };
        self.content.files.insert(path.to_owned(), entry);
        self.changed = true;
    }

    /// Writes what is new, beside what others have written since it was read. Of two that write at the same
    /// moment, one counts.
    pub(super) fn save(mut self) {
        let Some(folder) = self.folder.take().filter(|_| self.changed) else { return };
        let host = self.content.host.clone();
        let mut files = Cache::of(host, Some(folder.clone())).content.files;
        files.append(&mut self.content.files);
        self.content.files = files;
        self.content.files.retain(|path, entry| {
            Identity::at(Path::new(path)).is_some_and(|identity| identity == entry.identity)
        });
        let _ = self.write(&folder);
        let _ = forget_old(&folder);
    }

    fn write(&self, folder: &Path) -> io::Result<()> {
        let name = file(&self.content.host);
        let place = folder.join(&name);
        make(folder, &place)?;
        let temporary = folder.join(format!("{name}.{}", std::process::id()));
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&temporary)?;
        let written = file
            .write_all(&serde_json::to_vec(&self.content)?)
            .and_then(|()| fs::rename(&temporary, &place));
        written.inspect_err(|_| {
            let _ = fs::remove_file(&temporary);
        })
    }
}

/// Where this user's cache is.
fn folder() -> Option<PathBuf> {
    if has_privileges_of_its_own() {
        return None;
    }
    if geteuid().is_root() {
        return Some(PathBuf::from("/var/cache/pathspider"));
    }
    let named = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    Some(named.or_else(home)?.join("pathspider"))
}

/// The name of a build's cache.
fn file(host: &str) -> String {
    let mut hasher = DefaultHasher::new();
    host.hash(&mut hasher);
    format!("{NAME}{:016x}.json", hasher.finish())
}

/// Removes the caches that were written longest ago, where there are too many.
fn forget_old(folder: &Path) -> io::Result<()> {
    let is_cache = |entry: &DirEntry| {
        let name = entry.file_name();
        name.to_str().is_some_and(|name| name.starts_with(NAME) && name.ends_with(".json"))
    };
    let entries = fs::read_dir(folder)?.filter_map(Result::ok).filter(is_cache);
    let written = |entry: DirEntry| Some((entry.metadata().ok()?.modified().ok()?, entry.path()));
    let mut caches: Vec<_> = entries.filter_map(written).collect();
    caches.sort_unstable();
    for (_, path) in &caches[..caches.len().saturating_sub(BUILDS)] {
        fs::remove_file(path)?;
    }
    Ok(())
}

/// Makes the folder of a cache, and sees that it can be trusted.
fn make(folder: &Path, cache: &Path) -> io::Result<()> {
    let mode = if geteuid().is_root() { 0o755 } else { 0o700 };
    DirBuilder::new().recursive(true).mode(mode).create(folder)?;
    judge(cache)
}

/// Reads the cache from a file that can be trusted.
fn read(path: &Path) -> io::Result<Content> {
    judge(path)?;
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file: File = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    let own = metadata.uid() == geteuid().as_raw() && metadata.mode() & 0o022 == 0;
    if !own || !metadata.is_file() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let mut octets = Vec::new();
    file.take(SIZE_LIMIT).read_to_end(&mut octets)?;
    Ok(serde_json::from_slice(&octets)?)
}

/// Whether only this user and root can write to the folders of this path.
fn judge(path: &Path) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path).canonicalize()?;
    let own = geteuid().as_raw();
    if folder.metadata()?.uid() != own {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let trust = Trust::Owners { beside_root: Some(own) };
    trust.judge_folders(&folder.join(NAME)).map_err(io::Error::other)
}

/// What makes this program the same as the one that wrote the cache.
fn host() -> String {
    let built = fs::metadata("/proc/self/exe")
        .map(|file| (file.dev(), file.ino(), file.size(), file.mtime(), file.mtime_nsec()));
    format!("{} ABI {ABI_VERSION} {:?}", env!("CARGO_PKG_VERSION"), built.ok())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::{Duration, SystemTime};

    use super::*;

    struct Place {
        top: tempfile::TempDir,
        plugin: PathBuf,
    }

    impl Place {
        fn new() -> Place {
            let top = tempfile::tempdir().unwrap();
            let plugin = top.path().join("x.so");
            fs::write(&plugin, "one").unwrap();
            Place { top, plugin }
        }

        fn cache(&self) -> Cache {
            Cache::open_in(Some(self.top.path().join("cache")))
        }

        fn file(&self) -> PathBuf {
            self.top.path().join("cache").join(file(&host()))
        }

        fn found(&self) -> Option<Result<Description, LoadError>> {
            self.cache().get(&Trust::Anyone.look_at(&self.plugin).unwrap())
        }

        fn remember(&self) {
            self.remember_as(LoadError::description("as it is").of_content());
        }

        fn remember_as(&self, error: LoadError) {
            let judged = Trust::Anyone.look_at(&self.plugin).unwrap();
            let mut cache = self.cache();
            cache.put(&judged, &Err(error));
            cache.save();
        }
    }

    #[test]
    fn what_another_program_wrote_meanwhile_stays() {
        let place = Place::new();
        let other = Place { plugin: place.top.path().join("y.so"), ..Place::new() };
        fs::write(&other.plugin, "two").unwrap();
        let mut late = place.cache();
        place.remember();
        let judged = Trust::Anyone.look_at(&other.plugin).unwrap();
        late.put(&judged, &Err(LoadError::description("as it is").of_content()));
        late.save();
        assert!(place.found().is_some() && place.cache().get(&judged).is_some());
    }

    #[test]
    fn a_file_is_known_until_it_changes() {
        let place = Place::new();
        assert!(place.found().is_none());
        place.remember();
        assert_eq!(place.found().unwrap().unwrap_err().reason, "as it is");
        fs::write(&place.plugin, "two").unwrap();
        assert!(place.found().is_none());
        place.remember();
        fs::rename(&place.plugin, place.top.path().join("old")).unwrap();
        fs::write(&place.plugin, "two").unwrap();
        assert!(place.found().is_none());
    }

    #[test]
    fn what_may_pass_is_not_kept() {
        let place = Place::new();
        let lacking = LoadError::library("libx.so: cannot open shared object file");
        for error in [LoadError::unreadable(&io::Error::from_raw_os_error(24)), lacking] {
            place.remember_as(error);
            assert!(place.found().is_none());
        }
        place.remember_as(LoadError::no_descriptor());
        assert!(place.found().is_some());
    }

    #[test]
    fn a_cache_that_is_damaged_or_not_ones_own_is_ignored() {
        let place = Place::new();
        place.remember();
        let good = fs::read(place.file()).unwrap();
        for bad in [&good[..good.len() / 2], b"", b"[]", b"{\"host\":3}"] {
            fs::write(place.file(), bad).unwrap();
            assert!(place.found().is_none());
        }
        fs::write(place.file(), &good).unwrap();
        assert!(place.found().is_some());
        let chmod = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        chmod(&place.file(), 0o666);
        assert!(place.found().is_none());
        chmod(&place.file(), 0o644);
        let folder = place.file().parent().unwrap().to_owned();
        chmod(&folder, 0o777);
        assert!(place.found().is_none());
        chmod(&folder, 0o755);
        assert!(place.found().is_some());
        let elsewhere = place.top.path().join("elsewhere.json");
        fs::rename(place.file(), &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, place.file()).unwrap();
        assert!(place.found().is_none(), "a link");
    }

    #[test]
    fn builds_that_take_turns_keep_what_they_know_and_old_ones_go() {
        let place = Place::new();
        let folder = place.file().parent().unwrap().to_owned();
        let judged = Trust::Anyone.look_at(&place.plugin).unwrap();
        let of = |build: usize| Cache::of(format!("build {build}"), Some(folder.clone()));
        let known = || (0..=BUILDS).filter(|build| of(*build).get(&judged).is_some()).count();
        for build in 0..=BUILDS {
            let mut cache = of(build);
            cache.put(&judged, &Err(LoadError::no_descriptor()));
            cache.save();
            assert_eq!(known(), BUILDS.min(build + 1));
            // Written before the next one.
            let written = SystemTime::UNIX_EPOCH + Duration::from_secs(build as u64);
            let file =
                OpenOptions::new().write(true).open(folder.join(file(&of(build).content.host)));
            file.unwrap().set_modified(written).unwrap();
        }
        assert!(of(0).get(&judged).is_none());
    }

    #[test]
    fn another_build_of_the_host_does_not_believe_it() {
        let place = Place::new();
        place.remember();
        let text = fs::read_to_string(place.file()).unwrap();
        let own = format!("ABI {ABI_VERSION}");
        assert!(text.contains(&own), "{text}");
        fs::write(place.file(), text.replace(&own, "ABI 9.0")).unwrap();
        assert!(place.found().is_none());
    }
}
