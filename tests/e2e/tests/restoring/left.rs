//! Journals that are found: who may touch them, and when.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Child;

use pathspider_e2e::{Network, Program, built, network, state_dir, wait_until};
use serde_json::Value;

use super::{journals, kill_keeper};

#[test]
fn a_journal_that_cannot_be_read_is_told_and_stays() {
    let begun = state_dir().join("begun.journal");
    let other = state_dir().join("other.journal");
    let open = state_dir().join("open.journal");
    fs::write(&begun, "").unwrap();
    fs::write(&other, "{\"format\":2}\n{\"sysctl\":{}}\n").unwrap();
    fs::write(&open, "{}\n").unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o666)).unwrap();
    let paths = [&begun, &other, &open].map(|path| path.display().to_string());
    let words = paths.each_ref().map(String::as_str);
    for (arguments, status) in [(vec!["restore"], 1), (vec!["restore", "--forget"], 1)] {
        Program::run(&arguments).expect(status, &words);
    }
    let other_start = Program::run(&["--list-plugins"]);
    other_start.expect(0, &words);
    other_start.expect(0, &["others may write to it", "are not restored; the file stays"]);
    assert_eq!(journals(), 3);
}

/// A run whose changes are undone by a command too, killed with its keeper.
pub(crate) fn killed(network: &Network) {
    let plugins = built("").display().to_string();
    let mut command = Program::command(&["measure", "--allow-special", "--plugin-dir", &plugins]);
    command.args(["-i", network.interface(), "misbehaving"]);
    let mut run = network.start(command);
    run.stdin.as_mut().unwrap().write_all(network.jobs("clean").as_bytes()).unwrap();
    let route = || network.script("ip route show type blackhole", "").stdout;
    wait_until("there is a route", || route().contains("203.0.113.0/24"));
    kill_keeper(&run);
    run.kill().unwrap();
    run.wait().unwrap();
}

/// A journal of a run under way, which takes long to read, and is read last.
fn long_journal() {
    let journal = fs::read_dir(state_dir()).unwrap().next().unwrap().unwrap().path();
    let text = fs::read_to_string(journal).unwrap();
    let mut head: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    // The 22nd field; the third is the first one after the name.
    let start = stat.rsplit_once(") ").unwrap().1.split(' ').nth(22 - 3).unwrap();
    head["process"]["pid"] = std::process::id().into();
    head["process"]["start"] = start.parse::<u64>().unwrap().into();
    let text = format!("{head}\n{}", "\n".repeat(3_000_000));
    fs::write(state_dir().join("z.journal"), text).unwrap();
}

#[test]
fn what_several_starts_find_is_undone_once() {
    let Some(network) = network(3, 0) else { return };
    let before = network.settings();
    killed(&network);
    long_journal();
    let start = |_| network.start(Program::command(&["restore"]));
    let starts: Vec<Child> = (0..6).map(start).collect();
    let mut undone = 0;
    for start in starts {
        let end = start.wait_with_output().unwrap();
        let said = String::from_utf8(end.stderr).unwrap();
        assert!(end.status.success(), "{said}");
        undone += said.matches("`ip route del 203.0.113.0/24` was run").count();
    }
    assert_eq!(undone, 1);
    assert_eq!((network.settings(), journals()), (before, 1));
}
