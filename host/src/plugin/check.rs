//! `pathspider check`: applies the contract's rules to a plugin's file, each in a child process,
//! so that one that crashes or hangs is a finding like the others.

mod apart;
mod chains;
mod describes;
mod life;
mod lives;
mod subject;
mod system;
mod traffic;

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::child::{self, Ended, How, Reporter, Task};
use super::error::LoadError;
use super::load::load;
use crate::text::visible;
use super::trust::Trust;
use super::{elf, examine};
use subject::Subject;

/// How long the examination by one rule may take.
const LIMIT: Duration = Duration::from_secs(30);
/// Details of a finding that are told.
const DETAILS: usize = 8;

/// A rule: what it demands, and why.
pub(crate) struct Rule {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it demands of a plugin.
    pub(crate) demands: &'static str,
    /// Why.
    pub(crate) why: &'static str,
    apply: fn(&mut Subject<'_>) -> Answer,
}

/// The rule without which no other can be applied.
const LOADS: &str = "loads";
/// The rule that is about what the child printed.
const QUIET: &str = "quiet";

/// All rules, in the order in which they are applied.
pub(crate) const RULES: &[Rule] = &[
    Rule {
        name: LOADS,
        demands: "It is a whole shared library for this machine, needs nothing that is not there, \
                  and speaks an ABI version that this host understands.",
        why: "Else no host can use it.",
        apply: |_| Answer::Pass,
    },
    Rule {
        name: "panics",
        demands: "A panic is caught where it happens and reported: no panic = \"abort\".",
        why: "A panic is to cost one job, never the run.",
        apply: describes::panics,
    },
    Rule {
        name: "metadata",
        demands: "Names, version, description and contact are there; conditions are words joined \
                  by dots, are declared once, say what was seen, and are not the host's.",
        why: "Whoever reads a result has to know what it means, and whom to ask.",
        apply: describes::metadata,
    },
    Rule {
        name: "options",
        demands: "Options have different, usable names, help, defaults within their ranges; `new` \
                  takes the defaults and every word of a choice.",
        why: "They become arguments of the command line, checked before any packet is sent.",
        apply: describes::options,
    },
    Rule {
        name: "configurations",
        demands: "There is a baseline; labels differ; `configure` reaches each configuration from \
                  each other, through System alone and where Info::changes_system was declared.",
        why: "A run goes round them many times, in this order and with gaps.",
        apply: lives::configurations,
    },
    Rule {
        name: "chain-names",
        demands: "The observer chains that it names exist, and write no field twice.",
        why: "Else its run cannot start.",
        apply: chains::names,
    },
    Rule {
        name: "run",
        demands: "Jobs go through it, from pre_connect to rows, however their connections end and \
                  whatever was seen of them, and nothing panics or breaks the contract.",
        why: "On the Internet all of it happens.",
        apply: lives::run,
    },
    Rule {
        name: "no-flow",
        demands: "Without a flow in the capture, merge and combine give no error and no verdict.",
        why: "Absence means no evidence: a verdict without packets seen is a guess.",
        apply: lives::no_flow,
    },
    Rule {
        name: "declared-conditions",
        demands: "combine gives only conditions that info declares.",
        why: "Readers rely on the declaration; a run takes the job's conclusions back otherwise.",
        apply: lives::declared_conditions,
    },
    Rule {
        name: "configuration-index",
        demands: "Where it names a configuration, there is one of that number.",
        why: "pathspider.not_applied:7 of a measurement with two means nothing.",
        apply: lives::configuration_index,
    },
    Rule {
        name: "valid-records",
        demands: "Records have no key twice, no empty key, no NaN or infinity.",
        why: "JSON cannot say it, or readers take it two ways.",
        apply: lives::valid_records,
    },
    Rule {
        name: "reserved-keys",
        demands: "It leaves the keys that the host writes: config, observed, jobId, conditions, …",
        why: "Nobody could tell the host's word from the plugin's.",
        apply: lives::reserved_keys,
    },
    Rule {
        name: "chain-fields",
        demands: "Its chains write the fields that they declare, all of them, in their types.",
        why: "The declaration is the documentation, and measurements rely on it.",
        apply: chains::fields,
    },
    Rule {
        name: "chain-packets",
        demands: "Its chains take any packet: short, malformed, of any protocol, in any order.",
        why: "Whatever is on the wire comes to the chains.",
        apply: chains::packets,
    },
    Rule {
        name: "fuzz",
        demands: "Random options, jobs, outcomes and flow records make nothing panic.",
        why: "Input files and targets are not chosen by friends.",
        apply: lives::fuzz,
    },
    Rule {
        name: "system",
        demands: "Nothing of the network's settings is changed otherwise than through System.",
        why: "What the host does not know of, it cannot undo.",
        apply: system::unchanged,
    },
    Rule {
        name: "threads",
        demands: "Several threads may call pre_connect to rows at the same time.",
        why: "The host does, without a lock.",
        apply: lives::threads,
    },
    Rule {
        name: "blocking",
        demands: "Without Info::blocking, pre_connect and connect return at once.",
        why: "They run on the thread that opens all connections.",
        apply: lives::blocking,
    },
    Rule {
        name: QUIET,
        demands: "It prints nothing to standard output.",
        why: "It carries the records.",
        apply: lives::quiet,
    },
];

/// The child's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Answer {
    Pass,
    /// It does not apply, or cannot be applied here.
    Skipped(String),
    /// What is wrong.
    Fail(Vec<String>),
}

