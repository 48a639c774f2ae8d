//! Discovery: any file may lie in a plugin folder, and the others are found all the same. Those of
//! other versions are in `versions`.

use std::fs;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use pathspider_e2e::{Ended, Program, built, compile, temp_dir};

/// Lists the plugins of a folder, with a cache of its own.
fn list(folder: &Path) -> Ended {
    list_with(folder, &folder.join("no-cache"))
}

/// Lists with a cache in this folder. Root's is elsewhere, so that the test takes it away.
fn list_with(folder: &Path, cache: &Path) -> Ended {
    let mut command: Command = Program::command(&["--list-plugins"]);
    command.arg("--plugin-dir").arg(folder).env("XDG_CACHE_HOME", cache);
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
    ] {
        compile("constructor", &[way], folder.join(name));
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
        ("undefined.so", "undefined symbol: nobody_has_this_function; rebuild it, or install"),
    ]
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
    let folder = folder.to_str().unwrap();
    Program::run(&["--plugin-dir", folder, "measure", "nothing"])
        .expect(3, &["no plugin named \"nothing\""]);
}

#[test]
fn nothing_is_examined_twice() {
    let folder = temp_dir("cache");
    let slow = folder.join("slow.so");
    compile("constructor", &["-DWAY=HANG"], slow.clone());
    let cache = folder.join("cache");
    let timed = || {
        let start = Instant::now();
        let end = list_with(&folder, &cache);
        (end, start.elapsed())
    };
    let (first, first_took) = timed();
    first.expect(0, &["slow.so is rejected: it did not come to an end"]);
    let (second, second_took) = timed();
    second.expect(0, &["slow.so is rejected: it did not come to an end"]);
    assert!(second_took * 2 < first_took, "{second_took:?} after {first_took:?}");
    // A file that is another one is examined anew.
    fs::copy(built("plugins/ecn.so"), &slow).unwrap();
    let (third, _) = timed();
    assert!(third.stdout.contains("slow.so") && !third.stderr.contains("rejected"), "{third:?}");
}
