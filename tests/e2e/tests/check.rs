//! `pathspider check`: our plugins keep the rules, and broken ones break the right ones.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pathspider_e2e::{Ended, Program, built, compile, temp_dir};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Checked {
    file: PathBuf,
    pub(crate) findings: Vec<Finding>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Finding {
    pub(crate) rule: String,
    verdict: String,
    pub(crate) details: Vec<String>,
}

pub(crate) fn check(file: &Path, more: &[&str]) -> (Ended, Checked) {
    let file = file.to_str().unwrap();
    let end = Program::run(&[&["check", "--json", file][..], more].concat());
    let checked: Checked = serde_json::from_str(&end.stdout).unwrap();
    assert_eq!(checked.file, Path::new(file));
    (end, checked)
}

/// The rules that are broken, each with its verdict.
pub(crate) fn broken(checked: &Checked) -> Vec<(&str, &str)> {
    let bad = checked.findings.iter().filter(|f| !["pass", "skipped"].contains(&&*f.verdict));
    bad.map(|finding| (finding.rule.as_str(), finding.verdict.as_str())).collect()
}

/// The rules that are skipped.
fn skipped(checked: &Checked) -> Vec<&str> {
    let skipped = checked.findings.iter().filter(|finding| finding.verdict == "skipped");
    skipped.map(|finding| finding.rule.as_str()).collect()
}

/// The rules about chains of a plugin's own, and that about conversations: a plugin need not have either.
const CHAINS: [&str; 2] = ["chain-fields", "chain-packets"];
const CONVERSATIONS: &str = "conversations";

#[test]
fn our_own_plugins_keep_all_rules() {
    let plugins = fs::read_dir(built("plugins")).unwrap();
    let mut checked = 0;
    for file in plugins.map(|entry| entry.unwrap().path()) {
        let (end, findings) = check(&file, &[]);
        assert_eq!(broken(&findings), [], "{findings:#?}");
        let expected = match file.file_stem().unwrap().to_str().unwrap() {
            "pmtud" | "tcpext" => vec![],
            "accecn" | "ecn" | "l4s" => CHAINS.to_vec(),
            "ech" | "flowlabel" | "h2" | "ip6eh" | "mptcp" | "udpopt" => vec![CONVERSATIONS],
            "dnsresolv" => vec!["blocking", "no-flow", CHAINS[0], CHAINS[1], CONVERSATIONS],
            _ => vec![CHAINS[0], CHAINS[1], CONVERSATIONS],
        };
        assert_eq!(skipped(&findings), expected, "{}", file.display());
        end.expect(0, &[]);
        checked += 1;
    }
    assert!(checked > 0);
}

#[test]
fn a_plugin_that_misbehaves_breaks_the_rule_that_it_is_about() {
    let file = built("libmisbehaving.so");
    for (how, rule, verdict) in [
        ("panic-in-new", "options", "fail"),
        ("panic-in-configurations", "configurations", "fail"),
        ("panic-in-chains", "chain-names", "fail"),
        ("panic-in-pre-connect", "run", "fail"),
        ("panic-in-merge", "run", "fail"),
        ("panic-in-rows", "run", "fail"),
        ("panic-in-finish", "run", "fail"),
        ("crash-in-connect", "run", "crash"),
        ("forge", "run", "fail"),
        ("undeclared-condition", "declared-conditions", "fail"),
        ("wrong-index", "configuration-index", "fail"),
        ("verdict-without-flow", "no-flow", "fail"),
        ("not-a-number", "valid-records", "fail"),
        ("not-a-number-at-the-end", "valid-records", "fail"),
        ("key-twice", "valid-records", "fail"),
        ("reserved-key", "reserved-keys", "fail"),
        ("reserved-row", "reserved-keys", "fail"),
        ("print", "quiet", "fail"),
        ("configure-error", "configurations", "fail"),
        ("configure-panic", "configurations", "fail"),
        ("configurations-swapped", "configurations", "fail"),
    ] {
        let (end, checked) = check(&file, &["--option", &format!("how={how}")]);
        assert_eq!(broken(&checked), [(rule, verdict)], "{how}: {checked:#?}");
        end.expect(12, &[]);
    }
    let (end, checked) = check(&file, &["--option", "how=not"]);
    assert_eq!(broken(&checked), [], "{checked:#?}");
    assert_eq!(skipped(&checked), [CHAINS[0], CHAINS[1], CONVERSATIONS], "{checked:#?}");
    end.expect(0, &[]);
}

#[test]
fn settings_that_are_changed_by_itself_are_found() {
    if !rustix::process::geteuid().is_root() {
        return pathspider_e2e::skipped("only root can make a network apart for sure");
    }
    let file = built("libmisbehaving.so");
    let arguments = ["--option", "how=sysctl-by-itself", "--rule", "system"];
    let (end, checked) = check(&file, &arguments);
    end.expect(12, &[]);
    let finding = &checked.findings[1];
    assert!(finding.details[0].contains("ip_default_ttl was \"64\""), "{finding:?}");
    // Already when it is asked what it is; and the same without a way to look.
    let command = |variable: &str, value: &str| -> Ended {
        let arguments =
            ["check", file.to_str().unwrap(), "--rule", "system", "--option", "how=not"];
        Program::command(&arguments).env(variable, value).output().unwrap().into()
    };
    let end = command("MISBEHAVING_IN_INFO", "yes");
    end.expect(12, &[]);
    assert!(end.stdout.contains("info: /proc/sys/net/ipv4/ip_default_ttl was \"64\""), "{end:?}");
    let end = command("PATH", "/nonexistent");
    end.expect(12, &[]);
    assert!(
        end.stdout.contains("it cannot be applied: `nft list ruleset` cannot be run"),
        "{end:?}"
    );
}

