//! Plugins that do what bad C libraries do, in each function of the contract: no run ends with 0 or
//! without a word, and what is not the plugin's stays as it was.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use pathspider_e2e::{Ended, Network, Program, built, network, records, temp_dir};

use crate::check::{broken, check};

// Not each of its lists is gone through here.
#[allow(dead_code)]
#[path = "../../plugins/hostile/src/words.rs"]
pub(crate) mod words;

use words::{BEFORE, DISTURBS, IN_RUN};

/// As authors write them.
fn written(function: &str) -> String {
    function.replace('-', "_")
}

fn command(network: &Network, arguments: &[&str], at: &str, what: &str) -> Command {
    command_of("hostile", network, arguments, at, what)
}

fn command_of(
    plugin: &str,
    network: &Network,
    arguments: &[&str],
    at: &str,
    what: &str,
) -> Command {
    let folder = built("").display().to_string();
    let always = ["measure", "-i", network.interface(), "--allow-special", "--plugin-dir", &folder];
    let mut command = Program::command(&[&always[..], arguments].concat());
    command.args([plugin, "--at", at, "--what", what]);
    command
}

fn measure(network: &Network, arguments: &[&str], at: &str, what: &str) -> Ended {
    let command = command(network, arguments, at, what);
    let ended = network.run(command, &network.jobs("clean"));
    let settings = network.settings();
    assert!(settings.contains("/tcp_sack:1\n"), "{what} in {at}: {settings}");
    ended
}

#[test]
fn who_calls_exit_in_any_function_is_named_and_the_run_fails() {
    let Some(network) = network(4, 0) else { return };
    for at in BEFORE.into_iter().chain(IN_RUN) {
        let ended = measure(&network, &[], at, "exit");
        ended.expect(1, &["libhostile.so", &format!("called exit in `{}`", written(at))]);
    }
    measure(&network, &[], "connect", "quick-exit").expect(1, &["called exit in `connect`"]);
    let ended = measure(&network, &[], "connect", "exit-on-a-thread");
    ended.expect(1, &["one of its threads called exit"]);
    // A handler of its own says nothing any more.
    let ended = measure(&network, &[], "connect", "exit-at-the-end");
    ended.expect(0, &["4 targets"]);
    for at in BEFORE.into_iter().chain(IN_RUN) {
        let ended = measure(&network, &[], at, "exit-at-once");
        ended.expect(1, &["libhostile.so", &format!("called _exit in `{}`", written(at))]);
    }
}

/// No process can meet that call. Whoever watches it from outside reports it: the keeper while settings
/// are changed, the witness before, after, and in a run that changes none.
#[test]
fn who_ends_the_process_by_a_system_call_is_reported_once_in_any_function() {
    let Some(network) = network(4, 0) else { return };
    for plugin in ["hostile", "hostile-idle"] {
        for at in BEFORE.into_iter().chain(IN_RUN) {
            let command = command_of(plugin, &network, &[], at, "exit-by-the-kernel");
            let ended = network.run(command, &network.jobs("clean"));
            let said = format!("the {plugin} run ended without a word");
            assert_eq!(ended.stderr.matches(&said).count(), 1, "{at}: {ended:?}");
            let is_restored = ended.stderr.contains("restored: net.ipv4.tcp_sack");
            let is_changed = plugin == "hostile" && at == "connect";
            assert!(is_restored || !is_changed, "{at}: {ended:?}");
            assert!(network.settings().contains("/tcp_sack:1\n"), "{at}");
        }
        // One that ends in order has nobody speak in its place.
        let ended = network
            .run(command_of(plugin, &network, &[], "nowhere", "nothing"), &network.jobs("clean"));
        ended.expect(0, &["4 targets"]);
        assert!(!ended.stderr.contains("without a word"), "{ended:?}");
    }
}

#[test]
fn the_metadata_of_a_run_that_a_plugin_ended_say_so() {
    let Some(network) = network(4, 0) else { return };
    let output = temp_dir("hostile-metadata").join("records.ndjson");
    let output = output.to_str().unwrap();
    let ended = measure(&network, &["--output", output], "combine", "exit");
    ended.expect(1, &[]);
    let metadata = fs::read_to_string(format!("{output}.meta.json")).unwrap();
    let metadata: serde_json::Value = serde_json::from_str(&metadata).unwrap();
    let end = metadata["runs"][0]["end"].as_str().unwrap();
    assert!(end.contains("called exit in `combine`"), "{end}");
}

#[test]
fn check_names_the_function_that_ends_the_process() {
    let file = built("libhostile.so");
    for (at, rule) in [
        ("new", "options"),
        ("configurations", "configurations"),
        ("chains", "configurations"),
        ("configure", "configurations"),
        ("connect", "blocking"),
        ("combine", "blocking"),
        ("finish", "run"),
    ] {
        let options = ["--option", &format!("at={at}"), "--option", "what=exit"];
        let (end, checked) = check(&file, &options);
        end.expect(12, &[]);
        assert_eq!(broken(&checked), [(rule, "crash")], "{at}: {checked:#?}");
        let mut findings = checked.findings.iter();
        let finding = findings.find(|finding| finding.rule == rule).unwrap();
        let words = format!("called exit in `{}`", written(at));
        assert!(finding.details[0].contains(&words), "{finding:?}");
    }
}

