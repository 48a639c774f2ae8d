//! `pathspider filter`: what it picks, counts and refuses.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use pathspider_e2e::{Ended, Program, built, network, temp_dir};
use serde_json::Value;

const RECORDS: &str = r#"{"dip":"192.0.2.1","z":1, "a":{"ASN":64500},"conditions":["ecn.connectivity.works"]}
{"dip":"192.0.2.2","conditions":["ecn.connectivity.broken"],"big":18446744073709551615}
{"dip":"192.0.2.3","a":{"ASN":64501},"conditions":["ecn.connectivity.works","dscp.46.replymark:0"]}
"#;

fn filter(arguments: &[&str], input: &[u8]) -> Ended {
    let mut all = vec!["filter"];
    all.extend(arguments);
    let mut command: Command = Program::command(&all);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // One that refuses its arguments reads nothing.
    let _ = stdin.write_all(input);
    drop(stdin);
    child.wait_with_output().unwrap().into()
}

/// The lines of [`RECORDS`] that are picked, which have to come out as they are.
fn picked(arguments: &[&str]) -> Vec<usize> {
    let end = filter(arguments, RECORDS.as_bytes());
    end.expect(0, &[]);
    let number = |line: &str| RECORDS.lines().position(|other| other == line).unwrap();
    end.stdout.lines().map(number).collect()
}

#[test]
fn many_bad_lines_and_no_records_are_reported() {
    let bad: String = (0..25).map(|n| format!("line {n}\n")).collect();
    let end = filter(&["--count"], bad.as_bytes());
    end.expect(
        9,
        &["standard input:10: not a record", "25 lines were no records", "has no record"],
    );
    assert!(
        end.stderr.contains("standard input: 15 more like these, up to line 25"),
        "{}",
        end.stderr
    );
    assert_eq!(end.stderr.lines().count(), 13, "{}", end.stderr);
    filter(&["-c", "*"], b"").expect(0, &["the input has no record"]);
}

#[test]
fn by_conditions_and_keys() {
    assert_eq!(picked(&[]), [0, 1, 2]);
    assert_eq!(picked(&["-c", "ecn.connectivity.works"]), [0, 2]);
    assert_eq!(picked(&["--condition", "ecn.connectivity.*"]), [0, 1, 2]);
    assert_eq!(picked(&["-c", "dscp.*.replymark"]), [2]);
    assert!(picked(&["-c", "dscp.*.replymark:1"]).is_empty());
    assert_eq!(picked(&["-c", "*.works", "-x", "dscp.*"]), [0]);
    assert_eq!(picked(&["--without", "dscp.*"]), [0, 1]);
    assert!(picked(&["-c", "*.broken", "-c", "dscp.*"]).is_empty());
    assert_eq!(picked(&["-c", "*.broken", "-c", "dscp.*", "--any"]), [1, 2]);
    assert_eq!(picked(&["--where", "a.ASN=64501"]), [2]);
    assert_eq!(picked(&["-k", "dip!=192.0.2.3", "-k", "a"]), [0]);
    assert_eq!(picked(&["-c", "*.works", "--invert"]), [1]);
    filter(&["--where", "=1"], b"").expect(2, &["names no key"]);
    filter(&["--json"], b"").expect(2, &["--count"]);
}

#[test]
fn files_projection_and_count() {
    let folder = temp_dir("filter");
    let path = |name: &str| folder.join(name).display().to_string();
    fs::write(path("a"), RECORDS).unwrap();
    fs::write(path("b"), RECORDS).unwrap();
    filter(&[&path("a"), &path("b"), "-c", "*.broken", "--output", &path("out")], b"")
        .expect(0, &[]);
    assert_eq!(fs::read_to_string(path("out")).unwrap().lines().count(), 2);
    let end = filter(&["--keys", "conditions,dip", &path("a")], b"");
    assert_eq!(
        end.stdout.lines().next().unwrap(),
        r#"{"dip":"192.0.2.1","conditions":["ecn.connectivity.works"]}"#
    );
    let end = filter(&["--count", &path("a"), &path("b")], b"");
    assert_eq!(
        end.stdout,
        "count       %  condition\n    4   66.67  ecn.connectivity.works\n    2   33.33  \
         dscp.46.replymark:0\n    2   33.33  ecn.connectivity.broken\n    6          records\n"
    );
    let end = filter(&["--count", "--json", "-c", "*.works", &path("a")], b"");
    let count: Value = serde_json::from_str(&end.stdout).unwrap();
    assert_eq!((&count["records"], &count["picked"]), (&3.into(), &2.into()));
    assert_eq!(count["conditions"]["ecn.connectivity.works"], 2);
    filter(&["--output", &path("out")], b"").expect(8, &["--force"]);
    filter(&["--output", &path("out"), "--force"], b"").expect(0, &[]);
    assert_eq!(fs::read_to_string(path("out")).unwrap(), "");
    for suffix in ["gz", "zst"] {
        let packed = path(&format!("packed.{suffix}"));
        filter(&["--output", &packed], RECORDS.as_bytes()).expect(0, &[]);
        assert_ne!(fs::read(&packed).unwrap(), RECORDS.as_bytes());
        assert_eq!(filter(&[&packed], b"").stdout, RECORDS);
    }
    filter(&[&path("a"), "--output", &path("a")], b"").expect(2, &["both input and output"]);
    assert_eq!(fs::read_to_string(path("a")).unwrap(), RECORDS, "left as it was");
    filter(&[&path("none"), "--output", &path("b")], b"").expect(7, &["cannot read"]);
    assert_eq!(fs::read_to_string(path("b")).unwrap(), RECORDS, "left as it was");
    filter(&["--output", "/dev/full"], RECORDS.as_bytes()).expect(8, &["/dev/full"]);
}

