//! Changes to a real network namespace, each test's own, and what is left of them.

use std::fs;
use std::process::Command;

use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::*;

const PORTS: &str = "net.ipv4.ip_local_reserved_ports";

/// Runs this in a network namespace of its own, on a thread of its own.
#[allow(unsafe_code)]
pub(super) fn in_namespace(test: impl FnOnce() + Send) {
    let run = || {
        // SAFETY: the thread shares no descriptors that depend on its network namespace.
        if let Err(error) = unsafe { unshare_unsafe(UnshareFlags::NEWNET) } {
            println!("skipped: no network namespace can be made: {error}");
            return;
        }
        test();
    };
    std::thread::scope(|scope| scope.spawn(run).join()).unwrap();
}

fn machine() -> Machine {
    Machine::apart()
}

fn sh(script: &str) -> String {
    let output = Command::new("sh").args(["-ec", script]).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The value of a parameter, read with a buffer that is large enough.
fn value(key: &str) -> String {
    sh(&format!("dd if={} bs=1M count=1 2>/dev/null", sysctl::path(key)))
}

fn changed_and_undone(changes: &[Entry]) -> Restoration {
    let mut all = Changes::default();
    changes.iter().for_each(|change| all.note(change.clone()));
    all.undo(|_| {})
}

#[test]
fn the_present_value_is_read_whoever_has_set_it() {
    in_namespace(|| {
        let mut machine = machine();
        assert_eq!(machine.read(PORTS).unwrap().as_deref(), Some(""));
        machine.sysctl(PORTS, "8080").unwrap();
        assert_eq!(machine.read(PORTS).unwrap().as_deref(), Some("8080"));
        sh(&format!("echo 9090 >{}", sysctl::path(PORTS)));
        assert_eq!(machine.read(PORTS).unwrap().as_deref(), Some("9090"));
        machine.restore();
        assert_eq!(machine.read("net.ipv4.no_such_thing").unwrap(), None);
        // That of an interface goes with it.
        const OF_INTERFACE: &str = "net.ipv4.conf.there0.forwarding";
        assert_eq!(machine.read(OF_INTERFACE).unwrap(), None);
        sh("ip link add there0 type veth peer name peer");
        machine.sysctl(OF_INTERFACE, "1").unwrap();
        assert_eq!(machine.read(OF_INTERFACE).unwrap().as_deref(), Some("1"));
        sh("ip link del there0");
        assert_eq!(machine.read(OF_INTERFACE).unwrap(), None);
    });
}

#[test]
fn an_empty_value_comes_back() {
    in_namespace(|| {
        assert_eq!(value(PORTS), "");
        let mut machine = machine();
        machine.sysctl(PORTS, "8080").unwrap();
        assert_eq!(value(PORTS), "8080");
        // To and fro.
        machine.sysctl(PORTS, "").unwrap();
        assert_eq!(value(PORTS), "");
        machine.sysctl(PORTS, "8080").unwrap();
        machine.restore();
        assert_eq!((value(PORTS), machine.take_failed()), (String::new(), vec![]));
    });
}

#[test]
fn a_long_value_comes_back_whole() {
    in_namespace(|| {
        let list = |first: u32| {
            let ports: Vec<String> = (0..3000).map(|at| (first + at * 7).to_string()).collect();
            ports.join(",")
        };
        let (before, ours) = (list(1025), list(1027));
        let mut theirs = machine();
        theirs.sysctl(PORTS, &before).unwrap();
        assert_eq!(value(PORTS), before);
        let mut machine = machine();
        for value_of_ours in [&*ours, "", "8080"] {
            machine.sysctl(PORTS, value_of_ours).unwrap();
            assert_eq!(value(PORTS), value_of_ours);
        }
        machine.restore();
        assert_eq!((value(PORTS), machine.take_failed()), (before, vec![]));
        theirs.restore();
        assert_eq!(value(PORTS), "");
    });
}

#[test]
fn what_the_kernel_takes_otherwise_was_not_restored() {
    in_namespace(|| {
        sh(&format!("echo 7 >{}", sysctl::path(PORTS)));
        let changes = [
            Entry::Sysctl { key: PORTS.into(), before: "9,8".into(), interface: None },
            Entry::Value { key: PORTS.into(), value: "7".into() },
        ];
        let Restoration { failed, .. } = changed_and_undone(&changes);
        assert_eq!(failed, [format!("cannot set {PORTS} back to 9,8: it is 8-9 all the same")]);
    });
}

#[test]
fn a_parameter_goes_with_its_interface() {
    let key = "net.ipv4.conf.one.rp_filter";
    for (script, parameter, expected) in [
        ("ip link del one", None, ""),
        // Another one of its name, which has the value that ours had.
        (
            "ip link del one; ip link add one type veth peer name peer; \
             echo 2 >/proc/sys/net/ipv4/conf/one/rp_filter",
            Some(key),
            "2",
        ),
        ("ip link set one name two", Some("net.ipv4.conf.two.rp_filter"), "1"),
    ] {
        in_namespace(|| {
            sh(
                "ip link add one type veth peer name peer; echo 1 >/proc/sys/net/ipv4/conf/one/rp_filter",
            );
            let mut machine = machine();
            machine.sysctl(key, "2").unwrap();
            sh(script);
            let Restoration { left, failed, .. } = machine.changes.undo(|_| {});
            assert_eq!(failed, [""; 0], "{script}");
            let gone = [format!("{key} does not exist any more, so there is nothing to restore")];
            assert_eq!(left, if expected == "1" { &[][..] } else { &gone }, "{script}");
            if let Some(parameter) = parameter {
                assert_eq!(value(parameter), expected, "{script}");
            }
        });
    }
}

#[test]
fn a_parameter_of_a_module_that_is_unloaded_is_no_more() {
    let changes = [
        Entry::Sysctl { key: "net.none.such".into(), before: "1".into(), interface: None },
        Entry::Value { key: "net.none.such".into(), value: "2".into() },
    ];
    let Restoration { left, failed, .. } = changed_and_undone(&changes);
    assert_eq!((left.len(), failed.len()), (1, 0));
}

#[test]
fn a_value_that_is_no_text_is_not_touched() {
    let file = tempfile::tempfile().unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"caf\xe9\n", 0).unwrap();
    assert_eq!(sysctl::read(&file).unwrap_err().kind(), std::io::ErrorKind::InvalidData);
}

