//! Mistakes where a measurement is seldom: behind its evidence, and in a connection that depends on an
//! answer.

use pathspider_plugin_api::abi::MeasurementHandle;
use pathspider_plugin_api::chains::{basic, dscp, tcp};
use pathspider_plugin_api::prelude::*;

use super::*;
use crate::check::subject::Variant;

const ORDINARY: Configuration = Configuration::new(0, "ordinary");
const FIRST: Configuration = Configuration::new(1, "first step");
const SECOND: Configuration = Configuration::new(2, "second step");

conditions! {
    CONNECTIVITY: connectivity("steps.<first|second>");
    CHOSEN: unknown("steps.chosen:<mark>", "the answer to B had this code point, which C was given");
    SKIPPED: unknown("steps.second.skipped", "B was not carried, so there was nothing to choose");
}

/// Sends B with a mark, and C with the mark of the answer to B. What it is asked for in `how`, it does
/// wrong.
struct Steps {
    how: String,
}

impl Steps {
    fn is(&self, how: &str) -> bool {
        self.how == how
    }

    fn choose(first: Flow<'_>) -> Option<u8> {
        let was_sent = first.get(dscp::SYN_FWD) == Some(46);
        first.get(dscp::SYN_REV).filter(|_| was_sent && first.connected())
    }
}

impl Measurement for Steps {
    fn info() -> Info {
        Info::new("steps", "1", "the mark that answers have").depends().conditions(CONDITIONS)
    }

    fn options() -> Options {
        Options::none().text("how", "", "What it does wrong")
    }

    fn new(options: &OptionValues, _: Host) -> Result<Steps> {
        Ok(Steps { how: options.text("how")?.unwrap_or_default().to_owned() })
    }

    fn configurations(&self) -> Vec<Configuration> {
        vec![ORDINARY, FIRST, SECOND]
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list([basic::CHAIN, tcp::CHAIN, dscp::CHAIN])
    }

    fn connect(&self, attempt: &Attempt<'_>) -> Result<Connect> {
        if attempt.is(ORDINARY) {
            return Ok(Connect::tcp());
        }
        if attempt.is(FIRST) {
            return Ok(Connect::tcp().dscp(46));
        }
        let chosen = attempt.earlier(FIRST).and_then(Steps::choose);
        Ok(match chosen.filter(|_| !self.is("never")) {
            Some(_) if self.is("panics-in-choice") => panic!("C"),
            Some(mark) if self.is("too-large") => Connect::tcp().dscp(mark + 60),
            Some(mark) => Connect::tcp().dscp(mark),
            None => Connect::skip("the first step did not work"),
        })
    }

    fn combine(&self, flows: &Flows<'_>) -> Result<Conclusion> {
        let chosen = Steps::choose(flows.of(FIRST));
        let evidence = flows.weigh(|flow| {
            let meant = [Some(0), Some(46), chosen][flow.config().index()];
            Some(flow.get(dscp::SYN_FWD)? == meant? && !self.is("blind"))
        });
        let mut drawn = Vec::new();
        for (config, word) in [(FIRST, "first"), (SECOND, "second")] {
            let verdict = evidence.connectivity(CONNECTIVITY, config);
            assert!(verdict.is_none() || !self.is("panics-in-verdict"), "a verdict");
            drawn.extend(verdict.map(|verdict| match &*self.how {
                "another-word" => verdict.of("third"),
                "no-word" => verdict,
                _ => verdict.of(word),
            }));
        }
        if let (Some(mark), Some(_)) = (chosen, evidence.of(SECOND)) {
            drawn.push(match &*self.how {
                "no-value" => CHOSEN,
                "value-as-word" => CHOSEN.of(mark),
                "blank-in-value" => CHOSEN.with("a b"),
                _ => CHOSEN.with(mark),
            });
        }
        if evidence.of(FIRST).is_some_and(|first| !first.connected()) {
            drawn.push(if self.is("value-of-none") { SKIPPED.with(46) } else { SKIPPED });
        }
        Ok(evidence.conclude(drawn))
    }
}

/// What is wrong, each with the rule that says so, and what was not reached.
fn judged(how: &str, depends: bool) -> (Vec<(&'static str, String)>, Vec<String>) {
    let mut sample = Sample::linked(MeasurementHandle::of::<Steps>());
    sample.info.depends = depends;
    let values = OptionValues::new(Record::new().with("how", how.to_owned()));
    let Ok(mut life) = Life::start(&sample, Variant { label: String::new(), values }) else {
        panic!("{how}: it does not begin");
    };
    let (mut troubles, mut unreached) = (Vec::new(), Vec::new());
    live(1, &mut life, &mut troubles);
    let told = troubles.into_iter().filter_map(|trouble| match trouble {
        Trouble::Run(what) => Some((RunRule::Run.name(), what)),
        Trouble::Rule(rule, what) => Some((rule.name(), what)),
        Trouble::Unreached(what) => {
            unreached.push(what);
            None
        }
    });
    (told.collect(), unreached)
}

#[test]
fn a_mistake_behind_the_evidence_breaks_one_rule() {
    assert_eq!(judged("", true), (vec![], vec![]));
    for (how, rule, words) in [
        ("panics-in-choice", "run", "panicked"),
        ("too-large", "run", "dscp is 106, and may be 0 to 63"),
        ("panics-in-verdict", "run", "a verdict"),
        ("another-word", "declared-conditions", "steps.third.connectivity."),
        ("no-word", "declared-conditions", "steps.<first|second>.connectivity."),
        ("no-value", "declared-conditions", "steps.chosen:<mark>"),
        ("value-as-word", "declared-conditions", "steps.chosen:<mark>"),
        ("blank-in-value", "declared-conditions", "steps.chosen:a b"),
        ("value-of-none", "declared-conditions", "steps.second.skipped:46"),
    ] {
        let (wrong, _) = judged(how, true);
        assert!(!wrong.is_empty(), "{how}: it is not found");
        for (broken, what) in wrong {
            assert_eq!(broken, rule, "{how}: {what}");
            assert!(what.contains(words), "{how}: {what}");
        }
    }
    let (wrong, _) = judged("", false);
    assert!(!wrong.is_empty());
    for (broken, what) in wrong {
        assert!(broken == "run" && what.contains("Info::depends"), "{broken}: {what}");
    }
}

#[test]
fn what_no_job_reached_is_said() {
    let (wrong, unreached) = judged("blind", true);
    assert_eq!(wrong, []);
    assert!(
        unreached.len() == 1 && unreached[0].contains("no verdict was reached"),
        "{unreached:?}"
    );
    let (wrong, unreached) = judged("never", true);
    assert_eq!(wrong, []);
    assert_eq!(unreached, ["steps: configuration 2 was left out in every job"]);
}
