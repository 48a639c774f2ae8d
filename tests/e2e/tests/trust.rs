//! Trust: whose plugins become part of a program that has privileges.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use pathspider_e2e::{Ended, Program, built, temp_dir};

/// A folder with one plugin in it, and `None` where the test is not run by root.
fn folder(test: &str) -> Option<PathBuf> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root has files of different owners");
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
    assert!(folder.join(".cache/pathspider/plugins.json").exists());
    assert_eq!(list().stdout, first.stdout);
}

#[test]
fn a_program_with_privileges_of_its_own_searches_no_folder_of_its_users() {
    let Some(folder) = folder("trust-caps") else { return };
    let program = folder.join("pathspider");
    fs::copy(built("pathspider"), &program).unwrap();
    let set = Command::new("setcap").arg("cap_net_raw+ep").arg(&program).status();
    if !set.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: setcap does not work here");
        return;
    }
    chmod(&program, 0o755);
    let mut command = Command::new("setpriv");
    command.args(["--reuid=12345", "--regid=12345", "--clear-groups"]).arg(&program);
    command.args(["--list-plugins", "--insecure-plugins", "--plugin-dir"]).arg(&folder);
    let end: Ended = command.env("HOME", &folder).output().unwrap().into();
    end.expect(0, &["--plugin-dir, --insecure-plugins and PATHSPIDER_PLUGIN_PATH are ignored"]);
    assert!(!end.stdout.contains("x.so"), "{end:?}");
    assert!(!folder.join(".cache").exists());
}