#[test]
fn what_is_not_the_plugins_stays_as_it_was() {
    let Some(network) = network(4, 0) else { return };
    let folder = temp_dir("hostile-harm");
    for what in DISTURBS {
        for at in ["new", "configure", "connect", "combine", "finish"] {
            let here = folder.join(format!("{what}-{at}"));
            fs::create_dir(&here).unwrap();
            let files = ["--output", "records.ndjson", "--status-file", "status.csv"];
            let mut command = command(&network, &files, at, what);
            command.current_dir(&here);
            let ended = network.run(command, &network.jobs("clean"));
            ended.expect(0, &["4 targets"]);
            let text = fs::read_to_string(here.join("records.ndjson")).unwrap();
            let records = records(&text);
            assert_eq!(records.len(), 4, "{what} in {at}: {text}");
            for record in records {
                assert_eq!(record.conditions, ["hostile.connectivity.works"], "{what} in {at}");
            }
            for name in ["records.ndjson.meta.json", "status.csv"] {
                assert!(here.join(name).exists(), "{what} in {at}: no {name}");
            }
            assert!(network.settings().contains("/tcp_sack:1\n"), "{what} in {at}");
        }
    }
}

#[test]
fn what_a_plugin_prints_is_not_among_the_records() {
    let Some(network) = network(4, 0) else { return };
    for at in ["new", "connect", "combine", "finish"] {
        let ended = measure(&network, &[], at, "print");
        ended.expect(0, &["hostile.x"]);
        assert_eq!(ended.records().len(), 4, "{ended:?}");
        assert!(!ended.stdout.contains("hostile.x"), "{ended:?}");
    }
    // Also where the output is named by its descriptor.
    for name in ["/dev/stdout", "/proc/self/fd/1"] {
        let ended = measure(&network, &["--output", name], "new", "print");
        ended.expect(0, &[]);
        assert_eq!(ended.records().len(), 4, "{ended:?}");
    }
}

#[test]
fn who_closes_what_is_not_its_own_ends_the_run() {
    let Some(network) = network(1, 0) else { return };
    let ended = measure(&network, &[], "new", "close-all");
    ended.expect(4, &["cannot be set up", "descriptors that are this program's own were closed"]);
    let ended = measure(&network, &[], "connect", "close-all");
    ended.expect(1, &["were closed, and only a plugin can have done that"]);
    assert_eq!(ended.records().len(), 0, "{ended:?}");
}

#[test]
fn who_stays_before_the_run_is_named() {
    let Some(network) = network(1, 0) else { return };
    for at in BEFORE {
        let begun = Instant::now();
        let ended = measure(&network, &["--plugin-timeout", "2s"], at, "stay");
        let words = format!("has not come back from `{}` after 2 s", written(at));
        ended.expect(4, &["libhostile.so", &words, "nothing was sent"]);
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
}

#[test]
fn what_a_panic_says_moves_no_cursor() {
    let Some(network) = network(2, 0) else { return };
    for at in ["new", "connect", "combine"] {
        let ended = measure(&network, &[], at, "panic-with-escapes");
        let all = format!("{}{}", ended.stdout, ended.stderr);
        assert!(!all.contains(['\x1b', '\x07', '\u{202e}']), "{all:?}");
        assert!(
            all.contains("and \\u{202e}no more") || all.contains("and \\u202eno more"),
            "{all}"
        );
        assert!(all.contains("deed.rs:"), "where it was: {all}");
    }
}

#[test]
fn check_finds_what_is_done_to_the_process() {
    let file = built("libhostile.so");
    for (what, words) in [
        ("chdir", "the working directory was"),
        ("umask", "the umask was"),
        ("environment", "the environment's PATH was"),
        ("block-signals", "the set of blocked signals was"),
        ("kill-by-pipe", "the set of ignored signals was"),
        ("close-standard", "standard output was"),
    ] {
        let rule = ["--rule", "process"];
        let options = ["--option", "at=connect", "--option", &format!("what={what}")];
        let (end, checked) = check(&file, &[&rule[..], &options].concat());
        end.expect(12, &[]);
        assert_eq!(broken(&checked), [("process", "fail")], "{what}: {checked:#?}");
        let details = &checked.findings[1].details;
        assert!(details.iter().any(|detail| detail.contains(words)), "{what}: {details:?}");
    }
}

#[test]
fn lists_and_help_survive() {
    for what in ["exit", "quick-exit", "exit-at-once", "panic-with-escapes", "close-all"] {
        for arguments in [&["--list-plugins"][..], &["--plugin-info", "hostile"]] {
            // Nothing is known of it from another time.
            let cache = temp_dir(&format!("hostile-cache-{what}-{}", arguments.len()));
            let file = cache.join("hostile.so");
            fs::copy(built("libhostile.so"), &file).unwrap();
            let all = [&["--plugin-dir", cache.to_str().unwrap()][..], arguments].concat();
            let mut command = Program::command(&all);
            command.env("HOSTILE_IN_INFO", what);
            let end = Ended::from(command.output().unwrap());
            let is_list = arguments.len() == 1;
            assert_eq!(end.status, if is_list { 0 } else { 4 }, "{what}: {end:?}");
            let lines = end.stderr.lines().filter(|line| line.contains("hostile"));
            assert_eq!(lines.count(), 1, "{what}: {end:?}");
            assert!(!end.stderr.contains('\x1b'), "{what}: {end:?}");
        }
    }
}
