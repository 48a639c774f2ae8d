//! Pins everything that crosses the boundary: a change without a new version of the ABI fails here,
//! and so does a version that breaks the rules of growth.
//!
//! `layout/2.0.txt` is what ABI 2.0 is, and so on: a file for each version, which is written once
//! and never again. After a change, raise the minor version in `descriptor.rs` (the major one
//! where the rules of growth do not allow it), and write the new version's file with
//! `PIN_LAYOUT=1 cargo test -p pathspider-plugin-api layout`.

mod types;
mod words;

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

pub(crate) use types::{Fields, pinned_fields, type_of};

use super::{ABI_VERSION, AbiVersion};

/// What begins the part that may grow without a new version.
const WORDS: &str = "\nWords, of which there may be more:\n";

/// Types that cross as a pointer, so that a later minor version may add fields at their end.
fn grows(name: &str) -> bool {
    name.ends_with("Table")
        || name.starts_with("Lent")
        || ["Module", "Job", "Packet", "Descriptor", "Location", "Slots", "Scene"].contains(&name)
}

fn present() -> String {
    let types = types::all();
    for table in ["MeasurementTable", "ChainTable", "PacketRef", "ServicesTable", "Repr"] {
        assert!(types.contains_key(table), "{table} is not reached");
    }
    let mut text = format!("ABI {ABI_VERSION}\n\n");
    for (name, lines) in &types {
        let _ = writeln!(text, "{name}: {lines}");
    }
    let _ = writeln!(text, "Numbers:\n{}", words::numbers().join("\n"));
    text + WORDS + &words::words().join("\n") + "\n"
}

fn file(version: AbiVersion) -> PathBuf {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/abi/layout");
    PathBuf::from(folder).join(format!("{version}.txt"))
}

/// What is wrong with a layout, compared to the one that was pinned for its version.
fn difference(pinned: &str, present: &str) -> Option<String> {
    let [pinned, present] = [pinned, present].map(|text| text.split_once(WORDS).unwrap());
    let [before, after] = [pinned.0, present.0].map(|text| text.lines().collect::<Vec<_>>());
    let lost = before.iter().find(|line| !after.contains(line));
    let come = after.iter().find(|line| !before.contains(line));
    let word = pinned.1.lines().find(|word| !present.1.lines().any(|other| other == *word));
    let moved = (before != after).then_some(&"the order of its lines");
    let lost = lost.map(|line| format!("gone: {line}"));
    let come = come.map(|line| format!("new: {line}"));
    lost.or(come)
        .or(word.map(|word| format!("gone: {word}")))
        .or(moved.map(|what| format!("changed: {what}")))
}

/// What a later minor version does that it must not.
fn forbidden(older: &str, newer: &str) -> Option<String> {
    let [older, newer] = [older, newer].map(|text| text.split_once(WORDS).unwrap());
    let newer_types = sections(newer.0);
    for (name, lines) in sections(older.0) {
        let Some((_, later)) = newer_types.iter().find(|(other, _)| *other == name) else {
            return Some(format!("{name} is gone"));
        };
        let growing = grows(name) || name == "Numbers";
        // The first line is the size.
        let kept = if growing {
            later.get(1..).unwrap_or_default().starts_with(&lines[1..])
        } else {
            *later == lines
        };
        if !kept {
            return Some(format!("{name} changed otherwise than at its end"));
        }
    }
    let lost = older.1.lines().find(|word| !newer.1.lines().any(|other| other == *word));
    lost.map(|word| format!("gone: {word}"))
}

/// The parts of a file: a name and its lines each.
fn sections(text: &str) -> Vec<(&str, Vec<&str>)> {
    let mut sections: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in text.lines().skip(1).filter(|line| !line.is_empty()) {
        match (line.starts_with(' '), sections.last_mut()) {
            (true, Some((_, lines))) => lines.push(line),
            _ => {
                let (name, rest) = line.split_once(':').unwrap();
                sections.push((name, vec![rest]));
            }
        }
    }
    sections
}

#[test]
fn layout_is_that_of_its_version() {
    let (path, present) = (file(ABI_VERSION), present());
    if !path.exists() && std::env::var_os("PIN_LAYOUT").is_some() {
        fs::write(&path, &present).unwrap();
    }
    let pinned = fs::read_to_string(&path).unwrap_or_else(|_| {
        panic!("ABI {ABI_VERSION} is not pinned yet; see the head of this file")
    });
    let difference = difference(&pinned, &present);
    assert_eq!(difference, None, "raise the ABI version; see the head of this file");
}

#[test]
// While the minor version is 0 there is none before it.
#[allow(clippy::absurd_extreme_comparisons)]
fn a_minor_version_only_grows() {
    for minor in (0..).take_while(|minor| *minor < ABI_VERSION.minor) {
        let [older, newer] = [minor, minor + 1]
            .map(|minor| fs::read_to_string(file(AbiVersion { minor, ..ABI_VERSION })).unwrap());
        assert_eq!(forbidden(&older, &newer), None, "from minor version {minor}");
    }
    assert!(!file(AbiVersion { minor: ABI_VERSION.minor + 1, ..ABI_VERSION }).exists());
}

#[test]
fn changes_are_told() {
    let pinned = present();
    for (line, other) in [
        ("    Int = 2 i64", "    Int = 2 u64"),
        ("    Bool = 1 bool\n    Int = 2 i64", "    Int = 1 i64\n    Bool = 2 bool"),
        ("    layers: u32", "    layers: i32"),
        ("    List = 7 RVec<Value>", "    List = 7 RVec<u8>"),
        ("    port: u16 at 18", "    port: i16 at 18"),
        ("FLOW_TAKEN = 1", "FLOW_TAKEN = 2"),
        ("    measurement.forges: bool\n", ""),
    ] {
        let changed = pinned.replacen(line, other, 1);
        assert!(changed != pinned, "{line}");
        assert!(difference(&pinned, &changed).is_some(), "{line}");
        assert!(forbidden(&pinned, &changed).is_some(), "{line}");
    }
    // More words need no version, and a field at a table's end no major one.
    assert_eq!(difference(&pinned, &format!("{pinned}    measurement.more: bool\n")), None);
    let grown = |table: &str, next: &str| {
        let next = format!("\n{next}: ");
        assert!(pinned.contains(&format!("\n{table}: ")) && pinned.contains(&next), "{table}");
        pinned.replacen(&next, &format!("\n    more: u8{next}"), 1)
    };
    for (table, next) in [("ChainTable", "Concluded"), ("Packet", "PacketRef")] {
        let grown = grown(table, next);
        assert!(difference(&pinned, &grown).is_some(), "{table}");
        assert_eq!(forbidden(&pinned, &grown), None);
        assert!(forbidden(&grown, &pinned).is_some(), "{table}");
    }
    // What crosses by value cannot grow.
    assert!(forbidden(&pinned, &grown("Record", "Repr")).is_some());
}