const RULES: [&str; 1] = ["output tcp dport 80 drop"];
const OTHERS: [&str; 1] = ["output tcp dport 81 drop"];

fn tables() -> String {
    sh("nft list ruleset")
}

#[test]
fn a_table_that_somebody_makes_anew_is_theirs() {
    let anew = "nft 'delete table inet pathspider; add table inet pathspider; \
                add chain inet pathspider mine'";
    for (rules, in_mid_run) in [(&RULES[..], false), (&OTHERS, true), (&[], true)] {
        in_namespace(|| {
            let mut machine = machine();
            machine.firewall(&RULES).unwrap();
            sh(anew);
            let theirs = tables();
            let set = machine.firewall(rules);
            assert_eq!(set.is_err(), in_mid_run, "{set:?}");
            assert!(set.is_ok_and(|()| true) || tables() == theirs);
            let Restoration { left, failed, .. } = machine.changes.undo(|_| {});
            assert_eq!((left.len(), failed), (1, vec![]), "{left:?}");
            assert_eq!(tables(), theirs);
        });
    }
}

#[test]
fn a_table_that_somebody_deletes_is_made_again_and_goes_at_the_end() {
    in_namespace(|| {
        let mut machine = machine();
        for rules in [&RULES[..], &[], &OTHERS, &RULES] {
            machine.firewall(rules).unwrap();
            assert_eq!(tables().contains("table inet pathspider"), !rules.is_empty());
            assert_eq!(tables().contains("dport 80"), rules == RULES, "{}", tables());
        }
        for rules in [&OTHERS[..], &[], &RULES] {
            sh("nft flush ruleset");
            machine.firewall(rules).unwrap();
            assert_eq!(tables().contains(" drop"), !rules.is_empty());
        }
        // Nobody has marked it: what a transaction would have done that was killed.
        machine.firewall = Firewall::new(&mark(&machine));
        machine.firewall(&OTHERS).unwrap();
        assert!(tables().contains("dport 81"));
        machine.restore();
        assert_eq!((tables(), machine.take_failed()), (String::new(), vec![]));
    });
}

/// The chain of this run's table that marks it.
fn mark(machine: &Machine) -> String {
    assert!(machine.changes.has_firewall());
    let chain =
        tables().lines().find_map(|line| line.trim().strip_prefix("chain of-").map(str::to_owned));
    format!("of-{}", chain.unwrap().trim_end_matches(" {"))
}

#[test]
fn the_parameters_of_a_run_are_read_whole() {
    in_namespace(|| {
        let wide = "net.ipv4.ip_local_port_range";
        fs::write(sysctl::path(wide), "20000 60000").unwrap();
        assert!(parameters().contains(&(wide.to_owned(), "20000 60000".to_owned())));
    });
}
