//! Measurements in C and Python, from their templates: they are checked and measured as those in Rust are,
//! and what goes wrong in one is its own.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use pathspider_e2e::{Ended, Network, Program, built, network, skipped, temp_dir};
use pathspider_plugin_api::{ConnectKind, Setting};

/// Whether Python's library is here, which `make python` installs.
fn has_python() -> bool {
    let library = "/sbin/ldconfig -p | grep -q 'libpython3\\.[0-9]*\\.so\\.1\\.0'";
    let is_here = Command::new("sh").args(["-c", library]).status().is_ok_and(|it| it.success());
    if !is_here {
        skipped("Python's library is missing: make python");
    }
    is_here
}

fn template(language: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sdk-template").join(language)
}

/// Copies what is linked or copied beside a source, as its guide says.
fn copy(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap();
    fs::set_permissions(to, Permissions::from_mode(0o644)).unwrap();
}

/// Makes a plugin of the C template with these changes, in a copy of its folder.
fn in_c(folder: &Path, name: &str, changes: &[(&str, &str)]) -> PathBuf {
    let copied = folder.join(format!("sources-{name}"));
    let status = Command::new("cp").arg("-r").arg(template("c")).arg(&copied).status();
    assert!(status.is_ok_and(|status| status.success()));
    let source = changed(&template("c/cexample.c"), "cexample", name, changes);
    fs::remove_file(copied.join("cexample.c")).unwrap();
    let _ = fs::remove_file(copied.join("cexample.so"));
    fs::write(copied.join(format!("{name}.c")), source).unwrap();
    let mut make = Command::new("make");
    make.args(["-s", "-C"]).arg(&copied).arg("CFLAGS=-O1 -Wall -Wextra -Werror");
    make.arg(format!("SHIM={}", built("libpathspider_c.a").display()));
    for inherited in ["MAKEFLAGS", "MAKELEVEL", "MFLAGS"] {
        make.env_remove(inherited);
    }
    Ended::from(make.output().unwrap()).expect(0, &[]);
    let plugin = folder.join(format!("{name}.so"));
    copy(&copied.join(format!("{name}.so")), &plugin);
    plugin
}

/// Makes a plugin of the Python template with these changes.
fn in_python(folder: &Path, name: &str, changes: &[(&str, &str)]) -> PathBuf {
    let source = changed(&template("python/pyexample.py"), "pyexample", name, changes);
    let file = folder.join(format!("{name}.py"));
    fs::write(&file, source).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let plugin = folder.join(format!("{name}.so"));
    copy(&built("libpathspider_python.so"), &plugin);
    plugin
}

fn changed(source: &Path, old: &str, name: &str, changes: &[(&str, &str)]) -> String {
    let mut text = fs::read_to_string(source).unwrap().replace(old, name);
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    text
}

fn measure(network: &Network, folder: &Path, name: &str) -> Ended {
    let folder = folder.display().to_string();
    network.measure(&["--plugin-dir", &folder, name], &network.jobs("clean"))
}

#[test]
fn templates_in_c_and_python_are_checked_and_measure_what_is_there() {
    if !has_python() {
        return;
    }
    let folder = temp_dir("languages");
    let plugins = [in_c(&folder, "cexample", &[]), in_python(&folder, "pyexample", &[])];
    for plugin in &plugins {
        Program::run(&["check", plugin.to_str().unwrap()]).expect(0, &[]);
    }
    // The template's own tests, which need no pathspider, beside the library that it needs.
    for file in ["pathspider.py", "test_pyexample.py"] {
        fs::copy(template("python").join(file), folder.join(file)).unwrap();
    }
    let mut tests = Command::new("python3");
    tests.args(["-m", "unittest"]).env("PYTHONDONTWRITEBYTECODE", "1").current_dir(&folder);
    Ended::from(tests.output().unwrap()).expect(0, &["Ran 4 tests"]);
    let Some(network) = network(4, 2) else { return };
    for name in ["cexample", "pyexample"] {
        let ended = measure(&network, &folder, name);
        ended.expect(0, &["6 targets"]);
        let works = format!("{name}.connectivity.works");
        assert!(ended.records().iter().all(|record| record.has(&works)), "{ended:?}");
    }
    // Their paths in the lab, as their guides say.
    for language in ["c", "python"] {
        let mut lab = Command::new(built("pathspider-lab"));
        lab.arg("check").env("PATHSPIDER_PLUGIN_PATH", &folder);
        lab.args(["near", "far"].map(|path| template(language).join(format!("lab/{path}.toml"))));
        let ended = Ended::from(lab.output().unwrap());
        assert!(ended.stdout.contains("all 2 paths measured as they are"), "{ended:?}");
    }
    let _ = fs::remove_dir_all(folder);
}

