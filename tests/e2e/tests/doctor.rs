//! `pathspider doctor`: what is wrong on a machine, and that what it says mends it.

use pathspider_e2e::{Ended, Network, Program, network, temp_dir};
use serde_json::Value;

/// What is found at the vantage point, by subject.
fn doctor(network: &Network, arguments: &[&str]) -> Value {
    let mut all = vec!["doctor", "--json", "-i", network.interface()];
    all.extend(arguments);
    let mut command = Program::command(&all);
    command.env("PATHSPIDER_STATE_DIR", temp_dir("no-state").join("none"));
    let end = network.run(command, "");
    let found: Value = serde_json::from_str(&end.stdout).unwrap();
    assert_eq!(end.status, if found["fit"] == true { 0 } else { 13 }, "{}", end.stderr);
    found
}

fn finding<'a>(found: &'a Value, subject: &str) -> &'a Value {
    let findings = found["findings"].as_array().unwrap();
    findings.iter().find(|finding| finding["subject"] == subject).unwrap_or(&Value::Null)
}

#[test]
fn what_is_wrong_is_named_with_the_command_that_mends_it() {
    let Some(network) = network(1, 0) else { return };
    let sysctls = || network.script("sysctl -a --pattern 'net.ipv4.(tcp|ip)_'", "").stdout;
    let before = sysctls();
    let found = doctor(&network, &[]);
    for subject in
        ["interface", "capture", "settings", "kernel", "ports", "files", "journal", "plugins"]
    {
        assert_eq!(finding(&found, subject)["good"], true, "{subject}: {found:#}");
    }
    assert!(finding(&found, "plugins")["says"].as_str().unwrap().contains("ecn"), "{found:#}");
    // No route leads out of the lab but the one to its targets, and nobody answers names there.
    assert_eq!(finding(&found, "resolver")["good"], false);
    let spoil = [
        (
            "kernel",
            "sysctl -qw net.ipv4.tcp_ecn=1".to_owned(),
            "sysctl -w net.ipv4.tcp_ecn=2".to_owned(),
        ),
        (
            "ports",
            "sysctl -qw net.ipv4.ip_local_port_range='50000 50009'".to_owned(),
            "sysctl -w net.ipv4.ip_local_port_range=\"32768 60999\"".to_owned(),
        ),
        (
            "capture",
            format!("ip link set {} down", network.interface()),
            format!("ip link set {} up", network.interface()),
        ),
        (
            "firewall",
            "nft add table inet pathspider".to_owned(),
            "pathspider restore; where the table stays: nft delete table inet pathspider"
                .to_owned(),
        ),
    ];
    for (subject, spoil, mend) in spoil {
        network.script(&spoil, "").expect(0, &[]);
        let found = doctor(&network, &[]);
        assert_eq!(finding(&found, subject)["good"], false, "{found:#}");
        assert_eq!(finding(&found, subject)["mend"], mend.as_str(), "{found:#}");
        let command = mend.rsplit("stays: ").next().unwrap();
        network.script(command, "").expect(0, &[]);
        assert_eq!(finding(&doctor(&network, &[]), subject)["good"], true, "{subject}");
    }
    assert_eq!(sysctls(), before, "doctor changes nothing");
    let many = doctor(&network, &["-w", "1000000"]);
    assert_eq!(finding(&many, "ports")["good"], false, "{many:#}");
}

#[test]
fn people_see_signs_and_a_machine_without_interface_is_told_so() {
    let script = "exec unshare -n $PATHSPIDER doctor";
    let mut command = std::process::Command::new("sh");
    command.args(["-c", script]).env("PATHSPIDER", pathspider_e2e::built("pathspider"));
    let end = Ended::from(command.output().unwrap());
    if end.stderr.contains("unshare") {
        return pathspider_e2e::skipped("it needs root");
    }
    end.expect(13, &["not as measurements need them"]);
    assert!(end.stdout.contains("✗ interface  there is no default route"), "{}", end.stdout);
    assert!(end.stdout.contains("\n    mend it: ip route add default"), "{}", end.stdout);
    assert!(end.stdout.contains("✓ files"), "{}", end.stdout);
}
