//! What the system refuses: to note a change, to make one, to take one back, to hear of it.

use std::fs;
use std::io::Write;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::Command;

use pathspider_e2e::{
    Ended, Network, Program, built, network, state_dir, temp_dir, unread_messages, wait_until,
};
use rustix::process::Signal;

use super::{changed, first_message, journals, keeper, kill};

/// A run with these variables and limits, at most for a minute; it ends before it measures.
fn refused(network: &Network, prepare: &str, plugin: &str) -> Ended {
    let plugins = built("").display().to_string();
    let script = format!(
        "{prepare}\nexec timeout 60 $PATHSPIDER measure --allow-special --plugin-dir {plugins} \
         -i {} {plugin}",
        network.interface()
    );
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &script]).env("PATHSPIDER", built("pathspider"));
    command.env("PATHSPIDER_STATE_DIR", state_dir());
    network.run(command, &network.jobs("clean"))
}

#[test]
fn what_cannot_be_noted_is_not_changed() {
    let Some(network) = network(1, 0) else { return };
    let before = network.settings();
    let folder = temp_dir("full").display().to_string();
    let full = format!(
        "mount -t tmpfs -o size=8k tmpfs {folder}; export PATHSPIDER_STATE_DIR={folder}/state; \
         mkdir -m 700 {folder}/state; dd if=/dev/zero of={folder}/zeros bs=4k 2>/dev/null"
    );
    let read_only =
        format!("mount -t tmpfs -o ro tmpfs {folder}; export PATHSPIDER_STATE_DIR={folder}/state");
    // A limit of half a KiB: the journal's head gets there, and not all changes.
    let limit = "trap '' XFSZ; ulimit -f 1";
    for (prepare, plugin, word) in [
        ("export PATHSPIDER_STATE_DIR=/proc/nowhere", "ecn", "/proc/nowhere"),
        (&full, "ecn", "No space left"),
        (&read_only, "ecn", "Read-only file system"),
        (limit, "misbehaving", "File too large"),
    ] {
        let end = refused(&network, prepare, plugin);
        end.expect(1, &["cannot note how to undo a change", word, "PATHSPIDER_STATE_DIR names"]);
        assert!(end.records().is_empty(), "{}", end.stdout);
        assert_eq!(network.settings(), before, "{word}");
    }
    assert_eq!(journals(), 0);
}

#[test]
fn a_firewall_table_of_somebody_elses_is_left_alone() {
    let Some(network) = network(1, 0) else { return };
    network.script("nft add table inet pathspider", "").expect(0, &[]);
    let before = network.settings();
    let end = refused(&network, "", "misbehaving");
    end.expect(1, &["there is a table inet pathspider already"]);
    assert_eq!(network.settings(), before);
    assert!(before.contains("table inet pathspider"));
}

/// What comes of a run of a plugin in whose middle a script is run.
fn interfered(network: &Network, plugin: &str, script: &str, output: &str) -> Ended {
    let plugins = built("").display().to_string();
    let script = format!(
        "exec 3<&0; $PATHSPIDER measure --allow-special --plugin-dir {plugins} --output {output} \
         -i {} {plugin} <&3 & run=$!
         until ip route show type blackhole | grep -q 203 || grep -q 0 \
             /proc/sys/net/ipv4/tcp_ecn_fallback; do sleep 0.05; done
         {script}
         wait $run",
        network.interface()
    );
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &script]).env("PATHSPIDER", built("pathspider"));
    command.env("PATHSPIDER_STATE_DIR", state_dir());
    network.run(command, &(network.jobs("clean") + &network.jobs("dead")))
}

#[test]
fn a_setting_that_the_system_does_not_take_back_fails_the_run() {
    let Some(network) = network(3, 0) else { return };
    let before = network.settings();
    let path = temp_dir("refused").join("out.ndjson").display().to_string();
    // From now on, no parameter can be opened for writing in the run's view.
    let read_only = "mount --bind /proc/sys /proc/sys; mount -o remount,ro,bind /proc/sys";
    let end = interfered(&network, "ecn --connect tcp --timeout 5", read_only, &path);
    let words = ["not all of the system's settings are restored", "set net.ipv4.tcp_ecn_fallback"];
    end.expect(1, &words);
    let metadata = fs::read_to_string(format!("{path}.meta.json")).unwrap();
    assert!(metadata.contains(words[0]), "the metadata says why the run ended");
    assert_ne!(network.settings(), before);
    assert_eq!(journals(), 1);
    network.script("$PATHSPIDER restore", "").expect(0, &["restored after the ecn run of"]);
    assert_eq!(network.settings(), before);
    assert_eq!(journals(), 0);
}

