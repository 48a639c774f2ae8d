//! `pathspider doctor`: what is wrong on a machine, and that what it says mends it.

use std::net::IpAddr;

use pathspider_e2e::{Ended, Names, built, names, skipped, temp_dir};
use serde_json::Value;

/// What is found at the vantage point, whose resolver answers at once.
fn doctor(network: &Names, dns: IpAddr, options: &str) -> Value {
    // A folder of journals that is not there yet: none is made.
    let script = format!(
        "export PATHSPIDER_STATE_DIR=/run/pathspider-none; $PATHSPIDER doctor --json -i lab0 {options}; \
         status=$?; test ! -e /run/pathspider-none && exit $status"
    );
    let end = network.script(&[dns], &script, "");
    let found: Value = serde_json::from_str(&end.stdout).unwrap();
    assert_eq!(end.status, if found["fit"] == true { 0 } else { 13 }, "{}", end.stderr);
    found
}

fn finding<'a>(found: &'a Value, subject: &str) -> &'a Value {
    let findings = found["findings"].as_array().unwrap();
    findings.iter().find(|finding| finding["subject"] == subject).unwrap_or(&Value::Null)
}

/// What can be wrong: the subject, what makes it so, and what is said to mend it.
const FAULTS: [(&str, &str, &str); 4] = [
    ("kernel", "sysctl -qw net.ipv4.tcp_ecn=1", "sysctl -w net.ipv4.tcp_ecn=2"),
    (
        "ports",
        "sysctl -qw net.ipv4.ip_local_port_range='50000 50009'",
        "sysctl -w net.ipv4.ip_local_port_range=\"32768 60999\"",
    ),
    ("capture", "ip link set lab0 down", "ip link set lab0 up"),
    (
        "firewall",
        "nft add table inet pathspider",
        "pathspider restore; if the table stays: nft delete table inet pathspider",
    ),
];

#[test]
fn what_is_wrong_is_named_with_the_command_that_mends_it() {
    let Some(network) = names("doctor", 1) else { return };
    let dns = network.targets()[0];
    let settings = || network.script(&[dns], "sysctl -a --pattern 'net.ipv4.(tcp|ip)_'", "").stdout;
    let before = settings();
    let found = doctor(&network, dns, "");
    for subject in
        ["interface", "capture", "settings", "kernel", "ports", "files", "journal", "plugins"]
    {
        assert_eq!(finding(&found, subject)["good"], true, "{subject}: {found:#}");
    }
    assert!(finding(&found, "plugins")["says"].as_str().unwrap().contains("ecn"), "{found:#}");
    assert_eq!(settings(), before, "doctor changes nothing");
    let spoil = FAULTS.map(|(_, spoil, _)| spoil).join(" && ");
    network.script(&[dns], &spoil, "").expect(0, &[]);
    let found = doctor(&network, dns, "");
    let mut commands = Vec::new();
    for (subject, _, mend) in FAULTS {
        assert_eq!(finding(&found, subject)["good"], false, "{found:#}");
        assert_eq!(finding(&found, subject)["mend"], mend, "{found:#}");
        commands.extend(mend.rsplit("stays: ").next());
    }
    network.script(&[dns], &commands.join(" && "), "").expect(0, &[]);
    let found = doctor(&network, dns, "-w 20000");
    for (subject, ..) in FAULTS {
        assert_eq!(finding(&found, subject)["good"], true, "{found:#}");
    }
}

#[test]
fn a_program_that_is_missing_is_named_with_the_commands_that_it_is() {
    let alone = temp_dir("doctor-alone").join("pathspider");
    // By a program of its own: what this process writes to cannot be started while others are.
    let copied = std::process::Command::new("cp").arg(built("pathspider")).arg(&alone).status();
    assert!(copied.unwrap().success());
    let output = std::process::Command::new(&alone).args(["doctor", "--json"]).output().unwrap();
    let end = Ended::from(output);
    assert_eq!(end.status, 13, "{}", end.stderr);
    let found: Value = serde_json::from_str(&end.stdout).unwrap();
    for (subject, says) in [
        ("report", "pathspider-report is missing, the program of report, diff and export"),
        ("campaign", "pathspider-fleet is missing, the program of campaign and agent"),
        ("respond", "pathspider-respond is missing, the program of respond"),
    ] {
        assert_eq!(finding(&found, subject)["good"], false, "{found:#}");
        assert!(finding(&found, subject)["says"].as_str().unwrap().ends_with(says), "{found:#}");
    }
}

#[test]
fn people_see_signs_and_a_machine_without_interface_is_told_so() {
    let script = "exec unshare -n $PATHSPIDER doctor";
    let mut command = std::process::Command::new("sh");
    command.args(["-c", script]).env("PATHSPIDER", built("pathspider"));
    let end = Ended::from(command.output().unwrap());
    if end.stderr.contains("unshare") {
        return skipped("it needs root");
    }
    end.expect(13, &["not as measurements need them"]);
    assert!(end.stdout.contains("✗ interface  there is no default route"), "{}", end.stdout);
    assert!(end.stdout.contains("\n    mend it: ip route add default"), "{}", end.stdout);
    assert!(end.stdout.contains("✓ files"), "{}", end.stdout);
}
