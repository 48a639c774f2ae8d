//! What a run refuses, `pathspider check` refuses: each mistake of an author in one row, with what the
//! run says of it, and the one rule that it breaks, which says the same.

use std::fs;
use std::path::Path;

use pathspider_e2e::{Ended, Network, Program, built, network, temp_dir};

use crate::check::{Checked, broken, check};
use crate::hostile::words::WAYS;

#[path = "../../plugins/newcomer/src/words.rs"]
mod newcomer;

/// A mistake of the plugin `hostile`'s measurement `mistaken`, by its option `--how`.
struct Row {
    how: &'static str,
    /// The run's exit status.
    status: i32,
    /// The one rule that is broken.
    rule: &'static str,
    /// What both say.
    words: &'static str,
}

const fn row(how: &'static str, status: i32, rule: &'static str, words: &'static str) -> Row {
    Row { how, status, rule, words }
}

/// The job is lost, and the run goes on.
const JOB: i32 = 9;
/// The run ends.
const RUN: i32 = 1;
/// It does not begin.
const BEGIN: i32 = 4;

const ROWS: [Row; 19] = [
    row("declines", BEGIN, "options", "the moon is not full"),
    row("dscp-out-of-range", JOB, "run", "connect: dscp is 64, and may be 0 to 63"),
    row("no-hops", JOB, "run", "connect: ttl is 0, and may be 1 to 255"),
    row("tiny-segments", JOB, "run", "connect: mss is 8, and may be 88 to 32767"),
    row(
        "no-time",
        JOB,
        "run",
        "connect: timeout_ms is 0, and may be whole milliseconds, from 1 on",
    ),
    row("setting-of-another-kind", JOB, "run", "the kind tcp has no setting \"fast_open\""),
    row("header-name", JOB, "run", "no header is named \"two words\""),
    row("header-value", JOB, "run", "the header X-Line cannot have the value"),
    row("alpn-empty", JOB, "run", "and may be a list of names of 1 to 255 octets"),
    row("no-packets", JOB, "run", "there are no packets to send"),
    row("broken-packet", JOB, "run", "packet 0 cannot be sent as it is: it is malformed"),
    row(
        "wrong-checksum",
        JOB,
        "run",
        "the kernel would put the right checksum into its IPv4 header",
    ),
    row("settings-of-packets", JOB, "run", "have no setting \"ttl\""),
    row(
        "no-such-parameter",
        RUN,
        "configurations",
        "there is no kernel parameter named \"net.ipv4.tcp_no_such_thing\"",
    ),
    row(
        "value-refused",
        RUN,
        "configurations",
        "cannot set the kernel parameter net.ipv4.tcp_sack: Invalid argument",
    ),
    row("failing-command", RUN, "configurations", "`ip link del nonsense` failed"),
    row("no-such-command", RUN, "configurations", "cannot run no-such-command"),
    row("failing-undo", RUN, "configurations", "`false` failed"),
    row(
        "bad-rule",
        RUN,
        "configurations",
        "add rule inet pathspider output tcp dport nonsense drop",
    ),
];

/// Those of `WAYS` that other tests here are about.
const APART: [&str; 3] = ["query-name", "blocks", "dawdles"];

#[test]
fn what_a_run_refuses_check_refuses_by_one_rule() {
    let mut named: Vec<&str> = ROWS.iter().map(|row| row.how).chain(APART).collect();
    let mut all = WAYS.to_vec();
    named.sort_unstable();
    all.sort_unstable();
    assert_eq!(named, all, "each way is tested");
    let Some(network) = network(2, 0) else { return };
    let file = built("libhostile.so");
    let folder = built("").display().to_string();
    let jobs = network.jobs("clean");
    for Row { how, status, rule, words } in ROWS {
        let run = network.measure(&["--plugin-dir", &folder, "mistaken", "--how", how], &jobs);
        run.expect(status, &[]);
        let said = format!("{}{}", run.stdout.replace("\\\"", "\""), run.stderr);
        assert!(said.contains(words), "{how}: {said}");
        let (end, checked) = check(&file, &["--option", &format!("how={how}")]);
        end.expect(12, &[]);
        assert_eq!(broken(&checked), [(rule, "fail")], "{how}: {checked:#?}");
        let mut findings = checked.findings.iter();
        let details = &findings.find(|finding| finding.rule == rule).unwrap().details;
        assert!(details.iter().any(|detail| detail.contains(words)), "{how}: {details:?}");
        // What was found by one rule is why others are skipped.
        let skipped =
            checked.findings.iter().filter(|f| f.details.iter().any(|d| d.contains(rule)));
        assert!(skipped.count() > 1, "{how}: {checked:#?}");
    }
}

