//! `pathspider check`: applies the contract's rules to a plugin's file, each in a child process,
//! so that one that crashes or hangs is a finding like the others. The rules that look at the same jobs
//! share a child.
//!
//! One mistake breaks one rule: each rule tells of what it is about, and is skipped where what was found
//! by an earlier one would only show again. Else a rule is skipped only where the plugin has nothing
//! that it is about. One that cannot be applied for another reason fails: what was not looked at is not
//! in order.

mod apart;
mod blocking;
mod catalogue;
mod chains;
mod configure;
mod conversations;
mod describes;
mod fuzz;
mod life;
mod lives;
mod meant;
mod network;
mod process;
mod subject;
mod system;
mod traffic;
mod undisturbed;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::thread::CapabilitySet;
use serde::{Deserialize, Serialize};

use super::child::{self, ChildEnd, How, Reporter, Task};
use super::error::LoadError;
use super::file::stem;
use super::load::load;
use super::trust::Trust;
use super::{elf, examine};
use catalogue::{Apply, CONFIGURATIONS, LOADS, Need, QUIET, SYSTEM, judges};
pub use catalogue::{RULES, Rule};
use pathspider_observer::interface;
use pathspider_runtime::privileges::shed_all_but;
use pathspider_runtime::text::{self, visible};
use subject::Subject;

/// How long the examination by one rule may take.
const LIMIT: Duration = Duration::from_secs(30);
/// Why a rule about the network cannot be applied.
const NO_NETWORK: &str = "no network apart can be made here: run it as root";
/// Details of a finding that are shown.
const DETAILS: usize = 8;

/// The child's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Answer {
    Pass,
    /// It holds, and what could not be tried.
    Remarked(Vec<String>),
    /// The plugin has nothing that it is about.
    Skipped(String),
    /// It cannot be applied here.
    Unable(String),
    /// The options that were asked for make no sense.
    Misused(String),
    /// What is wrong.
    Fail(Vec<String>),
}

/// The child's answers, by the rules' names.
pub(super) type Answers = BTreeMap<String, Answer>;

/// What a rule found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It holds.
    Pass,
    /// It does not.
    Fail,
    /// The plugin ended the process.
    Crash,
    /// The plugin did not come to an end.
    Timeout,
    /// The plugin has nothing that it is about, or an earlier rule has said what there is to say.
    Skipped,
}

impl Verdict {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Fail => "fail",
            Verdict::Crash => "crash",
            Verdict::Timeout => "timeout",
            Verdict::Skipped => "skipped",
        }
    }

    /// Whether the rule is broken.
    pub fn is_bad(self) -> bool {
        !matches!(self, Verdict::Pass | Verdict::Skipped)
    }

    /// Whether nothing more could be found by it.
    fn is_end(self) -> bool {
        matches!(self, Verdict::Crash | Verdict::Timeout)
    }
}

/// A rule's verdict on a file.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// The rule.
    pub rule: &'static str,
    /// What it found.
    pub verdict: Verdict,
    /// In detail.
    pub details: Vec<String>,
}

/// How to check.
#[derive(Debug, Clone)]
pub struct CheckOptions {
    /// The rules to apply; all, if none.
    pub rules: Vec<String>,
    /// For what is chosen at random.
    pub seed: u64,
    /// Values of the measurements' options, in place of their defaults.
    pub plugin_options: Vec<(String, String)>,
    /// Whose files are accepted.
    pub trust: Trust,
}

/// Applies the rules to one file; whether it loads is looked at in any case.
///
/// # Errors
///
/// None of its measurements has an option that was asked for, or that has no such value.
pub fn check(path: &Path, options: &CheckOptions) -> Result<Vec<Finding>, String> {
    let opened = options.trust.open(path).and_then(|opened| {
        elf::check(&opened.file, opened.metadata.len())?;
        Ok(opened)
    });
    let opened = match opened {
        Ok(opened) => opened,
        Err(error) => {
            let first = Finding::new(LOADS, Verdict::Fail, vec![told(&error)]);
            return Ok(with_others_skipped(first, options));
        }
    };
    let name = text::path(path);
    let first = apply(LOADS, &name, &opened.file, options)?;
    if first.verdict != Verdict::Pass {
        return Ok(with_others_skipped(first, options));
    }
    let mut findings = vec![first];
    let mut lived = None;
    for rule in wanted(options) {
        findings.push(match (unmet(rule, &findings), &rule.apply) {
            (Some(why), _) => Finding::new(rule, Verdict::Skipped, vec![why]),
            (None, Apply::Alone(_)) => apply(rule, &name, &opened.file, options)?,
            (None, Apply::ToLives(_)) => {
                let child = || run(rule, &name, &opened.file, options);
                conclude(rule, lived.get_or_insert_with(child))?
            }
        });
    }
    Ok(findings)
}

