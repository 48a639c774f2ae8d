//! What is checked and prepared of the system before a run.

use std::ffi::OsStr;
use std::iter;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::keeping::{files_beside, is_file};
use super::{RunError, RunOptions};
use crate::engine::{CLOSING, RESERVED_SOCKETS};
use crate::job::Input;
use crate::output::Output;
use pathspider_runtime::streams;

/// Descriptors beside those of the connections.
const SPARE_DESCRIPTORS: u64 = 128 + CLOSING as u64;

/// Refuses to write to one file for two purposes, or to one that is to be read.
pub(super) fn check_files(options: &RunOptions<'_>) -> Result<(), RunError> {
    let input = match &options.input {
        Input::Stdin => Some(("standard input", Path::new("/dev/stdin"))),
        Input::File(path) => Some(("--input", path.as_path())),
        Input::Words(_) => None,
    };
    let blocklists = options.rules.courtesy.files().iter();
    let databases = options.ends.databases.files().map(|path| ("--asn-db", path));
    let blocklists = blocklists.map(|path| ("--blocklist", path.as_path()));
    let read = input.into_iter().chain(blocklists).chain(databases);
    let (output, beside) = match &options.output {
        Output::Stdout => (("standard output", Path::new("/dev/stdout")), None),
        Output::File(path) => {
            (("--output", path.as_path()), is_file(path).then(|| files_beside(path)))
        }
    };
    let beside = beside.iter().flatten().map(|path| ("what stands beside --output", &**path));
    let capture = options.save_pcap.as_deref().map(|path| ("--save-pcap", path));
    let status = options.showing.status_file.as_deref().map(|path| ("--status-file", path));
    let written = iter::once(output).chain(beside).chain(capture).chain(status);
    let mut found: Vec<_> = read.map(|(name, path)| (name, identity(path))).collect();
    for (name, path) in written {
        let this = identity(path);
        let same = found.iter().find(|(_, other)| this.is_some() && *other == this);
        if let Some((other, _)) = same {
            let path = path.display();
            let message = format!("{other} and {name} are the same file: {path}");
            return Err(RunError::Settings(message));
        }
        found.push((name, this));
    }
    Ok(())
}

/// What makes two paths one file: its number, or where there is none yet, that of its folder, and
/// its name. Pipes and devices may be used for several purposes.
fn identity(path: &Path) -> Option<(u64, u64, Option<&OsStr>)> {
    if let Ok(file) = streams::path(path).metadata() {
        return file.is_file().then(|| (file.dev(), file.ino(), None));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new(".")).metadata().ok()?;
    Some((folder.dev(), folder.ino(), Some(path.file_name()?)))
}

/// How many open files this many jobs at a time need.
pub(crate) fn descriptors(workers: usize) -> u64 {
    workers as u64 + SPARE_DESCRIPTORS
}

/// Raises the limit of open descriptors to what the connections want; gives how many of a job's
/// second connections at a time there is room for. Forged packets need no descriptors.
pub(crate) fn raise_descriptors(
    workers: usize,
    configurations: usize,
    forges: bool,
) -> Result<usize, RunError> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let reserved = if forges { RESERVED_SOCKETS as u64 } else { 0 };
    let beside = if configurations > 1 { workers as u64 } else { 0 };
    let needed = descriptors(workers) + reserved;
    let wanted = needed + beside;
    let Rlimit { current, maximum: hard } = getrlimit(Resource::Nofile);
    let raise = |count: u64| {
        let maximum = hard.map(|hard| hard.max(count));
        setrlimit(Resource::Nofile, Rlimit { current: Some(count), maximum })
    };
    let mut refused = None;
    if current.is_some_and(|current| current < wanted) {
        // To go beyond the hard limit takes a privilege.
        refused = raise(wanted).err();
        if let (Some(_), Some(hard)) = (refused, hard) {
            let _ = raise(hard.min(wanted));
        }
    }
    let has = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    match refused {
        Some(error) if has < needed && !forges => Err(RunError::System(format!(
            "{workers} workers need {needed} open files, and the limit is {has} ({error}): raise \
             it (ulimit -n {needed}) or use at most -w {}",
            has.saturating_sub(SPARE_DESCRIPTORS + reserved)
        ))),
        _ if forges => Ok(workers),
        _ => Ok(has.saturating_sub(needed).min(beside) as usize),
    }
}
