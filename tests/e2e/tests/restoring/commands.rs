//! Commands that make a run's changes: what becomes of those that outlive it, fail, or are not
//! known to have ended.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use pathspider_e2e::{Network, built, network, state_dir, temp_dir, wait_until};
use rustix::process::Signal;

use super::{journals, kill, kill_keeper, standard_error};

/// A folder with a program `nft` that does this first; then the real one does the work.
fn with_nft(test: &str, script: &str) -> PathBuf {
    let folder = temp_dir(test);
    let (path, real) = (folder.join("nft"), "/usr/sbin/nft");
    assert!(Path::new(real).exists());
    fs::write(&path, format!("#!/bin/sh\n{script}\nexec {real} \"$@\"\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// A run of a plugin that sets parameters, firewall rules and routes; it finds programs here first.
fn run(network: &Network, folder: &Path) -> Child {
    let script = format!(
        "PATH={}:$PATH exec $PATHSPIDER measure --allow-special --plugin-dir {} -i {} -w 1 misbehaving",
        folder.display(),
        built("").display(),
        network.interface()
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).env("PATHSPIDER", built("pathspider"));
    shell.env("PATHSPIDER_STATE_DIR", state_dir());
    let mut run = network.start(shell);
    run.stdin.as_mut().unwrap().write_all(network.jobs("clean").as_bytes()).unwrap();
    run
}

#[test]
fn what_a_command_changes_after_its_run_was_killed_is_undone() {
    let Some(network) = network(1, 0) else { return };
    let before = network.settings();
    // It works for two seconds more.
    let folder = with_nft("slow-nft", "case \"$*\" in *'create table'*) >$0.began; sleep 2;; esac");
    let began = folder.join("nft.began");
    for keeper_too in [false, true] {
        let mut killed = run(&network, &folder);
        wait_until("the command is at work", || began.exists());
        fs::remove_file(&began).unwrap();
        if keeper_too {
            kill_keeper(&killed);
        }
        killed.kill().unwrap();
        if keeper_too {
            killed.wait().unwrap();
            network.script("$PATHSPIDER restore", "").expect(0, &["the firewall table pathspider"]);
        } else {
            let said = standard_error(&mut killed);
            killed.wait().unwrap();
            assert!(said.contains("restored: the firewall table pathspider is gone"), "{said}");
        }
        assert_eq!((network.settings(), journals()), (before.clone(), 0), "{keeper_too}");
    }
}

#[test]
fn commands_are_waited_for_where_children_are_ignored() {
    let Some(network) = network(2, 0) else { return };
    let before = network.settings();
    let script = format!(
        "exec env --ignore-signal=CHLD $PATHSPIDER measure --allow-special --plugin-dir {} -i {} \
         misbehaving",
        built("").display(),
        network.interface()
    );
    network.script(&script, &network.jobs("clean")).expect(0, &["2 targets"]);
    assert_eq!((network.settings(), journals()), (before, 0));
}

#[test]
fn a_table_of_somebody_elses_is_left_alone_whatever_nft_says() {
    let Some(network) = network(1, 0) else { return };
    network
        .script("nft 'add table inet pathspider; add chain inet pathspider mine'", "")
        .expect(0, &[]);
    let before = network.settings();
    assert!(before.contains("chain mine"));
    for (says, word) in [
        // It cannot look; and somebody makes the table just after it has looked.
        ("[ \"$1\" != list ] || { echo no memory >&2; exit 1; }", "no memory"),
        ("[ \"$1\" != list ] || exit 0", "File exists"),
    ] {
        let folder = with_nft("table", says);
        let mut refused = run(&network, &folder);
        let said = standard_error(&mut refused);
        assert_eq!(refused.wait().unwrap().code(), Some(1), "{said}");
        assert!(said.contains(word), "{said}");
        assert_eq!((network.settings(), journals()), (before.clone(), 0), "{word}");
    }
}

#[test]
fn no_rules_are_no_table() {
    let Some(network) = network(3, 0) else { return };
    let before = network.settings();
    // What tables there are after each call.
    let folder = with_nft(
        "no-rules",
        "/usr/sbin/nft \"$@\"; status=$?; echo $(/usr/sbin/nft list tables inet) >>$0.log; exit $status",
    );
    let mut run = run(&network, &folder);
    drop(run.stdin.take());
    assert!(run.wait().unwrap().success());
    assert_eq!(network.settings(), before);
    let log = fs::read_to_string(folder.join("nft.log")).unwrap();
    // The look, rules for the first target's second connection, none for the next one's first.
    let states: Vec<&str> = log.lines().collect();
    let table = "table inet pathspider";
    assert_eq!(states, ["", table, "", table, "", table, ""], "{log}");
}

#[test]
fn what_a_command_leaves_behind_is_not_waited_for_long() {
    let Some(network) = network(1, 0) else { return };
    let before = network.settings();
    // It keeps what shows that the command works, as a service that the command has started may.
    let leave = "[ -e $0.pid ] || { exec 3<&0; sleep 1000 >/dev/null 2>&1 & echo $! >$0.pid; }";
    let folder = with_nft("left", &format!("case \"$*\" in *'create table'*) {leave};; esac"));
    let mut killed = run(&network, &folder);
    wait_until("there are rules", || network.settings().contains("table inet pathspider"));
    kill_keeper(&killed);
    killed.kill().unwrap();
    killed.wait().unwrap();
    let words = ["waiting for a command", "the firewall table pathspider", "still goes on"];
    network.script("$PATHSPIDER restore", "").expect(0, &words);
    assert_eq!((network.settings(), journals()), (before, 0));
    let left = fs::read_to_string(folder.join("nft.pid")).unwrap();
    kill(left.trim().parse().unwrap(), Signal::KILL);
}
