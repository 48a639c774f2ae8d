//! The rules: what each demands, why, and what applies it.

use Apply::{Alone, ToLives};
use Need::{Ends, Holds};

use super::life::Trouble;
use super::subject::Subject;
use super::{
    Answer, blocking, chains, configure, conversations, describes, fuzz, lives, system, undisturbed,
};

/// A rule: what it demands, and why.
pub struct Rule {
    /// Its name.
    pub name: &'static str,
    /// What it demands of a plugin.
    pub demands: &'static str,
    /// Why.
    pub why: &'static str,
    /// Rules that have to hold first: what breaks one of them would break this one too, and is said
    /// there.
    pub(super) needs: &'static [Need],
    pub(super) apply: Apply,
}

/// What applies a rule.
pub(super) enum Apply {
    /// It has a child of its own.
    Alone(fn(&mut Subject<'_>) -> Answer),
    /// It looks at what was wrong with many jobs. One child takes them through for all such rules.
    ToLives(Judge),
}

/// The answer of a rule to what was wrong with many jobs.
pub(super) type Judge = fn(&[Trouble]) -> Answer;

/// The rules that look at the same jobs, by name.
pub(super) fn judges() -> impl Iterator<Item = (&'static str, Judge)> {
    RULES.iter().filter_map(|rule| match rule.apply {
        Apply::ToLives(judge) => Some((rule.name, judge)),
        Apply::Alone(_) => None,
    })
}

/// What has to be true of a rule that was applied before.
#[derive(Clone, Copy)]
pub(super) enum Need {
    /// It holds.
    Holds(&'static str),
    /// Applying it came to an end, whatever it found.
    Ends(&'static str),
}

/// No job can be begun otherwise.
const BEGUN: &[Need] =
    &[Holds("options"), Holds("configurations"), Holds("chain-names"), Holds("blocking")];
/// What ends the process while jobs go through it does so in each rule that takes jobs through.
const LIVED: &[Need] = &[
    Holds("options"),
    Holds("configurations"),
    Holds("chain-names"),
    Holds("blocking"),
    Ends("run"),
];
/// What fails with ordinary jobs fails with others too.
const RAN: &[Need] = &[
    Holds("options"),
    Holds("configurations"),
    Holds("chain-names"),
    Holds("blocking"),
    Holds("run"),
];
/// What goes wrong on one thread goes wrong on several.
const SOUND: &[Need] = &[
    Holds("options"),
    Holds("configurations"),
    Holds("chain-names"),
    Holds("blocking"),
    Holds("run"),
    Holds("no-flow"),
    Holds("declared-conditions"),
    Holds("configuration-index"),
    Holds("valid-records"),
    Holds("reserved-keys"),
];

/// The rule without which no other can be applied.
pub(super) static LOADS: &Rule = &RULES[0];
/// The rule that makes changes of the network.
pub(super) const CONFIGURATIONS: &str = "configurations";
/// The rule that is about what the child printed.
pub(super) const QUIET: &str = "quiet";
/// The rule that is about the settings of the network, also while the file is loaded.
pub(super) const SYSTEM: &str = "system";

/// All rules, in the order in which they are applied: what explains a failure comes before what
/// would only show it again.
pub static RULES: [Rule; 21] = [
    Rule {
        name: "loads",
        demands: "It is a whole shared library for this machine, needs nothing that is not there, \
                  and speaks an ABI version that this host understands.",
        why: "Else no host can use it.",
        needs: &[],
        apply: Alone(|_| Answer::Pass),
    },
    Rule {
        name: "panics",
        demands: "A panic is caught where it happens and reported: no panic = \"abort\".",
        why: "A panic is to cost one job, never the run.",
        needs: &[],
        apply: Alone(describes::panics),
    },
    Rule {
        name: "metadata",
        demands: "Names, version, description and contact are there; conditions are words joined \
                  by dots, are declared once, say what was seen, and are not the host's.",
        why: "Whoever reads a result has to know what it means, and whom to ask.",
        needs: &[],
        apply: Alone(describes::metadata),
    },
    Rule {
        name: "options",
        demands: "Options have different, usable names, help, defaults within their ranges; `new` \
                  takes the defaults and every word of a choice, or says why not.",
        why: "They become arguments of the command line, checked before any packet is sent.",
        needs: &[Holds("panics")],
        apply: Alone(describes::options),
    },
    Rule {
        name: CONFIGURATIONS,
        demands: "There is a baseline; labels differ; `configure` reaches each configuration from \
                  each other, through System alone and where Info::changes_system was declared; \
                  the parameters, rules and commands that it gives are taken.",
        why: "A run goes round them many times, in this order and with gaps.",
        needs: &[Holds("options")],
        apply: Alone(configure::configurations),
    },
    Rule {
        name: "chain-names",
        demands: "The observer chains that it names exist, and write no field twice.",
        why: "Else its run cannot start.",
        needs: &[Holds("options"), Ends("configurations")],
        apply: Alone(chains::names),
    },
    Rule {
        name: "blocking",
        demands: "Without Info::blocking, pre_connect and connect return at once.",
        why: "They run on the thread that opens all connections.",
        needs: &[Holds("options"), Holds("configurations")],
        apply: Alone(blocking::blocking),
    },
    Rule {
        name: "run",
        demands: "Jobs go through it, from pre_connect to rows and finish, however they end and \
                  whatever was seen of them; nothing panics or breaks the contract, and the host \
                  can make each connection that it asks for.",
        why: "On the Internet all of it happens.",
        needs: BEGUN,
        apply: ToLives(lives::run),
    },
    Rule {
        name: "no-flow",
        demands: "Without a flow in the capture, merge and combine give no error and no verdict, \
                  unless it names no chain and so never has one.",
        why: "Absence means no evidence: a verdict without packets seen is a guess.",
        needs: LIVED,
        apply: Alone(lives::no_flow),
    },
    Rule {
        name: "declared-conditions",
        demands: "combine gives only conditions that info declares.",
        why: "Readers rely on the declaration; a run takes the job's conclusions back otherwise.",
        needs: LIVED,
        apply: ToLives(lives::declared_conditions),
    },
    Rule {
        name: "configuration-index",
        demands: "Where it names a configuration, there is one of that number.",
        why: "pathspider.not_applied:7 of a measurement with two means nothing.",
        needs: LIVED,
        apply: ToLives(lives::configuration_index),
    },
    Rule {
        name: "valid-records",
        demands: "Records have no key twice, no empty key, no NaN or infinity.",
        why: "JSON cannot say it, or readers take it two ways.",
        needs: LIVED,
        apply: ToLives(lives::valid_records),
    },
    Rule {
        name: "reserved-keys",
        demands: "It leaves the keys that the host writes: config, observed, jobId, conditions, …",
        why: "Nobody could tell the host's word from the plugin's.",
        needs: LIVED,
        apply: ToLives(lives::reserved_keys),
    },
    Rule {
        name: "chain-fields",
        demands: "Its chains write the fields that they declare, in their types; none writes null \
                  alone.",
        why: "The declaration is the documentation, and measurements rely on it.",
        needs: &[Holds("panics"), Holds("chain-names")],
        apply: Alone(chains::fields),
    },
    Rule {
        name: "chain-packets",
        demands: "Its chains take any packet: short, malformed, of any protocol, in any order.",
        why: "Whatever is on the wire comes to the chains.",
        needs: &[Holds("chain-names"), Holds("chain-fields")],
        apply: Alone(chains::packets),
    },
    Rule {
        name: "fuzz",
        demands: "Random options, jobs, outcomes and flow records make no function of a measurement \
                  panic; chain-packets does the same to chains.",
        why: "Input files and targets are not chosen by friends.",
        needs: RAN,
        apply: Alone(fuzz::fuzz),
    },
    Rule {
        name: SYSTEM,
        demands: "Nothing of the network's settings is changed otherwise than through System, from \
                  the loading of the file on.",
        why: "What the host does not know of, it cannot undo.",
        needs: &[Holds("options"), Holds("configurations"), Holds("blocking"), Ends("run")],
        apply: Alone(system::unchanged),
    },
    Rule {
        name: "process",
        demands: "It leaves the process as it is: working directory, umask, environment, standard \
                  descriptors, signals, limits, user and group.",
        why: "The process is the host's, and every function of the plugin's runs in it.",
        needs: LIVED,
        apply: Alone(undisturbed::unchanged),
    },
    Rule {
        name: "conversations",
        demands: "Its conversations take any packet, silence and every ending, and send packets of \
                  one flow that can be read.",
        why: "Whatever is on the wire comes to them, and an answer on another flow would be taken for \
              this one's.",
        needs: RAN,
        apply: Alone(conversations::conversations),
    },
    Rule {
        name: "threads",
        demands: "Several threads may call pre_connect to rows at the same time.",
        why: "The host does, without a lock.",
        needs: SOUND,
        apply: Alone(lives::threads),
    },
    Rule {
        name: QUIET,
        demands: "It prints nothing to standard output.",
        why: "It carries the records.",
        needs: LIVED,
        apply: ToLives(lives::quiet),
    },
];