/// What a rule found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// It holds.
    Pass,
    /// It does not.
    Fail,
    /// The plugin ended the process.
    Crash,
    /// The plugin did not come to an end.
    Timeout,
    /// It could not be applied.
    Skipped,
}

impl Verdict {
    /// The word for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Fail => "fail",
            Verdict::Crash => "crash",
            Verdict::Timeout => "timeout",
            Verdict::Skipped => "skipped",
        }
    }

    /// Whether the rule is broken.
    pub(crate) fn is_bad(self) -> bool {
        !matches!(self, Verdict::Pass | Verdict::Skipped)
    }
}

/// A rule's verdict on a file.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Finding {
    /// The rule.
    pub(crate) rule: &'static str,
    /// What it found.
    pub(crate) verdict: Verdict,
    /// In detail.
    pub(crate) details: Vec<String>,
}

/// How to check.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The rules to apply; all, if none.
    pub(crate) rules: Vec<String>,
    /// For what is chosen at random.
    pub(crate) seed: u64,
    /// Values of the measurements' options, in place of their defaults.
    pub(crate) options: Vec<(String, String)>,
    /// Whose files are accepted.
    pub(crate) trust: Trust,
}

/// Applies the rules to one file.
pub(crate) fn check(path: &Path, settings: &Settings) -> Vec<Finding> {
    let is_wanted = |rule: &&Rule| {
        settings.rules.is_empty() || settings.rules.iter().any(|name| name == rule.name)
    };
    let opened = settings.trust.open(path).and_then(|opened| {
        elf::check(&opened.file, opened.metadata.len())?;
        Ok(opened)
    });
    let name = visible(&path.display().to_string(), 4096);
    let mut loads = true;
    let judge = |rule: &'static Rule| match &opened {
        Err(error) if rule.name == LOADS => Finding::new(rule, Verdict::Fail, vec![told(error)]),
        _ if !loads => Finding::new(rule, Verdict::Skipped, vec!["it does not load".to_owned()]),
        Err(_) => Finding::new(rule, Verdict::Skipped, vec!["it does not load".to_owned()]),
        Ok(opened) => {
            let finding = apply(rule, &name, &opened.file, settings);
            loads &= rule.name != LOADS || finding.verdict == Verdict::Pass;
            finding
        }
    };
    RULES.iter().filter(is_wanted).map(judge).collect()
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
fn apply(rule: &'static Rule, name: &str, file: &File, settings: &Settings) -> Finding {
    let task = Task::Check {
        rule: rule.name.to_owned(),
        seed: settings.seed,
        options: settings.options.clone(),
    };
    let ended = match child::run(task, name, file, LIMIT) {
        Ok(ended) => ended,
        Err(error) => {
            let detail = format!("no process can be started for it: {error}");
            return Finding::new(rule, Verdict::Skipped, vec![detail]);
        }
    };
    let (verdict, details) = conclude(rule, &ended);
    let clean = |detail: String| visible(&detail, 500);
    Finding::new(rule, verdict, details.into_iter().map(clean).collect())
}

fn conclude(rule: &Rule, ended: &Ended) -> (Verdict, Vec<String>) {
    let answer = match &ended.how {
        How::Answered(answer) => serde_json::from_value(answer.clone()).ok(),
        _ => None,
    };
    match (answer, &ended.how) {
        (Some(_), _) if rule.name == QUIET && !ended.stdout.is_empty() => {
            let said = String::from_utf8_lossy(&ended.stdout);
            (Verdict::Fail, vec![format!("it printed {:?}", visible(&said, 60))])
        }
        (Some(Answer::Pass), _) => (Verdict::Pass, Vec::new()),
        (Some(Answer::Skipped(why)), _) => (Verdict::Skipped, vec![why]),
        (Some(Answer::Fail(details)), _) => (Verdict::Fail, details),
        (None, How::TimedOut(_)) => (Verdict::Timeout, vec![ended.reason()]),
        (None, _) => (Verdict::Crash, vec![ended.reason()]),
    }
}

/// The child's part.
pub(super) fn inside(
    file: File,
    name: &str,
    order: (&str, u64, Vec<(String, String)>),
    reporter: &mut Reporter,
) -> Answer {
    let (rule, seed, options) = order;
    let Some(rule) = RULES.iter().find(|known| known.name == rule) else {
        return Answer::Skipped("this host has no such rule".to_owned());
    };
    let isolated = apart::leave();
    reporter.step("it was being loaded");
    let plugin = match load(file, name) {
        Ok(plugin) => plugin,
        Err(error) if rule.name == LOADS => return Answer::Fail(vec![told(&error)]),
        Err(_) => return Answer::Skipped("it does not load".to_owned()),
    };
    reporter.step("it was to describe itself");
    if let Err(error) = examine::describe(&plugin) {
        return match rule.name {
            LOADS => Answer::Fail(vec![told(&error)]),
            _ => Answer::Skipped("it does not describe itself".to_owned()),
        };
    }
    let mut subject = Subject { plugin, seed, options, isolated, reporter };
    if let Some(name) = subject.unknown_option() {
        return Answer::Skipped(format!("there is no option --{name}"));
    }
    (rule.apply)(&mut subject)
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

    fn answer(mut self) -> Answer {
        if self.more > 0 {
            self.told.push(format!("and {} more", self.more));
        }
        if self.told.is_empty() { Answer::Pass } else { Answer::Fail(self.told) }
    }
}
