//! `probe`: every measurement that is installed, on one page.

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use pathspider_e2e::{
    Ended, Network, built, network, path, skipped, state_dir, temp_dir, wait_until,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// An installation of these files alone, which anybody may run.
fn installed(name: &str, plugins: &[&str]) -> PathBuf {
    let folder = temp_dir(name);
    fs::create_dir_all(folder.join("plugins")).unwrap();
    fs::copy(built("pathspider"), folder.join("pathspider")).unwrap();
    for plugin in plugins {
        let from = match *plugin {
            "misbehaving" => built("libmisbehaving.so"),
            ours => built(&format!("plugins/{ours}.so")),
        };
        fs::copy(from, folder.join(format!("plugins/{plugin}.so"))).unwrap();
    }
    let script = format!("chmod -R a+rX {}", folder.display());
    assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
    folder
}

/// Runs a probe with such an installation.
fn probe(network: &Network, folder: &std::path::Path, arguments: &str) -> Ended {
    let script = format!(
        "exec {}/pathspider probe --allow-special --timeout 0.5 {arguments}",
        folder.display()
    );
    network.script(&script, "")
}

fn first(network: &Network, path: &str) -> String {
    network.targets(path)[0].to_string()
}

#[test]
fn a_page_says_what_each_path_carries_and_nothing_is_left_changed() {
    let Some(network) = network(1, 1) else { return };
    let before = network.settings();
    let folder = installed("probe", &["ecn", "dscp", "evilbit", "udpzero"]);
    let targets = [network.targets("clean"), network.targets("ecn-syn-dropped")].concat();
    let words: Vec<String> = targets.iter().map(ToString::to_string).collect();
    // Nobody answers queries there.
    let words = words.join(" ");
    let impaired = probe(&network, &folder, &format!("--rounds 2 {words}"));
    impaired.expect(14, &[]);
    let page = &impaired.stdout;
    let blocks: Vec<&str> = page.split("\n\n").collect();
    assert_eq!(blocks.len(), targets.len() + 1, "{page}");
    for (address, block) in targets.iter().zip(&blocks) {
        assert_eq!(block.lines().next(), Some(&*address.to_string()), "{page}");
        let is_clean = block.contains("  ✓ ecn ");
        assert_eq!(is_clean, network.targets("clean").contains(address), "{page}");
        assert!(is_clean || block.contains("  ✗ ecn "), "{page}");
        assert!(is_clean || block.contains("✗ ecn.connectivity.broken: "), "{page}");
        let place = "where: Packets with ecn are dropped between hops 1 and 2";
        assert_eq!(block.contains(place), !is_clean, "{page}");
        assert!(block.contains("  ✓ dscp ") && block.contains("  ? udpzero "), "{page}");
        let has_flag = block.contains("  ✓ evilbit ");
        assert_eq!(has_flag, address.is_ipv4(), "{page}");
        assert!(has_flag || block.contains("not for this target: evilbit"), "{page}");
    }
    assert!(blocks[targets.len()].contains("2 impaired (✗)"), "{page}");
    let clean = format!("--rounds 2 --json {}:80", first(&network, "clean"));
    let clean = probe(&network, &folder, &clean);
    clean.expect(0, &[]);
    let said: Value = serde_json::from_str(&clean.stdout).unwrap();
    let measurements = said["targets"][0]["measurements"].as_array().unwrap();
    let names: Vec<&str> = measurements.iter().map(|m| m["plugin"].as_str().unwrap()).collect();
    assert_eq!(names, ["dscp", "ecn", "evilbit"], "a query to port 80 says nothing");
    for one in measurements {
        assert_eq!((&one["verdict"], &one["rounds"]), (&"good".into(), &2.into()), "{one}");
    }
    assert_eq!((&said["impaired"], &said["stopped"]), (&false.into(), &false.into()));
    assert_eq!(network.settings(), before);
}

#[test]
fn a_dead_target_has_no_verdict_and_is_not_waited_for_in_each_round() {
    let Some(network) = network(1, 0) else { return };
    let folder = installed("probe-dead", &["dscp", "mss"]);
    let dead = first(&network, "dead");
    let ended = probe(&network, &folder, &format!("--rounds 2 --json {dead}"));
    ended.expect(9, &[]);
    let said: Value = serde_json::from_str(&ended.stdout).unwrap();
    let measurements = said["targets"][0]["measurements"].as_array().unwrap();
    for (one, rounds) in measurements.iter().zip([2, 1]) {
        assert_eq!((&one["verdict"], &one["rounds"]), (&"unknown".into(), &rounds.into()), "{one}");
        assert!(one["next"][0].as_str().unwrap().contains("listen"), "{one}");
    }
    assert_eq!(measurements.len(), 2);
}

#[test]
fn a_name_is_looked_up_once_and_both_its_addresses_are_measured() {
    let Some(path) = path("server = { ecn = false }", 1) else { return };
    let folder = installed("probe-name", &["dscp", "mss"]);
    let addresses: Vec<String> = path
        .jobs()
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["dip"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(addresses.len(), 2);
    let hosts = folder.join("hosts");
    let lines = addresses.iter().map(|address| format!("{address} both.example\n"));
    fs::write(&hosts, lines.collect::<String>()).unwrap();
    let script = format!(
        "mount --bind {} /etc/hosts && exec {}/pathspider probe --allow-special --rounds 2 \
         both.example nowhere.invalid",
        hosts.display(),
        folder.display()
    );
    let ended = path.script(&script, "");
    // Of the other name, one line.
    ended.expect(9, &["nowhere.invalid"]);
    assert_eq!(ended.stderr.matches("nowhere.invalid").count(), 1, "{}", ended.stderr);
    for address in &addresses {
        let block = format!("both.example at {address}\n  ✓ dscp ");
        assert!(ended.stdout.contains(&block), "{}", ended.stdout);
    }
    let lost = "nowhere.invalid\n  ? nothing was measured";
    assert!(ended.stdout.contains(lost), "{}", ended.stdout);
}

#[test]
fn what_cannot_be_probed_is_said_in_one_line() {
    let Some(network) = network(1, 0) else { return };
    let clean = first(&network, "clean");
    let none = installed("probe-none", &[]);
    let one_line = |ended: &Ended| {
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
        assert_eq!(ended.stdout, "");
    };
    // Its own plugins alone: the machine may have others.
    let ended = network.script(
        &format!(
            "mount -t tmpfs none /usr/lib/pathspider 2>/dev/null; exec {}/pathspider probe {clean}",
            none.display()
        ),
        "",
    );
    ended.expect(3, &["plugin"]);
    one_line(&ended);
    let folder = installed("probe-refused", &["ecn", "dscp"]);
    let ended = probe(&network, &folder, "http://x.example/");
    ended.expect(2, &["\"http://x.example/\" is no target"]);
    one_line(&ended);
    let ended = probe(&network, &folder, &format!("-i nowhere0 {clean}"));
    ended.expect(6, &["nowhere0"]);
    one_line(&ended);
    let nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups";
    let dscp = installed("probe-unprivileged", &["dscp", "mss"]);
    let ended = network.script(
        &format!(
            "exec env -u PATHSPIDER_STATE_DIR HOME=/nonexistent {nobody} {}/pathspider probe \
             --allow-special {clean}",
            dscp.display()
        ),
        "",
    );
    ended.expect(5, &["cap_net_raw"]);
    one_line(&ended);
}

/// A child gets no file capabilities by being started; it is forked, and has them.
#[test]
fn file_capabilities_are_enough_for_each_measurement() {
    let Some(network) = network(1, 0) else { return };
    let before = network.settings();
    let folder = installed("probe-capable", &["dscp", "ecn"]);
    let program = folder.join("pathspider").display().to_string();
    let set = format!("setcap cap_net_raw,cap_net_admin+ep {program}");
    if !Command::new("sh").args(["-c", &set]).status().unwrap().success() {
        return skipped("the file system has no file capabilities");
    }
    let nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups";
    let target = first(&network, "ecn-syn-dropped");
    let script = format!(
        "{nobody} {program} probe --allow-special --rounds 2 --timeout 0.5 {target} | cat; exit 7"
    );
    let ended = network.script(&script, "");
    ended.expect(7, &[]);
    let page = &ended.stdout;
    assert!(page.contains("  ✗ ecn ") && page.contains("  ✓ dscp "), "{page}{}", ended.stderr);
    assert_eq!(network.settings(), before);
}

#[test]
fn a_plugin_that_crashes_takes_nothing_from_the_others() {
    let Some(network) = network(1, 0) else { return };
    let before = network.settings();
    let folder = installed("probe-crash", &["ecn", "misbehaving", "mss"]);
    let clean = first(&network, "clean");
    let script = format!(
        "MISBEHAVING_HOW=crash-in-connect exec {}/pathspider probe --allow-special --rounds 2 \
         {clean}",
        folder.display()
    );
    let ended = network.script(&script, "");
    ended.expect(9, &["misbehaving.so"]);
    let page = &ended.stdout;
    assert!(page.contains("  ✓ ecn ") && page.contains("  ✓ mss "), "{page}");
    assert!(page.contains("not measured: misbehaving: "), "{page}");
    assert_eq!(network.settings(), before);
}

/// Starts a probe of a dead target, and waits until a measurement has changed the machine.
fn begun(network: &Network, folder: &std::path::Path, before: &str) -> Child {
    let mut command = Command::new(folder.join("pathspider"));
    let dead = first(network, "dead");
    let clean = first(network, "clean");
    command.args(["probe", "--allow-special", "--timeout", "3", &clean, &dead]);
    command.env("PATHSPIDER_STATE_DIR", state_dir()).stdout(Stdio::piped());
    let child = network.start(command);
    wait_until("a setting is changed", || network.settings() != before);
    child
}

fn ended(mut child: Child) -> Ended {
    let mut errors = String::new();
    // Whoever restores the machine writes there last.
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    let mut ended = Ended::from(child.wait_with_output().unwrap());
    ended.stderr = errors;
    ended
}

#[test]
fn a_signal_ends_it_with_what_was_found_and_the_machine_restored() {
    let Some(network) = network(1, 0) else { return };
    let before = network.settings();
    let folder = installed("probe-stopped", &["dscp", "ecn", "mss"]);
    let child = begun(&network, &folder, &before);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let stopped = ended(child);
    stopped.expect(10, &["no new targets"]);
    assert!(stopped.stdout.contains("  ✓ dscp "), "{}", stopped.stdout);
    assert!(!stopped.stdout.contains(" mss "), "{}", stopped.stdout);
    assert!(stopped.stdout.contains("stopped before all were made"), "{}", stopped.stdout);
    assert_eq!(network.settings(), before);
    // Where it is killed, its measurement ends, and restores the machine.
    let mut child = begun(&network, &folder, &before);
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("the machine is restored", || network.settings() == before);
}
