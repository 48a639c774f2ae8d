//! Command lines that nobody means: each gets one line, which says what is wrong and what to do, and an exit
//! status of its kind.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use pathspider_e2e::{Ended, Program, built, network, skipped, temp_dir};

/// A command line, its exit status, and words of what is said.
type Row = (i32, &'static str, &'static str);

/// Runs each line in a folder that has a folder `dir`, a file `empty`, records, and campaigns. A line's words
/// are parted by blanks; `''` is an empty one.
fn judge(folder: &Path, rows: &[Row], command: impl Fn(&[&str]) -> Command) {
    fs::create_dir(folder.join("dir")).unwrap();
    fs::write(folder.join("empty"), "").unwrap();
    fs::write(folder.join("r.ndjson"), "{\"dip\":\"192.0.2.1\",\"conditions\":[]}\n").unwrap();
    let campaign = "name = \"x\"\ntargets = \"empty\"\n\n[[measure]]\nplugin = \"ecn\"\n";
    fs::write(folder.join("c.toml"), campaign).unwrap();
    for (status, line, said) in rows {
        let words: Vec<&str> =
            line.split(' ').map(|word| if word == "''" { "" } else { word }).collect();
        let mut command = command(&words);
        let ended: Ended =
            command.current_dir(folder).stdin(Stdio::null()).output().unwrap().into();
        let is_right = ended.status == *status
            && ended.stderr.lines().count() == 1
            && ended.stderr.contains(said)
            && ended.stdout.is_empty();
        assert!(is_right, "{line}: expected {status} and {said:?}: {ended:?}");
    }
}

const MEASURING: &[Row] = &[
    (2, "measure ecn ''", "\"\" is no target: name an address or a host"),
    (2, "ecn 192.0.2.1 ''", "\"\" is no target"),
    (2, "ecn dscp", "dscp is a plugin, and a run has one"),
    (2, "measure --locate foo ecn", "no value of --locate, which takes broken, changed, always"),
    (2, "--locate foo ecn", "no value of --locate"),
    (2, "measure -i ecn", "ecn is the value of --interface"),
    (3, "foo ecn", "no command, plugin or file named \"foo\""),
    (2, "measure --save-pcap - ecn", "--save-pcap takes the name of a file"),
    (2, "measure --status-file - ecn", "--status-file takes the name of a file"),
    (2, "measure --workers= ecn", "it is empty; see pathspider help measure"),
    (2, "measure --workers x ecn", "it is no whole number"),
    (2, "measure --max-targets 0 ecn", "0 is less than 1"),
    (2, "measure --input '' ecn", "a value is required for '--input <FILE>'"),
    (2, "measure --input --output x ecn", "a value is required for '--input <FILE>'"),
    (7, "measure --input dir ecn", "is a directory"),
    (8, "measure --output dir ecn", "Is a directory"),
    (6, "measure -i '' ecn", "no interface \"\"; there are"),
    (6, "measure --dry-run -i nowhere0 ecn", "no interface \"nowhere0\"; there are"),
    (2, "ecn --plugin-dir ''", "a value is required for '--plugin-dir <DIR>'"),
    (2, "-l ecn", "--list-plugins stands without a command, and \"ecn\" follows it"),
    (2, "--plugin-info ecn dscp", "--plugin-info stands without a command"),
    (2, "trace --with :1 192.0.2.1", "before the colon stands a plugin"),
    (2, "trace ''", "neither dip"),
    (2, "probe ''", "is no target"),
];

const READING: &[Row] = &[
    (2, "filter - -", "standard input is read once"),
    (2, "filter -c '' r.ndjson", "it names no condition"),
    (2, "filter --keys '' r.ndjson", "it names no key"),
    (2, "metadata ''", "\"\" is no file"),
    (2, "metadata -", "\"-\" is no file"),
    (2, "report - -", "standard input is read once"),
    (2, "diff - -", "standard input is read once"),
    (2, "export --csv x - -", "standard input is read once"),
    (7, "report dir", "dir: folder has no file of records"),
    (7, "diff dir r.ndjson", "dir: folder has no file of records"),
    (7, "diff r.ndjson empty", "no record was read of empty"),
];

