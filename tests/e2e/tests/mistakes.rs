//! What a run refuses, `pathspider check` refuses: each mistake of an author in one row, with what the
//! run says of it, and the one rule that it breaks, which says the same.

use pathspider_e2e::{Program, built, network};

use crate::check::{broken, check};

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

#[test]
fn what_a_run_refuses_check_refuses_by_one_rule() {
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
