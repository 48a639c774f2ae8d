//! Versions of the contract: plugins that were really built against others, and libraries that are
//! no plugins of any. What is built is in `tests/plugins/versions`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pathspider_e2e::{Ended, Program, authors_cargo, authors_target, compile, network, temp_dir};
use pathspider_plugin_api::abi::ABI_VERSION;

/// A variant of plugin-api, and what the host says to the plugin that was built against it.
struct Variant {
    name: &'static str,
    patch: Option<&'static str>,
    /// `None` where it is taken.
    refusal: Option<&'static str>,
}

const fn variant(
    name: &'static str,
    patch: &'static str,
    refusal: Option<&'static str>,
) -> Variant {
    Variant { name, patch: Some(patch), refusal }
}

const NEWER: &str =
    "install a newer pathspider, or rebuild the plugin against an older pathspider-plugin-api";

const VARIANTS: [Variant; 6] = [
    Variant { name: "same", patch: None, refusal: None },
    variant("release", "release", None),
    variant("newer", "2.1", Some("it speaks plugin ABI 2.1, this host 2.0; install")),
    variant("major", "3.0", Some("it speaks plugin ABI 3.0, this host 2.0; install")),
    variant(
        "past",
        "1.1",
        Some(
            "it speaks plugin ABI 1.1, this host 2.0; rebuild the plugin against a current \
             pathspider-plugin-api, or get a newer build",
        ),
    ),
    variant(
        "layout",
        "layout",
        Some(
            "it says that it speaks plugin ABI 2.0, which this host of 2.0 understands, but its \
             tables have another layout; rebuild it against a released pathspider-plugin-api",
        ),
    ),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn succeed(command: &mut Command) {
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&said));
}

fn copy(from: &Path, to: &Path) {
    succeed(Command::new("cp").arg("-r").arg(from).arg(to));
}

fn cargo(workspace: &Path, target: &Path, package: &str) {
    let build = ["build", "--release", "--offline", "--quiet", "-p", package];
    succeed(authors_cargo(workspace, target).args(build));
}

/// Builds the plugin against a variant, and puts it into the folder.
fn build(variant: &Variant, target: &Path, folder: &Path) {
    // Where it lay the last time: what does not change is not built again.
    let workspace = target.join("workspaces").join(variant.name);
    let _ = fs::remove_dir_all(&workspace);
    fs::create_dir_all(&workspace).unwrap();
    let sources = root().join("tests/plugins/versions");
    // Cargo tells packages of one name and version apart by their folders within their workspaces.
    let api = format!("plugin-api-{}", variant.name);
    copy(&root().join("plugin-api"), &workspace.join(&api));
    copy(&sources.join("plugin"), &workspace.join("plugin"));
    copy(&sources.join("host"), &workspace.join("host"));
    fs::copy(root().join("Cargo.lock"), workspace.join("Cargo.lock")).unwrap();
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    // Its profiles are about packages that are not here.
    let lines = manifest.lines().take_while(|line| !line.starts_with("[profile"));
    let own = lines.map(|line| match line.split(" = ").next() {
        Some("members") => format!("members = [{api:?}, \"plugin\", \"host\"]\n"),
        Some("exclude") => "\n".to_owned(),
        Some("pathspider-plugin-api") => format!("pathspider-plugin-api = {{ path = {api:?} }}\n"),
        _ => format!("{line}\n"),
    });
    fs::write(workspace.join("Cargo.toml"), own.collect::<String>()).unwrap();
    for file in ["plugin/Cargo.toml", "plugin/src/lib.rs"] {
        let file = workspace.join(file);
        let named = fs::read_to_string(&file).unwrap().replace("NAME", variant.name);
        fs::write(file, named).unwrap();
    }
    if let Some(patch) = variant.patch {
        let patch = sources.join(format!("{patch}.patch"));
        let mut apply = Command::new("patch");
        apply.args(["-s", "-p1", "--no-backup-if-mismatch", "-d"]).arg(workspace.join(api));
        succeed(apply.arg("-i").arg(patch));
    }
    let package = package(variant);
    cargo(&workspace, target, &package);
    let library = format!("lib{}.so", package.replace('-', "_"));
    fs::copy(target.join("release").join(library), folder.join(file(variant))).unwrap();
}

fn package(variant: &Variant) -> String {
    format!("pathspider-{}", variant.name)
}

fn file(variant: &Variant) -> String {
    format!("{}.so", variant.name)
}

fn list(folder: &Path) -> Ended {
    Program::run(&["--list-plugins", "--plugin-dir", folder.to_str().unwrap()])
}

/// What is said of the rejected file of this name.
fn refusal<'e>(listed: &'e Ended, name: &str) -> Option<&'e str> {
    let start = format!("{name} is rejected: ");
    listed.stderr.lines().find_map(|line| line.split_once(&start).map(|(_, refusal)| refusal))
}