#[test]
fn what_cannot_be_looked_at_is_not_in_order() {
    let nothing = Path::new("/nonexistent.so");
    let foreign = compile("undefined", &[], temp_dir("check-foreign").join("x.so"));
    for (file, rule) in [(nothing, "run"), (&foreign, "fuzz")] {
        let (end, checked) = check(file, &["--rule", rule]);
        end.expect(12, &[]);
        assert_eq!(broken(&checked), [("loads", "fail")]);
        assert_eq!(skipped(&checked), [rule]);
    }
    let misbehaving = built("libmisbehaving.so");
    let file = misbehaving.to_str().unwrap();
    for (option, words) in [("typo=1", "has no option --typo"), ("how=so", "--how takes no \"so\"")]
    {
        let end = Program::run(&["check", file, "--option", option]);
        end.expect(2, &[words]);
        assert_eq!(end.stdout, "");
    }
    let program = built("pathspider");
    let alone = |script: &str| -> Ended {
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", script, "sh"]).arg(&program).args(["check", file]);
        command.args(["--insecure-plugins", "--rule", "run"]).output().unwrap().into()
    };
    if !rustix::process::geteuid().is_root() {
        return pathspider_e2e::skipped("only root can take things away");
    }
    let end = alone("umount -l /proc && exec \"$@\"");
    end.expect(12, &[]);
    assert!(end.stdout.contains("no process can be started for it"), "{end:?}");
    // Who is in a changed root may make no namespace: unshare(2), EPERM.
    let nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups";
    let root = temp_dir("check-root");
    let place = root.display();
    let end = alone(&format!("mount --rbind / {place} && exec chroot {place} {nobody} \"$@\""));
    end.expect(12, &[]);
    assert!(end.stdout.contains("no network apart can be made here: run it as root"), "{end:?}");
}

#[test]
fn random_outcomes_are_tried() {
    let file = built("libmisbehaving.so");
    let rules = ["--option", "input=trusting", "--rule", "run", "--rule", "fuzz"];
    let (end, checked) = check(&file, &rules);
    end.expect(12, &[]);
    assert_eq!(broken(&checked), [("fuzz", "fail")]);
    let details = &checked.findings[2].details;
    assert!(details.iter().any(|detail| detail.contains("panicked: no start")), "{details:?}");
}

#[test]
fn a_rule_alone_and_its_seed() {
    let file = built("libmisbehaving.so");
    let arguments =
        ["--option", "how=panic-in-combine", "--rule", "fuzz", "--rule", "panics", "--seed", "7"];
    let (end, checked) = check(&file, &arguments);
    end.expect(12, &[]);
    assert_eq!(broken(&checked), [("fuzz", "fail")]);
    assert_eq!(checked.findings.len(), 3, "whether it loads, too");
    let details = &checked.findings[2].details;
    assert!(details.last().unwrap().ends_with("--seed 7 --rule fuzz"), "{details:?}");
    let unknown = Program::run(&["check", "x.so", "--rule", "nonsense"]);
    unknown.expect(2, &["there are: loads, panics"]);
    let rules = Program::run(&["check", "--list-rules"]);
    rules.expect(0, &[]);
    for finding in &check(&file, &["--option", "how=not"]).1.findings {
        assert!(rules.stdout.contains(&format!("{}\n", finding.rule)), "{}", finding.rule);
    }
}

#[test]
fn files_that_do_not_load_are_findings_too() {
    let folder = temp_dir("check");
    let crash = compile("constructor", &["-DWAY=CRASH"], folder.join("crash.so"));
    let (end, checked) = check(&crash, &["--rule", "loads", "--rule", "run"]);
    end.expect(12, &[]);
    assert_eq!(broken(&checked), [("loads", "crash")]);
    assert_eq!(checked.findings[1].verdict, "skipped");
    let other = compile("descriptor", &["-DWAY=OTHER"], folder.join("other.so"));
    let (_, checked) = check(&other, &[]);
    assert_eq!(broken(&checked), [("loads", "fail")]);
    assert!(checked.findings[0].details[0].contains("ABI 3.7"), "{checked:?}");
    let (_, checked) = check(&folder.join("nothing.so"), &[]);
    assert_eq!(broken(&checked), [("loads", "fail")]);
}

#[test]
fn chains_that_break_a_rule_are_named() {
    let (end, checked) = check(&built("libchains.so"), &[]);
    end.expect(12, &[]);
    // What they do with whole packets is not said again of broken ones.
    assert_eq!(broken(&checked), [("chain-fields", "fail")]);
    let details = checked.findings.iter().find(|finding| finding.verdict == "fail");
    let details = &details.unwrap().details;
    assert_eq!(details.len(), 2, "{details:?}");
    assert!(
        details[0].starts_with("panics: panicked: as asked (tests/plugins/chains/"),
        "{details:?}"
    );
    assert!(
        details[1].starts_with("silent: of the flows that it took it wrote none"),
        "{details:?}"
    );
    let (_, checked) = check(&built("libchains.so"), &["--rule", "chain-packets"]);
    assert_eq!(broken(&checked), [("chain-packets", "fail")]);
}
