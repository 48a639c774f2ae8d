//! Without root: two capabilities are enough, and are given up when they are not needed any more.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use pathspider_e2e::{Network, built, network, skipped, temp_dir};

use crate::restoring::keeper;

/// A copy of the program with its plugins that anybody may read.
fn installed(name: &str) -> PathBuf {
    let folder = temp_dir(name);
    for (from, to) in [
        ("pathspider", "pathspider"),
        ("pathspider-fleet", "pathspider-fleet"),
        ("plugins/ecn.so", "plugins/ecn.so"),
        ("libmisbehaving.so", "plugins/misbehaving.so"),
    ] {
        let to = folder.join(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(built(from), to).unwrap();
    }
    let state = folder.join("home");
    fs::create_dir(&state).unwrap();
    let script = format!("chmod -R a+rX {0} && chown 65534 {0}/home", folder.display());
    assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
    folder
}

const NOBODY: &str = "setpriv --reuid=65534 --regid=65534 --clear-groups";
const AMBIENT: &str = "--inh-caps=-all,+net_raw,+net_admin --ambient-caps=+net_raw,+net_admin";

#[test]
fn two_capabilities_are_enough() {
    let Some(network) = network(3, 0) else { return };
    let before = network.settings();
    let folder = installed("two-capabilities");
    let (path, interface) = (folder.display(), network.interface());
    for plugin in ["ecn", "misbehaving"] {
        let script = format!(
            "cd {path}/home && exec env -u PATHSPIDER_STATE_DIR HOME={path}/home {NOBODY} {AMBIENT} \
             {path}/pathspider measure --allow-special -i {interface} --output x-{plugin} {plugin}"
        );
        network.script(&script, &network.jobs("clean")).expect(0, &["3 targets"]);
        assert_eq!(network.settings(), before, "{plugin}");
    }
    // The journal was in the user's own folder, and is gone.
    let state = folder.join("home/.local/state/pathspider");
    assert_eq!(fs::read_dir(state).unwrap().count(), 0);
}

#[test]
fn a_program_with_file_capabilities() {
    let Some(network) = network(3, 0) else { return };
    let before = network.settings();
    let folder = installed("file-capabilities");
    let (path, interface) = (folder.display(), network.interface());
    let set = format!("setcap cap_net_raw,cap_net_admin+ep {path}/pathspider");
    if !Command::new("sh").args(["-c", &set]).status().unwrap().success() {
        return skipped("the file system has no file capabilities");
    }
    let run = format!(
        "cd {path}/home && exec env HOME={path}/home {NOBODY} {path}/pathspider measure \
         --allow-special -i {interface}"
    );
    let clean = network.jobs("clean");
    // What cannot be promised then is said up front.
    let words = ["no journal of the changes is kept on the disk", "3 targets"];
    network.script(&format!("{run} ecn --connect tcp"), &clean).expect(0, &words);
    network.script(&format!("{run} misbehaving"), &clean).expect(0, &["3 targets"]);
    assert_eq!(network.settings(), before);
    // No journal of it is anywhere: a user could write one for it to follow.
    assert!(!folder.join("home/.local").exists());
    // So does a campaign, whose program has no capabilities, but starts the one that has. Killed, it leaves
    // nobody who measures: the next one waits for that.
    let text = "name = 'a'\ntargets = 't'\nallow_special = true\nrate = 2\nworkers = 1\n\
                [[measure]]\nplugin = 'ecn'\nconnect = 'tcp'\n";
    fs::write(folder.join("home/c.toml"), text).unwrap();
    fs::write(folder.join("home/t"), &clean).unwrap();
    let campaign = format!(
        "cd {path}/home && exec env HOME={path}/home {NOBODY} \
         {path}/pathspider campaign run c.toml --output out -i {interface}"
    );
    let killed = format!(
        "{campaign} & pid=$!; cd {path}/home; while ! [ -s out/here/0001/1-ecn/records.ndjson.zst ]; do sleep 0.1; done; \
         kill -9 $pid"
    );
    network.script(&killed, "");
    network.script(&campaign, "").expect(0, &["a: all runs are over"]);
    assert_eq!(network.settings(), before);
    let killed = format!("{run} ecn --connect tcp & sleep 2; kill -9 $!; sleep 1");
    network.script(&killed.replace("exec ", ""), &network.jobs("dead"));
    assert_eq!(network.settings(), before, "the keeper has it");
}

#[test]
fn a_program_with_file_capabilities_does_not_obey_its_users_environment() {
    if !rustix::process::geteuid().is_root() {
        return skipped("it needs root");
    }
    let folder = installed("environment");
    let program = folder.join("pathspider").display().to_string();
    let said = || {
        let script = format!(
            "cd {0}/home && exec env HOME={0}/home MIMALLOC_VERBOSE=1 mimalloc_show_stats=1 {NOBODY} \
             {program} --version",
            folder.display()
        );
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(said().contains("mimalloc"), "its user's own privileges: its user's own settings");
    let set = format!("setcap cap_net_raw,cap_net_admin+ep {program}");
    if !Command::new("sh").args(["-c", &set]).status().unwrap().success() {
        return skipped("the file system has no file capabilities");
    }
    assert_eq!(said(), "");
}

/// Waits until these are the threads of a process, each with these capabilities at most and for good.
/// A thread begins with its parent's name and capabilities.
fn expect_threads(pid: u32, mut expected: Vec<(&str, u64)>) {
    let thread = |entry: std::io::Result<fs::DirEntry>| {
        let status = fs::read_to_string(entry.ok()?.path().join("status")).ok()?;
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().to_owned()
        };
        let permitted = u64::from_str_radix(&field("CapPrm:"), 16).unwrap();
        Some((field("Name:"), permitted, field("NoNewPrivs:")))
    };
    expected.sort();
    let is_as_expected = |found: &(String, u64, String), expected: &(&str, u64)| {
        found.0 == expected.0 && found.1 == expected.1 && found.2 == "1"
    };
    let mut found = Vec::new();
    for _ in 0..400 {
        let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        found = threads.filter_map(thread).collect::<Vec<_>>();
        found.sort();
        if found.len() == expected.len()
            && found.iter().zip(&expected).all(|(found, expected)| is_as_expected(found, expected))
        {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("{found:x?} instead of {expected:x?}");
}

fn started(network: &Network, arguments: &str, folder: &std::path::Path) -> std::process::Child {
    let script = format!(
        "cd {0}/home && exec env HOME={0}/home {NOBODY} {AMBIENT} {0}/pathspider measure \
         --allow-special -i {1} {arguments}",
        folder.display(),
        network.interface()
    );
    let mut command = Command::new("sh");
    command.args(["-c", &script]).env_remove("PATHSPIDER_STATE_DIR").stdout(Stdio::null());
    network.start(command)
}

#[test]
fn what_is_not_needed_any_more_is_given_up() {
    let Some(network) = network(1, 0) else { return };
    let folder = installed("given-up");
    let arguments = "--resolve --max-runtime 1h --status-file status ecn";
    let mut run = started(&network, arguments, &folder);
    const NET_ADMIN: u64 = 1 << 12;
    // The first thread configures the system; the others have nothing to do with it.
    let others =
        ["feeder", "limit", "merger", "messages", "observer", "progress", "signals", "watchdog"];
    let threads = others.map(|name| (name, 0)).into_iter().chain([("pathspider", NET_ADMIN)]);
    expect_threads(run.id(), threads.collect());
    expect_threads(keeper(&run), vec![("pathspider-keep", NET_ADMIN)]);
    drop(run.stdin.take());
    assert!(run.wait().unwrap().success());
}
