//! The shape of the sources: modules use each other one way only, a type's methods stand where the
//! type does, and files that `docs/extending.md` names exist.

// Helpers of tests are tests too: a failure is a panic.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The crates of the host. `plugin-api` is none of them: what crosses its boundary (`abi`) and what
/// authors see are two sides of the same types.
const CRATES: [&str; 14] = [
    "arrivals/src",
    "asn/src",
    "src",
    "fleet/src",
    "locate/src",
    "observer/src",
    "plugins/src",
    "program/src",
    "records/src",
    "report/src",
    "respond/src",
    "runtime/src",
    "shell/src",
    "system/src",
];

/// Types that have methods in another file, still.
const APART: [&str; 5] = [
    "host/observer/src: Measuring in measuring::awaiting",
    "host/observer/src: Measuring in measuring::errors",
    "host/observer/src: Measuring in measuring::parts",
    "host/observer/src: Measuring in measuring::seeking",
    "host/observer/src: Measuring in measuring::settling",
];

/// The place of a module in its crate: `["cli", "measure"]`.
type Module = Vec<String>;

fn host() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The texts of all sources in a folder.
fn texts(folder: &Path) -> Vec<String> {
    files(folder).iter().map(|file| fs::read_to_string(file).unwrap()).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}

/// All modules of a crate, with their text without comments and unit tests.
fn modules(source: &Path) -> BTreeMap<Module, String> {
    let text = |file: &Path| code(&fs::read_to_string(file).unwrap());
    files(source).iter().map(|file| (module(source, file), text(file))).collect()
}

fn module(source: &Path, file: &Path) -> Module {
    let place = file.strip_prefix(source).unwrap().with_extension("");
    let names = place.iter().map(|name| name.to_str().unwrap().to_owned());
    names.filter(|name| name != "lib" && name != "main").collect()
}

fn code(text: &str) -> String {
    let before_tests = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = before_tests.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The paths that a module names: of its `use`s, with their braces taken apart, and in its code.
fn paths(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("use ") {
        let before = text[..at].rsplit('\n').next().unwrap().trim();
        let is_statement = before.is_empty() || before.starts_with("pub");
        if let Some(end) = text[at..].find(';').filter(|_| is_statement) {
            expand("", &text[at + 4..at + end], &mut found);
        }
    }
    for word in ["crate::", "super::"] {
        for (at, _) in text.match_indices(word) {
            let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
            let before = text[..at].chars().next_back();
            if !before.is_some_and(is_path) {
                found.push(text[at..].chars().take_while(|&c| is_path(c)).collect());
            }
        }
    }
    found
}

fn expand(before: &str, tree: &str, found: &mut Vec<String>) {
    let (mut depth, mut part) = (0, String::new());
    let mut parts = Vec::new();
    for c in tree.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(std::mem::take(&mut part));
                continue;
            }
            _ => {}
        }
        part.push(c);
    }
    parts.push(part);
    for part in parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty()) {
        match (part.find('{'), part.rfind('}')) {
            (Some(open), Some(close)) if open < close => {
                expand(&format!("{before}{}", &part[..open]), &part[open + 1..close], found);
            }
            _ => found.push(format!("{before}{}", part.split(" as ").next().unwrap())),
        }
    }
}

/// The module that a path leads to, seen from another one.
fn resolve(from: &[String], path: &str, modules: &BTreeMap<Module, String>) -> Module {
    let mut names: Vec<&str> = path.split("::").collect();
    let mut at = from.to_vec();
    if names[0] == "crate" {
        at.clear();
        names.remove(0);
    }
    while names.first() == Some(&"super") {
        at.pop();
        names.remove(0);
    }
    for name in names {
        at.push(name.to_owned());
        if !modules.contains_key(&at) {
            at.pop();
            break;
        }
    }
    at
}

/// Which modules of one folder use which others of it, also through modules below them.
fn uses(modules: &BTreeMap<Module, String>) -> BTreeMap<Module, BTreeSet<Module>> {
    let mut uses: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
    for (from, text) in modules {
        for path in paths(text) {
            let to = resolve(from, &path, modules);
            let same = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
            if same < from.len() && same < to.len() {
                uses.entry(from[..=same].to_vec()).or_default().insert(to[..=same].to_vec());
            }
        }
    }
    uses
}

fn reaches(from: &Module, to: &Module, uses: &BTreeMap<Module, BTreeSet<Module>>) -> bool {
    let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(module) = next.pop() {
        for used in uses.get(module).into_iter().flatten() {
            if used == to {
                return true;
            }
            if seen.insert(used) {
                next.push(used);
            }
        }
    }
    false
}