const CAMPAIGNS: &[Row] = &[
    (2, "campaign status x --server ''", "nats://HOST:PORT"),
    (2, "campaign status x --server http://x", "write nats://HOST:PORT or tls://HOST:PORT"),
    (2, "campaign status x --server nats://[::1", "write nats://HOST:PORT or tls://HOST:PORT"),
    (15, "campaign status x --server nats://127.0.0.1:1", "does a NATS server run there?"),
    (2, "campaign status x --nkey k", "--nkey goes with --server"),
    (7, "campaign status r.ndjson", "there is no campaign in"),
    (7, "campaign check c.toml", "there is no target in"),
    (8, "campaign run c.toml --output empty", "no folder; name a folder"),
    (8, "campaign server-config --output empty", "no folder; name a folder"),
    (2, "campaign server-config --output x --listen x", "write ADDRESS:PORT"),
    (7, "campaign server-config --output x --tls-cert dir --tls-key dir", "dir is a folder"),
    (8, "agent --server nats://127.0.0.1:1 --vantage a --state empty", "no folder"),
    (
        6,
        "agent --server nats://127.0.0.1:1 --vantage a --state x -i nowhere0",
        "no interface \"nowhere0\"; there are",
    ),
    (
        7,
        "agent --server nats://127.0.0.1:1 --vantage a --state x --blocklist dir",
        "cannot read the blocklist dir",
    ),
    (
        2,
        "agent --server nats://127.0.0.1:1 --vantage a --state x --allow-plugin ''",
        "a value is required for '--allow-plugin <PLUGIN>'",
    ),
];

const LAB: &[Row] = &[
    (2, "run nope -- true", "\"nope\": no scenario has this name"),
    (2, "run '' -- true", "\"\": no scenario has this name"),
    (2, "run nowhere.toml -- true", "nowhere.toml: the file cannot be read"),
    (2, "run c.toml -- true", "c.toml:4: unknown field `measure`"),
    (2, "run ecn-clean ls", "see pathspider-lab help run"),
    (2, "check --plugin nope ecn-clean", "--plugin: none of the scenarios"),
    (2, "check --pathspider nowhere ecn-clean", "there is no such file"),
    (2, "check --syn --plugin dscp", "--syn leaves nothing to measure"),
    (2, "check -w 0 ecn-clean", "0 is not between 1 and 1000000"),
    (2, "bench --rounds 0", "0 is not between 1 and 1000"),
    (2, "speed --seconds 0", "0 is less than 1"),
    (3, "bench --write dir connect", "cannot read dir"),
    (3, "fleet 1 --nats true -- true", "`true` failed (exit status: 0)"),
];

#[test]
fn each_odd_line_is_answered_by_one_that_says_what_to_do() {
    let measuring = temp_dir("odd-measuring");
    judge(&measuring, MEASURING, Program::command);
    judge(&temp_dir("odd-reading"), READING, Program::command);
    judge(&temp_dir("odd-campaigns"), CAMPAIGNS, Program::command);
    assert!(!measuring.join("-").exists(), "a file named like standard output was made");
    let ended = Program::run(&["doctor", "-i", "nowhere0"]);
    ended.expect(13, &[]);
    assert!(
        ended.stdout.contains("✗ interface  no interface \"nowhere0\"; there are"),
        "{ended:?}"
    );
}

#[test]
fn each_odd_line_of_the_lab_too() {
    if let Err(error) = pathspider_lab::net::prepare() {
        return skipped(error);
    }
    judge(&temp_dir("odd-lab"), LAB, |words| {
        let mut command = Command::new(built("pathspider-lab"));
        command.args(words);
        command
    });
}

/// Nothing was measured, so the output has no verdict, and the messages say why.
#[test]
fn a_target_that_is_left_out_is_said_to_be() {
    let Some(network) = network(1, 0) else { return };
    for command in ["probe", "trace --with ecn"] {
        let ended = network.script(&format!("exec $PATHSPIDER {command} 192.0.2.1"), "");
        ended.expect(9, &["1 target skipped for its special-purpose address (--allow-special"]);
    }
}