#[test]
fn an_undo_that_does_not_end_holds_up_no_other_and_fails_the_run() {
    let Some(network) = network(3, 0) else { return };
    let before = network.settings();
    let folder = temp_dir("undo-hangs").display().to_string();
    // From now on, the command that undoes it does not end, and does not listen.
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *' del '*) trap '' TERM; while :; do sleep 1000; done;; esac\n\
         exec {folder}/real-ip \"$@\"\n"
    );
    fs::write(format!("{folder}/ip"), script).unwrap();
    let hangs = format!(
        "real=$(readlink -f $(command -v ip)); cp $real {folder}/real-ip; chmod +x {folder}/ip
         mount --bind {folder}/ip $real"
    );
    let end = interfered(&network, "misbehaving", &hangs, &format!("{folder}/out.ndjson"));
    end.expect(1, &["not all of the system's settings are restored", "did not end in 20 seconds"]);
    assert_eq!(network.settings(), format!("{before}blackhole 203.0.113.0/24 \n"), "the rest is");
    assert_eq!(journals(), 1);
    network.script("$PATHSPIDER restore", "").expect(0, &["`ip route del 203.0.113.0/24` was run"]);
    assert_eq!((network.settings(), journals()), (before, 0));
}

#[test]
fn a_command_that_does_not_undo_its_change_fails_the_run_and_is_tried_again() {
    let Some(network) = network(3, 0) else { return };
    let before = network.settings();
    // From now on, the program that undoes it fails.
    let broken = "mount --bind /bin/false $(readlink -f $(command -v ip));";
    for forgotten in [false, true] {
        let name = format!("undo-{forgotten}");
        let path = temp_dir(&name).join("out.ndjson").display().to_string();
        let end = interfered(&network, "misbehaving", broken, &path);
        end.expect(1, &["not all of the system's settings are restored", "ip route del 203"]);
        assert_eq!(
            network.settings(),
            format!("{before}blackhole 203.0.113.0/24 \n"),
            "the rest is"
        );
        assert_eq!(journals(), 1);
        let again = |options: &str| {
            let script = format!("unshare -m sh -c '{broken} $PATHSPIDER restore {options}'");
            network.script(&script, "").expect(1, &["could not undo a change: `ip route del 203"]);
        };
        again("");
        assert_eq!(journals(), 1, "it stays");
        if forgotten {
            again("--forget");
            network.script("ip route del 203.0.113.0/24", "").expect(0, &[]);
        } else {
            network.script("$PATHSPIDER restore", "").expect(0, &["`ip route del 203"]);
        }
        assert_eq!(network.settings(), before);
        assert_eq!(journals(), 0);
    }
}

#[test]
fn a_standard_error_that_nobody_reads_keeps_neither_lock_nor_journal() {
    let Some(network) = network(3, 0) else { return };
    let before = network.settings();
    let mut run = network.start(unread_messages(&format!(
        "exec $PATHSPIDER measure --allow-special --quiet -i {} ecn --connect tcp",
        network.interface()
    )));
    let jobs = network.jobs("clean") + &network.jobs("dead");
    run.stdin.take().unwrap().write_all(jobs.as_bytes()).unwrap();
    wait_until("settings are changed", || changed(&network));
    let keeper = keeper(&run);
    run.kill().unwrap();
    run.wait().unwrap();
    wait_until("settings are restored", || network.settings() == before && journals() == 0);
    let next = network.measure(&["ecn", "--connect", "tcp"], &network.jobs("clean"));
    next.expect(0, &["3 targets"]);
    assert!(!next.stderr.contains("waiting for"), "{}", next.stderr);
    wait_until("the keeper is gone", || {
        !std::path::Path::new(&format!("/proc/{keeper}/fd/2")).exists()
    });
}

#[test]
fn somebody_who_is_no_run_has_the_lock() {
    let Some(network) = network(3, 0) else { return };
    let name = SocketAddr::from_abstract_name("pathspider.configures").unwrap();
    let theirs = network.enter(|| UnixListener::bind_addr(&name).unwrap());
    let ecn = ["ecn", "--connect", "tcp"];
    let mut command = Program::command(&["measure", "--allow-special", "-i", network.interface()]);
    command.args(ecn);
    let mut waiting = network.start(command);
    let said = first_message(&mut waiting);
    assert!(said.contains(&format!("waiting for process {}", std::process::id())), "{said}");
    kill(waiting.id(), Signal::INT);
    Ended::from(waiting.wait_with_output().unwrap()).expect(10, &["told to stop"]);
    // Who changes nothing need not wait.
    network.measure(&["mss", "--connect", "tcp"], &network.jobs("clean")).expect(0, &["3 targets"]);
    drop(theirs);
    network.measure(&ecn, &network.jobs("clean")).expect(0, &["3 targets"]);
}