#[test]
fn every_version_is_taken_or_refused_as_its_number_says() {
    assert_eq!(ABI_VERSION.to_string(), "2.0", "see tests/plugins/versions/README.md");
    let folder = temp_dir("versions");
    let target = authors_target();
    VARIANTS.iter().for_each(|variant| build(variant, &target, &folder));

    let listed = list(&folder);
    listed.expect(0, &[]);
    let (taken, refused): (Vec<_>, Vec<_>) =
        VARIANTS.iter().partition(|variant| variant.refusal.is_none());
    for variant in &refused {
        let said = refusal(&listed, &file(variant)).unwrap_or_default();
        let expected = variant.refusal.unwrap();
        assert!(said.starts_with(expected), "{}: {said}", variant.name);
        assert!(!expected.ends_with("install") || said.ends_with(NEWER), "{said}");
        // The same where it is named.
        let run = ["measure", "--plugin-dir", folder.to_str().unwrap(), "-i", "lo", variant.name];
        Program::run(&run).expect(4, &[expected]);
    }
    for variant in &taken {
        assert_eq!(refusal(&listed, &file(variant)), None, "{}", listed.stderr);
        let checked = Program::run(&["check", folder.join(file(variant)).to_str().unwrap()]);
        assert_eq!(checked.status, 0, "{}: {}", variant.name, checked.stdout);
    }
    run_together(&taken, &folder);
    in_a_host_that_has_grown(&target, &folder);
    let _ = fs::remove_dir_all(folder);
}

/// Runs each with the chain of each other one: two versions in one process.
fn run_together(taken: &[&Variant], folder: &Path) {
    let Some(network) = network(2, 1) else { return };
    let output = folder.join("records.ndjson");
    for variant in taken {
        let others = taken.iter().filter(|other| other.name != variant.name);
        for other in others.map(|other| other.name) {
            let name = variant.name;
            let end = network.measure(
                &[
                    "--plugin-dir",
                    folder.to_str().unwrap(),
                    "--output-flows",
                    "--force",
                    "--output",
                    output.to_str().unwrap(),
                    name,
                    "--chain",
                    other,
                ],
                &network.jobs("clean"),
            );
            end.expect(0, &["3 targets"]);
            let records = pathspider_e2e::records(&fs::read_to_string(&output).unwrap());
            assert_eq!(records.len(), 3);
            for record in records {
                let [online, segments] = &record.conditions[..] else { panic!("{record:?}") };
                assert_eq!(*online, format!("{name}.connectivity.online"));
                assert!(segments.starts_with(&format!("{name}.segments:")), "{segments}");
                assert!(record.rest["number"].as_u64().unwrap() < 3, "{record:?}");
                let flow = &record.flow_results.as_ref().unwrap()[0].rest;
                assert_eq!(flow["prepared"], record.dip.as_str());
                for chain in [name, other] {
                    assert!(flow[chain].as_u64().unwrap() > 2, "{chain}: {flow:?}");
                }
            }
            let metadata = fs::read_to_string(format!("{}.meta.json", output.display())).unwrap();
            let metadata: serde_json::Value = serde_json::from_str(&metadata).unwrap();
            assert_eq!(metadata["plugin"]["abi"], "2.0");
            assert_eq!(metadata["runs"][0]["plugin"]["finished"], name);
        }
    }
}

/// Takes the plugin of this version through a job, in a host whose tables and lent structs are longer.
fn in_a_host_that_has_grown(target: &Path, folder: &Path) {
    cargo(&target.join("workspaces/newer"), target, "pathspider-grown");
    let mut host = Command::new(target.join("release/pathspider-grown"));
    let output = host.arg(folder.join("same.so")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(said, "2.1 2.0 same.connectivity.online same.segments:1\n", "{output:?}");
}

#[test]
fn foreign_libraries_are_refused() {
    let folder = temp_dir("foreign");
    let libc = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib/aarch64-linux-gnu/libc.so.6"];
    let libc = libc.iter().find(|path| Path::new(path).exists()).unwrap();
    fs::copy(libc, folder.join("libc.so")).unwrap();
    let strange = "its pathspider_plugin_descriptor is not a pathspider plugin's; remove it from \
                   the folder, or get another build";
    let ways = [
        ("libc", "it is not a pathspider plugin: it exports no pathspider_plugin_descriptor"),
        ("magic", strange),
        ("short", strange),
        ("other", "it speaks plugin ABI 3.7, this host 2.0; install a newer pathspider"),
        (
            "rootless",
            "it speaks plugin ABI 2.0, which this host of 2.0 understands, but gives no tables; \
             rebuild it, or get another build",
        ),
    ];
    for (name, _) in &ways[1..] {
        let way = format!("-DWAY={}", name.to_uppercase());
        compile("descriptor", &[&way], folder.join(format!("{name}.so")));
    }
    let listed = list(&folder);
    listed.expect(0, &[]);
    for (name, expected) in ways {
        let said = refusal(&listed, &format!("{name}.so")).unwrap_or_default();
        assert!(said.starts_with(expected), "{name}: {said:?}");
    }
    let _ = fs::remove_dir_all(folder);
}
