//! `pathspider check`: what a plugin's file does with the contract.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::exit::{Exit, Failure};
use super::shell;
use pathspider_plugins::SearchPath;
use pathspider_plugins::check::{CheckOptions, Finding, RULES, Verdict, check};
use pathspider_runtime::say;
use pathspider_runtime::text;

/// `pathspider check`.
#[derive(Debug, Args)]
#[command(
    after_help = "The rules are applied in processes of their own. If the kernel allows it, each has a \
                  network of its own, so nothing is sent."
)]
pub(super) struct CheckArgs {
    /// The plugins' files
    #[arg(value_name = "FILE", required_unless_present = "list_rules")]
    files: Vec<PathBuf>,

    /// Apply this rule alone, after `loads`; may be given several times
    #[arg(long, value_name = "NAME", value_parser = rule)]
    rule: Vec<String>,

    /// Give a measurement's option another value than its default
    #[arg(long, short, value_name = "NAME=VALUE", value_parser = option)]
    option: Vec<(String, String)>,

    /// Make the same random choices as an earlier call with this number
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,

    /// Write the findings as JSON, one object for each file
    #[arg(long)]
    json: bool,

    /// List the rules, what each demands, and why
    #[arg(long)]
    list_rules: bool,
}

fn rule(name: &str) -> Result<String, String> {
    let names: Vec<&str> = RULES.iter().map(|rule| rule.name).collect();
    if names.contains(&name) {
        Ok(name.to_owned())
    } else {
        Err(format!("there are: {}", names.join(", ")))
    }
}

fn option(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.trim_start_matches('-').to_owned(), value.to_owned()))
}

/// Runs `pathspider check`.
pub(super) fn run(arguments: CheckArgs, path: &SearchPath) -> Result<Exit, Failure> {
    if arguments.list_rules {
        print(&rules(arguments.json))?;
        return Ok(Exit::Finished);
    }
    let options = CheckOptions {
        rules: arguments.rule,
        seed: arguments.seed,
        plugin_options: arguments.option,
        trust: path.trust(),
    };
    let mut bad = 0;
    for file in &arguments.files {
        let name = text::path(file);
        if file.symlink_metadata().is_err() && file.extension().is_none() {
            let what = "check takes a plugin's file, such as target/release/libpathspider_NAME.so; \
                        `pathspider --list-plugins` shows those that are found";
            return Err(Failure::new(Exit::Usage, format!("there is no file {name}: {what}")));
        }
        let findings = check(file, &options)
            .map_err(|misuse| Failure::new(Exit::Usage, format!("{name}: {misuse}")))?;
        bad += usize::from(findings.iter().any(|finding| finding.verdict.is_bad()));
        let text = if arguments.json {
            format!("{}\n", json!({"file": name, "findings": findings}))
        } else {
            shown(&name, &findings)
        };
        print(&text)?;
    }
    if bad > 0 {
        say!("{bad} of {} files broke a rule", arguments.files.len());
        return Ok(Exit::RuleBroken);
    }
    Ok(Exit::Finished)
}

fn shown(name: &str, findings: &[Finding]) -> String {
    let mut text = format!("{name}\n");
    let mut findings = findings.iter().peekable();
    while let Some(finding) = findings.next() {
        let is_alike = |next: &&Finding| {
            let Finding { verdict, details, .. } = finding;
            *verdict == Verdict::Skipped && (next.verdict, &next.details) == (*verdict, details)
        };
        let mut names = vec![finding.rule];
        while let Some(next) = findings.next_if(is_alike) {
            names.push(next.rule);
        }
        let names = names.join(", ");
        // Writing to a `String` does not fail.
        let _ = writeln!(text, "  {:8} {}", finding.verdict.word(), names);
        for detail in &finding.details {
            let _ = writeln!(text, "             {detail}");
        }
    }
    text
}

fn rules(as_json: bool) -> String {
    let mut text = String::new();
    for rule in &RULES {
        let _ = if as_json {
            let line = json!({"rule": rule.name, "demands": rule.demands, "why": rule.why});
            writeln!(text, "{line}")
        } else {
            writeln!(text, "{}\n    {}\n    Why: {}", rule.name, rule.demands, rule.why)
        };
    }
    text
}

fn print(text: &str) -> Result<(), Failure> {
    shell::write(text.as_bytes()).map(drop)
}
