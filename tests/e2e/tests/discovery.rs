//! Discovery: any file may lie in a plugin folder, and the others are found all the same. Those of
//! other versions are in `versions`.

use std::fs;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use pathspider_e2e::{Ended, Program, built, compile, temp_dir, wait_until};

/// Lists the plugins of a folder, with a cache of its own.
fn list(folder: &Path) -> Ended {
    list_with(folder, &folder.join("no-cache"))
}

/// Lists with a cache in this folder. Root's cache is that of the whole machine, which other tests use: the folder
/// stands in its place.
fn list_with(folder: &Path, cache: &Path) -> Ended {
    let program: Command = Program::command(&["--list-plugins"]);
    let mut command = if rustix::process::geteuid().is_root() {
        fs::create_dir_all(cache).unwrap();
        let script = "mkdir -p /var/cache/pathspider && \
                mount --bind \"$0\" /var/cache/pathspider && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", script]).arg(cache).arg(program.get_program());
        command
    } else {
        Command::new(program.get_program())
    };
    command.args(program.get_args()).arg("--plugin-dir").arg(folder).env("XDG_CACHE_HOME", cache);
    command.output().unwrap().into()
}

/// A copy of a good plugin in which some octets are others.
fn patched(path: PathBuf, at: u64, octets: &[u8]) {
    fs::copy(built("plugins/ecn.so"), &path).unwrap();
    fs::File::options().write(true).open(&path).unwrap().write_at(octets, at).unwrap();
}

/// Each broken file, by its name, and what is said of it.
fn break_everything(folder: &Path) -> Vec<(&'static str, &'static str)> {
    let good = fs::read(built("plugins/ecn.so")).unwrap();
    let write = |name: &str, octets: &[u8]| fs::write(folder.join(name), octets).unwrap();
    write("text.so", b"not a library\x1b[2J");
    write("empty.so", b"");
    write("truncated.so", &good[..good.len() / 2]);
    write("header-only.so", &good[..64]);
    write("tail-cut.so", &good[..40]);
    let mut random = vec![0x7f, b'E', b'L', b'F'];
    random.extend((0..10_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8));
    write("random.so", &random);
    fs::create_dir(folder.join("folder.so")).unwrap();
    symlink("/nonexistent", folder.join("dangling.so")).unwrap();
    symlink("loop.so", folder.join("loop.so")).unwrap();
    symlink("/dev/zero", folder.join("device.so")).unwrap();
    let fifo = Command::new("mkfifo").arg(folder.join("fifo.so")).status().unwrap();
    assert!(fifo.success());
    // e_machine is at 18: EM_AARCH64 is 183; EI_CLASS at 4: 1 is 32 bits.
    patched(folder.join("aarch64.so"), 18, &[183, 0]);
    patched(folder.join("executable.so"), 16, &[2, 0]);
    for (name, way) in [
        ("abort.so", "-DWAY=ABORT"),
        ("crash.so", "-DWAY=CRASH"),
        ("hang.so", "-DWAY=HANG"),
        ("exit.so", "-DWAY=EXIT"),
        ("print.so", "-DWAY=PRINT"),
        ("orphan.so", "-DWAY=ORPHAN"),
        ("forge.so", "-DWAY=FORGE"),
        ("close.so", "-DWAY=CLOSE"),
        ("flood.so", "-DWAY=FLOOD"),
        ("regroup.so", "-DWAY=REGROUP"),
    ] {
        let called = format!("-DNAME=\"{}\"", name_of_left());
        compile("constructor", &[way, &called], folder.join(name));
    }
    compile("undefined", &[], folder.join("undefined.so"));
    vec![
        ("text.so", "it is no shared library: it begins with \"not a library\\x1b[2\""),
        ("empty.so", "it is empty; copy it again"),
        ("truncated.so", "it is damaged or cut off"),
        ("header-only.so", "it is damaged or cut off"),
        ("tail-cut.so", "it is damaged or cut off"),
        ("random.so", "it is "),
        ("folder.so", "it is not a regular file but a folder; remove it"),
        ("dangling.so", "it is not a regular file but a link that leads nowhere"),
        ("loop.so", "it is not a regular file but a link that leads nowhere"),
        ("device.so", "it is not a regular file but a device"),
        ("fifo.so", "it is not a regular file but a FIFO"),
        ("aarch64.so", "it is for another machine: aarch64 (64 bits), and this host is for"),
        ("executable.so", "it is no shared library: its ELF type is another"),
        ("abort.so", "it crashed (SIGABRT) while it was being loaded; its last words: no \\u{1b}"),
        ("crash.so", "it crashed (SIGSEGV) while it was being loaded"),
        ("hang.so", "it did not come to an end within 10 s while it was being loaded"),
        ("exit.so", "it ended the process (status 0) while it was being loaded"),
        ("print.so", "it is not a pathspider plugin: it exports no pathspider_plugin_descriptor"),
        ("orphan.so", "it is not a pathspider plugin"),
        ("forge.so", "it ended the process (status 0) while it was being loaded"),
        ("close.so", "it ended the process (status 2) while it was being loaded"),
        ("flood.so", "it did not come to an end within 10 s"),
        ("regroup.so", "it did not come to an end within 10 s while it was being loaded"),
        ("undefined.so", "undefined symbol: nobody_has_this_function; rebuild it, or install"),
    ]
}

