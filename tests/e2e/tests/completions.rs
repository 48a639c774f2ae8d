//! Completions: what a shell suggests, as the program says, and as bash, fish and zsh take it.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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
    assert_eq!(suggested(&["pathspider", "measure", "-i", "lo"]), ["lo"]);
    assert_eq!(suggested(&["pathspider", "observe", "bas"]), ["basic"]);
    let broken = suggested(&["pathspider", "filter", "-c", "ecn.connectivity.b"]);
    assert_eq!(broken, ["ecn.connectivity.broken"]);
    assert_eq!(suggested(&["pathspider", "help", "do"]), ["doctor"]);
    assert_eq!(suggested(&["pathspider", "trace", "--with", "mpt"]), ["mptcp"]);
    // Of programs beside this one.
    assert_eq!(suggested(&["pathspider", "agent", "--state", "x", "-i", "lo"]), ["lo"]);
    assert_eq!(suggested(&["pathspider", "agent", "--allow-plugin", "mpt"]), ["mptcp"]);
    assert_eq!(suggested(&["pathspider", "campaign", "col"]), ["collect"]);
    assert_eq!(suggested(&["pathspider", "report", "--fail"]), ["--fail-if"]);
}

/// A folder with a program `pathspider` that runs ours, and the script that it writes for a shell.
fn installed(shell: &str) -> PathBuf {
    let folder = temp_dir(shell);
    let program = folder.join("pathspider");
    let waived = Program::command(&[]);
    let options: Vec<_> = waived.get_args().map(|word| word.to_string_lossy()).collect();
    let words = format!("exec {} {}", waived.get_program().display(), options.join(" "));
    fs::write(&program, format!("#!/bin/sh\n{words} \"$@\"\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let written = Program::run(&["completions", shell]);
    written.expect(0, &[]);
    fs::write(folder.join("script"), &written.stdout).unwrap();
    folder
}

#[test]
fn bash_completes_by_the_script_that_is_written() {
    let folder = installed("bash");
    // As bash calls it: an equals sign is a word.
    let complete = |program: &str, words: &str, last: usize| {
        let text = format!(
            "source {}; COMP_WORDS=({words}); COMP_CWORD={last}; _pathspider {program}; \
             printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            folder.join("script").display()
        );
        let mut bash = Command::new("bash");
        Ended::from(bash.args(["-c", &text]).env("HOME", &folder).output().unwrap()).stdout
    };
    let program = folder.join("pathspider").display().to_string();
    assert_eq!(complete(&program, "pathspider dsc", 1), "dscp\n");
    assert_eq!(complete(&program, "pathspider ecn --connect = tc", 4), "tcp\n");
    assert_eq!(complete(&program, "pathspider measure mss --conn", 3), "--connect\n");
    assert_eq!(complete("'~/pathspider'", "'~/pathspider' dsc", 1), "dscp\n");
}

/// What is typed, and what these shells offer.
const TYPED: [(&str, &[&str]); 6] = [
    ("pathspider dsc", &["dscp"]),
    ("pathspider ecn --connect ht", &["http", "https"]),
    ("pathspider ecn --connect=tc", &["--connect=tcp"]),
    ("~/pathspider measure -i lo", &["lo"]),
    ("pathspider filter -c ecn.connectivity.b", &["ecn.connectivity.broken"]),
    ("pathspider check --rule system ~/scr", &["script"]),
];

/// What a shell offers in place of the last word of a line. `None` where the shell is not
/// installed.
fn offered(mut shell: Command, folder: &Path) -> Option<Vec<String>> {
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let run = shell.env("PATH", path).env("HOME", folder).current_dir(folder);
    let ended = match run.stdin(Stdio::null()).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        ended => Ended::from(ended.unwrap()),
    };
    let values =
        ended.stdout.lines().map(|line| line.split('\t').next().unwrap_or_default().trim());
    Some(values.map(str::to_owned).collect())
}

fn judge(name: &str, offers: impl Fn(&str, &Path) -> Option<Vec<String>>) {
    let folder = installed(name);
    for (line, expected) in TYPED {
        match offers(line, &folder) {
            None => return pathspider_e2e::skipped(format!("{name} is not installed")),
            Some(offered) => {
                // It would be taken to the letter.
                assert!(offered.iter().all(|value| !value.contains("\\~")), "{name}: {offered:?}");
                let last = |value: &String| value.rsplit('/').next().unwrap_or_default().to_owned();
                let mut offered: Vec<String> = offered.iter().map(last).collect();
                offered.sort();
                assert_eq!(offered, expected, "{name}: {line}");
            }
        }
    }
}

#[test]
fn fish_completes_by_the_script_that_is_written() {
    judge("fish", |line, folder| {
        let mut fish = Command::new("fish");
        let text = format!("source script; complete -C '{line}'");
        fish.args(["--no-config", "-c", &text]);
        offered(fish, folder)
    });
}

/// Types into a shell on a terminal of its own, and reads what it says until it ends.
const TYPE: &str = "
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'source ./setup'
while zpty -r shell line; do [[ $line == READY* ]] && break; done
zpty -w -n shell \"$1\"$'\\t'
while zpty -r shell line; do print -rn -- $line; done
";

/// Has that shell write what it would offer, between two marks, and end.
const SETUP: &str = "
PROMPT=
autoload -Uz compinit
compinit -u -D
source ./script
bindkey '^I' complete-word
mark() { print; print -r -- '<<>>' }
compprefuncs=(mark)
comppostfuncs=(mark exit)
compadd() {
  if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\\ * ]]; then builtin compadd \"$@\"; return; fi
  local -a found
  builtin compadd -A found \"$@\"
  print -rl -- $found
}
print -r -- READY
";

/// What stands before and behind the values.
const MARK: &str = "<<>>";

#[test]
fn zsh_completes_by_the_script_that_is_written() {
    judge("zsh", |line, folder| {
        fs::write(folder.join("setup"), SETUP).unwrap();
        let mut zsh = Command::new("zsh");
        zsh.args(["-f", "-c", TYPE, "zsh", line]);
        let lines = offered(zsh, folder)?.into_iter().skip_while(|line| line != MARK).skip(1);
        // The mark has a line of its own, after an empty one.
        Some(lines.take_while(|line| line != MARK).filter(|line| !line.is_empty()).collect())
    });
}
