//! The conditions of what came to a target, which every measurement has: under the aspect that they explain.

use pathspider_locate::{Change, Reading};
use pathspider_plugin_api::{Class, Condition, ConditionInfo, Configuration, Info};

use super::judge::OfConfig;
use crate::locating::{aspects_of, experiments, is_of_baseline};

/// The words after `forward.`, with class and meaning.
const INTACT: (&str, Class, &str) = (
    "intact",
    Class::Good,
    "the target says that the experiment's packets came as they left, but for what the baseline's \
     were changed in too",
);
const CHANGED: (&str, Class, &str) = (
    "changed:<field>:<was>:<is>",
    Class::Impaired,
    "the target says that this field came otherwise than it left, and the baseline's did not",
);

const OF_INTACT: Condition = Condition::declare("<aspect>.forward.intact", INTACT.1, INTACT.2);
const OF_CHANGED: Condition =
    Condition::declare("<aspect>.forward.changed:<field:was:is>", CHANGED.1, CHANGED.2);

/// Octets of a value that a condition has.
const SHOWN: usize = 8;

/// What is concluded of a job's configurations, the baseline first. `concluded` has the measurement's own
/// conditions.
pub(crate) fn conditions(
    info: &Info,
    configurations: &[Configuration],
    found: &[OfConfig],
    concluded: &[Condition],
) -> Vec<Condition> {
    if found.is_empty() {
        return Vec::new();
    }
    let baseline = found.first().filter(|_| configurations.len() > 1);
    // A verdict on the baseline is none on an experiment.
    let concluded: Vec<Condition> = match baseline {
        Some(_) => concluded.iter().filter(|one| !is_of_baseline(info, one)).cloned().collect(),
        None => concluded.to_vec(),
    };
    let with_verdict = experiments(info, configurations, &concluded);
    let mut conditions = Vec::new();
    for experiment in configurations.iter().skip(usize::from(baseline.is_some())) {
        let Some(of) = found.get(experiment.id().index()) else { continue };
        let verdict = with_verdict.iter().find(|(other, _)| other.id() == experiment.id());
        let aspect = match verdict {
            Some((_, aspect)) => (*aspect).to_owned(),
            None => by_label(experiment, &concluded)
                .unwrap_or_else(|| format!("{}.{}", info.name, experiment.id().index())),
        };
        for condition in of_experiment(&aspect, of, baseline) {
            if !conditions.contains(&condition) {
                conditions.push(condition);
            }
        }
    }
    conditions
}

/// What the verdict is about whose last words are the experiment's label.
fn by_label(experiment: &Configuration, concluded: &[Condition]) -> Option<String> {
    let label = format!(".{}", experiment.label().replace(' ', "."));
    let aspects = concluded.iter().filter_map(|one| one.aspect().strip_suffix(".connectivity"));
    aspects.filter(|aspect| aspect.ends_with(&label)).map(ToOwned::to_owned).next()
}

fn of_experiment(aspect: &str, found: &OfConfig, baseline: Option<&OfConfig>) -> Vec<Condition> {
    let changes: Vec<&Change> = found.explaining(baseline).collect();
    if !changes.is_empty() {
        let changed = |change: &&Change| {
            let (was, is) = (shown(&change.sent), shown(&change.seen));
            OF_CHANGED.of(aspect).with(format_args!("{}:{was}:{is}", change.field))
        };
        return changes.iter().map(changed).collect();
    }
    found.is_known(baseline).then(|| OF_INTACT.of(aspect)).into_iter().collect()
}

/// A value. Of long ones the first octets are enough to tell most apart.
fn shown(reading: &Reading) -> String {
    match reading {
        Reading::Octets(octets) if octets.len() > SHOWN => {
            format!("{}..", Reading::Octets(octets[..SHOWN].to_vec()))
        }
        Reading::Octets(octets) if octets.is_empty() => "empty".to_owned(),
        other => other.to_string(),
    }
}

/// The conditions of what came to targets that a measurement's records may have.
pub fn declared(info: &Info) -> Vec<ConditionInfo> {
    let each = |aspect: &str| {
        [INTACT, CHANGED].map(|(words, class, meaning)| ConditionInfo {
            name: format!("{aspect}.forward.{words}"),
            class,
            meaning: meaning.to_owned(),
        })
    };
    // A configuration without a verdict of its own is named by its number.
    let by_number = format!("{}.<config>", info.name);
    aspects_of(info).into_iter().chain([by_number.as_str()]).flat_map(each).collect()
}
