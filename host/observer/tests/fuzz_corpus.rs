//! Replays the inputs that fuzzing has kept: none may panic or hang.
//!
//! They are in `tests/fuzz/corpus`, a folder for each target.

#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::path::Path;

fn replay(target: &str, run: fn(&[u8])) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus").join(target);
    let mut count = 0;
    for entry in std::fs::read_dir(&root).unwrap() {
        run(&std::fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count > 0, "no input in {}", root.display());
}

#[test]
fn packets() {
    replay("packets", crate::fuzzing::packets);
}

#[test]
fn capture_files() {
    replay("capture_file", crate::fuzzing::capture_file);
}
