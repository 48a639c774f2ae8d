//! What of a job is to be located: which configurations, with which of their packets.

use pathspider_locate::field::differ;
use pathspider_locate::{Subject, Template};
use pathspider_plugin_api::chains::carrier;
use pathspider_plugin_api::driver::{Conclusion, Ended};
use pathspider_plugin_api::{
    Carrier, Class, Condition, ConditionInfo, ConfigId, Configuration, Info, Value,
};

use super::When;

/// What the chain `carrier` kept of a connection's packets, read.
struct Packets {
    opening: Option<Template>,
    data: Option<Template>,
}

/// A search that is wanted.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// The configuration whose packets are marked.
    pub(crate) config: ConfigId,
    /// What conditions are about.
    pub(crate) aspect: String,
    /// Which packet is copied.
    pub(crate) carrier: Carrier,
    pub(crate) subject: Subject,
}

impl Packets {
    fn of(flow: &Ended) -> Packets {
        let template = |name: &str| {
            let octets = flow.seen(name)?.as_list()?.first().and_then(Value::as_bytes)?;
            Template::new(octets)
        };
        Packets { opening: template(carrier::OPENING.name()), data: template(carrier::DATA.name()) }
    }
}

/// What conditions of connectivity are about, in their order: `ecn`, `dscp.46`.
fn aspects<'a>(conditions: impl Iterator<Item = &'a Condition>) -> Vec<&'a str> {
    let mut found: Vec<&str> = Vec::new();
    for condition in conditions {
        if let Some(aspect) = condition.aspect().strip_suffix(".connectivity")
            && !found.contains(&aspect)
        {
            found.push(aspect);
        }
    }
    found
}

/// Whether a condition is about that, or about a part of it.
fn is_about(condition: &Condition, aspect: &str) -> bool {
    let rest = condition.as_str().strip_prefix(aspect);
    rest.is_some_and(|rest| rest.starts_with('.'))
}

/// Whether a verdict is one that is never compared with the baseline's: whether the target answers at all.
pub(crate) fn is_of_baseline(info: &Info, condition: &Condition) -> bool {
    let of_aspect = |one: &&ConditionInfo| one.aspect() == condition.aspect();
    let mut declared = info.conditions.iter().filter(of_aspect).peekable();
    declared.peek().is_some() && declared.all(|one| !one.name.ends_with(".works"))
}

/// The experiments that have a verdict, and what it is about.
pub(crate) fn experiments<'a>(
    info: &Info,
    configurations: &'a [Configuration],
    concluded: &'a [Condition],
) -> Vec<(&'a Configuration, &'a str)> {
    let (experiments, aspects) = match configurations {
        [] => return Vec::new(),
        [only] => (std::slice::from_ref(only), aspects(concluded.iter())),
        // A verdict on the baseline is none on an experiment.
        [_, experiments @ ..] => {
            let of_experiments = concluded.iter().filter(|one| !is_of_baseline(info, one));
            (experiments, aspects(of_experiments))
        }
    };
    let with_aspect = |(place, experiment): (usize, &'a Configuration)| {
        // One verdict for each experiment, in their order; where one is missing, the label tells.
        let aspect = if aspects.len() == experiments.len() {
            aspects.get(place).copied()
        } else {
            let label = experiment.label().replace(' ', ".");
            aspects.iter().copied().find(|aspect| *aspect == label)
        };
        Some((experiment, aspect?))
    };
    experiments.iter().enumerate().filter_map(with_aspect).collect()
}