/// What an earlier rule has found, so that this one need not be applied.
fn unmet(rule: &Rule, findings: &[Finding]) -> Option<String> {
    let verdict = |name| findings.iter().find(|found| found.rule == name).map(|f| f.verdict);
    rule.needs.iter().find_map(|need| match *need {
        Need::Holds(name) if verdict(name).is_some_and(Verdict::is_bad) => {
            Some(format!("the rule {name} has to hold first"))
        }
        Need::Ends(name) if verdict(name).is_some_and(Verdict::is_end) => {
            Some(format!("what ended the process in the rule {name} would end it here too"))
        }
        _ => None,
    })
}

/// The rules that are asked for, beside the first.
fn wanted(options: &CheckOptions) -> impl Iterator<Item = &'static Rule> {
    let is_wanted = |rule: &&Rule| {
        options.rules.is_empty() || options.rules.iter().any(|name| name == rule.name)
    };
    RULES.iter().skip(1).filter(is_wanted)
}

fn with_others_skipped(first: Finding, options: &CheckOptions) -> Vec<Finding> {
    let skipped = |rule| Finding::new(rule, Verdict::Skipped, vec!["it does not load".to_owned()]);
    std::iter::once(first).chain(wanted(options).map(skipped)).collect()
}

fn told(error: &LoadError) -> String {
    error.to_string()
}

impl Finding {
    fn new(rule: &Rule, verdict: Verdict, details: Vec<String>) -> Finding {
        Finding { rule: rule.name, verdict, details }
    }
}

/// Applies a rule in a child.
///
/// # Errors
///
/// The options make no sense.
fn apply(
    rule: &'static Rule,
    name: &str,
    file: &File,
    options: &CheckOptions,
) -> Result<Finding, String> {
    conclude(rule, &run(rule, name, file, options))
}

/// The child that answers by this rule, and by those that share it.
fn run(rule: &Rule, name: &str, file: &File, options: &CheckOptions) -> io::Result<ChildEnd> {
    let task = Task::Check {
        rule: rule.name.to_owned(),
        seed: options.seed,
        options: options.plugin_options.clone(),
    };
    child::run(task, name, file, LIMIT)
}

fn unable(why: &str) -> (Verdict, Vec<String>) {
    (Verdict::Fail, vec![format!("it cannot be applied: {why}")])
}

/// What a rule found, by the end of its child.
fn conclude(rule: &Rule, child: &io::Result<ChildEnd>) -> Result<Finding, String> {
    let (verdict, details) = match child {
        Ok(ended) => judge(rule, ended)?,
        Err(error) => unable(&format!("no process can be started for it: {error}")),
    };
    let clean = |detail: String| visible(&detail, 500);
    Ok(Finding::new(rule, verdict, details.into_iter().map(clean).collect()))
}

fn judge(rule: &Rule, ended: &ChildEnd) -> Result<(Verdict, Vec<String>), String> {
    let answer = match &ended.how {
        How::Answered(answers) => Answers::deserialize(answers).ok(),
        _ => None,
    };
    let answer = answer.and_then(|mut answers| answers.remove(rule.name));
    Ok(match (answer, &ended.how) {
        (Some(Answer::Misused(how)), _) => return Err(visible(&how, 500)),
        (Some(_), _) if rule.name == QUIET && !ended.stdout.is_empty() => {
            let said = String::from_utf8_lossy(&ended.stdout);
            let said = visible(&said, 60);
            let what = "standard output is for records: log by Host::log, or to standard error";
            (Verdict::Fail, vec![format!("it printed {said:?}; {what}")])
        }
        (Some(Answer::Pass), _) => (Verdict::Pass, Vec::new()),
        (Some(Answer::Remarked(what)), _) => (Verdict::Pass, what),
        (Some(Answer::Skipped(why)), _) => (Verdict::Skipped, vec![why]),
        (Some(Answer::Unable(why)), _) => unable(&why),
        (Some(Answer::Fail(details)), _) => (Verdict::Fail, details),
        (None, How::TimedOut(_)) => (Verdict::Timeout, vec![ended.reason()]),
        (None, _) => (Verdict::Crash, vec![ended.reason()]),
    })
}

