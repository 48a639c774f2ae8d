//! Completions: a short script for each shell, which asks the program itself for what could stand
//! there. So they know what the program knows at that moment: plugins, interfaces, conditions.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use clap::{Arg, Command, ValueEnum};
use clap_complete::engine::{self, ArgValueCandidates, CompletionCandidate};

/// Shells whose completions are made by asking the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// Bash, from 4.4.
    Bash,
    /// The Z shell.
    Zsh,
    /// Fish.
    Fish,
}

/// The hidden command that the scripts call: `complete SHELL INDEX -- WORDS`.
pub const COMMAND: &str = "complete";

const BASH: &str = r#"# Completions of NAME for bash. They ask the program itself.
_NAME() {
    local IFS=$'\n'
    # The shell has not replaced a tilde yet.
    COMPREPLY=($("${1/#\~\//$HOME/}" complete bash "$COMP_CWORD" -- "${COMP_WORDS[@]}" 2>/dev/null))
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=/] ]]; then compopt -o nospace; fi
}
complete -o default -o nosort -F _NAME NAME
"#;

const ZSH: &str = r#"#compdef NAME
# Completions of NAME for zsh. They ask the program itself.
_NAME() {
    local -a found
    # The shell has not replaced a tilde yet.
    local program=${words[1]/#\~\//$HOME/}
    found=("${(@f)$("$program" complete zsh $((CURRENT - 1)) -- "${(@)words}" 2>/dev/null)}")
    # A tilde among values would be taken to the letter.
    if [[ -n "${found[1]}" && "${words[CURRENT]}" != \~* ]]; then _describe -V values found; else _files; fi
}
if [[ "${funcstack[1]}" == _NAME ]]; then _NAME "$@"; else compdef _NAME NAME; fi
"#;

const FISH: &str = r#"# Completions of NAME for fish. They ask the program itself.
function __NAME_complete
    set -l words (commandline -opc)
    # The shell has not replaced a tilde yet.
    set -l program (string replace -r '^~/' "$HOME/" -- $words[1])
    $program complete fish (count $words) -- $words (commandline -ct) 2>/dev/null
end
complete -c NAME -f -a '(__NAME_complete)'
"#;

/// The script that a shell reads.
pub fn script(shell: Shell, program: &str) -> String {
    let script = match shell {
        Shell::Bash => BASH,
        Shell::Zsh => ZSH,
        Shell::Fish => FISH,
    };
    script.replace("NAME", program)
}

/// What may stand in place of the word with this number, a line each, as the shell's script reads
/// them.
pub fn lines(mut command: Command, shell: Shell, words: Vec<OsString>, index: usize) -> Vec<u8> {
    let (words, index) = match shell {
        Shell::Bash => whole(words, index),
        Shell::Zsh | Shell::Fish => (words, index),
    };
    let typed = words.get(index).cloned().unwrap_or_default();
    let folder = env::current_dir().ok();
    let found = engine::complete(&mut command, words, index, folder.as_deref());
    let mut lines = Vec::new();
    for candidate in found.unwrap_or_default() {
        lines.extend(line(shell, &candidate, &typed));
        lines.push(b'\n');
    }
    lines
}

/// The words as the user means them: bash takes equals signs and colons for words of their own. With
/// the place where the word with this number is then.
fn whole(words: Vec<OsString>, index: usize) -> (Vec<OsString>, usize) {
    let (mut joined, mut place) = (Vec::<OsString>::new(), 0);
    let mut goes_on = false;
    for (at, word) in words.into_iter().enumerate() {
        let is_break = !word.is_empty() && word.as_bytes().iter().all(|&octet| breaks(octet));
        match joined.last_mut().filter(|_| is_break || goes_on) {
            Some(last) => last.push(word),
            None => joined.push(word),
        }
        goes_on = is_break;
        if at == index {
            place = joined.len() - 1;
        }
    }
    (joined, place)
}

/// Whether bash begins a word behind this octet.
fn breaks(octet: u8) -> bool {
    octet == b'=' || octet == b':'
}

fn line(shell: Shell, candidate: &CompletionCandidate, typed: &OsStr) -> Vec<u8> {
    let value = candidate.get_value().as_bytes();
    let help = candidate.get_help().map(ToString::to_string).unwrap_or_default();
    let help = help.lines().next().unwrap_or_default();
    match shell {
        // It replaces only what stands behind the last break.
        Shell::Bash => {
            let kept =
                typed.as_bytes().iter().rposition(|&octet| breaks(octet)).map_or(0, |at| at + 1);
            value.get(kept..).unwrap_or(value).to_vec()
        }
        Shell::Zsh => {
            let mut escaped = Vec::with_capacity(value.len() + help.len());
            for &octet in value {
                if octet == b':' || octet == b'\\' {
                    escaped.push(b'\\');
                }
                escaped.push(octet);
            }
            if !help.is_empty() {
                escaped.push(b':');
                escaped.extend(help.bytes());
            }
            escaped
        }
        Shell::Fish if help.is_empty() => value.to_vec(),
        Shell::Fish => [value, b"\t", help.as_bytes()].concat(),
    }
}

/// A value that an argument may have, and what it means.
pub type Value = (String, String);

/// The argument, where it is known what its values may be.
pub fn with_values(argument: Arg, values: &[Value]) -> Arg {
    let values = values.to_vec();
    let candidate = |(value, help): &Value| {
        let help = (!help.is_empty()).then(|| help.clone().into());
        CompletionCandidate::new(value).help(help)
    };
    argument.add(ArgValueCandidates::new(move || values.iter().map(candidate).collect()))
}

#[cfg(test)]
mod tests {
    use clap::ArgAction;

    use super::*;

    fn command() -> Command {
        let kind = Arg::new("connect").long("connect").value_parser(["tcp", "http"]).help("How");
        let fast = Arg::new("fast").long("fast").action(ArgAction::SetTrue).help("Fast: or not");
        Command::new("x").subcommand(Command::new("ecn").about("Marks").args([kind, fast]))
    }

    fn complete(shell: Shell, words: &[&str], index: usize) -> String {
        let words = words.iter().map(OsString::from).collect();
        String::from_utf8(lines(command(), shell, words, index)).unwrap()
    }

    #[test]
    fn commands_options_and_values() {
        assert_eq!(complete(Shell::Bash, &["x", "e"], 1), "ecn\n");
        assert_eq!(complete(Shell::Bash, &["x", "ecn", "--connect", ""], 3), "tcp\nhttp\n");
        assert_eq!(complete(Shell::Zsh, &["x", "e"], 1), "ecn:Marks\n");
        assert_eq!(complete(Shell::Zsh, &["x", "ecn", "--f"], 2), "--fast:Fast: or not\n");
        assert_eq!(complete(Shell::Fish, &["x", "e"], 1), "ecn\tMarks\n");
        assert_eq!(complete(Shell::Fish, &["x", "ecn", "--connect", "h"], 3), "http\n");
        assert_eq!(complete(Shell::Fish, &["x", "zz"], 1), "");
    }

    #[test]
    fn bash_takes_an_equals_sign_for_a_word() {
        assert_eq!(complete(Shell::Bash, &["x", "ecn", "--connect", "=", "t"], 4), "tcp\n");
        assert_eq!(complete(Shell::Bash, &["x", "ecn", "--connect", "="], 3), "tcp\nhttp\n");
        assert_eq!(complete(Shell::Fish, &["x", "ecn", "--connect=t"], 2), "--connect=tcp\n");
    }

    #[test]
    fn each_script_names_the_program_and_the_command() {
        for shell in Shell::value_variants() {
            let script = script(*shell, "pathspider");
            assert!(script.contains("pathspider") && !script.contains("NAME"), "{script}");
            assert!(script.contains(&format!(" {COMMAND} ")), "{script}");
        }
    }
}