/// What is wanted of a job, for what was concluded. `distances`: how many routers the answers of each
/// connection imply.
pub(crate) fn wanted(
    (when, info): (When, &Info),
    configurations: &[Configuration],
    distances: &[Option<u8>],
    conclusion: &Conclusion,
) -> Vec<Wanted> {
    let mut found = Vec::new();
    let is_impaired = |one: &Condition| one.class() == Class::Impaired;
    let all = || conclusion.conditions.iter().chain(&conclusion.added);
    // Most targets of most runs: nothing more is looked at.
    if when != When::Always && !conclusion.wishes.locates() && !all().any(is_impaired) {
        return found;
    }
    for (experiment, aspect) in experiments(info, configurations, &conclusion.conditions) {
        let mut impaired = all().filter(|one| is_impaired(one) && is_about(one, aspect)).peekable();
        let is_impaired = impaired.peek().is_some();
        let is_broken = impaired.any(|one| one.aspect().ends_with(".connectivity"));
        let is_wanted = match when {
            When::Broken => is_broken,
            When::Changed => is_impaired,
            When::Always => true,
        };
        if is_wanted || conclusion.wishes.locates() {
            let subjects = subjects(
                configurations,
                experiment,
                distances,
                conclusion,
                (is_impaired, info.forges),
            );
            found.extend(subjects.into_iter().map(|(carrier, subject)| Wanted {
                config: experiment.id(),
                aspect: aspect.to_owned(),
                carrier,
                subject,
            }));
        }
    }
    found
}

/// The packets to be sent for an experiment: those by which it differs from the baseline on the wire.
fn subjects(
    configurations: &[Configuration],
    experiment: &Configuration,
    distances: &[Option<u8>],
    conclusion: &Conclusion,
    (is_impaired, is_forged): (bool, bool),
) -> Vec<(Carrier, Subject)> {
    let (at, is_alone) = (experiment.id().index(), configurations.len() == 1);
    let Some(marked) = conclusion.flows.get(at).map(Packets::of) else { return Vec::new() };
    let plain = conclusion.flows.first().filter(|_| !is_alone).map(Packets::of);
    let (marked, plain) = (&marked, plain.as_ref());
    let is_carried = |at: usize| conclusion.flows.get(at).is_some_and(|flow| flow.is_carried());
    // Where the baseline failed as well, nothing is to come again.
    let arrives = is_carried(at) || (!is_alone && !is_carried(0));
    let distance_of = |at: usize| distances.get(at).copied().flatten();
    let distance = distance_of(0).or_else(|| distance_of(at));
    let mut found = Vec::new();
    let Some(opening) = &marked.opening else { return found };
    let of_plain = plain.and_then(|plain| plain.opening.as_ref());
    // All octets of a forged packet are meant.
    let accidents = |template: &Template| match of_plain.filter(|_| !is_forged) {
        Some(other) => template.clone().with_accidents_of(other),
        None => template.clone(),
    };
    let is_tcp = opening.is_syn();
    let has_connection = is_tcp && (marked.data.is_some() || is_carried(at));
    let own = accidents(opening);
    let differs = of_plain.is_none_or(|other| differ(&own, other));
    let data = data(experiment, plain, marked).filter(|_| is_tcp);
    if (is_alone || of_plain.is_some()) && differs {
        found.push((
            Carrier::Opening,
            Subject {
                plain: of_plain.cloned(),
                marked: own,
                handshake: None,
                distance,
                arrives: arrives || has_connection,
                // What came about on the SYN is nothing that its packet explains.
                is_impaired: is_impaired && !(has_connection && data.is_some()),
            },
        ));
    }
    if let Some((plain, data)) = data {
        let handshake = Some(opening.clone());
        let (plain, marked) = (Some(plain), data);
        let subject = Subject { plain, marked, handshake, distance, arrives, is_impaired };
        found.push((Carrier::Data, subject));
    }
    found
}

/// The segments with data, without the mark and with it; `None` where they do not differ.
fn data(
    experiment: &Configuration,
    plain: Option<&Packets>,
    marked: &Packets,
) -> Option<(Template, Template)> {
    let (data, plain) = (marked.data.as_ref()?, plain?);
    let class = match (&plain.data, &plain.opening) {
        (Some(plain), _) | (None, Some(plain)) => plain.traffic_class(),
        (None, None) => return None,
    };
    // The same segment without the mark, where it is a mark of the IP header.
    if data.traffic_class() != class {
        return Some((data.clone().with_traffic_class(class), data.clone()));
    }
    let other = plain.data.as_ref()?;
    let differs = experiment.carried_by() == Carrier::Data;
    differs.then(|| (other.clone(), data.clone().with_accidents_of(other)))
}
