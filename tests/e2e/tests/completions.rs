//! Completions: what a shell suggests, as the program says and as bash takes it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use pathspider_e2e::{Ended, Program, temp_dir};

/// What the program suggests to fish in place of the last of these words.
fn suggested(words: &[&str]) -> Vec<String> {
    let place = (words.len() - 1).to_string();
    let mut all = vec!["complete", "fish", &place, "--"];
    all.extend(words);
    let end = Program::run(&all);
    assert_eq!(end.status, 0, "{}", end.stderr);
    let values = end.stdout.lines().map(|line| line.split('\t').next().unwrap().to_owned());
    values.collect()
}

#[test]
fn completions_know_plugins_options_values_interfaces_and_conditions() {
    let e = suggested(&["pathspider", "e"]);
    assert!(["ecn", "evilbit", "export"].iter().all(|name| e.iter().any(|e| e == name)), "{e:?}");
    let plugins = suggested(&["pathspider", "measure", "-i", "lo", "d"]);
    assert_eq!(plugins, ["dnsresolv", "dscp"]);
    let kinds = suggested(&["pathspider", "measure", "ecn", "--connect", ""]);
    assert!(kinds.contains(&"tcp".to_owned()) && kinds.contains(&"https".to_owned()), "{kinds:?}");
    assert_eq!(suggested(&["pathspider", "ecn", "--conn"]), ["--connect"]);
    assert_eq!(suggested(&["pathspider", "ecn", "--output-f"]), ["--output-flows"]);
    assert_eq!(suggested(&["pathspider", "measure", "-i", "l"]), ["lo"]);
    assert_eq!(suggested(&["pathspider", "observe", "bas"]), ["basic"]);
    let broken = suggested(&["pathspider", "filter", "-c", "ecn.connectivity.b"]);
    assert_eq!(broken, ["ecn.connectivity.broken"]);
    assert_eq!(suggested(&["pathspider", "help", "do"]), ["doctor"]);
    assert_eq!(suggested(&["pathspider", "report", "--fail"]), ["--fail-if"]);
}

#[test]
fn bash_completes_by_the_script_that_is_written() {
    let folder = temp_dir("bash");
    let (program, script) = (folder.join("pathspider"), folder.join("script"));
    let waived = Program::command(&[]);
    let options: Vec<_> = waived.get_args().map(|word| word.to_string_lossy()).collect();
    let words = format!("exec {} {}", waived.get_program().display(), options.join(" "));
    fs::write(&program, format!("#!/bin/sh\n{words} \"$@\"\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let written = Program::run(&["completions", "bash"]);
    written.expect(0, &[]);
    fs::write(&script, &written.stdout).unwrap();
    // As bash calls it: an equals sign is a word.
    let complete = |words: &str, last: usize| {
        let text = format!(
            "source {}; COMP_WORDS=({words}); COMP_CWORD={last}; _pathspider {}; \
             printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            script.display(),
            program.display()
        );
        let output = Command::new("bash").args(["-c", &text]).output().unwrap();
        Ended::from(output).stdout
    };
    assert_eq!(complete("pathspider dsc", 1), "dscp\n");
    assert_eq!(complete("pathspider ecn --connect = tc", 4), "tcp\n");
    assert_eq!(complete("pathspider measure mss --conn", 3), "--connect\n");
}
