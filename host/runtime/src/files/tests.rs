//! Files in folders of our own and of others, and what is locked of them.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

fn open(path: &Path, existing: Existing) -> io::Result<Opened> {
    super::open(path, existing, &|| false)
}

fn lock(path: &Path, existing: Existing) -> io::Result<Opened> {
    super::lock(path, existing, &|| false)
}

pub(super) fn folder(name: &str, mode: u32) -> PathBuf {
    let path = std::env::temp_dir().join(format!("pathspider-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path
}

#[test]
fn what_is_there_is_kept_unless_told() {
    let folder = folder("existing", 0o700);
    let path = folder.join("x");
    open(&path, Existing::Refuse).unwrap().file.write_all(b"one").unwrap();
    let refused = open(&path, Existing::Refuse).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
    drop(open(&path, Existing::Continue).unwrap());
    assert_eq!(std::fs::read(&path).unwrap(), b"one");
    drop(open(&path, Existing::Overwrite).unwrap());
    assert_eq!(std::fs::read(&path).unwrap(), b"");
    replace(&path, b"two", 0).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"two");
    assert_eq!(folder.read_dir().unwrap().count(), 1);
    assert!(!open(Path::new("/dev/null"), Existing::Refuse).unwrap().regular);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn links_are_followed_only_where_nobody_else_can_put_them() {
    for (mode, followed) in [(0o700, true), (0o1777, false)] {
        let folder = folder("links", mode);
        let target = folder.join("target");
        std::fs::write(&target, "kept").unwrap();
        symlink(&target, folder.join("link")).unwrap();
        let opened = open(&folder.join("link"), Existing::Overwrite);
        assert_eq!(opened.is_ok(), followed, "{opened:?}");
        let kept = std::fs::read_to_string(&target).unwrap();
        assert_eq!(kept.is_empty(), followed);
        // A new file is never made behind a link.
        symlink(folder.join("new"), folder.join("dangling")).unwrap();
        assert!(open(&folder.join("dangling"), Existing::Overwrite).is_err());
        std::fs::remove_dir_all(folder).unwrap();
    }
}

/// A folder of somebody else's, in which a link leads to a file of ours.
fn trap(name: &str, mode: u32) -> Option<(PathBuf, PathBuf)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let outer = folder(name, 0o755);
    let (theirs, target) = (outer.join("theirs"), outer.join("target"));
    std::fs::create_dir(&theirs).unwrap();
    std::fs::set_permissions(&theirs, std::fs::Permissions::from_mode(mode)).unwrap();
    std::os::unix::fs::chown(&theirs, Some(65534), Some(65534)).unwrap();
    std::fs::write(&target, "kept").unwrap();
    Some((theirs, target))
}

#[test]
fn links_in_the_folder_of_another_user_are_not_followed() {
    let Some((theirs, target)) = trap("theirs", 0o755) else { return };
    symlink(&target, theirs.join("out")).unwrap();
    std::fs::hard_link(&target, theirs.join("second")).unwrap();
    let inner = theirs.parent().unwrap().join("inner");
    std::fs::create_dir(&inner).unwrap();
    std::fs::write(inner.join("file"), "kept").unwrap();
    symlink(&inner, theirs.join("way")).unwrap();
    for (name, word) in [("out", "is a link"), ("second", "second name"), ("way/file", "link")] {
        for existing in [Existing::Overwrite, Existing::Continue] {
            let error = open(&theirs.join(name), existing).unwrap_err();
            assert!(error.to_string().contains(word), "{name}: {error}");
        }
    }
    assert!(remove(&theirs.join("way/file")).unwrap_err().to_string().contains("link"));
    assert!(make(&theirs.join("out")).is_err());
    assert!(lock_beside(&theirs.join("out")).is_err());
    assert_eq!(std::fs::read(&target).unwrap(), b"kept");
    assert_eq!(std::fs::read(inner.join("file")).unwrap(), b"kept");
    // What takes a file's place takes a link's, not that of what it leads to.
    replace(&theirs.join("out"), b"new", 0).unwrap();
    assert_eq!(std::fs::read(&target).unwrap(), b"kept");
    assert_eq!(std::fs::read(theirs.join("out")).unwrap(), b"new");
    remove(&theirs.join("second")).unwrap();
    assert!(target.exists() && !theirs.join("second").exists());
    // A file of the folder's own, and a new one, are as good as elsewhere.
    assert!(open(&theirs.join("out"), Existing::Overwrite).is_ok());
    assert!(open(&theirs.join("new"), Existing::Refuse).is_ok());
    std::fs::remove_dir_all(theirs.parent().unwrap()).unwrap();
}

#[test]
fn what_stands_beside_is_never_reached_through_a_link() {
    let folder = folder("beside", 0o700);
    let target = folder.join("target");
    std::fs::write(&target, "kept").unwrap();
    symlink(&target, folder.join("link")).unwrap();
    assert!(lock_beside(&folder.join("link")).unwrap_err().to_string().contains("is a link"));
    assert!(lock_beside(&folder.join("none")).unwrap().is_none());
    assert_eq!(make(&folder.join("link")).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    assert!(lock_beside(&target).unwrap().is_some());
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_is_held_is_not_changed_and_what_is_new_goes_again() {
    let folder = folder("locked", 0o700);
    let (old, new) = (folder.join("old"), folder.join("new"));
    std::fs::write(&old, "kept").unwrap();
    for existing in [Existing::Overwrite, Existing::Continue] {
        drop(lock(&old, existing).unwrap());
        assert_eq!(std::fs::read(&old).unwrap(), b"kept");
        drop(lock(&new, existing).unwrap());
        assert!(!new.exists());
    }
    let mut written = lock(&new, Existing::Refuse).unwrap();
    written.file.write_all(b"x").unwrap();
    drop(written);
    assert_eq!(std::fs::read(&new).unwrap(), b"x");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_lock_is_held_once() {
    let folder = folder("lock", 0o700);
    let first = open(&folder.join("x"), Existing::Refuse).unwrap();
    for existing in [Existing::Continue, Existing::Overwrite] {
        let error = open(&folder.join("x"), existing).unwrap_err();
        assert!(error.to_string().contains("another run"));
    }
    drop(first);
    assert!(open(&folder.join("x"), Existing::Continue).is_ok());
    std::fs::remove_dir_all(folder).unwrap();
}
