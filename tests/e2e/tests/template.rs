//! The template: a copy in an empty folder, renamed in one step, is built as it is and runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

use pathspider_e2e::{Program, authors_cargo, authors_target, built, network, temp_dir};

/// A way to build it.
struct Build {
    name: &'static str,
    edition: &'static str,
    /// Debian's compiler for the web browsers, newer than its ordinary one. It builds for the author's own
    /// tests, the other one to be installed: so each compiler compiles the contract once.
    debian: bool,
}

impl Build {
    /// Where what it builds lies.
    fn target(&self, folder: &Path) -> PathBuf {
        if self.debian { folder.join("debian") } else { authors_target() }
    }

    fn profile(&self) -> &[&str] {
        if self.debian { &[] } else { &["--release"] }
    }

    /// What makes the library: the tests alone do, too.
    fn verbs(&self) -> &[&str] {
        if self.debian { &["test"] } else { &["build", "test"] }
    }

    fn library(&self, folder: &Path) -> PathBuf {
        let place = if self.debian { "debug/deps" } else { "release" };
        self.target(folder).join(place).join(format!("libpathspider_{}.so", self.name))
    }
}

const BUILDS: [Build; 3] = [
    Build { name: "first", edition: "2021", debian: false },
    Build { name: "second", edition: "2024", debian: false },
    Build { name: "third", edition: "2021", debian: true },
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// The compiler of Debian's package `rustc-web`, where it is installed.
fn debians() -> Option<PathBuf> {
    let files = Command::new("dpkg").args(["-L", "rustc-web"]).output().ok()?;
    let files = String::from_utf8_lossy(&files.stdout).into_owned();
    files.lines().find(|file| file.ends_with("/bin/rustc")).map(PathBuf::from)
}

/// The variable that CI sets: there, nothing may be skipped.
fn is_ci() -> bool {
    std::env::var_os("CI").is_some()
}

/// Whether Debian's archive has the package, as far as this machine knows.
fn debian_offers() -> bool {
    let policy = Command::new("apt-cache").args(["policy", "rustc-web"]).output();
    policy.is_ok_and(|policy| {
        let candidate = String::from_utf8_lossy(&policy.stdout).into_owned();
        candidate.lines().any(|line| {
            line.trim().strip_prefix("Candidate: ").is_some_and(|version| version != "(none)")
        })
    })
}

/// Copies, renames, builds and tests; gives the library.
fn fork(folder: &Path, build: &Build) -> Option<PathBuf> {
    let copy = folder.join(build.name);
    succeed(Command::new("cp").arg("-r").arg(root().join("sdk-template")).arg(&copy));
    let _ = fs::remove_dir_all(copy.join("target"));
    let mut rename = Command::new("sh");
    succeed(rename.arg(copy.join("rename.sh")).args([build.name, "me|you@example.net"]));
    for (file, is_new, old) in [
        ("src/measurement.rs", "\"me|you@example.net\"", "xample\""),
        ("src/measurement.rs", "Measurement for", "Example"),
        ("src/chain.rs", &format!("CHAIN = \"{}_hops\"", build.name), "Hops"),
        ("README.md", &format!("# {}\n", build.name), "Example,"),
    ] {
        let text = fs::read_to_string(copy.join(file)).unwrap();
        assert!(text.contains(is_new) && !text.contains(old), "{file}: {text}");
    }
    // The one line that a fork elsewhere changes, and the edition, which is its author's choice.
    let manifest = fs::read_to_string(copy.join("Cargo.toml")).unwrap();
    assert_eq!(manifest.matches("\"../plugin-api\"").count(), 1, "{manifest}");
    let api = root().join("plugin-api");
    let manifest = manifest
        .replace("\"../plugin-api\"", &format!("{:?}", api.to_str().unwrap()))
        .replace("edition = \"2021\"", &format!("edition = {:?}", build.edition));
    fs::write(copy.join("Cargo.toml"), manifest).unwrap();
    // What was resolved for the project is there; the registry may not be.
    fs::copy(root().join("Cargo.lock"), copy.join("Cargo.lock")).unwrap();
    let compiler = if build.debian { debians() } else { None };
    if build.debian && compiler.is_none() {
        assert!(!is_ci() || !debian_offers(), "rustc-web is to be had: `make rustc-web`");
        eprintln!("SKIPPED: rustc-web is not installed, so nothing was built with it");
        return None;
    }
    let mut said = String::new();
    for verb in build.verbs() {
        let mut cargo = authors_cargo(&copy, &build.target(folder));
        cargo.args([verb, "--quiet"]).args(build.profile());
        if let Some(compiler) = &compiler {
            cargo.env("RUSTDOC", compiler.with_file_name("rustdoc"));
            cargo.env("RUSTC", compiler).env_remove("RUSTC_WRAPPER");
        }
        said = String::from_utf8_lossy(&succeed(&mut cargo).stdout).into_owned();
    }
    // Those of `tests/`, and what its README documents.
    for tests in ["4 passed", "1 passed"] {
        assert!(said.contains(tests), "{}: {said}", build.name);
    }
    let built = build.library(folder);
    let library = folder.join("plugins").join(built.file_name().unwrap());
    fs::copy(built, &library).unwrap();
    Some(library)
}

#[test]
fn forks_are_built_as_they_are_and_run_in_one_host() {
    let folder = temp_dir("template");
    fs::create_dir(folder.join("plugins")).unwrap();
    let plugins = folder.join("plugins").display().to_string();
    // Each compiler has a folder for what it builds, and most of that has to wait for something else of
    // it: so the two build at the same time.
    let (own, debian): (Vec<&Build>, Vec<&Build>) = BUILDS.iter().partition(|build| !build.debian);
    let build = |builds: Vec<&'static Build>| -> Vec<(&str, PathBuf)> {
        let each = |build: &Build| Some((build.name, fork(&folder, build)?));
        builds.into_iter().filter_map(each).collect()
    };
    let forks = thread::scope(|scope| {
        let debian = scope.spawn(|| build(debian));
        let mut forks = build(own);
        forks.extend(debian.join().unwrap());
        forks
    });
    let listed = Program::run(&["--list-plugins", "--plugin-dir", &plugins]);
    for (name, library) in &forks {
        assert!(listed.stdout.contains(library.to_str().unwrap()), "{name}: {listed:?}");
        Program::run(&["check", library.to_str().unwrap()]).expect(0, &[]);
    }
    let Some(network) = network(4, 2) else { return };
    for (name, _) in &forks {
        let end = network.measure(&["--plugin-dir", &plugins, name], &network.jobs("clean"));
        end.expect(0, &["6 targets"]);
        let works = format!("{name}.connectivity.works");
        for record in end.records() {
            assert!(record.conditions.contains(&works), "{record:?}");
        }
    }
    // Its own paths, as its README says.
    for (name, _) in &forks {
        let mut lab = Command::new(built("pathspider-lab"));
        lab.arg("check").env("PATHSPIDER_PLUGIN_PATH", &plugins);
        lab.args(["near", "far"].map(|path| folder.join(name).join(format!("lab/{path}.toml"))));
        let table = String::from_utf8_lossy(&succeed(&mut lab).stdout).into_owned();
        assert!(table.contains("all 2 paths measured as they are"), "{name}: {table}");
    }
    let _ = fs::remove_dir_all(folder);
}