/// The host asks the job's domain where a plugin asks none, so the plugin declines for that job.
#[test]
fn a_name_that_no_query_can_have_is_the_jobs_error() {
    let Some(network) = network(1, 0) else { return };
    let folder = built("").display().to_string();
    let arguments = ["--plugin-dir", &folder, "mistaken", "--how", "query-name"];
    let run = network.measure(&arguments, &network.jobs("clean"));
    run.expect(9, &["1 error of the plugin"]);
    assert!(run.stdout.contains("is no domain name"), "{run:?}");
}

#[test]
fn who_blocks_without_having_declared_it_is_found() {
    let file = built("libhostile.so");
    for (how, words) in [
        ("blocks", "`connect` has not come back after 1 s"),
        ("dawdles", "each call of `connect` took 1"),
    ] {
        let (end, checked) = check(&file, &["--option", &format!("how={how}")]);
        end.expect(12, &[]);
        assert_eq!(broken(&checked), [("blocking", "fail")], "{how}: {checked:#?}");
        let mut findings = checked.findings.iter();
        let finding = findings.find(|finding| finding.rule == "blocking").unwrap();
        assert!(finding.details[0].contains(words), "{finding:?}");
        assert!(finding.details[0].contains("declare Info::blocking"), "{finding:?}");
    }
}

#[test]
fn an_option_in_whose_range_is_no_number_is_the_plugins_fault() {
    let file = built("libreversed.so");
    let words = "--count: no number is in its range, 5 to 1";
    for more in [&[][..], &["--rule", "options"], &["--rule", "fuzz", "--rule", "options"]] {
        let (end, checked) = check(&file, more);
        end.expect(12, &[]);
        assert_eq!(broken(&checked), [("options", "fail")], "{checked:#?}");
        assert!(format!("{checked:?}").contains(words), "{checked:#?}");
    }
    let (_, checked) = check(&file, &["--rule", "fuzz"]);
    assert_eq!(broken(&checked), [], "what it cannot have is not tried: {checked:#?}");
    let folder = built("").display().to_string();
    for command in [
        &["measure", "reversed", "--count", "3"][..],
        &["measure", "reversed"],
        &["--plugin-info", "reversed"],
        &["help", "reversed"],
    ] {
        let end = Program::run(&[&["--plugin-dir", &folder][..], command].concat());
        end.expect(4, &["libreversed.so cannot be used: its option", words]);
    }
}

/// The run goes on, for what is wrong harms no record.
const FINE: i32 = 0;

/// What a newcomer does wrong in a plugin like the template.
const NEWCOMERS: [Row; 28] = [
    row("name-with-capitals", FINE, "metadata", "Newcomer: the name has capitals"),
    row("no-version", FINE, "metadata", "there is no version; give one to Info::new"),
    row("no-description", FINE, "metadata", "there is no description; give one to Info::new"),
    row("no-contact", FINE, "metadata", "there is no contact; give a mail address or URL"),
    row(
        "conditions-forgotten",
        JOB,
        "declared-conditions",
        "which it does not declare (conditions!, Info::conditions)",
    ),
    row(
        "condition-of-one-word",
        BEGIN,
        "metadata",
        "the condition \"works\" is not words joined by dots, the measurement's name first",
    ),
    row(
        "condition-of-the-host",
        BEGIN,
        "metadata",
        "the condition \"pathspider.sent\" is the host's own: begin it with",
    ),
    row(
        "condition-left-open",
        JOB,
        "declared-conditions",
        "connectivity.works with nothing in the place of <ttl>: Condition::of puts a word in",
    ),
    row("default-out-of-range", BEGIN, "options", "--ttl: its default 300 is none of its values"),
    row("option-with-capitals", BEGIN, "options", "--TTL: its name is not of lower-case letters"),
    row(
        "time-out-forgotten",
        BEGIN,
        "options",
        "it reads the option --timeout, which `options` does not declare; declared: --ttl",
    ),
    row(
        "option-of-another-type",
        BEGIN,
        "options",
        "it reads the option --ttl as a text, and its value is 32",
    ),
    row(
        "option-misspelt",
        BEGIN,
        "options",
        "it reads the option --tll, which `options` does not declare; declared: --ttl, --timeout",
    ),
    row("no-configuration", BEGIN, "configurations", "configurations: there is none; the first"),
    row(
        "configurations-of-one-place",
        BEGIN,
        "configurations",
        "\"other\" is made by Configuration::new(0, …), and stands at place 1 of the list",
    ),
    row(
        "configurations-from-one-on",
        BEGIN,
        "configurations",
        "\"low ttl\" is made by Configuration::new(1, …), and stands at place 0 of the list",
    ),
    row("configurations-of-one-label", BEGIN, "configurations", "two have the label \"ordinary\""),
    row(
        "own-chain-forgotten",
        JOB,
        "run",
        "it reads newcomer_fwd of the chain newcomer, which its chains() do not name",
    ),
    row("chain-misspelt", BEGIN, "chain-names", "no chain \"tpc\"; there are: basic, tcp, ecn"),
    row(
        "changes-undeclared",
        RUN,
        "configurations",
        "it wants to set net.ipv4.ip_default_ttl, and does not declare Info::changes_system",
    ),
    row("earlier-undeclared", JOB, "run", "it asks for an earlier connection (Attempt::earlier)"),
    row(
        "field-of-no-chain",
        JOB,
        "run",
        "it reads syn_count_fwd of the chain syn, which its chains() do not name",
    ),
    // Every flow of the run is seen.
    row("field-unwrapped", FINE, "run", "called `Option::unwrap()` on a `None` value"),
    row(
        "configuration-that-is-not-there",
        JOB,
        "run",
        "panicked: there is no configuration 2: there are 2 (tests/plugins/newcomer",
    ),
    row(
        "chain-of-a-taken-field",
        BEGIN,
        "chain-names",
        "the chains tcp and newcomer.newcomer both write the field \"tcp_connected\"",
    ),
    row(
        "chain-with-a-field-twice",
        BEGIN,
        "chain-names",
        "the chain newcomer.newcomer has the field \"newcomer_fwd\" twice",
    ),
    row(
        "chain-that-sets-anothers-field",
        JOB,
        "chain-fields",
        "it sets tcp_connected, which is no field of newcomer",
    ),
    row("chain-that-panics", JOB, "chain-fields", "panicked: the target is far"),
];