#[test]
fn what_fails_in_c_or_python_is_the_jobs_and_what_crashes_ends_the_run() {
    if !has_python() {
        return;
    }
    let Some(network) = network(2, 0) else { return };
    let folder = temp_dir("languages-failing");
    let in_connect = "ps_kind(connect, \"tcp\");";
    let sent = "        sent = flow[";
    let asked = "        settings = {\"ttl\"";
    let failing = [
        (
            in_c(
                &folder,
                "cfails",
                &[(in_connect, "return ps_fail(\"no luck at %u\", ps_job_port(job));")],
            ),
            "no luck at 80",
        ),
        (
            in_c(&folder, "cwrong", &[("\"ttl\", run->ttl", "\"tttl\", run->ttl")]),
            "there is no setting \"tttl\"",
        ),
        (
            in_c(&folder, "cfield", &[("flow, \"cfield_hops_fwd\"", "flow, \"hops\"")]),
            "reads the field \"hops\", which none of the chains that it names has",
        ),
        (
            in_python(
                &folder,
                "pyfails",
                &[(sent, "        [][flow.config]\n        sent = flow[")],
            ),
            "IndexError: list index out of range (line ",
        ),
        (
            in_python(
                &folder,
                "pyexits",
                &[(asked, "        import sys; sys.exit(3)\n        settings = {\"ttl\"")],
            ),
            "SystemExit: 3 (line ",
        ),
        (
            in_python(&folder, "pyfield", &[("flow[\"pyfield_hops_fwd\"]", "flow[\"hops\"]")]),
            "no chain that the measurement names has a field 'hops'",
        ),
    ];
    for (plugin, said) in &failing {
        let name = plugin.file_stem().unwrap().to_str().unwrap();
        let ended = measure(&network, &folder, name);
        ended.expect(9, &[]);
        let records = ended.records();
        assert_eq!(records.len(), 2, "{name}: {ended:?}");
        for record in records {
            let error = record.spdr_error.as_deref().unwrap_or_default();
            assert!(error.contains(said), "{name}: {error}");
        }
    }
    in_c(&folder, "ccrashes", &[(in_connect, "*(volatile unsigned *)0 = configuration;")]);
    in_python(
        &folder,
        "pycrashes",
        &[(asked, "        import ctypes; ctypes.string_at(0)\n        settings = {\"ttl\"")],
    );
    for name in ["ccrashes", "pycrashes"] {
        let ended = measure(&network, &folder, name);
        ended.expect(-1, &[&format!("{name}.so crashed in `connect`, by SIGSEGV")]);
    }
    let _ = fs::remove_dir_all(folder);
}

#[test]
fn a_python_file_is_taken_as_its_library_is() {
    if !has_python() {
        return;
    }
    let folder = temp_dir("languages-python");
    let plugin = in_python(&folder, "pyfile", &[]);
    let source = folder.join("pyfile.py");
    let shown = folder.display().to_string();
    let listed = || Program::run(&["--list-plugins", "--plugin-dir", &shown]);
    let list = listed();
    assert!(list.stdout.contains("Example in Python: a low time to live"), "{list:?}");
    // What it says of itself is looked up anew when the file changes.
    let text = fs::read_to_string(&source).unwrap();
    fs::write(&source, text.replace("a low time to live\"\n", "another time to live\"\n")).unwrap();
    let list = listed();
    assert!(list.stdout.contains("Example in Python: another time to live"), "{list:?}");
    for (wrong, said) in [
        ("import pathspider\nclass X(", "SyntaxError"),
        (
            "import nothing_of_this_name",
            "ModuleNotFoundError: No module named 'nothing_of_this_name' (line 1)",
        ),
        ("import pathspider", "it has 0 classes that inherit from pathspider.Measurement"),
    ] {
        fs::write(&source, wrong).unwrap();
        let list = listed();
        assert!(
            list.stderr.contains(said) && list.stderr.contains("pyfile.py"),
            "{said}: {list:?}"
        );
    }
    fs::remove_file(&source).unwrap();
    let list = listed();
    assert!(
        list.stderr.contains("there is no ") && list.stderr.contains("pyfile.py beside it"),
        "{list:?}"
    );
    let _ = (plugin, fs::remove_dir_all(folder));
}

#[test]
fn the_page_has_every_kind_of_connection_and_every_setting() {
    let page = fs::read_to_string(template("../docs/languages.md")).unwrap();
    let kinds = ConnectKind::ALL.iter().map(|kind| kind.name());
    let settings = Setting::ALL.iter().map(|setting| setting.name());
    for name in kinds.chain(settings) {
        assert!(page.contains(&format!("`{name}`")), "{name} is missing in docs/languages.md");
    }
}