/// What this test's processes that should be killed are called.
fn name_of_left() -> String {
    format!("left{}", std::process::id())
}

/// The processes that are called so.
fn left() -> usize {
    let processes = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    let name = name_of_left() + "\n";
    let is_left =
        |path: &PathBuf| fs::read_to_string(path.join("comm")).is_ok_and(|called| called == name);
    processes.filter(is_left).count()
}

#[test]
fn listing_survives_every_file_and_names_its_fault() {
    let folder = temp_dir("survives");
    let faults = break_everything(&folder);
    fs::copy(built("plugins/ecn.so"), folder.join("good.so")).unwrap();
    fs::write(folder.join("ignored.so.bak"), "").unwrap();
    let end = list(&folder);
    end.expect(0, &[]);
    let good = format!("{}/good.so", folder.display());
    assert!(end.stdout.lines().any(|line| line.ends_with(&good)), "{}", end.stdout);
    assert!(!end.stdout.contains("forged") && !end.stderr.contains("ignored"), "{}", end.stderr);
    for text in [&end.stdout, &end.stderr] {
        assert!(!text.contains('\x1b'), "{text}");
    }
    for (name, fault) in &faults {
        let start = format!("pathspider: {}/{name} is rejected: ", folder.display());
        let line = end.stderr.lines().find(|line| line.starts_with(&start));
        assert!(line.is_some_and(|line| line.contains(fault)), "{name}: {line:?}");
    }
    let rejected = end.stderr.lines().filter(|line| line.contains(" is rejected: ")).count();
    assert_eq!(rejected, faults.len(), "{}", end.stderr);
    assert_eq!(left(), 0, "what a plugin started is killed with it");
    let folder = folder.to_str().unwrap();
    Program::run(&["--plugin-dir", folder, "measure", "nothing"])
        .expect(3, &["no plugin named \"nothing\""]);
}

#[test]
fn what_is_examined_does_not_outlive_the_program() {
    let folder = temp_dir("outlive");
    for (way, processes) in [("HANG", 1), ("ORPHAN_AND_HANG", 2)] {
        let called = format!("-DNAME=\"{}\"", name_of_left());
        let ways = [format!("-DWAY={way}"), called];
        compile("constructor", &ways.each_ref().map(String::as_str), folder.join("x.so"));
        let mut command = Program::command(&["check", "--rule", "loads"]);
        let mut child = command.arg(folder.join("x.so")).spawn().unwrap();
        wait_until("it is examined", || left() == processes);
        child.kill().unwrap();
        child.wait().unwrap();
        wait_until("what it left is gone", || left() == 0);
    }
}

#[test]
fn nothing_is_examined_twice() {
    let folder = temp_dir("cache");
    let (file, loaded) = (folder.join("counts.so"), folder.join("loaded"));
    let counted = format!("-DCOUNTED=\"{}\"", loaded.display());
    compile("constructor", &["-DWAY=COUNT", &counted], file.clone());
    let cache = folder.join("cache");
    for _ in 0..2 {
        let end = list_with(&folder, &cache);
        end.expect(0, &["counts.so is rejected: it is not a pathspider plugin"]);
        assert_eq!(fs::read_to_string(&loaded).unwrap(), "loaded\n");
    }
    // A file that is another one is examined anew.
    fs::copy(built("plugins/ecn.so"), &file).unwrap();
    let third = list_with(&folder, &cache);
    assert!(third.stdout.contains("counts.so") && !third.stderr.contains("rejected"), "{third:?}");
}

