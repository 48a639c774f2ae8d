//! The units for systemd, with a real one that is booted at the vantage point, in namespaces of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use pathspider_e2e::{built, state_dir, wait_until};

use super::rig::{Fleet, Nats};
use crate::restoring::left::killed;

const UNIT: &str = "pathspider-agent@zurich.service";

fn units() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../host/systemd")
}

/// What `systemd-analyze security` may say at the most, in tenths: without any hardening it is 96.
const MOST_EXPOSED: &str = "30";

#[test]
fn systemd_takes_the_units_as_they_are_and_finds_them_hardened() {
    let folder = pathspider_e2e::temp_dir("units");
    let name = ["pathspider-agent@zurich.service", "pathspider-restore.service"];
    for (file, name) in ["pathspider-agent@.service", "pathspider-restore.service"].iter().zip(name)
    {
        let text = fs::read_to_string(units().join(file)).unwrap();
        let beside = built("pathspider").parent().unwrap().display().to_string();
        fs::write(folder.join(name), text.replace("@PREFIX@/bin", &beside)).unwrap();
    }
    let analyze = |words: &[&str]| {
        let mut command = Command::new("systemd-analyze");
        match command.args(words).current_dir(&folder).output() {
            Ok(output) => Some(pathspider_e2e::Ended::from(output)),
            Err(error) => {
                pathspider_e2e::skipped(format!("systemd-analyze: {error}"));
                None
            }
        }
    };
    let verify = [&["verify", "--man=no"][..], &name.map(|name| name)].concat();
    let Some(end) = analyze(&verify) else { return };
    end.expect(0, &[]);
    let ours = end.stderr.lines().filter(|line| line.contains("pathspider"));
    assert_eq!(ours.count(), 0, "{}", end.stderr);
    for name in name {
        let words = ["security", "--no-pager", "--offline=yes", "--threshold", MOST_EXPOSED, name];
        analyze(&words).unwrap().expect(0, &[]);
    }
}

/// A systemd; it ends with this, and leaves no control group.
struct Systemd {
    child: Child,
    group: String,
    given: PathBuf,
}

impl Systemd {
    fn said(&self) -> String {
        fs::read_to_string(self.given.join("said")).unwrap_or_default()
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // The kernel ends its processes one by one.
        let script = "for group in /sys/fs/cgroup/$0 /sys/fs/cgroup/*/$0; do \
                      test -d $group || continue; tries=100; \
                      while find $group -depth -type d -exec rmdir {} + 2>/dev/null; \
                      test -d $group && test $tries -gt 0; do tries=$((tries - 1)); sleep 0.05; done; done";
        let _ = Command::new("sh").args(["-c", script, &self.group]).status();
    }
}

/// A run has left settings, and a command's change, which the unit for the boot undoes.
#[test]
fn a_real_systemd_runs_the_agent_with_two_capabilities_and_ends_it_in_order() {
    if !Path::new("/lib/systemd/systemd").exists() {
        return pathspider_e2e::skipped("systemd is not installed");
    }
    let Some(fleet) = Fleet::new("fleet-units", 2, Nats::Current, &["--vantage", "zurich"]) else {
        return;
    };
    let given = fleet.folder.join("given");
    for folder in ["prefix/bin/plugins", "etc", "units", "journals"] {
        fs::create_dir_all(given.join(folder)).unwrap();
    }
    for program in ["pathspider", "pathspider-fleet", "plugins/dscp.so"] {
        fs::copy(built(program), given.join("prefix/bin").join(program)).unwrap();
    }
    for unit in fs::read_dir(units()).unwrap() {
        let unit = unit.unwrap().path();
        fs::copy(&unit, given.join("units").join(unit.file_name().unwrap())).unwrap();
    }
    fs::copy(fleet.folder.join("nats/zurich.nk"), given.join("etc/zurich.nk")).unwrap();
    let (port, interface) = (fleet.port(), fleet.network.interface());
    let environment = format!("SERVER=nats://127.0.0.1:{port}\nOPTIONS=-i {interface}\n");
    fs::write(given.join("etc/zurich.env"), environment).unwrap();
    let before = fleet.network.settings();
    killed(&fleet.network);
    assert_ne!(fleet.network.settings(), before);
    for journal in fs::read_dir(state_dir()).unwrap() {
        let journal = journal.unwrap().path();
        fs::rename(&journal, given.join("journals").join(journal.file_name().unwrap())).unwrap();
    }
    let boot = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fleet/units/boot.sh");
    let group = format!("pathspider-test-{}", std::process::id());
    let mut command = Command::new("sh");
    command.args([boot, &given.display().to_string(), &group, UNIT]);
    let child = fleet.network.start(command);
    let mut systemd = Systemd { child, group, given: given.clone() };
    wait_until("a systemd is booted, or cannot be here", || {
        given.join("said").exists() || systemd.child.try_wait().unwrap().is_some()
    });
    if let Some(status) = systemd.child.try_wait().unwrap() {
        // Not each container lets one make control groups and mounts.
        return eprintln!("SKIPPED: no systemd can be booted here: {status}");
    }
    wait_until("what was left behind is undone", || fleet.network.settings() == before);
    let text = "name = 'one'\ntargets = 'targets.ndjson'\nallow_special = true\n[[measure]]\n\
                plugin = 'dscp'\nconnect = 'tcp'\ntimeout = 2\n";
    fleet.submit(text, "2");
    let collected = fleet.folder.join("out").display().to_string();
    wait_until(&format!("the agent has measured: {}", systemd.said()), || {
        fleet.results("one") == 1
    });
    let end = fleet.patiently(&["collect", "one", "--wait", "--output", &collected]);
    end.expect(0, &["2 records"]);
    fs::write(given.join("stop"), "").unwrap();
    wait_until("the agent has ended", || given.join("ended").exists());
    let ended = fs::read_to_string(given.join("ended")).unwrap();
    let lines: Vec<&str> = ended.split_whitespace().collect();
    let expected = [
        "Result=success",
        "ExecMainStatus=10",
        "ActiveState=inactive",
        "Result=success",
        "ExecMainStatus=0",
    ];
    assert_eq!(lines, expected, "{}", systemd.said());
}