#[test]
fn bad_lines_are_told_and_counted() {
    let input = format!("nonsense\n\n[1]\n{RECORDS}{{\"conditions\":\"x\"}}\n{{\"torn\":");
    let end = filter(&["-c", "*.works"], input.as_bytes());
    end.expect(
        9,
        &[
            "standard input:1: not a record: expected ident, at column 2",
            "standard input:3: not a record",
            "standard input:7: not a record: conditions is not a list",
            "standard input:8: not a record: EOF",
            "4 lines were no records",
        ],
    );
    assert_eq!(end.stdout.lines().count(), 2);
    filter(&[], b"\xff\xfe\n").expect(9, &["standard input:1: not a record"]);
    filter(&["--csv-input"], b"a,b,c,d,e,f\n").expect(9, &["standard input:1: not a record"]);
}

#[test]
fn targets_become_ndjson_as_in_2_x() {
    let end = filter(&["--csv-input"], b"192.0.2.1,80,example.org,5\n12,example.net\n");
    end.expect(0, &[]);
    assert_eq!(
        end.stdout,
        "{\"dip\":\"192.0.2.1\",\"dp\":80,\"domain\":\"example.org\",\"rank\":5}\n\
         {\"rank\":12,\"domain\":\"example.net\"}\n"
    );
    let end = filter(&["--dp", "443"], b"{\"dip\":\"192.0.2.1\",\"dp\":80,\"x\":[1]}\n");
    assert_eq!(end.stdout, "{\"dip\":\"192.0.2.1\",\"dp\":443,\"x\":[1]}\n");
    filter(&["--dp", "0"], b"").expect(2, &["--dp"]);
}

#[test]
fn what_comes_slowly_is_passed_on_at_once() {
    let mut command = Program::command(&["filter", "-c", "*.works"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for line in RECORDS.lines().filter(|line| line.contains("works")) {
        writeln!(stdin, "{line}").unwrap();
        assert_eq!(lines.next().unwrap().unwrap(), line, "without waiting for the input's end");
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn what_a_terminal_would_obey_is_escaped() {
    let theirs = "\u{9b}31mred\u{202e}\u{7f}";
    let record = format!("{{\"domain\":\"{theirs}\",\t\"conditions\":[\"a.{theirs}\"]}}\n");
    let escaped = r"\u009b31mred\u202e\u007f";
    for arguments in
        [&[][..], &["--keys", "domain,conditions"], &["--count", "--json"], &["--count"]]
    {
        let end = filter(arguments, record.as_bytes());
        end.expect(0, &[]);
        let hidden = ['\u{9b}', '\u{202e}', '\u{7f}'];
        assert!(!end.stdout.contains(hidden), "{arguments:?}: {:?}", end.stdout);
        match arguments {
            ["--count"] => assert!(end.stdout.contains(r"a.\u{9b}31mred\u{202e}\u{7f}")),
            _ => assert!(end.stdout.contains(escaped), "{}", end.stdout),
        }
    }
    // The rest is as it was, octet for octet.
    let end = filter(&[], record.as_bytes());
    assert_eq!(end.stdout, record.replace(theirs, escaped));
}

#[test]
fn what_no_record_has_is_named() {
    let told = |arguments: &[&str], input: &[u8]| {
        let end = filter(arguments, input);
        end.expect(0, &[]);
        end.stderr
    };
    let records = RECORDS.as_bytes();
    for arguments in [&["-c", "ecn.connectivity.work"][..], &["-x", "ecn.connectivity.work"]] {
        let message = told(arguments, records);
        assert!(message.contains(r#"no record has a condition like "ecn.connectivity.work""#));
    }
    assert!(told(&["-k", "a.AS=64500"], records).contains(r#"no record has the key "a.AS""#));
    assert!(told(&["--keys", "dip,a.AS"], records).contains(r#"has the key "a.AS""#));
    assert_eq!(told(&["-c", "*.works", "-k", "a.ASN!=1", "--keys", "dip,a.ASN"], records), "");
    let nothing = told(&["-c", "x.y"], b"");
    assert!(nothing.contains("the input has no record"), "{nothing}");
    assert!(!nothing.contains("x.y"), "of no record at all nothing can be said: {nothing}");
    let end = filter(&["--keys", "dip,a.ASN"], records);
    assert_eq!(end.stdout.lines().next().unwrap(), r#"{"dip":"192.0.2.1","a":{"ASN":64500}}"#);
}

#[test]
fn a_reader_that_has_enough_is_no_failure() {
    let mut command = Program::command(&["filter"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    // It ends when nobody reads, and then takes no more.
    while stdin.write_all(RECORDS.as_bytes()).is_ok() {}
    drop(stdin);
    let end = Ended::from(child.wait_with_output().unwrap());
    assert_eq!((end.status, end.stderr.as_str()), (0, ""));
    // One that was closed from the begin is a slip.
    let mut shell = Command::new("sh");
    shell.args(["-c", "echo '{}' | $PATHSPIDER filter >&-"]).env("PATHSPIDER", built("pathspider"));
    Ended::from(shell.output().unwrap()).expect(8, &["cannot write to standard output"]);
}

#[test]
fn records_of_a_run() {
    let Some(network) = network(3, 0) else { return };
    let input = network.jobs("clean") + &network.jobs("ecn-syn-dropped");
    let script = format!(
        "$PATHSPIDER measure --allow-special -i {} ecn --connect tcp --timeout 1 | \
         $PATHSPIDER filter -c ecn.connectivity.broken",
        network.interface()
    );
    let end = network.script(&script, &input);
    end.expect(0, &["6 targets"]);
    let records = end.records();
    assert_eq!(records.len(), 3);
    assert!(records.iter().all(|record| record.rest["lab_path"] == "ecn-syn-dropped"));
}
