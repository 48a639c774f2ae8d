//! Trust: whose plugins become part of a program that has privileges.

use std::fs::{self, File, Permissions};
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pathspider_e2e::{Ended, Program, built, compile, skipped, temp_dir};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

/// A folder with one plugin in it, and `None` where the test is not run by root.
fn folder(test: &str) -> Option<PathBuf> {
    if !rustix::process::geteuid().is_root() {
        skipped("only root has files of different owners");
        return None;
    }
    let folder = temp_dir(test);
    fs::copy(built("plugins/ecn.so"), folder.join("x.so")).unwrap();
    fs::set_permissions(folder.join("x.so"), Permissions::from_mode(0o644)).unwrap();
    Some(folder)
}

fn list(folder: &Path, more: &[&str]) -> Ended {
    let mut command = Program::command(&["--list-plugins"]);
    command.arg("--plugin-dir").arg(folder).args(more).output().unwrap().into()
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn root_takes_no_file_that_another_could_have_written() {
    let Some(folder) = folder("trust-owner") else { return };
    let file = folder.join("x.so");
    let accepted = |end: &Ended| end.stdout.contains(&format!("{}\n", file.display()));
    assert!(accepted(&list(&folder, &[])));
    let refused = |words: &[&str]| {
        let end = list(&folder, &[]);
        end.expect(0, words);
        assert!(!accepted(&end), "{}", end.stdout);
        let waived = list(&folder, &["--insecure-plugins"]);
        waived.expect(0, &["WARNING: --insecure-plugins"]);
        assert!(accepted(&waived), "{}", waived.stderr);
        let name = folder.to_str().unwrap();
        Program::run(&["measure", "--plugin-dir", name, "-i", "lo", "x"]).expect(4, words);
    };
    chown(&file, Some(12345), None).unwrap();
    refused(&["x.so belongs to user 12345", "install -m 644"]);
    chown(&file, Some(0), None).unwrap();
    chmod(&file, 0o664);
    refused(&["x.so can be written by others", "chmod go-w"]);
    chmod(&file, 0o644);
    chown(&folder, Some(12345), None).unwrap();
    refused(&["the folder", "belongs to user 12345"]);
    chown(&folder, Some(0), None).unwrap();
    chmod(&folder, 0o777);
    refused(&["the folder", "can be written by others", "mode 777"]);
    chmod(&folder, 0o755);
    assert!(accepted(&list(&folder, &[])));
}

#[test]
fn an_ordinary_user_takes_their_own_plugins() {
    let Some(folder) = folder("trust-user") else { return };
    chown(&folder, Some(12345), None).unwrap();
    // The program, too, where such a user can get at it.
    let program = folder.join("pathspider");
    fs::copy(built("pathspider"), &program).unwrap();
    chmod(&program, 0o755);
    let list = || -> Ended {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=12345", "--regid=12345", "--clear-groups"]).arg(&program);
        command.arg("--list-plugins").arg("--plugin-dir").arg(&folder).env("HOME", &folder);
        command.output().unwrap().into()
    };
    let first = list();
    first.expect(0, &[]);
    assert!(first.stdout.contains("x.so"), "{first:?}");
    assert_eq!(fs::read_dir(folder.join(".cache/pathspider")).unwrap().count(), 1);
    assert_eq!(list().stdout, first.stdout);
}

#[test]
fn a_program_with_privileges_of_its_own_searches_no_folder_of_its_users() {
    let Some(folder) = folder("trust-caps") else { return };
    let Some(program) = privileged(&folder, "cap_net_raw+ep") else { return };
    let mut command = Command::new("setpriv");
    command.args(["--reuid=12345", "--regid=12345", "--clear-groups"]).arg(&program);
    command.args(["--list-plugins", "--insecure-plugins", "--plugin-dir"]).arg(&folder);
    let end: Ended = command.env("HOME", &folder).output().unwrap().into();
    end.expect(0, &["--plugin-dir, --insecure-plugins and PATHSPIDER_PLUGIN_PATH are ignored"]);
    assert!(!end.stdout.contains("x.so"), "{end:?}");
    assert!(!folder.join(".cache").exists());
}

/// A copy of the program that has privileges of its own, which anybody may run.
fn privileged(folder: &Path, capabilities: &str) -> Option<PathBuf> {
    let program = folder.join("pathspider");
    fs::copy(built("pathspider"), &program).unwrap();
    let set = Command::new("setcap").arg(capabilities).arg(&program).status();
    if !set.is_ok_and(|status| status.success()) {
        skipped("setcap does not work here");
        return None;
    }
    chmod(&program, 0o755);
    Some(program)
}

const NOBODY: [&str; 4] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

/// Starts the program as nobody in the role in which it loads plugins, and gives it an order as
/// anybody could who may run it.
fn order(start: &[&str], program: &Path, task: &str, library: &Path) -> Ended {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let words = [start, &NOBODY].concat();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).arg(program).arg("plugin-child-of-pathspider");
    command.stdin(OwnedFd::from(theirs)).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let line = format!("{{\"task\":{task},\"name\":\"x.so\",\"nonce\":\"7\"}}\n");
    let file = File::open(library).unwrap();
    let files = [file.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut passed = SendAncillaryBuffer::new(&mut space);
    passed.push(SendAncillaryMessage::ScmRights(&files));
    sendmsg(&ours, &[IoSlice::new(line.as_bytes())], &mut passed, SendFlags::empty()).unwrap();
    child.wait_with_output().unwrap().into()
}

#[test]
fn nobody_gets_the_privileges_of_the_programs_file_by_a_library_of_their_own() {
    let Some(folder) = folder("trust-child") else { return };
    chmod(&folder, 0o755);
    let Some(program) = privileged(&folder, "cap_net_raw,cap_net_admin+ep") else { return };
    let own = compile("constructor", &["-DWAY=REPORT"], folder.join("own.so"));
    chown(&own, Some(65534), None).unwrap();
    let roots = compile("constructor", &["-DWAY=REPORT"], folder.join("roots.so"));
    chmod(&roots, 0o644);
    let writable = compile("constructor", &["-DWAY=REPORT"], folder.join("writable.so"));
    chmod(&writable, 0o666);
    // Who is in a changed root may make no namespace: unshare(2), EPERM.
    let root = folder.join("root");
    fs::create_dir(&root).unwrap();
    let changed = format!("mount --rbind / {0} && exec chroot {0} \"$@\"", root.display());
    let changed_root = ["unshare", "-m", "sh", "-c", &changed, "sh"];
    let check = "{\"Check\":{\"rule\":\"loads\",\"seed\":1,\"options\":[]}}";
    for start in [&[][..], &changed_root] {
        for task in ["\"Examine\"", check] {
            for refused in [&own, &writable] {
                let end = order(start, &program, task, refused);
                assert!(!end.stderr.contains("reported"), "{task}: it was loaded: {end:?}");
                assert_eq!(end.status, 2, "{task}: {end:?}");
            }
            let end = order(start, &program, task, &roots);
            // In a namespace of their own, nobody is root: there anybody has capabilities.
            let apart = end.stderr.contains("reported          0      65534          1\n");
            assert!(!apart || (start.is_empty() && task == check), "{task}: {end:?}");
            for set in ["CapEff", "CapPrm"] {
                let none = format!("reported {set}:\t0000000000000000\n");
                assert!(apart || end.stderr.contains(&none), "{task}: {end:?}");
            }
        }
    }
}