/// The child's part.
///
/// # Errors
///
/// Privileges that the plugin must not have could not be given up.
pub(super) fn inside(
    file: File,
    name: &str,
    order: (&str, u64, Vec<(String, String)>),
    reporter: &mut Reporter,
) -> io::Result<Answers> {
    let (rule, seed, options) = order;
    let Some(rule) = RULES.iter().find(|known| known.name == rule) else {
        let unknown = Answer::Unable("this host has no such rule".to_owned());
        return Ok(Answers::from([(rule.to_owned(), unknown)]));
    };
    // What is known of the machine's own network.
    let interface = interface::of_default_route();
    let parameters = if rule.name == CONFIGURATIONS { network::names() } else { BTreeSet::new() };
    let isolated = apart::leave();
    // In a network of its own the plugin may try what it would do to the machine's.
    shed_all_but(if isolated {
        CapabilitySet::NET_ADMIN | CapabilitySet::NET_RAW
    } else {
        CapabilitySet::empty()
    })?;
    let surroundings = Surroundings { interface, parameters, isolated };
    let answered = load_and_apply(file, name, rule, surroundings, (seed, options), reporter);
    Ok(answered.unwrap_or_else(|answer| {
        let names = match rule.apply {
            Apply::Alone(_) => vec![rule.name],
            Apply::ToLives(_) => judges().map(|(name, _)| name).collect(),
        };
        names.into_iter().map(|name| (name.to_owned(), answer.clone())).collect()
    }))
}

/// Where a rule is applied.
struct Surroundings {
    interface: Option<String>,
    parameters: BTreeSet<String>,
    isolated: bool,
}

/// The answers, or the one that all rules of this child have.
fn load_and_apply(
    file: File,
    name: &str,
    rule: &'static Rule,
    surroundings: Surroundings,
    (seed, options): (u64, Vec<(String, String)>),
    reporter: &mut Reporter,
) -> Result<Answers, Answer> {
    let Surroundings { interface, parameters, isolated } = surroundings;
    // The constructors of the file may be the ones that change them.
    let process = process::state();
    let network = (rule.name == SYSTEM && isolated).then(network::state).transpose();
    let network = network.map_err(Answer::Unable)?;
    let is_loads = std::ptr::eq(rule, LOADS);
    reporter.step("it was being loaded");
    let plugin = match load(file, name) {
        Ok(plugin) => plugin,
        Err(error) if is_loads => return Err(Answer::Fail(vec![told(&error)])),
        Err(error) => return Err(Answer::Unable(format!("this time it did not load: {error}"))),
    };
    reporter.step("it was to describe itself");
    if let Err(error) = examine::describe(&plugin) {
        return Err(if is_loads {
            Answer::Fail(vec![told(&error)])
        } else {
            Answer::Unable(format!("this time it did not describe itself: {error}"))
        });
    }
    let mut subject = Subject {
        plugin,
        name: stem(Path::new(name)),
        seed,
        options,
        isolated,
        interface,
        parameters,
        network,
        process,
        reporter,
    };
    if is_loads && let Some(how) = subject.misuse() {
        return Err(Answer::Misused(how));
    }
    match rule.apply {
        Apply::Alone(apply) => Ok(Answers::from([(rule.name.to_owned(), apply(&mut subject))])),
        Apply::ToLives(_) => {
            let troubles = lives::troubles(&mut subject)?;
            Ok(judges().map(|(name, judge)| (name.to_owned(), judge(&troubles))).collect())
        }
    }
}

/// Collects what is wrong: each once, and not too many.
#[derive(Default)]
struct Troubles {
    told: Vec<String>,
    more: usize,
}

impl Troubles {
    fn note(&mut self, trouble: impl Into<String>) {
        let trouble = trouble.into();
        if self.told.contains(&trouble) {
            return;
        }
        if self.told.len() < DETAILS {
            self.told.push(trouble);
        } else {
            self.more += 1;
        }
    }

    fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    /// What was reported is wrong.
    fn answer(self) -> Answer {
        self.told().map_or(Answer::Pass, Answer::Fail)
    }

    /// What was reported is not wrong, but worth knowing.
    fn remark(self) -> Answer {
        self.told().map_or(Answer::Pass, Answer::Remarked)
    }

    fn told(mut self) -> Option<Vec<String>> {
        if self.more > 0 {
            self.told.push(format!("and {} more", self.more));
        }
        (!self.told.is_empty()).then_some(self.told)
    }
}