/// With fewer descriptors than there are files, plugins and others.
#[test]
fn a_thousand_files_in_a_folder_are_looked_at() {
    let folder = temp_dir("thousand");
    let file = |name: &str| folder.join(name);
    fs::write(file("0.so"), "no library").unwrap();
    (1..1_000).for_each(|n| fs::hard_link(file("0.so"), file(&format!("{n}.so"))).unwrap());
    fs::copy(built("plugins/ecn.so"), file("last-0.so")).unwrap();
    (1..60).for_each(|n| fs::hard_link(file("last-0.so"), file(&format!("last-{n}.so"))).unwrap());
    let few = |arguments: &[&str]| -> Ended {
        let program = Program::command(&[]);
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -n 48 && exec \"$@\"", "sh"]).arg(program.get_program());
        command.args(program.get_args()).arg("--plugin-dir").arg(&folder).args(arguments);
        command.env("XDG_CACHE_HOME", file("no-cache")).output().unwrap().into()
    };
    let end = few(&["--list-plugins"]);
    end.expect(0, &["999.so is rejected: it is no shared library"]);
    let rejected = end.stderr.lines().filter(|line| line.contains("it is no shared library"));
    assert_eq!(rejected.count(), 1_000);
    assert!(end.stdout.contains("last-0.so"), "{}", end.stdout);
    few(&["measure", "ecn", "--help"]).expect(0, &[]);
}

#[test]
fn a_fault_of_the_machine_is_not_remembered() {
    let folder = temp_dir("passing");
    let library = |name: &str| folder.join(name);
    compile("constructor", &["-DWAY=PRINT"], library("libneeded.so.1"));
    let (needed, place) = (library("libneeded.so.1"), folder.display().to_string());
    let needs = ["-DWAY=PRINT", "-Wl,--no-as-needed", needed.to_str().unwrap()];
    let rpath = format!("-Wl,-rpath,{place}");
    compile("constructor", &[&needs[..], &[&rpath]].concat(), library("needs.so"));
    let away = library("away");
    fs::rename(&needed, &away).unwrap();
    let cache = folder.join("cache");
    list_with(&folder, &cache).expect(0, &["needs.so is rejected: it cannot be loaded: "]);
    fs::rename(&away, &needed).unwrap();
    list_with(&folder, &cache).expect(0, &["needs.so is rejected: it is not a pathspider plugin"]);
}

#[test]
fn a_files_name_forges_nothing() {
    let folder = temp_dir("names");
    let name = "x\x1b[2J\nforged  1.0.0  A plugin that is none \u{202e}.so";
    fs::copy(built("plugins/ecn.so"), folder.join(name)).unwrap();
    fs::write(folder.join("\x1b[2J\nforged.so"), "").unwrap();
    let path = folder.to_str().unwrap();
    let run = |arguments: &[&str]| Program::run(&[&["--plugin-dir", path], arguments].concat());
    let shown = "x\\u{1b}[2J\\nforged  1.0.0  A plugin that is none \\u{202e}.so";
    for (arguments, shown) in [
        (&["--list-plugins"][..], shown),
        (&["--plugin-info", "ecn"], shown),
        (
            &["--list-plugins", "--json"],
            "x\\u001b[2J\\nforged  1.0.0  A plugin that is none \\u202e.so",
        ),
        (&["--plugin-info", "ecn", "--json"], "is none \\u202e.so"),
    ] {
        let end = run(arguments);
        end.expect(0, &[]);
        assert!(end.stdout.contains(shown), "{arguments:?}: {}", end.stdout);
        for text in [&end.stdout, &end.stderr] {
            assert!(!text.contains(['\x1b', '\u{202e}']), "{arguments:?}: {text}");
            assert!(!text.lines().any(|line| line.starts_with("forged")), "{arguments:?}: {text}");
        }
    }
}

#[test]
fn a_plugin_has_no_terminal_to_write_to() {
    let folder = temp_dir("terminal");
    compile("constructor", &["-DWAY=TERMINAL"], folder.join("terminal.so"));
    let program = Program::command(&["--list-plugins", "--plugin-dir"]);
    let words = std::iter::once(program.get_program()).chain(program.get_args());
    let words: Vec<String> = words.map(|word| word.to_str().unwrap().to_owned()).collect();
    // A terminal of its own: what is written there comes back.
    let line = format!("{} {}", words.join(" "), folder.display());
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    let end: Ended = command.stdin(std::process::Stdio::null()).output().unwrap().into();
    assert_eq!(end.status, 0, "{end:?}");
    assert!(end.stdout.contains("terminal.so is rejected"), "{end:?}");
    assert!(!end.stdout.contains("forged  1.0.0"), "{end:?}");
}

#[test]
fn a_folder_that_is_not_there_is_told() {
    let end = Program::run(&["--list-plugins", "--plugin-dir", "/nonexistent/plugins"]);
    end.expect(0, &["--plugin-dir /nonexistent/plugins: No such file or directory"]);
    let file = built("plugins/ecn.so");
    let end = Program::run(&["--list-plugins", "--plugin-dir", file.to_str().unwrap()]);
    end.expect(0, &["ecn.so: Not a directory"]);
}