#[test]
fn circles_are_found() {
    let text = |text: &str| code(text);
    let modules = BTreeMap::from([
        (vec!["a".to_owned()], text("use super::b::{self, c::{D, E}};\n// super::x")),
        (vec!["b".to_owned()], String::new()),
        (vec!["b".to_owned(), "c".to_owned()], text("fn f() { crate::x::y() }")),
        (
            vec!["x".to_owned()],
            text("fn y() { super::a::z() }\n#[cfg(test)]\nmod tests {super::q}"),
        ),
    ]);
    let uses = uses(&modules);
    let [a, b, x] = ["a", "b", "x"].map(|name| vec![name.to_owned()]);
    assert_eq!(uses[&a], BTreeSet::from([b.clone()]));
    assert_eq!(uses[&b], BTreeSet::from([x.clone()]));
    assert!(reaches(&a, &a, &uses) && reaches(&x, &b, &uses));
}

#[test]
fn modules_use_each_other_one_way() {
    let mut circles = Vec::new();
    for source in CRATES {
        let modules = modules(&host().join(source));
        assert!(!modules.is_empty(), "{source}");
        let uses = uses(&modules);
        for module in uses.keys().filter(|module| reaches(module, module, &uses)) {
            circles.push(format!("host/{source}: {}", module.join("::")));
        }
    }
    assert!(circles.is_empty(), "in a circle with others: {circles:#?}");
}

/// The names after a keyword at the begin of a line: `struct`, `impl`.
fn declared(text: &str, keywords: &[&str]) -> BTreeSet<String> {
    let name = |line: &str| {
        let line = line.trim_start();
        let line = match line.strip_prefix("pub") {
            Some(rest) if rest.starts_with('(') => rest.split_once(") ").map_or("", |(_, r)| r),
            Some(rest) => rest.trim_start(),
            None => line,
        };
        let rest = keywords.iter().find_map(|keyword| line.strip_prefix(&format!("{keyword} ")))?;
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        Some(rest[..end].to_owned())
    };
    text.lines().filter_map(name).collect()
}

#[test]
fn methods_stand_where_their_type_does() {
    let mut apart = Vec::new();
    for source in CRATES {
        for (module, text) in modules(&host().join(source)) {
            let types = declared(&text, &["struct", "enum", "type", "trait", "union"]);
            let with_methods = text.lines().filter(|line| {
                line.starts_with("impl ") && line.ends_with('{') && !line.contains(" for ")
            });
            let with_methods = with_methods.collect::<Vec<_>>().join("\n");
            for name in declared(&with_methods, &["impl"]).difference(&types) {
                apart.push(format!("host/{source}: {name} in {}", module.join("::")));
            }
        }
    }
    apart.retain(|methods| !APART.contains(&methods.as_str()));
    assert!(apart.is_empty(), "methods apart from their type: {apart:#?}");
}

/// What stands between backquotes in a page.
fn quoted(page: &str) -> impl Iterator<Item = &str> {
    page.split('`').skip(1).step_by(2)
}

#[test]
fn what_is_to_be_extended_is_there() {
    let page = include_str!("../../docs/extending.md");
    let project = host().parent().unwrap();
    let is_path = |word: &&str| word.contains('/') && !word.contains([' ', '*']);
    let paths: Vec<&str> = quoted(page).filter(is_path).collect();
    assert!(paths.len() > 20, "{paths:?}");
    let missing: Vec<&&str> = paths.iter().filter(|path| !project.join(path).exists()).collect();
    assert!(missing.is_empty(), "docs/extending.md names what is not there: {missing:#?}");
}

#[test]
fn tests_that_tell_what_was_forgotten_are_there() {
    let page = include_str!("../../docs/extending.md");
    let mut sources = Vec::new();
    for folder in ["src", "tests", "observer", "plugins", "../plugin-api/src"] {
        sources.extend(texts(&host().join(folder)));
    }
    // The names of tests are sentences.
    let is_test = |word: &&str| {
        word.matches('_').count() > 2 && word.chars().all(|c| c.is_ascii_lowercase() || c == '_')
    };
    let tests: Vec<&str> = quoted(page).filter(is_test).collect();
    assert!(tests.len() > 8, "{tests:?}");
    let is_missing = |test: &&str| {
        let function = format!("fn {test}()");
        !sources.iter().any(|text| text.contains(&function))
    };
    let missing: Vec<&str> = tests.into_iter().filter(is_missing).collect();
    assert!(missing.is_empty(), "docs/extending.md names tests that are not there: {missing:#?}");
}

#[test]
fn types_of_the_glossary_are_there() {
    let page = include_str!("../../docs/glossary.md");
    let rows = page.lines().filter(|line| line.starts_with("| **"));
    let named: Vec<&str> = rows.flat_map(|row| quoted(row.rsplit('|').nth(1).unwrap())).collect();
    assert!(named.len() > 20, "{named:?}");
    let mut types = BTreeSet::new();
    for folder in CRATES.iter().copied().chain(["../plugin-api/src", "../tests/lab/src"]) {
        for text in texts(&host().join(folder)) {
            types.extend(declared(&text, &["struct", "enum", "trait", "type"]));
        }
    }
    let missing: Vec<&&str> = named.iter().filter(|name| !types.contains(**name)).collect();
    assert!(missing.is_empty(), "docs/glossary.md names types that are not there: {missing:#?}");
}