/// What the newcomer's plugin with this mistake is checked with, and how a run of it ends.
fn newcomer(network: &Network, folder: &Path, mistake: &str) -> (Checked, Ended) {
    // A copy, for what is known of a file is kept.
    let place = folder.join(mistake);
    fs::create_dir(&place).unwrap();
    let file = place.join("libnewcomer.so");
    fs::copy(built("libnewcomer.so"), &file).unwrap();
    let mut check = Program::command(&["check", "--json", file.to_str().unwrap()]);
    let ended = Ended::from(check.env("NEWCOMER", mistake).output().unwrap());
    let places = ["--plugin-dir", place.to_str().unwrap(), "newcomer"];
    let here = ["measure", "-i", network.interface(), "--allow-special"];
    let mut run = Program::command(&[&here[..], &places].concat());
    run.env("NEWCOMER", mistake);
    let run = network.run(run, &network.jobs("clean"));
    (serde_json::from_str(&ended.stdout).unwrap(), run)
}

#[test]
fn a_newcomers_mistake_breaks_one_rule_in_the_words_of_the_run() {
    let named = NEWCOMERS.map(|row| row.how);
    assert_eq!(named, newcomer::MISTAKES, "each mistake is tested");
    let Some(network) = network(1, 0) else { return };
    let folder = temp_dir("newcomer");
    let judge = |row: &Row| {
        let Row { how, status, rule, words } = *row;
        let (checked, run) = newcomer(&network, &folder, how);
        assert_eq!(broken(&checked), [(rule, "fail")], "{how}: {checked:#?}");
        let mut findings = checked.findings.iter();
        let details = &findings.find(|finding| finding.rule == rule).unwrap().details;
        assert!(details.iter().any(|detail| detail.contains(words)), "{how}: {details:?}");
        run.expect(status, &[]);
        let said = format!("{}{}", run.stdout.replace("\\\"", "\""), run.stderr);
        assert!(status == FINE || said.contains(words), "{how}: {said}");
    };
    NEWCOMERS.iter().for_each(judge);
}

/// A chain of a plugin's own is found by its whole name where the host has one of the same name.
#[test]
fn a_chain_with_a_name_of_the_hosts_is_no_mistake() {
    let Some(network) = network(1, 0) else { return };
    let (checked, run) = newcomer(&network, &temp_dir("namesake"), newcomer::NAMESAKE);
    assert_eq!(broken(&checked), [], "{checked:#?}");
    run.expect(0, &["1 target"]);
    for record in run.records() {
        assert!(record.has("newcomer.connectivity.works"), "{record:?}");
        assert!(record.conditions.iter().any(|has| has.starts_with("newcomer.hops:")));
    }
}
